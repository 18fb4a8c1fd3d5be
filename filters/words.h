/* SPDX-License-Identifier: Apache-2.0 */
/* A page's text layer: its words in reading order, with boxes. In a page record it stands in the tensors
 * words.boxes f32 [n, 4], words.text u8 [bytes], words.offsets i32 [n + 1], words.font_size f32 [n] and
 * words.flags u8 [n]; and words.logprob f32 [n] where a model has read them from the pixels. */
#ifndef DSVL_FILTERS_WORDS_H
#define DSVL_FILTERS_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

enum {
    DSVL_WORD_SPACE = 1, /* a space stands between this word and the next one of its line */
    DSVL_WORD_LINE = 2,  /* the last word of its line */
};

typedef struct dsvl_words {
    size_t count;
    float *boxes;     /* [count, 4]: x0 y0 x1 y1, points, origin at the top left of the page as displayed */
    int32_t *offsets; /* [count + 1]: word i is text[offsets[i] .. offsets[i + 1]) */
    float *font_size; /* [count]: points */
    uint8_t *flags;   /* [count]: DSVL_WORD_... */
    float *logprob;   /* [count]: mean log-probability of the word's bytes, of a model that read it; NULL: the
                         document says so itself */
    char *text;       /* [bytes]: UTF-8, the words without separators */
    size_t bytes;
    size_t capacity, text_capacity;
} dsvl_words;

/* Append a word; bytes that are not UTF-8 become U+FFFD. */
int dsvl_words_add(dsvl_words *words, const double box[4], const char *text, size_t length, double font_size,
                   uint8_t flags, dsvl_error *err);
/* The last word added was read by a model that is so sure of it. */
int dsvl_words_doubt(dsvl_words *words, double logprob, dsvl_error *err);
/* Drop the words whose middle is outside a box (points). A line's last remaining word gets the mark of its
 * end. */
void dsvl_words_keep(dsvl_words *words, const double box[4]);
/* Words of fonts that do not say how large they are have sizes below 0: what was guessed, and their boxes go
 * by it. Afterwards sizes and boxes are those that the widths of their letters tell. */
void dsvl_words_settle_sizes(dsvl_words *words);
void dsvl_words_free(dsvl_words *words);

#endif
