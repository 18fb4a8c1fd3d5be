/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder against the published code: every layer and the logits within 2e-4 of the largest value, 64
 * greedy tokens identical, for every case in tests/reference/fixtures; and against itself: chunks, threads,
 * truncation and feeding by pieces do not change a bit. */
#include <math.h>

#include "lib/chat.h"
#include "lib/decoder.h"
#include "lib/model.h"
#include "tests/unit/check.h"
#include "tests/unit/fixture.h"

static const double TOLERANCE = 2e-4;

/* ---- what a probe saw -------------------------------------------------------------------------------- */

typedef struct seen {
    char stage[16];
    float *values;
    int64_t rows, cols;
} seen;

typedef struct record {
    seen stages[64];
    int count;
} record;

static void watch(void *user, const char *stage, const float *values, int64_t rows, int64_t cols)
{
    record *r = user;
    int i = 0;
    while (i < r->count && strcmp(r->stages[i].stage, stage) != 0) i++;
    if (i == 64) return;
    seen *s = &r->stages[i];
    if (i == r->count) {
        snprintf(s->stage, sizeof s->stage, "%s", stage);
        s->cols = cols;
        r->count++;
    }
    s->values = realloc(s->values, (size_t)((s->rows + rows) * cols) * sizeof(float));
    memcpy(s->values + s->rows * cols, values, (size_t)(rows * cols) * sizeof(float));
    s->rows += rows;
}

static void forget(record *r)
{
    for (int i = 0; i < r->count; i++) free(r->stages[i].values);
    memset(r, 0, sizeof *r);
}

/* ---- one case ---------------------------------------------------------------------------------------- */

typedef struct prompt {
    int32_t *ids; /* [length] */
    bool *image;  /* [length]: this row is an embedding, not a token */
    float *rows;  /* [length, width] */
    size_t length, width;
} prompt;

/* The prompt as rows: token embeddings, and the expected image embeddings where the placeholder stands. */
static void build(prompt *p, const fixture *f, const dsvl_model *model)
{
    const dsvl_tensor *ids = fixture_tensor(f, "input_ids");
    const dsvl_decoder *decoder = model->decoder;
    kern_context *kern = kern_context_new(1);
    int32_t placeholder = dsvl_chat_special(model, model->processor.image_token);
    p->length = (size_t)ids->shape[0];
    p->width = (size_t)decoder->config.width;
    p->ids = calloc(p->length, sizeof *p->ids);
    p->image = calloc(p->length, sizeof *p->image);
    p->rows = calloc(p->length * p->width, sizeof(float));
    int image = 0;
    int64_t used = 0;
    for (size_t i = 0; i < p->length; i++) {
        p->ids[i] = (int32_t)((const int64_t *)ids->data)[i];
        p->image[i] = p->ids[i] == placeholder;
        char name[32];
        snprintf(name, sizeof name, "embeddings.%d", image);
        const dsvl_tensor *embeddings = fixture_tensor(f, name);
        if (!p->image[i]) {
            size_t row = p->width * (decoder->embed.dtype == KERN_F32 ? 4 : 2);
            kern_widen(kern, p->rows + i * p->width,
                       (const char *)decoder->embed.data + (size_t)p->ids[i] * row, decoder->embed.dtype,
                       (int64_t)p->width);
        } else if (embeddings) {
            memcpy(p->rows + i * p->width, (const float *)embeddings->data + used * (int64_t)p->width,
                   p->width * sizeof(float));
            if (++used == embeddings->shape[0]) {
                image++;
                used = 0;
            }
        }
    }
    kern_context_free(kern);
}

static void discard(prompt *p)
{
    free(p->ids);
    free(p->image);
    free(p->rows);
}

/* Compare rows with the expected tensor, which may hold only the last rows. */
static void compare(const fixture *f, const char *name, const float *got, int64_t rows, int64_t cols)
{
    const dsvl_tensor *want = fixture_tensor(f, name);
    if (!want) return;
    CHECK_MSG(want->rank == 2 && want->shape[1] == cols && want->shape[0] <= rows, "%s: %s", f->name, name);
    if (want->rank != 2 || want->shape[1] != cols || want->shape[0] > rows) return;
    const float *expected = want->data;
    double worst = 0, scale = 0;
    got += (rows - want->shape[0]) * cols;
    for (int64_t i = 0; i < want->shape[0] * cols; i++) {
        double gap = fabs((double)got[i] - (double)expected[i]);
        if (!(gap <= worst)) worst = gap;
        if (fabs((double)expected[i]) > scale) scale = fabs((double)expected[i]);
    }
    CHECK_MSG(worst <= TOLERANCE * scale, "%s: %s: off by %.2e of %.2e", f->name, name, worst, scale);
    if (getenv("DSVL_TEST_VERBOSE")) printf("%-16s %-14s %.2e\n", f->name, name, worst / scale);
}

