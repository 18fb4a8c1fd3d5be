/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the tokenizer. Text walks through them in this order, as in the tokenizers library:
 *
 *   bytes -> valid UTF-8 (tokenizer_utf8.c)
 *         -> stretches of text between added tokens (tokenizer_added.c; only when asked to recognise them)
 *         -> pieces (tokenizer_split.c: the pre-tokenizer; tokenizer_regex.c: its patterns)
 *         -> ids, piece by piece (tokenizer_bpe.c), by the names of tokenizer_vocab.c
 *
 * tokenizer_json.c fills the parts from tokenizer.json; tokenizer.c holds them together. */
#ifndef DSVL_LIB_TOKENIZER_INTERNAL_H
#define DSVL_LIB_TOKENIZER_INTERNAL_H

#include <jansson.h>

#include "lib/alloc.h"
#include "lib/tokenizer.h"

/* Ids are below this: four times the largest vocabulary released, so that a file of a few bytes cannot ask
 * for gigabytes of tables. */
#define DSVL_VOCAB_LIMIT ((int32_t)1 << 20)
/* Bytes of text in one call: offsets into it are 32-bit, also after every byte became U+FFFD. */
#define DSVL_TEXT_LIMIT ((size_t)1 << 30)

/* Grow a vector to `need` elements: 0 or -1. `pointer` and `capacity` are lvalues. */
#define TOK_GROW(pointer, capacity, need, err)                                                               \
    ((need) <= (capacity) ? 0 : tok_grow(&(pointer), &(capacity), (need), sizeof *(pointer), (err)))
int tok_grow(void *slot, size_t *capacity, size_t need, size_t size, dsvl_error *err);

/* A name from the file for a message: at most 48 bytes of it, control characters shown as '?'. */
const char *tok_quote(const char *text, size_t length, char buffer[64]);

/* ---- tokenizer_utf8.c ---- */

/* Where `text` is not valid UTF-8, *fixed is an owned copy (dsvl_dealloc) with U+FFFD in place of every
 * invalid sequence, in the way of Python's decode(errors="replace"); else *fixed is NULL. */
int tok_utf8_repair(const char *text, size_t length, char **fixed, size_t *fixed_length, dsvl_error *err);
/* Length in bytes and code point of the character at text[0]; text is valid UTF-8. */
size_t tok_utf8_next(const char *text, uint32_t *code);
size_t tok_utf8_put(uint32_t code, char out[4]);
/* Byte-level alphabet: the character that stands for a byte in the names of tokens, and back (-1: none). */
uint32_t tok_byte_char(unsigned byte);
int tok_char_byte(uint32_t code);
/* Unicode's White_Space, which is what \s is in the library (PCRE2's \s has U+180E besides). */
bool tok_is_space(uint32_t code);

/* ---- tokenizer_vocab.c ---- */

enum { TOK_PRESENT = 1, TOK_ADDED = 2, TOK_SPECIAL = 4, TOK_MODEL = 8 /* in model.vocab */ };

typedef struct tok_entry {
    uint32_t name, name_length;   /* in arena: as it stands in tokenizer.json */
    uint32_t bytes, bytes_length; /* in arena: as it stands in a text */
    uint8_t flags;
} tok_entry;

typedef struct tok_vocab {
    tok_entry *entries; /* [capacity], by id */
    size_t capacity;
    int32_t size; /* highest id + 1 */
    char *arena;
    size_t arena_used, arena_capacity;
    int32_t *table; /* name -> id by open addressing; -1: free */
    size_t slots, used;
} tok_vocab;

void tok_vocab_clear(tok_vocab *vocab);
/* Add a token of the model (names are in the byte-level alphabet) or an added one (its name is its text). A
 * name or an id that is already taken is an error. `key` says where in the file, for messages. */
int tok_vocab_add(tok_vocab *vocab, int32_t id, const char *name, size_t length, unsigned flags,
                  const char *key, dsvl_error *err);
/* Mark a token of the model as an added one too. */
void tok_vocab_promote(tok_vocab *vocab, int32_t id, unsigned flags);
int32_t tok_vocab_find(const tok_vocab *vocab, const char *name, size_t length); /* -1: no such name */
const tok_entry *tok_vocab_entry(const tok_vocab *vocab, int32_t id);            /* NULL: no such id */

/* ---- tokenizer_bpe.c ---- */

typedef struct tok_merge {
    uint64_t pair; /* left << 32 | right */
    uint32_t rank;
    int32_t id; /* of the merged token; -1: free slot */
} tok_merge;

typedef struct tok_bpe {
    tok_merge *merges; /* [slots], open addressing */
    size_t slots;
    int32_t byte_id[256]; /* -1: the vocabulary lacks this byte */
    int32_t unknown;      /* -1: none */
    bool fuse_unknown, ignore_merges;
} tok_bpe;

typedef struct tok_symbol {
    int32_t id; /* -1: merged into the one before */
    uint32_t previous, next;
} tok_symbol;

