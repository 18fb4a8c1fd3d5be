/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of pixels that go round between the thread that draws and the one that writes. A fresh block of a
 * page's size costs the kernel milliseconds to clear; one that was used before costs nothing. */
#ifndef DSVL_FILTERS_PAGE_POOL_H
#define DSVL_FILTERS_PAGE_POOL_H

#include <stddef.h>

typedef struct dsvl_page_pool dsvl_page_pool;

dsvl_page_pool *dsvl_page_pool_new(void);       /* NULL: out of memory */
void dsvl_page_pool_free(dsvl_page_pool *pool); /* NULL-safe */

/* A block of at least `bytes`, uninitialised, to be freed with dsvl_dealloc or given back. pool may be NULL.
 */
void *dsvl_page_pool_take(dsvl_page_pool *pool, size_t bytes);
/* Have a spare block of these bytes at hand whose memory is there already. */
void dsvl_page_pool_warm(dsvl_page_pool *pool, size_t bytes);
/* Give a block back; it holds `bytes` or more. */
void dsvl_page_pool_give(dsvl_page_pool *pool, void *block, size_t bytes);

#endif
