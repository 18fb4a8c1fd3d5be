/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/ink_private.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

enum { LONGEST = 2600 }; /* cells a side */

/* ---- paper and mask ---- */

/* The commonest colour of every fourth pixel, in steps of 8 levels, refined to the mean of its step. */
int dsvl_ink_paper(uint8_t paper[3], const uint8_t *pixels, size_t n, dsvl_error *err)
{
    enum { STEPS = 32 * 32 * 32 };
    struct {
        uint32_t count, sum[3];
    } *bins = dsvl_alloc_zero(STEPS, sizeof *bins);
    if (!bins) return dsvl_fail_memory(err, STEPS * sizeof *bins);
    size_t stride = n > 4096 ? 4 : 1, best = 0;
    for (size_t i = 0; i < n; i += stride) {
        const uint8_t *p = pixels + 3 * i;
        size_t b = (size_t)(p[0] >> 3) << 10 | (size_t)(p[1] >> 3) << 5 | (size_t)(p[2] >> 3);
        bins[b].count++;
        for (int c = 0; c < 3; c++) bins[b].sum[c] += p[c];
        if (bins[b].count > bins[best].count) best = b;
    }
    for (int c = 0; c < 3; c++)
        paper[c] = (uint8_t)(bins[best].sum[c] / (bins[best].count ? bins[best].count : 1));
    dsvl_dealloc(bins);
    return 0;
}

/* Most of a page is even: a group of cells that has one colour is dealt with at once. */
enum { GROUP = 8 };

static bool is_even(const uint8_t *pixels, int n)
{
    return memcmp(pixels, pixels + 3, (size_t)(n - 1) * 3) == 0;
}

/* Mark the cells of a box in which a pixel differs from a colour by DSVL_INK_CONTRAST in some channel. */
void dsvl_ink_mark(dsvl_ink *ink, const dsvl_page_pixels *page, const dsvl_cells *box,
                   const uint8_t colour[3])
{
    const int c0 = colour[0], c1 = colour[1], c2 = colour[2];
    for (int cy = box->y0; cy < box->y1; cy++)
        memset(ink->mask + (size_t)cy * (size_t)ink->width + box->x0, 0, (size_t)(box->x1 - box->x0));
    int bottom = box->y1 * ink->cell < page->height ? box->y1 * ink->cell : page->height;
    for (int y = box->y0 * ink->cell; y < bottom; y++) {
        uint8_t *row = ink->mask + (size_t)(y / ink->cell) * (size_t)ink->width;
        int x = box->x0 * ink->cell;
        const uint8_t *p = page->pixels + ((size_t)y * (size_t)page->width + (size_t)x) * 3;
        for (int cx = box->x0; cx < box->x1; cx++) {
            const int group = GROUP * ink->cell;
            if (cx + GROUP <= box->x1 && x + group <= page->width && abs(p[0] - c0) < DSVL_INK_CONTRAST &&
                abs(p[1] - c1) < DSVL_INK_CONTRAST && abs(p[2] - c2) < DSVL_INK_CONTRAST &&
                is_even(p, group)) {
                cx += GROUP - 1, x += group, p += 3 * group;
                continue;
            }
            int end = (cx + 1) * ink->cell < page->width ? (cx + 1) * ink->cell : page->width, most = 0;
            for (; x < end; x++, p += 3) {
                int d = abs(p[0] - c0), d1 = abs(p[1] - c1), d2 = abs(p[2] - c2);
                d = d > d1 ? d : d1;
                d = d > d2 ? d : d2;
                most = most > d ? most : d;
            }
            row[cx] |= most >= DSVL_INK_CONTRAST;
        }
    }
}

/* The mean colour of each cell: [height, width, 3]. */
static uint8_t *average(const dsvl_ink *ink, const dsvl_page_pixels *page)
{
    uint8_t *colour = dsvl_alloc((size_t)ink->width * (size_t)ink->height, 3), *out = colour;
    const int side = ink->cell;
    const size_t stride = (size_t)page->width * 3;
    for (int cy = 0; colour && cy < ink->height; cy++) {
        int rows = (cy + 1) * side <= page->height ? side : page->height - cy * side;
        for (int cx = 0; cx < ink->width; cx++, out += 3) {
            const uint8_t *first = page->pixels + (size_t)(cy * side) * stride + (size_t)(cx * side) * 3;
            bool even = (cx + GROUP) * side <= page->width;
            for (int y = 0; y < rows && even; y++)
                even = memcmp(first, first + (size_t)y * stride, 3) == 0 &&
                       is_even(first + (size_t)y * stride, GROUP * side);
            if (even) {
                for (int i = 0; i < GROUP; i++) memcpy(out + (size_t)3 * (size_t)i, first, 3);
                cx += GROUP - 1, out += 3 * (GROUP - 1);
                continue;
            }
            int cols = (cx + 1) * side <= page->width ? side : page->width - cx * side;
            unsigned sum[3] = {0, 0, 0}, n = (unsigned)(rows * cols);
            for (int y = 0; y < rows; y++) {
                const uint8_t *p =
                    page->pixels + ((size_t)(cy * side + y) * (size_t)page->width + (size_t)(cx * side)) * 3;
                for (int x = 0; x < cols; x++, p += 3) sum[0] += p[0], sum[1] += p[1], sum[2] += p[2];
            }
            for (int c = 0; c < 3; c++) out[c] = (uint8_t)(sum[c] / n);
        }
    }
    return colour;
}

/* ---- pieces ---- */

