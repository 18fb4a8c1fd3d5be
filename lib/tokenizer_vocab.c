/* SPDX-License-Identifier: Apache-2.0 */
/* The names of tokens: id -> name and bytes, name -> id. */
#include <string.h>

#include "lib/tokenizer_internal.h"

void tok_vocab_clear(tok_vocab *vocab)
{
    dsvl_dealloc(vocab->entries);
    dsvl_dealloc(vocab->arena);
    dsvl_dealloc(vocab->table);
    memset(vocab, 0, sizeof *vocab);
}

static uint64_t hash_name(const char *name, size_t length)
{
    uint64_t h = 0xCBF29CE484222325u; /* FNV-1a, then a mix because the low bits index the table */
    for (size_t i = 0; i < length; i++) h = (h ^ (unsigned char)name[i]) * 0x100000001B3u;
    return h ^ h >> 29;
}

const tok_entry *tok_vocab_entry(const tok_vocab *vocab, int32_t id)
{
    if (id < 0 || id >= vocab->size || !(vocab->entries[id].flags & TOK_PRESENT)) return NULL;
    return &vocab->entries[id];
}

/* The slot that holds a name, or the free one where it belongs. */
static size_t find_slot(const tok_vocab *vocab, const char *name, size_t length)
{
    size_t slot = (size_t)hash_name(name, length) & (vocab->slots - 1);
    for (;; slot = (slot + 1) & (vocab->slots - 1)) {
        int32_t id = vocab->table[slot];
        if (id < 0) return slot;
        const tok_entry *entry = &vocab->entries[id];
        if (entry->name_length == length && memcmp(vocab->arena + entry->name, name, length) == 0)
            return slot;
    }
}

int32_t tok_vocab_find(const tok_vocab *vocab, const char *name, size_t length)
{
    if (vocab->slots == 0) return -1;
    return vocab->table[find_slot(vocab, name, length)];
}

/* Keep the table at most half full. */
static int reserve_slot(tok_vocab *vocab, dsvl_error *err)
{
    if (vocab->used * 2 < vocab->slots) return 0;
    size_t slots = vocab->slots ? vocab->slots * 2 : 1024;
    int32_t *table = dsvl_alloc(slots, sizeof *table);
    if (!table) return dsvl_fail_memory(err, slots * sizeof *table);
    memset(table, 0xFF, slots * sizeof *table);
    dsvl_dealloc(vocab->table);
    vocab->table = table;
    vocab->slots = slots;
    for (int32_t id = 0; id < vocab->size; id++) {
        const tok_entry *entry = &vocab->entries[id];
        if (entry->flags & TOK_PRESENT) {
            table[find_slot(vocab, vocab->arena + entry->name, entry->name_length)] = id;
        }
    }
    return 0;
}

static int reserve_id(tok_vocab *vocab, int32_t id, dsvl_error *err)
{
    size_t before = vocab->capacity;
    if (TOK_GROW(vocab->entries, vocab->capacity, (size_t)id + 1, err)) return -1;
    memset(vocab->entries + before, 0, (vocab->capacity - before) * sizeof *vocab->entries);
    return 0;
}

static int append(tok_vocab *vocab, const char *bytes, size_t length, uint32_t *where, dsvl_error *err)
{
    if (length > UINT32_MAX - vocab->arena_used) {
        return dsvl_fail(err, DSVL_E_MODEL, "the names of all tokens exceed 4 GB");
    }
    if (TOK_GROW(vocab->arena, vocab->arena_capacity, vocab->arena_used + length, err)) return -1;
    memcpy(vocab->arena + vocab->arena_used, bytes, length);
    *where = (uint32_t)vocab->arena_used;
    vocab->arena_used += length;
    return 0;
}

/* What a name of the model means in a text: every character back to its byte. A name with a character outside
 * the alphabet stands for itself, as the library's ByteLevel decoder has it. */
static int append_bytes(tok_vocab *vocab, tok_entry *entry, dsvl_error *err)
{
    entry->bytes = entry->name;
    entry->bytes_length = entry->name_length;
    size_t start = vocab->arena_used, count = 0;
    if (TOK_GROW(vocab->arena, vocab->arena_capacity, start + entry->name_length, err)) return -1;
    for (size_t i = 0; i < entry->name_length;) {
        uint32_t code;
        i += tok_utf8_next(vocab->arena + entry->name + i, &code);
        int byte = tok_char_byte(code);
        if (byte < 0) return 0;
        vocab->arena[start + count++] = (char)byte;
    }
    if (count == entry->name_length && memcmp(vocab->arena + entry->name, vocab->arena + start, count) == 0)
        return 0;
    entry->bytes = (uint32_t)start;
    entry->bytes_length = (uint32_t)count;
    vocab->arena_used = start + count;
    return 0;
}

int tok_vocab_add(tok_vocab *vocab, int32_t id, const char *name, size_t length, unsigned flags,
                  const char *key, dsvl_error *err)
{
    char quoted[64], other[64];
    tok_quote(name, length, quoted);
    if (id < 0 || id >= DSVL_VOCAB_LIMIT) {
        return dsvl_fail(err, DSVL_E_MODEL, "%s: token \"%s\" has an id outside 0 ... %d", key, quoted,
                         DSVL_VOCAB_LIMIT - 1);
    }
    if (length == 0) return dsvl_fail(err, DSVL_E_MODEL, "%s: a token with an empty name (id %d)", key, id);
    int32_t twin = tok_vocab_find(vocab, name, length);
    if (twin >= 0) {
        return dsvl_fail(err, DSVL_E_MODEL, "%s: token \"%s\" has two ids, %d and %d", key, quoted, twin, id);
    }
    const tok_entry *taken = tok_vocab_entry(vocab, id);
    if (taken) {
        return dsvl_fail(err, DSVL_E_MODEL, "%s: id %d belongs to both \"%s\" and \"%s\"", key, id,
                         tok_quote(vocab->arena + taken->name, taken->name_length, other), quoted);
    }
    if (reserve_id(vocab, id, err) || reserve_slot(vocab, err)) return -1;

    tok_entry entry = {.name_length = (uint32_t)length, .flags = (uint8_t)(TOK_PRESENT | flags)};
    if (append(vocab, name, length, &entry.name, err)) return -1;
    entry.bytes = entry.name;
    entry.bytes_length = entry.name_length;
    if (!(flags & TOK_ADDED) && append_bytes(vocab, &entry, err)) return -1;
    vocab->table[find_slot(vocab, name, length)] = id;
    vocab->used++;
    vocab->entries[id] = entry;
    if (id >= vocab->size) vocab->size = id + 1;
    return 0;
}

void tok_vocab_promote(tok_vocab *vocab, int32_t id, unsigned flags)
{
    tok_entry *entry = &vocab->entries[id];
    entry->flags |= (uint8_t)flags;
    entry->bytes = entry->name; /* an added token is its own text */
    entry->bytes_length = entry->name_length;
}
