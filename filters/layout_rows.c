/* SPDX-License-Identifier: Apache-2.0 */
/* Tables without rules, columns of text, and blocks of text, from where runs stand. The runs of a node of the
 * page are cut into bands: stretches between empty lines. Bands that leave the same gutters free make a
 * chain, which is a table when its strips are short and many, and columns of text when they are wide and
 * filled. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "filters/layout_private.h"
#include "lib/alloc.h"

/* All in em. */
static const double GUTTER = 0.6;        /* least width of a gutter that several bands share */
static const double ROW_GAP = 2.4;       /* rows of a table stand no further apart */
static const double COLUMN_WIDTH = 10.5; /* narrower strips are no columns of text */
static const double COLUMN_FILL = 0.72;  /* of their width, what lines of text fill on average */
static const double SIZES = 1.45;        /* type sizes of one block differ by less */
static const double BLOCK_GAP = 1.5;     /* a wider gap ends a block of text */
static const double TEXT_FILL = 0.8;     /* of its length, what the words of a line of text fill */

typedef struct band {
    int y0, y1;
    size_t first, count; /* of the node's runs */
} band;

typedef struct node {
    work *w;
    size_t *ids; /* runs, by band */
    size_t count;
    band *bands;
    size_t band_count;
} node;

typedef enum verdict { PLAIN, TABLE, COLUMNS } verdict;

static const dsvl_cells *box_of(const node *n, size_t i)
{
    return &n->w->runs.data[n->ids[i]].box;
}

bool dsvl_ranges_add(dsvl_ranges *r, int x0, int x1, int gap)
{
    int i = 0, j;
    while (i < r->count && r->x1[i] + gap <= x0) i++;
    for (j = i; j < r->count && r->x0[j] < x1 + gap; j++) {
        if (r->x0[j] < x0) x0 = r->x0[j];
        if (r->x1[j] > x1) x1 = r->x1[j];
    }
    if (i == j && r->count == DSVL_MAX_STRIPS) return false;
    size_t rest = (size_t)(r->count - j) * sizeof *r->x0;
    memmove(r->x0 + i + 1, r->x0 + j, rest);
    memmove(r->x1 + i + 1, r->x1 + j, rest);
    r->count += i + 1 - j;
    r->x0[i] = x0;
    r->x1[i] = x1;
    return true;
}

static bool add_band(const node *n, dsvl_ranges *r, const band *b)
{
    int gap = (int)(GUTTER * n->w->em + 0.5);
    for (size_t i = b->first; i < b->first + b->count; i++) {
        if (!dsvl_ranges_add(r, box_of(n, i)->x0, box_of(n, i)->x1, gap)) return false;
    }
    return true;
}

/* ---- bands ---- */

static int compare_ids(const void *a, const void *b, void *runs_)
{
    const run *runs_data = runs_;
    const dsvl_cells *x = &runs_data[*(const size_t *)a].box, *y = &runs_data[*(const size_t *)b].box;
    if (x->y0 != y->y0) return x->y0 < y->y0 ? -1 : 1;
    return x->x0 < y->x0 ? -1 : x->x0 > y->x0;
}

/* Runs sorted from top to bottom, in bands. A run counts without the uppermost and lowest sixth of its
 * height: ascenders reach into the line above where type is set tight. */
static int find_bands(node *n, dsvl_error *err)
{
    qsort_r(n->ids, n->count, sizeof *n->ids, compare_ids, n->w->runs.data);
    n->bands = dsvl_alloc(n->count, sizeof *n->bands);
    if (!n->bands) return dsvl_fail_memory(err, n->count * sizeof *n->bands);
    int end = -1;
    n->band_count = 0;
    for (size_t i = 0; i < n->count; i++) {
        const dsvl_cells *b = box_of(n, i);
        int inset = (b->y1 - b->y0) / 6;
        band *last = n->band_count ? &n->bands[n->band_count - 1] : NULL;
        if (!last || b->y0 + inset >= end) {
            n->bands[n->band_count++] = (band){b->y0, b->y1, i, 1};
            end = b->y1 - inset;
            continue;
        }
        last->count++;
        if (b->y1 > last->y1) last->y1 = b->y1;
        if (b->y1 - inset > end) end = b->y1 - inset;
    }
    return 0;
}

/* ---- what a chain of bands is ---- */

typedef struct strip {
    size_t lines;
    double width, fill;
    bool text; /* as columns of text are */
} strip;