/* Greedy tokens, going on past the end token, as the fixtures do. */
static void greedy(const fixture *f, dsvl_session *session, size_t count, int32_t *out)
{
    dsvl_error err = {0};
    for (size_t k = 0; k < count; k++) {
        size_t vocab = 0, best = 0;
        const float *logits = dsvl_session_logits(session, &vocab);
        for (size_t i = 1; logits && i < vocab; i++)
            if (logits[i] > logits[best]) best = i;
        out[k] = (int32_t)best;
        CHECK_MSG(dsvl_session_feed_tokens(session, &out[k], 1, &err) == 0, "%s: %s", f->name, err.message);
    }
}

static dsvl_session *session_of(const fixture *f, const dsvl_model *model, size_t length)
{
    dsvl_error err = {0};
    bool beyond = length > (size_t)dsvl_model_context(
                               model); /* the stretched positions of dynamic and linear scaling */
    dsvl_session *session = dsvl_session_new(model, beyond ? (int)length : 0, &err);
    CHECK_MSG(session, "%s: %s", f->name, err.message);
    return session;
}

/* Feed as dsvl-answer does: tokens as tokens, each run of placeholders as embeddings; in pieces of at most
 * `most`. */
static void feed_pieces(const fixture *f, dsvl_session *session, const prompt *p, size_t from, size_t most)
{
    dsvl_error err = {0};
    for (size_t i = from; i < p->length;) {
        size_t n = 1;
        while (i + n < p->length && n < most && p->image[i + n] == p->image[i]) n++;
        int failed = p->image[i] ? dsvl_session_feed_embeddings(session, p->rows + i * p->width, n, &err)
                                 : dsvl_session_feed_tokens(session, p->ids + i, n, &err);
        CHECK_MSG(!failed, "%s: %s", f->name, err.message);
        i += n;
    }
}

/* Fed as one block of embeddings, or in the pieces that dsvl-answer feeds; the latter's logits are kept. */
static void against_published(const fixture *f, const dsvl_model *model, const prompt *p, bool pieces,
                              float *logits)
{
    dsvl_error err = {0};
    record r = {0};
    const dsvl_tensor *want = fixture_tensor(f, "greedy");
    size_t count = want ? (size_t)want->shape[0] : 0, vocab = 0;
    int32_t *got = calloc(count + 1, sizeof *got);
    dsvl_session *session = session_of(f, model, p->length + count);
    if (session) {
        dsvl_session_probe(session, watch, &r);
        if (pieces)
            feed_pieces(f, session, p, 0, SIZE_MAX);
        else
            CHECK_MSG(dsvl_session_feed_embeddings(session, p->rows, p->length, &err) == 0, "%s: %s", f->name,
                      err.message);
        CHECK(r.count == model->config.decoder.layers + 1);
        for (int i = 0; i < r.count; i++)
            compare(f, r.stages[i].stage, r.stages[i].values, r.stages[i].rows, r.stages[i].cols);
        dsvl_session_probe(session, NULL, NULL);
        const float *last = dsvl_session_logits(session, &vocab);
        CHECK(last && vocab == (size_t)model->config.decoder.vocab);
        if (pieces && last) memcpy(logits, last, vocab * sizeof(float));
        greedy(f, session, count, got);
        for (size_t k = 0; k < count; k++) {
            int64_t token = ((const int64_t *)want->data)[k];
            CHECK_MSG(got[k] == token, "%s: greedy token %zu is %d, want %d", f->name, k, got[k], (int)token);
            if (got[k] != token) break;
        }
    }
    dsvl_session_free(session);
    forget(&r);
    free(got);
}

static void same_bits(const fixture *f, const char *what, dsvl_session *session, const float *logits,
                      size_t vocab)
{
    size_t size = 0;
    const float *got = session ? dsvl_session_logits(session, &size) : NULL;
    CHECK_MSG(got && size == vocab && memcmp(got, logits, vocab * sizeof(float)) == 0,
              "%s: %s changes the logits", f->name, what);
}

