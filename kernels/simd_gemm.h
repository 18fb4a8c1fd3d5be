/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products on 16 lanes.
 *
 * Every sum over k, whichever kernel forms it, is the same sequence of roundings (so decoding one token and
 * prefilling many give the same bits, as do AVX2 and AVX-512): k is cut into blocks of KERN_BLOCK; in a
 * block, chain l = 0..3 adds the products with k = l (mod 4) in ascending order, each by one fused
 * multiply-add from zero; the chains of all blocks are added in ascending order. Four chains are what one
 * 128-bit quad of a weight row feeds, so that weights need no transposition when one row is multiplied
 * (simd_gemv.h).
 *
 * For many rows both factors are packed: a panel holds VEC_MR rows of x (or 16 VEC_NV rows of W) as
 * [chain][step][row], widened and padded with zeros. */
#ifndef DSVL_KERNELS_SIMD_GEMM_H
#define DSVL_KERNELS_SIMD_GEMM_H

#define NR (16 * VEC_NV)

/* Rows row..row+3 of a matrix at 16 columns; rows and columns that do not exist are zero. */
VEC void load_rows(v16 r[4], const kern_rows *m, int64_t row, int64_t k, kern_dtype dtype)
{
    for (int i = 0; i < 4; i++) {
        if (row + i >= m->rows) {
            r[i] = v16_zero();
            continue;
        }
        const int64_t at = (m->index ? m->index[row + i] : row + i) * m->stride + k;
        r[i] = k + 16 <= m->cols ? v16_load_weight(m->data, dtype, at)
                                 : v16_load_weight_part(m->data, dtype, at, m->cols - k);
    }
}

/* Pack at most VEC_MR rows of x, times scale. */
static void simd_pack_left(float *to, const kern_rows *x, kern_order order, float scale)
{
    const int64_t steps = (x->cols + 3) / 4;
    const int64_t chain = order == KERN_CHAINS ? steps * VEC_MR : VEC_MR;
    const int64_t step = order == KERN_CHAINS ? VEC_MR : 4 * VEC_MR;
    for (int64_t k = 0; k < x->cols; k += 16)
        for (int g = 0; g < VEC_MR; g += 4) {
            v16 r[4];
            load_rows(r, x, g, k, KERN_F32);
            v16_transpose_lanes(r);
#pragma GCC unroll 4
            for (int l = 0; l < 4; l++) {
                float *at = to + l * chain + k / 4 * step + g;
                const v16 v = v16_mul(r[l], v16_set1(scale));
#pragma GCC unroll 4
                for (int s = 0; s < 4; s++) {
                    if (k / 4 + s >= steps) break;
                    if (VEC_MR - g >= 4)
                        v16_store_quad(at + s * step, v, s);
                    else
                        v16_store_pair(at + s * step, v, s);
                }
            }
        }
}

VEC void pack_right(float *to, const kern_rows *w, kern_order order, kern_dtype dtype)
{
    const int64_t steps = (w->cols + 3) / 4;
    const int64_t chain = order == KERN_CHAINS ? steps * NR : NR, step = order == KERN_CHAINS ? NR : 4 * NR;
    for (int64_t k = 0; k < w->cols; k += 16)
        for (int64_t half = 0; half < NR && half < w->rows; half += 16) {
            v16 r[4][4], c[4];
#pragma GCC unroll 4
            for (int g = 0; g < 4; g++) {
                load_rows(r[g], w, half + 4 * g, k, dtype);
                v16_transpose_lanes(r[g]);
            }
#pragma GCC unroll 4
            for (int l = 0; l < 4; l++) {
#pragma GCC unroll 4
                for (int g = 0; g < 4; g++) c[g] = r[g][l];
                v16_transpose_quads(c);
                for (int s = 0; s < 4 && k / 4 + s < steps; s++)
                    v16_store(to + l * chain + (k / 4 + s) * step + half, c[s]);
            }
        }
}

