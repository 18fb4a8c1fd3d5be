/* SPDX-License-Identifier: Apache-2.0 */
/* Quantized weights times 8-bit activations with AVX2. Weights of 8 bits: pairs of 16-bit products. (Its
 * products of bytes saturate when two neighbours are large, so activations would lose a bit.) They enter as
 * 256 q, which a shuffle gives; a sum of 128 products still fits 32 bits. Weights of 4 bits enter as q + 8,
 * and of their products of bytes a sum of 16 still fits 16 bits. */
#if defined(__x86_64__)
#include <math.h>
#include <string.h>

#include "kernels/internal.h"
#include "kernels/vec_avx2.h"

#define MR 6
#define HALVES (KERN_PANEL / 16)

#include "kernels/simd_int8.h"

/* Activations are 16 bits here: [k/2][rows][2], two bytes each. */
static void int8_pack(int8_t *to, float *scale, int32_t *offset, const kern_rows *x, int64_t group)
{
    const int64_t step = 4 * kern_int8_held(x->rows);
    (void)offset;
    memset(to, 0, (size_t)(step * ((x->cols + group - 1) / group) * group / 2));
    for (int64_t i = 0; i < x->rows; i++) {
        const float *row = row_of(x, i);
        float inverse;
        scale[i] = kern_int8_scale(row_largest(row, x->cols), &inverse);
        for (int64_t k = 0; k < x->cols; k += 16) {
            const v16 v = v16_mul(load_upto(row + k, x->cols - k), v16_set1(inverse));
            const __m256i q = _mm256_packs_epi32(_mm256_cvtps_epi32(v.a), _mm256_cvtps_epi32(v.b));
            const __m256i ordered = _mm256_permute4x64_epi64(q, 0xd8);
            int32_t pair[8];
            memcpy(pair, &ordered, sizeof pair);
            for (int s = 0; s < 8; s++)
                if (k + 2 * s < x->cols) memcpy(to + (k / 2 + s) * step + 4 * i, &pair[s], sizeof *pair);
        }
    }
}

/* The sums of half a block's columns, scaled, into the tile's m rows, or added to what is there. */
VEC void add_sums(const int m, const kern_int8_block *g, int64_t half, v16 scale, __m256i (*s)[2], bool first)
{
    float *const t = g->t + 16 * half;
    const int64_t ldt = g->ldt;
#pragma GCC unroll 8
    for (int i = 0; i < m; i++) {
        float *at = t + i * ldt;
        const v16 sum = v16_of(_mm256_cvtepi32_ps(s[i][0]), _mm256_cvtepi32_ps(s[i][1]));
        v16_store(at, v16_fma(scale, sum, first ? v16_zero() : v16_load(at)));
    }
}

/* sum += q . x, pairs. Not by intrinsics: GCC 12 adds two products first, for which it has too few registers.
 */
VEC void dot(__m256i *sum, __m256i q, __m256i x)
{
    __m256i product;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(*sum), "=&x"(product) : "x"(q), "x"(x));
}

/* m rows of one panel times sixteen outputs of a block: t += scale * sum. */
VEC void int8_half(const int m, const kern_int8_block *g, const int8_t *a, const unsigned char *block,
                   int64_t half, bool first)
{
    /* Bytes 0 and 1, or 2 and 3, of each four to the upper halves of 16 bits. */
    const __m256i pick[2] = {
        _mm256_broadcastsi128_si256(_mm_setr_epi8(-1, 0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13)),
        _mm256_broadcastsi128_si256(
            _mm_setr_epi8(-1, 2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15))};
    const unsigned char *w = block + 2 * KERN_PANEL + 64 * half;
    __m256i s[MR][2];
#pragma GCC unroll 8
    for (int i = 0; i < m; i++) s[i][0] = s[i][1] = _mm256_setzero_si256();
    for (int64_t k = 0; k < g->group; k += 4, w += 64 * HALVES)
#pragma GCC unroll 2
        for (int p = 0; p < 2; p++, a += 4 * m) {
            const v64 line = v64_load(w);
            const __m256i q0 = _mm256_shuffle_epi8(line.a, pick[p]),
                          q1 = _mm256_shuffle_epi8(line.b, pick[p]);
#pragma GCC unroll 8
            for (int i = 0; i < m; i++) {
                int32_t pair;
                memcpy(&pair, a + 4 * i, sizeof pair);
                const __m256i x = _mm256_set1_epi32(pair);
                dot(&s[i][0], q0, x);
                dot(&s[i][1], q1, x);
            }
        }
    const v16 scale = v16_mul(v16_load_weight(block, KERN_F16, 16 * half), v16_set1(0x1p-8f));
    add_sums(m, g, half, scale, s, first);
}

#define TILE(m)                                                                                              \
    static void tile_##m(const kern_int8_block *g)                                                           \
    {                                                                                                        \
        for (int64_t b = 0; b < g->blocks; b++)                                                              \
            for (int h = 0; h < HALVES; h++)                                                                 \
                int8_half(m, g, g->a + 2 * b * g->group * m, g->block + b * g->block_bytes, h,               \
                          b == 0 && !g->more);                                                               \
    }
TILE(1)
TILE(2)
TILE(4)
TILE(6)

