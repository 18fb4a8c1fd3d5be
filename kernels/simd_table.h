/* SPDX-License-Identifier: Apache-2.0 */
/* The table of what the simd_*.h files define: the last one that table_avx2.c and table_avx512.c include. */
#ifndef DSVL_KERNELS_SIMD_TABLE_H
#define DSVL_KERNELS_SIMD_TABLE_H

#define SIMD_TABLE(isa, bytes, three)                                                                        \
    {                                                                                                        \
        .name = isa, .int8 = bytes, .exact = three, .layernorm = simd_layernorm, .rmsnorm = simd_rmsnorm,    \
        .gelu_tanh = simd_gelu_tanh_run, .gelu_erf = simd_gelu_erf_run, .silu_mul = simd_silu_mul,           \
        .add = simd_add, .axpy = simd_axpy, .softmax = simd_softmax, .widen = simd_widen, .mr = VEC_MR,      \
        .nr = NR, .pack_left = simd_pack_left, .pack_right = simd_pack_right,                                \
        .pack_across = simd_pack_across, .gemm = simd_gemm, .pack_quads = simd_pack_quads,                   \
        .gemv = simd_gemv, .few = simd_few, .expand = simd_expand, .gemv_across = simd_gemv_across,          \
        .attend = simd_attend, .attend_join = simd_attend_join, .attend_finish = simd_attend_finish          \
    }

#endif
