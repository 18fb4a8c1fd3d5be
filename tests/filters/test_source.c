/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the page sources, and what happens to each format when memory runs out at every point. */
#include "filters/exif.h"
#include "filters/page_list.h"
#include "filters/page_record.h"
#include "filters/pixels.h"
#include "filters/source.h"
#include "lib/alloc.h"
#include "tests/unit/check.h"

/* ---- pixels ---- */

static void test_argb(void)
{
    /* Every count up to 40: the vector part must not write past its end. */
    for (size_t n = 0; n < 40; n++) {
        uint32_t in[40] = {0};
        uint8_t out[3 * 40 + 1], flat[3 * 40 + 1];
        for (size_t i = 0; i < n; i++) in[i] = (uint32_t)(0x40000000u | (i * 0x050301u + 0x102030u));
        memset(out, 0xa5, sizeof out);
        memset(flat, 0xa5, sizeof flat);
        dsvl_pixels_from_rgb24(out, in, n);
        dsvl_pixels_from_argb32(flat, in, n);
        for (size_t i = 0; i < n; i++) {
            for (int k = 0; k < 3; k++) {
                unsigned v = in[i] >> (16 - 8 * k) & 255;
                CHECK(out[3 * i + (size_t)k] == v);
                CHECK(flat[3 * i + (size_t)k] == (v + 191 > 255 ? 255 : v + 191));
            }
        }
        CHECK(out[3 * n] == 0xa5 && flat[3 * n] == 0xa5);
        dsvl_pixels_from_rgb24((uint8_t *)in, in, n); /* in place, where n words hold more than 3 n bytes */
        CHECK(memcmp(in, out, 3 * n) == 0);
    }
}

/* 3 x 2 pixels "abc/def" turned upright: rows as exif_transpose gives them. */
static void test_orient(void)
{
    static const char *const want[9] = {"abc/def/",  "abc/def/",  "cba/fed/",  "fed/cba/", "def/abc/",
                                        "ad/be/cf/", "da/eb/fc/", "fc/eb/da/", "cf/be/ad/"};
    for (int o = 0; o <= 8; o++) {
        int width = 3, height = 2;
        dsvl_error err = {0};
        uint8_t *pixels = dsvl_alloc(6, 3);
        for (int i = 0; i < 6; i++) memset(pixels + 3 * i, 'a' + i, 3);
        CHECK(dsvl_pixels_orient(&pixels, &width, &height, o, &err) == 0);
        char text[16] = "";
        for (int y = 0, n = 0; y < height; y++) {
            for (int x = 0; x < width; x++) text[n++] = (char)pixels[3 * (y * width + x)];
            text[n++] = '/';
        }
        CHECK_STR(text, want[o]);
        dsvl_dealloc(pixels);
    }
}

static void test_ink(void)
{
    enum { W = 9, H = 7 };
    uint8_t pixels[H][W][3];
    dsvl_pixel_box box;
    memset(pixels, 200, sizeof pixels);
    pixels[0][0][0] = 210; /* noise */
    CHECK(!dsvl_pixels_ink(&pixels[0][0][0], W, H, &box));
    CHECK(box.x0 == 0 && box.y0 == 0 && box.x1 == W && box.y1 == H);
    pixels[2][3][1] = 100; /* one channel is enough, darker or lighter */
    pixels[4][5][2] = 250;
    CHECK(dsvl_pixels_ink(&pixels[0][0][0], W, H, &box));
    CHECK(box.x0 == 3 && box.y0 == 2 && box.x1 == 6 && box.y1 == 5);
    int width = W, height = H;
    dsvl_pixels_crop(&pixels[0][0][0], &width, &height, box);
    CHECK(width == 3 && height == 3 && (&pixels[0][0][0])[1] == 100 && (&pixels[0][0][0])[3 * 8 + 2] == 250);
}

/* ---- words, lists, EXIF ---- */

