/* SPDX-License-Identifier: Apache-2.0 */
/* From letters or words to runs: stretches of one line without a gap as wide as a column's; and the solids
 * among the ink, which are bars, slices and drawings. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "filters/layout_private.h"
#include "lib/alloc.h"

/* In em: a wider gap parts two runs. Spaces between words are a quarter to three quarters, gaps between
 * columns one and more. */
static const double RUN_GAP = 0.9;
static const double LONGEST_LETTERS = 12; /* what is connected over more is no print */

static int compare_top(const void *a, const void *b)
{
    const run *x = a, *y = b;
    if (x->box.y0 != y->box.y0) return x->box.y0 < y->box.y0 ? -1 : 1;
    return x->box.x0 < y->box.x0 ? -1 : x->box.x0 > y->box.x0;
}

static int32_t root(int32_t *parent, int32_t i)
{
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

/* ---- gutters ---- */

/* Upright stretches of white with print close by on both sides, line after line: columns of text may stand no
 * further apart than wide spaces do, and only the height of the gutter tells. Marks its cells; NULL: out of
 * memory. */
static uint8_t *find_gutters(const dsvl_ink *ink, double em)
{
    enum {
        OPEN,
        SIDES,
        SHUT
    }; /* white to the end of the line, white between print, print or a narrow space */
    const int w = ink->width, h = ink->height, narrow = (int)(0.55 * em + 0.5), wide = (int)(6 * em),
              least = (int)(4 * em);
    uint8_t *cells = dsvl_alloc_zero((size_t)w, (size_t)h);
    int *sides = dsvl_alloc_zero((size_t)w, sizeof *sides), *from = dsvl_alloc_zero((size_t)w, sizeof *from);
    for (int y = 0; cells && y < h; y++) {
        const uint8_t *mask = ink->mask + (size_t)y * (size_t)w;
        uint8_t *row = cells + (size_t)y * (size_t)w;
        for (int x = 0, end = -1; x < w; x++) {
            if (!mask[x]) continue;
            int white = x - end - 1;
            if (end >= 0 && white > 0 && white <= wide)
                memset(row + end + 1, white < narrow ? SHUT : SIDES, (size_t)white);
            row[x] = SHUT;
            end = x;
        }
    }
    if (cells && sides && from) {
        /* Columns of cells, all at once, row by row. */
        for (int y = 0; y <= h; y++) {
            for (int x = 0; x < w; x++) {
                uint8_t c = y < h ? cells[(size_t)y * (size_t)w + (size_t)x] : SHUT;
                sides[x] += c == SIDES;
                if (c != SHUT) continue;
                for (int i = from[x]; i < y; i++)
                    cells[(size_t)i * (size_t)w + (size_t)x] = sides[x] >= least;
                if (y < h) cells[(size_t)y * (size_t)w + (size_t)x] = 0;
                sides[x] = 0;
                from[x] = y + 1;
            }
        }
    } else {
        dsvl_dealloc(cells);
        cells = NULL;
    }
    dsvl_dealloc(sides);
    dsvl_dealloc(from);
    return cells;
}

static bool gutter_between(const dsvl_cells *a, const dsvl_cells *b, const uint8_t *gutters, int width)
{
    const dsvl_cells *l = a->x0 < b->x0 ? a : b, *r = l == a ? b : a;
    int top = a->y0 > b->y0 ? a->y0 : b->y0, bottom = a->y1 < b->y1 ? a->y1 : b->y1;
    const uint8_t *row = gutters + (size_t)((top + bottom) / 2) * (size_t)width;
    for (int x = l->x1; x < r->x0; x++) {
        if (row[x]) return true;
    }
    return false;
}

/* ---- joining ---- */

/* Whether two pieces of type belong to one run: side by side, of like height. em: of the page. */
static bool linked(const dsvl_cells *a, const dsvl_cells *b, double em)
{
    int ha = a->y1 - a->y0, hb = b->y1 - b->y0, low = ha < hb ? ha : hb, tall = ha > hb ? ha : hb;
    int apart = -dsvl_overlap(a->x0, a->x1, b->x0, b->x1);
    /* Small and large type have gaps of their own; a letter alone says little of its size. */
    double size = tall / 0.78;
    if (size < 0.65 * em) size = 0.65 * em;
    if (size > 1.3 * em && low * 2 < tall) size = em;
    return apart <= RUN_GAP * size && dsvl_overlap(a->y0, a->y1, b->y0, b->y1) * 5 >= 2 * low &&
           (tall <= 3 * low || tall <= 1.3 * em);
}

/* Join type boxes into runs, in place. */
static int join_runs(runs *set, double em, const uint8_t *gutters, int width, dsvl_error *err)
{
    int32_t *parent = dsvl_alloc(set->count, sizeof *parent);
    int tallest = 0;
    if (!parent) return dsvl_fail_memory(err, set->count * sizeof *parent);
    qsort(set->data, set->count, sizeof *set->data, compare_top);
    for (size_t i = 0; i < set->count; i++) {
        int h = set->data[i].box.y1 - set->data[i].box.y0;
        if (h > tallest) tallest = h;
    }
    for (size_t i = 0; i < set->count; i++) {
        parent[i] = (int32_t)i;
        for (size_t j = i; j-- > 0 && set->data[i].box.y0 - set->data[j].box.y0 <= tallest;) {
            const dsvl_cells *p = &set->data[i].box, *q = &set->data[j].box;
            if (!linked(p, q, em) || gutter_between(p, q, gutters, width)) continue;
            int32_t a = root(parent, (int32_t)i), b = root(parent, (int32_t)j);
            parent[a > b ? a : b] = a > b ? b : a;
        }
    }
    for (size_t i = 0; i < set->count; i++) {
        int32_t r = root(parent, (int32_t)i);
        if (r != (int32_t)i) dsvl_cells_join(&set->data[r].box, &set->data[i].box);
    }
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (parent[i] == (int32_t)i) set->data[kept++] = set->data[i];
    }
    set->count = kept;
    dsvl_dealloc(parent);
    return 0;
}

