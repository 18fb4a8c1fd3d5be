/* SPDX-License-Identifier: Apache-2.0 */
/* The loop that turns logits into text: choose, emit, feed. */
#include <string.h>
#include <time.h>

#include "lib/alloc.h"
#include "lib/chat.h"
#include "lib/grounding.h"
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

static bool grounded_allows(void *user, int32_t id)
{
    const dsvl_session *session = user;
    const char *bytes;
    size_t length;
    if (id == session->decoder->config.eos) return dsvl_grounding_may_end(session->grounding);
    if (dsvl_tokenizer_bytes(session->model->tokenizer, id, false, &bytes, &length)) return false;
    return dsvl_grounding_allows(session->grounding, bytes, length);
}

/* Tell the grounding what was chosen. */
static int ground(dsvl_session *session, int32_t id, dsvl_error *err)
{
    const char *bytes;
    size_t length;
    if (!session->grounding) return 0;
    if (id == session->decoder->config.eos) return dsvl_grounding_finish(session->grounding, err);
    dsvl_tokenizer_bytes(session->model->tokenizer, id, false, &bytes, &length);
    return dsvl_grounding_accept(session->grounding, bytes, length, err);
}

/* Up to `most` tokens; *sum and *terms gather log-probabilities, the end token's included. */
static int generate(dsvl_session *session, dsvl_sampler *sampler, size_t most, text_stream *stream,
                    dsvl_generation *out, double *sum, size_t *terms, dsvl_error *err)
{
    int32_t eos = session->decoder->config.eos;
    size_t capacity = 0;
    out->finish = DSVL_FINISH_LENGTH;
    while (out->count < most) {
        int32_t id;
        float logprob;
        const float *logits = dsvl_session_compute_logits(session, err);
        if (!logits || dsvl_sampler_pick(sampler, logits, &id, &logprob, err)) return -1;
        *sum += (double)logprob;
        (*terms)++;
        if (ground(session, id, err)) return -1;
        if (id == eos) {
            out->finish = DSVL_FINISH_STOP;
            return 0;
        }
        if (add(out, &capacity, id, logprob, err)) return -1;
        dsvl_sampler_see(sampler, id);
        int stop = emit(stream, id, err);
        if (stop < 0) return -1;
        if (stop) {
            out->finish = DSVL_FINISH_STOP;
            return 0;
        }
        /* The last token of a full answer needs no successor, so nothing is fed for it. */
        if (out->count < most && dsvl_session_feed_tokens(session, &id, 1, err)) return -1;
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
    text_stream stream = {.model = session->model, .on_text = on_text, .user = user};
    dsvl_sampler *sampler = dsvl_sampler_new(sampling, (size_t)session->decoder->config.vocab, err);
    int result = -1;
    if (!sampler) goto out;
    if (session->grounding) {
        dsvl_grounding_reset(session->grounding);
        dsvl_sampler_restrict(sampler, grounded_allows, session);
    }
    for (size_t i = 0; i < session->length; i++) dsvl_sampler_see(sampler, session->ids[i]);
    result = generate(session, sampler, most, &stream, out, &sum, &terms, err);
    if (result == 0 && stream.length) flush(&stream, true);
    if (result) out->finish = DSVL_FINISH_ERROR;
out:
    out->mean_logprob = terms ? sum / (double)terms : 0;
    out->seconds = now() - start;
    dsvl_sampler_free(sampler);
    dsvl_dealloc(stream.held);
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
