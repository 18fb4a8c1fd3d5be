/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 and the byte-level alphabet. */
#include <stdio.h>
#include <string.h>

#include "lib/tokenizer_internal.h"

/* Length of the valid character at text[0], or 0; *bad is then the length of the invalid sequence that
 * becomes one U+FFFD: the longest beginning of a valid character (Unicode's "maximal subpart"), at least 1.
 */
static size_t character_length(const unsigned char *text, size_t left, size_t *bad)
{
    unsigned lead = text[0];
    *bad = 1;
    if (lead < 0x80) return 1;
    if (lead < 0xC2 || lead > 0xF4) return 0;
    size_t need = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    /* The second byte excludes overlong forms, surrogates and code points above 10FFFF. */
    unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < need; i++) {
        if (i >= left || text[i] < low || text[i] > high) {
            *bad = i;
            return 0;
        }
        low = 0x80;
        high = 0xBF;
    }
    return need;
}

static size_t valid_prefix(const unsigned char *text, size_t length)
{
    size_t i = 0, bad;
    while (i < length) {
        size_t step = character_length(text + i, length - i, &bad);
        if (step == 0) break;
        i += step;
    }
    return i;
}

int tok_utf8_repair(const char *text, size_t length, char **fixed, size_t *fixed_length, dsvl_error *err)
{
    const unsigned char *in = (const unsigned char *)text;
    *fixed = NULL;
    *fixed_length = length;
    size_t i = valid_prefix(in, length);
    if (i == length) return 0;

    char *out = dsvl_alloc(length, 3); /* one bad byte becomes three */
    if (!out) return dsvl_fail_memory(err, length * 3);
    memcpy(out, text, i);
    size_t used = i;
    while (i < length) {
        size_t bad;
        size_t step = character_length(in + i, length - i, &bad);
        if (step == 0) {
            used += tok_utf8_put(0xFFFD, out + used);
            i += bad;
        } else {
            memcpy(out + used, text + i, step);
            used += step;
            i += step;
        }
    }
    *fixed = out;
    *fixed_length = used;
    return 0;
}

size_t tok_utf8_next(const char *text, uint32_t *code)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) {
        *code = s[0];
        return 1;
    }
    if (s[0] < 0xE0) {
        *code = (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu);
        return 2;
    }
    if (s[0] < 0xF0) {
        *code = (s[0] & 0x0Fu) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu);
        return 3;
    }
    *code = (s[0] & 0x07u) << 18 | (s[1] & 0x3Fu) << 12 | (s[2] & 0x3Fu) << 6 | (s[3] & 0x3Fu);
    return 4;
}

size_t tok_utf8_put(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* GPT-2's alphabet: the printable bytes of Latin-1 stand for themselves; the 33 + 34 + 1 others, in order,
 * are U+0100 and on: 00-20, 7F-A0, AD. */
uint32_t tok_byte_char(unsigned byte)
{
    if (byte <= 0x20) return 0x100 + byte;
    if (byte >= 0x7F && byte <= 0xA0) return 0x121 + (byte - 0x7F);
    if (byte == 0xAD) return 0x143;
    return byte;
}

int tok_char_byte(uint32_t code)
{
    if (code >= 0x100) {
        if (code <= 0x120) return (int)(code - 0x100);
        if (code <= 0x142) return (int)(code - 0x121 + 0x7F);
        return code == 0x143 ? 0xAD : -1;
    }
    return tok_byte_char(code) == code ? (int)code : -1;
}

bool tok_is_space(uint32_t code)
{
    if (code <= 0x20) return code == 0x20 || (code >= 0x09 && code <= 0x0D);
    if (code < 0x1680) return code == 0x85 || code == 0xA0;
    return code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
           code == 0x202F || code == 0x205F || code == 0x3000;
}

const char *tok_quote(const char *text, size_t length, char buffer[64])
{
    size_t used = 0, i = 0;
    while (i < length && used < 48) {
        size_t bad;
        size_t step = character_length((const unsigned char *)text + i, length - i, &bad);
        if (step == 0 || (step == 1 && ((unsigned char)text[i] < 0x20 || text[i] == 0x7F))) {
            buffer[used++] = '?';
            i += step == 0 ? bad : 1;
            continue;
        }
        memcpy(buffer + used, text + i, step);
        used += step;
        i += step;
    }
    snprintf(buffer + used, 64 - used, "%s", i < length ? "..." : "");
    return buffer;
}
