/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2bp without a key; a lane, and the node over the lanes, is BLAKE2b of RFC 7693. */
#include "lib/hash.h"

#include <stdbool.h>
#include <string.h>

static const uint64_t iv[8] = {0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu,
                               0xa54ff53a5f1d36f1u, 0x510e527fade682d1u, 0x9b05688c2b3e6c1fu,
                               0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u};

static const uint8_t sigma[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
};

/* The mixing of both forms of the compression: v and m hold words, or one word of each lane. */
#define MIX(rotate, a, b, c, d, x, y)                                                                        \
    do {                                                                                                     \
        v[a] += v[b] + (x);                                                                                  \
        v[d] = rotate(v[d] ^ v[a], 32);                                                                      \
        v[c] += v[d];                                                                                        \
        v[b] = rotate(v[b] ^ v[c], 24);                                                                      \
        v[a] += v[b] + (y);                                                                                  \
        v[d] = rotate(v[d] ^ v[a], 16);                                                                      \
        v[c] += v[d];                                                                                        \
        v[b] = rotate(v[b] ^ v[c], 63);                                                                      \
    } while (0)
#define ROUND(rotate, s)                                                                                     \
    do {                                                                                                     \
        MIX(rotate, 0, 4, 8, 12, m[s[0]], m[s[1]]);                                                          \
        MIX(rotate, 1, 5, 9, 13, m[s[2]], m[s[3]]);                                                          \
        MIX(rotate, 2, 6, 10, 14, m[s[4]], m[s[5]]);                                                         \
        MIX(rotate, 3, 7, 11, 15, m[s[6]], m[s[7]]);                                                         \
        MIX(rotate, 0, 5, 10, 15, m[s[8]], m[s[9]]);                                                         \
        MIX(rotate, 1, 6, 11, 12, m[s[10]], m[s[11]]);                                                       \
        MIX(rotate, 2, 7, 8, 13, m[s[12]], m[s[13]]);                                                        \
        MIX(rotate, 3, 4, 9, 14, m[s[14]], m[s[15]]);                                                        \
    } while (0)

/* ---- one block of one lane --------------------------------------------------------------------------- */

static inline uint64_t rotate_word(uint64_t x, int n)
{
    return x >> n | x << (64 - n);
}

/* total: bytes of the lane up to the end of this block; inputs stay far below 2^64, so the counter's high
 * word is 0. last: all ones in a lane's last block; last_lane: all ones in that of a row's last lane. */
