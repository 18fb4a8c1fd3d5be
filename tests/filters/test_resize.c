/* SPDX-License-Identifier: Apache-2.0 */
/* Vector code against scalar code over a grid of sizes with odd tails; refusals; nothing written outside the
 * result; every allocation failing in turn. Equality with Pillow is tested by test_resize_pillow.py. */
#include "filters/resize.h"

#include <math.h>

#include "lib/alloc.h"
#include "tests/unit/check.h"

static uint32_t seed = 1;

static uint8_t noise(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint8_t)(seed >> 24);
}

/* A picture with rows `gap` bytes apart, of random bytes or of 0 and 255 alone. */
static dsvl_picture picture_new(int width, int height, int channels, size_t gap)
{
    size_t stride = (size_t)width * (size_t)channels + gap, bytes = stride * (size_t)height - gap;
    uint8_t *pixels = malloc(bytes); /* exactly as long as it must be: a sanitizer sees reads behind it */
    bool hard = noise() & 1;
    for (size_t i = 0; i < bytes; i++) pixels[i] = hard ? (noise() & 1 ? 255 : 0) : noise();
    return (dsvl_picture){pixels, stride, width, height, channels};
}

static void picture_free(dsvl_picture *picture)
{
    union {
        const uint8_t *shared;
        uint8_t *own;
    } block = {picture->pixels};
    free(block.own);
}

enum { MARGIN = 7 }; /* bytes between the rows of a result that must stay as they are */

static void compare(const dsvl_picture *source, int width, int height, const float *box,
                    dsvl_resize_filter filter)
{
    size_t bytes = (size_t)width * (size_t)source->channels, stride = bytes + MARGIN;
    uint8_t *fast = malloc(stride * (size_t)height), *scalar = malloc(stride * (size_t)height);
    memset(fast, 0xA5, stride * (size_t)height);
    memset(scalar, 0xA5, stride * (size_t)height);
    dsvl_error err = {0};
    CHECK(dsvl_resize(fast, stride, width, height, source, box, filter, &err) == 0);
    CHECK(dsvl_resize_scalar(scalar, stride, width, height, source, box, filter, &err) == 0);
    CHECK_MSG(memcmp(fast, scalar, stride * (size_t)height) == 0, "%dx%dx%d -> %dx%d filter %d",
              source->width, source->height, source->channels, width, height, (int)filter);
    for (int y = 0; y < height; y++)
        for (size_t i = bytes; i < stride; i++) CHECK(fast[(size_t)y * stride + i] == 0xA5);
    free(fast);
    free(scalar);
}

static void test_variants(void)
{
    static const int sides[] = {1, 2, 3, 5, 10, 11, 12, 21, 22, 32, 33, 64, 67, 131};
    enum { SIDES = sizeof sides / sizeof *sides };
    for (int i = 0; i < 1500; i++) {
        int channels = noise() % 4 ? 3 : 1;
        dsvl_picture p =
            picture_new(sides[noise() % SIDES], sides[noise() % SIDES], channels, noise() % 3 ? 0 : 5);
        float box[4] = {0, 0, (float)p.width, (float)p.height};
        if (noise() % 2) {
            box[0] = (float)noise() / 600 * box[2];
            box[1] = (float)noise() / 600 * box[3];
            box[2] -= (float)noise() / 600 * box[2];
            box[3] -= (float)noise() / 600 * box[3];
        }
        compare(&p, sides[noise() % SIDES], sides[noise() % SIDES], noise() % 2 ? box : NULL,
                (dsvl_resize_filter)(noise() % DSVL_RESIZE_FILTERS));
        picture_free(&p);
    }
}

/* One axis thousands of times the other, and windows of thousands of samples. */
static void test_extremes(void)
{
    static const int sizes[][4] = {
        {1, 1, 500, 500}, {1, 20000, 3, 2}, {20000, 1, 2, 3},   {20000, 2, 1, 1},    {1, 1, 1, 5000},
        {3, 7, 5000, 1},  {2, 9000, 40, 1}, {9000, 2, 9001, 2}, {640, 480, 640, 12}, {640, 480, 7, 480}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int filter = 0; filter < DSVL_RESIZE_FILTERS; filter++) {
            dsvl_picture p = picture_new(sizes[i][0], sizes[i][1], 3, 0);
            compare(&p, sizes[i][2], sizes[i][3], NULL, (dsvl_resize_filter)filter);
            picture_free(&p);
        }
    }
}

static int refused(const dsvl_picture *p, int width, int height, const float *box, dsvl_code code)
{
    uint8_t out[64];
    dsvl_error err = {0};
    return dsvl_resize(out, 8, width, height, p, box, DSVL_RESIZE_BICUBIC, &err) == -1 && err.code == code &&
           err.message[0] != '\0';
}

static void test_refusals(void)
{
    dsvl_picture p = picture_new(4, 4, 3, 0), q = p;
    CHECK(refused(&p, 0, 2, NULL, DSVL_E_INPUT));
    CHECK(refused(&p, 2, -1, NULL, DSVL_E_INPUT));
    q.width = 0;
    CHECK(refused(&q, 2, 2, NULL, DSVL_E_INPUT));
    q.width = DSVL_RESIZE_MAX_SIDE + 1;
    CHECK(refused(&q, 2, 2, NULL, DSVL_E_LIMIT));
    CHECK(refused(&p, 2, DSVL_RESIZE_MAX_SIDE + 1, NULL, DSVL_E_LIMIT));
    CHECK(refused(&p, 3, 2, NULL, DSVL_E_INTERNAL)); /* 9 bytes a row do not fit a stride of 8 */
    q = p;
    q.channels = 4;
    CHECK(refused(&q, 2, 2, NULL, DSVL_E_INTERNAL));
    q = p;
    q.stride = 11;
    CHECK(refused(&q, 2, 2, NULL, DSVL_E_INTERNAL));
    static const float boxes[][4] = {
        {-1, 0, 4, 4}, {0, 0, 4.5f, 4}, {3, 0, 2, 4}, {0, NAN, 4, 4}, {0, 0, 4, INFINITY}};
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++)
        CHECK(refused(&p, 2, 2, boxes[i], DSVL_E_INPUT));
    picture_free(&p);
}

static void test_no_memory(void)
{
    dsvl_picture p = picture_new(20, 30, 3, 0);
    uint8_t out[9 * 3 * 7];
    int failures = 0;
    for (long n = 1; n < 50; n++) {
        dsvl_error err = {0};
        dsvl_alloc_fail_at(n);
        int status = dsvl_resize(out, 27, 9, 7, &p, NULL, DSVL_RESIZE_BICUBIC, &err);
        dsvl_alloc_fail_at(0);
        if (status == 0) break;
        failures++;
        CHECK(err.code == DSVL_E_MEMORY);
    }
    CHECK_MSG(failures > 5 && failures < 40, "%d", failures);
    picture_free(&p);
}

int main(void)
{
    test_variants();
    test_extremes();
    test_refusals();
    test_no_memory();
    return CHECK_DONE();
}
