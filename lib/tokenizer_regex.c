/* SPDX-License-Identifier: Apache-2.0 */
/* The one door to PCRE2: patterns written for Oniguruma, the regex engine of the tokenizers library.
 *
 * A pattern is not handed over as it is: it is read here and written again for PCRE2, character by character,
 * because the two give several constructs different meanings (\s, \h, \v, "$", "{,n}", "[a[b]]", "&&",
 * "x{2}+"). What has no exact counterpart is refused, never approximated. Properties such as \p{L} keep
 * PCRE2's tables: Debian 12's (10.42) hold Unicode 14, as tokenizers 0.15 to 0.19 do; 0.20 and later hold
 * Unicode 16. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "lib/tokenizer_internal.h"

enum {
    PATTERN_LIMIT = 1 << 16,        /* bytes of source */
    MATCH_LIMIT = 20 * 1000 * 1000, /* backtracking steps for one match */
    HEAP_LIMIT_KB = 64 * 1024
};

struct tok_pattern {
    pcre2_code *code; /* NULL: the pattern \s+$, matched by hand */
};

struct tok_matcher {
    pcre2_general_context *memory;
    pcre2_match_context *context;
    pcre2_match_data *data;
};

static void *pcre_alloc(size_t bytes, void *user)
{
    (void)user;
    return dsvl_alloc(bytes, 1);
}

static void pcre_free(void *block, void *user)
{
    (void)user;
    dsvl_dealloc(block);
}

/* ---- Oniguruma's syntax to PCRE2's ------------------------------------------------------------------- */

typedef struct writer {
    const char *in;
    size_t length, at;
    char *out;
    size_t used, capacity;
    dsvl_error *err;
} writer;

static int put(writer *w, const char *text)
{
    size_t n = strlen(text);
    if (TOK_GROW(w->out, w->capacity, w->used + n + 1, w->err)) return -1;
    memcpy(w->out + w->used, text, n + 1);
    w->used += n;
    return 0;
}

static int put_code(writer *w, uint32_t code)
{
    char text[16];
    snprintf(text, sizeof text, "\\x{%x}", (unsigned)code);
    return put(w, text);
}

static int refuse(writer *w, const char *what)
{
    return dsvl_fail(w->err, DSVL_E_MODEL, "%s is not supported in a pattern", what);
}

static bool looking_at(const writer *w, const char *text)
{
    size_t n = strlen(text);
    return w->length - w->at >= n && memcmp(w->in + w->at, text, n) == 0;
}

/* \x{H...}, \xHH below 80 (above, Oniguruma means a byte) or \uHHHH; w->at is at the x or u. */
static int read_hex(writer *w, uint32_t *code)
{
    bool brace = looking_at(w, "x{");
    size_t digits = brace ? 8 : w->in[w->at] == 'u' ? 4 : 2, n = 0;
    w->at += brace ? 2 : 1;
    *code = 0;
    for (; n < digits && w->at < w->length; n++, w->at++) {
        char c = w->in[w->at];
        uint32_t value;
        if (c >= '0' && c <= '9')
            value = (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            value = (uint32_t)((c | 32) - 'a' + 10);
        else
            break;
        *code = *code << 4 | value;
    }
    if (brace && (w->at >= w->length || w->in[w->at++] != '}')) return refuse(w, "\\x{ without }");
    if (n == 0 || (!brace && n != digits)) return refuse(w, "\\x or \\u without its digits");
    if (!brace && digits == 2 && *code >= 0x80) return refuse(w, "\\x80 ... \\xff (a byte)");
    if (*code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000)) return refuse(w, "\\x of no character");
    return 0;
}