static void compress(uint64_t state[8], const unsigned char block[128], uint64_t total, uint64_t last,
                     uint64_t last_lane)
{
    uint64_t v[16], m[16];
    for (int i = 0; i < 16; i++) {
        const unsigned char *p = block + 8 * i;
        m[i] = (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
               (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
    }
    memcpy(v, state, 64);
    memcpy(v + 8, iv, 64);
    v[12] ^= total;
    v[14] ^= last;
    v[15] ^= last_lane;
#pragma GCC unroll 12
    for (int r = 0; r < 12; r++) {
        const uint8_t *s = sigma[r];
        ROUND(rotate_word, s);
    }
    for (int i = 0; i < 8; i++) state[i] ^= v[i] ^ v[i + 8];
}

/* ---- blocks of all lanes, none of them a lane's last ------------------------------------------------- */

static void add_stripes_portable(dsvl_hash *hash, const unsigned char *data, size_t stripes)
{
    for (; stripes; stripes--, data += DSVL_HASH_STRIPE) {
        hash->total += 128;
        for (int k = 0; k < DSVL_HASH_LANES; k++) compress(hash->state[k], data + 128 * k, hash->total, 0, 0);
    }
}

#if defined(__x86_64__) && defined(__GNUC__)

typedef uint64_t lanes __attribute__((vector_size(8 * DSVL_HASH_LANES)));
typedef uint8_t lane_bytes __attribute__((vector_size(8 * DSVL_HASH_LANES)));
#define WITH_LANES __attribute__((target("avx2"), always_inline)) static inline

/* Rotations by whole bytes are one shuffle; `from` is the byte that comes to the bottom of each word. */
#define WORD(base, from)                                                                                     \
    (base) + (from) % 8, (base) + ((from) + 1) % 8, (base) + ((from) + 2) % 8, (base) + ((from) + 3) % 8,    \
        (base) + ((from) + 4) % 8, (base) + ((from) + 5) % 8, (base) + ((from) + 6) % 8,                     \
        (base) + ((from) + 7) % 8
#define ROTATE_BYTES(x, from)                                                                                \
    (lanes) __builtin_shufflevector((lane_bytes)(x), (lane_bytes)(x), WORD(0, from), WORD(8, from),          \
                                    WORD(16, from), WORD(24, from))
WITH_LANES lanes rotate_lanes(lanes x, int n)
{
    if (n == 32) return ROTATE_BYTES(x, 4);
    if (n == 24) return ROTATE_BYTES(x, 3);
    if (n == 16) return ROTATE_BYTES(x, 2);
    return x >> 63 | (x + x);
}

/* With AVX-512 any rotation is one instruction, and the words of state and block have a register each. */
#define ROTATE(x, n) (avx512 ? (x) >> (n) | (x) << (64 - (n)) : rotate_lanes(x, n))

/* Words i to i + 3 of each lane's block, turned so that m[i + j] holds word i + j of the four lanes. */
WITH_LANES void load_words(lanes *m, const unsigned char *block)
{
    lanes a, b, c, d;
    memcpy(&a, block, sizeof a); /* x86 is little-endian, as the words of BLAKE2 are */
    memcpy(&b, block + 128, sizeof b);
    memcpy(&c, block + 256, sizeof c);
    memcpy(&d, block + 384, sizeof d);
    lanes ab0 = __builtin_shufflevector(a, b, 0, 4, 2, 6), ab1 = __builtin_shufflevector(a, b, 1, 5, 3, 7);
    lanes cd0 = __builtin_shufflevector(c, d, 0, 4, 2, 6), cd1 = __builtin_shufflevector(c, d, 1, 5, 3, 7);
    m[0] = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5);
    m[1] = __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5);
    m[2] = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);
    m[3] = __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7);
}

WITH_LANES void add_to_lanes(dsvl_hash *hash, const unsigned char *data, size_t stripes, bool avx512)
{
    lanes state[8], v[16], m[16];
    for (int i = 0; i < 8; i++)
        state[i] = (lanes){hash->state[0][i], hash->state[1][i], hash->state[2][i], hash->state[3][i]};
    for (; stripes; stripes--, data += DSVL_HASH_STRIPE) {
        hash->total += 128;
        for (int i = 0; i < 16; i += 4) load_words(m + i, data + 8 * i);
        for (int i = 0; i < 8; i++) {
            v[i] = state[i];
            v[8 + i] = (lanes){iv[i], iv[i], iv[i], iv[i]};
        }
        v[12] ^= (lanes){hash->total, hash->total, hash->total, hash->total};
#pragma GCC unroll 12
        for (int r = 0; r < 12; r++) {
            const uint8_t *s = sigma[r];
            ROUND(ROTATE, s);
        }
        for (int i = 0; i < 8; i++) state[i] ^= v[i] ^ v[i + 8];
    }
    for (int k = 0; k < DSVL_HASH_LANES; k++)
        for (int i = 0; i < 8; i++) hash->state[k][i] = state[i][k];
}

__attribute__((target("avx2"))) static void add_stripes_avx2(dsvl_hash *hash, const unsigned char *data,
                                                             size_t stripes)
{
    add_to_lanes(hash, data, stripes, false);
}

__attribute__((target("avx512vl"))) static void add_stripes_avx512(dsvl_hash *hash, const unsigned char *data,
                                                                   size_t stripes)
{
    add_to_lanes(hash, data, stripes, true);
}

