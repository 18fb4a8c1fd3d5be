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
/* In em: more than this that is empty from top to bottom of a table is cut out. */
static const double GAP = 1.3;
/* Of the ink of a strip: so much above and below its type may be dirt. */
static const double DIRT = 0.01;
/* In levels of luminance: from the ground of a strip to its ink. */
enum { CONTRAST = 48 };

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
    int paper;    /* luminance of the ground */
    int *columns; /* [x1 - x0] */
    int *rows;    /* [y1 - y0] */
} profile;

static void measure(profile *s, const dsvl_picture *page)
{
    const int paper = s->paper = ground(page, s->x0, s->y0, s->x1, s->y1);
    const int width = s->x1 - s->x0, height = s->y1 - s->y0;
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

/* Note which columns of pixels a line has type in. */
static void note_columns(const dsvl_line *line, const dsvl_picture *page, const profile *s, uint8_t *used)
{
    for (int y = (int)line->ink[0]; y < (int)line->ink[1]; y++) {
        if (s->rows[y - s->y0] == 0) continue; /* a rule, or nothing */
        for (int x = s->x0; x < s->x1; x++)
            used[x] |= s->columns[x - s->x0] < UPRIGHT * (s->y1 - s->y0) &&
                       abs(luminance(page, x, y) - s->paper) > CONTRAST;
    }
}

typedef struct finder {
    dsvl_sheet *sheet;
    const dsvl_part *part;
    const dsvl_picture *page;
    profile profile;
    uint8_t *used; /* [width of the page] */
} finder;

/* Add a strip, or the lines of text in it. 1: done; 0: it is no single line; -1: memory. */
static int add_strip(finder *f, dsvl_line line)
{
    while (find_ink(&line, f->page, &f->profile)) {
        const double em = f->part->em;
        const bool single = line.ink[1] - line.ink[0] <= HIGHEST * em, text = f->part->kind == DSVL_PART_TEXT;
        const double valley = single || !text ? 0 : find_valley(&line, &f->profile, em);
        dsvl_line rest = line;
        void *block = f->sheet->lines;
        if (valley > 0) {
            rest.bottom = line.top = valley;
            const int status = add_strip(f, rest);
            if (status != 1) return status;
            continue;
        }
        if (!single) return 0;
        const bool room = dsvl_grow(&block, &f->sheet->capacity, f->sheet->count + 1, sizeof line);
        f->sheet->lines = block;
        if (!room) return -1;
        f->sheet->lines[f->sheet->count++] = line;
        if (f->part->kind == DSVL_PART_TABLE) note_columns(&line, f->page, &f->profile, f->used);
        return 1;
    }
    return 1;
}

static int add_band(dsvl_sheet *sheet, double begin, double end)
{
    void *block = sheet->bands;
    const bool room = dsvl_grow(&block, &sheet->band_capacity, sheet->band_count + 1, sizeof *sheet->bands);
    sheet->bands = block;
    if (!room) return -1;
    sheet->bands[sheet->band_count++] = (dsvl_band){{begin, end}};
    return 0;
}

/* The width of the part, without the middles of what is empty in a table. */
static int find_bands(finder *f)
{
    const double gap = GAP * f->part->em;
    double begin = f->part->box[0];
    int empty = f->profile.x0; /* where what is empty began */
    for (int x = f->profile.x0; f->part->kind == DSVL_PART_TABLE && x < f->profile.x1; x++) {
        if (!f->used[x]) continue;
        if (x - empty > gap && empty > f->profile.x0) {
            if (add_band(f->sheet, begin, empty + gap / 2)) return -1;
            begin = x - gap / 2;
        }
        empty = x + 1;
    }
    return add_band(f->sheet, begin, f->part->box[2]);
}

int dsvl_sheet_find(dsvl_sheet *sheet, const dsvl_part *part, const dsvl_picture *page, dsvl_error *err)
{
    const size_t width = (size_t)page->width, height = (size_t)page->height;
    int *scratch = dsvl_alloc(width + height, sizeof *scratch), status = -1;
    uint8_t *used = dsvl_alloc_zero(width, 1);
    memset(sheet, 0, sizeof *sheet);
    if (!scratch || !used) goto out;
    finder f = {.sheet = sheet, .part = part, .page = page, .used = used};
    f.profile = (profile){.x0 = (int)fmax(part->box[0], 0),
                          .x1 = (int)fmin(ceil(part->box[2]), page->width),
                          .columns = scratch,
                          .rows = scratch + width};
    status = 1;
    for (size_t i = 0; status == 1 && i <= part->cut_count; i++) {
        const dsvl_line strip = {.top = i ? part->cuts[i - 1] : part->box[1],
                                 .bottom = i < part->cut_count ? part->cuts[i] : part->box[3]};
        if (strip.bottom - strip.top >= FRAME * part->em) status = add_strip(&f, strip);
    }
    if (status == 0) sheet->count = 0;
    if (status == 1 && find_bands(&f)) status = -1;
out:
    dsvl_dealloc(scratch);
    dsvl_dealloc(used);
    return status < 0 ? dsvl_fail_memory(err, (width + height) * sizeof *scratch) : 0;
}

void dsvl_sheet_free(dsvl_sheet *sheet)
{
    dsvl_dealloc(sheet->lines);
    dsvl_dealloc(sheet->bands);
    memset(sheet, 0, sizeof *sheet);
}

double dsvl_sheet_width(const dsvl_sheet *sheet)
{
    double width = 0;
    for (size_t i = 0; i < sheet->band_count; i++) width += sheet->bands[i].x[1] - sheet->bands[i].x[0];
    return width;
}

/* A row of pixels of a canvas for a line. */
typedef struct row {
    uint8_t *pixels;
    size_t stride;
    int width, pitch;
} row;

/* Draw one band of a line, `left` pixels from the left, which is where its first column of the page comes to.
 */
static int draw_band(const row *to, double left, const dsvl_line *line, const dsvl_band *band, double zoom,
                     const dsvl_picture *page, dsvl_error *err)
{
    const double middle = (line->ink[0] + line->ink[1]) / 2, reach = to->pitch / zoom / 2,
                 above = middle - reach; /* the page at the top of the row */
    const double top = fmax(fmax(above, line->top), 0);
    const double bottom = fmin(fmin(middle + reach, line->bottom), page->height);
    const int x = (int)(left + 0.5), y = (int)((top - above) * zoom + 0.5);
    const double x1 = fmin(fmin(band->x[1], band->x[0] + (to->width - x) / zoom), page->width);
    const int w = (int)((x1 - band->x[0]) * zoom + 0.5);
    int h = (int)((bottom - top) * zoom + 0.5);
    if (h > to->pitch - y) h = to->pitch - y;
    if (w < 1 || h < 1 || w > to->width - x) return 0;
    const float box[4] = {(float)band->x[0], (float)top, (float)x1, (float)bottom};
    return dsvl_resize(to->pixels + (size_t)y * to->stride + (size_t)x * 3, to->stride, w, h, page, box,
                       DSVL_RESIZE_BICUBIC, err);
}

int dsvl_sheet_draw(uint8_t *canvas, size_t stride, int width, const dsvl_sheet *sheet, size_t first,
                    size_t count, int pitch, int margin, double zoom, const dsvl_picture *page,
                    dsvl_error *err)
{
    enum { APART = 1 }; /* pixels above and below what only just fits */
    for (size_t i = 0; i < count; i++) {
        const dsvl_line *line = &sheet->lines[first + i];
        const row to = {canvas + i * (size_t)pitch * stride, stride, width, pitch};
        const double z = fmin(zoom, (pitch - 2 * APART) / (line->ink[1] - line->ink[0]));
        double left = margin;
        for (size_t k = 0; k < sheet->band_count && left < width; k++) {
            const dsvl_band *band = &sheet->bands[k];
            if (draw_band(&to, left, line, band, z, page, err)) return -1;
            left += (band->x[1] - band->x[0]) * zoom; /* bands stay in line though a row is zoomed less */
        }
    }
    return 0;
}
