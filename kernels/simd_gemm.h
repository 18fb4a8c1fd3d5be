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

/* Sixteen columns of row `row`; what does not exist is zero. */
VEC v16 load_row(const kern_rows *m, int64_t row, int64_t k, kern_dtype dtype)
{
    if (row >= m->rows) return v16_zero();
    const int64_t at = (m->index ? m->index[row] : row) * m->stride + k;
    return k + 16 <= m->cols ? v16_load_weight(m->data, dtype, at)
                             : v16_load_weight_part(m->data, dtype, at, m->cols - k);
}

/* Pack at most VEC_MR rows of x, times scale. */
static void simd_pack_left(float *to, const kern_rows *x, kern_order order, float scale)
{
    const int64_t steps = (x->cols + 3) / 4;
    const int64_t chain = order == KERN_CHAINS ? steps * VEC_MR : VEC_MR;
    const int64_t step = order == KERN_CHAINS ? VEC_MR : 4 * VEC_MR;
    const float *row[VEC_MR];
    for (int64_t i = 0; i < VEC_MR; i++)
        row[i] = (const float *)x->data + (i >= x->rows ? 0 : x->index ? x->index[i] : i) * x->stride;
    for (int64_t k = 0; k < x->cols; k += 16) {
        const bool whole = x->rows == VEC_MR && k + 16 <= x->cols;
        const int64_t count = steps - k / 4 < 4 ? steps - k / 4 : 4;
#pragma GCC unroll 4
        for (int g = 0; g < VEC_MR; g += 4) {
            v16 r[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                if (g + i >= VEC_MR)
                    r[i] = v16_zero();
                else
                    r[i] = whole ? v16_load(row[g + i] + k) : load_row(x, g + i, k, KERN_F32);
                r[i] = v16_mul(r[i], v16_set1(scale));
            }
            v16_transpose_lanes(r);
#pragma GCC unroll 4
            for (int l = 0; l < 4; l++) {
                float *at = to + l * chain + k / 4 * step + g;
#pragma GCC unroll 4
                for (int s = 0; s < 4; s++) {
                    if (s >= count) break;
                    if (VEC_MR - g >= 4)
                        v16_store_quad(at + s * step, r[l], s);
                    else
                        v16_store_pair(at + s * step, r[l], s);
                }
            }
        }
    }
}

/* Sixteen rows at columns k .. k+15 to [chain][step][16]. */
VEC void pack_square(float *to, int64_t chain, int64_t step, int64_t steps, v16 r[4][4])
{
#pragma GCC unroll 4
    for (int g = 0; g < 4; g++) v16_transpose_lanes(r[g]);
#pragma GCC unroll 4
    for (int l = 0; l < 4; l++) {
        v16 c[4] = {r[0][l], r[1][l], r[2][l], r[3][l]};
        v16_transpose_quads(c);
#pragma GCC unroll 4
        for (int s = 0; s < 4; s++) {
            if (s >= steps) break;
            v16_store(to + l * chain + s * step, c[s]);
        }
    }
}

