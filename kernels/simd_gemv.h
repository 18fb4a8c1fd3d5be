/* SPDX-License-Identifier: Apache-2.0 */
/* Few rows times a weight matrix in its own type, each weight read once: sixteen outputs at a time, a quad of
 * each of four weight rows to a vector. The order of the sums is that of simd_gemm.h. */
#ifndef DSVL_KERNELS_SIMD_GEMV_H
#define DSVL_KERNELS_SIMD_GEMV_H

#define GEMV_N (4 * VEC_NV) /* rows of x at a time */

/* x as [k/4][rows][4], times scale; k is padded with zeros to a multiple of 16. */
static void simd_pack_quads(float *to, const kern_rows *x, float scale)
{
    const v16 factor = v16_set1(scale);
    for (int64_t i = 0; i < x->rows; i++) {
        const float *row = (const float *)x->data + (x->index ? x->index[i] : i) * x->stride;
        for (int64_t k = 0; k < x->cols; k += 16) {
            const v16 v = v16_mul(factor, load_upto(row + k, x->cols - k));
#pragma GCC unroll 4
            for (int q = 0; q < 4; q++) v16_store_quad(to + ((k / 4 + q) * x->rows + i) * 4, v, q);
        }
    }
}

/* Sixteen weight rows (as element offsets). */
typedef struct gemv_unit {
    const void *w;
    int64_t row[16];
    int64_t ahead; /* elements from a row to that sixteen rows on, to be fetched meanwhile */
} gemv_unit;

/* Columns k .. k+15 of groups first .. first+groups-1; count < 16 columns exist (or all: 16). x: the quads of
 * k. */
VEC void gemv_step(const gemv_unit *u, v16 sum[GEMV_N][4], const int n, const int first, const int groups,
                   int64_t k, const float *x, int64_t x_step, kern_dtype dtype, int64_t count)
{
    const int64_t size = dtype == KERN_F32 ? 4 : 2;
#pragma GCC unroll 4
    for (int g = 0; g < groups; g++) {
        v16 r[4];
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) {
            const int64_t at = u->row[first + g + 4 * q] + k;
            __builtin_prefetch((const char *)u->w + (at + u->ahead) * size, 0, 2);
            r[q] =
                count == 16 ? v16_load_weight(u->w, dtype, at) : v16_load_weight_part(u->w, dtype, at, count);
        }
        v16_transpose_quads(r);
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++)
#pragma GCC unroll 8
            for (int i = 0; i < n; i++)
                sum[i][g] = v16_fma(r[q], v16_dup4(x + q * x_step + 4 * i), sum[i][g]);
    }
}

/* sum[i][g]: the chains of rows g, g+4, g+8, g+12 with x row i, a quad each, over columns [k, end). */
VEC void gemv_groups(const gemv_unit *u, v16 sum[GEMV_N][4], const int n, const int first, const int groups,
                     int64_t k, int64_t end, const float *x, int64_t x_step, kern_dtype dtype)
{
    v16 s[GEMV_N][4];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int g = 0; g < groups; g++) s[i][g] = v16_zero();
    for (; k + 16 <= end; k += 16)
        gemv_step(u, s, n, first, groups, k, x + k / 4 * x_step, x_step, dtype, 16);
    if (k < end) gemv_step(u, s, n, first, groups, k, x + k / 4 * x_step, x_step, dtype, end - k);
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int g = 0; g < groups; g++) sum[i][first + g] = s[i][g];
}

/* n <= GEMV_N rows of x, from `begin` on, times all rows of W. */
VEC void gemv_rows(const kern_gemv *job, int64_t begin, const int n, kern_dtype dtype)
{
    const kern_rows *w = job->w;
    /* As many independent accumulators as the registers hold: 8, or 4 of two registers. */
    const int most = VEC_NV == 2 ? 8 : 4, groups = n * 2 <= most ? 2 : 1;
    const int64_t span = kern_span(w->cols);
    const float *x = job->x + 4 * begin;
    gemv_unit u = {.w = w->data, .ahead = 16 * w->stride};
    for (int64_t o = 0; o < w->rows; o += 16) {
        const int64_t left = w->rows - o;
        v16 total[GEMV_N] = {v16_zero()};
        for (int r = 0; r < 16; r++) u.row[r] = (o + (r < left ? r : left - 1)) * w->stride;
        for (int64_t k = 0; k < w->cols; k += span) {
            const int64_t end = w->cols - k < span ? w->cols : k + span;
            v16 sum[GEMV_N][4];
#pragma GCC unroll 4
            for (int g = 0; g < 4; g += groups)
                gemv_groups(&u, sum, n, g, groups, k, end, x, 4 * job->n, dtype);
            for (int i = 0; i < n; i++) {
                v16_transpose_lanes(sum[i]);
                total[i] = k == 0 ? sum[i][0] : v16_add(total[i], sum[i][0]);
                for (int l = 1; l < 4; l++) total[i] = v16_add(total[i], sum[i][l]);
            }
        }
        for (int i = 0; i < n; i++) {
            if (job->bias) total[i] = v16_add(total[i], load_upto(job->bias + o, left));
            store_upto(job->y + (begin + i) * job->ldy + o, total[i], left);
        }
    }
}

