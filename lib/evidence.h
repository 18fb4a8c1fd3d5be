/* SPDX-License-Identifier: Apache-2.0 */
/* The text layers of the images that a question is about, and where in them a grounded answer was read. */
#ifndef DSVL_LIB_EVIDENCE_H
#define DSVL_LIB_EVIDENCE_H

#include "lib/grounding.h"
#include "lib/record.h"
#include "lib/task.h"

/* Words of one or several pages, one after the other. */
typedef struct dsvl_evidence {
    char *text;       /* [bytes]: UTF-8 */
    int32_t *offsets; /* [count + 1] */
    float *boxes;     /* [count, 4]: points of each word's own page */
    float *sizes;     /* [count]: type sizes in points; 0: not known */
    float *logprobs;  /* [count]: of words that a model read from the pixels; NAN: the document has them */
    uint8_t *flags;   /* [count]: see dsvl-stream(5) */
    int32_t *image;   /* [count]: which image, from 0 */
    dsvl_passage *passages; /* [passage_count]: one an image */
    size_t count, bytes, passage_count;
    size_t text_capacity, offset_capacity, box_capacity, flag_capacity, image_capacity, size_capacity,
        logprob_capacity, passage_capacity;
    bool missing; /* an image had no text layer */
} dsvl_evidence;

/* Append the words.* tensors of a record, the image-th of its group. A record without them sets `missing`. 0
 * or -1. */
int dsvl_evidence_add(dsvl_evidence *evidence, const dsvl_record *record, size_t image, dsvl_error *err);
void dsvl_evidence_reset(dsvl_evidence *evidence); /* no words; keeps its memory */
void dsvl_evidence_clear(dsvl_evidence *evidence); /* frees everything */

/* An automaton over the words; owned. Pages are kept apart: no span goes from one to the next by its layout.
 */
dsvl_grounding *dsvl_evidence_ground(const dsvl_evidence *evidence, dsvl_error *err);

/* [{"text", "image", "words": [...], "boxes": [[x0, y0, x1, y1], ...], "mean_logprob"}, ...]: the spans of a
 * finished answer; mean_logprob is that of the tokens of the generation that reach into the span, 0 where
 * that is NULL; of words that a model read from the pixels, that of the least certain one.
 * task: what was asked, NULL for an unknown prompt; cells of tables also have "row" and "column", from 0.
 * New reference; NULL: out of memory. */
json_t *dsvl_evidence_cells(const dsvl_evidence *evidence, const dsvl_grounding *grounding,
                            const char *answer, size_t length, const dsvl_model *model,
                            const dsvl_generation *generation, const dsvl_task *task);

/* Where the words of one page's picture hold a text of n bytes: an answer as the published model gives it,
 * "<|ref|>TEXT<|/ref|><|det|>[[x0, y0, x1, y1], ...]<|/det|>", in 0..999 of page_box (points); "" where they
 * do not. Whole words, in any of their spellings. *cells are those of dsvl_evidence_cells. Both owned by the
 * caller; NULL: with *err filled. */
char *dsvl_evidence_locate(const dsvl_evidence *evidence, dsvl_grounding *grounding, const double page_box[4],
                           const char *text, size_t n, json_t **cells, dsvl_error *err);

/* Whether the words of an image, set apart by spaces, hold a text of n bytes. */
bool dsvl_evidence_holds(const dsvl_evidence *evidence, size_t image, const char *text, size_t n);

#endif