static int strip_of(const dsvl_ranges *r, const dsvl_cells *b)
{
    int s = 0, middle = (b->x0 + b->x1) / 2;
    while (s + 1 < r->count && middle >= r->x1[s]) s++;
    return s;
}

/* Lines of a strip are its runs; runs side by side within it, parted by a wide space, are one line. */
static void measure_strips(const node *n, size_t from, size_t to, const dsvl_ranges *r, strip *strips)
{
    const double em = n->w->em;
    double sum[DSVL_MAX_STRIPS] = {0};
    int last_y[DSVL_MAX_STRIPS];
    memset(strips, 0, (size_t)r->count * sizeof *strips);
    for (int s = 0; s < r->count; s++) last_y[s] = -1;
    for (size_t i = n->bands[from].first; i < n->bands[to - 1].first + n->bands[to - 1].count; i++) {
        const dsvl_cells *b = box_of(n, i);
        int s = strip_of(r, b), y = (b->y0 + b->y1) / 2;
        sum[s] += b->x1 - b->x0;
        if (last_y[s] < 0 || abs(y - last_y[s]) > 0.4 * em) strips[s].lines++;
        last_y[s] = y;
    }
    for (int s = 0; s < r->count; s++) {
        strips[s].width = (r->x1[s] - r->x0[s]) / em;
        strips[s].fill = strips[s].lines ? sum[s] / (double)strips[s].lines / (r->x1[s] - r->x0[s]) : 0;
        strips[s].text =
            strips[s].width >= COLUMN_WIDTH && strips[s].lines >= 4 && strips[s].fill >= COLUMN_FILL;
    }
}

/* How many bands have print in more than one strip; *tall: how many of them hold several lines. */
static size_t count_rows(const node *n, size_t from, size_t to, const dsvl_ranges *r, size_t *tall)
{
    size_t rows = 0;
    *tall = 0;
    for (size_t b = from; b < to; b++) {
        int first = -1;
        bool many = false;
        for (size_t i = n->bands[b].first; i < n->bands[b].first + n->bands[b].count; i++) {
            int s = strip_of(r, box_of(n, i));
            if (first < 0) first = s;
            many |= s != first;
        }
        rows += many;
        *tall += many && n->bands[b].y1 - n->bands[b].y0 > 4 * n->w->em;
    }
    return rows;
}

/* Bullets and numbers before the items of a list are no column. */
static bool is_list(const dsvl_ranges *r, const strip *strips, double em)
{
    return r->count == 2 && r->x1[0] - r->x0[0] <= 2.2 * em && strips[1].width >= 12 &&
           r->x0[1] - r->x1[0] < 3 * em;
}

/* The widest gutter from strip low to strip high. */
static int widest_gutter(const dsvl_ranges *r, int low, int high)
{
    int widest = low;
    for (int g = low; g < high; g++) {
        if (r->x0[g + 1] - r->x1[g] > r->x0[widest + 1] - r->x1[widest]) widest = g;
    }
    return (r->x1[widest] + r->x0[widest + 1]) / 2;
}

/* Columns of text are split at *gutter: the widest with such columns on both sides. */
static verdict judge(const node *n, size_t from, size_t to, const dsvl_ranges *r, int *gutter)
{
    strip strips[DSVL_MAX_STRIPS];
    size_t tall, rows = count_rows(n, from, to, r, &tall), most = 0;
    int texts = 0, wide = 0, first = -1, last = -1;
    if (r->count < 2) return PLAIN;
    measure_strips(n, from, to, r, strips);
    if (is_list(r, strips, n->w->em)) return PLAIN;
    for (int s = 0; s < r->count; s++) {
        bool filled = strips[s].width >= COLUMN_WIDTH && strips[s].fill >= COLUMN_FILL;
        if (strips[s].lines > most) most = strips[s].lines;
        texts += strips[s].text;
        wide += filled;
        if (!filled) continue;
        if (first < 0) first = s;
        last = s;
    }
    if (texts && wide >= 2) {
        *gutter = widest_gutter(r, first, last);
        return COLUMNS;
    }
    /* Beside a column of text, something that has no line for most of its lines, or none of its lines. */
    if (texts && (tall || (most >= 6 && rows * 3 < most && rows < 3))) {
        *gutter = widest_gutter(r, 0, r->count - 1);
        return COLUMNS;
    }
    return rows >= 3 || (rows == 2 && r->count >= 3) ? TABLE : PLAIN;
}

