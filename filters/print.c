/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/print.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "filters/layout_private.h"
#include "lib/alloc.h"

/* In levels, of 255: a pixel of a strip below it is ink. */
enum { INK = 150, LEAST_CONTRAST = 24, GOOD_CONTRAST = 100 };
/* In em. */
static const double BASELINE = 0.27; /* below the middle of a row: capitals and tails stand in its middle */
static const double AROUND = 0.12;   /* of the page around a line's ink that belongs to its strip */
static const double ASCENT = 0.8, DESCENT = 0.22; /* boxes of words: those of a line are equally high */
static const double SPACE = 0.17;                 /* a wider gap parts words */
static const double NEAR_X = 10, NEAR_Y = 4;      /* lines whose type sizes are compared */
static const double ALIKE = 1.15;                 /* as a factor: sizes that differ by less are one */
static const double APART = 0.8; /* letters that do not touch: so far apart, spaces counted, at the most */
/* Of a row: a piece ends at the widest gap in this last part of it. */
static const double LAST_PART = 0.45;
enum {
    MARGIN = 4, /* pixels left and right in a row */
    LEAST_DOTS = 12
};

/* ---- what is no print ---- */

/* Which ends of a stroke lie at a rule, bit by bit: 1 the upper or left one, 2 the other. */
static int ends_at_rules(const dsvl_cells *p, bool upright, const dsvl_cells *rules, size_t count)
{
    int ends = 0;
    for (size_t k = 0; k < count; k++) {
        const dsvl_cells *r = &rules[k];
        if (!dsvl_cells_touch(p, r, 1)) continue;
        const bool first = upright ? r->y1 <= p->y0 + 1 : r->x1 <= p->x0 + 1,
                   last = upright ? r->y0 >= p->y1 - 1 : r->x0 >= p->x1 - 1;
        ends |= first | last << 1;
    }
    return ends;
}

/* A mark at the foot of a bar, where the axis is hardly to be seen, or one side of the bar's outline. */
static bool is_of_bar(const dsvl_cells *p, const dsvl_cells *bar, double em)
{
    enum { FOOT = 3, SIDE = 2 }; /* cells */
    const int w = p->x1 - p->x0, h = p->y1 - p->y0;
    if (w > h ? w <= 0.6 * em && p->y0 >= bar->y0 && p->y1 <= bar->y1 && abs(bar->x0 - p->x1) <= FOOT
              : h <= 0.6 * em && p->x0 >= bar->x0 && p->x1 <= bar->x1 && abs(p->y0 - bar->y1) <= FOOT)
        return true;
    return h > w ? (abs(p->x0 - bar->x1) <= SIDE || abs(bar->x0 - p->x1) <= SIDE) &&
                       abs(p->y0 - bar->y0) <= SIDE && abs(p->y1 - bar->y1) <= SIDE
                 : (abs(p->y0 - bar->y1) <= SIDE || abs(bar->y0 - p->y1) <= SIDE) &&
                       abs(p->x0 - bar->x0) <= SIDE && abs(p->x1 - bar->x1) <= SIDE;
}

/* The marks of an axis are short strokes that begin or end at a rule; the sides of a bar that is not filled
 * are strokes between two. They go from the pieces. */
static void drop_strokes(dsvl_ink *ink, double em)
{
    size_t kept = 0;
    for (size_t i = 0; i < ink->piece_count; i++) {
        const dsvl_cells *p = &ink->pieces[i];
        const int w = p->x1 - p->x0, h = p->y1 - p->y0, low = w < h ? w : h, high = w < h ? h : w;
        const bool stroke = low <= 0.15 * em + 1 && high >= 2 * low;
        int ends = stroke ? ends_at_rules(p, h > w, ink->rules, ink->rule_count) : 0;
        for (size_t k = 0; k < ink->shade_count && stroke && ends < 3; k++)
            if (ink->shades[k].straight && is_of_bar(p, &ink->shades[k].box, em)) ends = 3;
        if (ends == 3 || (ends && high <= 0.6 * em)) continue;
        ink->areas[kept] = ink->areas[i];
        ink->pieces[kept++] = *p;
    }
    ink->piece_count = kept;
}

/* Rules of dots or dashes: many small marks at one height, where no letter of any line stands. They go from
 * the pieces. */
