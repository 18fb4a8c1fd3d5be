/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen floats in two AVX registers; the operations, their order and their rounding are those of
 * vec_avx512.h. */
#ifndef DSVL_KERNELS_VEC_AVX2_H
#define DSVL_KERNELS_VEC_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "kernels/kernels.h"

#define VEC static inline __attribute__((always_inline))
#define VEC_MR 6 /* rows of a matrix tile: 12 accumulators, 2 columns of weights, 1 broadcast */
#define VEC_NV 1 /* vectors across a matrix tile */

typedef struct v16 {
    __m256 a, b; /* lanes 0..7 and 8..15 */
} v16;

VEC v16 v16_of(__m256 a, __m256 b)
{
    const v16 x = {a, b};
    return x;
}
VEC v16 v16_zero(void)
{
    return v16_of(_mm256_setzero_ps(), _mm256_setzero_ps());
}
VEC v16 v16_set1(float x)
{
    const __m256 a = _mm256_set1_ps(x);
    return v16_of(a, a);
}
VEC v16 v16_load(const float *p)
{
    return v16_of(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}
VEC void v16_store(float *p, v16 x)
{
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}
/* All ones in the first `count` of 8 lanes (count may be negative or above 8). */
VEC __m256i v16_mask8(int64_t count)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
VEC v16 v16_load_part(const float *p, int64_t count)
{
    return v16_of(_mm256_maskload_ps(p, v16_mask8(count)), _mm256_maskload_ps(p + 8, v16_mask8(count - 8)));
}
VEC void v16_store_part(float *p, v16 x, int64_t count)
{
    _mm256_maskstore_ps(p, v16_mask8(count), x.a);
    _mm256_maskstore_ps(p + 8, v16_mask8(count - 8), x.b);
}
VEC v16 v16_widen16(const uint16_t *p, kern_dtype dtype)
{
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    const __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(p + 8));
    if (dtype == KERN_F16) return v16_of(_mm256_cvtph_ps(x), _mm256_cvtph_ps(y));
    return v16_of(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16)),
                  _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(y), 16)));
}
VEC v16 v16_load_weight(const void *w, kern_dtype dtype, int64_t i)
{
    if (dtype == KERN_F32) return v16_load((const float *)w + i);
    return v16_widen16((const uint16_t *)w + i, dtype);
}
VEC v16 v16_load_weight_part(const void *w, kern_dtype dtype, int64_t i, int64_t count)
{
    if (dtype == KERN_F32) return v16_load_part((const float *)w + i, count);
    uint16_t part[16] = {0};
    memcpy(part, (const uint16_t *)w + i, (size_t)count * sizeof *part);
    return v16_widen16(part, dtype);
}
typedef struct v64 {
    __m256i a, b; /* rows 0..7 and 8..15 */
} v64;
VEC v64 v64_load(const unsigned char *p)
{
    const v64 x = {_mm256_loadu_si256((const __m256i *)(const void *)p),
                   _mm256_loadu_si256((const __m256i *)(const void *)(p + 32))};
    return x;
}
VEC v16 v16_q8(v64 x, const int k)
{
    const int byte = k << 24 | 0x808080, next = 4 << 24;
    const __m256i pick = _mm256_setr_epi32(byte, byte + next, byte + 2 * next, byte + 3 * next, byte,
                                           byte + next, byte + 2 * next, byte + 3 * next);
    return v16_of(_mm256_cvtepi32_ps(_mm256_shuffle_epi8(x.a, pick)),
                  _mm256_cvtepi32_ps(_mm256_shuffle_epi8(x.b, pick)));
}
VEC v16 v16_q4(v64 x, const int k)
{
    const __m256i high = _mm256_set1_epi8((char)0xf0);
    if (k < 4) {
        x.a = _mm256_slli_epi16(x.a, 4);
        x.b = _mm256_slli_epi16(x.b, 4);
    }
    x.a = _mm256_and_si256(x.a, high);
    x.b = _mm256_and_si256(x.b, high);
    return v16_q8(x, k % 4);
}
VEC v16 v16_add(v16 x, v16 y)
{
    return v16_of(_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b));
}
VEC v16 v16_sub(v16 x, v16 y)
{
    return v16_of(_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b));
}
VEC v16 v16_mul(v16 x, v16 y)
{
    return v16_of(_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b));
}
VEC v16 v16_div(v16 x, v16 y)
{
    return v16_of(_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b));
}
VEC v16 v16_fma(v16 x, v16 y, v16 z)
{
    return v16_of(_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b));
}
VEC v16 v16_fnma(v16 x, v16 y, v16 z)
{
    return v16_of(_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b));
}
VEC v16 v16_max(v16 x, v16 y)
{
    return v16_of(_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b));
}
VEC v16 v16_min(v16 x, v16 y)
{
    return v16_of(_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b));
}
VEC __m256 v16_max_bits_half(__m256 x, __m256 y)
{
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(x), _mm256_castps_si256(y)));
}
VEC v16 v16_max_bits(v16 x, v16 y)
{
    return v16_of(v16_max_bits_half(x.a, y.a), v16_max_bits_half(x.b, y.b));
}
VEC uint32_t v16_top_bits(v16 x)
{
    const __m256i h = _mm256_castps_si256(v16_max_bits_half(x.a, x.b));
    const __m128i q = _mm_max_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
    const __m128i p = _mm_max_epi32(q, _mm_unpackhi_epi64(q, q));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epi32(p, _mm_shuffle_epi32(p, 1)));
}
VEC v16 v16_abs(v16 x)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return v16_of(_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b));
}
VEC __m256 v16_scale_half(__m256 x, __m256 shifted)
{
    const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), n));
}
VEC v16 v16_scale(v16 x, v16 shifted)
{
    return v16_of(v16_scale_half(x.a, shifted.a), v16_scale_half(x.b, shifted.b));
}
VEC v16 v16_where_less(v16 a, v16 b, v16 x, v16 y)
{
    return v16_of(_mm256_blendv_ps(y.a, x.a, _mm256_cmp_ps(a.a, b.a, _CMP_LT_OQ)),
                  _mm256_blendv_ps(y.b, x.b, _mm256_cmp_ps(a.b, b.b, _CMP_LT_OQ)));
}
VEC float v16_sum(v16 x)
{
    const __m256 h = _mm256_add_ps(x.a, x.b);
    const __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    const __m128 p = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(p, _mm_movehdup_ps(p)));
}
VEC float v16_top(v16 x)
{
    const __m256 h = _mm256_max_ps(x.a, x.b);
    const __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    const __m128 p = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(p, _mm_movehdup_ps(p)));
}

