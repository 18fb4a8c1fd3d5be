/* SPDX-License-Identifier: Apache-2.0 */
/* Straight lines along the axes: rules of tables, axes, grid lines. Lines are often too thin or pale to be
 * ink, so cells that differ from those on both sides of them count too; on a shaded ground as well. */
#include <stdlib.h>
#include <string.h>

#include "filters/ink_private.h"
#include "lib/alloc.h"

enum { FAINT = 8 }; /* levels by which a line differs from both sides */

/* All in points. */
static const double SHORTEST = 24;
static const double THICKEST = 3.5;   /* thicker ones are bars */
static const double SURELY_LINE = 60; /* letters do not make so long a stretch */

typedef struct scan {
    dsvl_ink *ink;
    uint8_t *tone;  /* [height, width]: mean of the channels */
    uint8_t *ruled; /* [height, width]: the cells of rules; the same block, once the tones have served */
    size_t capacity;
    double cells_per_point;
} scan;

static int add_rule(scan *s, dsvl_cells rule, bool horizontal, dsvl_error *err)
{
    dsvl_ink *ink = s->ink;
    /* The next row or column of the same line joins it; newest first, because lines are met in order. */
    for (size_t i = ink->rule_count; i-- > 0;) {
        dsvl_cells *r = &ink->rules[i];
        bool same = horizontal ? r->y1 == rule.y0 && r->x0 < rule.x1 && rule.x0 < r->x1
                               : r->x1 == rule.x0 && r->y0 < rule.y1 && rule.y0 < r->y1;
        if (same) {
            dsvl_cells_join(r, &rule);
            return 0;
        }
        if (horizontal ? r->y1 < rule.y0 - 1 : r->x1 < rule.x0 - 1) break;
    }
    void *block = ink->rules;
    bool room = dsvl_grow(&block, &s->capacity, ink->rule_count + 1, sizeof *ink->rules);
    ink->rules = block;
    if (!room) return dsvl_fail_memory(err, s->capacity * sizeof *ink->rules);
    ink->rules[ink->rule_count++] = rule;
    return 0;
}

/* Whether a cell may belong to a line; across: the step to the next cell on the side. */
static bool is_line(const scan *s, size_t i, size_t across)
{
    if (s->ink->mask[i]) return true;
    const uint8_t *t = s->tone + i;
    int a = t[0] - *(t - 2 * across), b = t[0] - t[2 * across];
    return (a <= -FAINT && b <= -FAINT) || (a >= FAINT && b >= FAINT);
}

/* Stretches of line along rows (horizontal) or columns. */
static int scan_lines(scan *s, bool horizontal, dsvl_error *err)
{
    const int w = s->ink->width, h = s->ink->height, lines = horizontal ? h : w, length = horizontal ? w : h;
    const size_t along = horizontal ? 1 : (size_t)w, across = horizontal ? (size_t)w : 1;
    const int shortest = (int)(SHORTEST * s->cells_per_point), sure = (int)(SURELY_LINE * s->cells_per_point);
    for (int line = 2; line + 2 < lines; line++) {
        size_t first = (size_t)line * across;
        int begin = -1, last = -1, holes = 0; /* a hole is one cell */
        for (int i = 0; i <= length; i++) {
            if (i < length && is_line(s, first + (size_t)i * along, across)) {
                if (begin < 0) begin = i, holes = 0;
                holes += last >= begin && i - last > 1;
                last = i;
                continue;
            }
            if (begin < 0 || (i < length && i - last < 2)) continue;
            int n = last + 1 - begin;
            if (n >= shortest && (holes == 0 || (n >= sure && holes * 10 <= n))) {
                dsvl_cells rule = horizontal ? (dsvl_cells){begin, line, last + 1, line + 1}
                                             : (dsvl_cells){line, begin, line + 1, last + 1};
                if (add_rule(s, rule, horizontal, err)) return -1;
            }
            begin = -1;
        }
    }
    return 0;
}

static int ink_along(const dsvl_ink *ink, int line, int from, int to, bool horizontal)
{
    int n = 0;
    if (line < 0 || line >= (horizontal ? ink->height : ink->width)) return 0;
    for (int i = from; i < to; i++)
        n += ink->mask[horizontal ? (size_t)line * (size_t)ink->width + (size_t)i
                                  : (size_t)i * (size_t)ink->width + (size_t)line];
    return n;
}

