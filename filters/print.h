/* SPDX-License-Identifier: Apache-2.0 */
/* The print of a page, from its pixels alone: lines, and the pieces of them that a model reads one at a time.
 * Each piece is set anew on a row of the model's visual tokens, black on white and in one size, so that
 * reading is going from token to token, whatever the page looks like. */
#ifndef DSVL_FILTERS_PRINT_H
#define DSVL_FILTERS_PRINT_H

#include <stdbool.h>

#include "filters/resize.h"

/* Print that stands close together on one line. */
typedef struct dsvl_print_line {
    double em;       /* type size, pixels of the page */
    double baseline; /* pixels from the top of the page */
    int x, y;        /* of the strip on the page */
    int width, height;
    uint8_t *strip; /* [height, width]: its pixels, ink 0 and paper 255; owned */
} dsvl_print_line;

/* What of a line goes into one row. */
typedef struct dsvl_print_piece {
    size_t line;
    int x0, x1;  /* of its ink, pixels of the strip: x0 <= x < x1 */
    bool joined; /* it begins within a word */
} dsvl_print_piece;

typedef struct dsvl_print {
    dsvl_print_line *lines; /* from top to bottom, those side by side from left to right */
    size_t line_count;
    dsvl_print_piece *pieces; /* in the order of the lines */
    size_t piece_count, piece_capacity;
} dsvl_print;

/* How rows are set: type of em pixels, each row pitch high and width wide. */
typedef struct dsvl_print_rows {
    double em;
    int pitch, width;
} dsvl_print_rows;

/* Find the lines of a page [height, width, 3] and cut them into pieces that fit rows. A page without print
 * has none. 0 or -1; on failure *print is empty. */
int dsvl_print_find(dsvl_print *print, const dsvl_picture *page, double pixels_per_point,
                    const dsvl_print_rows *rows, dsvl_error *err);
void dsvl_print_free(dsvl_print *print);

/* Draw `count` pieces into canvas [count * pitch or more, width, 3], one below the other on white; the canvas
 * must be white. */
int dsvl_print_draw(uint8_t *canvas, const dsvl_print *print, size_t first, size_t count,
                    const dsvl_print_rows *rows, dsvl_error *err);

/* Where `count` words of a piece stand, by the letters in each: boxes [count, 4], pixels of the page: as wide
 * as their ink, as high as the line's type. The widest gaps part them. */
int dsvl_print_place(const dsvl_print *print, size_t piece, const size_t *letters, size_t count,
                     double (*boxes)[4], dsvl_error *err);

#endif
