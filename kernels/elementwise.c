/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels without sums over more than one row: norms, activations, rotary embedding, patches. Rows or runs of
 * elements are the tasks. */
#include <string.h>

#include "kernels/internal.h"

/* Elements per task of a flat kernel; a multiple of every vector length, so only the last run has a tail. */
#define RUN 16384
/* Rows per task of a row kernel. */
#define ROWS 8

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t tasks_of(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

typedef struct row_job {
    const kern_table *table;
    float *y;
    const float *x, *gain, *bias;
    float eps;
    int64_t n, dim;
} row_job;

static void layernorm_task(const void *job, int64_t task, float *scratch)
{
    const row_job *j = job;
    const int64_t first = task * ROWS, at = first * j->dim;
    (void)scratch;
    j->table->layernorm(j->y + at, j->x + at, j->gain, j->bias, j->eps, min64(ROWS, j->n - first), j->dim);
}

static void rmsnorm_task(const void *job, int64_t task, float *scratch)
{
    const row_job *j = job;
    const int64_t first = task * ROWS, at = first * j->dim;
    (void)scratch;
    j->table->rmsnorm(j->y + at, j->x + at, j->gain, j->eps, min64(ROWS, j->n - first), j->dim);
}

static void softmax_task(const void *job, int64_t task, float *scratch)
{
    const row_job *j = job;
    const int64_t first = task * ROWS, at = first * j->dim;
    (void)scratch;
    j->table->softmax(j->y + at, min64(ROWS, j->n - first), j->dim);
}

void kern_layernorm(kern_context *c, float *y, const float *x, const float *gain, const float *bias,
                    float eps, int64_t n, int64_t dim)
{
    const row_job job = {kern_active(), y, x, gain, bias, eps, n, dim};
    kern_run(c, tasks_of(n, ROWS), 0.5 * (double)n * (double)dim, layernorm_task, &job);
}

void kern_rmsnorm(kern_context *c, float *y, const float *x, const float *gain, float eps, int64_t n,
                  int64_t dim)
{
    const row_job job = {kern_active(), y, x, gain, NULL, eps, n, dim};
    kern_run(c, tasks_of(n, ROWS), 0.5 * (double)n * (double)dim, rmsnorm_task, &job);
}

void kern_softmax(kern_context *c, float *x, int64_t n, int64_t dim)
{
    const row_job job = {kern_active(), x, x, NULL, NULL, 0, n, dim};
    kern_run(c, tasks_of(n, ROWS), (double)n * (double)dim, softmax_task, &job);
}

typedef struct flat_job {
    const kern_table *table;
    float *y;
    const float *x, *x2;
    float a;
    int64_t n;
} flat_job;

static void gelu_tanh_task(const void *job, int64_t task, float *scratch)
{
    const flat_job *j = job;
    (void)scratch;
    j->table->gelu_tanh(j->y + task * RUN, min64(RUN, j->n - task * RUN));
}

static void gelu_erf_task(const void *job, int64_t task, float *scratch)
{
    const flat_job *j = job;
    (void)scratch;
    j->table->gelu_erf(j->y + task * RUN, min64(RUN, j->n - task * RUN));
}

static void silu_mul_task(const void *job, int64_t task, float *scratch)
{
    const flat_job *j = job;
    const int64_t at = task * RUN;
    (void)scratch;
    j->table->silu_mul(j->y + at, j->x + at, j->x2 + at, min64(RUN, j->n - at));
}

static void axpy_task(const void *job, int64_t task, float *scratch)
{
    const flat_job *j = job;
    const int64_t at = task * RUN;
    (void)scratch;
    j->table->axpy(j->y + at, j->a, j->x + at, min64(RUN, j->n - at));
}

static void add_task(const void *job, int64_t task, float *scratch)
{
    const flat_job *j = job;
    const int64_t at = task * RUN;
    (void)scratch;
    j->table->add(j->y + at, j->x + at, min64(RUN, j->n - at));
}

void kern_gelu_tanh(kern_context *c, float *x, int64_t n)
{
    const flat_job job = {kern_active(), x, x, NULL, 0, n};
    kern_run(c, tasks_of(n, RUN), 2 * (double)n, gelu_tanh_task, &job);
}

void kern_gelu_erf(kern_context *c, float *x, int64_t n)
{
    const flat_job job = {kern_active(), x, x, NULL, 0, n};
    kern_run(c, tasks_of(n, RUN), 2 * (double)n, gelu_erf_task, &job);
}

void kern_silu_mul(kern_context *c, float *y, const float *gate, const float *up, int64_t n)
{
    const flat_job job = {kern_active(), y, gate, up, 0, n};
    kern_run(c, tasks_of(n, RUN), 2 * (double)n, silu_mul_task, &job);
}

void kern_axpy(kern_context *c, float *y, float a, const float *x, int64_t n)
{
    const flat_job job = {kern_active(), y, x, NULL, a, n};
    kern_run(c, tasks_of(n, RUN), 0.5 * (double)n, axpy_task, &job);
}

void kern_add(kern_context *c, float *y, const float *x, int64_t n)
{
    const flat_job job = {kern_active(), y, x, NULL, 0, n};
    kern_run(c, tasks_of(n, RUN), 0.5 * (double)n, add_task, &job);
}

typedef struct widen_job {
    const kern_table *table;
    float *y;
    const void *x;
    kern_dtype dtype;
    int64_t n;
} widen_job;

static void widen_task(const void *job, int64_t task, float *scratch)
{
    const widen_job *j = job;
    const int64_t at = task * RUN;
    (void)scratch;
    j->table->widen(j->y + at, (const char *)j->x + at * (j->dtype == KERN_F32 ? 4 : 2), j->dtype,
                    min64(RUN, j->n - at));
}

void kern_widen(kern_context *c, float *y, const void *x, kern_dtype dtype, int64_t n)
{
    const widen_job job = {kern_active(), y, x, dtype, n};
    kern_run(c, tasks_of(n, RUN), 0.5 * (double)n, widen_task, &job);
}

typedef struct rope_job {
    float *x;
    const float *cosine, *sine;
    int64_t past, heads, dim, row_stride, head_stride;
} rope_job;

static void rope_half_task(const void *job, int64_t row, float *scratch)
{
    const rope_job *j = job;
    const int64_t half = j->dim / 2;
    const float *c = j->cosine + (j->past + row) * half, *s = j->sine + (j->past + row) * half;
    (void)scratch;
    for (int64_t h = 0; h < j->heads; h++) {
        float *x = j->x + row * j->row_stride + h * j->head_stride;
        for (int64_t i = 0; i < half; i++) {
            const float a = x[i], b = x[half + i];
            x[i] = a * c[i] - b * s[i];
            x[half + i] = b * c[i] + a * s[i];
        }
    }
}

static void rope_interleaved_task(const void *job, int64_t row, float *scratch)
{
    const rope_job *j = job;
    const int64_t half = j->dim / 2;
    const float *c = j->cosine + (j->past + row) * half, *s = j->sine + (j->past + row) * half;
    for (int64_t h = 0; h < j->heads; h++) {
        float *x = j->x + row * j->row_stride + h * j->head_stride;
        memcpy(scratch, x, (size_t)j->dim * sizeof *x);
        for (int64_t i = 0; i < half; i++) {
            const float a = scratch[2 * i], b = scratch[2 * i + 1];
            x[i] = a * c[i] - b * s[i];
            x[half + i] = b * c[i] + a * s[i];
        }
    }
}

void kern_rope_half(kern_context *c, float *x, const float *cosine, const float *sine, int64_t n,
                    int64_t past, int64_t heads, int64_t dim, int64_t row_stride, int64_t head_stride)
{
    const rope_job job = {x, cosine, sine, past, heads, dim, row_stride, head_stride};
    kern_run(c, n, (double)n * (double)(heads * dim), rope_half_task, &job);
}

void kern_rope_interleaved(kern_context *c, float *x, const float *cosine, const float *sine, int64_t n,
                           int64_t past, int64_t heads, int64_t dim, int64_t row_stride, int64_t head_stride)
{
    const rope_job job = {x, cosine, sine, past, heads, dim, row_stride, head_stride};
    kern_run(c, n, (double)n * (double)(heads * dim), rope_interleaved_task, &job);
}

typedef struct patch_job {
    float *rows;
    const uint8_t *tiles;
    const float (*value)[256]; /* [3] channels */
    int64_t size, patch, side;
} patch_job;

/* One row of patches of one tile. */
static void patch_task(const void *job, int64_t task, float *scratch)
{
    const patch_job *j = job;
    const int64_t tile = task / j->side, py = task % j->side, area = j->patch * j->patch;
    const uint8_t *pixels = j->tiles + (tile * j->size + py * j->patch) * j->size * 3;
    float *row = j->rows + task * j->side * 3 * area;
    (void)scratch;
    for (int64_t px = 0; px < j->side; px++, row += 3 * area)
        for (int64_t y = 0; y < j->patch; y++) {
            const uint8_t *p = pixels + (y * j->size + px * j->patch) * 3;
            float *to = row + y * j->patch;
            for (int64_t x = 0; x < j->patch; x++, p += 3) {
                to[x] = j->value[0][p[0]];
                to[area + x] = j->value[1][p[1]];
                to[2 * area + x] = j->value[2][p[2]];
            }
        }
}

void kern_patches(kern_context *c, float *rows, const uint8_t *tiles, const float mean[3], const float std[3],
                  int64_t n, int64_t size, int64_t patch, int64_t side)
{
    /* ToTensor divides by 255 in f32, then Normalize subtracts and divides: 256 values a channel, each
     * rounded so. */
    float value[3][256];
    for (int ch = 0; ch < 3; ch++)
        for (int v = 0; v < 256; v++) value[ch][v] = ((float)v / 255.0f - mean[ch]) / std[ch];
    const patch_job job = {rows, tiles, (const float(*)[256])value, size, patch, side};
    kern_run(c, n * side, (double)n * (double)(side * side * 3 * patch * patch), patch_task, &job);
}
