/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/pixels.h"

#include <string.h>
#include <sys/mman.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "lib/alloc.h"

void dsvl_pixels_prepare(void *block, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t huge = DSVL_LARGE_PAGE;
    uintptr_t begin = ((uintptr_t)block + huge - 1) & ~(huge - 1),
              end = ((uintptr_t)block + bytes) & ~(huge - 1);
    char *inside = (char *)block + (begin - (uintptr_t)block);
    if (begin < end) madvise(inside, end - begin, MADV_HUGEPAGE); /* only advice: it may be refused */
#else
    (void)block, (void)bytes;
#endif
}

void dsvl_pixels_populate(void *block, size_t bytes, bool shared)
{
#ifdef MADV_POPULATE_WRITE
    const uintptr_t page = 4096, begin = ((uintptr_t)block + page - 1) & ~(page - 1),
                    end = ((uintptr_t)block + bytes) & ~(page - 1);
    char *inside = (char *)block + (begin - (uintptr_t)block);
    /* Reading maps shared memory that is there for others in larger pieces, and for writing too; of its own
     * it would map nothing but zeros. Old kernels know neither. */
    if (begin < end) madvise(inside, end - begin, shared ? MADV_POPULATE_READ : MADV_POPULATE_WRITE);
#else
    (void)block, (void)bytes, (void)shared;
#endif
}

/* The rasterizer's page passes through here whole, and byte stores would take as long as a tenth of the
 * drawing. */
#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_SSSE3 1

/* Returns how many pixels were done: every store writes 4 bytes past its 12, so the last ones are left. */
__attribute__((target("ssse3"))) static size_t from_rgb24_ssse3(uint8_t *rgb, const uint32_t *pixels,
                                                                size_t n)
{
    const __m128i order = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    size_t i = 0;
    for (; i + 6 <= n; i += 4) {
        __m128i four = _mm_loadu_si128((const __m128i *)(const void *)(pixels + i));
        _mm_storeu_si128((__m128i *)(void *)(rgb + 3 * i), _mm_shuffle_epi8(four, order));
    }
    return i;
}
#endif

void dsvl_pixels_from_rgb24(uint8_t *rgb, const uint32_t *pixels, size_t n)
{
    size_t i = 0;
#ifdef HAVE_SSSE3
    if (__builtin_cpu_supports("ssse3")) i = from_rgb24_ssse3(rgb, pixels, n);
#endif
    for (rgb += 3 * i; i < n; i++, rgb += 3) {
        const uint32_t pixel = pixels[i];
        rgb[0] = (uint8_t)(pixel >> 16);
        rgb[1] = (uint8_t)(pixel >> 8);
        rgb[2] = (uint8_t)pixel;
    }
}

void dsvl_pixels_from_argb32(uint8_t *rgb, const uint32_t *pixels, size_t n)
{
    for (size_t i = 0; i < n; i++, rgb += 3) {
        uint32_t white = 255 - (pixels[i] >> 24);
        for (int k = 0; k < 3; k++) {
            uint32_t v = (pixels[i] >> (16 - 8 * k) & 255) + white;
            rgb[k] = (uint8_t)(v > 255 ? 255 : v); /* not premultiplied as promised */
        }
    }
}

void dsvl_pixels_gray(uint8_t *rgb, size_t n)
{
    for (size_t i = 0; i < n; i++, rgb += 3) {
        uint32_t luma = (19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 0x8000u) >> 16;
        rgb[0] = rgb[1] = rgb[2] = (uint8_t)luma;
    }
}

static void swap_pixel(uint8_t *a, uint8_t *b)
{
    uint8_t t[3];
    memcpy(t, a, 3);
    memcpy(a, b, 3);
    memcpy(b, t, 3);
}

static void flip_columns(uint8_t *pixels, int width, int height)
{
    for (int y = 0; y < height; y++) {
        uint8_t *a = pixels + (size_t)3 * (size_t)width * (size_t)y, *b = a + 3 * ((size_t)width - 1);
        for (; a < b; a += 3, b -= 3) swap_pixel(a, b);
    }
}

static void turn_half(uint8_t *pixels, int width, int height)
{
    uint8_t *a = pixels, *b = pixels + 3 * ((size_t)width * (size_t)height - 1);
    for (; a < b; a += 3, b -= 3) swap_pixel(a, b);
}

/* Rows become columns: out [width, height, 3]. In squares, so that both sides stay in the cache. */
static void transpose(uint8_t *out, const uint8_t *in, int width, int height)
{
    enum { SQUARE = 32 };
    for (int y0 = 0; y0 < height; y0 += SQUARE) {
        int y1 = height - y0 < SQUARE ? height : y0 + SQUARE;
        for (int x0 = 0; x0 < width; x0 += SQUARE) {
            int x1 = width - x0 < SQUARE ? width : x0 + SQUARE;
            for (int y = y0; y < y1; y++) {
                for (int x = x0; x < x1; x++) {
                    memcpy(out + 3 * ((size_t)x * (size_t)height + (size_t)y),
                           in + 3 * ((size_t)y * (size_t)width + (size_t)x), 3);
                }
            }
        }
    }
}

