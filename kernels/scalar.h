/* SPDX-License-Identifier: Apache-2.0 */
/* The oracles: every kernel once more in plain C, one thread, sums in double, no blocking. Tests hold each
 * variant against these; they also serve processors that have no variant of their own. Arguments as in
 * kernels.h. */
#ifndef DSVL_KERNELS_SCALAR_H
#define DSVL_KERNELS_SCALAR_H

#include "kernels/kernels.h"

/* Element i of a weight array, widened. */
KERN_API float kern_scalar_element(const void *data, kern_dtype dtype, int64_t i);
/* Element of a quantized matrix: its scale, and q. */
KERN_API float kern_scalar_quantized(const kern_weight *w, int64_t row, int64_t col, int *q);
KERN_API void kern_scalar_widen(float *y, const void *x, kern_dtype dtype, int64_t n);

/* index NULL: rows 0..n-1 of x. The second computes outputs first .. first+count-1 only. */
KERN_API void kern_scalar_linear(float *y, const float *x, const int32_t *index, const kern_weight *w,
                                 const float *bias, int64_t n);
KERN_API void kern_scalar_linear_part(float *y, const float *x, const int32_t *index, const kern_weight *w,
                                      const float *bias, int64_t n, int64_t first, int64_t count);
/* The same with activations of 8 bits; w quantized. */
KERN_API void kern_scalar_linear_int8(float *y, const float *x, const int32_t *index, const kern_weight *w,
                                      const float *bias, int64_t n, int64_t first, int64_t count);
KERN_API void kern_scalar_matmul(float *C, int64_t ldc, const float *A, int64_t lda, const float *B,
                                 int64_t ldb, float alpha, float beta, int64_t m, int64_t n, int64_t k);
KERN_API void kern_scalar_head_linear(float *y, int64_t y_row, int64_t y_head, const float *x, int64_t x_row,
                                      int64_t x_head, const kern_weight *w, int64_t head_rows, int64_t first,
                                      int64_t d, int transposed, int64_t n, int64_t heads);

/* scores: room for `tokens` (or past + n) doubles. */
KERN_API void kern_scalar_attention_rel(float *out, const float *qkv, const float *rel_h, const float *rel_w,
                                        float scale, int64_t batch, int64_t side, int64_t heads, int64_t dim,
                                        double *scores); /* scores [side*side + 2*side] */
KERN_API void kern_scalar_attention_full(float *out, const float *qkv, float scale, int64_t batch,
                                         int64_t tokens, int64_t heads, int64_t dim, double *scores);
KERN_API void kern_scalar_attention_causal(float *out, const float *q, const float *k, const float *v,
                                           float scale, int64_t n, int64_t past, int64_t heads,
                                           int64_t kv_heads, int64_t dk, int64_t dv, int64_t k_stride,
                                           int64_t v_stride, double *scores);

KERN_API void kern_scalar_layernorm(float *y, const float *x, const float *gain, const float *bias, float eps,
                                    int64_t n, int64_t dim);
KERN_API void kern_scalar_rmsnorm(float *y, const float *x, const float *gain, float eps, int64_t n,
                                  int64_t dim);
KERN_API void kern_scalar_gelu_tanh(float *x, int64_t n);
KERN_API void kern_scalar_gelu_erf(float *x, int64_t n);
KERN_API void kern_scalar_silu_mul(float *y, const float *gate, const float *up, int64_t n);
KERN_API void kern_scalar_add(float *y, const float *x, int64_t n);
KERN_API void kern_scalar_axpy(float *y, float a, const float *x, int64_t n);
KERN_API void kern_scalar_softmax(float *x, int64_t n, int64_t dim);

#endif
