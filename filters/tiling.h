/* SPDX-License-Identifier: Apache-2.0 */
/* From a page to the tiles of DeepSeek-VL2: choice of the mosaic, padding, cutting. Pixels are those of
 * Pillow. Mirrors select_best_resolution and the image part of DeepseekVLV2Processor.tokenize_with_images
 * (deepseek_vl2/models/processing_deepseek_vl_v2.py), and PIL/ImageOps.py:contain and pad; of DeepSeek-VL,
 * VLMImageProcessor (deepseek_vl/models/image_processing_vlm.py) and transformers' DeepseekVLImageProcessor.
 */
#ifndef DSVL_FILTERS_TILING_H
#define DSVL_FILTERS_TILING_H

#include <stdbool.h>

#include "filters/resize.h"
#include "lib/config.h"
#include "lib/tensor.h"

/* A conversation with more images than this is not cropped: each gets the global view and one tile that
 * equals it. */
#define DSVL_TILING_MAX_CROPPED 2

/* Pillow's resize makes one pass for each axis and rounds to bytes between them; releases differ in which
 * comes first, so a few bytes of the result do too. The rest of the arithmetic is the same since 9.3. */
typedef enum dsvl_pillow {
    DSVL_PILLOW_9_3,  /* 9.3 to 12.1: horizontal first */
    DSVL_PILLOW_12_2, /* 12.2 and 12.3: vertical first for pictures over 100 times as high as wide that get
                         lower */
    DSVL_PILLOW_13_0, /* from 13.0: vertical first when the height shrinks by more than twice what the width
                         does */
    DSVL_PILLOW_VERSIONS
} dsvl_pillow;

typedef struct dsvl_box {
    int x, y, width, height;
} dsvl_box;

/* What becomes of a picture of a certain size. */
typedef struct dsvl_tile_plan {
    int tile_size;      /* S */
    int cols, rows;     /* the mosaic of local tiles is [rows*S, cols*S]; 0, 0: there is none (DeepSeek-VL) */
    dsvl_box content;   /* where the picture stands in the mosaic; a side may be 0: see dsvl_pad_box */
    dsvl_box thumbnail; /* where it stands in the global view [S, S]; DeepSeek-VL: in the square */
} dsvl_tile_plan;

/* The candidate that keeps most of the picture's pixels, then wastes fewest; the first of equals.
 * Mirrors select_best_resolution in doubles and integers like Python's. */
void dsvl_tiling_select(const dsvl_processor_config *config, int width, int height, int *best_width,
                        int *best_height);

/* Where ImageOps.pad(image, size) puts the resized image. A side rounds to 0 for ratios over twice the
 * target's long side: Pillow before 13 then raises ValueError, later ones leave padding alone, and so does
 * this. */
dsvl_box dsvl_pad_box(int width, int height, int pad_width, int pad_height);

/* Where VLMImageProcessor.resize and expand2square put the picture in a square of S pixels: the longer side
 * becomes S, the other int(side / longest * S), or by_ratio int(side * (S / longest)), at least min_size.
 * (By ratio the longer side can come out as S - 1, which the published model then refuses: S here.) */
dsvl_box dsvl_square_box(const dsvl_processor_config *config, int width, int height);

/* cropping: false for an image of a conversation of more than DSVL_TILING_MAX_CROPPED. 0, or -1 for a picture
 * without pixels and a mosaic that the tile size does not divide. */
int dsvl_tiling_plan(dsvl_tile_plan *plan, const dsvl_processor_config *config, int width, int height,
                     bool cropping, dsvl_error *err);

/* Cut: *tiles becomes u8 [1 + cols*rows, S, S, 3], the global view first, then row by row; owned by the
 * caller. source has 3 channels. Working memory: the mosaic. Of DeepSeek-VL the padded square, [1, S, S, 3].
 */
int dsvl_tiling_cut(dsvl_tensor *tiles, const dsvl_tile_plan *plan, const dsvl_processor_config *config,
                    const dsvl_picture *source, dsvl_pillow pillow, dsvl_error *err);

/* The second, smaller picture of a square [1, S, S, 3] where the processor makes one: *low becomes u8
 * [1, L, L, 3]; owned by the caller. Mirrors DeepseekVLHybridImageProcessor.preprocess. */
int dsvl_tiling_low(dsvl_tensor *low, const dsvl_tensor *tiles, const dsvl_processor_config *config,
                    dsvl_error *err);

#endif
