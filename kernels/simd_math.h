/* SPDX-License-Identifier: Apache-2.0 */
/* exp and what is made of it, on 16 lanes. Included by table_avx2.c and table_avx512.c after their vec_*.h.
 * The polynomials are minimax fits; errors given are of the fit, rounding adds about one unit in the last
 * place. */
#ifndef DSVL_KERNELS_SIMD_MATH_H
#define DSVL_KERNELS_SIMD_MATH_H

/* e^x for x below 88.7: x = n ln 2 + r with |r| <= ln 2 / 2, e^r = 1 + r + r^2 q(r), relative error 3e-9.
 * Below the smallest normal number the result is 0 (also for -infinity). NaN stays NaN. */
VEC v16 simd_exp(v16 x)
{
    /* 1.5 * 2^23: after adding it the fraction's last digit counts ones, so the sum is rounded to a whole
     * number and holds n in its lowest bits. */
    const v16 whole = v16_set1(12582912.0f);
    const v16 shifted = v16_fma(x, v16_set1(1.44269504f), whole), n = v16_sub(shifted, whole);
    /* ln 2 in two parts: n times the first is exact. */
    const v16 r = v16_fnma(n, v16_set1(-2.12194440e-4f), v16_fnma(n, v16_set1(0.693359375f), x));
    v16 q = v16_set1(1.38144671e-3f);
    q = v16_fma(q, r, v16_set1(8.36878041e-3f));
    q = v16_fma(q, r, v16_set1(4.16683942e-2f));
    q = v16_fma(q, r, v16_set1(0.166665201f));
    q = v16_fma(q, r, v16_set1(0.499999934f));
    const v16 e = v16_add(v16_fma(q, v16_mul(r, r), r), v16_set1(1.0f));
    return v16_where_less(x, v16_set1(-87.33654f), v16_zero(), v16_scale(e, shifted));
}

/* 1 / (1 + e^-x); from -88 down it stays at e^-88. */
VEC v16 simd_sigmoid(v16 x)
{
    const v16 one = v16_set1(1.0f);
    return v16_div(one, v16_add(one, simd_exp(v16_min(v16_set1(88.0f), v16_sub(v16_zero(), x)))));
}

/* x/2 (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3). */
VEC v16 simd_gelu_tanh(v16 x)
{
    const v16 twice_root = v16_set1(1.59576912f),
              cubic = v16_set1(0.0713548163f); /* 2 sqrt(2/pi), times 0.044715 */
    return v16_mul(x, simd_sigmoid(v16_mul(x, v16_fma(v16_mul(x, x), cubic, twice_root))));
}

/* erfc(z) for z >= 1: t e^(-z^2 + p(t)), t = 1/(1 + z/2); relative error 5e-9. */
VEC v16 simd_erfc_tail(v16 z)
{
    const v16 t = v16_div(v16_set1(1.0f), v16_fma(z, v16_set1(0.5f), v16_set1(1.0f)));
    v16 p = v16_set1(-0.259963169f);
    p = v16_fma(p, t, v16_set1(0.712494783f));
    p = v16_fma(p, t, v16_set1(-0.551294544f));
    p = v16_fma(p, t, v16_set1(0.0176529343f));
    p = v16_fma(p, t, v16_set1(-0.114689433f));
    p = v16_fma(p, t, v16_set1(0.0846305682f));
    p = v16_fma(p, t, v16_set1(0.375393533f));
    p = v16_fma(p, t, v16_set1(0.999934654f));
    p = v16_fma(p, t, v16_set1(-1.26550909f));
    return v16_mul(t, simd_exp(v16_fnma(z, z, p)));
}

/* erf(z) for |z| <= 1: z p(z^2), relative error 1e-9. */
VEC v16 simd_erf_center(v16 z)
{
    const v16 s = v16_mul(z, z);
    v16 p = v16_set1(7.88912325e-5f);
    p = v16_fma(p, s, v16_set1(-8.02084233e-4f));
    p = v16_fma(p, s, v16_set1(5.18953545e-3f));
    p = v16_fma(p, s, v16_set1(-2.68544446e-2f));
    p = v16_fma(p, s, v16_set1(0.112836002f));
    p = v16_fma(p, s, v16_set1(-0.376126271f));
    p = v16_fma(p, s, v16_set1(1.12837917f));
    return v16_mul(z, p);
}

/* x/2 (1 + erf(x / sqrt 2)); the negative tail keeps its relative precision. */
VEC v16 simd_gelu_erf(v16 x)
{
    const v16 half = v16_set1(0.5f), one = v16_set1(1.0f);
    const v16 z = v16_mul(x, v16_set1(0.707106781f)), size = v16_abs(z);
    const v16 upper = v16_mul(half, simd_erfc_tail(v16_max(one, size)));
    const v16 tail = v16_where_less(z, v16_zero(), upper, v16_sub(one, upper));
    const v16 center = v16_fma(half, simd_erf_center(z), half);
    return v16_mul(x, v16_where_less(size, one, center, tail));
}

#endif
