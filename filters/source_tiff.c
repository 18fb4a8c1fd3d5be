/* SPDX-License-Identifier: Apache-2.0 */
/* TIFF documents, one page a directory: the only file that includes tiffio.h. libtiff's RGBA interface turns
 * what it can (1 to 16 bits, palette, gray, RGB, YCbCr, CMYK, Lab, strips and tiles) into 8-bit RGBA; it is
 * called for bands of rows, so that the working memory is a band and not a second page. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>

#include "filters/pixels.h"
#include "filters/source.h"
#include "lib/alloc.h"

enum { BAND_ROWS = 64 }; /* at least; whole strips or rows of tiles */

typedef struct tiff_state {
    TIFF *tiff;
    size_t position;  /* of libtiff's reads */
    tdir_t *pages;    /* [source->pages]: the directories that are pages */
    char error[256];  /* libtiff's first message since clear_messages */
    char notice[256]; /* its first warning */
    const dsvl_source *source;
} tiff_state;

/* ---- libtiff's callbacks ---- */

static void keep_message(char *text, size_t size, const char *format, va_list args)
{
    if (text[0]) return;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* libtiff's own formats */
    vsnprintf(text, size, format, args);
#pragma GCC diagnostic pop
}

static int on_error(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    (void)tiff, (void)module;
    tiff_state *state = user;
    keep_message(state->error, sizeof state->error, format, args);
    return 1; /* handled: not printed */
}

static int on_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    (void)tiff, (void)module;
    tiff_state *state = user;
    /* Private tags are everywhere and say nothing about the picture. */
    if (!strstr(format, "nknown field")) keep_message(state->notice, sizeof state->notice, format, args);
    return 1;
}

static void clear_messages(tiff_state *state)
{
    state->error[0] = state->notice[0] = '\0';
}

static tmsize_t read_bytes(thandle_t handle, void *buffer, tmsize_t size)
{
    tiff_state *state = handle;
    const dsvl_source *source = state->source;
    size_t left = state->position < source->length ? source->length - state->position : 0;
    size_t n = size < 0 ? 0 : (size_t)size < left ? (size_t)size : left;
    memcpy(buffer, source->data + (n ? state->position : 0), n);
    state->position += n;
    return (tmsize_t)n;
}

static tmsize_t write_bytes(thandle_t handle, void *buffer, tmsize_t size)
{
    (void)handle, (void)buffer, (void)size;
    return -1;
}

static toff_t seek_bytes(thandle_t handle, toff_t offset, int whence)
{
    tiff_state *state = handle;
    size_t base = whence == SEEK_CUR ? state->position : whence == SEEK_END ? state->source->length : 0;
    state->position =
        base + (size_t)offset; /* unsigned: a negative offset wraps back; reads check the result */
    return state->position;
}

static int close_nothing(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle)
{
    const tiff_state *state = handle;
    return state->source->length;
}

/* ---- opening ---- */

static bool tiff_detect(const unsigned char *data, size_t length)
{
    static const char *const marks[] = {"II*\0", "MM\0*", "II+\0", "MM\0+"};
    for (size_t i = 0; length >= 8 && i < sizeof marks / sizeof *marks; i++) {
        if (memcmp(data, marks[i], 4) == 0) return true;
    }
    return false;
}

static void tiff_close(dsvl_source *source)
{
    tiff_state *state = source->state;
    if (!state) return;
    if (state->tiff) TIFFClose(state->tiff);
    dsvl_dealloc(state->pages);
    dsvl_dealloc(state);
    source->state = NULL;
}

static TIFF *open_header(tiff_state *state, uint64_t max_pixels)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options) return NULL;
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, state);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, state);
    /* A strip or tile of 16-bit RGBA pixels takes 8 bytes each; nothing else needs blocks of that size. */
    uint64_t limit = max_pixels < (uint64_t)1 << 40 ? 8 * max_pixels + (1 << 20) : (uint64_t)1 << 43;
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)limit);
    /* "h": a broken first page must not keep the others from being read. "m": not mapped, libtiff swaps in
     * place. */
    TIFF *tiff = TIFFClientOpenExt("TIFF", "rhm", state, read_bytes, write_bytes, seek_bytes, close_nothing,
                                   size_of, NULL, NULL, options);
    TIFFOpenOptionsFree(options);
    return tiff;
}

/* The directories that are pages: thumbnails and masks of a page are not. One that cannot be read is a page
 * that fails. */
static int list_pages(dsvl_source *source, tiff_state *state, tdir_t count, dsvl_error *err)
{
    state->pages = dsvl_alloc(count, sizeof *state->pages);
    if (!state->pages) return dsvl_fail_memory(err, count * sizeof *state->pages);
    int pages = 0;
    for (tdir_t d = 0; d < count; d++) {
        uint32_t type = 0;
        if (TIFFSetDirectory(state->tiff, d)) TIFFGetField(state->tiff, TIFFTAG_SUBFILETYPE, &type);
        if (!(type & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK))) state->pages[pages++] = d;
    }
    if (pages == 0) {
        for (tdir_t d = 0; d < count; d++) state->pages[pages++] = d;
    }
    source->pages = pages;
    return 0;
}

static int tiff_open(dsvl_source *source, dsvl_error *err)
{
    tiff_state *state = dsvl_alloc_zero(1, sizeof *state);
    if (!state) return dsvl_fail_memory(err, sizeof *state);
    source->state = state;
    state->source = source;
    state->tiff = open_header(state, source->options.max_pixels);
    if (!state->tiff) return dsvl_fail(err, DSVL_E_INPUT, "the TIFF cannot be read: %s", state->error);
    tdir_t count = TIFFNumberOfDirectories(state->tiff);
    char broken[sizeof state->error];
    memcpy(broken, state->error[0] ? state->error : state->notice, sizeof broken);
    if (count == 0) {
        return dsvl_fail(err, DSVL_E_INPUT, "the TIFF has no page that can be found%s%s",
                         broken[0] ? ": " : "", broken);
    }
    if (list_pages(source, state, count, err)) return -1;
    if (broken[0]) {
        snprintf(source->damage, sizeof source->damage,
                 "the TIFF's list of pages is broken after page %d: %.150s", source->pages, broken);
    }
    return 0;
}

