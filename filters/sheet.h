/* SPDX-License-Identifier: Apache-2.0 */
/* Sheets: the lines of a block of text, or the rows of a table, set anew, each on its own row of the model's
 * visual tokens. On a page a line stands where it likes, half in one row of tokens and half in the next; on a
 * sheet the order of the tokens is the order of reading. */
#ifndef DSVL_FILTERS_SHEET_H
#define DSVL_FILTERS_SHEET_H

#include "filters/layout.h"
#include "filters/resize.h"

/* A line: the strip of the page that is its own, and where its type begins and ends in it; pixels from the
 * top. */
typedef struct dsvl_line {
    double top, bottom;
    double ink[2];
} dsvl_line;

/* What a sheet keeps of the width of the page: [0] to [1], pixels. */
typedef struct dsvl_band {
    double x[2];
} dsvl_band;

/* The lines of a part, and the bands of them that are set side by side: of a table without most of what is
 * empty between its columns. All owned. */
typedef struct dsvl_sheet {
    dsvl_line *lines;
    size_t count, capacity;
    dsvl_band *bands;
    size_t band_count, band_capacity;
} dsvl_sheet;

/* Find the lines of a part; none where it is not made of single lines: a row of a table that is two lines
 * high, or what no cut divides. 0 or -1; the sheet is to be freed in either case. */
int dsvl_sheet_find(dsvl_sheet *sheet, const dsvl_part *part, const dsvl_picture *page, dsvl_error *err);
void dsvl_sheet_free(dsvl_sheet *sheet);
double dsvl_sheet_width(const dsvl_sheet *sheet); /* of its bands, pixels of the page */

/* Draw lines [first, first + count) into canvas [height, width, 3], height at least count * pitch, rows
 * `stride` bytes apart: each `pitch` pixels below the one before, its type in the middle, `margin` pixels
 * from the left. zoom: pixels of the canvas to one of the page; what is too high for its row is zoomed less.
 */
int dsvl_sheet_draw(uint8_t *canvas, size_t stride, int width, const dsvl_sheet *sheet, size_t first,
                    size_t count, int pitch, int margin, double zoom, const dsvl_picture *page,
                    dsvl_error *err);

#endif