static bool is_solid(const dsvl_cells *b, int area, double em)
{
    double w = b->x1 - b->x0, h = b->y1 - b->y0;
    if (w < 0.5 * em || h < 0.5 * em) return false;
    if (area >= 0.75 * w * h && w * h >= 2.2 * em * em) return true;
    return (w > 4 * em && h > 3 * em) || (h > 4 * em && w > 2 * em); /* drawings, photographs */
}

static size_t middle_of(const dsvl_ink *ink, const dsvl_cells *b)
{
    return (size_t)((b->y0 + b->y1) / 2) * (size_t)ink->width + (size_t)((b->x0 + b->x1) / 2);
}

static void add(runs *set, dsvl_cells box, bool solid)
{
    set->data[set->count++] = (run){box, solid, -1};
}

/* Specks are not type; marks such as dots and commas are, once there are letters beside them. covered: not 0
 * in the cells of words. */
static void type_of_ink(runs *set, const dsvl_ink *ink, const int32_t *covered, double em, bool marks)
{
    for (size_t i = 0; i < ink->piece_count; i++) {
        const dsvl_cells *b = &ink->pieces[i];
        double h = b->y1 - b->y0, w = b->x1 - b->x0;
        if (is_solid(b, ink->areas[i], em) || h > 5 * em) continue;
        if (w > LONGEST_LETTERS * em && w > 10 * h) continue; /* an axis with its marks */
        if (covered && covered[middle_of(ink, b)]) continue;
        bool mark = h < 0.33 * em;
        if (mark != marks || (mark && w > 2 * em) || (mark && ink->areas[i] < 2 && em > 9)) continue;
        add(set, *b, false);
    }
}

/* The run nearest to a mark within reach; the dot of an i belongs to its own line, not to the one above. */
static run *nearest_run(const runs *set, size_t from, size_t count, const dsvl_cells *mark, int reach)
{
    run *best = NULL;
    int least = 2 * reach + 1;
    for (size_t j = from; j < count; j++) {
        const dsvl_cells *b = &set->data[j].box;
        if (b->y0 > mark->y1 + 5 * reach) break;
        if (!dsvl_cells_touch(b, mark, reach)) continue;
        int dx = -dsvl_overlap(b->x0, b->x1, mark->x0, mark->x1),
            dy = -dsvl_overlap(b->y0, b->y1, mark->y0, mark->y1);
        int distance = (dx > 0 ? dx : 0) + (dy > 0 ? dy : 0);
        if (distance >= least) continue;
        least = distance;
        best = &set->data[j];
    }
    return best;
}

/* Marks widen the run beside them; one that has none (a dash alone in a table's cell) stands for itself, but
 * not where there are words, none of which it is: there it is a piece of a dotted rule. */
