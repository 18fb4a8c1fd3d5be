/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and figures by what is drawn: groups of rules that touch make grids, frames and axes; rules of like
 * length one above the other make tables with horizontal rules; solids with the rules and short labels about
 * them make figures. */
#include <stdlib.h>
#include <string.h>

#include "filters/layout_private.h"
#include "lib/alloc.h"

/* All in em. */
static const double LONG_LINE = 14;  /* a longer run is a line of text, not a label */
static const double FIGURE_GAP = 3;  /* solids of one figure stand nearer; like bars three times as far */
static const double LABEL_GAP = 1.8; /* labels stand nearer to what they label */
static const double BAR_LABEL_GAP[2] = {8, 4}; /* the same of labels each in line with its bar: left of lying
                                                  ones, in a column; below standing ones, in a row */
enum { SURE_ROWS = 4 };                        /* with rules between them all are a table */
static const double FIGURE_WIDTH = 4, FIGURE_HEIGHT = 2.5;

/* ---- groups of touching rules ---- */

typedef struct group {
    dsvl_cells box;
    int across, down; /* different heights of horizontal rules, different places of vertical ones */
} group;

static int32_t root(int32_t *parent, int32_t i)
{
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

static int compare_int(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Different values, those nearer than gap counted once. */
static int count_places(int *places, int n, int gap)
{
    int different = 0;
    qsort(places, (size_t)n, sizeof *places, compare_int);
    for (int i = 0; i < n; i++) {
        if (i == 0 || places[i] - places[i - 1] > gap) different++;
    }
    return different;
}

/* group_of[rule]: index into groups. */
static int group_rules(const work *w, int32_t *group_of, group *groups, size_t *count, dsvl_error *err)
{
    const dsvl_ink *ink = w->ink;
    const size_t n = ink->rule_count;
    const int margin = (int)(0.3 * w->em) > 2 ? (int)(0.3 * w->em) : 2;
    int *places = dsvl_alloc(n, sizeof *places);
    if (!places) return dsvl_fail_memory(err, n * sizeof *places);
    for (size_t i = 0; i < n; i++) {
        group_of[i] = (int32_t)i;
        for (size_t j = 0; j < i; j++) {
            if (!dsvl_cells_touch(&ink->rules[i], &ink->rules[j], margin)) continue;
            int32_t a = root(group_of, (int32_t)i), b = root(group_of, (int32_t)j);
            group_of[a > b ? a : b] = a > b ? b : a;
        }
    }
    for (size_t i = 0; i < n; i++) group_of[i] = root(group_of, (int32_t)i);
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        if (group_of[i] != (int32_t)i) continue;
        group *g = &groups[*count];
        g->box = ink->rules[i];
        int across = 0, down = 0;
        for (size_t j = i; j < n; j++) {
            if (group_of[j] != (int32_t)i) continue;
            dsvl_cells_join(&g->box, &ink->rules[j]);
            if (dsvl_is_level(&ink->rules[j])) places[across++] = (ink->rules[j].y0 + ink->rules[j].y1) / 2;
        }
        g->across = count_places(places, across, (int)(0.4 * w->em));
        for (size_t j = i; j < n; j++) {
            if (group_of[j] == (int32_t)i && !dsvl_is_level(&ink->rules[j]))
                places[down++] = (ink->rules[j].x0 + ink->rules[j].x1) / 2;
        }
        g->down = count_places(places, down, (int)(0.4 * w->em));
        for (size_t j = n; j-- > i;) {
            if (group_of[j] == (int32_t)i) group_of[j] = -1 - (int32_t)*count;
        }
        ++*count;
    }
    for (size_t i = 0; i < n; i++) group_of[i] = -1 - group_of[i];
    dsvl_dealloc(places);
    return 0;
}

/* What stands within a box: runs of type, and whether drawings outweigh them. Ticks and points are no type.
 */
static int count_type(const work *w, const dsvl_cells *box, bool *drawn)
{
    const double width = box->x1 - box->x0, height = box->y1 - box->y0, em = w->em;
    double type = 0, solid = 0;
    int count = 0;
    for (size_t i = 0; i < w->runs.count; i++) {
        const run *r = &w->runs.data[i];
        if (!dsvl_cells_hold(box, &r->box, 0)) continue;
        double rw = r->box.x1 - r->box.x0, rh = r->box.y1 - r->box.y0;
        if (!r->solid && rh >= 0.35 * em && rh > 2 && rw > 2) {
            type += rw * rh;
            count++;
        } else if (r->solid && (rw < 0.95 * width || rh < 0.95 * height)) {
            solid += rw * rh;
        }
    }
    *drawn = solid > 0.5 * type;
    return count;
}

/* Curves over grid lines are left in pieces that touch the lines; print stands clear of them. */
static bool is_drawn_on(const work *w, const dsvl_cells *box, int least, bool closed)
{
    int touching = 0, crossed = 0, all = 0;
    for (size_t i = 0; i < w->runs.count; i++) {
        const run *r = &w->runs.data[i];
        if (r->solid || !dsvl_cells_hold(box, &r->box, 0)) continue;
        const int inset = (r->box.y1 - r->box.y0) / 4;
        const dsvl_cells inner = {r->box.x0 + inset, r->box.y0 + inset, r->box.x1 - inset, r->box.y1 - inset};
        bool touches = false, crosses = false;
        for (size_t k = 0; k < w->ink->rule_count && !crosses; k++) {
            touches = touches || dsvl_cells_touch(&w->ink->rules[k], &r->box, 0);
            crosses = dsvl_cells_touch(&w->ink->rules[k], &inner, 0);
        }
        touching += touches;
        crossed += crosses;
        all++;
    }
    /* In cells set tight it touches the lines, but hardly any goes through it. */
    return touching >= least && touching * 2 > all && (!closed || crossed * 8 > all);
}

/* A drawing that reaches over much of a box, across its lines. */
static bool has_curve(const work *w, const dsvl_cells *box)
{
    for (size_t i = 0; i < w->runs.count; i++) {
        const dsvl_cells *b = &w->runs.data[i].box;
        if (!w->runs.data[i].solid || !dsvl_cells_hold(box, b, 0)) continue;
        const double width = (double)(b->x1 - b->x0) / (box->x1 - box->x0);
        const double height = (double)(b->y1 - b->y0) / (box->y1 - box->y0);
        const bool frame = width > 0.95 && height > 0.95;
        if (width > 0.33 && height > 0.33 && b->y1 - b->y0 > 3 * w->em && !frame) return true;
    }
    return false;
}

/* Points of a scatter plot: many runs, most of them smaller than a word. */
static bool is_dotted(const work *w, const dsvl_cells *box)
{
    int small = 0, all = 0;
    for (size_t i = 0; i < w->runs.count; i++) {
        const run *r = &w->runs.data[i];
        if (r->solid || !dsvl_cells_hold(box, &r->box, 0)) continue;
        small += r->box.x1 - r->box.x0 < w->em;
        all++;
    }
    return all >= 8 && small * 10 > all * 7;
}

/* Whether rules as a group make a table. */
static int is_grid(work *w, const group *g, bool *table, dsvl_error *err)
{
    bool drawn;
    const int type = count_type(w, &g->box, &drawn);
    *table = false;
    if (type < 2 || drawn || g->across < 2 || g->across + g->down < 4 || has_curve(w, &g->box)) return 0;
    if (g->across >= 3 && g->down >= 3) {
        /* A chart's plot area has grid lines too, but its print stands outside. */
        int cells = (g->across - 1) * (g->down - 1);
        *table = type * 4 >= cells && !is_drawn_on(w, &g->box, 1, true);
        return 0;
    }
    return is_dotted(w, &g->box) ? 0 : dsvl_layout_tabular(w, &g->box, table, err);
}

/* A table by its rules, with the rows right above and below that stand in its columns: a header without a
 * rule above it. What a frame closes has none, unless a further rule of its width lies beyond. */
static int take_table(work *w, dsvl_cells *box, bool closed, dsvl_error *err)
{
    const int em = (int)w->em;
    dsvl_cells wide = *box;
    bool drawn;
    if (dsvl_layout_extend(w, &wide, err)) return -1;
    if (!closed || dsvl_layout_rule_between(w, box, wide.y0 - em, box->y0 - em) ||
        dsvl_layout_on_ground(w, box, wide.y0, box->y0))
        box->y0 = wide.y0;
    dsvl_layout_spanning(w, box);
    if (!closed || dsvl_layout_rule_between(w, box, box->y1 + em, wide.y1 + em)) box->y1 = wide.y1;
    count_type(w, box, &drawn);
    if (drawn) return 0; /* outlines of bars */
    for (size_t i = 0; i < w->ink->rule_count; i++) {
        const dsvl_cells *r = &w->ink->rules[i];
        if (dsvl_is_level(r) && r->x0 > box->x0 - DSVL_SAME_END * w->em &&
            r->x1 < box->x1 + DSVL_SAME_END * w->em && dsvl_cells_touch(box, r, (int)(0.6 * w->em)))
            dsvl_cells_join(box, r);
    }
    if (dsvl_layout_add(w, DSVL_PART_TABLE, box, err) < 0) return -1;
    for (size_t i = 0; i < w->ink->rule_count; i++) {
        if (dsvl_cells_hold(box, &w->ink->rules[i], 2)) w->rule_used[i] = true;
    }
    return 0;
}

/* Axes and grid lines with something drawn on them: the figure begins with their box. */
static void seed_figure(work *w, const dsvl_cells *box)
{
    const double em = w->em;
    if (box->x1 - box->x0 < 5 * em || box->y1 - box->y0 < 4 * em ||
        !(is_drawn_on(w, box, 3, false) || is_dotted(w, box)))
        return;
    w->runs.data[w->runs.count++] = (run){*box, true, -1}; /* there is room for one a rule */
}

/* ---- tables with horizontal rules only ---- */

typedef struct sheaf {
    const dsvl_cells **rules; /* from top to bottom, of like length */
    size_t count;
} sheaf;

static int compare_rules(const void *a, const void *b)
{
    const dsvl_cells *x = *(const dsvl_cells *const *)a, *y = *(const dsvl_cells *const *)b;
    return x->y0 != y->y0 ? x->y0 - y->y0 : x->x0 - y->x0;
}

/* Print that sticks out of the rules' length is not between them: 1 if all is inside, 0 if there is none. */
static int enclosed(const work *w, const dsvl_cells *between)
{
    int found = 0;
    for (size_t i = 0; i < w->runs.count; i++) {
        const run *r = &w->runs.data[i];
        int y = (r->box.y0 + r->box.y1) / 2;
        if (dsvl_overlap(r->box.x0, r->box.x1, between->x0, between->x1) <= 0) continue;
        /* Bars stand on several grid lines. */
        if (r->solid && r->part == -1 && dsvl_overlap(r->box.y0, r->box.y1, between->y0, between->y1) > 0 &&
            r->box.y1 - r->box.y0 > 1.2 * w->em)
            return -1;
        if (r->solid || y < between->y0 || y >= between->y1) continue;
        if (r->box.x0 < between->x0 - w->em || r->box.x1 > between->x1 + w->em) return -1;
        found = 1;
    }
    return found;
}

/* Whether there is but one run in a box, at its left. */
static bool begins_at_left(const work *w, const dsvl_cells *box)
{
    int all = 0, left = 0;
    for (size_t i = 0; i < w->runs.count; i++) {
        const run *r = &w->runs.data[i];
        if (r->solid || !dsvl_cells_hold(box, &r->box, 0)) continue;
        all++;
        left += r->box.x0 < box->x0 + 1.5 * w->em;
    }
    return all == 1 && left == 1;
}

/* The longest stretches of a sheaf between whose rules print stands in rows and columns. */
static int tables_of_sheaf(work *w, const sheaf *s, dsvl_error *err)
{
    for (size_t i = 0; i + 1 < s->count;) {
        dsvl_cells whole = *s->rules[i];
        size_t j = i, end = i, rows = 0; /* end: the last rule of the table so far; rows: between its rules */
        for (; j + 1 < s->count; j++) {
            dsvl_cells between = {s->rules[i]->x0, s->rules[j]->y1, s->rules[i]->x1, s->rules[j + 1]->y0};
            bool tabular = false;
            int inside = enclosed(w, &between);
            if (inside < 0) break;
            if (inside > 0 && dsvl_layout_tabular(w, &between, &tabular, err)) return -1;
            /* A heading over some rows, between two rules, and the two rules of a double one. */
            bool narrow = between.y1 - between.y0 < 3 * w->em;
            bool heads = j == i && narrow && begins_at_left(w, &between);
            if (!tabular && !(narrow && end > i) && !(inside == 0 && narrow) && !heads) break;
            if (tabular) end = j + 1, rows++;
        }
        if (end > i) {
            while (end + 1 < s->count && s->rules[end + 1]->y0 - s->rules[end]->y1 < 0.5 * w->em) end++;
            dsvl_cells_join(&whole, s->rules[end]);
            bool tabular;
            if (dsvl_layout_tabular(w, &whole, &tabular, err)) return -1;
            /* Where every row is ruled off, lines of long cells may look like text on the whole. */
            tabular = tabular || (rows >= SURE_ROWS && rows == end - i);
            if (tabular && take_table(w, &whole, false, err)) return -1;
        }
        i = end > i ? end + 1 : i + 1;
    }
    return 0;
}

/* Rules that no grid has, by like length. */
static int ruled_by_lines(work *w, dsvl_error *err)
{
    const size_t n = w->ink->rule_count;
    const double same = DSVL_SAME_END * w->em;
    const dsvl_cells **order = dsvl_alloc(n, sizeof *order);
    bool *seen = dsvl_alloc_zero(n, 1);
    const dsvl_cells **like = dsvl_alloc(n, sizeof *like);
    int status = -1;
    if (!order || !seen || !like) {
        dsvl_fail_memory(err, n * sizeof *order);
        goto out;
    }
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        const dsvl_cells *r = &w->ink->rules[i];
        if (!w->rule_used[i] && dsvl_is_level(r) && r->x1 - r->x0 > 6 * w->em) order[count++] = r;
    }
    qsort(order, count, sizeof *order, compare_rules);
    for (size_t i = 0; i < count; i++) {
        if (seen[i]) continue;
        sheaf s = {like, 0};
        for (size_t j = i; j < count; j++) {
            if (seen[j] || abs(order[j]->x0 - order[i]->x0) > same || abs(order[j]->x1 - order[i]->x1) > same)
                continue;
            seen[j] = true;
            s.rules[s.count++] = order[j];
        }
        dsvl_cells all = *s.rules[0];
        dsvl_cells_join(&all, s.rules[s.count - 1]);
        if (s.count >= 2 && !is_drawn_on(w, &all, 3, false) && tables_of_sheaf(w, &s, err)) goto out;
        if (s.count >= 3 && !w->rule_used[s.rules[0] - w->ink->rules]) seed_figure(w, &all);
    }
    status = 0;
out:
    dsvl_dealloc(order);
    dsvl_dealloc(seen);
    dsvl_dealloc(like);
    return status;
}

