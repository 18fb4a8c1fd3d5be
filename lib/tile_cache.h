/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles whose pixels are the same are encoded once: blank margins and padding repeat within a page and from
 * page to page, and the vision tower is where the time goes. Equality is that of the bytes; a hash only finds
 * candidates. */
#ifndef DSVL_LIB_TILE_CACHE_H
#define DSVL_LIB_TILE_CACHE_H

#include <stdbool.h>

#include "lib/error.h"

typedef struct dsvl_tile_cache dsvl_tile_cache;
typedef struct dsvl_cached_tile dsvl_cached_tile;

/* keep_bytes: what tiles that nobody waits for may occupy (dsvl_tile_cache_trim). The model is borrowed. */
dsvl_tile_cache *dsvl_tile_cache_new(const dsvl_model *model, uint64_t keep_bytes, dsvl_error *err);
void dsvl_tile_cache_free(dsvl_tile_cache *cache);

/* The entry of a tile [S, S, 3] (copied), valid until the next trim. *fresh: its pixels were not here before.
 * NULL: out of memory. */
dsvl_cached_tile *dsvl_tile_cache_add(dsvl_tile_cache *cache, const uint8_t *pixels, bool *fresh,
                                      dsvl_error *err);
size_t
dsvl_tile_cache_tile_bytes(const dsvl_tile_cache *cache);     /* what one tile occupies, with its features */
size_t dsvl_tile_cache_pending(const dsvl_tile_cache *cache); /* tiles that wait to be encoded */
int dsvl_tile_cache_encode(dsvl_tile_cache *cache, dsvl_error *err); /* all of them */
/* Features [side*side, width] of an encoded tile; NULL while it is pending. */
const float *dsvl_cached_tile_features(const dsvl_cached_tile *tile);
/* Forget what is pending, and the tiles longest unused until the rest fits keep_bytes. */
void dsvl_tile_cache_trim(dsvl_tile_cache *cache);

#endif