/* \p{L}, \p{^Lu}, \P{Nd}: general categories only; w->at is at the p. */
static int copy_property(writer *w)
{
    bool negated = w->in[w->at] == 'P';
    w->at++;
    if (!looking_at(w, "{")) return refuse(w, "\\p without {");
    w->at++;
    if (looking_at(w, "^")) {
        negated = !negated;
        w->at++;
    }
    size_t n = 0;
    while (w->at + n < w->length && w->in[w->at + n] != '}') n++;
    const char *name = w->in + w->at;
    static const char *const kinds[] = {"Ccfnos", "Llmotu", "Mcen", "Ndlo", "Pcdefios", "Sckmo", "Zlps"};
    bool known = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && n; i++) {
        if (kinds[i][0] == name[0]) known = n == 1 || (n == 2 && strchr(kinds[i] + 1, name[1]));
    }
    if (!known || w->at + n >= w->length)
        return refuse(w, "a property other than a general category (\\p{L})");
    char text[8];
    snprintf(text, sizeof text, "\\%c{%.*s}", negated ? 'P' : 'p', (int)n, name);
    w->at += n + 1;
    return put(w, text);
}

/* White_Space and its complement, as the inside of a class. */
static const char SPACE[] =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"
    "\\x{205f}\\x{3000}";
static const char NOT_SPACE[] = "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}"
                                "\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}"
                                "\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}";

static int put_class(writer *w, const char *inside, bool in_class)
{
    return in_class ? put(w, inside) : put(w, "[") || put(w, inside) || put(w, "]") ? -1 : 0;
}

/* What follows a backslash: 0 a set, already written; 1 a single character in *code, not written; -1 refused.
 */
static int read_escape(writer *w, bool in_class, uint32_t *code)
{
    if (w->at >= w->length) return refuse(w, "\\ at the end");
    static const char names[] = "tnrfvae", values[] = "\t\n\r\f\v\a\x1b";
    char c = w->in[w->at];
    const char *simple = c ? strchr(names, c) : NULL;
    if (c == 'p' || c == 'P') return copy_property(w);
    if (c == 'x' || c == 'u') return read_hex(w, code) ? -1 : 1;
    if (simple) {
        w->at++;
        *code = (uint32_t)values[simple - names];
        return 1;
    }
    if (c == 's' || c == 'S' || c == 'd' || c == 'D') {
        w->at++;
        if (c == 's' || c == 'S') return put_class(w, c == 's' ? SPACE : NOT_SPACE, in_class);
        return put(w, c == 'd' ? "\\p{Nd}" : "\\P{Nd}");
    }
    if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z')) {
        char what[] = {'\\', c, '\0'};
        return refuse(w, what);
    }
    w->at += tok_utf8_next(w->in + w->at, code);
    return 1;
}

/* One member of a class: as read_escape. */
static int read_member(writer *w, uint32_t *code)
{
    if (w->at >= w->length) return refuse(w, "[ without ]");
    if (looking_at(w, "[")) return refuse(w, "[ inside [ ]");
    if (looking_at(w, "&&")) return refuse(w, "&& inside [ ]");
    if (w->in[w->at] == '\\') {
        w->at++;
        return read_escape(w, true, code);
    }
    w->at += tok_utf8_next(w->in + w->at, code);
    return 1;
}

static int copy_class(writer *w)
{
    w->at++;
    bool negated = looking_at(w, "^");
    if (negated) w->at++;
    if (put(w, negated ? "[^" : "[")) return -1;
    if (looking_at(w, "]")) return refuse(w, "] first in [ ]");
    while (!looking_at(w, "]")) {
        uint32_t low = 0, high = 0;
        int kind = read_member(w, &low);
        if (kind < 0) return -1;
        bool range = looking_at(w, "-") && !looking_at(w, "-]");
        if (kind == 0) {
            if (range) return refuse(w, "a range from a set");
            continue;
        }
        if (put_code(w, low)) return -1;
        if (!range) continue;
        w->at++;
        kind = read_member(w, &high);
        if (kind < 0) return -1;
        if (kind == 0 || high < low) return refuse(w, "a range that does not ascend");
        if (put(w, "-") || put_code(w, high)) return -1;
    }
    w->at++;
    return put(w, "]");
}