VEC void gemv_typed(const kern_gemv *job, kern_dtype dtype)
{
    int64_t i = 0;
    for (; i + GEMV_N <= job->n; i += GEMV_N) gemv_rows(job, i, GEMV_N, dtype);
    switch (job->n - i) {
    case 1:
        gemv_rows(job, i, 1, dtype);
        break;
    case 2:
        gemv_rows(job, i, 2, dtype);
        break;
    case 3:
        gemv_rows(job, i, 3, dtype);
        break;
#if VEC_NV == 2
    case 4:
        gemv_rows(job, i, 4, dtype);
        break;
    case 5:
        gemv_rows(job, i, 5, dtype);
        break;
    case 6:
        gemv_rows(job, i, 6, dtype);
        break;
    case 7:
        gemv_rows(job, i, 7, dtype);
        break;
#endif
    default:
        break;
    }
}

static void simd_gemv(const kern_gemv *job)
{
    switch (job->w->dtype) {
    case KERN_F32:
        gemv_typed(job, KERN_F32);
        break;
    case KERN_F16:
        gemv_typed(job, KERN_F16);
        break;
    case KERN_BF16:
        gemv_typed(job, KERN_BF16);
        break;
    case KERN_Q8:
    case KERN_Q4:
        break;
    }
}

/* A product along the rows of M: its columns are the lanes. Memory is read in the order in which it lies,
 * whole rows at a time; the four chains of each column stay in the first cache meanwhile. */
#define ACROSS_COLS 512
#define ACROSS_ROWS 8 /* at a time: two of each chain */

/* sum[c] += x[c] * M[row + c] + x[c + 4] * M[row + c + 4] and so on, `rows` <= ACROSS_ROWS; 16 columns from j
 * on. */
VEC void across_strip(float sum[4][ACROSS_COLS], const float *x, const kern_rows *m, int64_t row,
                      const int rows, int64_t j, int64_t j0, kern_dtype dtype, int64_t count)
{
    const int64_t size = dtype == KERN_F32 ? 4 : 2;
    v16 s[4];
#pragma GCC unroll 4
    for (int c = 0; c < 4 && c < rows; c++) s[c] = v16_load(sum[c] + j - j0);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        const int64_t at = (row + r) * m->stride + j;
        __builtin_prefetch((const char *)m->data + (at + ACROSS_ROWS * m->stride) * size, 0, 2);
        const v16 v = count >= 16 ? v16_load_weight(m->data, dtype, at)
                                  : v16_load_weight_part(m->data, dtype, at, count);
        s[r % 4] = v16_fma(v, v16_set1(x[row + r]), s[r % 4]);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4 && c < rows; c++) v16_store(sum[c] + j - j0, s[c]);
}

VEC void across_rows(float sum[4][ACROSS_COLS], const float *x, const kern_rows *m, int64_t row,
                     const int rows, int64_t j0, int64_t j1, kern_dtype dtype)
{
    int64_t j = j0;
    for (; j + 16 <= j1; j += 16) across_strip(sum, x, m, row, rows, j, j0, dtype, 16);
    if (j < j1) across_strip(sum, x, m, row, rows, j, j0, dtype, j1 - j);
}

/* y[0..cols) = x[0..rows) . M */
VEC void gemv_across_typed(float *y, const float *x, const kern_rows *m, kern_dtype dtype)
{
    const int64_t span = kern_span(m->rows);
    float sum[4][ACROSS_COLS];
    for (int64_t j0 = 0; j0 < m->cols; j0 += ACROSS_COLS) {
        const int64_t j1 = m->cols - j0 < ACROSS_COLS ? m->cols : j0 + ACROSS_COLS;
        for (int64_t k = 0; k < m->rows; k += span) {
            const int64_t end = m->rows - k < span ? m->rows : k + span;
            int64_t p = k;
            memset(sum, 0, sizeof sum);
            for (; p + ACROSS_ROWS <= end; p += ACROSS_ROWS)
                across_rows(sum, x, m, p, ACROSS_ROWS, j0, j1, dtype);
            for (; p + 4 <= end; p += 4) across_rows(sum, x, m, p, 4, j0, j1, dtype);
            for (int c = 0; p < end; p++, c++) across_rows(sum + c, x, m, p, 1, j0, j1, dtype);
            for (int64_t j = j0; j < j1; j += 16) {
                v16 total = v16_load(sum[0] + j - j0);
                if (k) total = v16_add(load_upto(y + j, j1 - j), total);
                for (int c = 1; c < 4; c++) total = v16_add(total, v16_load(sum[c] + j - j0));
                store_upto(y + j, total, j1 - j);
            }
        }
    }
}

static void simd_gemv_across(float *y, const float *x, const kern_rows *m)
{
    switch (m->dtype) {
    case KERN_F32:
        gemv_across_typed(y, x, m, KERN_F32);
        break;
    case KERN_F16:
        gemv_across_typed(y, x, m, KERN_F16);
        break;
    case KERN_BF16:
        gemv_across_typed(y, x, m, KERN_BF16);
        break;
    case KERN_Q8:
    case KERN_Q4:
        break;
    }
}

#endif