/* ---- chains ---- */

static int row_gap(const node *n, size_t b)
{
    return n->bands[b].y0 - n->bands[b - 1].y1;
}

static size_t own_ranges(const node *n, size_t b)
{
    dsvl_ranges r = {0};
    if (!add_band(n, &r, &n->bands[b])) return 0;
    return (size_t)r.count;
}

/* Between the bands from `from` up to `to`; 0 when there is but one. */
static double mean_gap(const node *n, size_t from, size_t to)
{
    double sum = 0;
    for (size_t b = from + 1; b < to; b++) sum += row_gap(n, b) > 0 ? row_gap(n, b) : 0;
    return to - from > 1 ? sum / (double)(to - from - 1) : 0;
}

/* Whether a band that crosses the chain's gutters may stand inside a table: a heading over some rows. */
static bool is_inner_heading(const node *n, size_t from, size_t b, const dsvl_ranges *r)
{
    const double em = n->w->em;
    if (b + 1 >= n->band_count || own_ranges(n, b) != 1 || own_ranges(n, b + 1) < 2) return false;
    const dsvl_cells *box = box_of(n, n->bands[b].first);
    int left = r->x0[0], right = r->x1[r->count - 1];
    bool placed = abs(box->x0 - left) < em || abs(box->x0 + box->x1 - left - right) < 2 * em;
    double usual = b - from > 1 ? mean_gap(n, from, b) : em;
    double limit = usual * 1.5 > 1.3 * em ? usual * 1.5 : 1.3 * em;
    return placed && box->x1 - box->x0 < 0.75 * (right - left) && row_gap(n, b) <= limit &&
           row_gap(n, b + 1) <= limit;
}

/* Whether a run stands as its strip does: same left, right or middle. */
static bool is_placed(const dsvl_cells *box, const dsvl_ranges *r, double slack)
{
    int s = strip_of(r, box), left = box->x0 - r->x0[s], right = r->x1[s] - box->x1;
    return abs(left) < slack || abs(right) < slack || abs(left - right) < 2 * slack;
}

/* Whether at least half of a band's runs do. */
static bool is_aligned(const node *n, size_t b, const dsvl_ranges *r)
{
    size_t aligned = 0;
    for (size_t i = n->bands[b].first; i < n->bands[b].first + n->bands[b].count; i++)
        aligned += is_placed(box_of(n, i), r, n->w->em);
    return aligned * 2 >= n->bands[b].count;
}

/* A line of text over the whole width, right above or below, makes chance gaps of what looks like a small
 * table: justified lines have wide spaces in narrow columns, and may have some in the neighbour too. */
static bool is_in_paragraph(const node *n, size_t from, size_t to, const dsvl_ranges *r)
{
    const double em = n->w->em, pitch = mean_gap(n, from, to) * 1.3 + 0.1 * em;
    for (int side = 0; side < 2; side++) {
        if (side == 0 ? from == 0 : to == n->band_count) continue;
        const size_t b = side == 0 ? from - 1 : to;
        dsvl_cells all = *box_of(n, n->bands[b].first);
        double filled = 0;
        for (size_t i = n->bands[b].first; i < n->bands[b].first + n->bands[b].count; i++) {
            dsvl_cells_join(&all, box_of(n, i));
            filled += box_of(n, i)->x1 - box_of(n, i)->x0;
        }
        const bool close = row_gap(n, side == 0 ? from : to) < fmax(0.7 * em, pitch);
        if (close && all.x0 < r->x0[0] + em && all.x1 > r->x1[r->count - 1] - em &&
            filled >= TEXT_FILL * (all.x1 - all.x0))
            return true;
    }
    return false;
}

/* Whether a band holds headings over several columns each: a row right below, of more columns, is as wide. */
static bool is_spanner(const node *n, size_t b)
{
    const band *above = &n->bands[b], *below = &n->bands[b + 1];
    dsvl_cells row = *box_of(n, below->first);
    for (size_t i = below->first; i < below->first + below->count; i++) dsvl_cells_join(&row, box_of(n, i));
    for (size_t i = above->first; i < above->first + above->count; i++) {
        const dsvl_cells *r = box_of(n, i);
        if (r->x0 < row.x0 || r->x1 > row.x1 || (r->x1 - r->x0) * 3 > row.x1 - row.x0) return false;
    }
    return own_ranges(n, b + 1) > own_ranges(n, b) && row_gap(n, b + 1) < 1.2 * n->w->em;
}