static int copy_group(writer *w)
{
    static const char *const heads[] = {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        if (looking_at(w, heads[i])) {
            w->at += strlen(heads[i]);
            return put(w, heads[i]);
        }
    }
    w->at++;
    if (looking_at(w, "?") || looking_at(w, "*")) return refuse(w, "this kind of group");
    return put(w, "(?:"); /* nothing refers back to a group */
}

/* {n} {n,} {n,m} {,m}; w->at is at the brace. */
static int copy_interval(writer *w)
{
    unsigned long bound[2] = {0, 0};
    bool given[2] = {false, false}, comma = false;
    size_t i = w->at + 1;
    for (int k = 0; k < 2; k++) {
        for (; i < w->length && w->in[i] >= '0' && w->in[i] <= '9' && bound[k] < 100000; i++) {
            bound[k] = bound[k] * 10 + (unsigned long)(w->in[i] - '0');
            given[k] = true;
        }
        if (k == 0 && i < w->length && w->in[i] == ',') {
            comma = true;
            i++;
        }
        if (!comma) break;
    }
    if (i >= w->length || w->in[i] != '}' || (!given[0] && !given[1]))
        return refuse(w, "{ that is no repeat");
    w->at = i + 1;
    if (looking_at(w, "+") || looking_at(w, "?")) return refuse(w, "{...}+ or {...}?");
    char text[48];
    if (!comma)
        snprintf(text, sizeof text, "{%lu}", bound[0]);
    else if (given[1])
        snprintf(text, sizeof text, "{%lu,%lu}", bound[0], bound[1]);
    else
        snprintf(text, sizeof text, "{%lu,}", bound[0]);
    return put(w, text);
}

static int translate(writer *w)
{
    if (put(w, "")) return -1;
    while (w->at < w->length) {
        char c = w->in[w->at], plain[] = {c, '\0'};
        int failed;
        if (c == '[')
            failed = copy_class(w);
        else if (c == '(')
            failed = copy_group(w);
        else if (c == '{')
            failed = copy_interval(w);
        else if (c != '\0' && strchr(")|*+?.^$", c)) {
            w->at++;
            failed = put(w, plain);
        } else {
            uint32_t code = 0;
            int kind = 1;
            if (c == '\\') {
                w->at++;
                kind = read_escape(w, false, &code);
            } else {
                w->at += tok_utf8_next(w->in + w->at, &code);
            }
            failed = kind < 0 || (kind == 1 && put_code(w, code));
        }
        if (failed) return -1;
    }
    return 0;
}

/* ---- compiling --------------------------------------------------------------------------------------- */

