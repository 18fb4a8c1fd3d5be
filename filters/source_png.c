/* SPDX-License-Identifier: Apache-2.0 */
/* PNG pictures through cairo, which calls libpng; transparent parts become white. cairo gives 8 bits a
 * channel for pictures of 16 (before cairo 1.18), and leaves pHYs to us. */
#include <cairo.h>
#include <math.h>
#include <string.h>

#include "filters/pixels.h"
#include "filters/source.h"

static bool png_detect(const unsigned char *data, size_t length)
{
    return length >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0;
}

static int png_open(dsvl_source *source, dsvl_error *err)
{
    (void)err;
    source->pages = 1;
    return 0;
}

static void png_close(dsvl_source *source)
{
    (void)source;
}

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Pixels a metre in pHYs, which stands before the data; 0 when it is not there. */
static void find_resolution(const dsvl_source *source, double *x_dpi, double *y_dpi)
{
    *x_dpi = *y_dpi = 0;
    for (size_t at = 8; source->length - at >= 12;) { /* at <= length always */
        const unsigned char *chunk = source->data + at;
        size_t size = get32(chunk);
        if (size > source->length - at - 12 || memcmp(chunk + 4, "IDAT", 4) == 0) return;
        if (memcmp(chunk + 4, "pHYs", 4) == 0 && size == 9 && chunk[16] == 1) {
            *x_dpi = get32(chunk + 8) * 0.0254;
            *y_dpi = get32(chunk + 12) * 0.0254;
            return;
        }
        at += 12 + size;
    }
}

typedef struct png_input {
    const unsigned char *next;
    size_t left;
} png_input;

static cairo_status_t read_bytes(void *user, unsigned char *data, unsigned int length)
{
    png_input *input = user;
    if (length > input->left) return CAIRO_STATUS_READ_ERROR;
    memcpy(data, input->next, length);
    input->next += length;
    input->left -= length;
    return CAIRO_STATUS_SUCCESS;
}

#if CAIRO_VERSION >= CAIRO_VERSION_ENCODE(1, 17, 2)
/* Floats, premultiplied: [n, channels] with channels 3 or 4 (alpha last), onto white. */
static void from_float(uint8_t *rgb, const float *row, size_t n, int channels)
{
    for (size_t i = 0; i < n; i++, rgb += 3, row += channels) {
        float white = channels == 4 ? 1 - row[3] : 0;
        for (int k = 0; k < 3; k++) rgb[k] = (uint8_t)lrintf(255 * fminf(fmaxf(row[k] + white, 0), 1));
    }
}
#endif

static int copy_row(uint8_t *rgb, const void *row, size_t width, cairo_format_t format)
{
    if (format == CAIRO_FORMAT_RGB24)
        dsvl_pixels_from_rgb24(rgb, row, width);
    else if (format == CAIRO_FORMAT_ARGB32)
        dsvl_pixels_from_argb32(rgb, row, width);
#if CAIRO_VERSION >= CAIRO_VERSION_ENCODE(1, 17, 2)
    else if (format == CAIRO_FORMAT_RGB96F)
        from_float(rgb, row, width, 3);
    else if (format == CAIRO_FORMAT_RGBA128F)
        from_float(rgb, row, width, 4);
#endif
    else
        return -1;
    return 0;
}

static int copy_picture(cairo_surface_t *surface, dsvl_page *page, dsvl_error *err)
{
    const unsigned char *from = cairo_image_surface_get_data(surface);
    size_t stride = (size_t)cairo_image_surface_get_stride(surface), width = (size_t)page->width;
    cairo_format_t format = cairo_image_surface_get_format(surface);
    if (cairo_image_surface_get_width(surface) != page->width ||
        cairo_image_surface_get_height(surface) != page->height) {
        return dsvl_fail(err, DSVL_E_INTERNAL,
                         "cairo gave a picture of another size than the PNG's header says");
    }
    for (int y = 0; y < page->height; y++) {
        if (copy_row(page->pixels + 3 * width * (size_t)y, from + stride * (size_t)y, width, format)) {
            return dsvl_fail(err, DSVL_E_INTERNAL,
                             "cairo gave the PNG in a pixel format (%d) that is not known here", format);
        }
    }
    return 0;
}

static int png_failed(cairo_status_t status, dsvl_error *err)
{
    if (status == CAIRO_STATUS_READ_ERROR) return dsvl_fail(err, DSVL_E_INPUT, "the PNG is cut short");
    if (status == CAIRO_STATUS_INVALID_SIZE) {
        return dsvl_fail(err, DSVL_E_LIMIT,
                         "the PNG has more than 32767 pixels a side, which cairo cannot hold");
    }
    /* cairo says "out of memory" for damaged data too */
    return dsvl_fail(err, DSVL_E_INPUT, "the PNG is damaged (or memory is out): cairo says \"%s\"",
                     cairo_status_to_string(status));
}

static int png_decode(dsvl_source *source, int index, dsvl_page *page, dsvl_error *err)
{
    (void)index;
    if (source->length < 33 || memcmp(source->data + 12, "IHDR", 4) != 0) {
        return dsvl_fail(err, DSVL_E_INPUT, "the PNG is cut short: its header is missing");
    }
    /* The size is known before anything is decoded: a few bytes can claim gigabytes. */
    if (dsvl_page_allocate(page, get32(source->data + 16), get32(source->data + 20), &source->options, err))
        return -1;
    png_input input = {source->data, source->length};
    cairo_surface_t *surface = cairo_image_surface_create_from_png_stream(read_bytes, &input);
    cairo_status_t failure = cairo_surface_status(surface);
    int status = failure ? png_failed(failure, err) : copy_picture(surface, page, err);
    cairo_surface_destroy(surface);
    double x_dpi, y_dpi;
    find_resolution(source, &x_dpi, &y_dpi);
    dsvl_page_resolution(page, x_dpi, y_dpi);
    return status;
}

const dsvl_source_format dsvl_source_png = {
    .name = "PNG", .detect = png_detect, .open = png_open, .close = png_close, .decode = png_decode};