/* The end of the chain that begins at a band, and the strips of it. */
static size_t grow_chain(const node *n, size_t from, bool headings, dsvl_ranges *strips)
{
    const double em = n->w->em;
    dsvl_ranges r = {0};
    size_t b = from, last = from + 1; /* last: behind the last band of several runs */
    if (!add_band(n, &r, &n->bands[from])) return from;
    *strips = r;
    for (b = from + 1; b < n->band_count; b++) {
        dsvl_ranges next = r;
        double usual = mean_gap(n, from, b);
        /* After a few rows it is known how far apart they stand. */
        double limit = b - from < 3 ? ROW_GAP * em : usual * 2.2 + 0.7 * em;
        bool spanned = b == from + 1 && is_spanner(n, from);
        if (row_gap(n, b) > limit || (own_ranges(n, b) > 1 && !spanned && !is_aligned(n, b, &r))) break;
        bool room = add_band(n, &next, &n->bands[b]);
        if (!room || next.count < 2 || (r.count >= 4 && (next.count - 1) * 2 < r.count - 1)) {
            if (!room || !headings || b != last || !is_inner_heading(n, from, b, &r)) break;
            continue;
        }
        r = next;
        /* A further line of a cell stands close under its first. */
        if (own_ranges(n, b) >= 2 || (b == last && row_gap(n, b) < 0.6 * em)) last = b + 1, *strips = r;
    }
    return last;
}

/* ---- columns and blocks ---- */

static int segment(work *w, const size_t *ids, size_t count, int depth, dsvl_error *err);

/* Type size of a band, 0 when there is too little to tell. */
static double band_em(const node *n, size_t b)
{
    dsvl_cells box = *box_of(n, n->bands[b].first);
    for (size_t i = n->bands[b].first; i < n->bands[b].first + n->bands[b].count; i++)
        dsvl_cells_join(&box, box_of(n, i));
    return box.x1 - box.x0 > 3 * n->w->em ? dsvl_ink_em(n->w->ink, &box, n->w->cells_per_point) : 0;
}

/* Headings of larger type are blocks of their own. */
static bool same_size(double a, double b)
{
    return a == 0 || b == 0 || (a < SIZES * b && b < SIZES * a);
}

static int add_text(const node *n, size_t from, size_t to, dsvl_error *err)
{
    const double em = n->w->em;
    int column = n->w->columns++;
    while (from < to) {
        dsvl_cells box = *box_of(n, n->bands[from].first);
        size_t b = from;
        double size = band_em(n, from);
        for (; b < to && (b == from || row_gap(n, b) <= BLOCK_GAP * em); b++) {
            double own = b == from ? size : band_em(n, b);
            if (!same_size(size, own)) break;
            if (own > 0) size = own;
            for (size_t i = n->bands[b].first; i < n->bands[b].first + n->bands[b].count; i++)
                dsvl_cells_join(&box, box_of(n, i));
        }
        int added = dsvl_layout_add(n->w, DSVL_PART_TEXT, &box, err);
        if (added < 0) return -1;
        n->w->parts[added].column = column;
        from = b;
    }
    return 0;
}

static dsvl_cells box_of_bands(const node *n, size_t from, size_t to)
{
    dsvl_cells box = *box_of(n, n->bands[from].first);
    size_t end = n->bands[to - 1].first + n->bands[to - 1].count;
    for (size_t i = n->bands[from].first; i < end; i++) dsvl_cells_join(&box, box_of(n, i));
    return box;
}

/* The first band of a table with the headings over its columns. */
static size_t with_spanning(const node *n, size_t from, size_t to)
{
    dsvl_cells box = box_of_bands(n, from, to);
    dsvl_layout_spanning(n->w, &box);
    return from > 0 && box.y0 <= n->bands[from - 1].y0 ? from - 1 : from;
}

static int add_table(const node *n, size_t from, size_t to, dsvl_error *err)
{
    const dsvl_cells box = box_of_bands(n, from, to);
    return dsvl_layout_add(n->w, DSVL_PART_TABLE, &box, err) < 0 ? -1 : 0;
}