/* Pack at most NR rows of W (outputs). */
static void simd_pack_right(float *to, const kern_rows *w, kern_order order)
{
    switch (w->dtype) {
    case KERN_F32:
        pack_right(to, w, order, KERN_F32);
        break;
    case KERN_F16:
        pack_right(to, w, order, KERN_F16);
        break;
    case KERN_BF16:
        pack_right(to, w, order, KERN_BF16);
        break;
    case KERN_Q8:
    case KERN_Q4:
        break;
    }
}

VEC void pack_across(float *to, const kern_rows *w, kern_order order, kern_dtype dtype)
{
    const int64_t steps = (w->rows + 3) / 4;
    for (int64_t k = 0; k < 4 * steps; k++) {
        float *at = to + (order == KERN_CHAINS ? k % 4 * steps + k / 4 : k) * NR;
        for (int64_t j = 0; j < NR && j < w->cols; j += 16) {
            v16 v = v16_zero();
            if (k < w->rows)
                v = w->cols - j >= 16 ? v16_load_weight(w->data, dtype, k * w->stride + j)
                                      : v16_load_weight_part(w->data, dtype, k * w->stride + j, w->cols - j);
            v16_store(at + j, v);
        }
    }
}

/* Pack at most NR columns of a matrix whose rows run along k (the sum). */
static void simd_pack_across(float *to, const kern_rows *w, kern_order order)
{
    switch (w->dtype) {
    case KERN_F32:
        pack_across(to, w, order, KERN_F32);
        break;
    case KERN_F16:
        pack_across(to, w, order, KERN_F16);
        break;
    case KERN_BF16:
        pack_across(to, w, order, KERN_BF16);
        break;
    case KERN_Q8:
    case KERN_Q4:
        break;
    }
}

/* One chain of an m x 16 nv tile: t (+)= sum over steps of a column of `a` times a row of b. */
VEC void chain_tile(const int m, const int nv, const float *a, const int64_t a_row, const int64_t a_step,
                    const float *b, int64_t steps, float *t, int64_t ldt, bool first)
{
    v16 sum[VEC_MR][VEC_NV];
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) sum[i][v] = v16_zero();
    for (int64_t k = 0; k < steps; k++, a += a_step, b += NR) {
        v16 right[VEC_NV];
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) right[v] = v16_load(b + 16 * v);
#pragma GCC unroll 16
        for (int i = 0; i < m; i++) {
            const v16 left = v16_set1(a[i * a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++) sum[i][v] = v16_fma(left, right[v], sum[i][v]);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) {
            float *at = t + i * ldt + 16 * v;
            v16_store(at, first ? sum[i][v] : v16_add(v16_load(at), sum[i][v]));
        }
}

typedef void chain_fn(const float *a, const float *b, int64_t steps, float *t, int64_t ldt, bool first);

#define CHAIN_TILE(m, nv)                                                                                    \
    static void chain_##m##_##nv(const float *a, const float *b, int64_t steps, float *t, int64_t ldt,       \
                                 bool first)                                                                 \
    {                                                                                                        \
        chain_tile(m, nv, a, 1, VEC_MR, b, steps, t, ldt, first);                                            \
    }
#define PROBABILITY_TILE(m, nv)                                                                              \
    static void probability_##m##_##nv(const float *a, const float *b, int64_t steps, float *t, int64_t ldt, \
                                       bool first)                                                           \
    {                                                                                                        \
        chain_tile(m, nv, a, KERN_CHUNK, 1, b, steps, t, ldt, first);                                        \
    }

/* Kernels for 1, 2, 4, ... VEC_MR rows: [rows / 2]; a count between two entries takes the larger (panels are
 * padded). chain: packed left factor. probability: left factor in rows of KERN_CHUNK (simd_attention.h). */
#if VEC_NV == 2
#define TILES(MAKE)                                                                                          \
    MAKE(1, 1)                                                                                               \
    MAKE(2, 1)                                                                                               \
    MAKE(4, 1)                                                                                               \
    MAKE(6, 1)                                                                                               \
    MAKE(8, 1) MAKE(10, 1) MAKE(12, 1) MAKE(14, 1) MAKE(1, 2) MAKE(2, 2) MAKE(4, 2) MAKE(6, 2) MAKE(8, 2)    \
        MAKE(10, 2) MAKE(12, 2) MAKE(14, 2)
