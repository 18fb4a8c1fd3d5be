/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/source.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "filters/pixels.h"
#include "filters/resize.h"
#include "lib/alloc.h"

/* Long side of the small rendering in which --trim looks for ink before the page is drawn at its final scale.
 */
enum { PREVIEW_SIDE = 1200 };

dsvl_render_options dsvl_render_defaults(void)
{
    return (dsvl_render_options){
        .dpi = 150, .trim_margin = 9, .text_layer = true, .max_pixels = 200 * 1000 * 1000};
}

void dsvl_page_free(dsvl_page *page)
{
    dsvl_dealloc(page->pixels);
    dsvl_dealloc(page->label);
    dsvl_dealloc(page->warning);
    dsvl_words_free(&page->words);
    memset(page, 0, sizeof *page);
}

/* ---- opening ---- */

static const dsvl_source_format *find_format(const unsigned char *data, size_t length,
                                             const dsvl_source_format *extra)
{
    const dsvl_source_format *all[] = {&dsvl_source_png, &dsvl_source_jpeg, &dsvl_source_tiff,
                                       &dsvl_source_ppm, extra};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i] && all[i]->detect(data, length)) return all[i];
    }
    return NULL;
}

bool dsvl_source_is_picture(const unsigned char *data, size_t length)
{
    return find_format(data, length, NULL) != NULL;
}

static int unknown_format(const unsigned char *data, size_t length, bool pdf, dsvl_error *err)
{
    if (length == 0) return dsvl_fail(err, DSVL_E_INPUT, "is empty (0 bytes)");
    if (!pdf && length >= 5 && memcmp(data, "%PDF-", 5) == 0) {
        return dsvl_fail(err, DSVL_E_INPUT,
                         "is a PDF document; turn its pages into pictures with dsvl-rasterize");
    }
    char head[4 * 8 + 1] = "";
    for (size_t i = 0; i < length && i < 8; i++) {
        size_t used = strlen(head);
        if (data[i] >= 32 && data[i] < 127)
            snprintf(head + used, sizeof head - used, "%c", data[i]);
        else
            snprintf(head + used, sizeof head - used, "\\x%02x", data[i]);
    }
    return dsvl_fail(err, DSVL_E_INPUT, "is not a %sTIFF, JPEG, PNG or PNM file (it begins with \"%s\")",
                     pdf ? "PDF, " : "", head);
}

dsvl_source *dsvl_source_open(const unsigned char *data, size_t length, const dsvl_source_format *extra,
                              const dsvl_render_options *options, dsvl_error *err)
{
    const dsvl_source_format *format = length ? find_format(data, length, extra) : NULL;
    if (!format) {
        unknown_format(data, length, extra != NULL, err);
        return NULL;
    }
    dsvl_source *source = dsvl_alloc_zero(1, sizeof *source);
    if (!source) {
        dsvl_fail_memory(err, sizeof *source);
        return NULL;
    }
    *source = (dsvl_source){.format = format, .data = data, .length = length, .options = *options};
    if (format->open(source, err)) {
        dsvl_source_close(source);
        return NULL;
    }
    return source;
}

void dsvl_source_close(dsvl_source *source)
{
    if (!source) return;
    source->format->close(source);
    dsvl_dealloc(source);
}

const char *dsvl_source_name(const dsvl_source *source)
{
    return source->format->name;
}

int dsvl_source_pages(const dsvl_source *source)
{
    return source->pages;
}

const char *dsvl_source_damage(const dsvl_source *source)
{
    return source->damage[0] ? source->damage : NULL;
}

/* ---- geometry ---- */

static int allocate(dsvl_page *page, uint64_t width, uint64_t height, uint64_t bytes_per_pixel,
                    const dsvl_render_options *options, dsvl_error *err)
{
    uint64_t max_pixels = options->max_pixels;
    uint64_t pixels;
    if (width == 0 || height == 0) return dsvl_fail(err, DSVL_E_INPUT, "the page has no pixels");
    if (__builtin_mul_overflow(width, height, &pixels) || pixels > max_pixels || width > INT_MAX ||
        height > INT_MAX) {
        return dsvl_fail(
            err, DSVL_E_LIMIT, "the page is %llu x %llu pixels, more than the %llu that --max-pixels allows",
            (unsigned long long)width, (unsigned long long)height, (unsigned long long)max_pixels);
    }
    if (pixels > SIZE_MAX / bytes_per_pixel) return dsvl_fail_memory(err, SIZE_MAX);
    page->pixels = dsvl_page_pool_take(options->pool, bytes_per_pixel * pixels);
    if (!page->pixels) return dsvl_fail_memory(err, bytes_per_pixel * pixels);
    page->width = (int)width;
    page->height = (int)height;
    return 0;
}

int dsvl_page_allocate(dsvl_page *page, uint64_t width, uint64_t height, const dsvl_render_options *options,
                       dsvl_error *err)
{
    return allocate(page, width, height, 3, options, err);
}

