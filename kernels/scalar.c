/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/scalar.h"

#include <math.h>
#include <string.h>

#include "kernels/internal.h"

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3ff;
    if (exponent == 31) return float_of_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent != 0) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    /* Subnormal: fraction * 2^-24 is exact in f32. */
    const float magnitude = (float)fraction * 0x1p-24f;
    return sign ? -magnitude : magnitude;
}

float kern_scalar_element(const void *data, kern_dtype dtype, int64_t i)
{
    switch (dtype) {
    case KERN_F16: {
        uint16_t h;
        memcpy(&h, (const char *)data + 2 * i, sizeof h);
        return half_to_float(h);
    }
    case KERN_BF16: {
        uint16_t h;
        memcpy(&h, (const char *)data + 2 * i, sizeof h);
        return float_of_bits((uint32_t)h << 16);
    }
    case KERN_F32:
    case KERN_Q8:
    case KERN_Q4:
    default: {
        float f;
        memcpy(&f, (const char *)data + 4 * i, sizeof f);
        return f;
    }
    }
}

void kern_scalar_widen(float *y, const void *x, kern_dtype dtype, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = kern_scalar_element(x, dtype, i);
}

static double weight_at(const kern_weight *w, int64_t row, int64_t col)
{
    int q;
    if (w->dtype != KERN_Q8 && w->dtype != KERN_Q4)
        return kern_scalar_element(w->data, w->dtype, row * w->cols + col);
    const double scale = kern_scalar_quantized(w, row, col, &q);
    return scale * q;
}

void kern_scalar_linear_part(float *y, const float *x, const int32_t *index, const kern_weight *w,
                             const float *bias, int64_t n, int64_t first, int64_t count)
{
    for (int64_t i = 0; i < n; i++) {
        const float *row = x + (index ? index[i] : i) * w->cols;
        for (int64_t o = first; o < first + count; o++) {
            double sum = bias ? bias[o] : 0;
            for (int64_t k = 0; k < w->cols; k++) sum += row[k] * weight_at(w, o, k);
            y[i * w->rows + o] = (float)sum;
        }
    }
}

void kern_scalar_linear(float *y, const float *x, const int32_t *index, const kern_weight *w,
                        const float *bias, int64_t n)
{
    kern_scalar_linear_part(y, x, index, w, bias, n, 0, w->rows);
}

void kern_scalar_linear_int8(float *y, const float *x, const int32_t *index, const kern_weight *w,
                             const float *bias, int64_t n, int64_t first, int64_t count)
{
    for (int64_t i = 0; i < n; i++) {
        const float *row = x + (index ? index[i] : i) * w->cols;
        float top = 0, inverse;
        for (int64_t k = 0; k < w->cols; k++)
            if (!(fabsf(row[k]) <= top) && top == top) top = fabsf(row[k]); /* a NaN stays */
        const float scale = kern_int8_scale(top, &inverse);
        for (int64_t o = first; o < first + count; o++) {
            double sum = 0;
            for (int64_t k = 0; k < w->cols; k++)
                sum += rint((double)(row[k] * inverse)) * weight_at(w, o, k);
            y[i * w->rows + o] = (float)(sum * scale + (bias ? bias[o] : 0));
        }
    }
}

void kern_scalar_matmul(float *C, int64_t ldc, const float *A, int64_t lda, const float *B, int64_t ldb,
                        float alpha, float beta, int64_t m, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t p = 0; p < k; p++) sum += (double)A[i * lda + p] * B[j * ldb + p];
            /* beta = 0 does not read C, which may hold anything. */
            C[i * ldc + j] = (float)(alpha * sum + (beta == 0 ? 0 : (double)beta * C[i * ldc + j]));
        }
}