static int drop_dotted(dsvl_ink *ink, double em, dsvl_error *err)
{
    const size_t height = (size_t)ink->height + 2;
    int *marks = dsvl_alloc_zero(height, sizeof *marks); /* that begin in the row before */
    uint8_t *letters = dsvl_alloc_zero(height, 1);
    size_t kept = 0;
    if (!marks || !letters) {
        dsvl_dealloc(marks);
        dsvl_dealloc(letters);
        return dsvl_fail_memory(err, height * sizeof *marks);
    }
    for (size_t i = 0; i < ink->piece_count; i++) {
        const dsvl_cells *p = &ink->pieces[i];
        const bool mark = p->y1 - p->y0 <= 0.15 * em + 1 && p->x1 - p->x0 <= em;
        marks[p->y0 + 1] += mark;
        for (int y = p->y0; !mark && y < p->y1; y++) letters[y + 1] = 1;
    }
    for (size_t i = 0; i < ink->piece_count; i++) {
        const dsvl_cells *p = &ink->pieces[i];
        const int y = p->y0 + 1;
        if (p->y1 - p->y0 <= 0.15 * em + 1 && p->x1 - p->x0 <= em && !letters[y] &&
            marks[y - 1] + marks[y] + marks[y + 1] >= LEAST_DOTS)
            continue;
        ink->areas[kept] = ink->areas[i];
        ink->pieces[kept++] = *p;
    }
    ink->piece_count = kept;
    dsvl_dealloc(marks);
    dsvl_dealloc(letters);
    return 0;
}

/* Where a strip has rules and no ink besides, it becomes paper. */
static void clear_rules(const dsvl_print_line *l, const dsvl_ink *ink)
{
    const int cell = ink->cell;
    for (size_t k = 0; k < ink->rule_count; k++) {
        const dsvl_cells *r = &ink->rules[k];
        if (r->x1 * cell <= l->x || r->x0 * cell >= l->x + l->width || r->y1 * cell <= l->y ||
            r->y0 * cell >= l->y + l->height)
            continue;
        for (int cy = r->y0; cy < r->y1; cy++) {
            for (int cx = r->x0; cx < r->x1; cx++) {
                if (ink->mask[(size_t)cy * (size_t)ink->width + (size_t)cx]) continue;
                for (int i = 0; i < cell * cell; i++) {
                    const int x = cx * cell + i % cell - l->x, y = cy * cell + i / cell - l->y;
                    if (x >= 0 && y >= 0 && x < l->width && y < l->height)
                        l->strip[(size_t)y * (size_t)l->width + (size_t)x] = 255;
                }
            }
        }
    }
}

/* Whether a solid is a bar that is not filled: one of its sides is a rule. */
static bool is_outlined(const dsvl_ink *ink, const dsvl_cells *bar)
{
    for (size_t i = 0; i < ink->rule_count; i++) {
        const dsvl_cells *r = &ink->rules[i];
        if (!dsvl_is_level(r) && r->x0 == bar->x0 && abs(r->y0 - bar->y0) <= 2 && abs(r->y1 - bar->y1) <= 2)
            return true;
    }
    return false;
}

/* Hatching comes in runs, one above the other within an outlined bar; a value printed there is alone. The
 * runs go. */
static void drop_hatching(work *w)
{
    enum { VALUE = 2, HATCHED = -3 };
    size_t kept = 0;
    for (size_t i = 0; i < w->runs.count; i++) {
        const dsvl_cells *bar = &w->runs.data[i].box;
        size_t within = 0;
        if (!w->runs.data[i].solid || !is_outlined(w->ink, bar)) continue;
        for (int pass = 0; pass < 2; pass++) {
            for (size_t k = 0; k < w->runs.count; k++) {
                run *r = &w->runs.data[k];
                if (r->solid || !dsvl_cells_hold(bar, &r->box, 0)) continue;
                within += pass == 0;
                if (pass && within > VALUE) r->part = HATCHED;
            }
        }
    }
    for (size_t i = 0; i < w->runs.count; i++)
        if (w->runs.data[i].part != HATCHED) w->runs.data[kept++] = w->runs.data[i];
    w->runs.count = kept;
}

/* ---- lines ---- */

/* Band by band from the top, each from left to right. */
static int compare_top(const void *a, const void *b)
{
    const run *x = a, *y = b;
    if (x->box.y0 != y->box.y0) return x->box.y0 < y->box.y0 ? -1 : 1;
    return x->box.x0 < y->box.x0 ? -1 : x->box.x0 > y->box.x0;
}

static int compare_left(const void *a, const void *b)
{
    const run *x = a, *y = b;
    return x->box.x0 < y->box.x0 ? -1 : x->box.x0 > y->box.x0;
}

