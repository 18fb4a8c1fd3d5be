/* SPDX-License-Identifier: Apache-2.0 */
/* libdsvl-kernels: arithmetic only. Destination first, dimensions last, f32 activations, row-major, the last
 * dimension contiguous. No kernel allocates, keeps state or reads globals other than the CPU dispatch table;
 * scratch and threads come in the context. The order of every reduction is fixed by shapes alone: 1 thread
 * and N threads give identical bits, and a row's result does not depend on how many rows are computed with
 * it. Each kernel has a scalar reference (kern_scalar_*) that is the oracle in tests/kernels. */
#ifndef DSVL_KERNELS_H
#define DSVL_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define KERN_API __attribute__((visibility("default")))
#else
#define KERN_API
#endif

/* Element types of weights. Activations and accumulation are f32 always. */
typedef enum kern_dtype { KERN_F32, KERN_F16, KERN_BF16 } kern_dtype;

/* A linear layer's weight as it stands in the checkpoint: [rows = outputs, cols = inputs], row-major, mapped.
 */
typedef struct kern_weight {
    const void *data;
    kern_dtype dtype;
    int64_t rows, cols;
} kern_weight;

/* Threads and scratch. One context belongs to one caller at a time. */
typedef struct kern_context kern_context;
KERN_API kern_context *kern_context_new(int threads); /* 0: one per online CPU; NULL: no memory */
KERN_API void kern_context_free(kern_context *context);
KERN_API int kern_context_threads(const kern_context *context);
/* Scratch of at least `bytes`, 64-byte aligned, valid until the next call; NULL: no memory. For callers of
 * kernels; kernels use their own part. */
KERN_API void *kern_context_scratch(kern_context *context, size_t bytes);

/* Best instruction set in use: "scalar", "avx2", "avx512", "neon". kern_isa_force("avx2") selects one that
 * the CPU has (tests); false when it has not. The environment variable DSVL_ISA does the same at start-up. */
KERN_API const char *kern_isa(void);
KERN_API bool kern_isa_force(const char *name);

/* y[n, rows] = x[n, cols] . W^T + bias[rows] (bias may be NULL). 0, or -1 when scratch is out. With n small
 * (decoding) each weight is read once, in its own type, at memory speed; with n large, blocked matrix
 * multiplication. */
KERN_API int kern_linear(kern_context *c, float *y, const float *x, const kern_weight *w, const float *bias,
                         int64_t n);

/* Row subsets for mixtures of experts: y[n, rows] = x[index[i], :] . W^T, for i < n. */
KERN_API int kern_linear_gather(kern_context *c, float *y, const float *x, const int32_t *index,
                                const kern_weight *w, int64_t n);

/* C[m, n] = alpha * A[m, k] . B^T + beta * C, B [n, k], leading dimensions in elements; dense f32 both. */
KERN_API int kern_matmul(kern_context *c, float *C, int64_t ldc, const float *A, int64_t lda, const float *B,
                         int64_t ldb, float alpha, float beta, int64_t m, int64_t n, int64_t k);

/* Bidirectional attention of a vision tower, tiled with running softmax (no [tokens, tokens] matrix in
 * memory). qkv [batch, tokens, 3, heads, dim] -> out [batch, tokens, heads, dim]; scale multiplies q.k. */
KERN_API int kern_attention_full(kern_context *c, float *out, const float *qkv, float scale, int64_t batch,
                                 int64_t tokens, int64_t heads, int64_t dim);

/* Causal attention with a cache. Queries are positions past .. past+n-1 of a sequence whose keys and values
 * stand in the cache up to past+n. q [n, heads, dk]; keys: row t of kv-head h at k + (t*kv_stride_k + h*dk);
 * values likewise with dv. heads is a multiple of kv_heads. out [n, heads, dv]. For absorbed MLA: kv_heads =
 * 1, dk = kv_lora_rank + rope_dim, dv = kv_lora_rank, v = k (the latent is both). */
KERN_API int kern_attention_causal(kern_context *c, float *out, const float *q, const float *k,
                                   const float *v, float scale, int64_t n, int64_t past, int64_t heads,
                                   int64_t kv_heads, int64_t dk, int64_t dv, int64_t k_stride,
                                   int64_t v_stride);

/* Batched small products for absorbed MLA: for each of n rows and each head,
 * y[i, h, :] (r values) = x[i, h, 0..d) . M_h, with M_h [d, r] rows h*stride.. of a kv_b weight (transposed =
 * 0), or y[i, h, :] (d values) = M_h[d, r] . x[i, h, 0..r) (transposed = 1). `row` is the first row of head h
 * within w: M_h = w rows [h*head_rows + first, + d). x and y have the given strides per (row, head) in
 * elements. */
KERN_API int kern_head_linear(kern_context *c, float *y, int64_t y_row, int64_t y_head, const float *x,
                              int64_t x_row, int64_t x_head, const kern_weight *w, int64_t head_rows,
                              int64_t first, int64_t d, int transposed, int64_t n, int64_t heads);

/* Normalisation over the last dimension; y may be x. Mean and variance in f32 as PyTorch computes them. */
KERN_API void kern_layernorm(kern_context *c, float *y, const float *x, const float *gain, const float *bias,
                             float eps, int64_t n, int64_t dim);
KERN_API void kern_rmsnorm(kern_context *c, float *y, const float *x, const float *gain, float eps, int64_t n,
                           int64_t dim);

KERN_API void kern_gelu_tanh(kern_context *c, float *x, int64_t n); /* in place */
KERN_API void kern_gelu_erf(kern_context *c, float *x, int64_t n);  /* in place */
KERN_API void kern_silu_mul(kern_context *c, float *y, const float *gate, const float *up,
                            int64_t n);                                       /* y = silu(gate)*up */
KERN_API void kern_add(kern_context *c, float *y, const float *x, int64_t n); /* y += x */
KERN_API void kern_axpy(kern_context *c, float *y, float a, const float *x, int64_t n); /* y += a*x */
KERN_API void kern_softmax(kern_context *c, float *x, int64_t n, int64_t dim);          /* rows, in place */

/* Rotary embedding in place on x [n, heads, stride], the first `dim` values of each head from x + offset
 * given by the caller's pointer; cos/sin tables [positions, dim/2], row i uses position past+i. Half: (i,
 * i+dim/2) pairs as LLaMA. Interleaved: (2i, 2i+1) pairs gathered to halves first, as DeepSeek-V2 (the output
 * order is the half order). */
KERN_API void kern_rope_half(kern_context *c, float *x, const float *cosine, const float *sine, int64_t n,
                             int64_t past, int64_t heads, int64_t dim, int64_t row_stride,
                             int64_t head_stride);
KERN_API void kern_rope_interleaved(kern_context *c, float *x, const float *cosine, const float *sine,
                                    int64_t n, int64_t past, int64_t heads, int64_t dim, int64_t row_stride,
                                    int64_t head_stride);

/* Patches of uint8 tiles for a strided convolution: tiles [n, size, size, 3] -> rows [n, side*side,
 * 3*patch*patch] in the convolution weight's order (channel, y, x), value (v/255 - mean[c]) / std[c] in f32
 * as torchvision computes it. */
KERN_API void kern_patches(kern_context *c, float *rows, const uint8_t *tiles, const float mean[3],
                           const float std[3], int64_t n, int64_t size, int64_t patch, int64_t side);

/* Widen weights to f32. */
KERN_API void kern_widen(kern_context *c, float *y, const void *x, kern_dtype dtype, int64_t n);

#endif