int dsvl_pixels_orient(uint8_t **pixels, int *width, int *height, int orientation, dsvl_error *err)
{
    if (orientation >= 5 && orientation <= 8) {
        uint8_t *turned = dsvl_alloc((size_t)*width * (size_t)*height, 3);
        if (!turned) return dsvl_fail_memory(err, 3 * (size_t)*width * (size_t)*height);
        transpose(turned, *pixels, *width, *height);
        dsvl_dealloc(*pixels);
        *pixels = turned;
        int w = *width;
        *width = *height;
        *height = w;
    }
    /* What remains after a transposition: 5 nothing, 6 a flip of columns, 7 a half turn, 8 a flip of rows. */
    switch (orientation) {
    case 2:
    case 6:
        flip_columns(*pixels, *width, *height);
        break;
    case 3:
    case 7:
        turn_half(*pixels, *width, *height);
        break;
    case 4:
    case 8:
        turn_half(*pixels, *width, *height);
        flip_columns(*pixels, *width, *height);
        break;
    default:
        break;
    }
    return 0;
}

void dsvl_orientation_facts(int orientation, int *rotation, bool *mirrored)
{
    static const int turns[9] = {0, 0, 0, 180, 180, 270, 90, 90, 270};
    bool known = orientation >= 1 && orientation <= 8;
    *rotation = known ? turns[orientation] : 0;
    *mirrored = orientation == 2 || orientation == 4 || orientation == 5 || orientation == 7;
}

void dsvl_pixels_crop(uint8_t *pixels, int *width, int *height, dsvl_pixel_box box)
{
    size_t row = 3 * (size_t)(box.x1 - box.x0), stride = 3 * (size_t)*width;
    for (int y = box.y0; y < box.y1; y++) {
        memmove(pixels + row * (size_t)(y - box.y0), pixels + stride * (size_t)y + 3 * (size_t)box.x0, row);
    }
    *width = box.x1 - box.x0;
    *height = box.y1 - box.y0;
}

/* ---- ink ---- */

enum { PAPER_NOISE = 32 }; /* levels: scanned paper is not even, light gray print is darker than this */

static uint8_t histogram_median(const uint32_t histogram[256], uint64_t total)
{
    uint64_t below = 0;
    for (int v = 0; v < 256; v++) {
        below += histogram[v];
        if (2 * below >= total) return (uint8_t)v;
    }
    return 255;
}

static void paper_color(const uint8_t *pixels, int width, int height, uint8_t paper[3])
{
    uint32_t histogram[3][256] = {{0}};
    uint64_t total = 0;
    for (int y = 0; y < height; y++) {
        int step = y == 0 || y == height - 1 || width == 1 ? 1 : width - 1; /* whole rows at top and bottom */
        for (int x = 0; x < width; x += step, total++) {
            const uint8_t *p = pixels + 3 * ((size_t)y * (size_t)width + (size_t)x);
            for (int k = 0; k < 3; k++) histogram[k][p[k]]++;
        }
    }
    for (int k = 0; k < 3; k++) paper[k] = histogram_median(histogram[k], total);
}

/* First and one past the last inked pixel of a row between two columns; begin == end when there is none. */
static void row_ink(const uint8_t *row, int width, const uint8_t low[3], const uint8_t high[3], int *begin,
                    int *end)
{
    int first = width, last = -1;
    for (int x = 0; x < width; x++) {
        const uint8_t *p = row + 3 * (size_t)x;
        if (p[0] < low[0] || p[0] > high[0] || p[1] < low[1] || p[1] > high[1] || p[2] < low[2] ||
            p[2] > high[2]) {
            if (first == width) first = x;
            last = x;
        }
    }
    *begin = first;
    *end = last + 1;
}

bool dsvl_pixels_ink(const uint8_t *pixels, int width, int height, dsvl_pixel_box *box)
{
    uint8_t paper[3], low[3], high[3];
    paper_color(pixels, width, height, paper);
    for (int k = 0; k < 3; k++) {
        low[k] = (uint8_t)(paper[k] > PAPER_NOISE ? paper[k] - PAPER_NOISE : 0);
        high[k] = (uint8_t)(paper[k] < 255 - PAPER_NOISE ? paper[k] + PAPER_NOISE : 255);
    }
    dsvl_pixel_box ink = {width, height, 0, 0};
    for (int y = 0; y < height; y++) {
        int begin, end;
        row_ink(pixels + 3 * (size_t)width * (size_t)y, width, low, high, &begin, &end);
        if (begin >= end) continue;
        if (y < ink.y0) ink.y0 = y;
        ink.y1 = y + 1;
        if (begin < ink.x0) ink.x0 = begin;
        if (end > ink.x1) ink.x1 = end;
    }
    bool found = ink.x0 < ink.x1;
    *box = found ? ink : (dsvl_pixel_box){0, 0, width, height};
    return found;
}
