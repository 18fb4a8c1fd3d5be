/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that dsvl-answer writes: one JSON object an answer or a failure, keys in a fixed order. */
#ifndef DSVL_LIB_ANSWER_H
#define DSVL_LIB_ANSWER_H

#include "lib/model.h"
#include "lib/record.h"

/* Where an image came from. All owned; NULL where the record does not say. */
typedef struct dsvl_source {
    json_t *document, *page, *label; /* string, number, string */
    json_t *region;           /* {"region", "kind", "part", "crop_pt"}; NULL: the image is a whole page */
    int part, parts, overlap; /* of a region that is a piece of a tall part: from 1, of how many, and how many
                                 rows it shares with the piece before; else 1, 1, 0 */
    double page_box[4];       /* x0 y0 x1 y1: what the page's picture shows, in points; zeros: not known */
    double
        to_page[6]; /* region: from 0..999 of its picture to 0..999 of the page's, as pixel_to_point has it */
    bool words_read; /* the words of its text layer are a model's reading of the pixels */
    char *seconds;   /* "rasterize=0.05 tile=0.01" */
} dsvl_source;

int dsvl_source_read(dsvl_source *source, const dsvl_record *record, dsvl_error *err);
void dsvl_source_clear(dsvl_source *source);
/* Whether a record is of the same page of the same document. */
bool dsvl_source_same_page(const dsvl_source *source, const dsvl_record *record);
/* Add the stages' times to those in an object by their names. */
int dsvl_source_add_seconds(const dsvl_source *source, json_t *stages);

typedef struct dsvl_answer {
    const dsvl_model *model;
    const dsvl_source *sources; /* [count] */
    size_t count;
    bool list; /* the answer is about several images or none: "page" is null and "images" lists them */
    json_t *prompt_id; /* NULL: none */
    const char *prompt;
    size_t prompt_tokens;
    double prefill_seconds;
    const dsvl_generation *generation;
    const char *text; /* UTF-8 */
    json_t *cells;    /* evidence of a grounded answer, borrowed; NULL: the answer is not grounded */
    bool no_times;    /* leave out "seconds" */
    bool grounding;   /* grounding was asked for: say whether it took place */
    json_t *regions;  /* parts of the page that the answer was joined from, borrowed; NULL: it was not */
    json_t *stages;   /* their times, borrowed; NULL: from the sources */
} dsvl_answer;

const char *dsvl_finish_name(dsvl_finish finish); /* "stop", "length", ... */

/* Text of generated tokens: special tokens by name, bytes that are not UTF-8 as U+FFFD. Owned; NULL with *err
 * filled. */
char *dsvl_answer_text(const dsvl_model *model, const int32_t *ids, size_t count, dsvl_error *err);

/* One line with its newline, owned (free()); NULL: out of memory, with *err filled. */
char *dsvl_answer_line(const dsvl_answer *answer, dsvl_error *err);
/* {"document", "page", ["prompt_id",] "finish_reason": "error", "stage", "error"}. prompt_id NULL: all
 * prompts. */
char *dsvl_answer_error_line(const dsvl_source *source, json_t *prompt_id, const char *stage,
                             const char *message, dsvl_error *err);

#endif
