/* SPDX-License-Identifier: Apache-2.0 */
/* What int8_avx2.c and int8_avx512.c share. */
#ifndef DSVL_KERNELS_SIMD_INT8_H
#define DSVL_KERNELS_SIMD_INT8_H

VEC v16 load_upto(const float *p, int64_t left)
{
    return left >= 16 ? v16_load(p) : v16_load_part(p, left);
}

VEC const float *row_of(const kern_rows *x, int64_t i)
{
    return (const float *)x->data + (x->index ? x->index[i] : i) * x->stride;
}

/* Largest magnitude; NaN, which is larger than all as bits are, where there is one. */
VEC float row_largest(const float *x, int64_t n)
{
    v16 top = v16_zero();
    for (int64_t k = 0; k < n; k += 16) top = v16_max_bits(top, v16_abs(load_upto(x + k, n - k)));
    const uint32_t most = v16_top_bits(top);
    float largest;
    memcpy(&largest, &most, sizeof largest);
    return largest;
}

/* Scale of values whose digits are to hold them exactly, or nearly so beside a larger one: a power of two
 * that takes the largest below 2^22. */
static inline float exact_scale(float largest, float *inverse)
{
    uint32_t bits, up, down;
    float scale;
    memcpy(&bits, &largest, sizeof bits);
    bits >>= 23;
    *inverse = 0;
    if (bits < 22) return 0; /* less than 2^-104 counts as nothing */
    if (bits == 255) return NAN;
    down = (bits - 21) << 23;
    up = (275 - bits) << 23;
    memcpy(&scale, &down, sizeof scale);
    memcpy(inverse, &up, sizeof up);
    return scale;
}

#define FETCH 8192 /* bytes of weights ahead of use */

static void int8_finish(float *y, const float *t, float scale, const float *bias, int64_t cols)
{
    const v16 s = v16_set1(scale);
    for (int64_t j = 0; j < cols; j += 16) {
        const v16 v = v16_mul(s, v16_load(t + j));
        const int64_t left = cols - j;
        const v16 sum = bias ? v16_add(v, load_upto(bias + j, left)) : v;
        if (left >= 16)
            v16_store(y + j, sum);
        else
            v16_store_part(y + j, sum, left);
    }
}

#endif
