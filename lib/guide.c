/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/guide.h"

#include <stdlib.h>
#include <string.h>

/* Nats, at the beginning and at most, and how many a byte in order adds: of a question about anything, and of
 * one to read the words out. */
static const struct {
    float least, most, byte;
} supports[2] = {{.5f, 8, .1f}, {30, 30, 0}};

int dsvl_guide_open(dsvl_guide *guide, const dsvl_scribe_word *words, size_t count,
                    const dsvl_passage *passages, size_t passage_count, dsvl_error *err)
{
    memset(guide, 0, sizeof *guide);
    if (dsvl_transcripts_write(guide->transcripts, words, count, passages, passage_count, err)) return -1;
    dsvl_guide_expect(guide, DSVL_FORMATS);
    return 0;
}

void dsvl_guide_close(dsvl_guide *guide)
{
    dsvl_transcripts_free(guide->transcripts);
}

void dsvl_guide_expect(dsvl_guide *guide, dsvl_format format)
{
    guide->expected = format;
    dsvl_guide_reset(guide);
}

void dsvl_guide_reset(dsvl_guide *guide)
{
    guide->streak = 0;
    guide->departed = 0;
    for (int f = 0; f < DSVL_FORMATS; f++) {
        bool open = guide->expected == DSVL_FORMATS && f != DSVL_AS_PAIRS;
        bool wanted = open || (int)guide->expected == f;
        guide->alive[f] = wanted && guide->transcripts[f].length > 0;
        guide->at[f] = guide->alive[f] ? 0 : -1;
    }
}

size_t dsvl_guide_next(const dsvl_guide *guide, char next[DSVL_FORMATS])
{
    size_t n = 0;
    for (int f = 0; f < DSVL_FORMATS; f++) {
        const dsvl_transcript *t = &guide->transcripts[f];
        if (guide->at[f] < 0 || (size_t)guide->at[f] == t->length) continue;
        char c = t->text[guide->at[f]];
        if (!memchr(next, c, n)) next[n++] = c;
    }
    return n;
}

float dsvl_guide_support(const dsvl_guide *guide, const char *bytes, size_t length)
{
    const int reads = guide->expected != DSVL_FORMATS;
    const float support = supports[reads].least + supports[reads].byte * (float)guide->streak;
    for (int f = 0; f < DSVL_FORMATS; f++) {
        const dsvl_transcript *t = &guide->transcripts[f];
        if (guide->at[f] < 0) continue;
        size_t left = t->length - (size_t)guide->at[f];
        if (bytes ? length <= left && memcmp(t->text + guide->at[f], bytes, length) == 0 : left == 0)
            return support < supports[reads].most ? support : supports[reads].most;
    }
    return 0;
}

bool dsvl_guide_follow(dsvl_guide *guide, char byte)
{
    bool on[DSVL_FORMATS], any = false, was = false;
    for (int f = 0; f < DSVL_FORMATS; f++) {
        const dsvl_transcript *t = &guide->transcripts[f];
        was = was || guide->at[f] >= 0;
        on[f] = guide->at[f] >= 0 && (size_t)guide->at[f] < t->length && t->text[guide->at[f]] == byte;
        any = any || on[f];
    }
    for (int f = 0; f < DSVL_FORMATS; f++) {
        if (guide->at[f] > guide->departed && was && !any) guide->departed = guide->at[f];
        if (any) guide->alive[f] = on[f];
        guide->at[f] = on[f] ? guide->at[f] + 1 : -1;
    }
    guide->streak = any ? guide->streak + 1 : 0;
    return any;
}

void dsvl_guide_return(dsvl_guide *guide, int32_t word)
{
    for (int f = 0; f < DSVL_FORMATS; f++) {
        int64_t end = guide->alive[f] ? guide->transcripts[f].ends[word] : -1, at = guide->at[f];
        if (end < 0) continue;
        if (at < 0 || llabs(end - guide->departed) < llabs(at - guide->departed)) guide->at[f] = end;
    }
}