static void sort_runs(runs *set)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++)
        if (!set->data[i].solid) set->data[kept++] = set->data[i];
    set->count = kept;
    qsort(set->data, kept, sizeof *set->data, compare_top);
    for (size_t i = 0, j; i < kept; i = j) {
        const dsvl_cells *first = &set->data[i].box;
        for (j = i + 1; j < kept; j++) {
            const dsvl_cells *b = &set->data[j].box;
            const int low = b->y1 - b->y0 < first->y1 - first->y0 ? b->y1 - b->y0 : first->y1 - first->y0;
            if (2 * dsvl_overlap(first->y0, first->y1, b->y0, b->y1) <= low) break;
        }
        qsort(set->data + i, j - i, sizeof *set->data, compare_left);
    }
}

/* A run's letters: how many, and the row of cells below which half of them end. */
static int find_baseline(const dsvl_ink *ink, const dsvl_cells *box, double em, int *baseline)
{
    enum { TALLEST = 512 };
    int ends[TALLEST] = {0}, letters = 0, half = 0, y = 0;
    for (size_t i = 0; i < ink->piece_count; i++) {
        const dsvl_cells *p = &ink->pieces[i];
        const int end = p->y1 - box->y0;
        if (!dsvl_cells_hold(box, p, 0) || p->y1 - p->y0 < 0.35 * em || end < 0 || end >= TALLEST) continue;
        ends[end]++;
        letters++;
    }
    *baseline = box->y1;
    if (letters == 0) return 0;
    while (y < TALLEST - 1 && (half += ends[y]) * 2 < letters) y++;
    *baseline = box->y0 + y;
    return letters;
}

/* Of the lines near one, itself among them, those whose type seems about so large: their letters, and in
 * *mean the size that these have on the average. */
static int count_alike(const dsvl_print_line *lines, const double *seen, const int *letters, size_t count,
                       size_t which, double em, double *mean)
{
    const dsvl_print_line *l = &lines[which];
    double sum = 0;
    int total = 0;
    for (size_t i = 0; i < count; i++) {
        const dsvl_print_line *o = &lines[i];
        const double apart = fmax(o->x - (l->x + l->width), l->x - (o->x + o->width));
        if (seen[i] < em / ALIKE || seen[i] > em * ALIKE || fabs(o->baseline - l->baseline) > NEAR_Y * em ||
            apart > NEAR_X * em)
            continue;
        sum += letters[i] * seen[i];
        total += letters[i];
    }
    *mean = total ? sum / total : em;
    return total;
}

/* A line of small letters alone seems smaller than it is, one whose letters touch seems larger: what stands
 * near it tells. */
static double settle_em(const dsvl_print_line *lines, const double *seen, const int *letters, size_t count,
                        size_t which)
{
    static const double misread[] = {0.68, 1.3}; /* small letters, of capitals; letters with tails, joined */
    double em, other;
    int most = letters[which] + count_alike(lines, seen, letters, count, which, seen[which], &em);
    for (size_t k = 0; k < sizeof misread / sizeof *misread; k++) {
        if (misread[k] > 1 && letters[which] * APART * seen[which] > lines[which].width) continue;
        const int n = count_alike(lines, seen, letters, count, which, seen[which] / misread[k], &other);
        if (n > most) em = other, most = n;
    }
    return em;
}

/* ---- strips ---- */

/* A way to see a pixel as one level: the luminance, or a channel that tells more. */
static int level(const uint8_t *p, int way)
{
    return way == 0 ? (2 * p[0] + 5 * p[1] + p[2]) / 8 : p[way - 1];
}

/* The commonest level of a strip's pixels, and the one that is furthest from it but for a few. */
static void find_shades(const dsvl_picture *page, const dsvl_print_line *l, int way, int *paper, int *ink)
{
    int counts[256] = {0}, best = 0, total = l->width * l->height, dark = 0, light = 0, low = 0, high = 255;
    for (int y = 0; y < l->height; y++) {
        const uint8_t *row = page->pixels + (size_t)(l->y + y) * page->stride + (size_t)l->x * 3;
        for (int x = 0; x < l->width; x++) counts[level(row + 3 * x, way)]++;
    }
    for (int k = 0; k < 256; k += 8) {
        int sum = 0, most = 0;
        for (int i = 0; i < 8; i++) {
            sum += counts[k + i];
            if (counts[k + i] > counts[k + most]) most = i;
        }
        if (sum > best) best = sum, *paper = k + most;
    }
    while (low < 255 && (dark += counts[low]) * 50 < total) low++;
    while (high > 0 && (light += counts[high]) * 50 < total) high--;
    *ink = *paper - low > high - *paper ? low : high;
}

