/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/layout.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "filters/layout_private.h"
#include "lib/alloc.h"

const char *dsvl_part_kind_name(dsvl_part_kind kind)
{
    static const char *const names[DSVL_PART_KINDS] = {"text", "table", "figure"};
    return names[kind];
}

void dsvl_layout_widen(work *w, int index, const dsvl_cells *box)
{
    dsvl_cells *whole = &w->parts[index].box;
    dsvl_cells_join(whole, box);
    for (size_t i = 0; i < w->runs.count; i++) {
        run *r = &w->runs.data[i];
        if (r->part != -1 || !dsvl_cells_hold(box, &r->box, 0)) continue;
        r->part = index;
        dsvl_cells_join(whole, &r->box);
    }
}

int dsvl_layout_add(work *w, dsvl_part_kind kind, const dsvl_cells *box, dsvl_error *err)
{
    void *block = w->parts;
    bool room = dsvl_grow(&block, &w->part_capacity, w->part_count + 1, sizeof *w->parts);
    w->parts = block;
    if (!room) return dsvl_fail_memory(err, w->part_capacity * sizeof *w->parts);
    const int index = (int)w->part_count++;
    w->parts[index] = (part){kind, *box, -1, index};
    dsvl_layout_widen(w, index, box);
    return index;
}

/* ---- type size and places for cuts ---- */

/* Type sizes of fonts and of letters seen may differ by so much. */
static const double SIZES = 1.4;

static int compare_float(const void *a, const void *b)
{
    return (*(const float *)a > *(const float *)b) - (*(const float *)a < *(const float *)b);
}

/* The median size of the words within a box of the page, points; 0: none. */
static double words_em(const dsvl_words *words, const double box[4], float *sizes)
{
    size_t n = 0, total = 0;
    for (size_t i = 0; words && i < words->count; i++) {
        const float *b = words->boxes + 4 * i;
        double x = (b[0] + b[2]) / 2.0, y = (b[1] + b[3]) / 2.0, height = b[3] - b[1],
               size = words->font_size[i];
        if (x < box[0] || x > box[2] || y < box[1] || y > box[3]) continue;
        total++;
        /* Fonts that carry their size in a matrix of their own report what they like, and upright words are
         * high. */
        if (size > 0.5 * height && size < 1.6 * height) sizes[n++] = (float)size;
    }
    if (n * 2 <= total) return 0;
    qsort(sizes, n, sizeof *sizes, compare_float);
    return (double)sizes[n / 2];
}

/* Type size of a part by its print, in cells. Letters may be broken, lines are not: they reach from ascender
 * to descender, or from the line up for figures and capitals. */
static double seen_em(const work *w, int index, const dsvl_cells *box)
{
    enum { HIGHEST = 160 };
    int counts[HIGHEST] = {0}, lines = 0, half = 0, h = 0;
    double letters = dsvl_ink_em(w->ink, box, w->cells_per_point);
    for (size_t i = 0; i < w->runs.count; i++) {
        const run *r = &w->runs.data[i];
        int high = r->box.y1 - r->box.y0;
        if (r->part != index || r->solid || high >= HIGHEST || r->box.x1 - r->box.x0 < 5 * high) continue;
        counts[high]++;
        lines++;
    }
    while (h < HIGHEST - 1 && (half += counts[h]) * 2 <= lines) h++;
    double line = lines ? h / 0.97 : 0;
    return line > letters && line < 1.6 * letters ? line : letters;
}

/* An empty stretch between the lines of a part. */
typedef struct gap {
    int y0, y1; /* cells of the page */
    bool ruled; /* a rule runs through it */
    bool heads; /* the first column has print right below: a row begins there, if print stands at the top */
} gap;

