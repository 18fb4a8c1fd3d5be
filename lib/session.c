/* SPDX-License-Identifier: Apache-2.0 */
/* A sequence: its cache of keys and values, and feeding it in chunks. */
#include "lib/session.h"

#include <string.h>

#include "lib/alloc.h"
#include "lib/chat.h"

/* Rows a pass takes at most, and the work it may take where no limit was given: an expert sees one row in
 * ten, and reading its weights pays off over a hundred rows or more. */
enum { CHUNK_ROWS = 2048, LEAST_ROWS = 64 };
#define WORK_BYTES ((uint64_t)512 << 20)
#define EXPANDED_BYTES ((uint64_t)64 << 20) /* keys and values written out at a time */

dsvl_session *dsvl_session_new(const dsvl_model *model, int context, dsvl_error *err)
{
    if (!model || !model->decoder) {
        dsvl_fail(err, DSVL_E_USAGE, "a session needs a model opened with its decoder");
        return NULL;
    }
    const dsvl_decoder_config *c = &model->decoder->config;
    if (context < 0) {
        dsvl_fail(err, DSVL_E_USAGE, "a context of %d tokens", context);
        return NULL;
    }
    dsvl_session *session = dsvl_alloc_zero(1, sizeof *session);
    if (!session) {
        dsvl_fail_memory(err, sizeof *session);
        return NULL;
    }
    session->model = model;
    session->decoder = model->decoder;
    session->context = (size_t)(context ? context : c->context);
    session->placeholder = -1;
    if (model->tokenizer) session->placeholder = dsvl_chat_special(model, model->processor.image_token);

    dsvl_pass *pass = session->pass = dsvl_alloc_zero(1, sizeof *pass);
    if (pass) {
        pass->kern = kern_context_new(model->options.threads);
        pass->layers = dsvl_alloc_zero((size_t)c->layers, sizeof *pass->layers);
        pass->last = dsvl_alloc_zero((size_t)c->width * 2, sizeof(float)); /* and room for its norm */
        pass->logits = dsvl_alloc_zero((size_t)c->vocab, sizeof(float));
    }
    if (!pass || !pass->kern || !pass->layers || !pass->last || !pass->logits) {
        dsvl_fail_memory(err, (size_t)c->vocab * sizeof(float));
        dsvl_session_free(session);
        return NULL;
    }
    return session;
}

void dsvl_session_free(dsvl_session *session)
{
    if (!session) return;
    dsvl_pass *pass = session->pass;
    if (pass) {
        for (int k = 0; pass->layers && k < session->decoder->config.layers; k++) {
            dsvl_dealloc(pass->layers[k].k);
            dsvl_dealloc(pass->layers[k].v);
        }
        dsvl_dealloc(pass->layers);
        dsvl_dealloc(pass->work.block);
        dsvl_dealloc(pass->expanded.block);
        dsvl_rope_clear(&pass->rope);
        dsvl_dealloc(pass->last);
        dsvl_dealloc(pass->logits);
        kern_context_free(pass->kern);
        dsvl_dealloc(pass);
    }
    dsvl_dealloc(session->ids);
    dsvl_dealloc(session);
}

void dsvl_session_probe(dsvl_session *session, dsvl_probe_fn probe, void *user)
{
    session->pass->probe = probe;
    session->pass->probe_user = user;
}

/* ---- room -------------------------------------------------------------------------------------------- */

/* Bytes of cache a position takes over all layers. */
static uint64_t position_bytes(const dsvl_decoder *decoder)
{
    return (uint64_t)decoder->config.layers * (uint64_t)(decoder->key_width + decoder->value_width) *
           sizeof(float);
}

static int grow_cache(dsvl_session *session, size_t need, dsvl_error *err)
{
    dsvl_pass *pass = session->pass;
    const dsvl_decoder *decoder = session->decoder;
    if (need <= pass->capacity) return 0;
    size_t capacity = pass->capacity < 256 ? 256 : pass->capacity * 2;
    if (capacity < need) capacity = need;
    if (capacity > session->context) capacity = session->context;
    uint64_t limit = session->model->options.max_memory;
    if (limit && (uint64_t)capacity * position_bytes(decoder) > limit / 2)
        capacity = need; /* then to the token */
    size_t key = (size_t)decoder->key_width, value = (size_t)decoder->value_width;
    for (int k = 0; k < decoder->config.layers; k++) {
        dsvl_cache *cache = &pass->layers[k];
        float *keys = dsvl_realloc(cache->k, session->length * key, capacity * key, sizeof(float));
        if (!keys) return dsvl_fail_memory(err, capacity * key * sizeof(float));
        cache->k = keys;
        if (value == 0) continue;
        float *values = dsvl_realloc(cache->v, session->length * value, capacity * value, sizeof(float));
        if (!values) return dsvl_fail_memory(err, capacity * value * sizeof(float));
        cache->v = values;
    }
    pass->capacity = capacity;
    return 0;
}

