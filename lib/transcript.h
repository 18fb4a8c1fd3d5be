/* SPDX-License-Identifier: Apache-2.0 */
/* What a transcript of a page's words would be, going by where they stand: as lines of text, and where they
 * form a table or the pairs of a chart, as CSV and as Markdown. Grounded decoding leans on it. */
#ifndef DSVL_LIB_TRANSCRIPT_H
#define DSVL_LIB_TRANSCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

typedef enum dsvl_passage_kind {
    DSVL_PASSAGE_PAGE, /* a whole page: its lines are those of the text layer, in its order */
    DSVL_PASSAGE_TEXT, /* a block of text: lines from top to bottom */
    DSVL_PASSAGE_TABLE,
    DSVL_PASSAGE_FIGURE, /* a bar chart: pairs of label and value where values are printed */
} dsvl_passage_kind;

/* Words [first, first + count) belong together. */
typedef struct dsvl_passage {
    size_t first, count;
    dsvl_passage_kind kind;
} dsvl_passage;

/* A word as it is to be spelt; borrowed. */
typedef struct dsvl_scribe_word {
    const char *text;
    int32_t length;
    const float *box; /* [4]: x0 y0 x1 y1 */
    float em;         /* type size, in the units of the box */
    bool ends_line;   /* in the text layer */
} dsvl_scribe_word;

typedef enum dsvl_format {
    DSVL_AS_TEXT,
    DSVL_AS_CSV, /* a table */
    DSVL_AS_MARKDOWN,
    DSVL_AS_PAIRS, /* labels and values of a chart, as CSV */
    DSVL_FORMATS
} dsvl_format;

typedef struct dsvl_transcript {
    char *text; /* owned; [length] */
    size_t length;
    int32_t *begins, *ends; /* owned; [words]: where each word stands in the text; -1: it is not there */
    int32_t *sequence;      /* owned; [written]: the words as they come */
    size_t written;
} dsvl_transcript;

/* Write transcripts [DSVL_FORMATS]; one without words has length 0. 0, or -1 for lack of memory. */
int dsvl_transcripts_write(dsvl_transcript *transcripts, const dsvl_scribe_word *words, size_t count,
                           const dsvl_passage *passages, size_t passage_count, dsvl_error *err);
void dsvl_transcripts_free(dsvl_transcript *transcripts);

/* ---- places of words, for transcript.c ---- */

/* A word and where it belongs. Words of one cell follow each other line by line. */
typedef struct dsvl_slot {
    int32_t word, line;
    int32_t row, column; /* of cells */
    bool parted;         /* a cell begins with it, however close the word before stands */
    float box[4], em;
    float space; /* a wider gap parts cells; in the units of the box */
} dsvl_slot;

/* How wide a space may be in the slots' type. */
void dsvl_slots_space(dsvl_slot *slots, size_t count, const dsvl_scribe_word *words);
/* Number the lines of slots [count] and sort them into lines, from left to right. */
void dsvl_slots_line(dsvl_slot *slots, size_t count);
/* Whether most lines of slots have gaps as between columns. */
bool dsvl_slots_tabular(const dsvl_slot *slots, size_t count);
/* Give slots in lines their rows and columns, and sort them by cells; returns the number of columns, 0 when
 * there are not at least two. */
int dsvl_slots_table(dsvl_slot *slots, size_t count, const dsvl_scribe_word *words);
enum { DSVL_CHART_WORDS = 400 };
/* Keep of slots in lines the labels and values of a chart, as rows of two columns; returns how many are kept.
 * No more than DSVL_CHART_WORDS can be given.
 */
size_t dsvl_slots_chart(dsvl_slot *slots, size_t count, const dsvl_scribe_word *words);
/* Whether two slots that follow each other on a line are pieces of one word. */
bool dsvl_slots_touch(const dsvl_slot *a, const dsvl_slot *b);

/* Digits, with what stands in and around numbers. */
bool dsvl_word_numeric(const dsvl_scribe_word *word);

#endif
