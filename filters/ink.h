/* SPDX-License-Identifier: Apache-2.0 */
/* What is drawn on a page, by simple evidence: ink apart from paper, ruled lines, evenly coloured areas, and
 * the connected pieces that remain (letters, drawings). Works on cells: squares of pixels, about a hundred to
 * the inch. */
#ifndef DSVL_FILTERS_INK_H
#define DSVL_FILTERS_INK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

/* A rectangle in cells: x0 <= x < x1. */
typedef struct dsvl_cells {
    int x0, y0, x1, y1;
} dsvl_cells;

/* An area of one colour that is not the paper's: a bar, a slice, the ground behind a table's header. */
typedef struct dsvl_shade {
    dsvl_cells box;
    int area;      /* cells, without what is printed on it */
    int contrast;  /* from the paper, in levels of the channel that differs most */
    bool straight; /* a rectangle along the axes */
} dsvl_shade;

typedef struct dsvl_ink {
    int cell;          /* pixels a side */
    int width, height; /* in cells */
    uint8_t *mask;     /* [height, width]: 1 where there is ink that is not part of a rule or a shade */
    uint8_t paper[3];  /* the commonest colour */
    dsvl_cells *rules; /* straight lines, horizontal or vertical by their longer side */
    size_t rule_count;
    dsvl_shade *shades;
    size_t shade_count;
    dsvl_cells *pieces; /* connected pieces of the mask */
    int *areas;         /* [piece_count]: cells of ink in each */
    size_t piece_count;
    double em; /* type size in cells, from the heights of letters; 0: no type seen */
} dsvl_ink;

/* Analyse pixels [height, width, 3]; pixels_per_point gives the scale. 0 or -1; on failure *ink is empty. */
int dsvl_ink_find(dsvl_ink *ink, const uint8_t *pixels, int width, int height, double pixels_per_point,
                  dsvl_error *err);
void dsvl_ink_free(dsvl_ink *ink);

/* The commonest colour of n RGB pixels. */
int dsvl_ink_paper(uint8_t paper[3], const uint8_t *pixels, size_t n, dsvl_error *err);

/* Type size, in cells, of the pieces whose middle is in the box; 0: none. */
double dsvl_ink_em(const dsvl_ink *ink, const dsvl_cells *box, double cells_per_point);

static inline bool dsvl_cells_touch(const dsvl_cells *a, const dsvl_cells *b, int margin)
{
    return a->x0 <= b->x1 + margin && b->x0 <= a->x1 + margin && a->y0 <= b->y1 + margin &&
           b->y0 <= a->y1 + margin;
}

/* Whether the middle of b lies in a, widened by a margin. */
static inline bool dsvl_cells_hold(const dsvl_cells *a, const dsvl_cells *b, int margin)
{
    int x = (b->x0 + b->x1) / 2, y = (b->y0 + b->y1) / 2;
    return x >= a->x0 - margin && x < a->x1 + margin && y >= a->y0 - margin && y < a->y1 + margin;
}

static inline void dsvl_cells_join(dsvl_cells *a, const dsvl_cells *b)
{
    if (b->x0 < a->x0) a->x0 = b->x0;
    if (b->y0 < a->y0) a->y0 = b->y0;
    if (b->x1 > a->x1) a->x1 = b->x1;
    if (b->y1 > a->y1) a->y1 = b->y1;
}

#endif
