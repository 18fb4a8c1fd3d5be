/* SPDX-License-Identifier: Apache-2.0 */
/* What shows that lines above a table's rows are its header: a rule above them, or a ground of their own. */
#include <stdlib.h>

#include "filters/layout_private.h"

bool dsvl_layout_rule_between(const work *w, const dsvl_cells *box, int y0, int y1)
{
    const double same = DSVL_SAME_END * w->em;
    for (size_t i = 0; i < w->ink->rule_count; i++) {
        const dsvl_cells *r = &w->ink->rules[i];
        if (dsvl_is_level(r) && r->y0 >= y0 && r->y1 <= y1 && abs(r->x0 - box->x0) < same &&
            abs(r->x1 - box->x1) < same)
            return true;
    }
    return false;
}

bool dsvl_layout_on_ground(const work *w, const dsvl_cells *box, int y0, int y1)
{
    const int middle = (y0 + y1) / 2;
    int covered = 0;
    for (size_t i = 0; i < w->ink->shade_count; i++) {
        const dsvl_cells *s = &w->ink->shades[i].box;
        if (w->ink->shades[i].straight && s->y0 <= middle && s->y1 > middle && y1 - s->y0 < 4 * w->em) {
            const int shared = dsvl_overlap(s->x0, s->x1, box->x0, box->x1);
            covered += shared > 0 ? shared : 0;
        }
    }
    return covered * 5 > (box->x1 - box->x0) * 4;
}

void dsvl_layout_spanning(const work *w, dsvl_cells *box)
{
    const int em = (int)w->em, gap = (int)(1.8 * w->em);
    int y0 = box->y0, y1 = 0;
    for (size_t i = 0; i < w->runs.count; i++) {
        const dsvl_cells *b = &w->runs.data[i].box;
        if (w->runs.data[i].solid || w->runs.data[i].part != -1 || b->y1 > box->y0 + 2 ||
            b->y1 < box->y0 - gap || b->x1 < box->x0 || b->x0 > box->x1)
            continue;
        if (b->x0 < box->x0 || b->x1 > box->x1) return;
        if (b->y0 < y0) y0 = b->y0;
        if (b->y1 > y1) y1 = b->y1;
    }
    if (y0 < box->y0 && y1 - y0 < 2 * em &&
        (dsvl_layout_rule_between(w, box, y0 - em, y0) || dsvl_layout_on_ground(w, box, y0, y1)))
        box->y0 = y0;
}