static int compile(tok_pattern *pattern, const char *source, size_t length, bool literal, dsvl_error *err)
{
    int status = -1, code = 0;
    PCRE2_SIZE where = 0;
    /* Oniguruma's ^ and $ always work on lines, and only a line feed ends one. */
    uint32_t options =
        PCRE2_UTF | (literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C);
    pcre2_general_context *memory = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    pcre2_compile_context *context = pcre2_compile_context_create(memory);
    if (!memory || !context) {
        dsvl_fail_memory(err, sizeof *pattern);
        goto out;
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pattern->code = pcre2_compile((PCRE2_SPTR)source, length, options, &code, &where, context);
    if (!pattern->code) {
        if (code == PCRE2_ERROR_HEAP_FAILED) {
            dsvl_fail_memory(err, length);
            goto out;
        }
        PCRE2_UCHAR message[256];
        if (pcre2_get_error_message(code, message, sizeof message) < 0) message[0] = '\0';
        dsvl_fail(err, DSVL_E_MODEL, "%s", (const char *)message);
        goto out;
    }
    pcre2_jit_compile(pattern->code,
                      PCRE2_JIT_COMPLETE); /* where there is no JIT the interpreter gives the same */
    status = 0;
out:
    pcre2_compile_context_free(context);
    pcre2_general_context_free(memory);
    return status;
}

tok_pattern *tok_pattern_new(const char *source, size_t length, bool literal, dsvl_error *err)
{
    writer w = {.in = source, .length = length, .err = err};
    tok_pattern *pattern = dsvl_alloc_zero(1, sizeof *pattern);
    int failed;
    if (!pattern) {
        dsvl_fail_memory(err, sizeof *pattern);
        return NULL;
    }
    if (length > PATTERN_LIMIT)
        failed = dsvl_fail(err, DSVL_E_MODEL, "the pattern is longer than %d bytes", PATTERN_LIMIT);
    else if (literal)
        failed = compile(pattern, source, length, true, err);
    else if (length == 4 && memcmp(source, "\\s+$", 4) == 0)
        failed = 0;
    else
        failed = translate(&w) || compile(pattern, w.out, w.used, false, err);
    dsvl_dealloc(w.out);
    if (failed) {
        tok_pattern_free(pattern);
        return NULL;
    }
    return pattern;
}

void tok_pattern_free(tok_pattern *pattern)
{
    if (!pattern) return;
    pcre2_code_free(pattern->code);
    dsvl_dealloc(pattern);
}

/* ---- matching ---------------------------------------------------------------------------------------- */

tok_matcher *tok_matcher_new(dsvl_error *err)
{
    tok_matcher *matcher = dsvl_alloc_zero(1, sizeof *matcher);
    if (matcher) {
        matcher->memory = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
        matcher->context = pcre2_match_context_create(matcher->memory);
        matcher->data = pcre2_match_data_create(1, matcher->memory);
    }
    if (!matcher || !matcher->memory || !matcher->context || !matcher->data) {
        dsvl_fail_memory(err, sizeof *matcher);
        tok_matcher_free(matcher);
        return NULL;
    }
    pcre2_set_match_limit(matcher->context, MATCH_LIMIT);
    pcre2_set_heap_limit(matcher->context, HEAP_LIMIT_KB);
    return matcher;
}

void tok_matcher_free(tok_matcher *matcher)
{
    if (!matcher) return;
    pcre2_match_data_free(matcher->data);
    pcre2_match_context_free(matcher->context);
    pcre2_general_context_free(matcher->memory);
    dsvl_dealloc(matcher);
}

/* \s+$ in one pass over each run of white space: a backtracking matcher tries every start and every end in a
 * run that does not reach the end of the text. "$" holds at the end and before a line feed. */
static int find_trailing_space(const char *text, size_t length, size_t from, size_t *begin, size_t *end)
{
    for (size_t i = from; i < length;) {
        size_t start = i, feed = 0;
        uint32_t code;
        for (;;) {
            size_t step = tok_utf8_next(text + i, &code);
            if (!tok_is_space(code)) break;
            if (code == '\n' && i > start) feed = i;
            i += step;
            if (i == length) {
                *begin = start;
                *end = length;
                return 1;
            }
        }
        if (feed) {
            *begin = start;
            *end = feed;
            return 1;
        }
        i += tok_utf8_next(text + i, &code);
    }
    return 0;
}

int tok_pattern_find(const tok_pattern *pattern, tok_matcher *matcher, const char *text, size_t length,
                     size_t from, size_t *begin, size_t *end, dsvl_error *err)
{
    if (!pattern->code) return find_trailing_space(text, length, from, begin, end);
    PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int found = pcre2_match(pattern->code, subject, length, from, PCRE2_NO_UTF_CHECK, matcher->data,
                            matcher->context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) { /* the interpreter keeps its stack on the heap */
        found = pcre2_match(pattern->code, subject, length, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                            matcher->data, matcher->context);
    }
    if (found == PCRE2_ERROR_NOMATCH) return 0;
    if (found < 0) {
        return dsvl_fail(
            err, found == PCRE2_ERROR_NOMEMORY ? DSVL_E_MEMORY : DSVL_E_LIMIT,
            "a text of %zu bytes is too much work for a pattern of the tokenizer (PCRE2 error %d)", length,
            found);
    }
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(matcher->data);
    *begin = span[0];
    *end = span[1];
    return 1;
}