/* Grids of the same columns with a row between them whose upright lines were too short to be seen are one. */
static void join_stacked(const work *w, group *groups, size_t *count)
{
    const double same = DSVL_SAME_END * w->em;
    for (size_t i = 0; i < *count; i++) {
        for (size_t j = 0; j < *count; j++) {
            group *a = &groups[i], *b = &groups[j];
            const int gap = b->box.y0 - a->box.y1;
            if (i == j || a->down < 3 || b->down < 3 || gap < 0 || gap > 3 * w->em ||
                abs(a->box.x0 - b->box.x0) > same || abs(a->box.x1 - b->box.x1) > same)
                continue;
            dsvl_cells_join(&a->box, &b->box);
            a->across += b->across;
            a->down = a->down > b->down ? a->down : b->down;
            *b = groups[--*count];
            j = (size_t)-1; /* again from the first */
            if (i >= *count) break;
        }
    }
}

int dsvl_layout_ruled(work *w, dsvl_error *err)
{
    const size_t n = w->ink->rule_count;
    if (n == 0) return 0;
    int32_t *group_of = dsvl_alloc(n, sizeof *group_of);
    group *groups = dsvl_alloc(n, sizeof *groups);
    size_t count = 0;
    int status = -1;
    if (!group_of || !groups) {
        dsvl_fail_memory(err, n * sizeof *groups);
        goto out;
    }
    if (group_rules(w, group_of, groups, &count, err)) goto out;
    join_stacked(w, groups, &count);
    for (size_t g = 0; g < count; g++) {
        bool table;
        if (is_grid(w, &groups[g], &table, err)) goto out;
        if (table && take_table(w, &groups[g].box, true, err)) goto out;
        if (!table && groups[g].across && groups[g].down) seed_figure(w, &groups[g].box);
    }
    status = ruled_by_lines(w, err);
out:
    dsvl_dealloc(group_of);
    dsvl_dealloc(groups);
    return status;
}

