/* SPDX-License-Identifier: Apache-2.0 */
/* Reading aloud: what a model says of a tile whose rows of visual tokens hold a line of print each. */
#ifndef DSVL_LIB_READING_H
#define DSVL_LIB_READING_H

#include <stdbool.h>

#include "lib/dsvl.h"

/* One reader: a session and what it holds of the prompt. It belongs to one thread; several may share a model,
 * and what they read does not depend on how many they are. */
typedef struct dsvl_print_reader dsvl_print_reader;
dsvl_print_reader *dsvl_print_reader_new(const dsvl_model *model, dsvl_error *err);
void dsvl_print_reader_free(dsvl_print_reader *reader);

typedef struct dsvl_reading {
    char *text;      /* [length] UTF-8, lines parted by newlines; owned */
    float *logprobs; /* [length]: of the token that each byte belongs to; owned */
    size_t length;
    bool whole; /* the model ended its answer itself */
} dsvl_reading;

/* Ask for the text of a tile u8 [S, S, 3], greedily: both views of the image are the tile. */
int dsvl_reading_of(dsvl_print_reader *reader, const uint8_t *tile, dsvl_reading *out, dsvl_error *err);
void dsvl_reading_clear(dsvl_reading *reading);

#endif
