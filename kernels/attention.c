/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/internal.h"
#include "kernels/scalar.h"

int kern_attention_full(kern_context *c, float *out, const float *qkv, float scale, int64_t batch,
                        int64_t tokens, int64_t heads, int64_t dim)
{
    if (kern_reserve(c, 0, 2 * tokens)) return -1;
    kern_scalar_attention_full(out, qkv, scale, batch, tokens, heads, dim, kern_shared(c));
    return 0;
}

int kern_attention_causal(kern_context *c, float *out, const float *q, const float *k, const float *v,
                          float scale, int64_t n, int64_t past, int64_t heads, int64_t kv_heads, int64_t dk,
                          int64_t dv, int64_t k_stride, int64_t v_stride)
{
    if (kern_reserve(c, 0, 2 * (past + n))) return -1;
    kern_scalar_attention_causal(out, q, k, v, scale, n, past, heads, kv_heads, dk, dv, k_stride, v_stride,
                                 kern_shared(c));
    return 0;
}