static int32_t root(int32_t *parent, int32_t i)
{
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

/* Connected pieces (8 neighbours) by union of the cells above and to the left. */
static int find_pieces(dsvl_ink *ink, dsvl_error *err)
{
    size_t w = (size_t)ink->width, n = w * (size_t)ink->height, capacity = 0;
    int32_t *parent = dsvl_alloc(n, sizeof *parent);
    if (!parent) return dsvl_fail_memory(err, n * sizeof *parent);
    for (size_t i = 0; i < n; i++) {
        if (!ink->mask[i]) continue;
        parent[i] = (int32_t)i;
        size_t x = i % w;
        const size_t before[4] = {i - 1, i - w - 1, i - w, i - w + 1};
        const bool inside[4] = {x > 0, x > 0 && i >= w, i >= w, x + 1 < w && i >= w};
        for (int k = 0; k < 4; k++) {
            if (!inside[k] || !ink->mask[before[k]]) continue;
            int32_t a = root(parent, (int32_t)i), b = root(parent, (int32_t)before[k]);
            parent[a > b ? a : b] = a > b ? b : a;
        }
    }
    /* Each root is the piece's first cell, so its piece exists before any other cell asks for it; the number
     * of the piece then stands, inverted, in the root's place. */
    int status = 0;
    size_t area_capacity = 0;
    for (size_t i = 0; i < n && !status; i++) {
        if (!ink->mask[i]) continue;
        int32_t r = (int32_t)i;
        while (parent[r] >= 0 && parent[r] != r) r = parent[r];
        dsvl_cells cell = {(int)(i % w), (int)(i / w), (int)(i % w) + 1, (int)(i / w) + 1};
        if (parent[r] == r) {
            void *pieces = ink->pieces, *areas = ink->areas;
            bool room = dsvl_grow(&pieces, &capacity, ink->piece_count + 1, sizeof *ink->pieces);
            ink->pieces = pieces;
            room = room && dsvl_grow(&areas, &area_capacity, ink->piece_count + 1, sizeof *ink->areas);
            ink->areas = areas;
            if (!room) status = dsvl_fail_memory(err, capacity);
            if (status) break;
            ink->pieces[ink->piece_count] = cell;
            ink->areas[ink->piece_count] = 0;
            parent[r] = ~(int32_t)ink->piece_count++;
        }
        int32_t piece = ~parent[r];
        dsvl_cells_join(&ink->pieces[piece], &cell);
        ink->areas[piece]++;
    }
    dsvl_dealloc(parent);
    return status;
}

/* Type size from letters: between x-height and ascender a line's letters have two heights; the 80th
 * percentile points at the ascender, which is 0.73 em. */
double dsvl_ink_em(const dsvl_ink *ink, const dsvl_cells *box, double cells_per_point)
{
    enum { TALLEST = 160 };
    int counts[TALLEST] = {0}, total = 0, low = (int)(2.5 * cells_per_point),
        high = (int)(30 * cells_per_point);
    if (high >= TALLEST) high = TALLEST - 1;
    for (size_t i = 0; i < ink->piece_count; i++) {
        int h = ink->pieces[i].y1 - ink->pieces[i].y0, w = ink->pieces[i].x1 - ink->pieces[i].x0;
        if (h < low || h > high || w > 4 * h || (box && !dsvl_cells_hold(box, &ink->pieces[i], 0))) continue;
        counts[h]++;
        total++;
    }
    if (total == 0) return 0;
    int seen = 0, h = high;
    while (h > low && (seen += counts[h]) * 5 <= total) h--;
    return (double)h / 0.73;
}

int dsvl_ink_find(dsvl_ink *ink, const uint8_t *pixels, int width, int height, double pixels_per_point,
                  dsvl_error *err)
{
    const dsvl_page_pixels page = {pixels, width, height};
    uint8_t *colour = NULL;
    int status = -1;
    memset(ink, 0, sizeof *ink);
    ink->cell = (int)(pixels_per_point * 72 / 100 + 0.25);
    /* A picture that does not say its resolution may be a page all the same. */
    int longer = width > height ? width : height, least = (longer + LONGEST - 1) / LONGEST;
    if (ink->cell < least) ink->cell = least;
    ink->width = (width + ink->cell - 1) / ink->cell;
    ink->height = (height + ink->cell - 1) / ink->cell;
    double cells_per_point = pixels_per_point / ink->cell;
    ink->mask = dsvl_alloc_zero((size_t)ink->width * (size_t)ink->height, 1);
    if (!ink->mask) {
        dsvl_fail_memory(err, (size_t)ink->width * (size_t)ink->height);
        return -1;
    }
    if (dsvl_ink_paper(ink->paper, pixels, (size_t)width * (size_t)height, err)) goto out;
    dsvl_ink_mark(ink, &page, &(dsvl_cells){0, 0, ink->width, ink->height}, ink->paper);
    colour = average(ink, &page);
    if (!colour) {
        dsvl_fail_memory(err, (size_t)ink->width * (size_t)ink->height * 3);
        goto out;
    }
    if (dsvl_ink_find_shades(ink, &page, colour, cells_per_point, err) ||
        dsvl_ink_find_rules(ink, colour, cells_per_point, err) || find_pieces(ink, err))
        goto out;
    ink->em = dsvl_ink_em(ink, NULL, cells_per_point);
    status = 0;
out:
    dsvl_dealloc(colour);
    if (status) dsvl_ink_free(ink);
    return status;
}

void dsvl_ink_free(dsvl_ink *ink)
{
    dsvl_dealloc(ink->mask);
    dsvl_dealloc(ink->rules);
    dsvl_dealloc(ink->shades);
    dsvl_dealloc(ink->pieces);
    dsvl_dealloc(ink->areas);
    memset(ink, 0, sizeof *ink);
}
