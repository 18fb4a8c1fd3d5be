/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens: cut out of a text before the pre-tokenizer sees it. Mirrors
 * AddedVocabulary::extract_and_normalize: leftmost-longest matches, first of the tokens that are not
 * normalized, then of the others in what is left (with no normalizer both look for the name as it stands). */
#include <string.h>

#include "lib/tokenizer_internal.h"

/* \w of the library's regex crate: Alphabetic, marks, decimal digits, connectors and the two joiners.
 * Alphabetic is L, Nl, some marks and the circled and squared letters. */
static const char WORD[] =
    "[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\u200c\\u200d\\u24b6-\\u24e9\\x{1f130}-\\x{1f149}"
    "\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}]";

void tok_added_clear(tok_added_set *set)
{
    dsvl_dealloc(set->tokens);
    dsvl_dealloc(set->nodes);
    tok_pattern_free(set->word_character);
    memset(set, 0, sizeof *set);
}

static int new_node(tok_added_set *set, unsigned char byte, int32_t sibling, int32_t *index, dsvl_error *err)
{
    if (TOK_GROW(set->nodes, set->nodes_capacity, set->nodes_count + 1, err)) return -1;
    *index = (int32_t)set->nodes_count++;
    set->nodes[*index] = (tok_node){.sibling = sibling, .added = -1, .byte = byte};
    return 0;
}

static int32_t find_child(const tok_node *nodes, int32_t node, unsigned char byte)
{
    int32_t child = nodes[node].child;
    while (child && nodes[child].byte != byte) child = nodes[child].sibling;
    return child;
}

int tok_added_add(tok_added_set *set, const tok_added *token, const char *name, size_t length,
                  dsvl_error *err)
{
    int32_t node;
    while (set->nodes_count < 3) { /* 0 stands for "none"; then the two roots */
        if (new_node(set, 0, 0, &node, err)) return -1;
    }
    if (token->single_word && !set->word_character) {
        set->word_character = tok_pattern_new(WORD, sizeof WORD - 1, false, err);
        if (!set->word_character) return -1;
    }
    if (TOK_GROW(set->tokens, set->capacity, set->count + 1, err)) return -1;
    node = token->normalized ? 2 : 1;
    for (size_t i = 0; i < length; i++) {
        int32_t child = find_child(set->nodes, node, (unsigned char)name[i]);
        if (!child) {
            if (new_node(set, (unsigned char)name[i], set->nodes[node].child, &child, err)) return -1;
            set->nodes[node].child = child;
        }
        node = child;
    }
    set->nodes[node].added = (int32_t)set->count;
    set->tokens[set->count++] = *token;
    set->first[token->normalized][(unsigned char)name[0]] = true;
    return 0;
}

/* The longest token of a trie that begins at text[at]; -1: none. */
static int32_t longest_at(const tok_added_set *set, int which, const char *text, size_t length, size_t at,
                          size_t *end)
{
    int32_t node = 1 + which, best = -1;
    for (size_t i = at; i < length; i++) {
        node = find_child(set->nodes, node, (unsigned char)text[i]);
        if (!node) break;
        if (set->nodes[node].added >= 0) {
            best = set->nodes[node].added;
            *end = i + 1;
        }
    }
    return best;
}

static bool word_at(const tok_added_set *set, tok_matcher *matcher, const char *text, size_t at)
{
    uint32_t code;
    size_t begin, end, length = tok_utf8_next(text + at, &code);
    return tok_pattern_find(set->word_character, matcher, text + at, length, 0, &begin, &end, NULL) == 1;
}

static size_t character_before(const char *text, size_t at)
{
    do at--;
    while (((unsigned char)text[at] & 0xC0) == 0x80);
    return at;
}

static bool is_single_word(const tok_added_set *set, tok_matcher *matcher, const char *text, size_t length,
                           size_t start, size_t stop)
{
    if (start > 0 && word_at(set, matcher, text, character_before(text, start))) return false;
    return stop == length || !word_at(set, matcher, text, stop);
}

static size_t skip_space_back(const char *text, size_t at, size_t floor)
{
    while (at > floor) {
        uint32_t code;
        size_t before = character_before(text, at);
        tok_utf8_next(text + before, &code);
        if (!tok_is_space(code)) break;
        at = before;
    }
    return at;
}

static size_t skip_space(const char *text, size_t length, size_t at)
{
    while (at < length) {
        uint32_t code;
        size_t step = tok_utf8_next(text + at, &code);
        if (!tok_is_space(code)) break;
        at += step;
    }
    return at;
}

static int add_stretch(tok_stretches *out, size_t start, size_t end, int32_t id, dsvl_error *err)
{
    if (TOK_GROW(out->items, out->capacity, out->count + 1, err)) return -1;
    out->items[out->count++] = (tok_stretch){(uint32_t)start, (uint32_t)(end - start), id};
    return 0;
}

/* Cut text[base, base + length) by one trie and append the stretches. */
static int split_by(const tok_added_set *set, int which, tok_matcher *matcher, const char *whole, size_t base,
                    size_t length, tok_stretches *out, dsvl_error *err)
{
    const char *text = whole + base;
    size_t done = 0; /* end of the last token, with the space it took */
    for (size_t at = 0; at < length;) {
        size_t start = at, stop = 0;
        int32_t found =
            set->first[which][(unsigned char)text[at]] ? longest_at(set, which, text, length, at, &stop) : -1;
        if (found < 0) {
            at++;
            continue;
        }
        at = stop; /* the search goes on here, also when the token is discarded or takes more space */
        const tok_added *token = &set->tokens[found];
        if (token->single_word && !is_single_word(set, matcher, text, length, start, stop)) continue;
        if (token->lstrip) {
            size_t back = skip_space_back(text, start, 0);
            start = back > done ? back : done;
        }
        if (token->rstrip) stop = skip_space(text, length, stop);
        if (done < start && add_stretch(out, base + done, base + start, -1, err)) return -1;
        /* A token inside the space that the one before took is dropped, as the library drops empty splits. */
        if (start < stop && add_stretch(out, base + start, base + stop, token->id, err)) return -1;
        done = stop; /* may step back over taken space, which is then text again: so has the library */
    }
    return done < length ? add_stretch(out, base + done, base + length, -1, err) : 0;
}

int tok_added_split(const tok_added_set *set, tok_matcher *matcher, const char *text, size_t length,
                    tok_stretches *stretches, dsvl_error *err)
{
    stretches->count = 0;
    if (split_by(set, 0, matcher, text, 0, length, stretches, err)) return -1;
    bool second = false;
    for (int i = 0; i < 256; i++) second = second || set->first[1][i];
    if (!second) return 0;

    tok_stretches first = *stretches;
    int status = 0;
    *stretches = (tok_stretches){0};
    for (size_t i = 0; i < first.count && !status; i++) {
        tok_stretch s = first.items[i];
        status = s.id >= 0 ? add_stretch(stretches, s.start, (size_t)s.start + s.length, s.id, err)
                           : split_by(set, 1, matcher, text, s.start, s.length, stretches, err);
    }
    dsvl_dealloc(first.items);
    return status;
}
