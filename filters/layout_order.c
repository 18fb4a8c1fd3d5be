/* SPDX-License-Identifier: Apache-2.0 */
/* Reading order by cutting: the page is cut across wherever a line passes between all parts; strips that
 * leave a common gutter free are put together again and read column by column, the others one after the
 * other. */
#include <stdlib.h>
#include <string.h>

#include "filters/layout_private.h"
#include "lib/alloc.h"

/* In em: what stands apart from all the rest. */
static const double RUNNING_GAP = 1.5;

static int compare_tops(const void *a, const void *b)
{
    const part *x = a, *y = b;
    if (x->box.y0 != y->box.y0) return x->box.y0 < y->box.y0 ? -1 : 1;
    return x->box.x0 < y->box.x0 ? -1 : x->box.x0 > y->box.x0;
}

static int compare_lefts(const void *a, const void *b)
{
    const part *x = a, *y = b;
    if (x->box.x0 != y->box.x0) return x->box.x0 < y->box.x0 ? -1 : 1;
    return x->box.y0 < y->box.y0 ? -1 : x->box.y0 > y->box.y0;
}

/* Parts may overlap by a few cells where type is tight. */
enum { SLACK = 3 };

/* How many of the parts, sorted by their left side, stand left of the first gutter; count: there is none. */
static size_t left_of_gutter(part *parts, size_t count)
{
    qsort(parts, count, sizeof *parts, compare_lefts);
    int end = parts[0].box.x1;
    for (size_t i = 1; i < count; i++) {
        if (parts[i].box.x0 >= end - SLACK) return i;
        if (parts[i].box.x1 > end) end = parts[i].box.x1;
    }
    return count;
}

/* The number of parts, sorted by their top, above the first cut. */
static size_t above_cut(const part *parts, size_t count)
{
    int end = parts[0].box.y1;
    for (size_t i = 1; i < count; i++) {
        if (parts[i].box.y0 >= end - SLACK) return i;
        if (parts[i].box.y1 > end) end = parts[i].box.y1;
    }
    return count;
}

static int order(part *parts, size_t count, int depth, dsvl_error *err)
{
    if (count < 2) return 0;
    size_t left = left_of_gutter(parts, count);
    if (left < count && depth < 64)
        return order(parts, left, depth + 1, err) || order(parts + left, count - left, depth + 1, err) ? -1
                                                                                                       : 0;
    qsort(parts, count, sizeof *parts, compare_tops);
    if (depth >= 64) return 0;
    part *trial = dsvl_alloc(count, sizeof *trial);
    if (!trial) return dsvl_fail_memory(err, count * sizeof *trial);
    int status = 0;
    for (size_t begin = 0; begin < count && !status;) {
        size_t end = begin + above_cut(parts + begin, count - begin);
        for (size_t next = end; next < count;) { /* further strips, as long as a gutter stays free */
            next += above_cut(parts + next, count - next);
            memcpy(trial, parts + begin, (next - begin) * sizeof *trial);
            if (end - begin < 2 && next - end < 2) break; /* two single parts are read downwards */
            if (left_of_gutter(trial, next - begin) == next - begin) break;
            end = next;
        }
        if (end - begin < count) status = order(parts + begin, end - begin, depth + 1, err);
        begin = end;
    }
    dsvl_dealloc(trial);
    return status;
}

/* Move a line alone above (or below) all the others to the front (or the end): running titles, page numbers.
 */
static bool set_aside(part *parts, size_t count, bool above, double em)
{
    size_t outer = 0;
    for (size_t i = 1; i < count; i++) {
        if (above ? parts[i].box.y0 < parts[outer].box.y0 : parts[i].box.y1 > parts[outer].box.y1) outer = i;
    }
    const dsvl_cells *b = &parts[outer].box;
    if (count < 2 || parts[outer].kind != DSVL_PART_TEXT || b->y1 - b->y0 > 1.7 * em) return false;
    for (size_t i = 0; i < count; i++) {
        int gap = above ? parts[i].box.y0 - b->y1 : b->y0 - parts[i].box.y1;
        if (i != outer && gap < RUNNING_GAP * em) return false;
    }
    part swap = parts[outer];
    size_t place = above ? 0 : count - 1;
    parts[outer] = parts[place];
    parts[place] = swap;
    return true;
}

int dsvl_layout_order(part *parts, size_t count, double em, dsvl_error *err)
{
    if (count == 0) return 0; /* a blank page: parts may be NULL */
    size_t top = set_aside(parts, count, true, em);
    size_t bottom = set_aside(parts + top, count - top, false, em);
    return order(parts + top, count - top - bottom, 0, err);
}
