/* SPDX-License-Identifier: Apache-2.0 */
/* Norms, softmax and elementwise kernels on 16 lanes. Sums run in four interleaved accumulators of 16 lanes,
 * then 0+1, 2+3, then both, then across lanes: an order that depends on the row's length only. */
#ifndef DSVL_KERNELS_SIMD_ROWS_H
#define DSVL_KERNELS_SIMD_ROWS_H

typedef struct sum4 {
    v16 part[4];
} sum4;

VEC float sum4_total(const sum4 *s)
{
    return v16_sum(v16_add(v16_add(s->part[0], s->part[1]), v16_add(s->part[2], s->part[3])));
}

/* Elements past the end are read as zero. */
VEC v16 load_upto(const float *p, int64_t left)
{
    return left >= 16 ? v16_load(p) : v16_load_part(p, left);
}
VEC void store_upto(float *p, v16 x, int64_t left)
{
    if (left >= 16)
        v16_store(p, x);
    else
        v16_store_part(p, x, left);
}

static float row_sum(const float *x, int64_t dim)
{
    sum4 s = {{v16_zero(), v16_zero(), v16_zero(), v16_zero()}};
    int64_t j = 0;
    for (; j + 64 <= dim; j += 64)
        for (int u = 0; u < 4; u++) s.part[u] = v16_add(s.part[u], v16_load(x + j + 16 * u));
    for (int u = 0; j < dim; j += 16, u++) s.part[u] = v16_add(s.part[u], load_upto(x + j, dim - j));
    return sum4_total(&s);
}

/* Sum of (x - mean)^2. */
static float row_square(const float *x, float mean, int64_t dim)
{
    const v16 m = v16_set1(mean);
    sum4 s = {{v16_zero(), v16_zero(), v16_zero(), v16_zero()}};
    int64_t j = 0;
    for (; j + 64 <= dim; j += 64)
        for (int u = 0; u < 4; u++) {
            const v16 d = v16_sub(v16_load(x + j + 16 * u), m);
            s.part[u] = v16_fma(d, d, s.part[u]);
        }
    for (int u = 0; j < dim; j += 16, u++) {
        const int64_t left = dim - j;
        /* Lanes past the end must add nothing: read the mean there, not zero. */
        float tail[16];
        v16_store(tail, m);
        for (int64_t i = 0; i < 16 && i < left; i++) tail[i] = x[j + i];
        const v16 d = v16_sub(v16_load(tail), m);
        s.part[u] = v16_fma(d, d, s.part[u]);
    }
    return sum4_total(&s);
}

static void simd_layernorm(float *y, const float *x, const float *gain, const float *bias, float eps,
                           int64_t n, int64_t dim)
{
    for (int64_t i = 0; i < n; i++, x += dim, y += dim) {
        const float mean = row_sum(x, dim) / (float)dim;
        const float scale = 1.0f / sqrtf(row_square(x, mean, dim) / (float)dim + eps);
        const v16 m = v16_set1(mean), s = v16_set1(scale);
        for (int64_t j = 0; j < dim; j += 16) {
            const int64_t left = dim - j;
            const v16 normal = v16_mul(v16_sub(load_upto(x + j, left), m), s);
            store_upto(y + j, v16_fma(normal, load_upto(gain + j, left), load_upto(bias + j, left)), left);
        }
    }
}

static void simd_rmsnorm(float *y, const float *x, const float *gain, float eps, int64_t n, int64_t dim)
{
    for (int64_t i = 0; i < n; i++, x += dim, y += dim) {
        const v16 s = v16_set1(1.0f / sqrtf(row_square(x, 0.0f, dim) / (float)dim + eps));
        for (int64_t j = 0; j < dim; j += 16) {
            const int64_t left = dim - j;
            store_upto(y + j, v16_mul(load_upto(gain + j, left), v16_mul(load_upto(x + j, left), s)), left);
        }
    }
}

/* Largest of a row; the tail is padded with its first element. */
static float row_top(const float *x, int64_t dim)
{
    v16 top = v16_set1(x[0]);
    int64_t j = 0;
    for (; j + 16 <= dim; j += 16) top = v16_max(top, v16_load(x + j));
    float best = v16_top(top);
    for (; j < dim; j++) best = x[j] > best ? x[j] : best;
    return best;
}

/* x = e^(x - top), lanes beyond the row untouched; returns the sum. */
static float row_exp(float *x, float top, int64_t dim)
{
    const v16 t = v16_set1(top);
    v16 sum = v16_zero();
    int64_t j = 0;
    for (; j + 16 <= dim; j += 16) {
        const v16 e = simd_exp(v16_sub(v16_load(x + j), t));
        v16_store(x + j, e);
        sum = v16_add(sum, e);
    }
    if (j < dim) {
        v16_store_part(x + j, simd_exp(v16_sub(v16_load_part(x + j, dim - j), t)), dim - j);
        sum = v16_add(sum, v16_load_part(x + j, dim - j));
    }
    return v16_sum(sum);
}

static void simd_softmax(float *x, int64_t n, int64_t dim)
{
    for (int64_t i = 0; i < n; i++, x += dim) {
        const v16 total = v16_set1(row_exp(x, row_top(x, dim), dim));
        for (int64_t j = 0; j < dim; j += 16)
            store_upto(x + j, v16_div(load_upto(x + j, dim - j), total), dim - j);
    }
}

static void simd_gelu_tanh_run(float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j += 16) store_upto(x + j, simd_gelu_tanh(load_upto(x + j, n - j)), n - j);
}

static void simd_gelu_erf_run(float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j += 16) store_upto(x + j, simd_gelu_erf(load_upto(x + j, n - j)), n - j);
}

static void simd_silu_mul(float *y, const float *gate, const float *up, int64_t n)
{
    for (int64_t j = 0; j < n; j += 16) {
        const int64_t left = n - j;
        const v16 g = load_upto(gate + j, left);
        store_upto(y + j, v16_mul(v16_mul(g, simd_sigmoid(g)), load_upto(up + j, left)), left);
    }
}

static void simd_add(float *y, const float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j += 16)
        store_upto(y + j, v16_add(load_upto(y + j, n - j), load_upto(x + j, n - j)), n - j);
}

static void simd_axpy(float *y, float a, const float *x, int64_t n)
{
    const v16 factor = v16_set1(a);
    for (int64_t j = 0; j < n; j += 16)
        store_upto(y + j, v16_fma(factor, load_upto(x + j, n - j), load_upto(y + j, n - j)), n - j);
}

static void simd_widen(float *y, const void *x, kern_dtype dtype, int64_t n)
{
    for (int64_t j = 0; j + 16 <= n; j += 16) v16_store(y + j, v16_load_weight(x, dtype, j));
    if (n % 16) v16_store_part(y + n / 16 * 16, v16_load_weight_part(x, dtype, n / 16 * 16, n % 16), n % 16);
}

#endif