static void against_itself(const fixture *f, dsvl_model *model, const prompt *p, const float *logits,
                           size_t vocab)
{
    static const struct {
        const char *what;
        size_t most;
        int threads;
        uint64_t memory;
    } ways[] = {
        {"one thread", SIZE_MAX, 1, 0}, {"feeding pieces of 7", 7, 2, 0}, {"a third thread", SIZE_MAX, 3, 0}};
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        model->options.threads = ways[w].threads;
        dsvl_session *session = session_of(f, model, p->length);
        if (!session) continue;
        feed_pieces(f, session, p, 0, ways[w].most);
        same_bits(f, ways[w].what, session, logits, vocab);
        /* A part is forgotten and fed again; what was fed after it leaves no trace. */
        dsvl_session_truncate(session, p->length / 2);
        CHECK(dsvl_session_length(session) == p->length / 2);
        feed_pieces(f, session, p, p->length / 2, ways[w].most);
        same_bits(f, "truncation", session, logits, vocab);
        dsvl_session_free(session);
    }
    model->options.threads = 0;
}

static void memory_limit(const fixture *f, dsvl_model *model, const prompt *p, const float *logits,
                         size_t vocab)
{
    dsvl_error err = {0};
    const dsvl_decoder *d = model->decoder;
    uint64_t cache =
        p->length * (uint64_t)d->config.layers * (uint64_t)(d->key_width + d->value_width) * sizeof(float);
    uint64_t keys = d->config.mla ? dsvl_expanded_bytes(d, p->length, 5) : 0;
    model->options.max_memory = cache + dsvl_work_bytes(d, 5) + keys;
    dsvl_session *session = session_of(f, model, p->length);
    if (session) feed_pieces(f, session, p, 0, SIZE_MAX);
    same_bits(f, "a memory limit", session, logits, vocab);
    dsvl_session_free(session);

    model->options.max_memory = cache;
    session = session_of(f, model, p->length);
    CHECK(session && dsvl_session_feed_embeddings(session, p->rows, p->length, &err) == -1 &&
          err.code == DSVL_E_LIMIT);
    CHECK(session && dsvl_session_length(session) == 0);
    dsvl_session_free(session);
    model->options.max_memory = 0;
}

static void context_limit(const fixture *f, const dsvl_model *model, const prompt *p)
{
    dsvl_error err = {0};
    dsvl_session *session = dsvl_session_new(model, 4, &err);
    CHECK(session && dsvl_session_feed_embeddings(session, p->rows, 3, &err) == 0);
    CHECK_MSG(session && dsvl_session_feed_embeddings(session, p->rows, 2, &err) == -1 &&
                  err.code == DSVL_E_LIMIT && dsvl_session_length(session) == 3,
              "%s", f->name);
    err = (dsvl_error){0};
    int32_t wrong = model->config.decoder.vocab;
    CHECK(session && dsvl_session_feed_tokens(session, &wrong, 1, &err) == -1 && err.code == DSVL_E_INPUT);
    dsvl_session_free(session);
}

static void run_case(const fixture *f)
{
    dsvl_error err = {0};
    dsvl_model *model = dsvl_model_open(f->folder, DSVL_PART_DECODER | DSVL_PART_TOKENIZER, NULL, &err);
    CHECK_MSG(model, "%s: %s", f->name, err.message);
    if (!model) return;
    prompt p = {0};
    build(&p, f, model);
    size_t vocab = (size_t)model->config.decoder.vocab;
    float *logits = calloc(vocab, sizeof(float));
    compare(f, "inputs_embeds", p.rows, (int64_t)p.length, (int64_t)p.width);
    against_published(f, model, &p, false, NULL);
    /* Past the trained length dynamic scaling turns each call's rows by that call's length: pieces differ
     * there. */
    if (p.length <= (size_t)dsvl_model_context(model)) {
        against_published(f, model, &p, true, logits);
        against_itself(f, model, &p, logits, vocab);
        memory_limit(f, model, &p, logits, vocab);
    }
    context_limit(f, model, &p);
    free(logits);
    discard(&p);
    dsvl_model_close(model);
}

int main(void)
{
    CHECK(fixture_each(run_case) > 0);
    return CHECK_DONE();
}
