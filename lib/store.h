/* SPDX-License-Identifier: Apache-2.0 */
/* Results kept on disk under the hash of everything that made them, for any number of processes at once.
 *
 * An entry is written beside its place and renamed into it, so it is whole or not there; it carries a hash of
 * its bytes, so one that a crash or a bad disk damaged is recognised, removed and made again. Nothing that
 * goes wrong here may stop the work: a store that cannot be read or written is a slower program. */
#ifndef DSVL_LIB_STORE_H
#define DSVL_LIB_STORE_H

#include "lib/error.h"
#include "lib/hash.h"

typedef struct dsvl_store dsvl_store;

typedef struct dsvl_bytes_part {
    const void *data; /* borrowed */
    size_t length;
} dsvl_bytes_part;

/* The folder is made when it is not there. limit: bytes that all entries may take, kept to by removing those
 * longest unused; it is looked at now and then, so it may be passed by about a thirtieth. */
dsvl_store *dsvl_store_open(const char *folder, uint64_t limit, dsvl_error *err);
void dsvl_store_close(dsvl_store *store); /* NULL-safe */

/* key: 64 hex digits, as dsvl_hash_hex gives them. 1: *data [length] is owned (dsvl_dealloc). 0: there is no
 * such entry, or it was damaged. -1 with *err filled: out of memory. */
int dsvl_store_get(const dsvl_store *store, const char *key, void **data, size_t *length, dsvl_error *err);
/* Keep the parts, one after the other, under the key. */
int dsvl_store_put(const dsvl_store *store, const char *key, const dsvl_bytes_part *parts, size_t count,
                   dsvl_error *err);
/* Remove what is longest unused until the entries fit the limit; dsvl_store_put does it when it is due. */
int dsvl_store_trim(const dsvl_store *store, dsvl_error *err);

#endif
