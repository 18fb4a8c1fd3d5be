/* SPDX-License-Identifier: Apache-2.0 */
/* Products with quantized matrices (layout: kernels.h) and f32 activations.
 *
 * Every product, of few rows or many, is the same sequence of roundings: the q of a block, as floats, times x
 * in ascending order of k, each by one fused multiply-add from zero; then the block's sum times its scale is
 * added, fused, to what earlier blocks gave. The floats are q times Q_UNIT, a power of two that the way from
 * bytes to floats leaves there; scales are divided by it. */
#ifndef DSVL_KERNELS_SIMD_QUANTIZE_H
#define DSVL_KERNELS_SIMD_QUANTIZE_H

/* Rows of x that few_quantized takes at a time, blocks that it then has in flight (so that enough sums are
 * independent), and halves of a panel. */
#define Q_ROWS 4
#define Q_BLOCKS 4
#define Q_HALVES (KERN_PANEL / 16)
#define Q_IN_FLIGHT(n) ((n) == 1 ? 2 * VEC_NV : (n) == 2 ? 3 * VEC_NV - 2 : VEC_NV)
#define Q_HALVES_AT_ONCE(n) (VEC_NV == 2 || (n) <= 2 ? Q_HALVES : 1)
#define Q_PER_LINE(dtype) ((dtype) == KERN_Q8 ? 4 : 8) /* q of a row in a line of 64 bytes */

/* q number k of a line's rows, times Q_UNIT. */
VEC v16 v16_q(v64 line, const int k, kern_dtype dtype)
{
    return dtype == KERN_Q8 ? v16_q8(line, k) : v16_q4(line, k);
}

/* Scales of half a panel, of the block at `block`. */
VEC v16 v16_scales(const unsigned char *block, int64_t half, kern_dtype dtype)
{
    const v16 unit = v16_set1(dtype == KERN_Q8 ? 0x1p-24f : 0x1p-28f);
    return v16_mul(v16_load_weight(block, KERN_F16, 16 * half), unit);
}

typedef v16 block_sums[Q_BLOCKS][Q_HALVES][Q_ROWS];

/* sum[u][h][i]: block u of `count` consecutive ones, from x[u], row i at x[u] + i*ldx. */
VEC void sum_blocks(block_sums sum, const kern_few *job, const unsigned char *w, const float **x, const int n,
                    const int count, kern_dtype dtype)
{
    const int halves = Q_HALVES_AT_ONCE(n), per = Q_PER_LINE(dtype);
    const int64_t size = job->block_bytes;
    for (int first = 0; first < Q_HALVES; first += halves) {
        v16 s[Q_BLOCKS][Q_HALVES][Q_ROWS];
        const unsigned char *at = w + 2 * KERN_PANEL + 64 * first;
#pragma GCC unroll 16
        for (int i = 0; i < count * halves * n; i++) s[i / n / halves][i / n % halves][i % n] = v16_zero();
        for (int64_t k = 0; k < job->group; k += per, at += 64 * Q_HALVES)
#pragma GCC unroll 8
            for (int u = 0; u < count; u++)
#pragma GCC unroll 2
                for (int h = 0; h < halves; h++) {
                    const v64 line = v64_load(at + u * size + 64 * h);
                    __builtin_prefetch(at + (u + count) * size + 64 * h, 0, 2);
#pragma GCC unroll 8
                    for (int j = 0; j < per; j++) {
                        const v16 q = v16_q(line, j, dtype);
#pragma GCC unroll 4
                        for (int i = 0; i < n; i++)
                            s[u][h][i] = v16_fma(q, v16_set1(x[u][i * job->ldx + k + j]), s[u][h][i]);
                    }
                }
#pragma GCC unroll 16
        for (int i = 0; i < count * halves * n; i++)
            sum[i / n / halves][first + i / n % halves][i % n] = s[i / n / halves][i / n % halves][i % n];
    }
}