void kern_scalar_head_linear(float *y, int64_t y_row, int64_t y_head, const float *x, int64_t x_row,
                             int64_t x_head, const kern_weight *w, int64_t head_rows, int64_t first,
                             int64_t d, int transposed, int64_t n, int64_t heads)
{
    const int64_t r = w->cols;
    for (int64_t i = 0; i < n; i++)
        for (int64_t h = 0; h < heads; h++) {
            const float *in = x + i * x_row + h * x_head;
            float *to = y + i * y_row + h * y_head;
            const int64_t base = (h * head_rows + first) * r;
            for (int64_t o = 0; o < (transposed ? d : r); o++) {
                double sum = 0;
                if (transposed)
                    for (int64_t k = 0; k < r; k++)
                        sum += (double)in[k] * kern_scalar_element(w->data, w->dtype, base + o * r + k);
                else
                    for (int64_t k = 0; k < d; k++)
                        sum += (double)in[k] * kern_scalar_element(w->data, w->dtype, base + k * r + o);
                to[o] = (float)sum;
            }
        }
}

/* One query over `length` keys; key t at k + t*k_step, value t at v + t*v_step. bias: what the keys of a grid
 * gain by row [side] and column [side], or NULL. */
static void attend_biased(float *out, const float *q, const float *k, int64_t k_step, const float *v,
                          int64_t v_step, float scale, int64_t length, int64_t dk, int64_t dv,
                          const double *bias, int64_t side, double *scores)
{
    double top = -INFINITY, total = 0;
    for (int64_t t = 0; t < length; t++) {
        double sum = 0;
        for (int64_t j = 0; j < dk; j++) sum += (double)q[j] * k[t * k_step + j];
        scores[t] = sum * scale + (bias ? bias[t / side] + bias[side + t % side] : 0);
        if (scores[t] > top) top = scores[t];
    }
    for (int64_t t = 0; t < length; t++) total += scores[t] = exp(scores[t] - top);
    for (int64_t j = 0; j < dv; j++) {
        double sum = 0;
        for (int64_t t = 0; t < length; t++) sum += scores[t] * v[t * v_step + j];
        out[j] = (float)(sum / total);
    }
}

static void attend(float *out, const float *q, const float *k, int64_t k_step, const float *v, int64_t v_step,
                   float scale, int64_t length, int64_t dk, int64_t dv, double *scores)
{
    attend_biased(out, q, k, k_step, v, v_step, scale, length, dk, dv, NULL, 0, scores);
}

void kern_scalar_attention_rel(float *out, const float *qkv, const float *rel_h, const float *rel_w,
                               float scale, int64_t batch, int64_t side, int64_t heads, int64_t dim,
                               double *scores)
{
    const int64_t tokens = side * side, part = heads * dim, step = 3 * part;
    double *bias = scores + tokens;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t i = 0; i < tokens; i++)
            for (int64_t h = 0; h < heads; h++) {
                const float *base = qkv + b * tokens * step + h * dim, *q = base + i * step;
                for (int64_t t = 0; t < side; t++) {
                    const float *high = rel_h + (i / side - t + side - 1) * dim,
                                *wide = rel_w + (i % side - t + side - 1) * dim;
                    bias[t] = bias[side + t] = 0;
                    for (int64_t j = 0; j < dim; j++) {
                        bias[t] += (double)q[j] * high[j];
                        bias[side + t] += (double)q[j] * wide[j];
                    }
                }
                attend_biased(out + (b * tokens + i) * part + h * dim, q, base + part, step, base + 2 * part,
                              step, scale, tokens, dim, dim, bias, side, scores);
            }
}

void kern_scalar_attention_full(float *out, const float *qkv, float scale, int64_t batch, int64_t tokens,
                                int64_t heads, int64_t dim, double *scores)
{
    const int64_t part = heads * dim, step = 3 * part;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t i = 0; i < tokens; i++)
            for (int64_t h = 0; h < heads; h++) {
                const float *base = qkv + b * tokens * step + h * dim;
                attend(out + (b * tokens + i) * part + h * dim, base + i * step, base + part, step,
                       base + 2 * part, step, scale, tokens, dim, dim, scores);
            }
}

