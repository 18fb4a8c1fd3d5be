/* SPDX-License-Identifier: Apache-2.0 */
/* The answers about the parts of a page as one: texts below each other, the parts of a tall table as one
 * table, boxes on the page. Grows as the answers come; what stands in it stays, boxes apart. */
#ifndef DSVL_LIB_JOINED_H
#define DSVL_LIB_JOINED_H

#include "lib/answer.h"
#include "lib/task.h"

/* A box that was named, and where: one region's answer to "Locate TEXT.". */
typedef struct dsvl_named_box {
    double box[4]; /* 0 to 999 of the page's picture */
    double logprob;
    bool certain; /* the region's own words hold what was asked for */
} dsvl_named_box;

typedef struct dsvl_joined {
    dsvl_join how;
    dsvl_source page; /* of the parts so far; its region is NULL */
    char *text;       /* NUL-terminated; NULL: no part yet */
    size_t length, capacity;
    json_t *regions, *cells, *stages; /* lists and an object of the answer's line; cells NULL: not grounded */
    size_t prompt_tokens, terms;      /* terms: tokens that mean_logprob is over */
    double prefill;
    dsvl_generation sum; /* without ids */
    /* Tables: */
    size_t table, last_row;  /* where the table and its last row begin in the text */
    size_t rows, table_rows; /* in the text, the empty lines between tables included, and in the table */
    int part, parts;         /* of the part that came last */
    /* Boxes: */
    dsvl_named_box *boxes;
    size_t box_count, box_capacity;
    char *named; /* what they are boxes of */
} dsvl_joined;

/* An answer about one part, all borrowed. */
typedef struct dsvl_part_answer {
    const dsvl_source *source;
    const dsvl_generation *generation;
    const char *text;
    json_t *cells; /* NULL: not grounded; they are changed, and shared */
    size_t prompt_tokens;
    double prefill;
    bool certain; /* see dsvl_named_box */
    bool on_page; /* the boxes in the text are of the page, not of the part */
} dsvl_part_answer;

/* Add the answer about the page's next part. */
int dsvl_joined_add(dsvl_joined *joined, const dsvl_part_answer *part, dsvl_error *err);
/* All parts have come: boxes become text. */
int dsvl_joined_finish(dsvl_joined *joined, dsvl_error *err);
void dsvl_joined_clear(dsvl_joined *joined); /* ready for another page; `how` stays */

/* Which row and column of a table's text a place in it belongs to, both from 0: for CSV (quotes, commas) or
 * Markdown (bars). Zero to begin with; places must come in ascending order. */
typedef struct dsvl_table_place {
    size_t at, row, column;
    bool begun, quotes, quoted; /* the cell: has letters, begins with a quote, whose other is still to come */
} dsvl_table_place;
void dsvl_table_place_seek(dsvl_table_place *place, const char *text, size_t at, bool markdown);

#endif
