/* SPDX-License-Identifier: Apache-2.0 */
/* From what was read of the pieces of a page's print to the words of its text layer. */
#ifndef DSVL_FILTERS_PRINT_WORDS_H
#define DSVL_FILTERS_PRINT_WORDS_H

#include "filters/print.h"
#include "filters/region_record.h"

/* What was read of a piece; both owned. */
typedef struct dsvl_print_text {
    char *bytes;     /* [length]: UTF-8, words parted by spaces */
    float *logprobs; /* [length]: how sure the reader was of each byte, natural log */
    size_t length;
} dsvl_print_text;
void dsvl_print_text_clear(dsvl_print_text *text);

/* Append the words of all lines, with their boxes in points. texts: [pieces]; view: the page whose picture
 * the print was found in. */
int dsvl_print_words(dsvl_words *words, const dsvl_print *print, const dsvl_print_text *texts,
                     const dsvl_page_view *view, dsvl_error *err);

/* How many of the print's lines hold the middle of a word of the view's text layer. */
size_t dsvl_print_covered(const dsvl_print *print, const dsvl_page_view *view);

#endif