/* Working memory of one call. */
typedef struct tok_scratch {
    tok_symbol *symbols;
    size_t symbols_capacity;
    uint64_t *heap; /* rank << 32 | position */
    size_t heap_capacity;
    char *name;
    size_t name_capacity;
} tok_scratch;

int tok_bpe_reserve(tok_bpe *bpe, size_t merges, dsvl_error *err);
void tok_bpe_clear(tok_bpe *bpe);
void tok_bpe_add(tok_bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t id);
int tok_bpe_encode(const tok_bpe *bpe, const tok_vocab *vocab, const char *piece, size_t length,
                   tok_scratch *scratch, dsvl_ids *ids, dsvl_error *err);
void tok_scratch_clear(tok_scratch *scratch);

/* ---- tokenizer_regex.c ---- */

typedef struct tok_pattern tok_pattern; /* a compiled pattern, shareable between threads */
typedef struct tok_matcher tok_matcher; /* working memory for matching, one per call */

/* Compile a pattern written for Oniguruma; constructs that PCRE2 would read otherwise are refused. */
tok_pattern *tok_pattern_new(const char *source, size_t length, bool literal, dsvl_error *err);
void tok_pattern_free(tok_pattern *pattern);
tok_matcher *tok_matcher_new(dsvl_error *err);
void tok_matcher_free(tok_matcher *matcher);
/* First match in text[from, length): 1 with [*begin, *end), 0 none, -1 error. */
int tok_pattern_find(const tok_pattern *pattern, tok_matcher *matcher, const char *text, size_t length,
                     size_t from, size_t *begin, size_t *end, dsvl_error *err);

/* ---- tokenizer_split.c ---- */

typedef enum tok_behavior {
    TOK_REMOVED,
    TOK_ISOLATED,
    TOK_MERGED_WITH_PREVIOUS,
    TOK_MERGED_WITH_NEXT,
    TOK_CONTIGUOUS
} tok_behavior;

typedef struct tok_step {
    tok_pattern
        *pattern; /* NULL: put a space before every piece that has none (ByteLevel's add_prefix_space) */
    tok_behavior behavior;
    bool invert;
} tok_step;

#define TOK_MAX_STEPS 32
typedef struct tok_splitter {
    tok_step steps[TOK_MAX_STEPS];
    size_t count;
} tok_splitter;

typedef struct tok_piece {
    uint32_t start, length;
} tok_piece;

/* A match of a step's pattern, or what lies between two, within a piece. */
typedef struct tok_span {
    uint32_t begin, end;
    bool matched;
} tok_span;

/* Pieces of a text, in order; offsets into `text`, which is the caller's or, after a prefix space, `owned`.
 */
typedef struct tok_pieces {
    const char *text;
    char *owned;
    tok_piece *pieces, *next;
    tok_span *spans;
    size_t count, pieces_capacity, next_capacity, spans_capacity;
} tok_pieces;

int tok_splitter_run(const tok_splitter *splitter, tok_matcher *matcher, const char *text, size_t length,
                     tok_pieces *pieces, dsvl_error *err);
void tok_splitter_clear(tok_splitter *splitter);
void tok_pieces_clear(tok_pieces *pieces);

/* ---- tokenizer_added.c ---- */

/* Longer names would let a text of one character cost its length times the name's. */
#define TOK_ADDED_LIMIT 512

typedef struct tok_added {
    int32_t id;
    bool single_word, lstrip, rstrip, normalized;
} tok_added;

typedef struct tok_node {
    int32_t child, sibling; /* 0: none */
    int32_t added;          /* index of the added token that ends here, -1: none */
    unsigned char byte;
} tok_node;

typedef struct tok_added_set {
    tok_added *tokens;
    size_t count, capacity;
    /* Two tries, as in the library: tokens that are not normalized are cut out first. nodes[0] is unused, 1
     * and 2 are the roots of the two. */
    tok_node *nodes;
    size_t nodes_count, nodes_capacity;
    bool first[2][256]; /* bytes that begin some token */
    tok_pattern *word_character;
} tok_added_set;

/* A stretch of text, or an added token in it. */
typedef struct tok_stretch {
    uint32_t start, length;
    int32_t id; /* -1: text */
} tok_stretch;

typedef struct tok_stretches {
    tok_stretch *items;
    size_t count, capacity;
} tok_stretches;

int tok_added_add(tok_added_set *set, const tok_added *token, const char *name, size_t length,
                  dsvl_error *err);
void tok_added_clear(tok_added_set *set);
/* Cut text into stretches; `stretches` is filled anew. */
int tok_added_split(const tok_added_set *set, tok_matcher *matcher, const char *text, size_t length,
                    tok_stretches *stretches, dsvl_error *err);

/* ---- tokenizer.c, tokenizer_json.c ---- */

struct dsvl_tokenizer {
    tok_vocab vocab;
    tok_bpe bpe;
    tok_splitter splitter;
    tok_added_set added;
};

/* Fill a zeroed tokenizer from the file's root object. */
int tok_json_read(dsvl_tokenizer *tokenizer, const json_t *root, dsvl_error *err);

#endif