static void int8_multiply(const kern_int8_block *g)
{
    static void (*const tiles[])(const kern_int8_block *) = {tile_1, tile_2, tile_4, tile_6};
    tiles[kern_int8_held(g->rows) / 2](g);
}

/* ---- weights of 4 bits ------------------------------------------------------------------------------- */

#define MR_Q4 4

/* Activations as bytes: [k/4][rows][4]; offset [blocks][rows]: what q + 8 adds, negative. */
static void pack_bytes(int8_t *to, float *scale, int32_t *offset, const kern_rows *x, int64_t group)
{
    const int64_t rows = kern_int8_held(x->rows), step = 4 * rows, blocks = (x->cols + group - 1) / group;
    memset(to, 0, (size_t)(rows * blocks * group));
    memset(offset, 0, (size_t)(rows * blocks) * sizeof *offset);
    for (int64_t i = 0; i < x->rows; i++) {
        const float *row = row_of(x, i);
        float inverse;
        scale[i] = kern_int8_scale(row_largest(row, x->cols), &inverse);
        for (int64_t k = 0; k < x->cols; k += 16) {
            const v16 v = v16_mul(load_upto(row + k, x->cols - k), v16_set1(inverse));
            int32_t q[16];
            _mm256_storeu_si256((__m256i *)(void *)q, _mm256_cvtps_epi32(v.a));
            _mm256_storeu_si256((__m256i *)(void *)(q + 8), _mm256_cvtps_epi32(v.b));
            for (int64_t e = 0; e < 16 && k + e < x->cols; e++) {
                to[(k + e) / 4 * step + 4 * i + e % 4] = (int8_t)q[e];
                offset[k / group * rows + i] -= 8 * q[e];
            }
        }
    }
}

/* sum += q . x, pairs of bytes; see dot. */
VEC void dot_bytes(__m256i *sum, __m256i q, __m256i x)
{
    __m256i product;
    __asm__("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(*sum), "=&x"(product) : "x"(q), "x"(x));
}

VEC __m256i byte_quad(const int8_t *a)
{
    int32_t quad;
    memcpy(&quad, a, sizeof quad);
    return _mm256_set1_epi32(quad);
}

/* s [m][2] += 32 columns of sixteen outputs, times m rows. */
VEC void add_lines(__m256i s[MR_Q4][2], const int m, const unsigned char *w, const int8_t *a)
{
    const __m256i mask = _mm256_set1_epi8(15), eight = _mm256_set1_epi8(8), ones = _mm256_set1_epi16(1);
    __m256i sum[MR_Q4][2];
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) sum[i][0] = sum[i][1] = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int line = 0; line < 4; line++, w += 64 * HALVES) {
        const v64 q = v64_load(w);
        __builtin_prefetch(w + FETCH, 0, 2);
#pragma GCC unroll 2
        for (int part = 0; part < 2; part++, a += 4 * m) {
            const __m256i u = part ? _mm256_srli_epi16(q.a, 4) : q.a,
                          v = part ? _mm256_srli_epi16(q.b, 4) : q.b;
            const __m256i q0 = _mm256_xor_si256(_mm256_and_si256(u, mask), eight),
                          q1 = _mm256_xor_si256(_mm256_and_si256(v, mask), eight);
#pragma GCC unroll 4
            for (int i = 0; i < m; i++) {
                const __m256i x = byte_quad(a + 4 * i);
                dot_bytes(&sum[i][0], q0, x);
                dot_bytes(&sum[i][1], q1, x);
            }
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) s[i][j] = _mm256_add_epi32(s[i][j], _mm256_madd_epi16(sum[i][j], ones));
}

VEC void narrow_half(const int m, const kern_int8_block *g, int64_t b, int64_t half)
{
    const unsigned char *block = g->block + b * g->block_bytes, *w = block + 2 * KERN_PANEL + 64 * half;
    const int8_t *a = g->a + b * g->group * m;
    __m256i s[MR_Q4][2];
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) s[i][0] = s[i][1] = _mm256_set1_epi32(g->offset[b * m + i]);
    for (int64_t k = 0; k < g->group; k += 32, w += 4 * 64 * HALVES, a += 32 * m) add_lines(s, m, w, a);
    const v16 scale = v16_load_weight(block, KERN_F16, 16 * half);
    add_sums(m, g, half, scale, s, b == 0 && !g->more);
}

#define NARROW(m)                                                                                            \
    static void narrow_##m(const kern_int8_block *g)                                                         \
    {                                                                                                        \
        for (int64_t b = 0; b < g->blocks; b++)                                                              \
            for (int h = 0; h < HALVES; h++) narrow_half(m, g, b, h);                                        \
    }
NARROW(1)
NARROW(2)
NARROW(4)

static void narrow_multiply(const kern_int8_block *g)
{
    (g->rows == 1 ? narrow_1 : g->rows == 2 ? narrow_2 : narrow_4)(g);
}

static const kern_int8_table narrow = {MR_Q4,           1,    1,           true, false, pack_bytes,
                                       narrow_multiply, NULL, int8_finish, NULL};
const kern_int8_table kern_int8_avx2 = {MR,   2,           1,      false, false, int8_pack, int8_multiply,
                                        NULL, int8_finish, &narrow};
#endif