VEC v16 v16_dup4(const float *p)
{
    const __m256 x = _mm256_broadcast_ps((const __m128 *)(const void *)p);
    return v16_of(x, x);
}
VEC __m128 v16_quad(v16 x, int quad)
{
    switch (quad) {
    case 0:
        return _mm256_castps256_ps128(x.a);
    case 1:
        return _mm256_extractf128_ps(x.a, 1);
    case 2:
        return _mm256_castps256_ps128(x.b);
    default:
        return _mm256_extractf128_ps(x.b, 1);
    }
}
VEC void v16_store_quad(float *p, v16 x, int quad)
{
    _mm_storeu_ps(p, v16_quad(x, quad));
}
VEC void v16_store_pair(float *p, v16 x, int quad)
{
    _mm_storel_pi((__m64 *)(void *)p, v16_quad(x, quad));
}
VEC void v16_transpose_quads(v16 r[4])
{
    const v16 x = r[0], y = r[1], z = r[2], w = r[3];
    r[0] = v16_of(_mm256_permute2f128_ps(x.a, y.a, 0x20), _mm256_permute2f128_ps(z.a, w.a, 0x20));
    r[1] = v16_of(_mm256_permute2f128_ps(x.a, y.a, 0x31), _mm256_permute2f128_ps(z.a, w.a, 0x31));
    r[2] = v16_of(_mm256_permute2f128_ps(x.b, y.b, 0x20), _mm256_permute2f128_ps(z.b, w.b, 0x20));
    r[3] = v16_of(_mm256_permute2f128_ps(x.b, y.b, 0x31), _mm256_permute2f128_ps(z.b, w.b, 0x31));
}
VEC void v16_transpose_half(__m256 *r0, __m256 *r1, __m256 *r2, __m256 *r3)
{
    const __m256 a = _mm256_unpacklo_ps(*r0, *r1), b = _mm256_unpackhi_ps(*r0, *r1);
    const __m256 c = _mm256_unpacklo_ps(*r2, *r3), d = _mm256_unpackhi_ps(*r2, *r3);
    *r0 = _mm256_shuffle_ps(a, c, 0x44);
    *r1 = _mm256_shuffle_ps(a, c, 0xee);
    *r2 = _mm256_shuffle_ps(b, d, 0x44);
    *r3 = _mm256_shuffle_ps(b, d, 0xee);
}
VEC void v16_transpose_lanes(v16 r[4])
{
    v16_transpose_half(&r[0].a, &r[1].a, &r[2].a, &r[3].a);
    v16_transpose_half(&r[0].b, &r[1].b, &r[2].b, &r[3].b);
}

#endif
