/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/words.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/record.h"

/* In em: how wide letters are on the average, in faces for reading from 0.45 to 0.6. */
static const double LETTER = 0.52;
/* As a factor: a guess that is no further off is kept, for letters say no more exactly. */
static const double GOOD_GUESS = 1.3;
/* In em: what Poppler gives a font of unknown measures above and below the baseline. */
static const double ABOVE = 0.95, BELOW = 0.35;

/* Room for one more word in the four arrays, which share one capacity. */
static int grow_words(dsvl_words *words, dsvl_error *err)
{
    if (words->count < words->capacity) return 0;
    size_t old = words->capacity, want = old ? 2 * old : 256;
    float *boxes = dsvl_realloc(words->boxes, 4 * old, 4 * want, sizeof *boxes);
    if (boxes) words->boxes = boxes;
    int32_t *offsets = dsvl_realloc(words->offsets, old ? old + 1 : 0, want + 1, sizeof *offsets);
    if (offsets) words->offsets = offsets;
    float *sizes = dsvl_realloc(words->font_size, old, want, sizeof *sizes);
    if (sizes) words->font_size = sizes;
    uint8_t *flags = dsvl_realloc(words->flags, old, want, sizeof *flags);
    if (flags) words->flags = flags;
    if (words->logprob) {
        float *logprob = dsvl_realloc(words->logprob, old, want, sizeof *logprob);
        if (!logprob) return dsvl_fail_memory(err, want * sizeof *logprob);
        words->logprob = logprob;
    }
    if (!boxes || !offsets || !sizes || !flags) return dsvl_fail_memory(err, want * sizeof *boxes * 4);
    words->offsets[0] = 0;
    words->capacity = want;
    return 0;
}

int dsvl_words_add(dsvl_words *words, const double box[4], const char *text, size_t length, double font_size,
                   uint8_t flags, dsvl_error *err)
{
    char *clean = dsvl_utf8(text, length);
    if (!clean) return dsvl_fail_memory(err, length);
    size_t bytes = strlen(clean);
    void *block = words->text;
    int status = -1;
    if (bytes > INT32_MAX - words->bytes) {
        dsvl_fail(err, DSVL_E_LIMIT, "the page has more than 2 GiB of text");
        goto out;
    }
    bool grown = dsvl_grow(&block, &words->text_capacity, words->bytes + bytes, 1);
    words->text = block;
    if (!grown) {
        dsvl_fail_memory(err, words->bytes + bytes);
        goto out;
    }
    if (grow_words(words, err)) goto out;
    memcpy(words->text + words->bytes, clean, bytes);
    words->bytes += bytes;
    for (int k = 0; k < 4; k++) words->boxes[4 * words->count + (size_t)k] = (float)box[k];
    words->font_size[words->count] = (float)font_size;
    words->flags[words->count] = flags;
    if (words->logprob) words->logprob[words->count] = 0;
    words->offsets[++words->count] = (int32_t)words->bytes;
    status = 0;
out:
    dsvl_dealloc(clean);
    return status;
}

int dsvl_words_doubt(dsvl_words *words, double logprob, dsvl_error *err)
{
    if (!words->logprob) words->logprob = dsvl_alloc_zero(words->capacity, sizeof *words->logprob);
    if (!words->logprob) return dsvl_fail_memory(err, words->capacity * sizeof *words->logprob);
    words->logprob[words->count - 1] = (float)logprob;
    return 0;
}

void dsvl_words_keep(dsvl_words *words, const double box[4])
{
    size_t kept = 0, bytes = 0;
    bool line_open = false; /* a word of the current line was kept */
    for (size_t i = 0; i < words->count; i++) {
        const float *b = words->boxes + 4 * i;
        double x = (b[0] + b[2]) / 2.0, y = (b[1] + b[3]) / 2.0;
        size_t begin = (size_t)words->offsets[i], length = (size_t)words->offsets[i + 1] - begin;
        uint8_t flags = words->flags[i];
        if (x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]) {
            memmove(words->boxes + 4 * kept, b, 4 * sizeof *b);
            memmove(words->text + bytes, words->text + begin, length);
            words->font_size[kept] = words->font_size[i];
            if (words->logprob) words->logprob[kept] = words->logprob[i];
            words->flags[kept++] = flags;
            bytes += length;
            words->offsets[kept] = (int32_t)bytes; /* kept <= i + 1, and offsets[i + 1] has been read */
            line_open = !(flags & DSVL_WORD_LINE);
        } else if (line_open && (flags & DSVL_WORD_LINE)) {
            words->flags[kept - 1] = DSVL_WORD_LINE;
            line_open = false;
        }
    }
    words->count = kept;
    words->bytes = bytes;
}

/* Mean width of the letters of the words whose size is `size`; those that stand upright tell nothing. */
static double letter_width(const dsvl_words *words, float size)
{
    double width = 0, letters = 0;
    for (size_t i = 0; i < words->count; i++) {
        const float *b = words->boxes + 4 * i;
        if (words->font_size[i] != size || fabs((b[3] - b[1]) + (ABOVE + BELOW) * (double)size) > 0.5)
            continue;
        width += b[2] - b[0];
        for (int32_t k = words->offsets[i]; k < words->offsets[i + 1]; k++)
            letters += ((unsigned char)words->text[k] & 0xc0) != 0x80;
    }
    return letters > 0 ? width / letters : 0;
}

void dsvl_words_settle_sizes(dsvl_words *words)
{
    enum { MOST_SIZES = 256 }; /* looked at: a page has a few */
    int sizes = 0;
    for (size_t i = 0; i < words->count; i++) {
        const float guess = words->font_size[i];
        if (!(guess < 0)) continue;
        const double wide = sizes++ < MOST_SIZES ? letter_width(words, guess) : 0,
                     off = wide > 0 ? wide / LETTER / -(double)guess : 1;
        const double em = off > GOOD_GUESS || off < 1 / GOOD_GUESS ? wide / LETTER : -(double)guess;
        for (size_t k = i; k < words->count; k++) {
            float *b = words->boxes + 4 * k;
            if (words->font_size[k] != guess) continue;
            words->font_size[k] = (float)em;
            if (fabs((b[3] - b[1]) + (ABOVE + BELOW) * (double)guess) > 0.5) continue;
            const double baseline = b[3] + BELOW * (double)guess;
            b[1] = (float)(baseline - ABOVE * em);
            b[3] = (float)(baseline + BELOW * em);
        }
    }
}

void dsvl_words_free(dsvl_words *words)
{
    dsvl_dealloc(words->boxes);
    dsvl_dealloc(words->offsets);
    dsvl_dealloc(words->font_size);
    dsvl_dealloc(words->flags);
    dsvl_dealloc(words->logprob);
    dsvl_dealloc(words->text);
    memset(words, 0, sizeof *words);
}