static void attach_marks(runs *set, size_t first, double em, bool words)
{
    size_t kept = first, from = 0;
    const int reach = (int)(0.35 * em + 0.5);
    int tallest = 0;
    for (size_t j = 0; j < first; j++) {
        if (set->data[j].box.y1 - set->data[j].box.y0 > tallest)
            tallest = set->data[j].box.y1 - set->data[j].box.y0;
    }
    /* Runs and marks come from top to bottom; some reaches more allow for what marks have added to runs. */
    for (size_t i = first; i < set->count; i++) {
        while (from < first && set->data[from].box.y0 + tallest + 5 * reach < set->data[i].box.y0) from++;
        run mark = set->data[i], *owner = nearest_run(set, from, first, &mark.box, reach);
        if (owner)
            dsvl_cells_join(&owner->box, &mark.box);
        else if (!words && mark.box.x1 - mark.box.x0 > mark.box.y1 - mark.box.y0 &&
                 mark.box.x1 - mark.box.x0 >= 0.25 * em)
            set->data[kept++] = mark;
    }
    set->count = kept;
}

/* The cells of a word, within the page. */
static dsvl_cells cells_of(const float *b, const dsvl_ink *ink, double cells_per_point,
                           const double origin[2])
{
    dsvl_cells c = {
        (int)floor((b[0] - origin[0]) * cells_per_point), (int)floor((b[1] - origin[1]) * cells_per_point),
        (int)ceil((b[2] - origin[0]) * cells_per_point), (int)ceil((b[3] - origin[1]) * cells_per_point)};
    if (c.x0 < 0) c.x0 = 0;
    if (c.y0 < 0) c.y0 = 0;
    if (c.x1 > ink->width) c.x1 = ink->width;
    if (c.y1 > ink->height) c.y1 = ink->height;
    return c;
}

static bool has_ink(const dsvl_ink *ink, const dsvl_cells *c)
{
    for (int y = c->y0; y < c->y1; y++) {
        for (int x = c->x0; x < c->x1; x++) {
            if (ink->mask[(size_t)y * (size_t)ink->width + (size_t)x]) return true;
        }
    }
    return false;
}

/* Words become runs, as wide as the words and as high as their ink; covered: 1 + the word of each cell. Words
 * without ink (hidden ones) are left out. A word's box is as high as its font's line, which lines set tight
 * share. */
static void type_of_words(runs *set, const dsvl_ink *ink, const dsvl_words *words, double cells_per_point,
                          const double origin[2], int32_t *covered)
{
    const size_t first = set->count;
    for (size_t i = 0; i < words->count; i++) {
        dsvl_cells c = cells_of(words->boxes + 4 * i, ink, cells_per_point, origin);
        const int trim = (c.y1 - c.y0) / 8;
        if (!has_ink(ink, &c)) continue;
        for (int y = c.y0 + trim; y < c.y1 - trim; y++) {
            for (int x = c.x0; x < c.x1; x++)
                covered[(size_t)y * (size_t)ink->width + (size_t)x] = (int32_t)(set->count - first) + 1;
        }
        add(set, (dsvl_cells){c.x0, c.y1, c.x1, c.y0}, false); /* no height yet */
    }
    for (size_t i = 0; i < ink->piece_count; i++) {
        const dsvl_cells *p = &ink->pieces[i];
        int32_t owner = covered[middle_of(ink, p)];
        if (owner == 0) continue;
        dsvl_cells *b = &set->data[first + (size_t)owner - 1].box;
        if (p->y0 < b->y0) b->y0 = p->y0;
        if (p->y1 > b->y1) b->y1 = p->y1;
    }
    size_t kept = first;
    for (size_t i = first; i < set->count; i++) {
        if (set->data[i].box.y0 < set->data[i].box.y1) set->data[kept++] = set->data[i];
    }
    set->count = kept;
}

/* Of bars one side stands on a common line and the other does not; cells of a shaded row agree in both. */
static bool is_bar(const dsvl_ink *ink, size_t which)
{
    const dsvl_cells *a = &ink->shades[which].box;
    const int w = a->x1 - a->x0, h = a->y1 - a->y0;
    for (size_t i = 0; i < ink->shade_count; i++) {
        const dsvl_cells *b = &ink->shades[i].box;
        if (i == which || !ink->shades[i].straight) continue;
        int bw = b->x1 - b->x0, bh = b->y1 - b->y0;
        if (abs(a->x0 - b->x0) <= 2 && abs(h - bh) <= 3 && abs(w - bw) > 4) return true;
        if (abs(a->y1 - b->y1) <= 2 && abs(w - bw) <= 3 && abs(h - bh) > 4) return true;
    }
    return false;
}

