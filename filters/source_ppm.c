/* SPDX-License-Identifier: Apache-2.0 */
/* netpbm's raw pictures, any number one after the other: P4 (bits), P5 (gray), P6 (colour), up to 16 bits. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "filters/source.h"
#include "lib/alloc.h"

typedef struct pnm_picture {
    char kind; /* '4', '5', '6' */
    uint32_t width, height, maxval;
    size_t data;   /* offset of the first row */
    bool complete; /* all rows are in the file */
} pnm_picture;

typedef struct pnm_state {
    pnm_picture *pictures;
    size_t capacity;
} pnm_state;

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool ppm_detect(const unsigned char *data, size_t length)
{
    return length >= 3 && data[0] == 'P' && data[1] >= '4' && data[1] <= '6' &&
           (is_space(data[2]) || data[2] == '#');
}

/* A number of the header after white space and comments. *at moves behind it. */
static bool read_number(const dsvl_source *s, size_t *at, uint32_t *value)
{
    size_t i = *at;
    while (i < s->length && (is_space(s->data[i]) || s->data[i] == '#')) {
        if (s->data[i] == '#') {
            while (i < s->length && s->data[i] != '\n') i++;
        } else {
            i++;
        }
    }
    uint64_t n = 0;
    size_t digits = i;
    for (; i < s->length && s->data[i] >= '0' && s->data[i] <= '9'; i++) {
        n = 10 * n + (uint64_t)(s->data[i] - '0');
        if (n > INT_MAX) return false;
    }
    *at = i;
    *value = (uint32_t)n;
    return i > digits;
}

static size_t row_bytes(const pnm_picture *p)
{
    size_t width = p->width;
    if (p->kind == '4') return (width + 7) / 8;
    return width * (p->kind == '6' ? 3 : 1) * (p->maxval > 255 ? 2 : 1);
}

/* One header at *at; moves behind the picture's rows. False: no picture begins there. */
static bool read_header(const dsvl_source *s, size_t *at, pnm_picture *p)
{
    if (!ppm_detect(s->data + *at, s->length - *at)) return false;
    *p = (pnm_picture){.kind = (char)s->data[*at + 1], .maxval = 1};
    size_t i = *at + 2;
    if (!read_number(s, &i, &p->width) || !read_number(s, &i, &p->height)) return false;
    if (p->kind != '4' && (!read_number(s, &i, &p->maxval) || p->maxval == 0 || p->maxval > 65535))
        return false;
    if (i >= s->length || !is_space(s->data[i])) return false;
    p->data = i + 1;
    size_t bytes;
    p->complete = !__builtin_mul_overflow(row_bytes(p), p->height, &bytes) && bytes <= s->length - p->data;
    *at = p->complete ? p->data + bytes : s->length;
    return true;
}

static int ppm_open(dsvl_source *source, dsvl_error *err)
{
    pnm_state *pnm = dsvl_alloc_zero(1, sizeof *pnm);
    if (!pnm) return dsvl_fail_memory(err, sizeof *pnm);
    source->state = pnm;
    size_t at = 0, count = 0;
    while (at < source->length) {
        pnm_picture picture;
        if (!read_header(source, &at, &picture)) break;
        void *pictures = pnm->pictures;
        bool grown = dsvl_grow(&pictures, &pnm->capacity, count + 1, sizeof picture);
        pnm->pictures = pictures;
        if (!grown) return dsvl_fail_memory(err, (count + 1) * sizeof picture);
        pnm->pictures[count++] = picture;
        while (at < source->length && is_space(source->data[at])) at++;
        if (count == INT_MAX) break;
    }
    if (count == 0) return dsvl_fail(err, DSVL_E_INPUT, "the PNM header is malformed or cut short");
    source->pages = (int)count;
    if (at < source->length) {
        snprintf(source->damage, sizeof source->damage,
                 "after picture %zu, at byte %zu, come %zu bytes that are no PNM picture", count, at,
                 source->length - at);
    }
    return 0;
}

static void ppm_close(dsvl_source *source)
{
    pnm_state *pnm = source->state;
    if (pnm) dsvl_dealloc(pnm->pictures);
    dsvl_dealloc(pnm);
    source->state = NULL;
}

/* The n samples of a row scaled to 0 .. 255, rounded; samples over maxval count as maxval. */
static void scale_samples(uint8_t *out, const unsigned char *in, size_t n, uint32_t maxval)
{
    if (maxval == 255) {
        memcpy(out, in, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t v = maxval > 255 ? (uint32_t)in[2 * i] << 8 | in[2 * i + 1] : in[i];
        if (v > maxval) v = maxval;
        out[i] = (uint8_t)((2 * v * 255 + maxval) / (2 * maxval));
    }
}

static void read_row(uint8_t *rgb, const unsigned char *in, const pnm_picture *p)
{
    size_t width = p->width;
    if (p->kind == '6') {
        scale_samples(rgb, in, 3 * width, p->maxval);
    } else if (p->kind == '5') {
        /* The row's samples go to its last third and are spread from there: reading stays ahead of writing.
         */
        uint8_t *gray = rgb + 2 * width;
        scale_samples(gray, in, width, p->maxval);
        for (size_t x = 0; x < width; x++) memset(rgb + 3 * x, gray[x], 3);
    } else {
        for (size_t x = 0; x < width; x++) memset(rgb + 3 * x, in[x / 8] >> (7 - x % 8) & 1 ? 0 : 255, 3);
    }
}

static int ppm_decode(dsvl_source *source, int index, dsvl_page *page, dsvl_error *err)
{
    const pnm_state *pnm = source->state;
    const pnm_picture *p = &pnm->pictures[index];
    if (!p->complete) {
        return dsvl_fail(
            err, DSVL_E_INPUT,
            "the PNM picture is cut short: %u rows of %zu bytes are announced, %zu bytes are there",
            p->height, row_bytes(p), source->length - p->data);
    }
    if (dsvl_page_allocate(page, p->width, p->height, &source->options, err)) return -1;
    for (uint32_t y = 0; y < p->height; y++) {
        read_row(page->pixels + (size_t)3 * p->width * y, source->data + p->data + row_bytes(p) * y, p);
    }
    dsvl_page_resolution(page, 0, 0);
    return 0;
}

const dsvl_source_format dsvl_source_ppm = {
    .name = "PNM", .detect = ppm_detect, .open = ppm_open, .close = ppm_close, .decode = ppm_decode};
