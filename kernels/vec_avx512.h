/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen floats in one AVX-512 register. vec_avx2.h has the same operations on two AVX registers, in the
 * same order and with the same rounding, so both variants of a kernel give the same bits. */
#ifndef DSVL_KERNELS_VEC_AVX512_H
#define DSVL_KERNELS_VEC_AVX512_H

#include <immintrin.h>

#include "kernels/kernels.h"

#define VEC static inline __attribute__((always_inline))
#define VEC_MR 14 /* rows of a matrix tile: 28 accumulators, 2 columns of weights, 1 broadcast */
#define VEC_NV 2  /* vectors across a matrix tile */

typedef __m512 v16;

VEC __mmask16 v16_mask(int64_t count)
{
    return (__mmask16)((1u << count) - 1);
}
VEC v16 v16_zero(void)
{
    return _mm512_setzero_ps();
}
VEC v16 v16_set1(float x)
{
    return _mm512_set1_ps(x);
}
VEC v16 v16_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
VEC void v16_store(float *p, v16 x)
{
    _mm512_storeu_ps(p, x);
}
/* The first count < 16 elements; the others are read as zero and not written. */
VEC v16 v16_load_part(const float *p, int64_t count)
{
    return _mm512_maskz_loadu_ps(v16_mask(count), p);
}
VEC void v16_store_part(float *p, v16 x, int64_t count)
{
    _mm512_mask_storeu_ps(p, v16_mask(count), x);
}
VEC v16 v16_widen_bf16(__m256i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
/* 16 weights from element i of an array of the given type. */
VEC v16 v16_load_weight(const void *w, kern_dtype dtype, int64_t i)
{
    if (dtype == KERN_F32) return _mm512_loadu_ps((const float *)w + i);
    const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)((const uint16_t *)w + i));
    return dtype == KERN_BF16 ? v16_widen_bf16(x) : _mm512_cvtph_ps(x);
}
VEC v16 v16_load_weight_part(const void *w, kern_dtype dtype, int64_t i, int64_t count)
{
    if (dtype == KERN_F32) return v16_load_part((const float *)w + i, count);
    const __m256i x = _mm256_maskz_loadu_epi16(v16_mask(count), (const uint16_t *)w + i);
    return dtype == KERN_BF16 ? v16_widen_bf16(x) : _mm512_cvtph_ps(x);
}
/* 64 bytes, for 16 rows of a quantized matrix (kernels.h). */
typedef __m512i v64;
VEC v64 v64_load(const unsigned char *p)
{
    return _mm512_loadu_si512(p);
}
/* KERN_Q8: q number k < 4 of each row, times 2^24. */
VEC v16 v16_q8(v64 x, const int k)
{
    const int byte = k << 24 | 0x808080, next = 4 << 24;
    const __m512i pick = _mm512_set4_epi32(byte + 3 * next, byte + 2 * next, byte + next, byte);
    return _mm512_cvtepi32_ps(_mm512_shuffle_epi8(x, pick));
}
/* KERN_Q4: q number k < 8 of each row, times 2^28. */
VEC v16 v16_q4(v64 x, const int k)
{
    const float u = 0x1p28f;
    const v16 table = _mm512_setr_ps(0, u, 2 * u, 3 * u, 4 * u, 5 * u, 6 * u, 7 * u, -8 * u, -7 * u, -6 * u,
                                     -5 * u, -4 * u, -3 * u, -2 * u, -u);
    return _mm512_permutexvar_ps(_mm512_srli_epi32(x, k < 4 ? 8 * k : 8 * k - 28), table);
}
VEC v16 v16_add(v16 a, v16 b)
{
    return _mm512_add_ps(a, b);
}
VEC v16 v16_sub(v16 a, v16 b)
{
    return _mm512_sub_ps(a, b);
}
VEC v16 v16_mul(v16 a, v16 b)
{
    return _mm512_mul_ps(a, b);
}
VEC v16 v16_div(v16 a, v16 b)
{
    return _mm512_div_ps(a, b);
}
/* a*b + c and c - a*b, rounded once. */
VEC v16 v16_fma(v16 a, v16 b, v16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}
VEC v16 v16_fnma(v16 a, v16 b, v16 c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
/* Where one operand is NaN the result is b. */
VEC v16 v16_max(v16 a, v16 b)
{
    return _mm512_max_ps(a, b);
}
VEC v16 v16_min(v16 a, v16 b)
{
    return _mm512_min_ps(a, b);
}
/* The larger as whole numbers of 32 bits: of magnitudes, NaN is the largest. */
VEC v16 v16_max_bits(v16 a, v16 b)
{
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
VEC uint32_t v16_top_bits(v16 a)
{
    return (uint32_t)_mm512_reduce_max_epi32(_mm512_castps_si512(a));
}
VEC v16 v16_abs(v16 a)
{
    return _mm512_abs_ps(a);
}
/* x 2^n for x in [0.5, 2) and n in [-126, 127], given by the lowest bits of `shifted`. */
VEC v16 v16_scale(v16 x, v16 shifted)
{
    const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), n));
}
/* a < b ? x : y */
VEC v16 v16_where_less(v16 a, v16 b, v16 x, v16 y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
/* Sum and maximum of the lanes: halves, quarters, pairs. */
VEC float v16_sum(v16 x)
{
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    const __m128 p = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(p, _mm_movehdup_ps(p)));
}
VEC float v16_top(v16 x)
{
    return _mm512_reduce_max_ps(x);
}

