/* SPDX-License-Identifier: Apache-2.0 */
/* The loop that turns logits into text: choose, emit, feed. */
#include <string.h>
#include <time.h>

#include "lib/alloc.h"
#include "lib/chat.h"
#include "lib/grounding.h"
#include "lib/loop.h"
#include "lib/sampling.h"
#include "lib/session.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Text on its way to the caller: a character whose bytes come in several tokens is held back until it is
 * whole. */
typedef struct text_stream {
    const dsvl_model *model;
    dsvl_text_fn on_text;
    void *user;
    char *held;
    size_t length, capacity;
} text_stream;

/* Bytes at the end of text that begin a UTF-8 character and do not finish it: 0 to 3. */
static size_t unfinished(const char *text, size_t length)
{
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        unsigned char c = (unsigned char)text[length - back];
        if ((c & 0xc0) == 0x80) continue;
        size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return need > back ? back : 0;
    }
    return 0;
}

/* Hand over what is whole, or with `end` everything. 1: the caller wants no more. */
static int flush(text_stream *stream, bool end)
{
    size_t keep = end ? 0 : unfinished(stream->held, stream->length), ready = stream->length - keep;
    if (ready == 0) return 0;
    int stop = stream->on_text(stream->user, stream->held, ready);
    memmove(stream->held, stream->held + ready, keep);
    stream->length = keep;
    return stop != 0;
}

/* 0: go on, 1: the caller wants no more, -1: error. */
static int emit(text_stream *stream, int32_t id, dsvl_error *err)
{
    if (!stream->on_text || !stream->model->tokenizer) return 0;
    const char *bytes;
    size_t length;
    dsvl_chat_bytes(stream->model, id, &bytes, &length);
    void *held = stream->held;
    if (!dsvl_grow(&held, &stream->capacity, stream->length + length, 1))
        return dsvl_fail_memory(err, stream->length + length);
    stream->held = held;
    memcpy(stream->held + stream->length, bytes, length);
    stream->length += length;
    return flush(stream, false);
}

static int add(dsvl_generation *out, size_t *capacity, int32_t id, float logprob, dsvl_error *err)
{
    if (out->count == *capacity) {
        size_t next = *capacity ? *capacity * 2 : 256;
        int32_t *ids = dsvl_realloc(out->ids, out->count, next, sizeof *ids);
        if (!ids) return dsvl_fail_memory(err, next * sizeof *ids);
        out->ids = ids;
        float *logprobs = dsvl_realloc(out->logprobs, out->count, next, sizeof *logprobs);
        if (!logprobs) return dsvl_fail_memory(err, next * sizeof *logprobs);
        out->logprobs = logprobs;
        *capacity = next;
    }
    out->ids[out->count] = id;
    out->logprobs[out->count++] = logprob;
    return 0;
}

/* What grounding needs beside the session: the first byte of every token, -1: it has none. */
typedef struct ground_user {
    const dsvl_session *session;
    int16_t *first; /* [vocab] */
} ground_user;

static bool grounded_allows(void *user, int32_t id)
{
    const dsvl_session *session = ((const ground_user *)user)->session;
    const char *bytes;
    size_t length;
    if (id == session->decoder->config.eos) return dsvl_grounding_may_end(session->grounding);
    if (dsvl_tokenizer_bytes(session->model->tokenizer, id, false, &bytes, &length)) return false;
    return dsvl_grounding_allows(session->grounding, bytes, length);
}

static int find_first_bytes(ground_user *user, dsvl_error *err)
{
    size_t vocab = (size_t)user->session->decoder->config.vocab;
    user->first = dsvl_alloc(vocab, sizeof *user->first);
    if (!user->first) return dsvl_fail_memory(err, vocab * sizeof *user->first);
    for (size_t id = 0; id < vocab; id++) {
        const char *bytes;
        size_t length;
        int status =
            dsvl_tokenizer_bytes(user->session->model->tokenizer, (int32_t)id, false, &bytes, &length);
        user->first[id] = status || length == 0 ? -1 : (int16_t)(unsigned char)bytes[0];
    }
    return 0;
}

/* Raise what the places of the words suggest. */
static void grounded_favour(void *user, float *scores)
{
    const ground_user *g = user;
    const dsvl_guide *guide = dsvl_grounding_guide(g->session->grounding);
    char next[DSVL_FORMATS];
    size_t n = dsvl_guide_next(guide, next), vocab = (size_t)g->session->decoder->config.vocab;
    for (size_t k = 0; k < n; k++) {
        for (size_t id = 0; id < vocab; id++) {
            const char *bytes;
            size_t length;
            if (g->first[id] != (unsigned char)next[k]) continue;
            dsvl_tokenizer_bytes(g->session->model->tokenizer, (int32_t)id, false, &bytes, &length);
            scores[id] += dsvl_guide_support(guide, bytes, length);
        }
    }
    scores[g->session->decoder->config.eos] += dsvl_guide_support(guide, NULL, 0);
}

/* Tell the grounding what was chosen. */
static int ground_token(dsvl_session *session, int32_t id, dsvl_error *err)
{
    const char *bytes;
    size_t length;
    if (!session->grounding) return 0;
    if (id == session->decoder->config.eos) return dsvl_grounding_finish(session->grounding, err);
    dsvl_tokenizer_bytes(session->model->tokenizer, id, false, &bytes, &length);
    return dsvl_grounding_accept(session->grounding, bytes, length, err);
}

/* An answer in the making. */
typedef struct writing {
    dsvl_session *session;
    dsvl_sampler *sampler;
    text_stream stream;
    dsvl_loop loop;
    size_t base;       /* tokens of the prompt */
    size_t capacity;   /* of out->ids and out->logprobs */
    int32_t forbidden; /* not this one next; -1: any */
    double deadline;   /* 0: none */
    dsvl_generation *out;
} writing;

