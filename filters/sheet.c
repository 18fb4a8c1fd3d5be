/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/sheet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

/* In em: type that is higher is more than a line. */
static const double HIGHEST = 1.75;
/* In em: from the top of type to where its line may end; and the ink there, of the mean. */
static const double LOWEST = 0.7;
static const double VALLEY = 0.35;
/* In em: a lower strip is half of a frame. */
static const double FRAME = 0.5;
/* Of the width: a row of pixels with more ink is a rule. */
static const double RULE = 0.6;
/* Of the height: a column of pixels with more ink is one, too. */
static const double UPRIGHT = 0.9;
/* Of the ink of a strip: so much above and below its type may be dirt. */
static const double DIRT = 0.01;

static int luminance(const dsvl_picture *page, int x, int y)
{
    const uint8_t *p = page->pixels + (size_t)y * page->stride + (size_t)x * (size_t)page->channels;
    return page->channels == 1 ? p[0] : (2 * p[0] + 5 * p[1] + p[2]) / 8;
}

/* The commonest of 32 levels in a strip: its paper, or the ground behind a header. */
static int ground(const dsvl_picture *page, int x0, int y0, int x1, int y1)
{
    int levels[32] = {0}, best = 0;
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) levels[luminance(page, x, y) / 8]++;
    for (int k = 1; k < 32; k++)
        if (levels[k] > levels[best]) best = k;
    return best * 8 + 4;
}

/* Pixels of a strip, and how much ink there is in its columns and rows, without that of rules. */
typedef struct profile {
    int x0, y0, x1, y1;
    int *columns; /* [x1 - x0] */
    int *rows;    /* [y1 - y0] */
} profile;

static void measure(profile *s, const dsvl_picture *page)
{
    enum { CONTRAST = 48 };
    const int paper = ground(page, s->x0, s->y0, s->x1, s->y1), width = s->x1 - s->x0, height = s->y1 - s->y0;
    memset(s->columns, 0, (size_t)width * sizeof *s->columns);
    for (int y = s->y0; y < s->y1; y++)
        for (int x = s->x0; x < s->x1; x++)
            s->columns[x - s->x0] += abs(luminance(page, x, y) - paper) > CONTRAST;
    for (int y = s->y0; y < s->y1; y++) {
        int n = 0;
        for (int x = s->x0; x < s->x1; x++)
            n += s->columns[x - s->x0] < UPRIGHT * height && abs(luminance(page, x, y) - paper) > CONTRAST;
        s->rows[y - s->y0] = n > RULE * width ? 0 : n;
    }
}

/* Where the type of a strip begins and ends. False: it is empty. */
static bool find_ink(dsvl_line *line, const dsvl_picture *page, profile *s)
{
    s->x0 = (int)fmax(line->x0, 0), s->x1 = (int)fmin(ceil(line->x1), page->width);
    s->y0 = (int)fmax(line->top, 0), s->y1 = (int)fmin(ceil(line->bottom), page->height);
    if (s->x0 >= s->x1 || s->y0 >= s->y1) return false;
    measure(s, page);
    double total = 0, before = 0;
    for (int y = s->y0; y < s->y1; y++) total += s->rows[y - s->y0];
    line->ink[0] = line->ink[1] = s->y0;
    for (int y = s->y0; y < s->y1; y++) {
        if (before <= DIRT * total) line->ink[0] = y;
        if (before < (1 - DIRT) * total) line->ink[1] = y + 1;
        before += s->rows[y - s->y0];
    }
    return total > 0;
}

/* The row of pixels with the least ink within lines whose tails and tops touch; 0: no two lines are there. */
static double find_valley(const dsvl_line *line, const profile *s, double em)
{
    const int *rows = s->rows, first = s->y0, begin = (int)(line->ink[0] + LOWEST * em),
              end = (int)(line->ink[1] - LOWEST * em);
    double sum = 0;
    int best = 0;
    for (int y = (int)line->ink[0]; y < (int)line->ink[1]; y++) sum += rows[y - first];
    for (int y = begin; y < end; y++)
        if (!best || rows[y - first] < rows[best - first]) best = y;
    const double mean = sum / (line->ink[1] - line->ink[0]);
    return best && rows[best - first] < VALLEY * mean ? best + 0.5 : 0;
}

