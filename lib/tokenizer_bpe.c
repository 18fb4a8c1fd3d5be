/* SPDX-License-Identifier: Apache-2.0 */
/* Byte pair encoding of one piece. Mirrors models::bpe::Word::merge_all: the pair with the lowest rank goes
 * first, the leftmost of equals before the others. A heap of (rank, position) makes a long piece cost n log
 * n. */
#include <string.h>

#include "lib/tokenizer_internal.h"

static const uint32_t NONE = UINT32_MAX;

int tok_bpe_reserve(tok_bpe *bpe, size_t merges, dsvl_error *err)
{
    size_t slots = 1024;
    while (slots / 2 < merges) slots *= 2;
    bpe->merges = dsvl_alloc(slots, sizeof *bpe->merges);
    if (!bpe->merges) return dsvl_fail_memory(err, slots * sizeof *bpe->merges);
    for (size_t i = 0; i < slots; i++) bpe->merges[i].id = -1;
    bpe->slots = slots;
    return 0;
}

void tok_bpe_clear(tok_bpe *bpe)
{
    dsvl_dealloc(bpe->merges);
    memset(bpe, 0, sizeof *bpe);
}

/* The slot of a pair, or the free one where it belongs. */
static inline tok_merge *find_slot(const tok_bpe *bpe, uint64_t pair)
{
    uint64_t h = pair * 0x9E3779B97F4A7C15u;
    size_t slot = (size_t)(h >> 20) & (bpe->slots - 1);
    while (bpe->merges[slot].id >= 0 && bpe->merges[slot].pair != pair) slot = (slot + 1) & (bpe->slots - 1);
    return &bpe->merges[slot];
}

static inline const tok_merge *find_merge(const tok_bpe *bpe, int32_t left, int32_t right)
{
    const tok_merge *merge = find_slot(bpe, (uint64_t)left << 32 | (uint32_t)right);
    return merge->id >= 0 ? merge : NULL;
}

void tok_bpe_add(tok_bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    uint64_t pair = (uint64_t)left << 32 | (uint32_t)right;
    tok_merge *merge = find_slot(bpe, pair);
    *merge = (tok_merge){.pair = pair, .rank = rank, .id = id}; /* of a pair given twice the last counts */
}

static void heap_push(uint64_t *heap, size_t *count, uint64_t value)
{
    size_t i = (*count)++;
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (heap[parent] <= value) break;
        heap[i] = heap[parent];
        i = parent;
    }
    heap[i] = value;
}

static uint64_t heap_pop(uint64_t *heap, size_t *count)
{
    uint64_t top = heap[0], last = heap[--*count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= *count) break;
        if (child + 1 < *count && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= last) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

/* One symbol per byte. A byte that the vocabulary lacks becomes the unknown token, one for a run of them when
 * fuse_unknown is set; without an unknown token it is dropped, as the library does. */
static size_t fill_symbols(const tok_bpe *bpe, const char *piece, size_t length, tok_symbol *symbols)
{
    size_t n = 0;
    bool after_unknown = false;
    for (size_t i = 0; i < length; i++) {
        int32_t id = bpe->byte_id[(unsigned char)piece[i]];
        bool unknown = id < 0;
        if (unknown) {
            if (bpe->unknown < 0 || (after_unknown && bpe->fuse_unknown)) continue;
            id = bpe->unknown;
        }
        after_unknown = unknown;
        symbols[n] = (tok_symbol){.id = id, .previous = (uint32_t)n - 1, .next = (uint32_t)n + 1};
        n++;
    }
    if (n) {
        symbols[0].previous = NONE;
        symbols[n - 1].next = NONE;
    }
    return n;
}

static inline void push_pair(const tok_bpe *bpe, const tok_symbol *symbols, uint32_t at, uint64_t *heap,
                             size_t *count)
{
    const tok_merge *merge = find_merge(bpe, symbols[at].id, symbols[symbols[at].next].id);
    if (merge) heap_push(heap, count, (uint64_t)merge->rank << 32 | at);
}

static void merge_symbols(const tok_bpe *bpe, tok_symbol *symbols, size_t n, uint64_t *heap)
{
    size_t count = 0;
    for (uint32_t i = 0; i + 1 < n; i++) push_pair(bpe, symbols, i, heap, &count);
    while (count) {
        uint64_t top = heap_pop(heap, &count);
        tok_symbol *left = &symbols[(uint32_t)top];
        if (left->id < 0 || left->next == NONE) continue;
        tok_symbol *right = &symbols[left->next];
        const tok_merge *merge = find_merge(bpe, left->id, right->id);
        if (!merge || merge->rank != top >> 32) continue; /* a neighbour has been merged since */

        left->id = merge->id;
        left->next = right->next;
        right->id = -1;
        if (left->next != NONE) {
            symbols[left->next].previous = (uint32_t)top;
            push_pair(bpe, symbols, (uint32_t)top, heap, &count);
        }
        if (left->previous != NONE) push_pair(bpe, symbols, left->previous, heap, &count);
    }
}

/* ignore_merges: a piece that is a token as a whole is that token, whatever the merges say. A special token
 * is not reached this way: text stays text. */
static int whole_piece(const tok_vocab *vocab, const char *piece, size_t length, tok_scratch *scratch,
                       int32_t *id, dsvl_error *err)
{
    if (TOK_GROW(scratch->name, scratch->name_capacity, length * 2, err)) return -1;
    size_t used = 0;
    for (size_t i = 0; i < length; i++)
        used += tok_utf8_put(tok_byte_char((unsigned char)piece[i]), scratch->name + used);
    *id = tok_vocab_find(vocab, scratch->name, used);
    const tok_entry *entry = tok_vocab_entry(vocab, *id);
    if (!entry || !(entry->flags & TOK_MODEL) || (entry->flags & TOK_SPECIAL)) *id = -1;
    return 0;
}

int tok_bpe_encode(const tok_bpe *bpe, const tok_vocab *vocab, const char *piece, size_t length,
                   tok_scratch *scratch, dsvl_ids *ids, dsvl_error *err)
{
    if (TOK_GROW(ids->data, ids->capacity, ids->count + length, err)) return -1;
    if (bpe->ignore_merges) {
        int32_t whole;
        if (whole_piece(vocab, piece, length, scratch, &whole, err)) return -1;
        if (whole >= 0) {
            ids->data[ids->count++] = whole;
            return 0;
        }
    }
    /* Every merge frees a pair and pushes at most two. */
    if (TOK_GROW(scratch->symbols, scratch->symbols_capacity, length, err) ||
        TOK_GROW(scratch->heap, scratch->heap_capacity, length * 3, err)) {
        return -1;
    }
    size_t n = fill_symbols(bpe, piece, length, scratch->symbols);
    merge_symbols(bpe, scratch->symbols, n, scratch->heap);
    for (size_t i = 0; i < n; i++) {
        if (scratch->symbols[i].id >= 0) ids->data[ids->count++] = scratch->symbols[i].id;
    }
    return 0;
}

void tok_scratch_clear(tok_scratch *scratch)
{
    dsvl_dealloc(scratch->symbols);
    dsvl_dealloc(scratch->heap);
    dsvl_dealloc(scratch->name);
    memset(scratch, 0, sizeof *scratch);
}
