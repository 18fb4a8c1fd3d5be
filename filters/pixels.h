/* SPDX-License-Identifier: Apache-2.0 */
/* Exact operations on whole pictures, uint8 [height, width, 3]. */
#ifndef DSVL_FILTERS_PIXELS_H
#define DSVL_FILTERS_PIXELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

/* A part of a picture: x0 <= x < x1, y0 <= y < y1. */
typedef struct dsvl_pixel_box {
    int x0, y0, x1, y1;
} dsvl_pixel_box;

/* Of the processor's memory pages the next size to the smallest one. */
#define DSVL_LARGE_PAGE ((size_t)2 << 20)

/* Before a large block is first written: ask for large memory pages, since faulting a page of 150 dpi in by 4
 * kB takes as long as drawing a simple one. */
void dsvl_pixels_prepare(void *block, size_t bytes);

/* Have the memory of a block now, all at once: page by page the kernel takes five times as long. shared: it
 * is mapped for several processes. */
void dsvl_pixels_populate(void *block, size_t bytes, bool shared);

/* n pixels in the host's order 0xAARRGGBB (cairo), alpha-premultiplied, onto white. The first form takes
 * alpha as 1, and works in place too. */
void dsvl_pixels_from_rgb24(uint8_t *rgb, const uint32_t *pixels, size_t n);
void dsvl_pixels_from_argb32(uint8_t *rgb, const uint32_t *pixels, size_t n);

/* Luma of ITU-R BT.601 in all three channels; the same integers as Pillow's convert("L"). In place. */
void dsvl_pixels_gray(uint8_t *rgb, size_t n);

/* Turn a stored picture upright as EXIF and TIFF orientation 1 .. 8 say (PIL.ImageOps.exif_transpose).
 * *pixels is replaced by a new block when rows and columns change places. */
int dsvl_pixels_orient(uint8_t **pixels, int *width, int *height, int orientation, dsvl_error *err);

/* The same as a turn: degrees clockwise, after a flip left to right if *mirrored. */
void dsvl_orientation_facts(int orientation, int *rotation, bool *mirrored);

/* Keep a part; in place, the block keeps its size. */
void dsvl_pixels_crop(uint8_t *pixels, int *width, int *height, dsvl_pixel_box box);

/* The smallest box that holds every pixel that differs from the paper: by more than a scan's noise in some
 * channel. The paper is the median colour of the picture's border. False for an empty page; *box is then all
 * of it. */
bool dsvl_pixels_ink(const uint8_t *pixels, int width, int height, dsvl_pixel_box *box);

#endif