void kern_scalar_attention_causal(float *out, const float *q, const float *k, const float *v, float scale,
                                  int64_t n, int64_t past, int64_t heads, int64_t kv_heads, int64_t dk,
                                  int64_t dv, int64_t k_stride, int64_t v_stride, double *scores)
{
    const int64_t group = heads / kv_heads;
    for (int64_t i = 0; i < n; i++)
        for (int64_t h = 0; h < heads; h++)
            attend(out + (i * heads + h) * dv, q + (i * heads + h) * dk, k + h / group * dk, k_stride,
                   v + h / group * dv, v_stride, scale, past + i + 1, dk, dv, scores);
}

void kern_scalar_layernorm(float *y, const float *x, const float *gain, const float *bias, float eps,
                           int64_t n, int64_t dim)
{
    for (int64_t i = 0; i < n; i++, x += dim, y += dim) {
        double mean = 0, variance = 0;
        for (int64_t j = 0; j < dim; j++) mean += x[j];
        mean /= (double)dim;
        for (int64_t j = 0; j < dim; j++) variance += (x[j] - mean) * (x[j] - mean);
        const double scale = 1 / sqrt(variance / (double)dim + eps);
        for (int64_t j = 0; j < dim; j++) y[j] = (float)((x[j] - mean) * scale * gain[j] + bias[j]);
    }
}

void kern_scalar_rmsnorm(float *y, const float *x, const float *gain, float eps, int64_t n, int64_t dim)
{
    for (int64_t i = 0; i < n; i++, x += dim, y += dim) {
        double square = 0;
        for (int64_t j = 0; j < dim; j++) square += (double)x[j] * x[j];
        const double scale = 1 / sqrt(square / (double)dim + eps);
        for (int64_t j = 0; j < dim; j++) y[j] = (float)(x[j] * scale * gain[j]);
    }
}

void kern_scalar_gelu_tanh(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double v = x[i], root = 0.7978845608028653558799; /* sqrt(2/pi) */
        x[i] = (float)(0.5 * v * (1 + tanh(root * (v + 0.044715 * v * v * v))));
    }
}

void kern_scalar_gelu_erf(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) x[i] = (float)(0.5 * x[i] * erfc(-x[i] * 0.70710678118654752440));
}

void kern_scalar_silu_mul(float *y, const float *gate, const float *up, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = (float)(gate[i] / (1 + exp(-(double)gate[i])) * up[i]);
}

void kern_scalar_add(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

void kern_scalar_axpy(float *y, float a, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] = (float)((double)a * x[i] + y[i]);
}

void kern_scalar_softmax(float *x, int64_t n, int64_t dim)
{
    for (int64_t i = 0; i < n; i++, x += dim) {
        double total = 0;
        float top = -INFINITY;
        for (int64_t j = 0; j < dim; j++) top = x[j] > top ? x[j] : top;
        for (int64_t j = 0; j < dim; j++) total += exp((double)x[j] - top);
        for (int64_t j = 0; j < dim; j++) x[j] = (float)(exp((double)x[j] - top) / total);
    }
}

#define SCALAR_TABLE(isa, product)                                                                           \
    {                                                                                                        \
        .name = isa, .linear = product, .layernorm = kern_scalar_layernorm, .rmsnorm = kern_scalar_rmsnorm,  \
        .gelu_tanh = kern_scalar_gelu_tanh, .gelu_erf = kern_scalar_gelu_erf,                                \
        .silu_mul = kern_scalar_silu_mul, .add = kern_scalar_add, .axpy = kern_scalar_axpy,                  \
        .softmax = kern_scalar_softmax, .widen = kern_scalar_widen                                           \
    }

const kern_table kern_table_scalar = SCALAR_TABLE("scalar", NULL);
const kern_table kern_table_onednn = SCALAR_TABLE("onednn", kern_dnnl_linear);