static void test_words(void)
{
    dsvl_words words = {0};
    dsvl_error err = {0};
    static const char *const text[] = {"one", "tw\xc3\xb6",
                                       "thr\xff"
                                       "ee",
                                       "four"};
    for (int i = 0; i < 1000; i++) {
        const double box[4] = {i, 10, i + 1, 20};
        uint8_t flags = i % 4 == 3 ? DSVL_WORD_LINE : DSVL_WORD_SPACE;
        CHECK(dsvl_words_add(&words, box, text[i % 4], strlen(text[i % 4]), 8, flags, &err) == 0);
    }
    CHECK(words.count == 1000 && words.offsets[1000] == (int32_t)words.bytes);
    CHECK(memcmp(words.text + words.offsets[2],
                 "thr\xef\xbf\xbd"
                 "ee",
                 8) == 0);
    const double part[4] = {401, 0, 403,
                            30}; /* middles 401.5 and 402.5: the second and third word of a line */
    dsvl_words_keep(&words, part);
    CHECK(words.count == 2 && words.boxes[0] == 401 && words.boxes[4] == 402);
    CHECK(words.offsets[1] == 4 && words.offsets[2] == 12 && memcmp(words.text, "tw\xc3\xb6thr", 7) == 0);
    CHECK(words.flags[0] == DSVL_WORD_SPACE && words.flags[1] == DSVL_WORD_LINE);
    dsvl_words_free(&words);
}

static void test_page_list(void)
{
    dsvl_page_list list;
    dsvl_error err = {0};
    CHECK(dsvl_page_list_parse(&list, "1-3,7,-1,-4--2,5--1", &err) == 0 && list.count == 5);
    long from, to, missing;
    char text[160];
    CHECK(dsvl_page_range_resolve(&list.ranges[0], 10, &from, &to, &missing, text) && from == 1 && to == 3);
    CHECK(dsvl_page_range_resolve(&list.ranges[2], 10, &from, &to, &missing, text) && from == 10 && to == 10);
    CHECK(dsvl_page_range_resolve(&list.ranges[3], 10, &from, &to, &missing, text) && from == 7 && to == 9);
    CHECK(dsvl_page_range_resolve(&list.ranges[4], 10, &from, &to, &missing, text) && from == 5 && to == 10);
    CHECK(!dsvl_page_range_resolve(&list.ranges[1], 6, &from, &to, &missing, text) && from > to &&
          missing == 7);
    CHECK(!dsvl_page_range_resolve(&list.ranges[3], 2, &from, &to, &missing, text) && from == 1 && to == 1 &&
          missing == 0);
    CHECK(!dsvl_page_range_resolve(&list.ranges[4], 3, &from, &to, &missing, text) && from > to &&
          missing == 5);
    dsvl_page_list_free(&list);
}

static void test_exif(void)
{
    /* Little- and big-endian: one entry, orientation 8; then every cut and every single wrong byte must be
     * harmless. */
    static const unsigned char little[] = "II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0\0\0\0\0";
    static const unsigned char big[] = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0";
    const unsigned char *blocks[] = {little, big};
    dsvl_exif exif;
    for (int b = 0; b < 2; b++) {
        dsvl_exif_read(&exif, blocks[b], sizeof little - 1);
        CHECK(exif.orientation == 8);
        for (size_t n = 0; n < sizeof little; n++) {
            unsigned char *cut = malloc(n + 1); /* the sanitizer sees a read past n */
            memcpy(cut, blocks[b], n);
            dsvl_exif_read(&exif, cut, n);
            CHECK(exif.orientation == 1 || exif.orientation == 8);
            if (n) cut[n - 1] = 0xff;
            dsvl_exif_read(&exif, cut, n);
            CHECK(exif.orientation >= 1 && exif.orientation <= 8);
            free(cut);
        }
    }
}

static void test_pool(void)
{
    enum { SIZE = 3 << 20 };
    dsvl_page_pool *pool = dsvl_page_pool_new();
    void *first = dsvl_page_pool_take(pool, SIZE);
    dsvl_page_pool_give(pool, first, SIZE);
    void *small = dsvl_page_pool_take(pool, SIZE / 4), *same = dsvl_page_pool_take(pool, SIZE / 2 + 1);
    CHECK(small != first && same == first);
    dsvl_page_pool_give(pool, small, SIZE / 4);
    for (int i = 0; i < 20; i++)
        dsvl_page_pool_give(pool, dsvl_alloc(SIZE, 1), SIZE); /* more than it keeps */
    dsvl_page_pool_give(pool, NULL, SIZE);
    dsvl_page_pool_give(NULL, same, SIZE);
    void *none = dsvl_page_pool_take(NULL, 100);
    CHECK(none != NULL);
    dsvl_dealloc(none);
    dsvl_page_pool_free(pool);
}

/* ---- sources ---- */

