/* SPDX-License-Identifier: Apache-2.0 */
/* How far an answer has followed what the places of the words suggest, and what would come next. The guide
 * never forbids: it raises the logits of what goes on in order, so that a reader in doubt reads on, and one
 * that is certain of something else may say that. */
#ifndef DSVL_LIB_GUIDE_H
#define DSVL_LIB_GUIDE_H

#include "lib/transcript.h"

typedef struct dsvl_guide {
    dsvl_transcript transcripts[DSVL_FORMATS];
    int64_t at[DSVL_FORMATS]; /* bytes followed; -1: the answer has departed */
    int64_t departed;         /* where it did */
    bool alive[DSVL_FORMATS]; /* the answer may still be of this format */
    dsvl_format expected;     /* DSVL_FORMATS: any */
    size_t streak;            /* bytes since the answer began or departed */
} dsvl_guide;

int dsvl_guide_open(dsvl_guide *guide, const dsvl_scribe_word *words, size_t count,
                    const dsvl_passage *passages, size_t passage_count, dsvl_error *err);
void dsvl_guide_close(dsvl_guide *guide);
/* What the answers from the next on are to be: a transcript in a format, or DSVL_FORMATS: anything. */
void dsvl_guide_expect(dsvl_guide *guide, dsvl_format format);
void dsvl_guide_reset(dsvl_guide *guide); /* a new answer begins */

/* The distinct bytes that come next by some format; returns how many. */
size_t dsvl_guide_next(const dsvl_guide *guide, char next[DSVL_FORMATS]);
/* By how much a token of these bytes is to be raised, in nats; bytes NULL: the end of the answer. */
float dsvl_guide_support(const dsvl_guide *guide, const char *bytes, size_t length);

/* The answer goes on with a byte. False: it has departed from all formats that it followed. */
bool dsvl_guide_follow(dsvl_guide *guide, char byte);
/* The answer, departed, has just spelt a word: go on from there. Of several words the nearest counts. */
void dsvl_guide_return(dsvl_guide *guide, int32_t word);

#endif