/* Side by side, of one height: cells of a row. */
static bool same_row(const dsvl_cells *a, const dsvl_cells *b)
{
    return abs(a->y0 - b->y0) <= 1 && abs(a->y1 - b->y1) <= 1 &&
           -dsvl_overlap(a->x0, a->x1, b->x0, b->x1) <= 4;
}

/* Shades with print on them are grounds unless they are bars, and so are shades in a row with a ground.
 * ground: a mark for each shade. */
static void find_grounds(const runs *set, const dsvl_ink *ink, double em, uint8_t *ground)
{
    for (size_t i = 0; i < ink->shade_count; i++) {
        const dsvl_shade *s = &ink->shades[i];
        size_t printed = 0;
        bool beside = false;
        for (size_t j = 0; j < set->count; j++) printed += dsvl_cells_hold(&s->box, &set->data[j].box, 0);
        for (size_t j = 0; j < ink->shade_count && printed; j++)
            beside |= j != i && ink->shades[j].straight && same_row(&s->box, &ink->shades[j].box);
        /* A stripe under a line of print may be uneven where the print is in two colours. */
        const int w = s->box.x1 - s->box.x0, h = s->box.y1 - s->box.y0;
        const bool stripe = printed > 2 && h < 2.2 * em && w > 6 * h;
        ground[i] = stripe || (s->straight && printed && (beside || printed > 2 || !is_bar(ink, i)));
    }
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < ink->shade_count; i++) {
            for (size_t j = 0; j < ink->shade_count && !ground[i] && ink->shades[i].straight; j++) {
                if (!ground[j] || !same_row(&ink->shades[i].box, &ink->shades[j].box)) continue;
                ground[i] = 1;
                more = true;
            }
        }
    }
}

/* What letters on a ground enclose. */
static bool is_counter(const dsvl_ink *ink, const uint8_t *ground, size_t which, double em)
{
    const dsvl_cells *b = &ink->shades[which].box;
    if ((b->x1 - b->x0) * (b->y1 - b->y0) >= em * em) return false;
    for (size_t i = 0; i < ink->shade_count; i++)
        if (ground[i] && dsvl_cells_hold(&ink->shades[i].box, b, 0)) return true;
    return false;
}

/* ---- bars that are not filled ---- */

/* Two sides of a bar: rules side by side that begin and end together; along: lying ones. */
static bool is_hollow(const dsvl_cells *a, const dsvl_cells *b, bool along, double em)
{
    const int apart = along ? b->y0 - a->y1 : b->x0 - a->x1;
    const bool together = along ? abs(a->x0 - b->x0) <= 1 && abs(a->x1 - b->x1) <= 1
                                : abs(a->y0 - b->y0) <= 1 && abs(a->y1 - b->y1) <= 1;
    if (!together || apart < 0.3 * em || apart > (along ? 3 : 6) * em) return false;
    return along ? a->x1 - a->x0 > a->y1 - a->y0 : a->y1 - a->y0 > a->x1 - a->x0;
}

/* Whether there are three such bars or more on this one's line that are not all as long: rows of a table are.
 */
static bool has_fellows(const dsvl_cells *bars, size_t count, const dsvl_cells *bar, bool along)
{
    size_t fellows = 0, other = 0;
    for (size_t i = 0; i < count; i++) {
        const dsvl_cells *b = &bars[i];
        const bool same = along ? abs(b->x0 - bar->x0) <= 1 && abs(b->y1 - b->y0 - bar->y1 + bar->y0) <= 2
                                : abs(b->y1 - bar->y1) <= 1 && abs(b->x1 - b->x0 - bar->x1 + bar->x0) <= 2;
        fellows += same;
        other += same && (along ? abs(b->x1 - bar->x1) > 4 : abs(b->y0 - bar->y0) > 4);
    }
    return fellows >= 3 && other > 0;
}

/* The other side of the bar that a rule is a side of; -1: none, or there are several, as in a grid. */
static int other_side(const dsvl_ink *ink, size_t which, bool along, double em)
{
    int other = -1;
    for (size_t i = 0; i < ink->rule_count; i++) {
        if (!is_hollow(&ink->rules[which], &ink->rules[i], along, em) &&
            !is_hollow(&ink->rules[i], &ink->rules[which], along, em))
            continue;
        if (other >= 0) return -1;
        other = (int)i;
    }
    return other;
}

