/* SPDX-License-Identifier: Apache-2.0 */
/* Print that is found on pages of noise, of strokes and of text-like marks: whatever a page shows, pieces lie
 * in their lines, lines on the page, rows on their canvas, and words in their piece. */
#include <math.h>
#include <string.h>

#include "filters/print.h"
#include "lib/alloc.h"
#include "tests/unit/check.h"

static uint32_t state = 1;
static uint32_t number(uint32_t below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

static void fill(uint8_t *pixels, int width, int height, int x0, int y0, int w, int h, uint8_t level)
{
    for (int y = y0 < 0 ? 0 : y0; y < y0 + h && y < height; y++)
        for (int x = x0 < 0 ? 0 : x0; x < x0 + w && x < width; x++)
            memset(pixels + ((size_t)y * (size_t)width + (size_t)x) * 3, level, 3);
}

/* kind 0: noise; 1: strokes anywhere; 2: lines of marks as high as letters. */
static void draw_page(uint8_t *pixels, int width, int height, int kind)
{
    memset(pixels, 255, (size_t)width * (size_t)height * 3);
    for (int i = 0; kind == 0 && i < width * height * 3; i++) pixels[i] = (uint8_t)number(256);
    for (uint32_t i = number(200); kind == 1 && i > 0; i--)
        fill(pixels, width, height, (int)number((uint32_t)width), (int)number((uint32_t)height),
             1 + (int)number(60), 1 + (int)number(60), (uint8_t)number(256));
    for (int y = 10; kind == 2 && y < height; y += 30) {
        for (int x = 5; x < width; x += 6 + (number(6) == 0) * 9)
            fill(pixels, width, height, x, y + (number(2) ? 0 : 5), 4, number(2) ? 14 : 9, 20);
    }
}

static void check_words(const dsvl_print *print, size_t piece)
{
    size_t letters[40];
    double boxes[40][4];
    dsvl_error err = {0};
    const dsvl_print_piece *p = &print->pieces[piece];
    const dsvl_print_line *l = &print->lines[p->line];
    const size_t n = 1 + number(40);
    for (size_t k = 0; k < n; k++) letters[k] = 1 + number(9);
    CHECK(dsvl_print_place(print, piece, letters, n, boxes, &err) == 0);
    for (size_t k = 0; k < n; k++) {
        CHECK(boxes[k][0] >= l->x + p->x0 && boxes[k][2] <= l->x + p->x1 && boxes[k][0] <= boxes[k][2]);
        if (k) CHECK(boxes[k - 1][2] <= boxes[k][0]);
    }
}

static size_t check_page(int width, int height, int kind, double pixels_per_point)
{
    const dsvl_print_rows rows = {27.5, 32, 256};
    dsvl_error err = {0};
    dsvl_print print;
    uint8_t *pixels = dsvl_alloc((size_t)width * (size_t)height, 3);
    draw_page(pixels, width, height, kind);
    const dsvl_picture page = {pixels, (size_t)width * 3, width, height, 3};
    CHECK(dsvl_print_find(&print, &page, pixels_per_point, &rows, &err) == 0);
    for (size_t i = 0; i < print.line_count; i++) {
        const dsvl_print_line *l = &print.lines[i];
        CHECK(l->x >= 0 && l->y >= 0 && l->x + l->width <= width && l->y + l->height <= height && l->em > 0);
    }
    for (size_t i = 0; i < print.piece_count; i++) {
        const dsvl_print_piece *p = &print.pieces[i];
        CHECK(p->line < print.line_count && p->x0 >= 0 && p->x0 < p->x1 &&
              p->x1 <= print.lines[p->line].width);
        CHECK(i == 0 || p->line >= print.pieces[i - 1].line);
        if (i < 50) check_words(&print, i);
    }
    const size_t n = print.piece_count < 64 ? print.piece_count : 64, bytes = (n + 1) * 32 * 256 * 3;
    uint8_t *canvas = dsvl_alloc(bytes, 1);
    memset(canvas, 255, bytes);
    CHECK(dsvl_print_draw(canvas, &print, 0, n, &rows, &err) == 0);
    size_t dark = 0;
    for (size_t i = 0; i < bytes; i++) dark += canvas[i] < 128;
    CHECK(n == 0 || dark > 0);
    for (size_t i = n * 32 * 256 * 3; i < bytes; i++)
        CHECK(canvas[i] == 255); /* the row below is not touched */
    const size_t found = print.piece_count;
    dsvl_print_free(&print);
    dsvl_dealloc(canvas);
    dsvl_dealloc(pixels);
    return found;
}

/* Bars that are outlined and hatched, a value above each: the values are print, and nothing else is. */
static void check_hatched(void)
{
    enum { W = 800, H = 600, BARS = 4, WIDE = 70, BASE = 500 };
    static const int tops[BARS] = {120, 260, 180, 330};
    static uint8_t pixels[W * H * 3];
    const dsvl_print_rows rows = {27.5, 32, 256};
    const dsvl_picture page = {pixels, (size_t)W * 3, W, H, 3};
    memset(pixels, 255, sizeof pixels);
    for (int i = 0; i < BARS; i++) {
        const int x = 80 + 180 * i, y = tops[i];
        for (int row = y; row < BASE; row++)
            if (row % 60 >= 12) /* in strokes that do not touch the outline */
                fill(pixels, W, H, x + 6 + row % 60, row, 2, 1, 60);
        fill(pixels, W, H, x, y, WIDE, 3, 0);
        fill(pixels, W, H, x, BASE - 3, WIDE, 3, 0);
        fill(pixels, W, H, x, y, 3, BASE - y, 0);
        fill(pixels, W, H, x + WIDE - 3, y, 3, BASE - y, 0);
        for (int k = 0; k < 4; k++) fill(pixels, W, H, x + 6 + 16 * k, y - 46, 9, k % 2 ? 34 : 26, 0);
    }
    dsvl_print print;
    dsvl_error err = {0};
    CHECK(dsvl_print_find(&print, &page, 2.2, &rows, &err) == 0);
    CHECK_MSG(print.piece_count == BARS, "%zu pieces", print.piece_count);
    for (size_t i = 0; i < print.line_count; i++) {
        bool value = false;
        for (int k = 0; k < BARS; k++) {
            const int off = print.lines[i].y - (tops[k] - 46);
            value = value || (off > -16 && off < 8);
        }
        CHECK(value);
    }
    dsvl_print_free(&print);
}

/* Memory that runs out anywhere is an error, and nothing is left. */
static void check_memory(void)
{
    const dsvl_print_rows rows = {27.5, 32, 256};
    enum { W = 400, H = 200 };
    static uint8_t pixels[W * H * 3];
    const dsvl_picture page = {pixels, (size_t)W * 3, W, H, 3};
    draw_page(pixels, W, H, 2);
    for (long n = 1;; n++) {
        dsvl_print print;
        dsvl_error err = {0};
        dsvl_alloc_fail_at(n);
        const int status = dsvl_print_find(&print, &page, 1.5, &rows, &err);
        dsvl_alloc_fail_at(0);
        if (status == 0) {
            CHECK(n > 5);
            dsvl_print_free(&print);
            return;
        }
        CHECK(err.code == DSVL_E_MEMORY && !print.lines && !print.pieces);
    }
}

int main(void)
{
    static const int sizes[][2] = {{1, 1}, {7, 300}, {300, 7}, {64, 64}, {500, 400}, {1240, 900}};
    size_t text = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int kind = 0; kind < 3; kind++) {
            const size_t n = check_page(sizes[i][0], sizes[i][1], kind, 0.7 + number(30) / 10.0);
            if (kind == 2) text += n;
        }
    }
    CHECK(text > 30);
    check_hatched();
    check_memory();
    return CHECK_DONE();
}
