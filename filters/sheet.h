/* SPDX-License-Identifier: Apache-2.0 */
/* Sheets: the lines of a block of text, or the rows of a table, set anew, each on its own row of the model's
 * visual tokens. On a page a line stands where it likes, half in one row of tokens and half in the next; on a
 * sheet the order of the tokens is the order of reading. */
#ifndef DSVL_FILTERS_SHEET_H
#define DSVL_FILTERS_SHEET_H

#include "filters/layout.h"
#include "filters/resize.h"

typedef struct dsvl_line {
    double top, bottom; /* of the strip of the page that is the line's, pixels */
    double x0, x1;
    double ink[2]; /* where its type begins and ends, from the top of the page, pixels */
} dsvl_line;

/* The lines of a part, owned by the caller. *count is 0 where the part is not made of single lines: a row of
 * a table that is two lines high, or what no cut divides. 0 or -1. */
int dsvl_sheet_lines(dsvl_line **lines, size_t *count, const dsvl_part *part, const dsvl_picture *page,
                     dsvl_error *err);

/* Draw lines [count] into canvas [height, width, 3], height at least count * pitch, rows `stride` bytes
 * apart: each `pitch` pixels below the one before, its type in the middle, `margin` pixels from the left.
 * zoom: pixels of the canvas to one of the page; what is too high for its row is zoomed less. */
int dsvl_sheet_draw(uint8_t *canvas, size_t stride, int width, const dsvl_line *lines, size_t count,
                    int pitch, int margin, double zoom, const dsvl_picture *page, dsvl_error *err);

#endif
