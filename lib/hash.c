/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2b with a 32-byte digest and no key, RFC 7693. */
#include "lib/hash.h"

#include <stdbool.h>
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

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

static inline uint64_t rotate(uint64_t x, int n)
{
    return x >> n | x << (64 - n);
}

#define MIX(a, b, c, d, x, y)                                                                                \
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

static void compress(dsvl_hash *hash, const unsigned char *block, uint64_t last)
{
    uint64_t v[16], m[16];
    for (int i = 0; i < 16; i++) {
        const unsigned char *p = block + 8 * i;
        m[i] = (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
               (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
    }
    memcpy(v, hash->state, 64);
    memcpy(v + 8, iv, 64);
    v[12] ^= hash->total; /* inputs stay far below 2^64 bytes, so the high counter word is 0 */
    v[14] ^= last;
#pragma GCC unroll 12
    for (int r = 0; r < 12; r++) {
        const uint8_t *s = sigma[r];
        MIX(0, 4, 8, 12, m[s[0]], m[s[1]]);
        MIX(1, 5, 9, 13, m[s[2]], m[s[3]]);
        MIX(2, 6, 10, 14, m[s[4]], m[s[5]]);
        MIX(3, 7, 11, 15, m[s[6]], m[s[7]]);
        MIX(0, 5, 10, 15, m[s[8]], m[s[9]]);
        MIX(1, 6, 11, 12, m[s[10]], m[s[11]]);
        MIX(2, 7, 8, 13, m[s[12]], m[s[13]]);
        MIX(3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (int i = 0; i < 8; i++) hash->state[i] ^= v[i] ^ v[i + 8];
}

void dsvl_hash_init(dsvl_hash *hash)
{
    memset(hash, 0, sizeof *hash);
    memcpy(hash->state, iv, sizeof iv);
    hash->state[0] ^= 0x01010000 ^ 32;
}

void dsvl_hash_add(dsvl_hash *hash, const void *data, size_t length)
{
    const unsigned char *p = data;
    while (length) {
        if (hash->used == 128) { /* a full block is compressed only when more follows */
            hash->total += 128;
            compress(hash, hash->block, 0);
            hash->used = 0;
        }
        while (hash->used == 0 && length > 128) {
            hash->total += 128;
            compress(hash, p, 0);
            p += 128;
            length -= 128;
        }
        size_t n = 128 - hash->used < length ? 128 - hash->used : length;
        memcpy(hash->block + hash->used, p, n);
        hash->used += n;
        p += n;
        length -= n;
    }
}

/* ---- several at once ---- */

#if defined(__x86_64__) && defined(__GNUC__)

typedef uint64_t lanes __attribute__((vector_size(8 * DSVL_HASH_LANES)));

/* Rotations by whole bytes are one shuffle; `from` is the byte that comes to the bottom of each word. */
#define WORD(base, from)                                                                                     \
    (base) + (from) % 8, (base) + ((from) + 1) % 8, (base) + ((from) + 2) % 8, (base) + ((from) + 3) % 8,    \
        (base) + ((from) + 4) % 8, (base) + ((from) + 5) % 8, (base) + ((from) + 6) % 8,                     \
        (base) + ((from) + 7) % 8
#define ROTATE_BYTES(x, from)                                                                                \
    (lanes) _mm256_shuffle_epi8(                                                                             \
        (__m256i)(x), _mm256_setr_epi8(WORD(0, from), WORD(8, from), WORD(0, from), WORD(8, from)))

#define MIX_LANES(a, b, c, d, x, y)                                                                          \
    do {                                                                                                     \
        v[a] += v[b] + (x);                                                                                  \
        v[d] = ROTATE_BYTES(v[d] ^ v[a], 4);                                                                 \
        v[c] += v[d];                                                                                        \
        v[b] = ROTATE_BYTES(v[b] ^ v[c], 3);                                                                 \
        v[a] += v[b] + (y);                                                                                  \
        v[d] = ROTATE_BYTES(v[d] ^ v[a], 2);                                                                 \
        v[c] += v[d];                                                                                        \
        v[b] ^= v[c];                                                                                        \
        v[b] = v[b] >> 63 | v[b] << 1;                                                                       \
    } while (0)

/* One block of each lane, none of them the last: state [8] words of four lanes, total as dsvl_hash.total. */
__attribute__((target("avx2"))) static void compress_lanes(lanes state[8], lanes total,
                                                           const unsigned char *const block[DSVL_HASH_LANES])
{
    lanes v[16], m[16];
    for (int i = 0; i < 16; i++) {
        uint64_t word[DSVL_HASH_LANES];
        for (int k = 0; k < DSVL_HASH_LANES; k++)
            memcpy(&word[k], block[k] + 8 * i, 8); /* x86: little-endian */
        memcpy(&m[i], word, sizeof word);
    }
    for (int i = 0; i < 8; i++) {
        v[i] = state[i];
        v[8 + i] = (lanes){iv[i], iv[i], iv[i], iv[i]};
    }
    v[12] ^= total;
#pragma GCC unroll 12
    for (int r = 0; r < 12; r++) {
        const uint8_t *s = sigma[r];
        MIX_LANES(0, 4, 8, 12, m[s[0]], m[s[1]]);
        MIX_LANES(1, 5, 9, 13, m[s[2]], m[s[3]]);
        MIX_LANES(2, 6, 10, 14, m[s[4]], m[s[5]]);
        MIX_LANES(3, 7, 11, 15, m[s[6]], m[s[7]]);
        MIX_LANES(0, 5, 10, 15, m[s[8]], m[s[9]]);
        MIX_LANES(1, 6, 11, 12, m[s[10]], m[s[11]]);
        MIX_LANES(2, 7, 8, 13, m[s[12]], m[s[13]]);
        MIX_LANES(3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (int i = 0; i < 8; i++) state[i] ^= v[i] ^ v[i + 8];
}

/* The same number of blocks for every lane; lanes without a hash of their own repeat the first and are not
 * stored. */
__attribute__((target("avx2"))) static void add_blocks(dsvl_hash *const *hash,
                                                       const unsigned char *const *data, int n, size_t blocks)
{
    lanes state[8], total;
    const unsigned char *block[DSVL_HASH_LANES];
    for (int k = 0; k < DSVL_HASH_LANES; k++) {
        const dsvl_hash *h = hash[k < n ? k : 0];
        block[k] = data[k < n ? k : 0];
        for (int i = 0; i < 8; i++) state[i][k] = h->state[i];
        total[k] = h->total;
    }
    for (size_t b = 0; b < blocks; b++) {
        total += 128;
        compress_lanes(state, total, block);
        for (int k = 0; k < DSVL_HASH_LANES; k++) block[k] += 128;
    }
    for (int k = 0; k < n; k++) {
        for (int i = 0; i < 8; i++) hash[k]->state[i] = state[i][k];
        hash[k]->total = total[k];
    }
}

static bool has_lanes(void)
{
    return __builtin_cpu_supports("avx2");
}

#else

static bool has_lanes(void)
{
    return false;
}
static void add_blocks(dsvl_hash *const *hash, const unsigned char *const *data, int n, size_t blocks)
{
    (void)hash, (void)data, (void)n, (void)blocks;
}

#endif

void dsvl_hash_add_many(dsvl_hash *hashes, const void *const *data, const size_t *lengths, int n)
{
    const unsigned char *next[DSVL_HASH_LANES];
    size_t left[DSVL_HASH_LANES];
    for (int k = 0; k < n; k++) {
        /* Empty the buffer, so that whole blocks can be taken from the data; the last block is never
         * compressed here. */
        dsvl_hash *h = &hashes[k];
        size_t head = lengths[k] > 256 ? 128 - h->used : 0;
        dsvl_hash_add(h, data[k], head);
        if (head) {
            h->total += 128;
            compress(h, h->block, 0);
            h->used = 0;
        }
        next[k] = (const unsigned char *)data[k] + head;
        left[k] = lengths[k] - head;
    }
    while (has_lanes()) {
        dsvl_hash *active[DSVL_HASH_LANES];
        const unsigned char *from[DSVL_HASH_LANES];
        int which[DSVL_HASH_LANES], count = 0;
        size_t blocks = SIZE_MAX;
        for (int k = 0; k < n; k++) {
            if (left[k] <= 128 || hashes[k].used) continue;
            if ((left[k] - 1) / 128 < blocks) blocks = (left[k] - 1) / 128;
            active[count] = &hashes[k];
            from[count] = next[k];
            which[count++] = k;
        }
        if (count < 2) break;
        add_blocks(active, from, count, blocks);
        for (int i = 0; i < count; i++) {
            next[which[i]] += 128 * blocks;
            left[which[i]] -= 128 * blocks;
        }
    }
    for (int k = 0; k < n; k++) dsvl_hash_add(&hashes[k], next[k], left[k]);
}

void dsvl_hash_hex(dsvl_hash *hash, char hex[65])
{
    hash->total += hash->used;
    memset(hash->block + hash->used, 0, 128 - hash->used);
    compress(hash, hash->block, UINT64_MAX);
    for (int i = 0; i < 32; i++) {
        unsigned byte = (unsigned)(hash->state[i / 8] >> (8 * (i % 8))) & 255;
        hex[2 * i] = "0123456789abcdef"[byte >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[byte & 15];
    }
    hex[64] = '\0';
}
