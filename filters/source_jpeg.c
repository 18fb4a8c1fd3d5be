/* SPDX-License-Identifier: Apache-2.0 */
/* JPEG pictures: the only file that includes jpeglib.h. Gray, RGB, YCbCr, CMYK and YCCK; baseline and
 * progressive. A picture whose data ends early is an error: libjpeg would fill the rest with gray. */
#include <setjmp.h>
#include <stdio.h> /* jpeglib.h needs it */
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "filters/exif.h"
#include "filters/pixels.h"
#include "filters/source.h"
#include "lib/alloc.h"

enum { MAX_SCANS = 500 }; /* a progressive file of a few kilobytes can ask for days of work */

typedef struct jpeg_state {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape; /* where libjpeg's fatal errors go; only objects reached through this struct are live
                       across it */
    bool created;
    bool short_data; /* the data ended inside the picture, or does not decode */
    bool no_end;     /* the end marker is missing */
    char message[JMSG_LENGTH_MAX];
    unsigned char *row; /* [width, components] where libjpeg's colours are not ours */
} jpeg_state;

static void on_fatal(j_common_ptr info)
{
    jpeg_state *jpeg = info->client_data;
    info->err->format_message(info, jpeg->message);
    longjmp(jpeg->escape, 1);
}

static void on_message(j_common_ptr info, int level)
{
    if (level >= 0) return; /* trace */
    jpeg_state *jpeg = info->client_data;
    switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
        jpeg->no_end = true;
        break;
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_NOT_SEQUENTIAL:
        jpeg->short_data = true;
        break;
    default:
        return; /* stray bytes between segments and the like: the picture is whole */
    }
    if (!jpeg->message[0]) info->err->format_message(info, jpeg->message);
}

static void on_progress(j_common_ptr info)
{
    jpeg_state *jpeg = info->client_data;
    if (jpeg->info.input_scan_number <= MAX_SCANS) return;
    snprintf(jpeg->message, sizeof jpeg->message, "more than %d scans", MAX_SCANS);
    longjmp(jpeg->escape, 1);
}

static bool jpeg_detect(const unsigned char *data, size_t length)
{
    return length >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0;
}

static int jpeg_open(dsvl_source *source, dsvl_error *err)
{
    (void)err;
    source->pages = 1;
    return 0;
}

static void jpeg_close(dsvl_source *source)
{
    (void)source;
}

/* Orientation and resolution: JFIF's own density comes before EXIF's. */
static dsvl_exif read_facts(const jpeg_state *jpeg)
{
    dsvl_exif exif = {.orientation = 1};
    for (jpeg_saved_marker_ptr m = jpeg->info.marker_list; m; m = m->next) {
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0", 6) == 0) {
            dsvl_exif_read(&exif, m->data + 6, m->data_length - 6);
            break;
        }
    }
    if (jpeg->info.saw_JFIF_marker && jpeg->info.density_unit) {
        double per_inch = jpeg->info.density_unit == 2 ? 2.54 : 1;
        exif.x_dpi = jpeg->info.X_density * per_inch;
        exif.y_dpi = jpeg->info.Y_density * per_inch;
    }
    return exif;
}

/* [n, 4] to [n, 3]. Adobe's programs store CMYK inverted, and say so with their marker. */
static void cmyk_to_rgb(uint8_t *rgb, const unsigned char *cmyk, size_t n, bool inverted)
{
    unsigned flip = inverted ? 0 : 255;
    for (size_t i = 0; i < n; i++, rgb += 3, cmyk += 4) {
        unsigned white = cmyk[3] ^ flip;
        for (int k = 0; k < 3; k++) {
            unsigned product = (cmyk[k] ^ flip) * white + 128; /* rounded /255, exact for 16 bits */
            rgb[k] = (uint8_t)((product + (product >> 8)) >> 8);
        }
    }
}

static void read_row(jpeg_state *jpeg, uint8_t *rgb)
{
    size_t width = jpeg->info.output_width;
    JSAMPROW row = jpeg->row ? jpeg->row : rgb;
    jpeg_read_scanlines(&jpeg->info, &row, 1);
    if (jpeg->info.out_color_space == JCS_CMYK) {
        cmyk_to_rgb(rgb, jpeg->row, width, jpeg->info.saw_Adobe_marker);
    } else if (jpeg->info.out_color_space == JCS_GRAYSCALE) {
        for (size_t x = 0; x < width; x++) memset(rgb + 3 * x, jpeg->row[x], 3);
    }
}