/* Bytes of cache, work and one head's expanded keys for a chunk of *rows of n rows more, with *rows halved
 * until they fit `most` or stand at `least`. */
static uint64_t fit_rows(const dsvl_decoder *decoder, size_t length, size_t n, bool expand, uint64_t most,
                         size_t least, size_t *rows, uint64_t *keys)
{
    const size_t total = length + n;
    const uint64_t cache = (uint64_t)total * position_bytes(decoder);
    for (*rows = n < CHUNK_ROWS ? n : CHUNK_ROWS;; *rows = (*rows + 1) / 2) {
        *keys = expand ? dsvl_expanded_bytes(decoder, total, *rows) : 0;
        const uint64_t need = cache + dsvl_work_bytes(decoder, *rows) + *keys;
        if (need <= most || *rows <= least) return need;
    }
}

static uint64_t unlimited(const dsvl_decoder *decoder, size_t total)
{
    return (uint64_t)total * position_bytes(decoder) + WORK_BYTES;
}

uint64_t dsvl_session_bytes(const dsvl_decoder *decoder, size_t tokens)
{
    size_t rows;
    uint64_t keys;
    const uint64_t need = fit_rows(decoder, 0, tokens, decoder->config.mla, unlimited(decoder, tokens),
                                   LEAST_ROWS, &rows, &keys);
    return need - keys + (keys > EXPANDED_BYTES || keys == 0 ? keys : EXPANDED_BYTES);
}

/* Rows of a chunk for n rows more: at most CHUNK_ROWS, fewer when memory is limited. 0 with *err filled: no
 * room. *spare is what is left for expanded keys. */
static size_t chunk_rows(const dsvl_session *session, size_t n, uint64_t *spare, dsvl_error *err)
{
    const size_t total = session->length + n;
    const uint64_t limit = session->model->options.max_memory;
    const uint64_t most = limit ? limit : unlimited(session->decoder, total);
    size_t rows;
    uint64_t keys;
    const uint64_t need = fit_rows(session->decoder, session->length, n, session->pass->expand, most,
                                   limit ? 1 : LEAST_ROWS, &rows, &keys);
    if (limit && need > limit) {
        dsvl_fail(err, DSVL_E_LIMIT,
                  "a sequence of %zu tokens needs %.1f MB of cache and work, over the limit of %.1f MB: "
                  "allow more memory or ask for less",
                  total, (double)need / 1e6, (double)limit / 1e6);
        return 0;
    }
    *spare = most > need ? most - need + keys : keys;
    if (*spare > EXPANDED_BYTES) *spare = EXPANDED_BYTES;
    size_t chunks = (n + rows - 1) / rows;
    return (n + chunks - 1) / chunks;
}

static int make_room(dsvl_session *session, size_t n, size_t *chunk, dsvl_error *err)
{
    if (n > session->context - session->length)
        return dsvl_fail(err, DSVL_E_LIMIT, "%zu tokens do not fit: the context holds %zu and %zu are taken",
                         n, session->context, session->length);
    dsvl_pass *pass = session->pass;
    size_t total = session->length + n;
    uint64_t spare;
    if (!(*chunk = chunk_rows(session, n, &spare, err))) return -1;
    void *ids = session->ids;
    if (!dsvl_grow(&ids, &session->ids_capacity, total, sizeof *session->ids))
        return dsvl_fail_memory(err, total * sizeof *session->ids);
    session->ids = ids;
    if (grow_cache(session, total, err) || dsvl_work_reserve(&pass->work, session->decoder, *chunk, err) ||
        (pass->expand && dsvl_expanded_reserve(&pass->expanded, session->decoder, total, *chunk, spare, err)))
        return -1;
    return dsvl_rope_prepare(&pass->rope, &session->decoder->config, session->length, total, err);
}

/* ---- feeding ----------------------------------------------------------------------------------------- */

/* Rows that work.hidden holds, at positions past ..: through the layers; the last one is kept for its logits.
 */
