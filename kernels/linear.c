/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/internal.h"
#include "kernels/scalar.h"

#define PART 16

typedef struct linear_job {
    float *y;
    const float *x;
    const int32_t *index;
    const kern_weight *w;
    const float *bias;
    int64_t n;
} linear_job;

static void portable_task(const void *job, int64_t task, float *scratch)
{
    const linear_job *j = job;
    const int64_t first = task * PART, left = j->w->rows - first;
    (void)scratch;
    kern_scalar_linear_part(j->y, j->x, j->index, j->w, j->bias, j->n, first, left < PART ? left : PART);
}

static int linear(kern_context *c, float *y, const float *x, const int32_t *index, const kern_weight *w,
                  const float *bias, int64_t n)
{
    const linear_job job = {y, x, index, w, bias, n};
    kern_run(c, (w->rows + PART - 1) / PART, (double)n * (double)(w->rows * w->cols), portable_task, &job);
    return 0;
}

int kern_linear(kern_context *c, float *y, const float *x, const kern_weight *w, const float *bias, int64_t n)
{
    return linear(c, y, x, NULL, w, bias, n);
}

int kern_linear_gather(kern_context *c, float *y, const float *x, const int32_t *index, const kern_weight *w,
                       int64_t n)
{
    return linear(c, y, x, index, w, NULL, n);
}

int kern_matmul(kern_context *c, float *C, int64_t ldc, const float *A, int64_t lda, const float *B,
                int64_t ldb, float alpha, float beta, int64_t m, int64_t n, int64_t k)
{
    (void)c;
    kern_scalar_matmul(C, ldc, A, lda, B, ldb, alpha, beta, m, n, k);
    return 0;
}

int kern_head_linear(kern_context *c, float *y, int64_t y_row, int64_t y_head, const float *x, int64_t x_row,
                     int64_t x_head, const kern_weight *w, int64_t head_rows, int64_t first, int64_t d,
                     int transposed, int64_t n, int64_t heads)
{
    (void)c;
    kern_scalar_head_linear(y, y_row, y_head, x, x_row, x_head, w, head_rows, first, d, transposed, n, heads);
    return 0;
}