#define TILE_TABLE(name)                                                                                     \
    static chain_fn *const name##_table[2][8] = {                                                            \
        {name##_1_1, name##_2_1, name##_4_1, name##_6_1, name##_8_1, name##_10_1, name##_12_1, name##_14_1}, \
        {name##_1_2, name##_2_2, name##_4_2, name##_6_2, name##_8_2, name##_10_2, name##_12_2, name##_14_2}}
#else
#define TILES(MAKE) MAKE(1, 1) MAKE(2, 1) MAKE(4, 1) MAKE(6, 1)
#define TILE_TABLE(name)                                                                                     \
    static chain_fn *const name##_table[1][4] = {{name##_1_1, name##_2_1, name##_4_1, name##_6_1}}
#endif
TILES(CHAIN_TILE)
TILES(PROBABILITY_TILE)
TILE_TABLE(chain);
TILE_TABLE(probability);

/* The kernel for `rows` <= VEC_MR rows and `cols` <= NR columns. */
#define TILE_PICK(table, rows, cols)                                                                         \
    (table)[((cols) + 15) / 16 - 1][(rows) / 2 + ((rows) > 1 ? (rows) % 2 : 0)]

/* t [rows, ldt]: the sums of one k-block, onto t unless `first`. */
VEC void block_tile(chain_fn *tile, const float *a, const float *b, int64_t k, float *t, int64_t ldt,
                    bool first)
{
    const int64_t steps = (k + 3) / 4;
    for (int l = 0; l < 4; l++)
        tile(a + l * steps * VEC_MR, b + l * steps * NR, steps, t, ldt, first && l == 0);
}

/* Write a finished tile: y = alpha total + bias + beta y. */
VEC void finish_tile(const kern_gemm *g, const float *t, float *y, int64_t rows, int64_t col, int64_t cols)
{
    const v16 alpha = v16_set1(g->alpha), beta = v16_set1(g->beta);
    for (int64_t j = 0; j < cols; j += 16) {
        const int64_t left = cols - j;
        const v16 bias = g->bias ? load_upto(g->bias + col + j, left) : v16_zero();
        for (int64_t i = 0; i < rows; i++) {
            v16 v = v16_mul(alpha, v16_load(t + i * NR + j));
            if (g->bias) v = v16_add(v, bias);
            if (g->beta != 0) v = v16_fma(beta, load_upto(y + i * g->ldy + j, left), v);
            store_upto(y + i * g->ldy + j, v, left);
        }
    }
}

/* A block of packed rows times a block of packed columns over one k-block: see kern_gemm. */
static void simd_gemm(const kern_gemm *g)
{
    float t[VEC_MR * NR] __attribute__((aligned(64)));
    for (int64_t i = 0; i < g->rows; i += VEC_MR) {
        const int64_t rows = g->rows - i < VEC_MR ? g->rows - i : VEC_MR;
        const float *a = g->a + i / VEC_MR * g->a_panel;
        for (int64_t j = 0; j < g->cols; j += NR) {
            const int64_t cols = g->cols - j < NR ? g->cols - j : NR;
            float *total = g->total + i * g->ldt + j;
            if (!g->first)
                for (int64_t r = 0; r < rows; r++)
                    for (int64_t v = 0; v < cols; v += 16)
                        v16_store(t + r * NR + v, load_upto(total + r * g->ldt + v, cols - v));
            block_tile(TILE_PICK(chain_table, rows, cols), a, g->b + j / NR * g->b_panel, g->k, t, NR,
                       g->first);
            if (g->last)
                finish_tile(g, t, g->y + i * g->ldy + j, rows, j, cols);
            else
                for (int64_t r = 0; r < rows; r++)
                    for (int64_t v = 0; v < cols; v += 16)
                        store_upto(total + r * g->ldt + v, v16_load(t + r * NR + v), cols - v);
        }
    }
}

#endif