/* ---- figures ---- */

/* A run that stands in a block of text: it is long, or a long one is right above or below it, nearer than the
 * figure. Labels under bars may come in one run when they are long; then it is as wide as the figure at most,
 * and close to it. */
static bool in_text(const work *w, size_t i, const dsvl_cells *figure)
{
    const dsvl_cells *a = &w->runs.data[i].box;
    const double em = w->em;
    bool under =
        a->x0 > figure->x0 - em && a->x1 < figure->x1 + em && dsvl_cells_touch(a, figure, (int)(0.8 * em));
    if (a->x1 - a->x0 > LONG_LINE * em && !under) return true;
    for (size_t j = 0; j < w->runs.count; j++) {
        const run *r = &w->runs.data[j];
        if (j == i || r->solid || r->box.x1 - r->box.x0 <= LONG_LINE * em) continue;
        int apart = -dsvl_overlap(a->y0, a->y1, r->box.y0, r->box.y1);
        if (apart <= 0.8 * em && !dsvl_cells_touch(a, figure, apart - 1) &&
            dsvl_overlap(a->x0, a->x1, r->box.x0, r->box.x1) > 0)
            return true;
    }
    return false;
}

static bool is_free_solid(const run *r)
{
    return r->solid && r->part == -1;
}

/* A short label above or below the figure's side, in line with labels that the figure has: the end of an
 * axis. */
