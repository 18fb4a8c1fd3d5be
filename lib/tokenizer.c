/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer as a whole: opening, encoding, looking tokens up. */
#include "lib/tokenizer.h"

#include <string.h>

#include "lib/folder.h"
#include "lib/tokenizer_internal.h"

int tok_grow(void *slot, size_t *capacity, size_t need, size_t size, dsvl_error *err)
{
    void *block; /* copied in and out: a T* is not a void* to the compiler's aliasing rules */
    memcpy(&block, slot, sizeof block);
    if (!dsvl_grow(&block, capacity, need, size)) return dsvl_fail_memory(err, need * size);
    memcpy(slot, &block, sizeof block);
    return 0;
}

int dsvl_ids_add(dsvl_ids *ids, int32_t id, dsvl_error *err)
{
    if (TOK_GROW(ids->data, ids->capacity, ids->count + 1, err)) return -1;
    ids->data[ids->count++] = id;
    return 0;
}

void dsvl_ids_free(dsvl_ids *ids)
{
    dsvl_dealloc(ids->data);
    *ids = (dsvl_ids){0};
}

void dsvl_tokenizer_free(dsvl_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    tok_vocab_clear(&tokenizer->vocab);
    tok_bpe_clear(&tokenizer->bpe);
    tok_splitter_clear(&tokenizer->splitter);
    tok_added_clear(&tokenizer->added);
    dsvl_dealloc(tokenizer);
}

dsvl_tokenizer *dsvl_tokenizer_parse(const char *json, size_t length, const char *where, dsvl_error *err)
{
    dsvl_error cause = {.code = DSVL_OK};
    dsvl_tokenizer *tokenizer = NULL;
    json_error_t bad;
    /* A key that stands twice would silently change an id: jansson is told to refuse it. */
    json_t *root = json_loadb(json, length, JSON_REJECT_DUPLICATES, &bad);
    if (!root) {
        dsvl_fail(&cause, DSVL_E_MODEL, "not valid JSON: line %d: %s", bad.line, bad.text);
    } else if (!(tokenizer = dsvl_alloc_zero(1, sizeof *tokenizer))) {
        dsvl_fail_memory(&cause, sizeof *tokenizer);
    } else if (tok_json_read(tokenizer, root, &cause)) {
        dsvl_tokenizer_free(tokenizer);
        tokenizer = NULL;
    }
    json_decref(root);
    if (!tokenizer) {
        dsvl_error_prefix(&cause, "%s: ", where);
        dsvl_fail(err, cause.code, "%s", cause.message);
    }
    return tokenizer;
}

dsvl_tokenizer *dsvl_tokenizer_open(const char *folder, dsvl_error *err)
{
    char *bytes = NULL, *path = dsvl_folder_path(folder, "tokenizer.json");
    size_t length;
    dsvl_tokenizer *tokenizer = NULL;
    if (!path)
        dsvl_fail_memory(err, strlen(folder));
    else if (dsvl_folder_read(folder, "tokenizer.json", DSVL_TOKENIZER_LIMIT, &bytes, &length, err) == 0)
        tokenizer = dsvl_tokenizer_parse(bytes, length, path, err);
    dsvl_dealloc(bytes);
    dsvl_dealloc(path);
    return tokenizer;
}

/* Working memory of one call to encode; the tokenizer itself is never written to. */
typedef struct work {
    tok_matcher *matcher;
    tok_pieces pieces;
    tok_stretches stretches;
    tok_scratch scratch;
} work;

static int encode_text(const dsvl_tokenizer *tokenizer, work *w, const char *text, size_t length,
                       dsvl_ids *ids, dsvl_error *err)
{
    if (tok_splitter_run(&tokenizer->splitter, w->matcher, text, length, &w->pieces, err)) return -1;
    for (size_t i = 0; i < w->pieces.count; i++) {
        tok_piece piece = w->pieces.pieces[i];
        if (tok_bpe_encode(&tokenizer->bpe, &tokenizer->vocab, w->pieces.text + piece.start, piece.length,
                           &w->scratch, ids, err)) {
            return -1;
        }
    }
    return 0;
}

static int encode_with_added(const dsvl_tokenizer *tokenizer, work *w, const char *text, size_t length,
                             dsvl_ids *ids, dsvl_error *err)
{
    if (tok_added_split(&tokenizer->added, w->matcher, text, length, &w->stretches, err)) return -1;
    for (size_t i = 0; i < w->stretches.count; i++) {
        tok_stretch s = w->stretches.items[i];
        if (s.id >= 0 ? dsvl_ids_add(ids, s.id, err)
                      : encode_text(tokenizer, w, text + s.start, s.length, ids, err)) {
            return -1;
        }
    }
    return 0;
}

int dsvl_tokenizer_encode(const dsvl_tokenizer *tokenizer, const char *text, size_t length, bool with_added,
                          dsvl_ids *ids, dsvl_error *err)
{
    int status = -1;
    char *fixed = NULL;
    size_t count = ids->count;
    work w = {0};
    if (length == 0) return 0;
    if (length > DSVL_TEXT_LIMIT) {
        return dsvl_fail(err, DSVL_E_LIMIT, "a text of %zu bytes is too long to tokenize (limit %zu)", length,
                         DSVL_TEXT_LIMIT);
    }
    if (tok_utf8_repair(text, length, &fixed, &length, err)) goto out;
    w.matcher = tok_matcher_new(err);
    if (!w.matcher) goto out;
    status = with_added ? encode_with_added(tokenizer, &w, fixed ? fixed : text, length, ids, err)
                        : encode_text(tokenizer, &w, fixed ? fixed : text, length, ids, err);
out:
    if (status) ids->count = count;
    tok_matcher_free(w.matcher);
    tok_pieces_clear(&w.pieces);
    tok_scratch_clear(&w.scratch);
    dsvl_dealloc(w.stretches.items);
    dsvl_dealloc(fixed);
    return status;
}

int dsvl_tokenizer_bytes(const dsvl_tokenizer *tokenizer, int32_t id, bool with_special, const char **bytes,
                         size_t *length)
{
    const tok_entry *entry = tok_vocab_entry(&tokenizer->vocab, id);
    if (!entry) return -1;
    *bytes = tokenizer->vocab.arena + entry->bytes;
    *length = (entry->flags & TOK_SPECIAL) && !with_special ? 0 : entry->bytes_length;
    return 0;
}

int32_t dsvl_tokenizer_find(const dsvl_tokenizer *tokenizer, const char *token)
{
    return tok_vocab_find(&tokenizer->vocab, token, strlen(token));
}

bool dsvl_tokenizer_is_special(const dsvl_tokenizer *tokenizer, int32_t id)
{
    const tok_entry *entry = tok_vocab_entry(&tokenizer->vocab, id);
    return entry && (entry->flags & TOK_SPECIAL);
}

int dsvl_tokenizer_size(const dsvl_tokenizer *tokenizer)
{
    return tokenizer->vocab.size;
}
