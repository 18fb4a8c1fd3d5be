/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling, in the order transformers' generate() applies it: RepetitionPenaltyLogitsProcessor, then
 * TemperatureLogitsWarper, then TopPLogitsWarper, then a draw. The draw uses a generator of our own
 * (xoshiro256** seeded by splitmix64), so a seed repeats our answers, not those of torch. There is no top-k:
 * generate() has one of 50 by default, which at the top-p of the published example (0.9) seldom cuts
 * anything. */
#include "lib/sampling.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

typedef struct candidate {
    float logit;
    int32_t id;
} candidate;

struct dsvl_sampler {
    dsvl_allowed_fn allowed; /* NULL: all tokens */
    dsvl_favour_fn favour;   /* NULL: none */
    void *allowed_user, *favour_user;
    dsvl_sampling sampling;
    size_t vocab;
    uint8_t *seen;     /* [vocab] */
    float *scores;     /* [vocab]: penalised logits */
    candidate *sorted; /* [vocab], only for top_p < 1 */
    float *p;          /* [vocab]: probabilities of the candidates */
    uint64_t state[4];
};

/* ---- the generator ----------------------------------------------------------------------------------- */

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = *x += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

/* xoshiro256**: the next number in [0, 1), of 53 bits. */
static double uniform(uint64_t s[4])
{
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return (double)(result >> 11) * 0x1p-53;
}

/* ---- life -------------------------------------------------------------------------------------------- */

static int check(const dsvl_sampling *s, dsvl_error *err)
{
    if (!(s->temperature >= 0) || !isfinite(s->temperature))
        return dsvl_fail(err, DSVL_E_USAGE, "temperature %g is not a number from 0 up",
                         (double)s->temperature);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return dsvl_fail(err, DSVL_E_USAGE, "top-p %g is not above 0 and at most 1", (double)s->top_p);
    if (!(s->repetition_penalty > 0) || !isfinite(s->repetition_penalty))
        return dsvl_fail(err, DSVL_E_USAGE, "repetition penalty %g is not above 0",
                         (double)s->repetition_penalty);
    return 0;
}

dsvl_sampler *dsvl_sampler_new(const dsvl_sampling *sampling, size_t vocab, dsvl_error *err)
{
    const dsvl_sampling greedy = {.temperature = 0, .top_p = 1, .repetition_penalty = 1, .seed = 0};
    if (!sampling) sampling = &greedy;
    if (check(sampling, err)) return NULL;
    dsvl_sampler *sampler = dsvl_alloc_zero(1, sizeof *sampler);
    if (!sampler) goto memory;
    sampler->sampling = *sampling;
    sampler->vocab = vocab;
    uint64_t seed = sampling->seed;
    for (int i = 0; i < 4; i++) sampler->state[i] = splitmix(&seed);
    if (!(sampler->seen = dsvl_alloc_zero(vocab, 1)) || !(sampler->scores = dsvl_alloc(vocab, sizeof(float))))
        goto memory;
    if (sampling->temperature > 0 && (!(sampler->p = dsvl_alloc(vocab, sizeof(float))) ||
                                      !(sampler->sorted = dsvl_alloc(vocab, sizeof *sampler->sorted))))
        goto memory;
    return sampler;
memory:
    dsvl_fail_memory(err, vocab * sizeof(candidate));
    dsvl_sampler_free(sampler);
    return NULL;
}

void dsvl_sampler_free(dsvl_sampler *sampler)
{
    if (!sampler) return;
    dsvl_dealloc(sampler->seen);
    dsvl_dealloc(sampler->scores);
    dsvl_dealloc(sampler->sorted);
    dsvl_dealloc(sampler->p);
    dsvl_dealloc(sampler);
}

void dsvl_sampler_see(dsvl_sampler *sampler, int32_t id)
{
    if (id >= 0 && (size_t)id < sampler->vocab) sampler->seen[id] = 1;
}

/* ---- one choice -------------------------------------------------------------------------------------- */

static bool all_finite(const float *x, size_t n)
{
    uint32_t worst = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7fffffff;
        if (bits > worst) worst = bits;
    }
    return worst < 0x7f800000;
}