/* Bands of columns of text: the runs left of the gutter, then those right of it. */
static int split_columns(const node *n, size_t from, size_t to, int gutter, int depth, dsvl_error *err)
{
    size_t first = n->bands[from].first, count = n->bands[to - 1].first + n->bands[to - 1].count - first,
           left = 0;
    size_t *ids = dsvl_alloc(count, sizeof *ids);
    if (!ids) return dsvl_fail_memory(err, count * sizeof *ids);
    for (size_t i = first; i < first + count; i++) {
        const dsvl_cells *b = box_of(n, i);
        if (b->x0 + b->x1 < 2 * gutter) ids[left++] = n->ids[i];
    }
    size_t right = left;
    for (size_t i = first; i < first + count; i++) {
        const dsvl_cells *b = box_of(n, i);
        if (b->x0 + b->x1 >= 2 * gutter) ids[right++] = n->ids[i];
    }
    int status =
        segment(n->w, ids, left, depth + 1, err) || segment(n->w, ids + left, right - left, depth + 1, err);
    dsvl_dealloc(ids);
    return status ? -1 : 0;
}

/* 0: a band leaves the gutter free, with print on one side; 1: on both; -1: it crosses the gutter. */
static int sides_of(const node *n, size_t b, int gutter)
{
    bool left = false, right = false;
    for (size_t i = n->bands[b].first; i < n->bands[b].first + n->bands[b].count; i++) {
        if (box_of(n, i)->x1 <= gutter)
            left = true;
        else if (box_of(n, i)->x0 >= gutter)
            right = true;
        else
            return -1;
    }
    return left && right;
}

/* How many of the bands from b on, in steps of 1 or -1, carry on columns that end before it. Beyond a gap
 * wider than between paragraphs there must be several of them, all on one side: else it is a heading of what
 * comes next. */
static size_t carry_on(const node *n, size_t b, int step, size_t least, int gutter)
{
    const double em = n->w->em;
    size_t count = 0, sure = 0;
    bool wide = false;
    for (; b >= least && b < n->band_count; b += (size_t)step, count++) {
        int gap = row_gap(n, step > 0 ? b : b + 1), sides = sides_of(n, b, gutter);
        if (gap > 2.5 * em || sides < 0) break;
        if (gap > 1.3 * em) wide = true, sure = count;
        if (wide && sides == 1) return sure;
        if (b == 0) return count + 1 - sure > 2 || !wide ? count + 1 : sure;
    }
    return count - sure > 2 || !wide ? count : sure;
}

static int segment_bands(const node *n, int depth, dsvl_error *err)
{
    size_t text = 0; /* bands from here on are text so far */
    for (size_t b = 0; b < n->band_count;) {
        dsvl_ranges strips;
        int gutter = 0;
        size_t first = b, end = b + 1;
        verdict v = PLAIN;
        if (own_ranges(n, b) >= 2) {
            end = grow_chain(n, b, false, &strips);
            v = end > b ? judge(n, b, end, &strips, &gutter) : PLAIN;
            if (v != COLUMNS) {
                dsvl_ranges with;
                size_t longer = grow_chain(n, b, true, &with);
                if (longer > end && judge(n, b, longer, &with, &gutter) == TABLE) end = longer, v = TABLE;
            }
        }
        if (v == TABLE && end - b <= 5 && is_in_paragraph(n, b, end, &strips)) v = PLAIN;
        if (v == COLUMNS) {
            end += carry_on(n, end, 1, 0, gutter);
            if (b > text) first -= carry_on(n, b - 1, -1, text, gutter);
            if (depth >= 6 || (first == 0 && end == n->band_count && depth > 0 && n->count < 2)) v = PLAIN;
        }
        if (v == PLAIN) {
            b++;
            continue;
        }
        if (v == TABLE && first > text) first = with_spanning(n, first, end);
        if (text < first && add_text(n, text, first, err)) return -1;
        if (v == TABLE ? add_table(n, first, end, err) : split_columns(n, first, end, gutter, depth, err))
            return -1;
        text = b = end;
    }
    return text < n->band_count ? add_text(n, text, n->band_count, err) : 0;
}

static int segment(work *w, const size_t *ids, size_t count, int depth, dsvl_error *err)
{
    node n = {.w = w, .count = count};
    int status = -1;
    if (count == 0) return 0;
    n.ids = dsvl_alloc(count, sizeof *n.ids);
    if (!n.ids) return dsvl_fail_memory(err, count * sizeof *n.ids);
    memcpy(n.ids, ids, count * sizeof *ids);
    if (find_bands(&n, err) == 0) status = segment_bands(&n, depth, err);
    dsvl_dealloc(n.ids);
    dsvl_dealloc(n.bands);
    return status;
}