static gap gap_between(const work *w, const dsvl_cells *box, int index, int y0, int y1)
{
    gap g = {y0, y1, false, false};
    for (size_t i = 0; i < w->ink->rule_count && !g.ruled; i++) {
        const dsvl_cells *r = &w->ink->rules[i];
        g.ruled = r->y0 >= y0 - 1 && r->y1 <= y1 + 1 && (r->x1 - r->x0) * 2 > box->x1 - box->x0 &&
                  dsvl_overlap(r->x0, r->x1, box->x0, box->x1) > 0;
    }
    for (size_t i = 0; i < w->runs.count && !g.heads; i++) {
        const run *r = &w->runs.data[i];
        g.heads = r->part == index && r->box.x0 < box->x0 + 2 * w->em && r->box.y0 >= y1 &&
                  r->box.y0 < y1 + 0.6 * w->em;
    }
    return g;
}

/* The gaps in front of which rows begin, by a mark of theirs. They are no narrower, but for so much, than
 * those between the lines of cells. */
static size_t keep_marked(gap *gaps, size_t count, bool by_rules, double slack)
{
    size_t marked = 0, kept = 0;
    int widest = 0, narrowest = INT_MAX; /* of lines of cells, of rows */
    for (size_t i = 0; i < count; i++) {
        const int height = gaps[i].y1 - gaps[i].y0;
        const bool mark = by_rules ? gaps[i].ruled : gaps[i].heads;
        marked += mark;
        if (mark && height < narrowest) narrowest = height;
        if (!mark && height > widest) widest = height;
    }
    if (marked * 6 < count || widest > narrowest + slack) return count;
    for (size_t i = 0; i < count; i++)
        if (by_rules ? gaps[i].ruled : gaps[i].heads) gaps[kept++] = gaps[i];
    return kept;
}

/* In em: rows of print are no lower, and there is no cut without a row on either side. */
static const double LEAST_ROW = 0.35;

/* Without gaps that no row of print stands between: specks and ends of lines are no rows. */
static size_t drop_close(gap *gaps, size_t count, const dsvl_cells *box, double em)
{
    const double least = LEAST_ROW * em;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const int before = kept ? gaps[kept - 1].y1 : box->y0;
        if (gaps[i].y0 - before >= least && box->y1 - gaps[i].y1 >= least) gaps[kept++] = gaps[i];
    }
    return kept;
}

/* Where a part may be cut: the middles of its gaps, in pixels from the top of the page. */
static int find_cuts(const work *w, dsvl_part *out, const dsvl_cells *box, int index, double cell,
                     dsvl_error *err)
{
    const int height = box->y1 - box->y0;
    size_t count = 0;
    uint8_t *busy = dsvl_alloc_zero((size_t)height + 1, 1);
    gap *gaps = dsvl_alloc((size_t)height + 1, sizeof *gaps);
    int status = -1;
    out->cuts = dsvl_alloc((size_t)height + 1, sizeof *out->cuts);
    if (!busy || !gaps || !out->cuts) {
        dsvl_fail_memory(err, (size_t)height * sizeof *gaps);
        goto out;
    }
    for (size_t i = 0; i < w->runs.count; i++) {
        const run *r = &w->runs.data[i];
        if (r->part != index) continue;
        /* The outermost cells of letters are soft. */
        for (int y = r->box.y0; y < r->box.y1; y++) {
            if (y >= box->y0 && y < box->y1) busy[y - box->y0] = 1;
        }
    }
    for (int y = 0, begin = -1; y < height; y++) {
        if (busy[y]) {
            if (begin > 0) gaps[count++] = gap_between(w, box, index, box->y0 + begin, box->y0 + y);
            begin = -1;
        } else if (begin < 0 && y > 0) {
            begin = y;
        }
    }
    count = drop_close(gaps, count, box, w->em);
    if (out->kind == DSVL_PART_TABLE) { /* cells may have several lines */
        count = keep_marked(gaps, count, true, -1);
        count = keep_marked(gaps, count, false, 0.3 * w->em);
    }
    for (size_t i = 0; i < count; i++) out->cuts[out->cut_count++] = (gaps[i].y0 + gaps[i].y1) / 2.0 * cell;
    status = 0;
out:
    dsvl_dealloc(busy);
    dsvl_dealloc(gaps);
    return status;
}

