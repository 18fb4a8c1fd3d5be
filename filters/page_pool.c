/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/page_pool.h"

#include <malloc.h>
#include <pthread.h>

#include "filters/pixels.h"
#include "lib/alloc.h"

enum { POOL_BLOCKS = 8 };
#define POOL_BYTES ((size_t)128 << 20) /* kept at most; huge pages are rare and do not come in rows */

struct dsvl_page_pool {
    pthread_mutex_t lock;
    struct {
        void *block;
        size_t bytes;
    } spare[POOL_BLOCKS]; /* [count] */
    int count;
    size_t bytes;
};

dsvl_page_pool *dsvl_page_pool_new(void)
{
    dsvl_page_pool *pool = dsvl_alloc_zero(1, sizeof *pool);
    if (pool) pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

void dsvl_page_pool_free(dsvl_page_pool *pool)
{
    if (!pool) return;
    for (int i = 0; i < pool->count; i++) dsvl_dealloc(pool->spare[i].block);
    pthread_mutex_destroy(&pool->lock);
    dsvl_dealloc(pool);
}

/* A spare block that fits and is not wastefully large; NULL when there is none. */
static void *find_spare(dsvl_page_pool *pool, size_t bytes)
{
    void *block = NULL;
    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < pool->count && !block; i++) {
        if (pool->spare[i].bytes < bytes || pool->spare[i].bytes / 4 > bytes) continue;
        block = pool->spare[i].block;
        pool->bytes -= pool->spare[i].bytes;
        pool->spare[i] = pool->spare[--pool->count];
    }
    pthread_mutex_unlock(&pool->lock);
    return block;
}

void *dsvl_page_pool_take(dsvl_page_pool *pool, size_t bytes)
{
    void *block = pool ? find_spare(pool, bytes) : NULL;
    if (block) return block;
    if (bytes < DSVL_LARGE_PAGE) return dsvl_alloc(bytes, 1);
    block = dsvl_alloc_pages(bytes, DSVL_LARGE_PAGE);
    if (block) dsvl_pixels_prepare(block, malloc_usable_size(block));
    return block;
}

void dsvl_page_pool_warm(dsvl_page_pool *pool, size_t bytes)
{
    void *block = bytes <= POOL_BYTES / 4 ? dsvl_page_pool_take(pool, bytes) : NULL;
    if (!block) return;
    dsvl_pixels_populate(block, bytes, false);
    dsvl_page_pool_give(pool, block, bytes);
}

void dsvl_page_pool_give(dsvl_page_pool *pool, void *block, size_t bytes)
{
    void *surplus = block;
    const size_t room = block ? malloc_usable_size(block) : 0;
    if (bytes < room) bytes = room;
    if (pool && block) {
        pthread_mutex_lock(&pool->lock);
        if (pool->count < POOL_BLOCKS && bytes <= POOL_BYTES - pool->bytes) {
            pool->spare[pool->count].block = block;
            pool->spare[pool->count++].bytes = bytes;
            pool->bytes += bytes;
            surplus = NULL;
        } else if (pool->count) { /* pages have another size now: make room for next time */
            surplus = pool->spare[0].block;
            pool->bytes -= pool->spare[0].bytes;
            pool->spare[0] = pool->spare[--pool->count];
            dsvl_dealloc(block);
        }
        pthread_mutex_unlock(&pool->lock);
    }
    dsvl_dealloc(surplus);
}
