/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: the columns of a page of several columns, and what stands above, between and below them over the
 * whole width, cut before tables and figures are looked for, so that none of those reaches over a gutter. A
 * gutter stays free of print over many lines and has columns of text on both sides, or on one side and on the
 * other something that does not stand in rows with it; the gaps of a table have not. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "filters/layout_private.h"
#include "lib/alloc.h"

/* All in em. */
static const double GUTTER = 0.7;         /* least width */
static const double NARROWEST = 8;        /* columns of text */
static const double NARROWEST_TABLE = 11; /* the same where the lines of both sides stand in rows */
static const double LEVEL = 0.25;         /* lines in a row differ by less */
static const double APART = 1.5;          /* a gap between what belongs to columns and a heading above them */

/* Parts of their column's width. */
static const double LONG = 0.8;  /* lines that make it text */
static const double LOOSE = 0.6; /* lines longer than this are no cells or headings */

enum { LEAST_LINES = 3, SURE_LINES = 5, DEEPEST = 8 };

typedef struct item {
    dsvl_cells box;
    bool type;
    int *frame; /* where to note its frame; NULL: nowhere */
} item;

typedef struct band {
    int y0, y1;
    size_t first, count;
} band;

/* Bands of items from `from` to `to`, whose print leaves gaps between strips. */
typedef struct stretch {
    size_t from, to;
    dsvl_ranges strips;
    bool cut[DSVL_MAX_STRIPS]; /* [strips.count - 1]: the gap behind a strip is a gutter */
} stretch;

typedef struct cutter {
    double em;
    int frames;
} cutter;

typedef struct node {
    const cutter *c;
    item *items; /* by band */
    band *bands;
    size_t count, band_count;
} node;

static int compare_items(const void *a, const void *b)
{
    const dsvl_cells *x = &((const item *)a)->box, *y = &((const item *)b)->box;
    if (x->y0 != y->y0) return x->y0 < y->y0 ? -1 : 1;
    return x->x0 < y->x0 ? -1 : x->x0 > y->x0;
}

/* Ascenders may reach into the line above. */
static int inset_of(const item *i)
{
    return i->type ? (i->box.y1 - i->box.y0) / 6 : 0;
}

static void find_bands(node *n)
{
    int end = 0;
    qsort(n->items, n->count, sizeof *n->items, compare_items);
    n->band_count = 0;
    for (size_t i = 0; i < n->count; i++) {
        const item *t = &n->items[i];
        band *last = n->band_count ? &n->bands[n->band_count - 1] : NULL;
        if (!last || t->box.y0 + inset_of(t) >= end) {
            last = &n->bands[n->band_count++];
            *last = (band){t->box.y0, t->box.y1, i, 0};
            end = t->box.y1 - inset_of(t);
        }
        last->count++;
        if (t->box.y1 > last->y1) last->y1 = t->box.y1;
        if (t->box.y1 - inset_of(t) > end) end = t->box.y1 - inset_of(t);
    }
}

static int strip_of(const dsvl_ranges *r, const dsvl_cells *b)
{
    int s = 0;
    while (s + 1 < r->count && (b->x0 + b->x1) / 2 >= r->x1[s]) s++;
    return s;
}

/* ---- which gaps are gutters ---- */

typedef struct strip {
    int items, lengthy; /* all; lines of type that fill most of the width */
    double width;       /* em */
} strip;

static void measure(const node *n, const stretch *s, strip *strips)
{
    const size_t begin = n->bands[s->from].first, end = n->bands[s->to - 1].first + n->bands[s->to - 1].count;
    memset(strips, 0, (size_t)s->strips.count * sizeof *strips);
    for (size_t i = begin; i < end; i++) {
        const item *t = &n->items[i];
        const int k = strip_of(&s->strips, &t->box), width = s->strips.x1[k] - s->strips.x0[k];
        strips[k].items++;
        strips[k].lengthy += t->type && t->box.x1 - t->box.x0 >= LONG * width;
    }
    for (int k = 0; k < s->strips.count; k++)
        strips[k].width = (s->strips.x1[k] - s->strips.x0[k]) / n->c->em;
}

/* The part of the lines in strips a to b that are level with a line in strips c to d. */
static double levelled(const node *n, const stretch *s, int a, int b, int c, int d)
{
    const size_t begin = n->bands[s->from].first, end = n->bands[s->to - 1].first + n->bands[s->to - 1].count;
    int lines = 0, level = 0;
    for (size_t i = begin; i < end; i++) {
        const item *t = &n->items[i];
        const int k = strip_of(&s->strips, &t->box);
        if (!t->type || k < a || k > b) continue;
        bool found = false;
        for (size_t j = begin; j < end && !found; j++) {
            const item *u = &n->items[j];
            if (!u->type || abs(u->box.y0 + u->box.y1 - t->box.y0 - t->box.y1) > 2 * LEVEL * n->c->em)
                continue;
            const int m = strip_of(&s->strips, &u->box);
            found = m >= c && m <= d;
        }
        lines++;
        level += found;
    }
    return lines ? (double)level / lines : 0;
}