void dsvl_page_resolution(dsvl_page *page, double x_dpi, double y_dpi)
{
    /* 1 dpi is what cameras write for "unknown"; a page is never smaller than a stamp or larger than a house.
     */
    bool sane = x_dpi >= 10 && x_dpi <= 20000 && y_dpi >= 10 && y_dpi <= 20000;
    page->scale_x = (sane ? x_dpi : 72) / 72;
    page->scale_y = (sane ? y_dpi : 72) / 72;
    page->width_pt = page->width / page->scale_x;
    page->height_pt = page->height / page->scale_y;
    const double whole[4] = {0, 0, page->width_pt, page->height_pt};
    memcpy(page->box, whole, sizeof whole);
}

/* The part of the page that --crop leaves. */
static int crop_box(const dsvl_render_options *o, dsvl_page *page, dsvl_error *err)
{
    const double whole[4] = {0, 0, page->width_pt, page->height_pt};
    memcpy(page->box, whole, sizeof whole);
    if (!o->crop) return 0;
    for (int k = 0; k < 2; k++) {
        page->box[k] = fmax(o->crop_pt[k], 0);
        page->box[2 + k] = fmin(o->crop_pt[2 + k], whole[2 + k]);
    }
    if (page->box[0] < page->box[2] && page->box[1] < page->box[3]) return 0;
    return dsvl_fail(err, DSVL_E_INPUT, "nothing of the page (%g x %g points) is inside the crop %g,%g,%g,%g",
                     page->width_pt, page->height_pt, o->crop_pt[0], o->crop_pt[1], o->crop_pt[2],
                     o->crop_pt[3]);
}

/* Pixels that show a length at a scale. A hair over a whole number, which is rounding, does not add a pixel.
 */
static double pixels_for(double points, double scale)
{
    return fmax(1, ceil(points * scale - 1e-6));
}

/* Widen an ink box by the margin, in points, and keep it inside the page's present box. */
static void ink_to_box(const dsvl_render_options *o, const dsvl_page *page, dsvl_pixel_box ink, double slack,
                       double box[4])
{
    double margin = o->trim_margin + slack;
    box[0] = fmax(page->box[0], page->box[0] + ink.x0 / page->scale_x - margin);
    box[1] = fmax(page->box[1], page->box[1] + ink.y0 / page->scale_y - margin);
    box[2] = fmin(page->box[2], page->box[0] + ink.x1 / page->scale_x + margin);
    box[3] = fmin(page->box[3], page->box[1] + ink.y1 / page->scale_y + margin);
}

/* Cut the pixels to the whole pixels that cover a box (points). */
static void cut_pixels(dsvl_page *page, const double box[4])
{
    double sx = page->scale_x, sy = page->scale_y;
    dsvl_pixel_box cut = {
        (int)fmax(0, floor((box[0] - page->box[0]) * sx + 1e-6)),
        (int)fmax(0, floor((box[1] - page->box[1]) * sy + 1e-6)),
        (int)fmin(page->width, ceil((box[2] - page->box[0]) * sx - 1e-6)),
        (int)fmin(page->height, ceil((box[3] - page->box[1]) * sy - 1e-6)),
    };
    if (cut.x1 <= cut.x0) cut.x0 = cut.x1 > 0 ? cut.x1 - 1 : 0, cut.x1 = cut.x0 + 1;
    if (cut.y1 <= cut.y0) cut.y0 = cut.y1 > 0 ? cut.y1 - 1 : 0, cut.y1 = cut.y0 + 1;
    const double kept[4] = {page->box[0] + cut.x0 / sx, page->box[1] + cut.y0 / sy,
                            fmin(page->box[2], page->box[0] + cut.x1 / sx),
                            fmin(page->box[3], page->box[1] + cut.y1 / sy)};
    dsvl_pixels_crop(page->pixels, &page->width, &page->height, cut);
    memcpy(page->box, kept, sizeof kept);
}

static void trim_pixels(const dsvl_render_options *o, dsvl_page *page)
{
    dsvl_pixel_box ink;
    double box[4];
    if (!dsvl_pixels_ink(page->pixels, page->width, page->height, &ink))
        return; /* blank: keep the page as it is */
    ink_to_box(o, page, ink, 0, box);
    cut_pixels(page, box);
}

/* ---- scalable pages ---- */

static int page_too_large(const dsvl_render_options *o, const dsvl_page *page, double w, double h,
                          dsvl_error *err)
{
    double bw = page->box[2] - page->box[0], bh = page->box[3] - page->box[1];
    /* one pixel a side for rounding up; cairo cannot hold more than 32767 in one direction */
    double fits = 72 * fmin(sqrt((double)o->max_pixels / (bw * bh)), 32766 / fmax(bw, bh));
    double dpi = floor(fits * 10 - 1) / 10;
    return dsvl_fail(err, DSVL_E_LIMIT,
                     "the page is %g x %g points: %.0f x %.0f pixels at %g dpi, more than --max-pixels "
                     "(%llu) or 32767 a side "
                     "allow; %s%.1f would fit, or use --scale-to or --crop",
                     bw, bh, w, h, page->scale_x * 72, (unsigned long long)o->max_pixels,
                     dpi > 0 ? "--dpi=" : "below --dpi=", dpi > 0 ? dpi : 0.1);
}