static bool is_tick(const work *w, size_t which, const dsvl_cells *figure, const bool *taken)
{
    const double em = w->em;
    const dsvl_cells *a = &w->runs.data[which].box;
    if (a->x1 - a->x0 > 4 * em || !dsvl_cells_touch(figure, a, (int)(3 * em)) || a->x0 < figure->x0 - em ||
        a->x1 > figure->x1 + em)
        return false;
    for (size_t i = 0; i < w->runs.count; i++) {
        const run *r = &w->runs.data[i];
        if (!taken[i] || r->solid || abs(r->box.x1 - a->x1) > 0.3 * em) continue;
        if (dsvl_cells_hold(figure, &r->box, 0) && -dsvl_overlap(a->y0, a->y1, r->box.y0, r->box.y1) < 4 * em)
            return true;
    }
    return false;
}

/* Whether a run stands as labels of bars do that are some way off: left of a bar and level with it, or below
 * and in line with it. */
static bool is_bar_label(const work *w, const run *r, const dsvl_cells *core, bool below, const bool *taken)
{
    const int far = (int)(BAR_LABEL_GAP[below] * w->em);
    const dsvl_cells *a = &r->box;
    const int x = (a->x0 + a->x1) / 2, y = (a->y0 + a->y1) / 2;
    if (below ? a->y0 < core->y1 || a->y0 > core->y1 + far : a->x1 > core->x0 || a->x1 < core->x0 - far)
        return false;
    for (size_t i = 0; i < w->runs.count; i++) {
        const dsvl_cells *b = &w->runs.data[i].box;
        if (!w->runs.data[i].solid || !taken[i] || !dsvl_cells_hold(core, b, 0)) continue;
        if (below ? x >= b->x0 && x < b->x1 : y >= b->y0 && y < b->y1) return true;
    }
    return false;
}