/* Quads: the four groups of four lanes. */
VEC v16 v16_dup4(const float *p)
{
    return _mm512_broadcast_f32x4(_mm_loadu_ps(p));
}
VEC void v16_store_quad(float *p, v16 x, int quad)
{
    switch (quad) {
    case 0:
        _mm_storeu_ps(p, _mm512_castps512_ps128(x));
        break;
    case 1:
        _mm_storeu_ps(p, _mm512_extractf32x4_ps(x, 1));
        break;
    case 2:
        _mm_storeu_ps(p, _mm512_extractf32x4_ps(x, 2));
        break;
    default:
        _mm_storeu_ps(p, _mm512_extractf32x4_ps(x, 3));
        break;
    }
}
/* The first two lanes of a quad. */
VEC void v16_store_pair(float *p, v16 x, int quad)
{
    switch (quad) {
    case 0:
        _mm_storel_pi((__m64 *)(void *)p, _mm512_castps512_ps128(x));
        break;
    case 1:
        _mm_storel_pi((__m64 *)(void *)p, _mm512_extractf32x4_ps(x, 1));
        break;
    case 2:
        _mm_storel_pi((__m64 *)(void *)p, _mm512_extractf32x4_ps(x, 2));
        break;
    default:
        _mm_storel_pi((__m64 *)(void *)p, _mm512_extractf32x4_ps(x, 3));
        break;
    }
}
/* Transpose the 4 x 4 matrix of quads: afterwards r[q] holds quad q of the former r[0..3]. */
VEC void v16_transpose_quads(v16 r[4])
{
    const v16 a = _mm512_shuffle_f32x4(r[0], r[1], 0x44), b = _mm512_shuffle_f32x4(r[0], r[1], 0xee);
    const v16 c = _mm512_shuffle_f32x4(r[2], r[3], 0x44), d = _mm512_shuffle_f32x4(r[2], r[3], 0xee);
    r[0] = _mm512_shuffle_f32x4(a, c, 0x88);
    r[1] = _mm512_shuffle_f32x4(a, c, 0xdd);
    r[2] = _mm512_shuffle_f32x4(b, d, 0x88);
    r[3] = _mm512_shuffle_f32x4(b, d, 0xdd);
}
/* Transpose within quads: afterwards lane l of quad q of r[m] is what lane m of quad q of r[l] was. */
VEC void v16_transpose_lanes(v16 r[4])
{
    const v16 a = _mm512_unpacklo_ps(r[0], r[1]), b = _mm512_unpackhi_ps(r[0], r[1]);
    const v16 c = _mm512_unpacklo_ps(r[2], r[3]), d = _mm512_unpackhi_ps(r[2], r[3]);
    r[0] = _mm512_shuffle_ps(a, c, 0x44);
    r[1] = _mm512_shuffle_ps(a, c, 0xee);
    r[2] = _mm512_shuffle_ps(b, d, 0x44);
    r[3] = _mm512_shuffle_ps(b, d, 0xee);
}

#endif
