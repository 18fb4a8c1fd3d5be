/* SPDX-License-Identifier: Apache-2.0 */
/* Resampling of 8-bit pictures, equal to Pillow's Image.resize byte for byte: the same double arithmetic for
 * the filter's weights, the same 22-bit fixed-point weights, a horizontal pass rounded to 8 bits, then a
 * vertical one. Mirrors PIL/Image.py:Image.resize, _imaging.c:_resize and libImaging/Resample.c; Pillow's
 * reducing_gap is None. */
#ifndef DSVL_FILTERS_RESIZE_H
#define DSVL_FILTERS_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

typedef enum dsvl_resize_filter {
    DSVL_RESIZE_BOX,
    DSVL_RESIZE_BILINEAR,
    DSVL_RESIZE_BICUBIC, /* a = -0.5 */
    DSVL_RESIZE_FILTERS
} dsvl_resize_filter;

/* Longest side of a source or result. Pillow counts in C ints; this keeps all of our products inside int64_t.
 */
#define DSVL_RESIZE_MAX_SIDE ((int)1 << 26)

/* A picture that somebody else holds: [height, width, channels] u8, rows `stride` bytes apart. */
typedef struct dsvl_picture {
    const uint8_t *pixels;
    size_t stride; /* >= width * channels */
    int width, height;
    int channels; /* 1 or 3 */
} dsvl_picture;

/* Resample source to width x height into dst ([height, width, channels], rows dst_stride bytes apart; must
 * not overlap the source). box: x0 y0 x1 y1 of the part of the source to use, in pixels, fractions allowed;
 * NULL: all of it. The result does not depend on the processor. Zero sizes and boxes outside the picture are
 * DSVL_E_INPUT, as they are a ValueError in Pillow. Working memory: a few rows of the result. 0 or -1. */
int dsvl_resize(uint8_t *dst, size_t dst_stride, int width, int height, const dsvl_picture *source,
                const float box[4], dsvl_resize_filter filter, dsvl_error *err);

/* The same by the scalar code alone: the oracle of the tests. */
int dsvl_resize_scalar(uint8_t *dst, size_t dst_stride, int width, int height, const dsvl_picture *source,
                       const float box[4], dsvl_resize_filter filter, dsvl_error *err);

#endif