static int render_all(const char *path, const dsvl_render_options *options, int *pages, dsvl_page *first,
                      dsvl_error *err)
{
    dsvl_bytes bytes;
    if (dsvl_bytes_open(&bytes, path, DSVL_DOCUMENT_LIMIT, err)) return -1;
    dsvl_source *source = dsvl_source_open(bytes.data, bytes.length, NULL, options, err);
    int status = source ? 0 : -1;
    *pages = source ? dsvl_source_pages(source) : 0;
    for (int i = 0; i < *pages && status == 0; i++) {
        dsvl_page page;
        status = dsvl_source_render(source, i, &page, err);
        if (i == 0 && status == 0 && first)
            *first = page;
        else
            dsvl_page_free(&page);
    }
    dsvl_source_close(source);
    dsvl_bytes_close(&bytes);
    return status;
}

static void test_formats(void)
{
    static const struct {
        const char *path;
        int pages, width, height;
        double dpi;
    } documents[] = {{"tests/data/turned.jpg", 1, 20, 30, 144},
                     {"tests/data/alpha.png", 1, 30, 20, 72},
                     {"tests/data/tiled16.tif", 1, 70, 50, 300},
                     {"tests/data/thumbnails.tif", 2, 50, 60, 72}};
    dsvl_render_options options = dsvl_render_defaults();
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        dsvl_error err = {0};
        dsvl_page page = {0};
        int pages;
        CHECK_MSG(render_all(documents[i].path, &options, &pages, &page, &err) == 0, "%s: %s",
                  documents[i].path, err.message);
        CHECK(pages == documents[i].pages && page.width == documents[i].width &&
              page.height == documents[i].height);
        CHECK_MSG(page.scale_x * 72 > documents[i].dpi - 0.1 && page.scale_x * 72 < documents[i].dpi + 0.1,
                  "%g", page.scale_x * 72);
        dsvl_page_free(&page);
    }
}

/* Fail allocation 1, 2, 3 ... until a run needs no more: each failure is an error, nothing leaks or crashes.
 */
static void test_out_of_memory(void)
{
    static const char *const paths[] = {"tests/data/turned.jpg", "tests/data/alpha.png",
                                        "tests/data/tiled16.tif", "tests/data/thumbnails.tif"};
    dsvl_render_options options = dsvl_render_defaults();
    options.trim = true;
    options.gray = true;
    options.scale_to = 17;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        bool failed = true;
        for (long n = 1; failed && n < 1000; n++) {
            dsvl_error err = {0};
            int pages;
            dsvl_alloc_fail_at(n);
            int status = render_all(paths[i], &options, &pages, NULL, &err);
            failed = dsvl_alloc_count() >= n;
            dsvl_alloc_fail_at(0);
            CHECK_MSG((status != 0) == failed, "%s, allocation %ld: %s", paths[i], n, err.message);
            CHECK(!failed || err.code == DSVL_E_MEMORY);
        }
        CHECK(!failed);
    }
}

static void test_record(void)
{
    dsvl_render_options options = dsvl_render_defaults();
    const dsvl_page_origin origin = {"-", 1, 2};
    bool failed = true;
    for (long n = 1; failed && n < 1000; n++) {
        dsvl_error err = {0};
        dsvl_page page = {0};
        const double box[4] = {1, 2, 3, 4};
        int pages;
        CHECK(render_all("tests/data/turned.jpg", &options, &pages, &page, &err) == 0);
        CHECK(dsvl_words_add(&page.words, box, "word", 4, 9, DSVL_WORD_LINE, &err) == 0);
        dsvl_alloc_fail_at(n);
        dsvl_record *record = dsvl_page_record_new_take(&origin, &page, &err);
        bool good = record && dsvl_page_record_hash(record, &err) == 0;
        failed = dsvl_alloc_count() >= n;
        dsvl_alloc_fail_at(0);
        CHECK(good == !failed && page.pixels == NULL && page.words.text == NULL);
        if (good) {
            char place[256];
            CHECK_STR(dsvl_record_place(record, place), "standard input, page 1");
            CHECK_STR(dsvl_record_get(record, DSVL_KEY_ROTATION), "90");
            CHECK_STR(dsvl_record_get(record, DSVL_KEY_TO_POINTS), "0.5 0 0 0.5 0 0");
            CHECK(strlen(dsvl_record_get(record, DSVL_KEY_HASH)) == 64);
            CHECK(dsvl_record_need(record, DSVL_WORDS_OFFSETS, DSVL_I32, 1, &err) != NULL);
        }
        dsvl_record_free(record);
    }
    CHECK(!failed);
}

int main(void)
{
    test_argb();
    test_orient();
    test_ink();
    test_words();
    test_page_list();
    test_exif();
    test_pool();
    test_formats();
    test_out_of_memory();
    test_record();
    return CHECK_DONE();
}
