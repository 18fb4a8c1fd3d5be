/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/skew.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

/* ---- finding ---- */

enum { BLOCK = 32, STEP = 2, STRIPS = 3, CONTRAST = 70 }; /* pixels; pixels; of the page; levels */
static const double STEEPEST = 0.03, COARSE = 0.002, FINE = 0.00025;
static const double LEAST = 0.0015; /* a page that is straighter stays as it is */
static const double SHARPER = 1.12; /* by how much straightening must sharpen the profile of lines */

typedef struct profile {
    int blocks, height; /* in blocks and pixels */
    uint16_t *counts;   /* [blocks, height]: pixels of ink, of those looked at */
    int32_t *sums;      /* [2 * height] */
} profile;

/* The commonest level of the middle channel. */
static int find_ground(const dsvl_picture *page)
{
    size_t counts[256] = {0}, best = 0;
    for (int y = 0; y < page->height; y += 4) {
        const uint8_t *p = page->pixels + (size_t)y * page->stride + 1;
        for (int x = 0; x < page->width; x += 4, p += 12) counts[*p]++;
    }
    for (size_t i = 1; i < 256; i++) {
        if (counts[i] > counts[best]) best = i;
    }
    return (int)best;
}

static void count_ink(profile *p, const dsvl_picture *page)
{
    const int ground = find_ground(page);
    for (int y = 0; y < p->height; y++) {
        for (int b = 0; b < p->blocks; b++) {
            const int begin = b * BLOCK, end = begin + BLOCK < page->width ? begin + BLOCK : page->width;
            const uint8_t *q = page->pixels + (size_t)y * page->stride + (size_t)begin * 3 + 1;
            int n = 0;
            for (int x = begin; x < end; x += STEP, q += STEP * 3) n += abs(*q - ground) > CONTRAST;
            p->counts[(size_t)b * (size_t)p->height + (size_t)y] = (uint16_t)n;
        }
    }
}

/* How sharply ink and white alternate from row to row when some blocks are sheared. */
static double sharpness_of(const profile *p, int from, int to, double slope)
{
    const int h = p->height;
    memset(p->sums, 0, 2 * (size_t)h * sizeof *p->sums);
    for (int b = from; b < to; b++) {
        int shift = (int)lround(-slope * (b - p->blocks / 2.0) * BLOCK) + h / 2;
        if (shift < 0 || shift > h) continue;
        const uint16_t *counts = p->counts + (size_t)b * (size_t)h;
        for (int y = 0; y < h; y++) p->sums[y + shift] += counts[y];
    }
    double sum = 0;
    for (int y = 1; y < 2 * h; y++) {
        double d = p->sums[y] - p->sums[y - 1];
        sum += d * d;
    }
    return sum;
}

/* In strips, each for itself: lines of one column need not be level with those of the next. */
static double sharpness(const profile *p, double slope)
{
    double sum = 0;
    for (int i = 0; i < STRIPS; i++)
        sum += sharpness_of(p, p->blocks * i / STRIPS, p->blocks * (i + 1) / STRIPS, slope);
    return sum;
}

double dsvl_skew_find(const dsvl_picture *page)
{
    profile p = {(page->width + BLOCK - 1) / BLOCK, page->height, NULL, NULL};
    double best = 0, best_slope = 0;
    p.counts = dsvl_alloc_zero((size_t)p.blocks * (size_t)p.height, sizeof *p.counts);
    p.sums = dsvl_alloc(2 * (size_t)p.height, sizeof *p.sums);
    if (!p.counts || !p.sums || p.height < 64) goto out;
    count_ink(&p, page);
    const double straight = sharpness(&p, 0);
    for (int i = (int)(-STEEPEST / COARSE); i <= (int)(STEEPEST / COARSE); i++) {
        double s = sharpness(&p, i * COARSE);
        if (s > best) best = s, best_slope = i * COARSE;
    }
    const double middle = best_slope;
    for (int i = -(int)(COARSE / FINE); i <= (int)(COARSE / FINE); i++) {
        double s = sharpness(&p, middle + i * FINE);
        if (s > best) best = s, best_slope = middle + i * FINE;
    }
    if (best < SHARPER * straight || fabs(best_slope) < LEAST || fabs(best_slope) > STEEPEST) best_slope = 0;
out:
    dsvl_dealloc(p.counts);
    dsvl_dealloc(p.sums);
    return best_slope;
}

/* ---- straightening ---- */

void dsvl_skew_matrix(double m[6], double slope, int width, int height)
{
    const double cx = width / 2.0, cy = height / 2.0, k = slope;
    /* x = x' - k (y' - cy); y = y' + k (x - cx) */
    m[0] = 1, m[2] = -k, m[4] = k * cy;
    m[1] = k, m[3] = 1 - k * k, m[5] = k * k * cy - k * cx;
}

/* A pixel between a and b, f 256ths of the way. */
static void mix(uint8_t *out, const uint8_t *a, const uint8_t *b, int f)
{
    for (int c = 0; c < 3; c++) out[c] = (uint8_t)((a[c] * (256 - f) + b[c] * f + 128) >> 8);
}

/* Upright: each column is moved by its own height. Row `y` of the result. */
static void shear_row(uint8_t *out, const dsvl_picture *page, double slope, int y, const uint8_t colour[3])
{
    for (int x = 0; x < page->width; x++, out += 3) {
        double at = y + slope * (x + 0.5 - page->width / 2.0);
        int top = (int)floor(at), f = (int)((at - top) * 256);
        const uint8_t *a = colour, *b = colour;
        if (top >= 0 && top < page->height) a = page->pixels + (size_t)top * page->stride + (size_t)x * 3;
        if (top + 1 >= 0 && top + 1 < page->height)
            b = page->pixels + (size_t)(top + 1) * page->stride + (size_t)x * 3;
        mix(out, a, b, f);
    }
}

int dsvl_skew_straighten(uint8_t *dst, const dsvl_picture *page, double slope, const uint8_t colour[3],
                         dsvl_error *err)
{
    const int w = page->width, h = page->height;
    uint8_t *row = dsvl_alloc((size_t)w, 3);
    if (!row) return dsvl_fail_memory(err, (size_t)w * 3);
    for (int y = 0; y < h; y++) {
        shear_row(row, page, slope, y, colour);
        /* Across: the whole row is moved by one distance. */
        double by = -slope * (y + 0.5 - h / 2.0);
        int left = (int)floor(by), f = (int)((by - left) * 256);
        uint8_t *out = dst + (size_t)y * (size_t)w * 3;
        for (int x = 0; x < w; x++, out += 3) {
            int i = x + left;
            const uint8_t *a = i >= 0 && i < w ? row + 3 * (size_t)i : colour;
            const uint8_t *b = i + 1 >= 0 && i + 1 < w ? row + 3 * (size_t)(i + 1) : colour;
            mix(out, a, b, f);
        }
    }
    dsvl_dealloc(row);
    return 0;
}
