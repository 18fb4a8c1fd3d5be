/* SPDX-License-Identifier: Apache-2.0 */
/* All allocation of lib, filters and kernels goes through here: sizes are checked for overflow, blocks are
 * 64-byte aligned (a cache line, an AVX-512 register), and tests can make the N-th allocation fail. */
#ifndef DSVL_LIB_ALLOC_H
#define DSVL_LIB_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* count*size bytes, uninitialised / zeroed. NULL on overflow or when memory is out; never NULL for 0 bytes.
 */
void *dsvl_alloc(size_t count, size_t size);
void *dsvl_alloc_zero(size_t count, size_t size);
/* Grow or shrink a block of old_count elements; the old block stays valid when NULL is returned. */
void *dsvl_realloc(void *block, size_t old_count, size_t count, size_t size);
void *dsvl_alloc_pages(size_t bytes, size_t page); /* whole memory pages of this size, at least 64 bytes */
char *dsvl_strdup(const char *text);
char *dsvl_strndup(const char *text, size_t length);
void dsvl_dealloc(void *block); /* NULL-safe */

/* Grow a vector to hold `need` elements (doubling). *block and *capacity are updated. False: out of memory.
 */
bool dsvl_grow(void **block, size_t *capacity, size_t need, size_t size);

/* Let the blocks that are held take at most this many bytes; what would exceed it fails like any allocation.
 * 0: no limit. */
void dsvl_alloc_limit(size_t bytes);

/* Tests: make the n-th allocation from now (1 = the next) and all after it fail; 0 switches this off.
 * The environment variable DSVL_FAIL_ALLOC does the same for a program built with -DDSVL_TEST_HOOKS. */
void dsvl_alloc_fail_at(long n);
long dsvl_alloc_count(void); /* allocations since the last dsvl_alloc_fail_at */

#endif
