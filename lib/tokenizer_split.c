/* SPDX-License-Identifier: Apache-2.0 */
/* The pre-tokenizer: steps that each cut every piece into smaller ones. Mirrors pre_tokenizers::{sequence,
 * split, digits, byte_level} and NormalizedString::split. A pattern sees one piece at a time, never its
 * neighbours. */
#include <string.h>

#include "lib/tokenizer_internal.h"

void tok_splitter_clear(tok_splitter *splitter)
{
    for (size_t i = 0; i < splitter->count; i++) tok_pattern_free(splitter->steps[i].pattern);
    memset(splitter, 0, sizeof *splitter);
}

void tok_pieces_clear(tok_pieces *pieces)
{
    dsvl_dealloc(pieces->owned);
    dsvl_dealloc(pieces->pieces);
    dsvl_dealloc(pieces->next);
    dsvl_dealloc(pieces->spans);
    memset(pieces, 0, sizeof *pieces);
}

static int add_span(tok_pieces *p, size_t *count, size_t begin, size_t end, bool matched, dsvl_error *err)
{
    if (TOK_GROW(p->spans, p->spans_capacity, *count + 1, err)) return -1;
    p->spans[(*count)++] = (tok_span){(uint32_t)begin, (uint32_t)end, matched};
    return 0;
}

/* Matches and what lies between them, in order. An empty match right after the last one is passed over, as in
 * onig::FindMatches; other empty matches stay as empty spans, because they cut what surrounds them. */
static int find_spans(const tok_step *step, tok_matcher *matcher, const char *text, size_t length,
                      tok_pieces *p, size_t *count, dsvl_error *err)
{
    size_t at = 0, done = 0, last = SIZE_MAX;
    *count = 0;
    while (at <= length) {
        size_t begin, end;
        int found = tok_pattern_find(step->pattern, matcher, text, length, at, &begin, &end, err);
        if (found < 0) return -1;
        if (!found) break;
        if (begin == end && end == last) {
            uint32_t code;
            at += at < length ? tok_utf8_next(text + at, &code) : 1;
            continue;
        }
        at = last = end;
        if (done != begin && add_span(p, count, done, begin, step->invert, err)) return -1;
        if (add_span(p, count, begin, end, !step->invert, err)) return -1;
        done = end;
    }
    return done != length ? add_span(p, count, done, length, step->invert, err) : 0;
}

/* Join spans as the behaviour says; returns how many are left, from spans[0] on. A span joins its neighbour
 * when it is a match and the one before (or after) was none, or, contiguous, when both are of a kind. */
static size_t join_spans(tok_behavior behavior, tok_span *spans, size_t count)
{
    size_t kept = 0;
    bool previous = false; /* the library starts as if a non-match had gone before */
    if (behavior == TOK_MERGED_WITH_NEXT) {
        for (size_t i = count; i-- > 0;) {
            tok_span span = spans[i];
            if (span.matched && !previous && kept)
                spans[count - kept].begin = span.begin;
            else
                spans[count - ++kept] = span;
            previous = span.matched;
        }
        memmove(spans, spans + count - kept, kept * sizeof *spans);
        return kept;
    }
    for (size_t i = 0; i < count; i++) {
        tok_span span = spans[i];
        bool join = behavior == TOK_CONTIGUOUS ? span.matched == previous : span.matched && !previous;
        if (join && kept)
            spans[kept - 1].end = span.end;
        else
            spans[kept++] = span;
        previous = span.matched;
    }
    return kept;
}

static int add_piece(tok_pieces *p, size_t *count, size_t start, size_t length, dsvl_error *err)
{
    if (length == 0) return 0;
    if (TOK_GROW(p->next, p->next_capacity, *count + 1, err)) return -1;
    p->next[(*count)++] = (tok_piece){(uint32_t)start, (uint32_t)length};
    return 0;
}

static int split_piece(const tok_step *step, tok_matcher *matcher, tok_piece piece, tok_pieces *p,
                       size_t *next, dsvl_error *err)
{
    size_t spans;
    if (find_spans(step, matcher, p->text + piece.start, piece.length, p, &spans, err)) return -1;
    bool joins = step->behavior != TOK_ISOLATED && step->behavior != TOK_REMOVED;
    if (joins) spans = join_spans(step->behavior, p->spans, spans);
    for (size_t i = 0; i < spans; i++) {
        tok_span span = p->spans[i];
        if (step->behavior == TOK_REMOVED && span.matched) continue;
        if (add_piece(p, next, piece.start + span.begin, span.end - span.begin, err)) return -1;
    }
    return 0;
}

/* add_prefix_space: every piece that does not begin with a space gets one. The text is written anew. */
static int prefix_spaces(tok_pieces *p, dsvl_error *err)
{
    size_t bytes = p->count, used = 0;
    for (size_t i = 0; i < p->count; i++) bytes += p->pieces[i].length;
    if (bytes > DSVL_TEXT_LIMIT * 3) return dsvl_fail(err, DSVL_E_LIMIT, "the text is too long to tokenize");
    char *text = dsvl_alloc(bytes, 1);
    if (!text) return dsvl_fail_memory(err, bytes);
    for (size_t i = 0; i < p->count; i++) {
        tok_piece *piece = &p->pieces[i];
        size_t start = used;
        if (p->text[piece->start] != ' ') text[used++] = ' ';
        memcpy(text + used, p->text + piece->start, piece->length);
        used += piece->length;
        *piece = (tok_piece){(uint32_t)start, (uint32_t)(used - start)};
    }
    dsvl_dealloc(p->owned);
    p->owned = text;
    p->text = text;
    return 0;
}

int tok_splitter_run(const tok_splitter *splitter, tok_matcher *matcher, const char *text, size_t length,
                     tok_pieces *p, dsvl_error *err)
{
    p->text = text;
    p->count = 0;
    if (length == 0) return 0;
    if (TOK_GROW(p->pieces, p->pieces_capacity, 1, err)) return -1;
    p->pieces[p->count++] = (tok_piece){0, (uint32_t)length};

    for (size_t s = 0; s < splitter->count; s++) {
        const tok_step *step = &splitter->steps[s];
        if (!step->pattern) {
            if (prefix_spaces(p, err)) return -1;
            continue;
        }
        size_t next = 0;
        for (size_t i = 0; i < p->count; i++) {
            if (split_piece(step, matcher, p->pieces[i], p, &next, err)) return -1;
        }
        tok_piece *pieces = p->pieces;
        size_t capacity = p->pieces_capacity;
        p->pieces = p->next;
        p->pieces_capacity = p->next_capacity;
        p->count = next;
        p->next = pieces;
        p->next_capacity = capacity;
    }
    return 0;
}
