/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2b-256 (RFC 7693), the project's content hash: the same digits as `b2sum -l 256` prints. */
#ifndef DSVL_LIB_HASH_H
#define DSVL_LIB_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct dsvl_hash {
    uint64_t state[8];
    uint64_t total;
    size_t used;
    unsigned char block[128];
} dsvl_hash;

void dsvl_hash_init(dsvl_hash *hash);
void dsvl_hash_add(dsvl_hash *hash, const void *data, size_t length);
/* The same for n hashes at once, each with its own data: for several large blocks it is about twice as fast,
 * since the chain of steps inside one BLAKE2b cannot use the width of a processor. n is at most
 * DSVL_HASH_LANES. */
enum { DSVL_HASH_LANES = 4 };
void dsvl_hash_add_many(dsvl_hash *hashes, const void *const *data, const size_t *lengths, int n);
void dsvl_hash_hex(dsvl_hash *hash, char hex[65]); /* finishes; NUL-terminated */

#endif