/* Draw page->box at one scale into fresh pixels. */
static int draw(dsvl_source *source, int index, dsvl_page *page, double scale, bool words, dsvl_error *err)
{
    const dsvl_render_options *o = &source->options;
    double w = pixels_for(page->box[2] - page->box[0], scale),
           h = pixels_for(page->box[3] - page->box[1], scale);
    page->scale_x = page->scale_y = scale;
    if (!(w <= 32767 && h <= 32767 && w * h <= (double)o->max_pixels))
        return page_too_large(o, page, w, h, err);
    dsvl_dealloc(page->pixels);
    page->pixels = NULL;
    if (allocate(page, (uint64_t)w, (uint64_t)h, 4, o, err)) return -1;
    return source->format->render(source, index, page, words, err);
}

static double long_side(const dsvl_page *page)
{
    return fmax(page->box[2] - page->box[0], page->box[3] - page->box[1]);
}

/* With a fixed size in pixels the ink is sought first, so that all of them show it. */
static int trim_by_preview(dsvl_source *source, int index, dsvl_page *page, dsvl_error *err)
{
    if (draw(source, index, page, PREVIEW_SIDE / long_side(page), false, err)) return -1;
    dsvl_pixel_box ink;
    if (!dsvl_pixels_ink(page->pixels, page->width, page->height, &ink)) return 0;
    double box[4];
    ink_to_box(&source->options, page, ink, 1 / page->scale_x, box);
    memcpy(page->box, box, sizeof box);
    return 0;
}

static int render_scalable(dsvl_source *source, int index, dsvl_page *page, dsvl_error *err)
{
    const dsvl_render_options *o = &source->options;
    if (source->format->measure(source, index, page, err)) return -1;
    if (!(page->width_pt > 0 && page->height_pt > 0 && page->width_pt < 1e9 && page->height_pt < 1e9)) {
        return dsvl_fail(err, DSVL_E_INPUT, "the page is %g x %g points: nothing can be drawn on it",
                         page->width_pt, page->height_pt);
    }
    if (crop_box(o, page, err)) return -1;
    if (o->trim && o->scale_to && trim_by_preview(source, index, page, err)) return -1;
    double scale = o->scale_to ? (double)o->scale_to / long_side(page) : o->dpi / 72.0;
    if (draw(source, index, page, scale, o->text_layer, err)) return -1;
    if (o->trim && !o->scale_to) trim_pixels(o, page);
    return 0;
}

/* ---- pictures ---- */

/* Resample so that the long side has scale_to pixels, and pixels become square (fax pages are often not). */
static int scale_picture(const dsvl_render_options *o, dsvl_page *page, dsvl_error *err)
{
    double scale = (double)o->scale_to / long_side(page);
    double w = fmax(1, round((page->box[2] - page->box[0]) * scale)),
           h = fmax(1, round((page->box[3] - page->box[1]) * scale));
    dsvl_page scaled = {0};
    if (dsvl_page_allocate(&scaled, (uint64_t)w, (uint64_t)h, o, err)) return -1;
    const dsvl_picture picture = {page->pixels, 3 * (size_t)page->width, page->width, page->height, 3};
    if (dsvl_resize(scaled.pixels, 3 * (size_t)scaled.width, scaled.width, scaled.height, &picture, NULL,
                    DSVL_RESIZE_BICUBIC, err)) {
        dsvl_dealloc(scaled.pixels);
        return -1;
    }
    dsvl_dealloc(page->pixels);
    page->pixels = scaled.pixels;
    page->scale_x = scaled.width / (page->width / page->scale_x);
    page->scale_y = scaled.height / (page->height / page->scale_y);
    page->width = scaled.width;
    page->height = scaled.height;
    return 0;
}

static int render_picture(dsvl_source *source, int index, dsvl_page *page, dsvl_error *err)
{
    const dsvl_render_options *o = &source->options;
    if (source->format->decode(source, index, page, err)) return -1;
    if (o->crop) {
        const double whole[4] = {0, 0, page->width_pt, page->height_pt};
        double box[4];
        if (crop_box(o, page, err)) return -1;
        memcpy(box, page->box, sizeof box);
        memcpy(page->box, whole, sizeof whole);
        cut_pixels(page, box);
    }
    if (o->trim) trim_pixels(o, page);
    return o->scale_to ? scale_picture(o, page, err) : 0;
}

int dsvl_source_render(dsvl_source *source, int index, dsvl_page *page, dsvl_error *err)
{
    memset(page, 0, sizeof *page);
    if (index < 0 || index >= source->pages) {
        return dsvl_fail(err, DSVL_E_INPUT, "there is no such page: the document has %d", source->pages);
    }
    int status = source->format->decode ? render_picture(source, index, page, err)
                                        : render_scalable(source, index, page, err);
    if (status) {
        dsvl_page_free(page);
        return -1;
    }
    if (source->options.gray) dsvl_pixels_gray(page->pixels, (size_t)page->width * (size_t)page->height);
    dsvl_words_keep(&page->words, page->box);
    return 0;
}
