/* SPDX-License-Identifier: Apache-2.0 */
/* A byte of options and then a picture document: TIFF, JPEG with its EXIF, PNG or PNM. What is drawn is
 * whole. */
#include "filters/source.h"
#include "lib/alloc.h"
#include "tests/fuzz/fuzz.h"

static void check_page(const dsvl_page *page, const dsvl_render_options *options)
{
    size_t bytes = 3 * (size_t)page->width * (size_t)page->height;
    unsigned sum = 0; /* touch every byte */
    ALWAYS(page->width > 0 && page->height > 0 && bytes / 3 <= options->max_pixels);
    for (size_t i = 0; i < bytes; i++) sum += page->pixels[i];
    ALWAYS(sum <= bytes * 255);
    ALWAYS(page->scale_x > 0 && page->scale_y > 0 && page->width_pt > 0 && page->height_pt > 0);
    ALWAYS(page->box[0] < page->box[2] && page->box[1] < page->box[3]);
    ALWAYS(page->rotation % 90 == 0 && page->words.count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    dsvl_error err = {.code = DSVL_OK};
    dsvl_render_options options = dsvl_render_defaults();
    options.max_pixels = 1 << 20;
    options.trim = data[0] & 1;
    options.gray = data[0] & 2;
    options.scale_to = data[0] & 4 ? 37 : 0;
    options.crop = data[0] & 8;
    options.crop_pt[2] = options.crop_pt[3] = 5.5;
    dsvl_source *source = dsvl_source_open(data + 1, size - 1, NULL, &options, &err);
    ALWAYS(source ? err.code == DSVL_OK : err.code != DSVL_OK && err.message[0]);
    for (int i = 0; source && i < dsvl_source_pages(source) && i < 4; i++) {
        dsvl_page page;
        dsvl_error why = {.code = DSVL_OK};
        int status = dsvl_source_render(source, i, &page, &why);
        ALWAYS(status == 0 ? why.code == DSVL_OK : why.code != DSVL_OK && why.message[0]);
        if (status == 0) check_page(&page, &options);
        dsvl_page_free(&page);
    }
    dsvl_source_close(source);
    return 0;
}