static bool is_text(const strip *s)
{
    return s->width >= NARROWEST && s->lengthy >= LEAST_LINES;
}

/* Mark the gutters of a stretch; false: there is none. */
static bool find_gutters(const node *n, stretch *s)
{
    strip strips[DSVL_MAX_STRIPS];
    bool any = false;
    measure(n, s, strips);
    for (int g = 0; g + 1 < s->strips.count; g++) {
        const strip *l = &strips[g], *r = &strips[g + 1];
        int low = g, high = g + 1; /* what stands beside text, up to the next text */
        int items = 0;
        s->cut[g] = false;
        if (is_text(l) && is_text(r)) {
            s->cut[g] = (fmin(l->width, r->width) >= NARROWEST_TABLE && l->lengthy >= SURE_LINES &&
                         r->lengthy >= SURE_LINES) ||
                        levelled(n, s, g, g, g + 1, g + 1) < 0.7 || levelled(n, s, g + 1, g + 1, g, g) < 0.7;
        } else if (is_text(l) && l->lengthy >= SURE_LINES) {
            while (high + 1 < s->strips.count && !is_text(&strips[high + 1])) high++;
            for (int k = g + 1; k <= high; k++) items += strips[k].items;
            s->cut[g] = items >= LEAST_LINES && levelled(n, s, g + 1, high, g, g) < 0.7;
        } else if (is_text(r) && r->lengthy >= SURE_LINES) {
            while (low > 0 && !is_text(&strips[low - 1])) low--;
            for (int k = low; k <= g; k++) items += strips[k].items;
            s->cut[g] = items >= LEAST_LINES && levelled(n, s, low, g, g + 1, g + 1) < 0.7;
        }
        any = any || s->cut[g];
    }
    return any;
}

/* ---- stretches ---- */

/* A single line of cells, or a heading: nothing in it is as long as the lines of its column. *both: it has
 * print on both sides of a gutter. */
static bool is_loose(const node *n, const stretch *s, size_t b, bool *both)
{
    int column = -1;
    *both = false;
    if (n->bands[b].y1 - n->bands[b].y0 > 2.2 * n->c->em) return false;
    for (size_t i = n->bands[b].first; i < n->bands[b].first + n->bands[b].count; i++) {
        const item *t = &n->items[i];
        const int k = strip_of(&s->strips, &t->box);
        if (!t->type || t->box.x1 - t->box.x0 > LOOSE * (s->strips.x1[k] - s->strips.x0[k])) return false;
        int own = 0;
        for (int g = 0; g < k; g++) own += s->cut[g];
        if (column >= 0 && own != column) *both = true;
        column = own;
    }
    return true;
}

/* How many bands at one end of a stretch (top or not) belong to what is above or below it: rows of a table
 * over all columns, a heading, a running title, a page number. The outermost line need only stand apart. */
static size_t count_loose(const node *n, const stretch *s, bool top)
{
    const double em = n->c->em;
    size_t loose = 0, rows = 0, size = s->to - s->from;
    for (size_t k = 0; k + 1 < size; k++) {
        const size_t b = top ? s->from + k : s->to - 1 - k;
        const int gap = top ? n->bands[b + 1].y0 - n->bands[b].y1 : n->bands[b].y0 - n->bands[b - 1].y1;
        const bool alone = k == 0 && gap > APART * em && n->bands[b].y1 - n->bands[b].y0 < 2.2 * em;
        bool both;
        if (!is_loose(n, s, b, &both) && !alone) break;
        rows += both;
        if (gap > APART * em || (rows >= 2 && gap > em)) loose = k + 1;
    }
    return loose;
}

static bool add_band(const node *n, dsvl_ranges *r, size_t b)
{
    const int gap = (int)(GUTTER * n->c->em + 0.5);
    for (size_t i = n->bands[b].first; i < n->bands[b].first + n->bands[b].count; i++) {
        if (!dsvl_ranges_add(r, n->items[i].box.x0, n->items[i].box.x1, gap)) return false;
    }
    return true;
}