/* ---- assembly ---- */

typedef struct page {
    double pixels_per_point;
    const dsvl_words *words;
    const double *origin;
    int width, height;
} page;

static int finish(dsvl_layout *layout, const work *w, const page *p, dsvl_error *err)
{
    const double cell = w->ink->cell;
    float *sizes = dsvl_alloc(p->words ? p->words->count : 0, sizeof *sizes);
    layout->parts = dsvl_alloc_zero(w->part_count, sizeof *layout->parts);
    int status = -1;
    if (!sizes || !layout->parts) {
        dsvl_fail_memory(err, w->part_count * sizeof *layout->parts);
        goto out;
    }
    for (size_t i = 0; i < w->part_count; i++) {
        const part *from = &w->parts[i];
        dsvl_part *to = &layout->parts[layout->count++];
        to->kind = from->kind;
        to->column = from->column;
        /* A cell more: the soft edges of letters. */
        to->box[0] = fmax(from->box.x0 - 1, 0) * cell;
        to->box[1] = fmax(from->box.y0 - 1, 0) * cell;
        to->box[2] = fmin((from->box.x1 + 1) * cell, p->width);
        to->box[3] = fmin((from->box.y1 + 1) * cell, p->height);
        double points[4];
        for (int k = 0; k < 4; k++) points[k] = to->box[k] / p->pixels_per_point + p->origin[k & 1];
        const double said = words_em(p->words, points, sizes) * p->pixels_per_point;
        const double seen = seen_em(w, (int)i, &from->box) * cell;
        /* Where the two disagree, the fonts' own sizes are wrong. */
        to->em = said > 0 && (seen == 0 || (said < SIZES * seen && seen < SIZES * said)) ? said : seen;
        if (!(to->em > 0)) to->em = w->em * cell;
        if (find_cuts(w, to, &from->box, (int)i, cell, err)) goto out;
    }
    status = 0;
out:
    dsvl_dealloc(sizes);
    return status;
}

/* After sorting, a run's part is found again by where the parts went. first: what both are numbered from on
 * the page. */
static int sort_parts(work *w, int first, dsvl_error *err)
{
    size_t n = w->part_count;
    int *place = dsvl_alloc(n, sizeof *place);
    if (!place) return dsvl_fail_memory(err, n * sizeof *place);
    for (size_t i = 0; i < n; i++) w->parts[i].index = (int)i;
    int status = dsvl_layout_order(w->parts, n, w->em, err);
    for (size_t i = 0; i < n; i++) place[w->parts[i].index] = (int)i;
    for (size_t i = 0; i < w->runs.count; i++) {
        if (w->runs.data[i].part >= 0) w->runs.data[i].part = first + place[w->runs.data[i].part];
    }
    dsvl_dealloc(place);
    return status;
}

/* Behind w's parts and runs come those of a frame. */
static int take_frame(work *w, const work *frame, dsvl_error *err)
{
    void *block = w->parts;
    bool room = dsvl_grow(&block, &w->part_capacity, w->part_count + frame->part_count, sizeof *w->parts);
    w->parts = block;
    if (!room) return dsvl_fail_memory(err, w->part_capacity * sizeof *w->parts);
    if (frame->part_count)
        memcpy(w->parts + w->part_count, frame->parts, frame->part_count * sizeof *w->parts);
    if (frame->runs.count)
        memcpy(w->runs.data + w->runs.count, frame->runs.data, frame->runs.count * sizeof *w->runs.data);
    w->part_count += frame->part_count;
    w->runs.count += frame->runs.count;
    w->columns = frame->columns;
    return 0;
}

