/* SPDX-License-Identifier: Apache-2.0 */
/* Regions as records: see dsvl-stream(5), kind "region". */
#ifndef DSVL_FILTERS_REGION_RECORD_H
#define DSVL_FILTERS_REGION_RECORD_H

#include "filters/region.h"
#include "lib/record.h"

/* A page as it is cut up: its own pixels, or straightened ones when it is a crooked scan. Places in words,
 * scale and origin are those of the pixels at hand; turn leads from them to the page's own pixels, as
 * dsvl_skew_matrix has it. */
typedef struct dsvl_page_view {
    dsvl_picture picture;       /* borrowed from the record, or straightened */
    dsvl_words words;           /* borrowed, but for the boxes of a straightened page */
    bool has_words;             /* there is a text layer, which may have no words */
    const float *boxes;         /* [words.count, 4]: as the record has them */
    double scale[2], origin[2]; /* points: scale * pixel + origin */
    double turn[6];
    void *straight_pixels, *straight_boxes; /* owned, or NULL */
} dsvl_page_view;

/* Read a page record, checking every shape and number of it. The record must outlive the view. */
int dsvl_page_view_open(dsvl_page_view *view, const dsvl_record *page, dsvl_error *err);
void dsvl_page_view_close(dsvl_page_view *view);
/* Where something that lies in a box of the view's pixels is on the page, in points: it keeps its size. */
void dsvl_page_view_place(const dsvl_page_view *view, const double box[4], double points[4]);

/* A new record for a region of a page: the page's facts, with what the region changes; its words; its pixels.
 * number is from 1. region NULL: the page is blank, and its record shows nothing on the canvas [height,
 * width]. */
typedef struct dsvl_region_place {
    size_t number, count; /* of the page's regions */
    const char *kinds;    /* which kinds those are, "text,table" */
    const uint8_t *paper; /* [3] */
    int blank_width, blank_height;
} dsvl_region_place;
dsvl_record *dsvl_region_record_new(const dsvl_record *page, const dsvl_page_view *view,
                                    const dsvl_region *region, const dsvl_region_place *place,
                                    dsvl_error *err);

#endif
