/* SPDX-License-Identifier: Apache-2.0 */
/* Regions as records: see dsvl-stream(5), kind "region". */
#ifndef DSVL_FILTERS_REGION_RECORD_H
#define DSVL_FILTERS_REGION_RECORD_H

#include "filters/region.h"
#include "lib/record.h"

/* Where a page record's pixels stand on the page: x_pt = scale[0] * x + origin[0], likewise y. */
typedef struct dsvl_page_view {
    dsvl_picture picture; /* borrowed from the record */
    dsvl_words words;     /* borrowed from the record; count 0: no text layer */
    double scale[2], origin[2];
} dsvl_page_view;

/* Read a page record, checking every shape and number of it. */
int dsvl_page_view_of(dsvl_page_view *view, const dsvl_record *page, dsvl_error *err);

/* A new record for a region of a page: the page's facts, with what the region changes; its words; its pixels.
 * number is from 1. region NULL: the page is blank, and its record shows nothing on the canvas [height,
 * width]. */
typedef struct dsvl_region_place {
    size_t number, count; /* of the page's regions */
    const uint8_t *paper; /* [3] */
    int blank_width, blank_height;
} dsvl_region_place;
dsvl_record *dsvl_region_record_new(const dsvl_record *page, const dsvl_page_view *view,
                                    const dsvl_region *region, const dsvl_region_place *place,
                                    dsvl_error *err);

#endif