typedef struct line_list {
    dsvl_line *data;
    size_t count, capacity;
    profile profile; /* scratch: of the page's size */
} line_list;

/* Add a strip, or the lines of text in it. 1: done; 0: it is no single line; -1: memory. */
static int add_strip(line_list *to, dsvl_line line, const dsvl_part *part, const dsvl_picture *page)
{
    while (find_ink(&line, page, &to->profile)) {
        const bool single = line.ink[1] - line.ink[0] <= HIGHEST * part->em;
        const bool text = part->kind == DSVL_PART_TEXT;
        const double valley = single || !text ? 0 : find_valley(&line, &to->profile, part->em);
        dsvl_line rest = line;
        void *block = to->data;
        if (valley > 0) {
            rest.bottom = line.top = valley;
            const int status = add_strip(to, rest, part, page);
            if (status != 1) return status;
            continue;
        }
        if (!single) return 0;
        const bool room = dsvl_grow(&block, &to->capacity, to->count + 1, sizeof line);
        to->data = block;
        if (!room) return -1;
        to->data[to->count++] = line;
        return 1;
    }
    return 1;
}

int dsvl_sheet_lines(dsvl_line **out, size_t *count, const dsvl_part *part, const dsvl_picture *page,
                     dsvl_error *err)
{
    const size_t size = (size_t)page->height + (size_t)page->width;
    int *scratch = dsvl_alloc(size, sizeof *scratch), status = scratch ? 1 : -1;
    line_list all = {.profile = {.columns = scratch, .rows = scratch ? scratch + page->width : NULL}};
    for (size_t i = 0; status == 1 && i <= part->cut_count; i++) {
        const dsvl_line strip = {.top = i ? part->cuts[i - 1] : part->box[1],
                                 .bottom = i < part->cut_count ? part->cuts[i] : part->box[3],
                                 .x0 = part->box[0],
                                 .x1 = part->box[2]};
        if (strip.bottom - strip.top >= FRAME * part->em) status = add_strip(&all, strip, part, page);
    }
    dsvl_dealloc(scratch);
    *out = all.data;
    *count = status == 1 ? all.count : 0;
    if (status >= 0) return 0;
    dsvl_dealloc(all.data);
    *out = NULL;
    return dsvl_fail_memory(err, size * sizeof *scratch);
}

static int draw_line(uint8_t *row, size_t stride, int width, const dsvl_line *line, int pitch, int margin,
                     double zoom, const dsvl_picture *page, dsvl_error *err)
{
    enum { APART = 1 }; /* pixels above and below what only just fits */
    const double middle = (line->ink[0] + line->ink[1]) / 2;
    zoom = fmin(zoom, (pitch - 2 * APART) / (line->ink[1] - line->ink[0]));
    const double reach = pitch / zoom / 2, above = middle - reach; /* the page at the top of the row */
    const double top = fmax(fmax(above, line->top), 0);
    const double bottom = fmin(fmin(middle + reach, line->bottom), page->height);
    const double x1 = fmin(fmin(line->x1, line->x0 + (width - margin) / zoom), page->width);
    const int y = (int)((top - above) * zoom + 0.5), w = (int)((x1 - line->x0) * zoom + 0.5);
    int h = (int)((bottom - top) * zoom + 0.5);
    if (h > pitch - y) h = pitch - y;
    if (w < 1 || h < 1) return 0;
    const float box[4] = {(float)line->x0, (float)top, (float)x1, (float)bottom};
    return dsvl_resize(row + (size_t)y * stride + (size_t)margin * 3, stride, w, h, page, box,
                       DSVL_RESIZE_BICUBIC, err);
}

int dsvl_sheet_draw(uint8_t *canvas, size_t stride, int width, const dsvl_line *lines, size_t count,
                    int pitch, int margin, double zoom, const dsvl_picture *page, dsvl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t *row = canvas + i * (size_t)pitch * stride;
        if (draw_line(row, stride, width, &lines[i], pitch, margin, zoom, page, err)) return -1;
    }
    return 0;
}