static int run_chunk(dsvl_session *session, size_t n, size_t past, dsvl_error *err)
{
    dsvl_pass *pass = session->pass;
    const dsvl_decoder_config *c = &session->decoder->config;
    size_t width = (size_t)c->width, vocab = (size_t)c->vocab;
    kern_context_int8(pass->kern, pass->int8);
    int status = dsvl_decoder_run(session->decoder, pass, n, past, err);
    kern_context_int8(pass->kern, false);
    if (status) return -1;
    memcpy(pass->last, pass->work.hidden + (n - 1) * width, width * sizeof(float));
    if (!pass->probe) return 0;

    float *logits = dsvl_alloc(n * vocab, sizeof(float));
    if (!logits) return dsvl_fail_memory(err, n * vocab * sizeof(float));
    int failed =
        dsvl_decoder_logits(session->decoder, pass->kern, logits, pass->work.norm, pass->work.hidden, n, err);
    if (!failed) pass->probe(pass->probe_user, "logits", logits, (int64_t)n, (int64_t)vocab);
    dsvl_dealloc(logits);
    return failed;
}

void dsvl_session_embed(const dsvl_session *session, int32_t id, float *row)
{
    const kern_weight *w = &session->decoder->embed;
    const size_t bytes = (size_t)w->cols * (w->dtype == KERN_F32 ? 4 : 2);
    kern_widen(session->pass->kern, row, (const char *)w->data + (size_t)id * bytes, w->dtype, w->cols);
}

/* Append n rows: tokens, or (ids NULL) embeddings [n, width]. */
static int feed(dsvl_session *session, const int32_t *ids, const float *embeddings, size_t n, dsvl_error *err)
{
    const dsvl_decoder *decoder = session->decoder;
    dsvl_pass *pass = session->pass;
    size_t width = (size_t)decoder->config.width, chunk = 0, length = session->length;
    if (n == 0) return 0;
    /* Images come in thousands of rows; text in tens. The choice is by kind, not by number: so the bits of a
     * row do not depend on how a conversation was cut into feeds. */
    pass->expand = !ids && decoder->config.mla;
    pass->int8 = !ids && session->model->options.int8;
    if (make_room(session, n, &chunk, err)) return -1;
    pass->has_last = pass->has_logits = false;
    for (size_t done = 0; done < n; done += chunk) {
        size_t rows = n - done < chunk ? n - done : chunk;
        if (ids) {
            for (size_t i = 0; i < rows; i++)
                dsvl_session_embed(session, ids[done + i], pass->work.hidden + i * width);
        } else {
            memcpy(pass->work.hidden, embeddings + done * width, rows * width * sizeof(float));
        }
        if (run_chunk(session, rows, length + done, err)) return -1;
    }
    for (size_t i = 0; i < n; i++) session->ids[length + i] = ids ? ids[i] : session->placeholder;
    session->length = length + n;
    pass->has_last = true;
    return 0;
}

int dsvl_session_feed_tokens(dsvl_session *session, const int32_t *ids, size_t n, dsvl_error *err)
{
    int vocab = session->decoder->config.vocab;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return dsvl_fail(err, DSVL_E_INPUT, "token %zu is %d, outside the vocabulary of %d", i,
                             (int)ids[i], vocab);
    return feed(session, ids, NULL, n, err);
}

int dsvl_session_feed_embeddings(dsvl_session *session, const float *embeddings, size_t n, dsvl_error *err)
{
    return feed(session, NULL, embeddings, n, err);
}

size_t dsvl_session_length(const dsvl_session *session)
{
    return session->length;
}

void dsvl_session_truncate(dsvl_session *session, size_t length)
{
    if (length >= session->length) return;
    session->length = length;
    session->pass->has_last = session->pass->has_logits = false;
}

/* ---- logits ------------------------------------------------------------------------------------------ */

const float *dsvl_session_compute_logits(const dsvl_session *session, dsvl_error *err)
{
    dsvl_pass *pass = session->pass;
    if (pass->has_logits) return pass->logits;
    if (!pass->has_last) {
        dsvl_fail(err, DSVL_E_USAGE, "a session has no logits before something is fed to it");
        return NULL;
    }
    float *norm = pass->last + session->decoder->config.width;
    if (dsvl_decoder_logits(session->decoder, pass->kern, pass->logits, norm, pass->last, 1, err))
        return NULL;
    pass->has_logits = true;
    return pass->logits;
}

const float *dsvl_session_logits(const dsvl_session *session, size_t *vocab)
{
    *vocab = (size_t)session->decoder->config.vocab;
    return dsvl_session_compute_logits(session, NULL);
}
