/* SPDX-License-Identifier: Apache-2.0 */
/* Regions of a page for a model to read: parts of its layout, zoomed so that their type has the size that the
 * model prefers, on a canvas that the model's processor takes as it is. */
#ifndef DSVL_FILTERS_REGION_H
#define DSVL_FILTERS_REGION_H

#include "filters/layout.h"
#include "filters/resize.h"
#include "lib/config.h"
#include "lib/tensor.h"

typedef struct dsvl_region {
    dsvl_part_kind kind;
    int part, parts;               /* of a table or text that is cut: from 1, and how many */
    int overlap;                   /* rows that it shares with the part before */
    double box[4];                 /* x0 y0 x1 y1 on the page, pixels */
    double zoom;                   /* pixels of the region to one of the page */
    double em;                     /* type size in pixels of the region */
    int width, height;             /* canvas: one of the processor's candidate resolutions */
    int margin;                    /* left of and above the page's pixels, in pixels of the region */
    int inner_width, inner_height; /* what the page's pixels take of the canvas */
} dsvl_region;

typedef struct dsvl_regions {
    dsvl_region *data; /* in reading order */
    size_t count;
} dsvl_regions;

/* What the model at hand reads best. */
typedef struct dsvl_region_wish {
    double em; /* type size in pixels; it may be somewhat less where that saves tiles */
    int tiles; /* the most of them in one canvas, at least one */
} dsvl_region_wish;

/* Plan the regions of a page width x height with this layout. A blank page has no regions. */
int dsvl_regions_plan(dsvl_regions *regions, const dsvl_layout *layout, int width, int height,
                      const dsvl_processor_config *processor, const dsvl_region_wish *wish, dsvl_error *err);
void dsvl_regions_free(dsvl_regions *regions);

/* Draw a region: *pixels becomes u8 [height, width, 3], owned by the caller. source: the page. */
int dsvl_region_draw(dsvl_tensor *pixels, const dsvl_region *region, const dsvl_picture *source,
                     const uint8_t paper[3], dsvl_error *err);

#endif