/* The longest stretch from a band on that has gutters. */
static bool find_stretch(const node *n, size_t from, stretch *found)
{
    stretch now = {.from = from, .to = from};
    bool any = false;
    while (now.to < n->band_count) {
        stretch next = now;
        if (!add_band(n, &next.strips, now.to)) break;
        next.to++;
        /* Before gaps close it is seen whether some were gutters. */
        if (next.strips.count < now.strips.count && find_gutters(n, &now)) *found = now, any = true;
        now = next;
        if (now.strips.count < 2) return any;
    }
    if (now.strips.count >= 2 && find_gutters(n, &now)) *found = now, any = true;
    return any;
}

/* Lines of one column that begin above those of the others, right above a stretch, belong to it. */
static void reach_up(const node *n, stretch *s, size_t first)
{
    const double em = n->c->em;
    for (; s->from > first; s->from--) {
        const band *above = &n->bands[s->from - 1];
        if (n->bands[s->from].y0 - above->y1 > 0.5 * em) return;
        for (size_t i = above->first; i < above->first + above->count; i++) {
            const item *t = &n->items[i];
            const int k = strip_of(&s->strips, &t->box), x0 = s->strips.x0[k], x1 = s->strips.x1[k];
            if (!t->type || t->box.x0 < x0 - em || t->box.x1 > x1 + em ||
                t->box.x1 - t->box.x0 < LOOSE * (x1 - x0))
                return;
        }
    }
}

/* ---- cutting ---- */

static int cut(cutter *c, item *items, size_t count, int depth, dsvl_error *err);

static void make_frame(cutter *c, const item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].frame) *items[i].frame = c->frames;
    }
    c->frames += count > 0;
}

static int cut_columns(cutter *c, const node *n, const stretch *s, int depth, dsvl_error *err)
{
    const size_t begin = n->bands[s->from].first,
                 count = n->bands[s->to - 1].first + n->bands[s->to - 1].count - begin;
    item *column = dsvl_alloc(count, sizeof *column);
    int status = 0;
    if (!column) return dsvl_fail_memory(err, count * sizeof *column);
    for (int first = 0, last; first < s->strips.count && !status; first = last + 1) {
        size_t size = 0;
        for (last = first; last + 1 < s->strips.count && !s->cut[last];) last++;
        for (size_t i = begin; i < begin + count; i++) {
            const int k = strip_of(&s->strips, &n->items[i].box);
            if (k >= first && k <= last) column[size++] = n->items[i];
        }
        status = cut(c, column, size, depth + 1, err);
    }
    dsvl_dealloc(column);
    return status;
}

static int cut(cutter *c, item *items, size_t count, int depth, dsvl_error *err)
{
    node n = {.c = c, .items = items, .count = count, .bands = dsvl_alloc(count, sizeof *n.bands)};
    size_t whole = 0; /* bands from here on are of one frame so far */
    int status = 0;
    if (!n.bands) return dsvl_fail_memory(err, count * sizeof *n.bands);
    find_bands(&n);
    for (size_t b = 0; b < n.band_count && depth < DEEPEST && !status; b++) {
        stretch s;
        if (!find_stretch(&n, b, &s)) continue;
        reach_up(&n, &s, whole);
        s.from += count_loose(&n, &s, true);
        s.to -= count_loose(&n, &s, false);
        make_frame(c, items + n.bands[whole].first, n.bands[s.from].first - n.bands[whole].first);
        status = cut_columns(c, &n, &s, depth, err);
        whole = s.to;
        b = s.to - 1;
    }
    if (whole < n.band_count && !status)
        make_frame(c, items + n.bands[whole].first, count - n.bands[whole].first);
    dsvl_dealloc(n.bands);
    return status;
}

int dsvl_layout_frames(work *w, int *run_frames, int *rule_frames, int *count, dsvl_error *err)
{
    const dsvl_ink *ink = w->ink;
    item *items = dsvl_alloc(w->runs.count + ink->rule_count + ink->shade_count, sizeof *items);
    size_t n = 0;
    if (!items) return dsvl_fail_memory(err, w->runs.count * sizeof *items);
    for (size_t i = 0; i < w->runs.count; i++)
        items[n++] = (item){w->runs.data[i].box, !w->runs.data[i].solid, &run_frames[i]};
    for (size_t i = 0; i < ink->rule_count; i++) items[n++] = (item){ink->rules[i], false, &rule_frames[i]};
    for (size_t i = 0; i < ink->shade_count; i++) {
        if (ink->shades[i].straight) items[n++] = (item){ink->shades[i].box, false, NULL};
    }
    cutter c = {.em = w->em};
    int status = cut(&c, items, n, 0, err);
    *count = c.frames;
    dsvl_dealloc(items);
    return status;
}
