/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/loop.h"

#include <stdbool.h>
#include <string.h>

/* What a repeated part is made of. */
typedef enum loop_kind { LOOP_RULE, LOOP_EMPTY, LOOP_FIGURES, LOOP_LINES, LOOP_TEXT } loop_kind;

/* How much of it is still honest: a loop has at least so many repetitions and so many tokens. The models
 * count from a byte to about four to a token; the bounds are set for bytes, where an honest page comes
 * closest. */
static const struct loop_bound {
    uint32_t repeats, tokens;
} bounds[] = {
    [LOOP_RULE] = {2, 600},     /* "-----", ". . . ." */
    [LOOP_EMPTY] = {2, 1500},   /* ",,,,\n": separators and blanks alone */
    [LOOP_FIGURES] = {24, 700}, /* "0,0,0\n": no letter in it */
    [LOOP_LINES] = {10, 400},   /* whole lines, with words */
    [LOOP_TEXT] = {5, 240},     /* anything within a line */
};
enum { LEAST_TOKENS = 240, LEAST_REPEATS = 2 }; /* of all bounds: below these nothing is looked at closely */

/* Rules and blanks outside ASCII. */
static const char *const dashes[] = {"…", "·", "•", "–", "—", "─", "━", "═", "‥", "\u00a0", "\u3000"};

/* Length of the dash or dot at the beginning of text, 0: there is none. */
static size_t dash_length(const char *text, size_t length)
{
    if (text[0] && strchr("-._=*~+# ", text[0])) return 1;
    for (size_t i = 0; i < sizeof dashes / sizeof *dashes; i++) {
        size_t n = strlen(dashes[i]);
        if (n <= length && memcmp(text, dashes[i], n) == 0) return n;
    }
    return 0;
}

static loop_kind widest(loop_kind a, loop_kind b)
{
    return a > b ? a : b;
}

/* The kind of some bytes. */
static loop_kind kind_of(const char *text, size_t length)
{
    loop_kind kind = LOOP_RULE;
    for (size_t i = 0; i < length;) {
        unsigned char c = (unsigned char)text[i];
        size_t dash = dash_length(text + i, length - i);
        if (dash)
            kind = widest(kind, LOOP_RULE);
        else if (c && c < 0x80 && strchr(",;|:\t\r\n\"'/<>()[]{}", c))
            kind = widest(kind, LOOP_EMPTY);
        else if ((c >= '0' && c <= '9') || (c && strchr("%$", c)))
            kind = widest(kind, LOOP_FIGURES);
        else
            return memchr(text, '\n', length) ? LOOP_LINES : LOOP_TEXT;
        i += dash ? dash : 1;
    }
    return kind;
}

/* Bytes of tokens, as far as there is room; a character that begins at the end of them goes on at their
 * beginning, since they repeat. Returns how many. */
static size_t spell(const int32_t *ids, size_t count, dsvl_token_text_fn text, const void *user, char *out,
                    size_t room)
{
    size_t used = 0, part = 0;
    for (size_t i = 0; i < count; i++) {
        const char *bytes;
        size_t length;
        text(user, ids[i], &bytes, &length);
        if (length > room - used) length = room - used;
        memcpy(out + used, bytes, length);
        used += length;
    }
    char head[3] = {0};
    while (part < 3 && part < used && ((unsigned char)out[part] & 0xc0) == 0x80) {
        head[part] = out[part];
        part++;
    }
    memmove(out, out + part, used - part);
    memcpy(out + used - part, head, part);
    return used;
}

static bool is_loop(const int32_t *part, size_t period, uint32_t run, dsvl_token_text_fn text,
                    const void *user)
{
    char spelt[8 * DSVL_LOOP_PERIOD] = "";
    loop_kind kind = kind_of(spelt, spell(part, period, text, user, spelt, sizeof spelt));
    return run + period >= bounds[kind].tokens && run / period + 1 >= bounds[kind].repeats;
}

size_t dsvl_loop_add(dsvl_loop *loop, const int32_t *ids, size_t count, dsvl_token_text_fn text,
                     const void *user, size_t *begin)
{
    size_t found = 0;
    for (size_t p = 1; p <= DSVL_LOOP_PERIOD && p < count; p++) {
        loop->run[p] = ids[count - 1] == ids[count - 1 - p] ? loop->run[p] + 1 : 0;
        uint32_t run = loop->run[p];
        if (found || run + p < LEAST_TOKENS || run / p + 1 < LEAST_REPEATS) continue;
        /* Looked at once in each round, so that a long honest rule costs little. */
        if (run % p == 0 && is_loop(ids + count - p, p, run, text, user)) found = p;
    }
    if (found) *begin = count - loop->run[found] - found;
    return found;
}