/* The parts of one frame: of its runs and rules alone. */
static int find_in_frame(work *w, const runs *all, const int *run_frames, const int *rule_frames, int number,
                         dsvl_error *err)
{
    dsvl_ink ink = *w->ink;
    work f = {.ink = &ink, .em = w->em, .cells_per_point = w->cells_per_point, .columns = w->columns};
    int status = -1;
    ink.rule_count = 0;
    ink.rules = dsvl_alloc(w->ink->rule_count, sizeof *ink.rules);
    f.runs.data = dsvl_alloc(all->count + 2 * w->ink->rule_count, sizeof *f.runs.data);
    f.rule_used = dsvl_alloc_zero(w->ink->rule_count, 1);
    if (!ink.rules || !f.runs.data || !f.rule_used) {
        dsvl_fail_memory(err, all->count * sizeof *f.runs.data);
        goto out;
    }
    for (size_t i = 0; i < all->count; i++) {
        if (run_frames[i] == number) f.runs.data[f.runs.count++] = all->data[i];
    }
    for (size_t i = 0; i < w->ink->rule_count; i++) {
        if (rule_frames[i] == number) ink.rules[ink.rule_count++] = w->ink->rules[i];
    }
    if (dsvl_layout_ruled(&f, err) || dsvl_layout_figures(&f, err) || dsvl_layout_rows(&f, err) ||
        sort_parts(&f, (int)w->part_count, err))
        goto out;
    status = take_frame(w, &f, err);
out:
    dsvl_dealloc(ink.rules);
    dsvl_dealloc(f.runs.data);
    dsvl_dealloc(f.rule_used);
    dsvl_dealloc(f.parts);
    return status;
}

/* Frame by frame. */
static int find_parts(work *w, dsvl_error *err)
{
    const runs all = w->runs;
    const size_t rules = w->ink->rule_count;
    int frames = 0, status = -1;
    int *run_frames = dsvl_alloc(all.count, sizeof *run_frames),
        *rule_frames = dsvl_alloc(rules, sizeof *rule_frames);
    runs found = {dsvl_alloc(all.count + 2 * rules, sizeof *found.data), 0};
    if (!run_frames || !rule_frames || !found.data) {
        dsvl_fail_memory(err, all.count * sizeof *found.data);
        goto out;
    }
    if (dsvl_layout_frames(w, run_frames, rule_frames, &frames, err)) goto out;
    w->runs = found;
    status = 0;
    for (int i = 0; i < frames && !status; i++)
        status = find_in_frame(w, &all, run_frames, rule_frames, i, err);
    found = all; /* to be freed */
out:
    dsvl_dealloc(run_frames);
    dsvl_dealloc(rule_frames);
    dsvl_dealloc(found.data);
    return status;
}

int dsvl_layout_find(dsvl_layout *layout, const uint8_t *pixels, int width, int height,
                     double pixels_per_point, const dsvl_words *words, const double origin[2],
                     dsvl_error *err)
{
    const page p = {pixels_per_point, words && words->count ? words : NULL, origin, width, height};
    dsvl_ink ink = {0};
    work w = {.ink = &ink};
    int status = -1;
    memset(layout, 0, sizeof *layout);
    if (dsvl_ink_find(&ink, pixels, width, height, pixels_per_point, err)) return -1;
    memcpy(layout->paper, ink.paper, sizeof layout->paper);
    const double per_point = pixels_per_point / ink.cell;
    w.em = ink.em > 0 ? ink.em : 10 * per_point;
    w.cells_per_point = per_point;
    if (dsvl_runs_find(&w, p.words, origin, err) || find_parts(&w, err)) goto out;
    status = finish(layout, &w, &p, err);
out:
    dsvl_ink_free(&ink);
    dsvl_dealloc(w.runs.data);
    dsvl_dealloc(w.parts);
    if (status) dsvl_layout_free(layout);
    return status;
}

void dsvl_layout_free(dsvl_layout *layout)
{
    for (size_t i = 0; i < layout->count; i++) dsvl_dealloc(layout->parts[i].cuts);
    dsvl_dealloc(layout->parts);
    memset(layout, 0, sizeof *layout);
}
