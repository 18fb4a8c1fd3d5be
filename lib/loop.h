/* SPDX-License-Identifier: Apache-2.0 */
/* Noticing that a decoder goes round in circles: the last tokens of an answer are the same few over and over.
 *
 * What repeats in honest pages is allowed for by what the repeated part is made of: rules of dashes or dots,
 * empty cells, rows of the same figures and equal lines may go on for longer than a sentence may. Nothing may
 * go on for ever: a loop of empty cells is a loop. */
#ifndef DSVL_LIB_LOOP_H
#define DSVL_LIB_LOOP_H

#include <stddef.h>
#include <stdint.h>

enum { DSVL_LOOP_PERIOD = 768 }; /* longest part whose repetition is noticed, tokens */

/* Zero to begin with. run[p]: how many of the last tokens equal the one p before them. */
typedef struct dsvl_loop {
    uint32_t run[DSVL_LOOP_PERIOD + 1];
} dsvl_loop;

/* The bytes of a token, borrowed. */
typedef void (*dsvl_token_text_fn)(const void *user, int32_t id, const char **bytes, size_t *length);

/* Take in the last of ids [count]; call it for each token in turn. Returns 0, or, when the answer has come
 * into a loop, the length of the part that repeats; *begin is then the index where it first stands. */
size_t dsvl_loop_add(dsvl_loop *loop, const int32_t *ids, size_t count, dsvl_token_text_fn text,
                     const void *user, size_t *begin);

#endif
