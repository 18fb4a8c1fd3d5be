/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/exif.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { TAG_ORIENTATION = 0x112, TAG_X_RESOLUTION = 0x11a, TAG_Y_RESOLUTION = 0x11b, TAG_UNIT = 0x128 };
enum { TYPE_SHORT = 3, TYPE_RATIONAL = 5 };

typedef struct view {
    const unsigned char *data;
    size_t length;
    bool big; /* endian */
} view;

/* 0 outside the block: every user of these takes 0 for "absent". */
static uint32_t get16(const view *v, size_t at)
{
    if (at > v->length || v->length - at < 2) return 0;
    const unsigned char *p = v->data + at;
    return v->big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t get32(const view *v, size_t at)
{
    if (at > v->length || v->length - at < 4) return 0;
    uint32_t first = get16(v, at), second = get16(v, at + 2);
    return v->big ? first << 16 | second : second << 16 | first;
}

static double get_rational(const view *v, size_t entry)
{
    size_t at = get32(v, entry + 8);
    uint32_t divisor = get32(v, at + 4);
    return get16(v, entry + 2) == TYPE_RATIONAL && divisor ? (double)get32(v, at) / divisor : 0;
}

void dsvl_exif_read(dsvl_exif *exif, const unsigned char *data, size_t length)
{
    *exif = (dsvl_exif){.orientation = 1};
    view v = {data, length, length >= 2 && memcmp(data, "MM", 2) == 0};
    if (length < 8 || (!v.big && memcmp(data, "II", 2) != 0) || get16(&v, 2) != 42) return;
    size_t ifd = get32(&v, 4);
    uint32_t entries = get16(&v, ifd);
    double per_inch = 1; /* the unit is inches unless it says centimetres */
    for (uint32_t i = 0; i < entries; i++) {
        size_t entry = ifd + 2 + 12 * (size_t)i;
        if (entry + 12 > length) break;
        uint32_t tag = get16(&v, entry), value = get16(&v, entry + 8);
        bool is_short = get16(&v, entry + 2) == TYPE_SHORT;
        if (tag == TAG_ORIENTATION && is_short && value >= 1 && value <= 8) exif->orientation = (int)value;
        if (tag == TAG_X_RESOLUTION) exif->x_dpi = get_rational(&v, entry);
        if (tag == TAG_Y_RESOLUTION) exif->y_dpi = get_rational(&v, entry);
        if (tag == TAG_UNIT && is_short && value == 3) per_inch = 2.54;
    }
    exif->x_dpi *= per_inch;
    exif->y_dpi *= per_inch;
}
