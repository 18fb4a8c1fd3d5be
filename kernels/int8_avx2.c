/* SPDX-License-Identifier: Apache-2.0 */
/* Quantized weights times 8-bit activations with AVX2: pairs of 16-bit products. (Its products of bytes
 * saturate when two neighbours are large, so activations would lose a bit.) Weights enter as 256 q, which a
 * shuffle gives; a sum of 128 products still fits 32 bits. */
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
                s[i][0] = _mm256_add_epi32(s[i][0], _mm256_madd_epi16(q0, x));
                s[i][1] = _mm256_add_epi32(s[i][1], _mm256_madd_epi16(q1, x));
            }
        }
    const v16 scale = v16_mul(v16_load_weight(block, KERN_F16, 16 * half), v16_set1(0x1p-8f));
#pragma GCC unroll 8
    for (int i = 0; i < m; i++) {
        float *at = g->t + i * g->ldt + 16 * half;
        const v16 sum = v16_of(_mm256_cvtepi32_ps(s[i][0]), _mm256_cvtepi32_ps(s[i][1]));
        v16_store(at, v16_fma(scale, sum, first ? v16_zero() : v16_load(at)));
    }
}

#define TILE(m)                                                                                              \
    static void tile_##m(const kern_int8_block *g)                                                           \
    {                                                                                                        \
        for (int64_t b = 0; b < g->blocks; b++)                                                              \
            for (int h = 0; h < HALVES; h++)                                                                 \
                int8_half(m, g, g->a + 2 * b * g->group * m, g->block + b * g->block_bytes, h,               \
                          g->first && b == 0);                                                               \
    }
TILE(1)
TILE(2)
TILE(4)
TILE(6)

static void int8_multiply(const kern_int8_block *g)
{
    static void (*const tiles[])(const kern_int8_block *) = {tile_1, tile_2, tile_4, tile_6};
    tiles[g->rows / 2 + (g->rows > 1 ? g->rows % 2 : 0)](g);
}

static void int8_widen(unsigned char *low, unsigned char *high, const unsigned char *line)
{
    const __m256i mask = _mm256_set1_epi8(15), sign = _mm256_set1_epi8(8);
    for (int i = 0; i < 64; i += 32) {
        const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(line + i));
        const __m256i a = _mm256_and_si256(x, mask), b = _mm256_and_si256(_mm256_srli_epi16(x, 4), mask);
        _mm256_storeu_si256((__m256i *)(void *)(low + i), _mm256_sub_epi8(_mm256_xor_si256(a, sign), sign));
        _mm256_storeu_si256((__m256i *)(void *)(high + i), _mm256_sub_epi8(_mm256_xor_si256(b, sign), sign));
    }
}

const kern_int8_table kern_int8_avx2 = {MR,          2,          1, false, false, int8_pack, int8_multiply,
                                        int8_expand, int8_finish};
#endif