static void token_text(const void *user, int32_t id, const char **bytes, size_t *length)
{
    dsvl_chat_bytes(user, id, bytes, length);
}

static bool not_forbidden(void *user, int32_t id)
{
    return id != *(const int32_t *)user;
}

static int pick(writing *w, int32_t *id, float *logprob, dsvl_error *err)
{
    const float *logits = dsvl_session_compute_logits(w->session, err);
    if (!logits) return -1;
    if (w->forbidden < 0) return dsvl_sampler_pick(w->sampler, logits, id, logprob, err);
    dsvl_sampler_restrict(w->sampler, not_forbidden, &w->forbidden);
    int status = dsvl_sampler_pick(w->sampler, logits, id, logprob, err);
    dsvl_sampler_restrict(w->sampler, NULL, NULL);
    w->forbidden = -1;
    return status;
}

/* Feed the newest token, unless the answer is full: it then needs no successor. */
static int feed_last(writing *w, size_t most, dsvl_error *err)
{
    dsvl_generation *out = w->out;
    return out->count < most && dsvl_session_feed_tokens(w->session, &out->ids[out->count - 1], 1, err);
}

/* The newest token is in the answer: does it close a loop? 1: that ends the answer, 0: go on. */
static int check_loop(writing *w, size_t most, dsvl_error *err)
{
    dsvl_generation *out = w->out;
    size_t begin,
        period = dsvl_loop_add(&w->loop, out->ids, out->count, token_text, w->session->model, &begin);
    if (!period) return feed_last(w, most, err) ? -1 : 0;
    bool can_go_back = !w->stream.on_text && !w->session->grounding;
    if (!can_go_back || out->retried) {
        out->finish = DSVL_FINISH_LOOP;
        if (can_go_back) out->count = begin + period;
        return 1;
    }
    out->retried = 1;
    out->count = begin + period;
    w->forbidden = out->ids[begin]; /* what came next, and began the second round */
    memset(&w->loop, 0, sizeof w->loop);
    dsvl_session_truncate(w->session, w->base + out->count - 1);
    return feed_last(w, most, err) ? -1 : 0;
}

/* Up to `most` tokens; *sum and *terms are those of the end token, if it came. */
static int generate(writing *w, size_t most, bool keep_loops, double *sum, size_t *terms, dsvl_error *err)
{
    dsvl_session *session = w->session;
    dsvl_generation *out = w->out;
    out->finish = DSVL_FINISH_LENGTH;
    while (out->count < most) {
        int32_t id;
        float logprob;
        if (w->deadline > 0 && now() >= w->deadline) {
            out->finish = DSVL_FINISH_TIMEOUT;
            return 0;
        }
        if (pick(w, &id, &logprob, err) || ground_token(session, id, err)) return -1;
        if (id == session->decoder->config.eos) {
            out->finish = DSVL_FINISH_STOP;
            *sum = (double)logprob;
            *terms = 1;
            return 0;
        }
        if (add(out, &w->capacity, id, logprob, err)) return -1;
        dsvl_sampler_see(w->sampler, id);
        int stop = emit(&w->stream, id, err);
        if (stop < 0) return -1;
        if (stop) {
            out->finish = DSVL_FINISH_STOP;
            return 0;
        }
        stop = keep_loops ? feed_last(w, most, err) : check_loop(w, most, err);
        if (stop) return stop < 0 ? -1 : 0;
    }
    return 0;
}

int dsvl_session_generate(dsvl_session *session, const dsvl_sampling *sampling, size_t max_tokens,
                          dsvl_text_fn on_text, void *user, dsvl_generation *out, dsvl_error *err)
{
    memset(out, 0, sizeof *out);
    out->finish = DSVL_FINISH_ERROR;
    double start = now(), sum = 0;
    size_t terms = 0, most = session->context - session->length;
    if (max_tokens && max_tokens < most) most = max_tokens;
    writing w = {.session = session,
                 .stream = {.model = session->model, .on_text = on_text, .user = user},
                 .base = session->length,
                 .forbidden = -1,
                 .deadline = sampling && sampling->timeout > 0 ? start + sampling->timeout : 0,
                 .out = out};
    ground_user ground = {.session = session};
    int result = -1;
    w.sampler = dsvl_sampler_new(sampling, (size_t)session->decoder->config.vocab, err);
    if (!w.sampler) goto out;
    if (session->grounding) {
        if (find_first_bytes(&ground, err)) goto out;
        dsvl_grounding_reset(session->grounding);
        dsvl_sampler_restrict(w.sampler, grounded_allows, &ground);
        dsvl_sampler_favour(w.sampler, grounded_favour, &ground);
    }
    for (size_t i = 0; i < session->length; i++) dsvl_sampler_see(w.sampler, session->ids[i]);
    result = generate(&w, most, sampling && sampling->keep_loops, &sum, &terms, err);
    if (result == 0 && w.stream.length) flush(&w.stream, true);
    if (result) out->finish = DSVL_FINISH_ERROR;
out:
    for (size_t i = 0; i < out->count; i++, terms++) sum += (double)out->logprobs[i];
    out->mean_logprob = terms ? sum / (double)terms : 0;
    out->seconds = now() - start;
    dsvl_sampler_free(w.sampler);
    dsvl_dealloc(w.stream.held);
    dsvl_dealloc(ground.first);
    return result;
}

void dsvl_session_ground(dsvl_session *session, dsvl_grounding *grounding)
{
    session->grounding = grounding;
}

void dsvl_generation_clear(dsvl_generation *generation)
{
    dsvl_dealloc(generation->ids);
    dsvl_dealloc(generation->logprobs);
    memset(generation, 0, sizeof *generation);
}
