/* SPDX-License-Identifier: Apache-2.0 */
/* The few facts of an EXIF block that say how a picture is meant to be shown. */
#ifndef DSVL_FILTERS_EXIF_H
#define DSVL_FILTERS_EXIF_H

#include <stddef.h>

typedef struct dsvl_exif {
    int orientation;     /* 1 .. 8; 1 when absent or malformed */
    double x_dpi, y_dpi; /* 0: not said */
} dsvl_exif;

/* Read the TIFF structure that follows "Exif\0\0". Whatever is malformed is left at its default: a picture is
 * not refused for its camera's notes. */
void dsvl_exif_read(dsvl_exif *exif, const unsigned char *data, size_t length);

#endif