/* ---- decoding ---- */

static void from_abgr(uint8_t *rgb, const uint32_t *pixels, size_t n)
{
    for (size_t i = 0; i < n; i++, rgb += 3) {
        uint32_t white = 255 - TIFFGetA(pixels[i]); /* premultiplied; 255 where the page has no alpha */
        uint32_t v[3] = {TIFFGetR(pixels[i]) + white, TIFFGetG(pixels[i]) + white,
                         TIFFGetB(pixels[i]) + white};
        for (int k = 0; k < 3; k++) rgb[k] = (uint8_t)(v[k] > 255 ? 255 : v[k]);
    }
}

/* Rows of a band: whole strips or tiles, else each would be decoded more than once. */
static uint32_t band_rows(TIFF *tiff, uint32_t height)
{
    uint32_t unit = 0;
    if (TIFFIsTiled(tiff))
        TIFFGetField(tiff, TIFFTAG_TILELENGTH, &unit);
    else
        TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &unit);
    if (unit == 0 || unit >= height) return height;
    uint32_t rows = (BAND_ROWS + unit - 1) / unit * unit;
    return rows < height ? rows : height;
}

static int read_bands(TIFFRGBAImage *image, TIFF *tiff, dsvl_page *page, dsvl_error *err)
{
    uint32_t height = image->height, rows = band_rows(tiff, height);
    size_t width = image->width;
    uint32_t *band = dsvl_alloc_zero(width * rows, sizeof *band);
    if (!band) return dsvl_fail_memory(err, width * rows * sizeof *band);
    int status = 0;
    for (uint32_t y = 0; y < height && status == 0; y += rows) {
        uint32_t n = height - y < rows ? height - y : rows;
        image->row_offset = (int)y;
        if (!TIFFRGBAImageGet(image, band, image->width, n))
            status = -1;
        else
            from_abgr(page->pixels + 3 * width * y, band, width * n);
    }
    dsvl_dealloc(band);
    return status;
}

/* libjpeg inside libtiff fills what is missing with gray and only warns. */
static bool lost_data(const tiff_state *state)
{
    return strstr(state->notice, "Premature end") || strstr(state->notice, "Corrupt JPEG");
}

static int read_page(tiff_state *state, dsvl_page *page, uint16_t *orientation, dsvl_error *err)
{
    TIFF *tiff = state->tiff;
    uint32_t width = 0, height = 0;
    char why[1024] = "";
    TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, orientation);
    if (dsvl_page_allocate(page, width, height, &state->source->options, err)) return -1;
    TIFFRGBAImage image;
    if (!TIFFRGBAImageOK(tiff, why) || !TIFFRGBAImageBegin(&image, tiff, 1, why)) {
        return dsvl_fail(err, DSVL_E_INPUT, "the TIFF page cannot be turned into RGB: %.300s", why);
    }
    image.orientation = image.req_orientation =
        ORIENTATION_TOPLEFT; /* as stored; turned afterwards, all eight ways */
    int status = read_bands(&image, tiff, page, err);
    TIFFRGBAImageEnd(&image);
    if (status && err->code) return -1;
    if (status || lost_data(state)) {
        return dsvl_fail(err, DSVL_E_INPUT, "the TIFF page is cut short or damaged: %s",
                         state->error[0]    ? state->error
                         : state->notice[0] ? state->notice
                                            : "libtiff does not say why");
    }
    return 0;
}

static void read_resolution(TIFF *tiff, bool turned, dsvl_page *page)
{
    float x = 0, y = 0;
    uint16_t unit = RESUNIT_INCH;
    TIFFGetField(tiff, TIFFTAG_XRESOLUTION, &x);
    TIFFGetField(tiff, TIFFTAG_YRESOLUTION, &y);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_RESOLUTIONUNIT, &unit);
    double per_inch = unit == RESUNIT_INCH ? 1 : unit == RESUNIT_CENTIMETER ? 2.54 : 0;
    dsvl_page_resolution(page, per_inch * (double)(turned ? y : x), per_inch * (double)(turned ? x : y));
}

static int tiff_decode(dsvl_source *source, int index, dsvl_page *page, dsvl_error *err)
{
    tiff_state *state = source->state;
    clear_messages(state);
    if (!TIFFSetDirectory(state->tiff, state->pages[index])) {
        return dsvl_fail(err, DSVL_E_INPUT, "the TIFF page's directory is broken: %s", state->error);
    }
    uint16_t orientation = ORIENTATION_TOPLEFT;
    if (read_page(state, page, &orientation, err)) return -1;
    if (dsvl_pixels_orient(&page->pixels, &page->width, &page->height, orientation, err)) return -1;
    dsvl_orientation_facts(orientation, &page->rotation, &page->mirrored);
    read_resolution(state->tiff, orientation >= 5 && orientation <= 8, page);
    page->damaged = state->error[0] != '\0';
    const char *notice = state->error[0] ? state->error : state->notice;
    if (notice[0] && !(page->warning = dsvl_strdup(notice))) return dsvl_fail_memory(err, strlen(notice));
    return 0;
}

const dsvl_source_format dsvl_source_tiff = {
    .name = "TIFF", .detect = tiff_detect, .open = tiff_open, .close = tiff_close, .decode = tiff_decode};
