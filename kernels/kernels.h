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

/* Element types of weights; KERN_Q8 and KERN_Q4 are quantized matrices (see below). Activations and
 * accumulation are f32 always, but for kern_context_int8. */
typedef enum kern_dtype { KERN_F32, KERN_F16, KERN_BF16, KERN_Q8, KERN_Q4 } kern_dtype;

/* A linear layer's weight as it stands in the checkpoint: [rows = outputs, cols = inputs], mapped; row-major,
 * or quantized. */
typedef struct kern_weight {
    const void *data;
    kern_dtype dtype;
    int64_t rows, cols;
    int64_t group; /* quantized: inputs that share a scale, 32, 64 or 128; otherwise not looked at */
} kern_weight;

/* Threads and scratch. One context belongs to one caller at a time. */
typedef struct kern_context kern_context;
KERN_API kern_context *kern_context_new(int threads); /* 0: one per online CPU; NULL: no memory */
KERN_API void kern_context_free(kern_context *context);
KERN_API int kern_context_threads(const kern_context *context);
/* Scratch of at least `bytes`, 64-byte aligned, valid until the next call; NULL: no memory. For callers of
 * kernels; kernels use their own part. */
KERN_API void *kern_context_scratch(kern_context *context, size_t bytes);

/* Best instruction set in use: "scalar", "onednn" (scalar but for linear products), "avx2",
 * "avx512", "avx512vnni". kern_isa_force("avx2") selects one
 * that the CPU has (tests); false when it has not. The environment variable DSVL_ISA does the same at
 * start-up. */
KERN_API const char *kern_isa(void);
KERN_API bool kern_isa_force(const char *name);

/* ---- quantized matrices -------------------------------------------------------------------------------
 *
 * W[r, k] = scale[r, k / group] * q[r, k]; the whole numbers q lie in -127..127 (KERN_Q8) or -8..7 (KERN_Q4,
 * two's complement). In memory as on disk, the same for every instruction set and byte order, the matrix is
 *
 *     [panel][block of a panel], panels = ceil(rows / 32), blocks = ceil(cols / group) to a panel,
 *
 * and nothing between: panel p holds rows 32 p .. 32 p + 31, its block b columns group*b .. group*b +
 * group-1. Rows and columns that do not exist have q = 0, and such rows scale = 0. A block is
 *
 *     scale [32]              IEEE f16, low byte first, one a row: 64 bytes
 *     KERN_Q8: [group/4][32][4] bytes; byte j of row r in step s is q[r, 4 s + j]
 *     KERN_Q4: [group/8][32][4] bytes; byte j of row r in step s has q[r, 8 s + j] in its low four bits and
 *                               q[r, 8 s + 4 + j] in its high four
 *
 * so blocks are a multiple of 64 bytes, and products read the matrix from its first byte to its last. It may
 * stand at any address; at a multiple of 64 it is read fastest. Rows 32 i .. 32 j of a matrix, quantized on
 * their own, are those bytes of the whole: a large one can be written piece by piece, and a slice of whole
 * panels is a matrix too. */
#define KERN_PANEL 32

/* Bytes of a quantized matrix; -1: not a quantized type, not a group, no rows or columns, or too large. */
KERN_API int64_t kern_quantized_size(kern_dtype dtype, int64_t group, int64_t rows, int64_t cols);

/* Quantize w [rows, cols] f32 to `to` (kern_quantized_size bytes). Each scale is a function of its group
 * alone: for KERN_Q8 the largest magnitude / 127, for KERN_Q4 the largest value / -8, -7.5 or -7, whichever
 * leaves the smallest squared error; rounded to f16 before the q are chosen, nearest, ties to even. The bytes
 * are the same on every machine. 0, or -1: a value is not finite or beyond what an f16 scale can express. */
KERN_API int kern_quantize(kern_context *c, void *to, const float *w, kern_dtype dtype, int64_t group,
                           int64_t rows, int64_t cols);

/* Rows first .. first+count-1 of a quantized matrix as f32 [count, cols]: scale * q, rounded once. */
KERN_API void kern_dequantize(float *to, const kern_weight *w, int64_t first, int64_t count);

/* All scales are finite. Reads no more than the scales. */
KERN_API bool kern_quantized_finite(const kern_weight *w);

/* Multiply quantized matrices by activations rounded to 8 bits, one scale for each row of x (its largest
 * magnitude / 127): several times as fast as f32 for many rows, at a loss that the caller must have measured.
 * Off in a new context. Sums are exact in a group, so the promises on bits hold here too, and every
 * instruction set gives the same ones. Weights of other types are multiplied as always. */
KERN_API void kern_context_int8(kern_context *c, bool on);

/* ---- products ------------------------------------------------------------------------------------------ */

/* y[n, rows] = x[n, cols] . W^T + bias[rows] (bias may be NULL), W of any type. 0, or -1 when scratch is out.
 * With n small (decoding) each weight is read once, in its own type, at memory speed; with n large, blocked
 * matrix multiplication. */
KERN_API int kern_linear(kern_context *c, float *y, const float *x, const kern_weight *w, const float *bias,
                         int64_t n);

/* Row subsets for mixtures of experts: y[n, rows] = x[index[i], :] . W^T, for i < n. */
KERN_API int kern_linear_gather(kern_context *c, float *y, const float *x, const int32_t *index,
                                const kern_weight *w, int64_t n);

/* Several products that do not need each other's results, such as those of the experts that a token goes to:
 * y, x, index, w, bias and n of each as in kern_linear and kern_linear_gather (index NULL: rows as they
 * stand), with the same bits. Few rows of small matrices are faster so than one by one. 0, or -1 when scratch
 * is out. */
typedef struct kern_product {
    float *y;
    const float *x;
    const int32_t *index;
    const kern_weight *w;
    const float *bias;
    int64_t n;
} kern_product;
KERN_API int kern_linear_many(kern_context *c, const kern_product *products, int64_t count);

/* C[m, n] = alpha * A[m, k] . B^T + beta * C, B [n, k], leading dimensions in elements; dense f32 both. */
KERN_API int kern_matmul(kern_context *c, float *C, int64_t ldc, const float *A, int64_t lda, const float *B,
                         int64_t ldb, float alpha, float beta, int64_t m, int64_t n, int64_t k);

/* Bidirectional attention of a vision tower, tiled with running softmax (no [tokens, tokens] matrix in
 * memory). qkv [batch, tokens, 3, heads, dim] -> out [batch, tokens, heads, dim]; scale multiplies q.k. */
KERN_API int kern_attention_full(kern_context *c, float *out, const float *qkv, float scale, int64_t batch,
                                 int64_t tokens, int64_t heads, int64_t dim);

/* The same on a grid of side*side tokens with decomposed relative positions (SAM): the score of the query at
 * (y, x) and the key at (v, u) gains q . rel_h[y - v + side - 1] + q . rel_w[x - u + side - 1], where q is
 * not scaled. rel_h and rel_w [2*side-1, dim]. */
KERN_API int kern_attention_rel(kern_context *c, float *out, const float *qkv, const float *rel_h,
                                const float *rel_w, float scale, int64_t batch, int64_t side, int64_t heads,
                                int64_t dim);

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
 * 0), or y[i, h, :] (d values) = M_h[d, r] . x[i, h, 0..r) (transposed = 1). w is
 * not quantized. M_h = w rows [h*head_rows + first, + d). x and y have the given strides per (row, head) in
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

/* Widen f32, f16 or bf16 weights to f32. */
KERN_API void kern_widen(kern_context *c, float *y, const void *x, kern_dtype dtype, int64_t n);

#endif