static void add_stripes(dsvl_hash *hash, const unsigned char *data, size_t stripes)
{
    if (__builtin_cpu_supports("avx512vl"))
        add_stripes_avx512(hash, data, stripes);
    else if (__builtin_cpu_supports("avx2"))
        add_stripes_avx2(hash, data, stripes);
    else
        add_stripes_portable(hash, data, stripes);
}

#else

static void add_stripes(dsvl_hash *hash, const unsigned char *data, size_t stripes)
{
    add_stripes_portable(hash, data, stripes);
}

#endif

/* ---- the hash ---------------------------------------------------------------------------------------- */

/* The parameter block of a node, of which these words are not 0: digest of 64 bytes, four leaves, two
 * layers; offset of the node in its layer; layer, inner digests of 64 bytes. */
static void init_node(uint64_t state[8], uint64_t offset, uint64_t layer)
{
    memcpy(state, iv, sizeof iv);
    state[0] ^= 64 | DSVL_HASH_LANES << 16 | 2 << 24;
    state[1] ^= offset;
    state[2] ^= layer | 64 << 8;
}

void dsvl_hash_init(dsvl_hash *hash)
{
    memset(hash, 0, sizeof *hash);
    for (int k = 0; k < DSVL_HASH_LANES; k++) init_node(hash->state[k], (uint64_t)k, 0);
}

void dsvl_hash_add(dsvl_hash *hash, const void *data, size_t length)
{
    /* A stripe is compressed once every lane has a byte after it. */
    const size_t more = DSVL_HASH_STRIPE - 128 + 1;
    const unsigned char *p = data;
    size_t n;
    while (hash->used + length >= DSVL_HASH_STRIPE + more) {
        if (hash->used == 0) {
            n = (length - more) / DSVL_HASH_STRIPE * DSVL_HASH_STRIPE;
            add_stripes(hash, p, n / DSVL_HASH_STRIPE);
        } else {
            n = hash->used < DSVL_HASH_STRIPE ? DSVL_HASH_STRIPE - hash->used : 0;
            memcpy(hash->buffer + hash->used, p, n);
            add_stripes(hash, hash->buffer, 1);
            hash->used = hash->used + n - DSVL_HASH_STRIPE;
            memmove(hash->buffer, hash->buffer + DSVL_HASH_STRIPE, hash->used);
        }
        p += n;
        length -= n;
    }
    if (length) memcpy(hash->buffer + hash->used, p, length);
    hash->used += length;
}

/* What the buffer holds of lane k: a block, or the end of one, or none; after a full one maybe another. */
static void finish_lane(dsvl_hash *hash, int k)
{
    unsigned char block[128];
    size_t at = 128 * (size_t)k, next = at + DSVL_HASH_STRIPE;
    uint64_t total = hash->total;
    if (hash->used > next) {
        compress(hash->state[k], hash->buffer + at, total += 128, 0, 0);
        at = next;
    }
    size_t n = hash->used <= at ? 0 : hash->used - at < 128 ? hash->used - at : 128;
    memcpy(block, hash->buffer + at, n);
    memset(block + n, 0, 128 - n);
    compress(hash->state[k], block, total + n, UINT64_MAX, k == DSVL_HASH_LANES - 1 ? UINT64_MAX : 0);
}

void dsvl_hash_hex(dsvl_hash *hash, char hex[65])
{
    unsigned char leaves[DSVL_HASH_LANES * 64];
    uint64_t root[8];
    for (int k = 0; k < DSVL_HASH_LANES; k++) {
        finish_lane(hash, k);
        for (int i = 0; i < 64; i++)
            leaves[64 * k + i] = (unsigned char)(hash->state[k][i / 8] >> (8 * (i % 8)));
    }
    init_node(root, 0, 1);
    compress(root, leaves, 128, 0, 0);
    compress(root, leaves + 128, 256, UINT64_MAX, UINT64_MAX);
    for (int i = 0; i < 32; i++) {
        unsigned byte = (unsigned)(root[i / 8] >> (8 * (i % 8))) & 255;
        hex[2 * i] = "0123456789abcdef"[byte >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[byte & 15];
    }
    hex[64] = '\0';
}
