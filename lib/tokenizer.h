/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json: byte-level BPE with DeepSeek's pre-tokenizer (a Sequence of Split patterns, Digits and
 * ByteLevel, or ByteLevel alone), added and special tokens. Mirrors the tokenizers library. */
#ifndef DSVL_LIB_TOKENIZER_H
#define DSVL_LIB_TOKENIZER_H

#include <stdbool.h>

#include "lib/error.h"

typedef struct dsvl_tokenizer dsvl_tokenizer;

dsvl_tokenizer *dsvl_tokenizer_open(const char *folder, dsvl_error *err); /* reads folder/tokenizer.json */
/* From bytes (fuzzing); `where` names them in messages. */
dsvl_tokenizer *dsvl_tokenizer_parse(const char *json, size_t length, const char *where, dsvl_error *err);
void dsvl_tokenizer_free(dsvl_tokenizer *tokenizer);

/* Growable list of ids. */
typedef struct dsvl_ids {
    int32_t *data;
    size_t count, capacity;
} dsvl_ids;
int dsvl_ids_add(dsvl_ids *ids, int32_t id, dsvl_error *err);
void dsvl_ids_free(dsvl_ids *ids);

/* Append the ids of UTF-8 text; every invalid sequence is read as U+FFFD, as Python's
 * decode(errors="replace"). with_added: added tokens in the text are recognised, as the tokenizers library
 * does with encode(); else the text is only ever text. */
int dsvl_tokenizer_encode(const dsvl_tokenizer *tokenizer, const char *text, size_t length, bool with_added,
                          dsvl_ids *ids, dsvl_error *err);

/* Bytes of one token as they stand in the text; a special token gives its own name when with_special, else
 * nothing. Borrowed. -1 for an id that is not in the vocabulary. */
int dsvl_tokenizer_bytes(const dsvl_tokenizer *tokenizer, int32_t id, bool with_special, const char **bytes,
                         size_t *length);
int32_t dsvl_tokenizer_find(const dsvl_tokenizer *tokenizer, const char *token); /* -1: no such token */
bool dsvl_tokenizer_is_special(const dsvl_tokenizer *tokenizer, int32_t id);
int dsvl_tokenizer_size(const dsvl_tokenizer *tokenizer); /* ids are below this */

#endif