static int choose_colors(struct jpeg_decompress_struct *info, dsvl_error *err)
{
    switch (info->num_components) {
    case 1:
        info->out_color_space = JCS_GRAYSCALE;
        return 0;
    case 3:
        info->out_color_space = JCS_RGB;
        return 0;
    case 4:
        info->out_color_space = JCS_CMYK;
        return 0;
    default:
        return dsvl_fail(err, DSVL_E_INPUT, "the JPEG has %d colour channels; 1, 3 or 4 are read",
                         info->num_components);
    }
}

/* Everything that may longjmp. Returns 0 or -1 with *err filled, or does not return. */
static int decode_steps(jpeg_state *jpeg, const dsvl_source *source, dsvl_page *page, dsvl_exif *facts,
                        dsvl_error *err)
{
    struct jpeg_decompress_struct *info = &jpeg->info;
    jpeg_create_decompress(info);
    jpeg->created = true;
    jpeg_mem_src(info, source->data, source->length);
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(info, TRUE);
    *facts = read_facts(jpeg);
    info->progress = &jpeg->progress;
    if (choose_colors(info, err)) return -1;
    if (dsvl_page_allocate(page, info->image_width, info->image_height, &source->options, err)) return -1;
    if (info->out_color_space != JCS_RGB) {
        jpeg->row = dsvl_alloc(info->image_width, (size_t)info->num_components);
        if (!jpeg->row)
            return dsvl_fail_memory(err, (size_t)info->image_width * (size_t)info->num_components);
    }
    jpeg_start_decompress(info);
    size_t stride = 3 * (size_t)page->width;
    while (info->output_scanline < info->output_height)
        read_row(jpeg, page->pixels + stride * info->output_scanline);
    /* A baseline picture can be whole without its end marker; a progressive one then lacks its last scans. */
    if (jpeg->short_data || (jpeg->no_end && jpeg_has_multiple_scans(info))) {
        return dsvl_fail(err, DSVL_E_INPUT, "the JPEG is cut short or damaged: %s", jpeg->message);
    }
    return 0;
}

static int decode_guarded(jpeg_state *jpeg, const dsvl_source *source, dsvl_page *page, dsvl_exif *facts,
                          dsvl_error *err)
{
    if (setjmp(jpeg->escape))
        return dsvl_fail(err, DSVL_E_INPUT, "the JPEG cannot be read: %s", jpeg->message);
    return decode_steps(jpeg, source, page, facts, err);
}

static int jpeg_decode(dsvl_source *source, int index, dsvl_page *page, dsvl_error *err)
{
    (void)index;
    jpeg_state *jpeg = dsvl_alloc_zero(1, sizeof *jpeg);
    if (!jpeg) return dsvl_fail_memory(err, sizeof *jpeg);
    jpeg->info.err = jpeg_std_error(&jpeg->errors);
    jpeg->errors.error_exit = on_fatal;
    jpeg->errors.emit_message = on_message;
    jpeg->progress.progress_monitor = on_progress;
    jpeg->info.client_data = jpeg;
    dsvl_exif facts = {0};
    int status = decode_guarded(jpeg, source, page, &facts, err);
    if (jpeg->created) jpeg_destroy_decompress(&jpeg->info);
    dsvl_dealloc(jpeg->row);
    dsvl_dealloc(jpeg);
    if (status) return -1;
    if (dsvl_pixels_orient(&page->pixels, &page->width, &page->height, facts.orientation, err)) return -1;
    dsvl_orientation_facts(facts.orientation, &page->rotation, &page->mirrored);
    bool turned = facts.orientation >= 5;
    dsvl_page_resolution(page, turned ? facts.y_dpi : facts.x_dpi, turned ? facts.x_dpi : facts.y_dpi);
    return 0;
}

const dsvl_source_format dsvl_source_jpeg = {
    .name = "JPEG", .detect = jpeg_detect, .open = jpeg_open, .close = jpeg_close, .decode = jpeg_decode};
