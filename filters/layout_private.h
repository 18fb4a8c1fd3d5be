/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the layout: layout.c (assembly), layout_runs.c (runs of type), layout_frames.c
 * (columns), layout_ruled.c (tables and charts by their lines), layout_rows.c (tables by alignment, columns
 * of text), layout_order.c (reading order). */
#ifndef DSVL_FILTERS_LAYOUT_PRIVATE_H
#define DSVL_FILTERS_LAYOUT_PRIVATE_H

#include "filters/layout.h"

/* A run of type: words close together on one line. Or a solid: a bar, a drawing. Cells. */
typedef struct run {
    dsvl_cells box;
    bool solid;
    int part; /* index of the part that took it, -1: none yet, -2: it belongs to no part */
} run;

typedef struct runs {
    run *data;
    size_t count;
} runs;

/* A part while the page is being looked at. */
typedef struct part {
    dsvl_part_kind kind;
    dsvl_cells box;
    int column; /* text: parts of one column follow each other; -1: none */
    int index;  /* before sorting */
} part;

typedef struct work {
    const dsvl_ink *ink;
    double em; /* cells */
    double cells_per_point;
    runs runs;
    part *parts;
    size_t part_count, part_capacity;
    bool *rule_used; /* [ink->rule_count] */
    int columns;     /* columns of text numbered so far */
} work;

/* Runs of the page from its words and from the pieces of ink outside them; solids from ink. */
int dsvl_runs_find(work *w, const dsvl_words *words, const double origin[2], dsvl_error *err);

/* x-ranges, ascending and apart. */
enum { DSVL_MAX_STRIPS = 64 };
typedef struct dsvl_ranges {
    int count;
    int x0[DSVL_MAX_STRIPS], x1[DSVL_MAX_STRIPS];
} dsvl_ranges;

/* Add a range; those nearer than gap become one. False: too many. */
bool dsvl_ranges_add(dsvl_ranges *ranges, int x0, int x1, int gap);

/* Frames of the page, numbered in reading order from 0: the number of each run's and each rule's frame; -1 is
 * never left. */
int dsvl_layout_frames(work *w, int *run_frames, int *rule_frames, int *count, dsvl_error *err);

/* Add a part and give it the free runs whose middle it holds. Its index, or -1. */
int dsvl_layout_add(work *w, dsvl_part_kind kind, const dsvl_cells *box, dsvl_error *err);

/* Widen a part by a box and give it the free runs there. */
void dsvl_layout_widen(work *w, int index, const dsvl_cells *box);

/* Tables by their rules, then figures. */
int dsvl_layout_ruled(work *w, dsvl_error *err);
int dsvl_layout_figures(work *w, dsvl_error *err);

/* Tables by alignment and blocks of text of the runs that are left. */
int dsvl_layout_rows(work *w, dsvl_error *err);

/* Whether the runs within a box stand in rows and columns. */
int dsvl_layout_tabular(work *w, const dsvl_cells *box, bool *tabular, dsvl_error *err);

/* Take rows right above and below a table into its box that stand as its columns do. */
int dsvl_layout_extend(work *w, dsvl_cells *box, dsvl_error *err);

/* Rules of like length differ by less than this at either end, in em. */
#define DSVL_SAME_END 1.2

/* Whether there is a rule of a box's width between two heights of the page. */
bool dsvl_layout_rule_between(const work *w, const dsvl_cells *box, int y0, int y1);

/* Whether rows from y0 to y1 stand on grounds of their own colour: shades over most of a box's width. */
bool dsvl_layout_on_ground(const work *w, const dsvl_cells *box, int y0, int y1);

/* Take the headings over several columns into a table's box that stand above its first row, below a rule of
 * its width or on the header's ground. */
void dsvl_layout_spanning(const work *w, dsvl_cells *box);

/* Sort parts into reading order. */
int dsvl_layout_order(part *parts, size_t count, double em, dsvl_error *err);

static inline bool dsvl_is_level(const dsvl_cells *r)
{
    return r->x1 - r->x0 >= r->y1 - r->y0;
}

static inline int dsvl_overlap(int a0, int a1, int b0, int b1)
{
    return (a1 < b1 ? a1 : b1) - (a0 > b0 ? a0 : b0);
}

#endif