/* Rows begin .. begin+n-1 of x. */
VEC void few_rows_quantized(const kern_few *job, int64_t begin, const int n, kern_dtype dtype)
{
    const int in_flight = Q_IN_FLIGHT(n);
    const int64_t all = (job->rows + KERN_PANEL - 1) / KERN_PANEL * job->blocks;
    const unsigned char *w = job->w;
    v16 total[Q_HALVES][Q_ROWS];
    int64_t block = 0, row = 0;
    for (int64_t done = 0; done < all;) {
        const int count = all - done < in_flight ? (int)(all - done) : in_flight;
        const float *x[Q_BLOCKS];
        block_sums sum;
        for (int u = 0; u < count; u++)
            x[u] = job->x + begin * job->ldx + (block + u) % job->blocks * job->group;
        if (count == in_flight)
            sum_blocks(sum, job, w, x, n, in_flight, dtype);
        else
            for (int u = 0; u < count; u++)
                sum_blocks(sum + u, job, w + u * job->block_bytes, x + u, n, 1, dtype);
        for (int u = 0; u < count; u++, w += job->block_bytes) {
            for (int h = 0; h < Q_HALVES; h++) {
                const v16 scale = v16_scales(w, h, dtype);
                for (int i = 0; i < n; i++)
                    total[h][i] = v16_fma(scale, sum[u][h][i], block == 0 ? v16_zero() : total[h][i]);
            }
            if (++block < job->blocks) continue;
            block = 0;
            for (int h = 0; h < Q_HALVES && row < job->rows; h++, row += 16)
                for (int i = 0; i < n; i++) {
                    v16 y = total[h][i];
                    if (job->bias) y = v16_add(y, load_upto(job->bias + row, job->rows - row));
                    store_upto(job->y + (begin + i) * job->ldy + row, y, job->rows - row);
                }
        }
        done += count;
    }
}

VEC void few_typed(const kern_few *job, kern_dtype dtype)
{
    int64_t i = 0;
    for (; i + Q_ROWS <= job->n; i += Q_ROWS) few_rows_quantized(job, i, Q_ROWS, dtype);
    switch (job->n - i) {
    case 1:
        few_rows_quantized(job, i, 1, dtype);
        break;
    case 2:
        few_rows_quantized(job, i, 2, dtype);
        break;
    case 3:
        few_rows_quantized(job, i, 3, dtype);
        break;
    default:
        break;
    }
}

static void simd_few(const kern_few *job)
{
    if (job->dtype == KERN_Q8)
        few_typed(job, KERN_Q8);
    else
        few_typed(job, KERN_Q4);
}

VEC void expand(float *to, float *scale, const unsigned char *block, int64_t group, int64_t b_panel,
                int64_t s_panel, kern_dtype dtype)
{
    const int per = Q_PER_LINE(dtype);
    for (int h = 0; h < Q_HALVES; h++) {
        float *at = to + h / VEC_NV * b_panel + h % VEC_NV * 16;
        const unsigned char *line = block + 2 * KERN_PANEL + 64 * h;
        v16_store(scale + h / VEC_NV * s_panel + h % VEC_NV * 16, v16_scales(block, h, dtype));
        for (int64_t k = 0; k < group; k += per, line += 64 * Q_HALVES) {
            const v64 x = v64_load(line);
#pragma GCC unroll 8
            for (int j = 0; j < per; j++, at += NR) v16_store(at, v16_q(x, j, dtype));
        }
    }
}

/* A block as a packed panel of the right factor, [group][NR], and its scales [NR]; where NR is half a panel,
 * two of each, b_panel and s_panel floats apart. */
static void simd_expand(float *to, float *scale, const unsigned char *block, kern_dtype dtype, int64_t group,
                        int64_t b_panel, int64_t s_panel)
{
    if (dtype == KERN_Q8)
        expand(to, scale, block, group, b_panel, s_panel, KERN_Q8);
    else
        expand(to, scale, block, group, b_panel, s_panel, KERN_Q4);
}

#endif