static size_t *free_runs(const work *w, const dsvl_cells *box, size_t *count)
{
    size_t *ids = dsvl_alloc(w->runs.count, sizeof *ids);
    *count = 0;
    for (size_t i = 0; ids && i < w->runs.count; i++) {
        const run *r = &w->runs.data[i];
        if (!r->solid && r->part == -1 && (!box || dsvl_cells_hold(box, &r->box, 0))) ids[(*count)++] = i;
    }
    return ids;
}

int dsvl_layout_rows(work *w, dsvl_error *err)
{
    size_t count;
    size_t *ids = free_runs(w, NULL, &count);
    if (!ids) return dsvl_fail_memory(err, w->runs.count * sizeof *ids);
    int status = segment(w, ids, count, 0, err);
    dsvl_dealloc(ids);
    return status;
}

int dsvl_layout_tabular(work *w, const dsvl_cells *box, bool *tabular, dsvl_error *err)
{
    node n = {.w = w};
    int status = -1;
    *tabular = false;
    n.ids = free_runs(w, box, &n.count);
    if (!n.ids) return dsvl_fail_memory(err, w->runs.count * sizeof *n.ids);
    if (find_bands(&n, err)) goto out;
    dsvl_ranges all = {0};
    size_t rows = 0, crossing = 0;
    int gutter;
    bool room = true;
    for (size_t b = 0; b < n.band_count; b++) {
        if (own_ranges(&n, b) < 2) continue; /* headings over some rows may cross gutters */
        rows++;
        room = room && add_band(&n, &all, &n.bands[b]);
    }
    for (size_t b = 0; b < n.band_count; b++) {
        dsvl_ranges with = all;
        if (own_ranges(&n, b) == 1) crossing += !add_band(&n, &with, &n.bands[b]) || with.count < all.count;
    }
    size_t aligned = 0;
    for (size_t i = 0; i < n.count && room; i++) aligned += is_placed(box_of(&n, i), &all, 0.7 * w->em);
    *tabular = rows && room && all.count >= 2 && crossing * 3 <= n.band_count && aligned * 5 >= n.count * 3 &&
               judge(&n, 0, n.band_count, &all, &gutter) != COLUMNS;
    status = 0;
out:
    dsvl_dealloc(n.ids);
    dsvl_dealloc(n.bands);
    return status;
}

int dsvl_layout_extend(work *w, dsvl_cells *box, dsvl_error *err)
{
    const double em = w->em;
    const dsvl_cells about = {box->x0 - (int)em, box->y0 - (int)(6 * em), box->x1 + (int)em,
                              box->y1 + (int)(6 * em)};
    node n = {.w = w};
    dsvl_ranges all = {0};
    int status = -1;
    n.ids = free_runs(w, &about, &n.count);
    if (!n.ids) return dsvl_fail_memory(err, w->runs.count * sizeof *n.ids);
    if (find_bands(&n, err)) goto out;
    status = 0;
    size_t first = n.band_count, end = 0;
    double most = 1.8 * em; /* between rows */
    for (size_t b = 0; b < n.band_count; b++) {
        if ((n.bands[b].y0 + n.bands[b].y1) / 2 < box->y0 || (n.bands[b].y0 + n.bands[b].y1) / 2 >= box->y1)
            continue;
        if (first == n.band_count) first = b;
        end = b + 1;
        if (own_ranges(&n, b) >= 2 && !add_band(&n, &all, &n.bands[b])) goto out;
    }
    if (end >= first + 3) most = fmax(most, 1.1 * row_gap(&n, first + 1));
    for (int side = 0; side < 2 && first < end; side++) {
        for (int more = 0; more < 3; more++) {
            if (side == 0 ? first == 0 : end == n.band_count) break;
            size_t b = side == 0 ? first - 1 : end;
            dsvl_ranges with = all;
            if (own_ranges(&n, b) < 2 || own_ranges(&n, b) * 2 < (size_t)all.count ||
                row_gap(&n, side == 0 ? b + 1 : b) > most || !is_aligned(&n, b, &all) ||
                !add_band(&n, &with, &n.bands[b]) || with.count < all.count)
                break;
            for (size_t i = n.bands[b].first; i < n.bands[b].first + n.bands[b].count; i++)
                dsvl_cells_join(box, box_of(&n, i));
            if (side == 0)
                first--;
            else
                end++;
        }
    }
out:
    dsvl_dealloc(n.ids);
    dsvl_dealloc(n.bands);
    return status;
}