VEC void pack_right(float *to, const kern_rows *w, kern_order order, kern_dtype dtype)
{
    const int64_t steps = (w->cols + 3) / 4;
    const int64_t chain = order == KERN_CHAINS ? steps * NR : NR, step = order == KERN_CHAINS ? NR : 4 * NR;
    for (int64_t half = 0; half < NR && half < w->rows; half += 16) {
        int64_t k = 0;
        v16 r[4][4];
        if (w->rows - half >= 16)
            for (; k + 16 <= w->cols; k += 16) {
#pragma GCC unroll 16
                for (int i = 0; i < 16; i++)
                    r[i / 4][i % 4] = v16_load_weight(w->data, dtype, (half + i) * w->stride + k);
                pack_square(to + k / 4 * step + half, chain, step, 4, r);
            }
        for (; k < w->cols; k += 16) {
#pragma GCC unroll 16
            for (int i = 0; i < 16; i++) r[i / 4][i % 4] = load_row(w, half + i, k, dtype);
            pack_square(to + k / 4 * step + half, chain, step, steps - k / 4, r);
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

/* What a tile may fetch into the second-level cache for later while it computes, spread over its steps so
 * that its own loads find free buffers: from `at`, `each` floats further every eight steps. */
typedef struct fetch {
    const float *at;
    int64_t each;
} fetch;

/* One chain of an m x 16 nv tile: t (+)= sum over steps of a column of `a` times a row of b, times the
 * column's scale where there are scales. */
VEC void chain_tile(const int m, const int nv, const float *a, const int64_t a_row, const int64_t a_step,
                    const float *b, int64_t steps, float *t, int64_t ldt, bool first, fetch next,
                    const float *scale)
{
    v16 sum[VEC_MR][VEC_NV];
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) sum[i][v] = v16_zero();
    for (int64_t k = 0; k < steps;) {
        const int64_t stop = steps - k < 8 ? steps : k + 8;
        __builtin_prefetch(next.at, 0, 2);
        next.at += next.each;
        for (; k < stop; k++, a += a_step, b += NR) {
            v16 right[VEC_NV];
            /* Panels come from the second-level cache; the hardware's prefetching alone loses some per cent.
             */
            if (a_step == VEC_MR) __builtin_prefetch(a + 8 * VEC_MR);
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++) {
                __builtin_prefetch(b + 4 * NR + 16 * v);
                right[v] = v16_load(b + 16 * v);
            }
#pragma GCC unroll 16
            for (int i = 0; i < m; i++) {
                const v16 left = v16_set1(a[i * a_row]);
#pragma GCC unroll 4
                for (int v = 0; v < nv; v++) sum[i][v] = v16_fma(left, right[v], sum[i][v]);
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) {
            float *at = t + i * ldt + 16 * v;
            if (scale)
                v16_store(at,
                          v16_fma(v16_load(scale + 16 * v), sum[i][v], first ? v16_zero() : v16_load(at)));
            else
                v16_store(at, first ? sum[i][v] : v16_add(v16_load(at), sum[i][v]));
        }
}

typedef void chain_fn(const float *a, const float *b, int64_t steps, float *t, int64_t ldt, bool first,
                      fetch next);
typedef chain_fn probability_fn;
/* The same for one block of a quantized right factor. */
typedef void group_fn(const float *a, const float *b, int64_t steps, float *t, int64_t ldt, bool first,
                      fetch next, const float *scale);

#define CHAIN_TILE(m, nv)                                                                                    \
    static void chain_##m##_##nv(const float *a, const float *b, int64_t steps, float *t, int64_t ldt,       \
                                 bool first, fetch next)                                                     \
    {                                                                                                        \
        chain_tile(m, nv, a, 1, VEC_MR, b, steps, t, ldt, first, next, NULL);                                \
    }
#define GROUP_TILE(m, nv)                                                                                    \
    static void group_##m##_##nv(const float *a, const float *b, int64_t steps, float *t, int64_t ldt,       \
                                 bool first, fetch next, const float *scale)                                 \
    {                                                                                                        \
        chain_tile(m, nv, a, 1, VEC_MR, b, steps, t, ldt, first, next, scale);                               \
    }
#define PROBABILITY_TILE(m, nv)                                                                              \
    static void probability_##m##_##nv(const float *a, const float *b, int64_t steps, float *t, int64_t ldt, \
                                       bool first, fetch next)                                               \
    {                                                                                                        \
        chain_tile(m, nv, a, KERN_CHUNK, 1, b, steps, t, ldt, first, next, NULL);                            \
    }

/* Kernels for 1, 2, 4, ... VEC_MR rows: [rows / 2]; a count between two entries takes the larger (panels are
 * padded). chain: packed left factor. probability: left factor in rows of KERN_CHUNK (simd_attention.h). */
#if VEC_NV == 2
#define TILES(MAKE)                                                                                          \
    MAKE(1, 1)                                                                                               \
    MAKE(2, 1)                                                                                               \
    MAKE(4, 1)                                                                                               \
    MAKE(6, 1)                                                                                               \
    MAKE(8, 1)                                                                                               \
    MAKE(10, 1)                                                                                              \
    MAKE(12, 1)                                                                                              \
    MAKE(14, 1) MAKE(1, 2) MAKE(2, 2) MAKE(4, 2) MAKE(6, 2) MAKE(8, 2) MAKE(10, 2) MAKE(12, 2) MAKE(14, 2)
