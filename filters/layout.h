/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a page in reading order: tables, figures and blocks of text, found from ink and, where there
 * is one, the text layer. Rules of thumb, not a model: the same page always gives the same parts. */
#ifndef DSVL_FILTERS_LAYOUT_H
#define DSVL_FILTERS_LAYOUT_H

#include "filters/ink.h"
#include "filters/words.h"

typedef enum dsvl_part_kind {
    DSVL_PART_TEXT,
    DSVL_PART_TABLE,
    DSVL_PART_FIGURE,
    DSVL_PART_KINDS
} dsvl_part_kind;
const char *dsvl_part_kind_name(dsvl_part_kind kind); /* "text", "table", "figure" */

typedef struct dsvl_part {
    dsvl_part_kind kind;
    double box[4]; /* pixels: x0 y0 x1 y1 */
    double em;     /* type size in pixels */
    int column;    /* text: parts of one column of text have one number; -1: none */
    /* Where the part may be cut across: the middles of the gaps between its lines or rows, pixels from the
     * top of the page, ascending; owned. */
    double *cuts;
    size_t cut_count;
} dsvl_part;

typedef struct dsvl_layout {
    dsvl_part *parts; /* in reading order */
    size_t count;
    uint8_t paper[3];
} dsvl_layout;

/* Find the parts of pixels [height, width, 3]. words: the text layer with boxes in points, NULL or empty for
 * none; origin: the point at the top left pixel. A blank page has no parts. */
int dsvl_layout_find(dsvl_layout *layout, const uint8_t *pixels, int width, int height,
                     double pixels_per_point, const dsvl_words *words, const double origin[2],
                     dsvl_error *err);
void dsvl_layout_free(dsvl_layout *layout);

#endif
