/* SPDX-License-Identifier: Apache-2.0 */
/* The project's content hash: the first 32 bytes of BLAKE2bp (section 2.10 of the BLAKE2 paper). That is four
 * BLAKE2b (RFC 7693), each over every fourth block of 128 bytes, and one over their four results: unlike the
 * steps of one BLAKE2b the four go side by side, at about two and a half times the speed. */
#ifndef DSVL_LIB_HASH_H
#define DSVL_LIB_HASH_H

#include <stddef.h>
#include <stdint.h>

enum { DSVL_HASH_LANES = 4, DSVL_HASH_STRIPE = 128 * DSVL_HASH_LANES };

typedef struct dsvl_hash {
    uint64_t state[DSVL_HASH_LANES][8];
    uint64_t total; /* bytes that each lane has compressed */
    size_t used;    /* of buffer: what may hold a lane's last block, which is compressed in its own way */
    unsigned char buffer[2 * DSVL_HASH_STRIPE];
} dsvl_hash;

void dsvl_hash_init(dsvl_hash *hash);
void dsvl_hash_add(dsvl_hash *hash, const void *data, size_t length);
void dsvl_hash_hex(dsvl_hash *hash, char hex[65]); /* finishes; NUL-terminated */

#endif
