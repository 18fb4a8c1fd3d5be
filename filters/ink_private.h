/* SPDX-License-Identifier: Apache-2.0 */
/* Between ink.c (mask and pieces), ink_shades.c (evenly coloured areas) and ink_rules.c (lines). */
#ifndef DSVL_FILTERS_INK_PRIVATE_H
#define DSVL_FILTERS_INK_PRIVATE_H

#include "filters/ink.h"

/* A cell holds ink when a pixel of it differs from its ground by this much in some channel: above the noise
 * of a scan, below grey print. */
enum { DSVL_INK_CONTRAST = 70 };

typedef struct dsvl_page_pixels {
    const uint8_t *pixels; /* [height, width, 3] */
    int width, height;
} dsvl_page_pixels;

/* Mark anew the cells of a box: ink is what differs from the colour. */
void dsvl_ink_mark(dsvl_ink *ink, const dsvl_page_pixels *page, const dsvl_cells *box,
                   const uint8_t colour[3]);

/* Find the areas of one colour; the mask then holds what is printed on them and not they themselves. colour:
 * mean of each cell, [height, width, 3]. */
int dsvl_ink_find_shades(dsvl_ink *ink, const dsvl_page_pixels *page, const uint8_t *colour,
                         double cells_per_point, dsvl_error *err);

/* Find straight lines and take them out of the mask. */
int dsvl_ink_find_rules(dsvl_ink *ink, const uint8_t *colour, double cells_per_point, dsvl_error *err);

#endif