/* The strip's pixels as print: ink 0, paper 255. False: there is nothing to see. */
static bool make_strip(dsvl_print_line *l, const dsvl_picture *page)
{
    int way = -1, paper = 255, ink = 0;
    for (int k = 0; k < 4; k++) {
        int p = 255, i = 0;
        if (way >= 0 && abs(paper - ink) >= GOOD_CONTRAST) break;
        find_shades(page, l, k, &p, &i);
        if (way < 0 || abs(p - i) > abs(paper - ink)) way = k, paper = p, ink = i;
    }
    if (abs(paper - ink) < LEAST_CONTRAST) return false;
    for (int y = 0; y < l->height; y++) {
        const uint8_t *row = page->pixels + (size_t)(l->y + y) * page->stride + (size_t)l->x * 3;
        uint8_t *out = l->strip + (size_t)y * (size_t)l->width;
        for (int x = 0; x < l->width; x++) {
            const int v = (level(row + 3 * x, way) - ink) * 255 / (paper - ink);
            out[x] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
    }
    return true;
}

static bool has_ink(const dsvl_print_line *l, int x)
{
    for (int y = 0; y < l->height; y++)
        if (l->strip[(size_t)y * (size_t)l->width + (size_t)x] < INK) return true;
    return false;
}

/* ---- pieces ---- */

static int add_piece(dsvl_print *print, size_t line, int x0, int x1, bool joined, dsvl_error *err)
{
    void *block = print->pieces;
    const bool room =
        dsvl_grow(&block, &print->piece_capacity, print->piece_count + 1, sizeof *print->pieces);
    print->pieces = block;
    if (!room) return dsvl_fail_memory(err, print->piece_capacity * sizeof *print->pieces);
    print->pieces[print->piece_count++] = (dsvl_print_piece){line, x0, x1, joined};
    return 0;
}

/* The widest gap of a line that begins in [from, to): its width, 0 where there is none, and where it is. */
static int widest_gap(const uint8_t *columns, int from, int to, int end, int *at)
{
    int widest = 0;
    for (int x = from, begin; x < to; x++) {
        if (columns[x]) continue;
        for (begin = x; x < end && !columns[x]; x++) continue;
        if (x - begin >= widest) widest = x - begin, *at = begin; /* of equal ones the last */
    }
    return widest;
}

/* Cut a line into pieces that fit a row. columns [width]: whether there is ink. */
static int cut_line(dsvl_print *print, size_t which, const uint8_t *columns, double longest, dsvl_error *err)
{
    const dsvl_print_line *l = &print->lines[which];
    int begin = 0, end = l->width;
    bool joined = false;
    while (begin < end && !columns[begin]) begin++;
    while (end > begin && !columns[end - 1]) end--;
    while (end - begin > longest) {
        const int reach = begin + (int)longest;
        int at = reach;
        const int gap = widest_gap(columns, begin + (int)(longest * (1 - LAST_PART)), reach, end, &at);
        if (add_piece(print, which, begin, at, joined, err)) return -1;
        joined = gap < SPACE * l->em;
        for (begin = at; begin < end && !columns[begin];) begin++;
    }
    return end > begin ? add_piece(print, which, begin, end, joined, err) : 0;
}

static int cut_lines(dsvl_print *print, const dsvl_print_rows *rows, dsvl_error *err)
{
    uint8_t *columns = NULL;
    int status = 0;
    for (size_t i = 0; i < print->line_count && !status; i++) {
        const dsvl_print_line *l = &print->lines[i];
        dsvl_dealloc(columns);
        columns = dsvl_alloc((size_t)l->width, 1);
        if (!columns) return dsvl_fail_memory(err, (size_t)l->width);
        for (int x = 0; x < l->width; x++) columns[x] = has_ink(l, x);
        status = cut_line(print, i, columns, (rows->width - 2 * MARGIN) * l->em / rows->em, err);
    }
    dsvl_dealloc(columns);
    return status;
}

/* ---- a page ---- */

/* The line of a run, with its strip; em and baseline in pixels. False: out of memory. */
static bool open_line(dsvl_print_line *l, const dsvl_cells *box, int cell, const dsvl_picture *page)
{
    const int around = (int)(AROUND * l->em + 1);
    const int x1 = box->x1 * cell + around, y1 = box->y1 * cell + around;
    l->x = box->x0 * cell - around > 0 ? box->x0 * cell - around : 0;
    l->y = box->y0 * cell - around > 0 ? box->y0 * cell - around : 0;
    l->width = (x1 < page->width ? x1 : page->width) - l->x;
    l->height = (y1 < page->height ? y1 : page->height) - l->y;
    l->strip = dsvl_alloc((size_t)l->width, (size_t)l->height);
    return l->strip != NULL;
}

static int find_lines(dsvl_print *print, const work *w, const dsvl_picture *page, dsvl_error *err)
{
    const size_t n = w->runs.count;
    double *seen = dsvl_alloc(n, sizeof *seen);
    int *letters = dsvl_alloc(n, sizeof *letters), status = -1;
    const int cell = w->ink->cell;
    print->lines = dsvl_alloc_zero(n, sizeof *print->lines);
    if (!seen || !letters || !print->lines) goto memory;
    for (size_t i = 0; i < n; i++) {
        dsvl_print_line *l = &print->lines[print->line_count];
        const dsvl_cells *box = &w->runs.data[i].box;
        double em = dsvl_ink_em(w->ink, box, w->cells_per_point);
        int baseline;
        if (!(em > 0)) em = w->em;
        letters[print->line_count] = find_baseline(w->ink, box, em, &baseline);
        seen[print->line_count] = l->em = em * cell;
        l->baseline = baseline * cell;
        if (!open_line(l, box, cell, page)) goto memory;
        if (make_strip(l, page)) {
            clear_rules(l, w->ink);
            print->line_count++;
        } else {
            dsvl_dealloc(l->strip);
        }
    }
    for (size_t i = 0; i < print->line_count; i++)
        print->lines[i].em = settle_em(print->lines, seen, letters, print->line_count, i);
    status = 0;
    goto out;
memory:
    dsvl_fail_memory(err, n * sizeof *print->lines);
out:
    dsvl_dealloc(seen);
    dsvl_dealloc(letters);
    return status;
}

int dsvl_print_find(dsvl_print *print, const dsvl_picture *page, double pixels_per_point,
                    const dsvl_print_rows *rows, dsvl_error *err)
{
    static const double origin[2];
    dsvl_ink ink = {0};
    work w = {.ink = &ink};
    int status = -1;
    memset(print, 0, sizeof *print);
    if (dsvl_ink_find(&ink, page->pixels, page->width, page->height, pixels_per_point, err)) return -1;
    w.cells_per_point = pixels_per_point / ink.cell;
    w.em = ink.em > 0 ? ink.em : 10 * w.cells_per_point;
    drop_strokes(&ink, w.em);
    if (drop_dotted(&ink, w.em, err) || dsvl_runs_find(&w, NULL, origin, err)) goto out;
    drop_hatching(&w);
    sort_runs(&w.runs);
    if (find_lines(print, &w, page, err) == 0) status = cut_lines(print, rows, err);
out:
    dsvl_ink_free(&ink);
    dsvl_dealloc(w.runs.data);
    if (status) dsvl_print_free(print);
    return status;
}

void dsvl_print_free(dsvl_print *print)
{
    for (size_t i = 0; i < print->line_count; i++) dsvl_dealloc(print->lines[i].strip);
    dsvl_dealloc(print->lines);
    dsvl_dealloc(print->pieces);
    memset(print, 0, sizeof *print);
}

/* ---- rows ---- */

/* Draw a piece into a row of the canvas. gray: room for a row. */
static int draw_piece(uint8_t *row, uint8_t *gray, const dsvl_print_line *l, const dsvl_print_piece *p,
                      const dsvl_print_rows *rows, dsvl_error *err)
{
    const int around = (int)(AROUND * l->em + 1);
    const int x0 = p->x0 > around ? p->x0 - around : 0,
              x1 = p->x1 + around < l->width ? p->x1 + around : l->width;
    double zoom = rows->em / l->em, above = l->baseline - l->y; /* of the baseline, in the strip */
    if (zoom * l->height > rows->pitch) zoom = (double)rows->pitch / l->height;
    if (zoom * (x1 - x0) > rows->width) zoom = (double)rows->width / (x1 - x0);
    double top = rows->pitch / 2.0 + BASELINE * rows->em - above * zoom; /* of the strip, in the row */
    top = fmax(fmin(top, rows->pitch - l->height * zoom), 0);
    const int y = (int)(top + 0.5), w = (int)((x1 - x0) * zoom + 0.5);
    int h = (int)(l->height * zoom + 0.5);
    if (h > rows->pitch - y) h = rows->pitch - y;
    if (w < 1 || h < 1) return 0;
    const dsvl_picture strip = {l->strip, (size_t)l->width, l->width, l->height, 1};
    const float box[4] = {(float)x0, 0, (float)x1, (float)l->height};
    if (dsvl_resize(gray, (size_t)w, w, h, &strip, box, DSVL_RESIZE_BICUBIC, err)) return -1;
    int left = (int)fmax(MARGIN - around * zoom, 0);
    if (left + w > rows->width) left = rows->width - w;
    for (int i = 0; i < h; i++) {
        uint8_t *out = row + ((size_t)(y + i) * (size_t)rows->width + (size_t)left) * 3;
        for (int x = 0; x < w; x++) memset(out + 3 * x, gray[(size_t)i * (size_t)w + (size_t)x], 3);
    }
    return 0;
}

int dsvl_print_draw(uint8_t *canvas, const dsvl_print *print, size_t first, size_t count,
                    const dsvl_print_rows *rows, dsvl_error *err)
{
    const size_t row = (size_t)rows->pitch * (size_t)rows->width;
    uint8_t *gray = dsvl_alloc(row, 1);
    int status = gray ? 0 : dsvl_fail_memory(err, row);
    for (size_t i = 0; i < count && !status; i++) {
        const dsvl_print_piece *p = &print->pieces[first + i];
        status = draw_piece(canvas + i * row * 3, gray, &print->lines[p->line], p, rows, err);
    }
    dsvl_dealloc(gray);
    return status;
}

/* ---- places of words ---- */

typedef struct gap {
    int x0, x1;
} gap;

static int compare_width(const void *a, const void *b)
{
    const gap *g = a, *h = b;
    const int wg = g->x1 - g->x0, wh = h->x1 - h->x0;
    return wg != wh ? (wg < wh) - (wg > wh) : (g->x0 > h->x0) - (g->x0 < h->x0);
}

static int compare_place(const void *a, const void *b)
{
    return ((const gap *)a)->x0 - ((const gap *)b)->x0;
}

/* The gaps of a piece that part `count` words: the widest ones, or where there are not so many places by the
 * share of the letters. */
static void find_gaps(const dsvl_print_line *l, const dsvl_print_piece *p, const size_t *letters,
                      size_t count, gap *gaps)
{
    size_t found = 0, total = 0, before = 0;
    for (int x = p->x0, begin; x < p->x1; x++) {
        if (has_ink(l, x)) continue;
        for (begin = x; x < p->x1 && !has_ink(l, x); x++) continue;
        gaps[found++] = (gap){begin, x};
    }
    qsort(gaps, found, sizeof *gaps, compare_width);
    if (found >= count - 1) {
        qsort(gaps, count - 1, sizeof *gaps, compare_place);
        return;
    }
    for (size_t k = 0; k < count; k++) total += letters[k] + 1;
    for (size_t k = 0; k + 1 < count; k++) {
        before += letters[k] + 1;
        const int x = p->x0 + (int)((double)(p->x1 - p->x0) * (double)before / (double)total);
        gaps[k] = (gap){x, x};
    }
}

int dsvl_print_place(const dsvl_print *print, size_t piece, const size_t *letters, size_t count,
                     double (*boxes)[4], dsvl_error *err)
{
    const dsvl_print_piece *p = &print->pieces[piece];
    const dsvl_print_line *l = &print->lines[p->line];
    const size_t room = (size_t)(p->x1 - p->x0) + count + 1;
    gap *gaps = dsvl_alloc(room, sizeof *gaps);
    if (!gaps) return dsvl_fail_memory(err, room * sizeof *gaps);
    if (count > 1) find_gaps(l, p, letters, count, gaps);
    for (size_t k = 0; k < count; k++) {
        boxes[k][0] = l->x + (k ? gaps[k - 1].x1 : p->x0);
        boxes[k][2] = l->x + (k + 1 < count ? gaps[k].x0 : p->x1);
        boxes[k][1] = fmax(l->baseline - ASCENT * l->em, 0);
        boxes[k][3] = l->baseline + DESCENT * l->em;
    }
    dsvl_dealloc(gaps);
    return 0;
}
