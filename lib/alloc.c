/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/alloc.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dsvl.h"

enum { ALIGNMENT = 64 };

/* Fault injection: allocations are counted from 1 since the last dsvl_alloc_fail_at; fail_from 0 is off. */
static atomic_long fail_from, counted;

/* Bytes held by blocks of ours, as the allocator rounds them. */
static atomic_llong held;
static atomic_size_t limit;

void dsvl_alloc_limit(size_t bytes)
{
    atomic_store(&limit, bytes);
}

void dsvl_alloc_fail_at(long n)
{
    atomic_store(&counted, 0);
    atomic_store(&fail_from, n);
}

long dsvl_alloc_count(void)
{
    return atomic_load(&counted);
}

static bool injected_failure(void)
{
#ifdef DSVL_TEST_HOOKS
    static atomic_bool asked;
    if (!atomic_exchange(&asked, true)) {
        const char *text = getenv("DSVL_FAIL_ALLOC");
        if (text) atomic_store(&fail_from, atol(text));
    }
#endif
    long n = atomic_fetch_add(&counted, 1) + 1;
    long from = atomic_load(&fail_from);
    return from > 0 && n >= from;
}

static void *allocate(size_t bytes, size_t alignment)
{
    if (injected_failure() || bytes > SIZE_MAX - alignment) return NULL;
    bytes = bytes == 0 ? alignment : (bytes + alignment - 1) / alignment * alignment;
    const size_t most = atomic_load(&limit);
    if (most && (bytes > most || atomic_load(&held) > (long long)(most - bytes))) return NULL;
    void *block = aligned_alloc(alignment, bytes);
    if (block) atomic_fetch_add(&held, (long long)malloc_usable_size(block));
    return block;
}

void *dsvl_alloc(size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) ? NULL : allocate(bytes, ALIGNMENT);
}

void *dsvl_alloc_pages(size_t bytes, size_t page)
{
    return allocate(bytes, page);
}

void *dsvl_alloc_zero(size_t count, size_t size)
{
    void *block = dsvl_alloc(count, size);
    if (block) memset(block, 0, count * size);
    return block;
}

void *dsvl_realloc(void *block, size_t old_count, size_t count, size_t size)
{
    void *next = dsvl_alloc(count, size);
    if (!next) return NULL;
    size_t keep = old_count < count ? old_count : count;
    if (block && keep) memcpy(next, block, keep * size);
    dsvl_dealloc(block);
    return next;
}

char *dsvl_strndup(const char *text, size_t length)
{
    char *copy = length == SIZE_MAX ? NULL : dsvl_alloc(length + 1, 1);
    if (!copy) return NULL;
    if (length) memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *dsvl_strdup(const char *text)
{
    return dsvl_strndup(text, strlen(text));
}

void dsvl_dealloc(void *block)
{
    if (block) atomic_fetch_sub(&held, (long long)malloc_usable_size(block));
    free(block);
}

void dsvl_free(void *pointer)
{
    dsvl_dealloc(pointer);
}

bool dsvl_grow(void **block, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity) return true;
    size_t next = *capacity < 16 ? 16 : *capacity;
    while (next < need) {
        if (next > SIZE_MAX / 2) return false;
        next *= 2;
    }
    void *grown = dsvl_realloc(*block, *capacity, next, size);
    if (!grown) return false;
    *block = grown;
    *capacity = next;
    return true;
}