/* The first largest, as torch.argmax. */
static size_t argmax(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* Ascending by logit, then by id: torch.sort(descending=False) on a CPU keeps the order of equals. */
static int by_logit(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* TopPLogitsWarper: of the ascending candidates, those whose cumulative probability is at most 1 - top_p go;
 * the last always stays. Returns the index of the first that stays. Sums in f64, each rounded to f32, as
 * torch.cumsum. */
static size_t top_p(const float *p, size_t n, float keep)
{
    double sum = 0;
    float bar = (float)(1.0 - (double)keep);
    for (size_t i = 0; i + 1 < n; i++) {
        sum += (double)p[i];
        if ((float)sum > bar) return i;
    }
    return n - 1;
}

/* Temperature and top-p: sorted[first ..) with the probabilities p[first ..) remain; returns first. */
static size_t weigh(dsvl_sampler *sampler)
{
    size_t n = sampler->vocab;
    float temperature = sampler->sampling.temperature, *p = sampler->p;
    candidate *sorted = sampler->sorted;
    for (size_t i = 0; i < n; i++) sorted[i] = (candidate){sampler->scores[i] / temperature, (int32_t)i};
    bool cut = sampler->sampling.top_p < 1;
    if (cut) qsort(sorted, n, sizeof *sorted, by_logit);
    float top = sorted[n - 1].logit;
    for (size_t i = 0; !cut && i < n; i++) top = sorted[i].logit > top ? sorted[i].logit : top;
    if (!isfinite(top)) { /* a temperature next to nothing: the likeliest alone */
        sorted[n - 1] = (candidate){0, (int32_t)argmax(sampler->scores, n)};
        p[n - 1] = 1;
        return n - 1;
    }
    double total = 0, kept = 0;
    for (size_t i = 0; i < n; i++) total += (double)(p[i] = expf(sorted[i].logit - top));
    for (size_t i = 0; i < n; i++) p[i] = (float)((double)p[i] / total);
    size_t first = cut ? top_p(p, n, sampler->sampling.top_p) : 0;
    for (size_t i = first; i < n; i++) kept += (double)p[i];
    for (size_t i = first; i < n; i++) p[i] = (float)((double)p[i] / kept);
    return first;
}

static size_t draw(dsvl_sampler *sampler)
{
    size_t n = sampler->vocab, first = weigh(sampler);
    double mark = uniform(sampler->state), reached = 0;
    for (size_t i = n; i-- > first;) { /* from the likeliest down when sorted */
        reached += (double)sampler->p[i];
        if (mark < reached) return (size_t)sampler->sorted[i].id;
    }
    return (size_t)sampler->sorted[n - 1].id; /* rounding at the far end */
}

/* Penalised logits into sampler->scores. */
static void penalise(dsvl_sampler *sampler, const float *logits)
{
    float penalty = sampler->sampling.repetition_penalty;
    memcpy(sampler->scores, logits, sampler->vocab * sizeof(float));
    for (size_t i = 0; penalty != 1 && i < sampler->vocab; i++) {
        float *s = &sampler->scores[i];
        if (sampler->seen[i]) *s = *s < 0 ? *s * penalty : *s / penalty;
    }
}

size_t dsvl_sampler_candidates(dsvl_sampler *sampler, const float *logits, int32_t *ids, float *p)
{
    if (sampler->sampling.temperature == 0) return 0;
    penalise(sampler, logits);
    size_t first = weigh(sampler), count = sampler->vocab - first;
    for (size_t i = 0; i < count; i++) {
        ids[i] = sampler->sorted[first + i].id;
        p[i] = sampler->p[first + i];
    }
    return count;
}

static float log_probability(const float *logits, size_t n, size_t id)
{
    float top = logits[argmax(logits, n)];
    double sum = 0; /* at least 1: the likeliest token's own share */
    for (size_t i = 0; i < n; i++) sum += (double)expf(logits[i] - top);
    return (float)((double)(logits[id] - top) - log(fmax(sum, 1)));
}

void dsvl_sampler_restrict(dsvl_sampler *sampler, dsvl_allowed_fn allowed, void *user)
{
    sampler->allowed = allowed;
    sampler->allowed_user = user;
}

void dsvl_sampler_favour(dsvl_sampler *sampler, dsvl_favour_fn favour, void *user)
{
    sampler->favour = favour;
    sampler->favour_user = user;
}

/* Take the tokens that are not allowed out of the scores; -1 when none remains. A greedy choice needs only to
 * know its best token, so the scores are tried from the top, and all of them only when that goes on for long.
 */
static int refuse(dsvl_sampler *sampler, bool greedy)
{
    enum { TRIES = 48 };
    float *scores = sampler->scores;
    for (int i = 0; greedy && i < TRIES; i++) {
        size_t best = argmax(scores, sampler->vocab);
        if (scores[best] == -INFINITY) return -1;
        if (sampler->allowed(sampler->allowed_user, (int32_t)best)) return 0;
        scores[best] = -INFINITY;
    }
    bool any = false;
    for (size_t i = 0; i < sampler->vocab; i++) {
        if (scores[i] == -INFINITY) continue;
        if (sampler->allowed(sampler->allowed_user, (int32_t)i))
            any = true;
        else
            scores[i] = -INFINITY;
    }
    return any ? 0 : -1;
}

int dsvl_sampler_pick(dsvl_sampler *sampler, const float *logits, int32_t *id, float *logprob,
                      dsvl_error *err)
{
    size_t n = sampler->vocab;
    bool greedy = sampler->sampling.temperature == 0;
    if (n == 0 || !all_finite(logits, n))
        return dsvl_fail(
            err, DSVL_E_MODEL,
            "the decoder's logits are not finite: the weights are damaged or the embeddings hold NaN");
    size_t chosen;
    if (greedy && sampler->sampling.repetition_penalty == 1 && !sampler->allowed && !sampler->favour) {
        chosen = argmax(logits, n);
    } else {
        penalise(sampler, logits);
        if (sampler->favour) sampler->favour(sampler->favour_user, sampler->scores);
        if (sampler->allowed && refuse(sampler, greedy))
            return dsvl_fail(err, DSVL_E_MODEL, "no token of the vocabulary can go on with the answer");
        chosen = greedy ? argmax(sampler->scores, n) : draw(sampler);
    }
    *id = (int32_t)chosen;
    *logprob = log_probability(logits, n, chosen);
    return 0;
}
