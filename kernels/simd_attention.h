/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of a block of query rows to one chunk of keys, and the joining of chunks: softmax as it runs. */
#ifndef DSVL_KERNELS_SIMD_ATTENTION_H
#define DSVL_KERNELS_SIMD_ATTENTION_H

/* scores[rows, length] from packed panels, one k-block of dk after the other. */
static void scores_packed(const kern_chunk *c)
{
    const int64_t padded = (c->dk + 3) / 4 * 4, span = kern_span(c->dk);
    for (int64_t j = 0; j < c->length; j += NR) {
        const int64_t cols = c->length - j < NR ? c->length - j : NR;
        const float *b = c->k_panels + j * padded;
        for (int64_t i = 0; i < c->rows; i += VEC_MR) {
            const int64_t rows = c->rows - i < VEC_MR ? c->rows - i : VEC_MR;
            chain_fn *tile = TILE_PICK(chain_table, rows, cols);
            const float *a = c->q + i * padded;
            float *t = c->scores + i * KERN_CHUNK + j;
            const fetch none = {b, 0};
            if (c->order == KERN_PLAIN) {
                tile(a, b, padded, t, KERN_CHUNK, true, none);
                continue;
            }
            for (int64_t k = 0; k < c->dk; k += span) {
                const int64_t steps = ((c->dk - k < span ? c->dk - k : span) + 3) / 4;
                for (int64_t l = 0; l < 4; l++)
                    tile(a + (k + l * steps) * VEC_MR, b + (k + l * steps) * NR, steps, t, KERN_CHUNK,
                         k + l == 0, none);
            }
        }
    }
}

static void values_packed(const kern_chunk *c)
{
    for (int64_t j = 0; j < c->dv; j += NR) {
        const int64_t cols = c->dv - j < NR ? c->dv - j : NR;
        const float *b = c->v_panels + j / NR * c->v_panel;
        for (int64_t i = 0; i < c->rows; i += VEC_MR) {
            const int64_t rows = c->rows - i < VEC_MR ? c->rows - i : VEC_MR;
            TILE_PICK(probability_table, rows, cols)
            (c->scores + i * KERN_CHUNK, b, c->length, c->out + i * c->ldo + j, c->ldo, true, (fetch){b, 0});
        }
    }
}

/* One row of probabilities times the values as they stand; the same sums as values_packed. */
static void values_row(const kern_chunk *c, int64_t row)
{
    const float *v = c->values.data, *p = c->scores + row * KERN_CHUNK;
    float *out = c->out + row * c->ldo;
    int64_t j = 0;
    for (; j + 64 <= c->dv; j += 64) {
        v16 s[4] = {v16_zero(), v16_zero(), v16_zero(), v16_zero()};
        for (int64_t t = 0; t < c->length; t++)
#pragma GCC unroll 4
            for (int u = 0; u < 4; u++)
                s[u] = v16_fma(v16_set1(p[t]), v16_load(v + t * c->values.stride + j + 16 * u), s[u]);
#pragma GCC unroll 4
        for (int u = 0; u < 4; u++) v16_store(out + j + 16 * u, s[u]);
    }
    for (; j < c->dv; j += 16) {
        v16 s = v16_zero();
        for (int64_t t = 0; t < c->length; t++)
            s = v16_fma(v16_set1(p[t]), load_upto(v + t * c->values.stride + j, c->dv - j), s);
        v16_store(out + j, s);
    }
}

/* Runs of keys in one row of the grid. */
static void add_bias(const kern_chunk *c, float *s, const float *bias)
{
    for (int64_t t = 0; t < c->length;) {
        const int64_t at = c->begin + t, column = at % c->side;
        const int64_t run = c->side - column < c->length - t ? c->side - column : c->length - t;
        const v16 row = v16_set1(bias[at / c->side]);
        const float *columns = bias + c->side + column;
        for (int64_t j = 0; j < run; j += 16)
            store_upto(s + t + j,
                       v16_add(v16_add(load_upto(s + t + j, run - j), row), load_upto(columns + j, run - j)),
                       run - j);
        t += run;
    }
}

/* Scores become e^(score - top); what a row may not see becomes 0. */
static void weigh(const kern_chunk *c)
{
    for (int64_t r = 0; r < c->rows; r++) {
        float *s = c->scores + r * KERN_CHUNK;
        int64_t seen = c->visible ? c->visible[r] : c->length;
        if (seen > c->length) seen = c->length;
        if (c->bias) add_bias(c, s, c->bias + r * 2 * c->side);
        c->top[r] = seen > 0 ? row_top(s, seen) : -FLT_MAX;
        c->sum[r] = seen > 0 ? row_exp(s, c->top[r], seen) : 0;
        for (int64_t t = seen > 0 ? seen : 0; t < c->length; t++) s[t] = 0;
    }
}

static void simd_attend(const kern_chunk *c)
{
    if (c->k_panels) {
        scores_packed(c);
    } else {
        const kern_gemv job = {c->scores, c->q, KERN_CHUNK, c->rows, &c->keys, NULL};
        simd_gemv(&job);
    }
    weigh(c);
    if (c->v_panels)
        values_packed(c);
    else
        for (int64_t r = 0; r < c->rows; r++) values_row(c, r);
}

/* Sixteen rows from r on: their new maxima and sums, and the factors of the earlier and the new part. */
VEC void join_factors(float *top, float *sum, const kern_chunk *with, int64_t r, float keep[16],
                      float take[16])
{
    const int64_t left = with->rows - r;
    const v16 t = load_upto(top + r, left), u = load_upto(with->top + r, left), high = v16_max(t, u);
    const v16 k = simd_exp(v16_sub(t, high)), w = simd_exp(v16_sub(u, high));
    store_upto(top + r, high, left);
    store_upto(sum + r, v16_fma(load_upto(sum + r, left), k, v16_mul(load_upto(with->sum + r, left), w)),
               left);
    v16_store(keep, k);
    v16_store(take, w);
}

static void simd_attend_join(float *top, float *sum, float *out, int64_t ldo, const kern_chunk *with)
{
    float keep[16], take[16];
    for (int64_t r = 0; r < with->rows; r++) {
        if (r % 16 == 0) join_factors(top, sum, with, r, keep, take);
        const v16 k = v16_set1(keep[r % 16]), w = v16_set1(take[r % 16]);
        float *to = out + r * ldo;
        const float *from = with->out + r * with->ldo;
        for (int64_t j = 0; j < with->dv; j += 16)
            v16_store(to + j, v16_fma(v16_load(to + j), k, v16_mul(v16_load(from + j), w)));
    }
}

static void simd_attend_finish(float *to, const float *out, float sum, int64_t dv)
{
    const v16 total = v16_set1(sum);
    for (int64_t j = 0; j < dv; j += 16) store_upto(to + j, v16_div(v16_load(out + j), total), dv - j);
}

#endif