#define TILE_TABLE(name)                                                                                     \
    static name##_fn *const name##_table[2][8] = {                                                           \
        {name##_1_1, name##_2_1, name##_4_1, name##_6_1, name##_8_1, name##_10_1, name##_12_1, name##_14_1}, \
        {name##_1_2, name##_2_2, name##_4_2, name##_6_2, name##_8_2, name##_10_2, name##_12_2, name##_14_2}}
#else
#define TILES(MAKE) MAKE(1, 1) MAKE(2, 1) MAKE(4, 1) MAKE(6, 1)
#define TILE_TABLE(name)                                                                                     \
    static name##_fn *const name##_table[1][4] = {{name##_1_1, name##_2_1, name##_4_1, name##_6_1}}
#endif
TILES(CHAIN_TILE)
TILES(PROBABILITY_TILE)
TILES(GROUP_TILE)
TILE_TABLE(chain);
TILE_TABLE(group);
TILE_TABLE(probability);

/* The kernel for `rows` <= VEC_MR rows and `cols` <= NR columns. */
#define TILE_PICK(table, rows, cols)                                                                         \
    (table)[((cols) + 15) / 16 - 1][(rows) / 2 + ((rows) > 1 ? (rows) % 2 : 0)]

/* Write finished rows: y = alpha total + bias + beta y. */
VEC void finish_rows(const kern_gemm *g, const float *t, int64_t ldt, float *y, int64_t rows)
{
    const v16 alpha = v16_set1(g->alpha), beta = v16_set1(g->beta);
    for (int64_t i = 0; i < rows; i++, t += ldt, y += g->ldy)
        for (int64_t j = 0; j < g->cols; j += 16) {
            const int64_t left = g->cols - j;
            v16 v = v16_mul(alpha, v16_load(t + j));
            if (g->bias) v = v16_add(v, load_upto(g->bias + j, left));
            if (g->beta != 0) v = v16_fma(beta, load_upto(y + j, left), v);
            store_upto(y + j, v, left);
        }
}

/* Copy [rows, cols] between the tiles' own memory, of whole vectors, and the caller's. */
VEC void load_totals(float *t, int64_t ldt, const kern_gemm *g, const float *total, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t v = 0; v < g->cols; v += 16)
            v16_store(t + r * ldt + v, load_upto(total + r * g->ldt + v, g->cols - v));
}
VEC void store_totals(const float *t, int64_t ldt, const kern_gemm *g, float *total, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t v = 0; v < g->cols; v += 16)
            store_upto(total + r * g->ldt + v, v16_load(t + r * ldt + v), g->cols - v);
}

/* The panel of rows a times all columns, chain by chain along the whole row of tiles: the chain of the left
 * panel then stays in the first-level cache. */
VEC void chain_row(const kern_gemm *g, const float *a, int64_t rows, float *t, int64_t ldt, fetch next,
                   int64_t share)
{
    const int64_t steps = (g->k + 3) / 4;
    for (int l = 0; l < 4; l++)
        for (int64_t j = 0; j < g->cols; j += NR, next.at += share) {
            const int64_t cols = g->cols - j < NR ? g->cols - j : NR;
            TILE_PICK(chain_table, rows, cols)
            (a + l * steps * VEC_MR, g->b + j / NR * g->b_panel + l * steps * NR, steps, t + j, ldt,
             g->first && l == 0, next);
        }
}

/* The same, block by block of a quantized right factor. */
VEC void group_row(const kern_gemm *g, const float *a, int64_t rows, float *t, int64_t ldt, fetch next,
                   int64_t share)
{
    for (int64_t k = 0; k < g->k; k += g->group) {
        const int64_t steps = g->k - k < g->group ? g->k - k : g->group;
        for (int64_t j = 0; j < g->cols; j += NR, next.at += share) {
            const int64_t cols = g->cols - j < NR ? g->cols - j : NR;
            TILE_PICK(group_table, rows, cols)
            (a + k * VEC_MR, g->b + j / NR * g->b_panel + k * NR, steps, t + j, ldt, g->first && k == 0, next,
             g->scale + j / NR * g->s_panel + k / g->group * NR);
        }
    }
}

/* A block of packed rows times a block of packed columns over one k-block: see kern_gemm. */
static void simd_gemm(const kern_gemm *g)
{
    float t[VEC_MR * KERN_COLUMNS] __attribute__((aligned(64)));
    const int64_t ldt = (g->cols + 15) / 16 * 16, padded = (g->k + 3) / 4 * 4;
    /* While a panel of rows is multiplied the next one is fetched, an equal share by each tile. */
    const int64_t chains = g->scale ? (g->k + g->group - 1) / g->group : 4;
    const int64_t tiles = chains * ((g->cols + NR - 1) / NR), share = padded * VEC_MR / tiles;
    for (int64_t i = 0; i < g->rows; i += VEC_MR) {
        const int64_t rows = g->rows - i < VEC_MR ? g->rows - i : VEC_MR;
        const float *a = g->a + i / VEC_MR * g->a_panel;
        const fetch next = {i + VEC_MR < g->rows ? a + g->a_panel : a, share * 8 * chains / padded};
        if (!g->first) load_totals(t, ldt, g, g->total + i * g->ldt, rows);
        if (g->scale)
            group_row(g, a, rows, t, ldt, next, share);
        else
            chain_row(g, a, rows, t, ldt, next, share);
        if (g->last)
            finish_rows(g, t, ldt, g->y + i * g->ldy, rows);
        else
            store_totals(t, ldt, g, g->total + i * g->ldt, rows);
    }
}

#endif