/* Take such labels where they stand in a row or a column: three of them, no paragraph. */
static void take_bar_labels(const work *w, dsvl_cells *box, const dsvl_cells *core, bool *taken)
{
    for (size_t i = 0; i < w->runs.count; i++) {
        for (int below = 0; below < 2; below++) {
            const run *r = &w->runs.data[i];
            if (r->solid || r->part != -1 || taken[i] || !is_bar_label(w, r, core, below, taken) ||
                in_text(w, i, core))
                continue;
            int like = 0;
            for (size_t j = 0; j < w->runs.count; j++) {
                const run *o = &w->runs.data[j];
                const int off = below ? o->box.y1 - r->box.y1 : o->box.x1 - r->box.x1,
                          other = below ? off : o->box.x0 - r->box.x0;
                like += !o->solid && (abs(off) < 0.4 * w->em || abs(other) < 0.4 * w->em) &&
                        is_bar_label(w, o, core, below, taken);
            }
            if (like < 3) continue;
            taken[i] = true;
            dsvl_cells_join(box, &r->box);
        }
    }
}

/* Grow a figure by the rules and labels about it. */
static void grow_figure(const work *w, dsvl_cells *box, bool *taken)
{
    const double em = w->em;
    const dsvl_ink *ink = w->ink;
    for (bool more = true; more;) { /* axes and grid lines reach from bar to bar, and frames about them */
        more = false;
        for (size_t i = 0; i < ink->rule_count; i++) {
            const dsvl_cells *r = &ink->rules[i];
            if (w->rule_used[i] || !dsvl_cells_touch(box, r, (int)em)) continue;
            dsvl_cells wide = *box;
            dsvl_cells_join(&wide, r);
            if (memcmp(&wide, box, sizeof wide) == 0) continue;
            /* A rule of the page that passes by is not the figure's. */
            if (dsvl_is_level(r) ? r->x1 - r->x0 > 2.5 * (box->x1 - box->x0) + 6 * em
                                 : r->y1 - r->y0 > 2.5 * (box->y1 - box->y0) + 6 * em)
                continue;
            *box = wide;
            more = true;
        }
    }
    const dsvl_cells bars = *box;
    take_bar_labels(w, box, &bars, taken);
    for (int round = 0; round < 3; round++) {
        dsvl_cells core = *box;
        double gap = round == 0 ? LABEL_GAP * em : 0.9 * em;
        for (size_t i = 0; i < w->runs.count; i++) {
            const run *r = &w->runs.data[i];
            if (r->part != -1 || taken[i]) continue;
            bool near = dsvl_cells_touch(&core, &r->box, (int)gap);
            bool inside = dsvl_cells_hold(&core, &r->box, 0);
            if (!near && !(round > 0 && is_tick(w, i, &core, taken))) continue;
            if (!inside && (r->solid || in_text(w, i, &core))) continue;
            taken[i] = true;
            dsvl_cells_join(box, &r->box);
        }
    }
}