/* Hatching that lies straight along a bar is seen as rules between its sides: three and more that begin and
 * end together, close to each other, are one bar. false: rule `which` is not the first of such. */
static bool is_hatched(const dsvl_ink *ink, size_t which, double em, dsvl_cells *bar)
{
    int members = 1;
    *bar = ink->rules[which];
    if (dsvl_is_level(bar)) return false;
    for (bool more = true; more && bar->x1 - bar->x0 < 6 * em;) {
        more = false;
        for (size_t i = 0; i < ink->rule_count; i++) {
            const dsvl_cells *r = &ink->rules[i];
            if (dsvl_is_level(r) || abs(r->y0 - bar->y0) > 1 || abs(r->y1 - bar->y1) > 1) continue;
            if (r->x1 > bar->x0 - 1.5 * em && r->x0 < ink->rules[which].x0) return false;
            if (r->x0 < bar->x1 || r->x0 > bar->x1 + 1.5 * em) continue;
            bar->x1 = r->x1;
            members++;
            more = true;
        }
    }
    return members >= 3 && bar->x1 - bar->x0 < 6 * em;
}

static int add_hollow(runs *set, const dsvl_ink *ink, double em, dsvl_error *err)
{
    dsvl_cells *bars = dsvl_alloc(ink->rule_count, sizeof *bars), bar;
    if (!bars) return dsvl_fail_memory(err, ink->rule_count * sizeof *bars);
    for (int along = 0; along < 2; along++) {
        size_t count = 0;
        for (size_t i = 0; i < ink->rule_count; i++) {
            if (!along && is_hatched(ink, i, em, &bar)) {
                bars[count++] = bar;
                continue;
            }
            const int other = other_side(ink, i, along, em);
            if (other <= (int)i || other_side(ink, (size_t)other, along, em) != (int)i) continue;
            bar = ink->rules[i];
            dsvl_cells_join(&bar, &ink->rules[other]);
            bars[count++] = bar;
        }
        for (size_t i = 0; i < count; i++)
            if (has_fellows(bars, count, &bars[i], along)) add(set, bars[i], true);
    }
    dsvl_dealloc(bars);
    return 0;
}

/* Shades that are no grounds, and drawings, are solids. */
static int add_solids(runs *set, const dsvl_ink *ink, double em, dsvl_error *err)
{
    uint8_t *ground = dsvl_alloc_zero(ink->shade_count, 1);
    if (!ground) return dsvl_fail_memory(err, ink->shade_count);
    find_grounds(set, ink, em, ground);
    for (size_t i = 0; i < ink->shade_count; i++) {
        const dsvl_shade *s = &ink->shades[i];
        if (ground[i] || (!s->straight && s->contrast < 40)) continue; /* uneven light */
        if (is_counter(ink, ground, i, em)) continue;
        add(set, s->box, true);
    }
    for (size_t i = 0; i < ink->piece_count; i++) {
        if (is_solid(&ink->pieces[i], ink->areas[i], em)) add(set, ink->pieces[i], true);
    }
    dsvl_dealloc(ground);
    return 0;
}

int dsvl_runs_find(work *w, const dsvl_words *words, const double origin[2], dsvl_error *err)
{
    const dsvl_ink *ink = w->ink;
    const bool layer = words && words->count;
    size_t room = ink->piece_count * 2 + ink->shade_count + 2 * ink->rule_count + (layer ? words->count : 0);
    runs *out = &w->runs;
    int32_t *covered =
        layer ? dsvl_alloc_zero((size_t)ink->width * (size_t)ink->height, sizeof *covered) : NULL;
    uint8_t *gutters = find_gutters(ink, w->em);
    int status = -1;
    memset(out, 0, sizeof *out);
    out->data = dsvl_alloc(room, sizeof *out->data);
    if (!out->data || !gutters || (layer && !covered)) {
        dsvl_fail_memory(err, room * sizeof *out->data);
        goto out;
    }
    if (layer) type_of_words(out, ink, words, w->cells_per_point, origin, covered);
    type_of_ink(out, ink, covered, w->em, false);
    if (join_runs(out, w->em, gutters, ink->width, err)) goto out;
    size_t first = out->count;
    type_of_ink(out, ink, covered, w->em, true);
    attach_marks(out, first, w->em, layer);
    if (join_runs(out, w->em, gutters, ink->width, err)) goto out;
    if (add_solids(out, ink, w->em, err) == 0) status = add_hollow(out, ink, w->em, err);
out:
    dsvl_dealloc(covered);
    dsvl_dealloc(gutters);
    return status;
}
