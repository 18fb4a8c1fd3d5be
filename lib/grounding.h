/* SPDX-License-Identifier: Apache-2.0 */
/* Grounded decoding: an answer whose every cell or span is verbatim text of the page's own text layer.
 *
 * An answer is read as spans between structure: commas, tabs, newlines, double quotes and Markdown bars. A
 * span must spell whole words of the page, in an order in which they can be read: each word followed by the
 * next of its line or, where a line or a cell ends, by the first of the line below. No word of the page
 * serves twice, so an answer holds no text more often than the page does. Ligatures, typographic quotes,
 * dashes and hyphens also match their plain spelling; a word hyphenated at the end of a line also matches
 * joined to the next. Digits match digits only.
 *
 * The automaton works on bytes, so it serves any tokenizer: a token is allowed when its bytes can be
 * consumed. */
#ifndef DSVL_LIB_GROUNDING_H
#define DSVL_LIB_GROUNDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/guide.h"

typedef struct dsvl_grounding dsvl_grounding;

/* Words of a page, or of parts of it; all borrowed. */
typedef struct dsvl_grounding_words {
    const char *text; /* [bytes] */
    size_t bytes;
    const int32_t *offsets; /* [count + 1] into text */
    const float *boxes;     /* [count, 4]: points */
    const float *sizes;     /* [count]: type sizes in points; NULL: by the boxes */
    const uint8_t *flags;   /* [count]: bit 1 on the last word of a line (see dsvl-stream(5)) */
    size_t count;
    const dsvl_passage *passages; /* [passage_count]: what belongs together; none: all, as a page */
    size_t passage_count;
} dsvl_grounding_words;

/* Checked; NULL with *err filled when inconsistent. */
dsvl_grounding *dsvl_grounding_new(const dsvl_grounding_words *words, dsvl_error *err);
void dsvl_grounding_free(dsvl_grounding *grounding);
void dsvl_grounding_reset(dsvl_grounding *grounding); /* begin a new answer */

/* Whether these bytes can come next; nothing is changed. */
bool dsvl_grounding_allows(dsvl_grounding *grounding, const char *bytes, size_t length);
/* Whether the answer may end here. */
bool dsvl_grounding_may_end(const dsvl_grounding *grounding);
/* Append bytes that are allowed. -1: memory, or they were not. */
int dsvl_grounding_accept(dsvl_grounding *grounding, const char *bytes, size_t length, dsvl_error *err);
/* What answers are to be: see dsvl_guide_expect. */
void dsvl_grounding_expect(dsvl_grounding *grounding, dsvl_format format);
/* What the places of the words suggest for the next byte: see lib/guide.h. */
const dsvl_guide *dsvl_grounding_guide(const dsvl_grounding *grounding);
/* The answer is complete: closes the last span. */
int dsvl_grounding_finish(dsvl_grounding *grounding, dsvl_error *err);

/* A span of the answer and the words that it was read from. */
typedef struct dsvl_span {
    size_t begin, end;    /* bytes of the answer */
    const int32_t *words; /* [count] indices of words, in reading order */
    size_t count;
} dsvl_span;
/* What dsvl_session_generate writes from now on is grounded in these words; NULL: it is free again. Borrowed.
 * The grounding is reset when an answer begins and holds its spans when it has ended. */
void dsvl_session_ground(dsvl_session *session, dsvl_grounding *grounding);

size_t dsvl_grounding_spans(const dsvl_grounding *grounding);
dsvl_span dsvl_grounding_span(const dsvl_grounding *grounding, size_t i);

#endif