/* Lines are thin, and short ones have clear sides: the feet of letters have letters above them. */
static bool is_rule(const scan *s, const dsvl_cells *r, bool horizontal)
{
    int from = horizontal ? r->x0 : r->y0, to = horizontal ? r->x1 : r->y1, n = to - from;
    int low = horizontal ? r->y0 : r->x0, high = horizontal ? r->y1 : r->x1;
    if (high - low > (int)(THICKEST * s->cells_per_point) + 2 || n < 4 * (high - low)) return false;
    if (n >= SURELY_LINE * s->cells_per_point) return true;
    return ink_along(s->ink, low - 2, from, to, horizontal) * 3 < n &&
           ink_along(s->ink, high + 1, from, to, horizontal) * 3 < n;
}

/* A rule with its soft sides. */
static dsvl_cells widened(const dsvl_ink *ink, const dsvl_cells *r)
{
    const bool horizontal = r->x1 - r->x0 >= r->y1 - r->y0;
    dsvl_cells wide = *r;
    if (horizontal) {
        wide.y0 -= wide.y0 > 0;
        wide.y1 += wide.y1 < ink->height;
    } else {
        wide.x0 -= wide.x0 > 0;
        wide.x1 += wide.x1 < ink->width;
    }
    return wide;
}

/* Ink that is no rule's at a line's cell or close to it along the line. */
static bool stroke_near(const scan *s, int along, int line, bool horizontal)
{
    const int w = s->ink->width, h = s->ink->height;
    for (int i = along - 2; i <= along + 2; i++) {
        int x = horizontal ? i : line, y = horizontal ? line : i;
        if (x < 0 || y < 0 || x >= w || y >= h) continue;
        size_t at = (size_t)y * (size_t)w + (size_t)x;
        if (s->ink->mask[at] && !s->ruled[at]) return true;
    }
    return false;
}

/* Take the rules out of the mask, but not where a stroke crosses one: curves stay whole. */
static void take_out(scan *s)
{
    dsvl_ink *ink = s->ink;
    const size_t w = (size_t)ink->width;
    memset(s->ruled, 0, w * (size_t)ink->height);
    for (size_t i = 0; i < ink->rule_count; i++) {
        const dsvl_cells r = widened(ink, &ink->rules[i]);
        for (int y = r.y0; y < r.y1; y++) memset(s->ruled + (size_t)y * w + r.x0, 1, (size_t)(r.x1 - r.x0));
    }
    for (size_t i = 0; i < ink->rule_count; i++) {
        const dsvl_cells r = widened(ink, &ink->rules[i]);
        const bool horizontal = r.x1 - r.x0 >= r.y1 - r.y0;
        for (int k = horizontal ? r.x0 : r.y0; k < (horizontal ? r.x1 : r.y1); k++) {
            bool crossed = stroke_near(s, k, (horizontal ? r.y0 : r.x0) - 1, horizontal) &&
                           stroke_near(s, k, horizontal ? r.y1 : r.x1, horizontal);
            for (int q = horizontal ? r.y0 : r.x0; q < (horizontal ? r.y1 : r.x1) && !crossed; q++)
                ink->mask[horizontal ? (size_t)q * w + (size_t)k : (size_t)k * w + (size_t)q] = 0;
        }
    }
}

int dsvl_ink_find_rules(dsvl_ink *ink, const uint8_t *colour, double cells_per_point, dsvl_error *err)
{
    const size_t n = (size_t)ink->width * (size_t)ink->height;
    scan s = {.ink = ink, .tone = dsvl_alloc(n, 1), .cells_per_point = cells_per_point};
    if (!s.tone) return dsvl_fail_memory(err, n);
    for (size_t i = 0; i < n; i++)
        s.tone[i] = (uint8_t)((colour[3 * i] + colour[3 * i + 1] + colour[3 * i + 2]) / 3);
    int status = scan_lines(&s, true, err);
    const size_t horizontal = ink->rule_count;
    if (!status) status = scan_lines(&s, false, err);
    size_t kept = 0;
    for (size_t i = 0; i < ink->rule_count; i++) {
        dsvl_cells r = ink->rules[i];
        if (is_rule(&s, &r, i < horizontal)) ink->rules[kept++] = r;
    }
    ink->rule_count = kept;
    s.ruled = s.tone;
    if (!status) take_out(&s);
    dsvl_dealloc(s.tone);
    return status;
}
