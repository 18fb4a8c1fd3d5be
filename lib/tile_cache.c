/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tile_cache.h"

#include <string.h>

#include "lib/alloc.h"

enum { SLICE = 64 }; /* tiles gathered for one call of the tower, which has passes of its own */

struct dsvl_cached_tile {
    uint64_t hash, used; /* used: the cache's clock when it was last asked for */
    uint8_t *pixels;     /* [S, S, 3]; see dsvl_model_tile_bytes */
    float *features;     /* [side*side, width]; NULL: pending */
};

struct dsvl_tile_cache {
    const dsvl_model *model;
    size_t pixel_bytes, feature_bytes, keep;
    dsvl_cached_tile **tiles;
    size_t count, capacity, pending;
    uint64_t clock;
};

dsvl_tile_cache *dsvl_tile_cache_new(const dsvl_model *model, uint64_t keep_bytes, dsvl_error *err)
{
    const size_t side = (size_t)dsvl_tile_tokens_side(model);
    dsvl_tile_cache *cache = dsvl_alloc_zero(1, sizeof *cache);
    if (!cache) {
        dsvl_fail_memory(err, sizeof *cache);
        return NULL;
    }
    cache->model = model;
    cache->pixel_bytes = dsvl_model_tile_bytes(model);
    cache->feature_bytes = side * side * (size_t)dsvl_model_width(model) * sizeof(float);
    cache->keep = (size_t)(keep_bytes / dsvl_tile_cache_tile_bytes(cache));
    return cache;
}

static void free_tile(dsvl_cached_tile *tile)
{
    if (!tile) return;
    dsvl_dealloc(tile->pixels);
    dsvl_dealloc(tile->features);
    dsvl_dealloc(tile);
}

void dsvl_tile_cache_free(dsvl_tile_cache *cache)
{
    if (!cache) return;
    for (size_t i = 0; i < cache->count; i++) free_tile(cache->tiles[i]);
    dsvl_dealloc(cache->tiles);
    dsvl_dealloc(cache);
}

/* Four lanes, so that the multiplications overlap. Collisions cost a comparison, never a wrong result. */
static uint64_t hash_pixels(const uint8_t *pixels, size_t length)
{
    uint64_t lane[4] = {1, 2, 3, 4}, word[4] = {0};
    for (; length; pixels += sizeof word, length -= length < sizeof word ? length : sizeof word) {
        memcpy(word, pixels, length < sizeof word ? length : sizeof word);
        for (int i = 0; i < 4; i++) lane[i] = (lane[i] ^ word[i]) * 0x9e3779b97f4a7c15u + (lane[i] >> 32);
    }
    return lane[0] ^ lane[1] * 3 ^ lane[2] * 5 ^ lane[3] * 7;
}

static dsvl_cached_tile *find(const dsvl_tile_cache *cache, uint64_t hash, const uint8_t *pixels)
{
    for (size_t i = 0; i < cache->count; i++) {
        dsvl_cached_tile *tile = cache->tiles[i];
        if (tile->hash == hash && memcmp(tile->pixels, pixels, cache->pixel_bytes) == 0) return tile;
    }
    return NULL;
}

dsvl_cached_tile *dsvl_tile_cache_add(dsvl_tile_cache *cache, const uint8_t *pixels, bool *fresh,
                                      dsvl_error *err)
{
    const uint64_t hash = hash_pixels(pixels, cache->pixel_bytes);
    dsvl_cached_tile *tile = find(cache, hash, pixels);
    *fresh = !tile;
    if (!tile) {
        void *block = cache->tiles;
        if (dsvl_grow(&block, &cache->capacity, cache->count + 1, sizeof *cache->tiles)) {
            cache->tiles = block;
            tile = dsvl_alloc_zero(1, sizeof *tile);
        }
        if (tile) tile->pixels = dsvl_alloc(cache->pixel_bytes, 1);
        if (!tile || !tile->pixels) {
            free_tile(tile);
            dsvl_fail_memory(err, cache->pixel_bytes);
            return NULL;
        }
        memcpy(tile->pixels, pixels, cache->pixel_bytes);
        tile->hash = hash;
        cache->tiles[cache->count++] = tile;
        cache->pending++;
    }
    tile->used = ++cache->clock;
    return tile;
}

size_t dsvl_tile_cache_tile_bytes(const dsvl_tile_cache *cache)
{
    return cache->pixel_bytes + cache->feature_bytes;
}

size_t dsvl_tile_cache_pending(const dsvl_tile_cache *cache)
{
    return cache->pending;
}

const float *dsvl_cached_tile_features(const dsvl_cached_tile *tile)
{
    return tile->features;
}

/* Gather up to SLICE pending tiles from index *at on, encode them, and hand the features out. */
static int encode_slice(dsvl_tile_cache *cache, size_t *at, uint8_t *pixels, float *features, dsvl_error *err)
{
    dsvl_cached_tile *slice[SLICE];
    size_t n = 0;
    for (; *at < cache->count && n < SLICE; (*at)++) {
        if (cache->tiles[*at]->features) continue;
        slice[n] = cache->tiles[*at];
        memcpy(pixels + n * cache->pixel_bytes, slice[n]->pixels, cache->pixel_bytes);
        n++;
    }
    if (n == 0)
        return dsvl_fail(err, DSVL_E_INTERNAL, "tile cache: %zu pending tiles are not there", cache->pending);
    if (dsvl_encode_tiles(cache->model, pixels, (int)n, features, err)) return -1;
    for (size_t i = 0; i < n; i++) {
        slice[i]->features = dsvl_alloc(cache->feature_bytes, 1);
        if (!slice[i]->features) return dsvl_fail_memory(err, cache->feature_bytes);
        memcpy(slice[i]->features, (const char *)features + i * cache->feature_bytes, cache->feature_bytes);
        cache->pending--;
    }
    return 0;
}

int dsvl_tile_cache_encode(dsvl_tile_cache *cache, dsvl_error *err)
{
    if (!cache->pending) return 0;
    const size_t most = cache->pending < SLICE ? cache->pending : SLICE;
    uint8_t *pixels = dsvl_alloc(most, cache->pixel_bytes);
    float *features = dsvl_alloc(most, cache->feature_bytes);
    int status =
        pixels && features ? 0 : dsvl_fail_memory(err, most * (cache->pixel_bytes + cache->feature_bytes));
    for (size_t at = 0; status == 0 && cache->pending;)
        status = encode_slice(cache, &at, pixels, features, err);
    dsvl_dealloc(pixels);
    dsvl_dealloc(features);
    return status;
}

void dsvl_tile_cache_trim(dsvl_tile_cache *cache)
{
    size_t kept = 0;
    for (size_t i = 0; i < cache->count; i++) {
        if (cache->tiles[i]->features) {
            cache->tiles[kept++] = cache->tiles[i];
        } else {
            free_tile(cache->tiles[i]);
        }
    }
    cache->count = kept;
    cache->pending = 0;
    while (cache->count > cache->keep) {
        size_t oldest = 0;
        for (size_t i = 1; i < cache->count; i++) {
            if (cache->tiles[i]->used < cache->tiles[oldest]->used) oldest = i;
        }
        free_tile(cache->tiles[oldest]);
        cache->tiles[oldest] = cache->tiles[--cache->count];
    }
}
