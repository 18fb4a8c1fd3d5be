/* SPDX-License-Identifier: Apache-2.0 */
/* Scans that lie a little askew: how much, and straightening them. Boxes along the axes cut crooked lines
 * through. */
#ifndef DSVL_FILTERS_SKEW_H
#define DSVL_FILTERS_SKEW_H

#include "filters/resize.h"

/* The slope of the lines of a page [height, width, 3]: rise to the lower right in pixels per pixel, found
 * between -0.03 and 0.03 (1.7 degrees); 0 when the page is straight, shows no lines, or memory is out for
 * looking. */
double dsvl_skew_find(const dsvl_picture *page);

/* Where a point of the straightened page comes from: x = m[0] x' + m[2] y' + m[4], y = m[1] x' + m[3] y' +
 * m[5]. Two shears about the middle, one an axis, which differ from a turn by less than 0.05 % of a length.
 */
void dsvl_skew_matrix(double m[6], double slope, int width, int height);

/* Straighten into dst [height, width, 3], resampled linearly; colour fills what comes from beyond the page. 0
 * or -1. */
int dsvl_skew_straighten(uint8_t *dst, const dsvl_picture *page, double slope, const uint8_t colour[3],
                         dsvl_error *err);

#endif
