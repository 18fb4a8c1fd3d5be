/* SPDX-License-Identifier: Apache-2.0 */
/* The one door to oneDNN, of versions 2.6 and 3: products on processors for which there is no variant of our
 * own. What it rounds may depend on the number of rows and of threads. So it is called for blocks of one
 * shape, ROWS rows (those missing are zero) by COLUMNS outputs (or what is left of the outputs), each by one
 * thread: a row's bits then depend neither on its company nor on the threads, as everywhere here. */
#include <dnnl.h>
#include <stdatomic.h>
#include <string.h>

#include "kernels/internal.h"
#include "kernels/scalar.h"

/* Of the OpenMP library that oneDNN brings; the header belongs to a compiler, and not every one has it. */
int omp_get_max_threads(void);
void omp_set_num_threads(int threads);

#define ROWS 32
#define COLUMNS 128

typedef struct dnnl_job {
    kern_product product;
    atomic_bool *failed;
} dnnl_job;

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Weights of outputs first .. first+count-1 as f32 [count, cols]. */
static void widen_rows(float *to, const kern_weight *w, int64_t first, int64_t count)
{
    if (w->dtype == KERN_Q8 || w->dtype == KERN_Q4) {
        kern_dequantize(to, w, first, count);
        return;
    }
    const int64_t skip = first * w->cols * (w->dtype == KERN_F32 ? 4 : 2);
    kern_scalar_widen(to, (const char *)w->data + skip, w->dtype, count * w->cols);
}

/* y [ROWS, COLUMNS] = x [ROWS, k] . w [outputs, k]^T */
static int multiply(float *y, const float *x, const float *w, int64_t outputs, int64_t k)
{
    /* Our own threads share the work. The setting belongs to the calling thread: put it back. */
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    const dnnl_status_t status = dnnl_sgemm('N', 'T', ROWS, outputs, k, 1.0f, x, k, w, k, 0.0f, y, COLUMNS);
    omp_set_num_threads(threads);
    return status == dnnl_success ? 0 : -1;
}

/* scratch: weights [COLUMNS, k], rows of x [ROWS, k], products [ROWS, COLUMNS] */
static void multiply_task(const void *job, int64_t task, float *scratch)
{
    const kern_product *j = &((const dnnl_job *)job)->product;
    const int64_t k = j->w->cols, first = task * COLUMNS, outputs = min64(COLUMNS, j->w->rows - first);
    float *x = scratch + COLUMNS * k, *product = x + ROWS * k;
    widen_rows(scratch, j->w, first, outputs);
    for (int64_t i = 0; i < j->n; i += ROWS) {
        const int64_t rows = min64(ROWS, j->n - i);
        for (int64_t r = 0; r < rows; r++)
            memcpy(x + r * k, j->x + (j->index ? j->index[i + r] : i + r) * k, (size_t)k * sizeof *x);
        memset(x + rows * k, 0, (size_t)((ROWS - rows) * k) * sizeof *x);
        if (multiply(product, x, scratch, outputs, k)) atomic_store(((const dnnl_job *)job)->failed, true);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t o = 0; o < outputs; o++)
                j->y[(i + r) * j->w->rows + first + o] =
                    product[r * COLUMNS + o] + (j->bias ? j->bias[first + o] : 0);
    }
}

int kern_dnnl_linear(kern_context *c, float *y, const float *x, const int32_t *index, const kern_weight *w,
                     const float *bias, int64_t n)
{
    atomic_bool failed = false;
    const dnnl_job job = {{y, x, index, w, bias, n}, &failed};
    if (kern_reserve(c, (COLUMNS + ROWS) * w->cols + ROWS * COLUMNS, 0)) return -1;
    kern_run(c, (w->rows + COLUMNS - 1) / COLUMNS, (double)n * (double)(w->rows * w->cols), multiply_task,
             &job);
    return atomic_load(&failed) ? -1 : 0;
}
