/* SPDX-License-Identifier: Apache-2.0 */
/* How a word of a page's text layer may be spelt in a grounded answer. */
#ifndef DSVL_LIB_SPELLING_H
#define DSVL_LIB_SPELLING_H

#include <stdbool.h>
#include <stdint.h>

/* As it stands, in plain characters, and without the hyphen at the end of its line. */
enum { DSVL_SPELLINGS = 3 };

typedef struct dsvl_spelling {
    const char *text; /* [length], into the caller's room */
    int32_t length;
    int32_t open,
        close;  /* a span may begin at 0 or `open` (behind opening punctuation) and end at `close` or later */
    bool joins; /* a trailing hyphen was dropped: the next word follows without a space */
} dsvl_spelling;

/* The spellings of a word of `length` bytes of UTF-8; returns how many, 0 for a word of invisible characters.
 * Their bytes are written to *room, which advances by at most twice `length` bytes. */
int dsvl_spell(dsvl_spelling out[DSVL_SPELLINGS], char **room, const char *text, int32_t length,
               bool ends_line);

#endif