/* Bars of one chart stand on one line and are as wide, or begin on one line and are as high. */
static bool is_fellow_bar(const dsvl_cells *a, const dsvl_cells *b)
{
    const bool standing = abs(a->y1 - b->y1) <= 2 && abs(a->x1 - a->x0 - b->x1 + b->x0) <= 2,
               lying = abs(a->x0 - b->x0) <= 2 && abs(a->y1 - a->y0 - b->y1 + b->y0) <= 2;
    return standing || lying;
}

/* Solids near each other, as box; they are marked as taken. */
static dsvl_cells cluster(const work *w, size_t first, bool *taken)
{
    dsvl_cells box = w->runs.data[first].box;
    const int gap = (int)(FIGURE_GAP * w->em);
    taken[first] = true;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < w->runs.count; i++) {
            const run *r = &w->runs.data[i];
            const int far = is_fellow_bar(&w->runs.data[first].box, &r->box) ? 3 * gap : gap;
            if (taken[i] || !is_free_solid(r) || !dsvl_cells_touch(&box, &r->box, far)) continue;
            taken[i] = more = true;
            dsvl_cells_join(&box, &r->box);
        }
    }
    return box;
}

/* Drawings that overlap are one figure. */
static int add_figure(work *w, const dsvl_cells *box, dsvl_error *err)
{
    for (size_t i = 0; i < w->part_count; i++) {
        const dsvl_cells *p = &w->parts[i].box;
        if (w->parts[i].kind != DSVL_PART_FIGURE || dsvl_overlap(p->x0, p->x1, box->x0, box->x1) <= 0 ||
            dsvl_overlap(p->y0, p->y1, box->y0, box->y1) <= 0)
            continue;
        dsvl_layout_widen(w, (int)i, box);
        return 0;
    }
    return dsvl_layout_add(w, DSVL_PART_FIGURE, box, err) < 0 ? -1 : 0;
}

int dsvl_layout_figures(work *w, dsvl_error *err)
{
    const double em = w->em;
    bool *taken = dsvl_alloc_zero(w->runs.count, 1);
    int status = -1;
    if (!taken) return dsvl_fail_memory(err, w->runs.count);
    for (size_t i = 0; i < w->runs.count; i++) {
        if (taken[i] || !is_free_solid(&w->runs.data[i])) continue;
        dsvl_cells box = cluster(w, i, taken), core = box;
        grow_figure(w, &box, taken);
        bool large = box.x1 - box.x0 >= FIGURE_WIDTH * em && box.y1 - box.y0 >= FIGURE_HEIGHT * em &&
                     core.y1 - core.y0 >= 1.2 * em;
        if (!large) { /* ornaments; a bullet or a box beside text is read with it */
            if (core.x1 - core.x0 > 3 * em) w->runs.data[i].part = -2;
            continue;
        }
        if (add_figure(w, &box, err)) goto out;
    }
    status = 0;
out:
    dsvl_dealloc(taken);
    return status;
}
