/* SPDX-License-Identifier: Apache-2.0 */
/* Products of each head with its own slice of a weight: the absorbed projections of multi-head latent
 * attention. */
#include "kernels/internal.h"
#include "kernels/scalar.h"

/* Up to this many rows the slices are read where they stand. */
#define FEW_ROWS 8

typedef struct head_job {
    const kern_table *table;
    float *y;
    const float *x;
    const kern_weight *w;
    int64_t y_row, y_head, x_row, x_head, head_rows, first, d, n;
    int64_t inputs, outputs; /* per head */
    int64_t padded;          /* inputs, rounded up to whole steps */
    int transposed;
} head_job;

static kern_rows slice(const head_job *j, int64_t head)
{
    const int64_t at = (head * j->head_rows + j->first) * j->w->cols;
    const kern_rows m = {(const char *)j->w->data + at * (j->w->dtype == KERN_F32 ? 4 : 2),
                         j->w->dtype,
                         NULL,
                         j->w->cols,
                         j->d,
                         j->w->cols};
    return m;
}

static void few_task(const void *job, int64_t head, float *scratch)
{
    const head_job *j = job;
    const kern_rows m = slice(j, head);
    const float *x = j->x + head * j->x_head;
    float *y = j->y + head * j->y_head;
    if (j->transposed) {
        const kern_rows left = {x, KERN_F32, NULL, j->x_row, j->n, j->inputs};
        const kern_gemv g = {y, scratch, j->y_row, j->n, &m, NULL};
        j->table->pack_quads(scratch, &left, 1);
        j->table->gemv(&g);
    } else {
        for (int64_t i = 0; i < j->n; i++) j->table->gemv_across(y + i * j->y_row, x + i * j->x_row, &m);
    }
}

/* Pack the whole slice, then one panel of rows after the other. */
static void many_task(const void *job, int64_t head, float *scratch)
{
    const head_job *j = job;
    const kern_table *t = j->table;
    const kern_rows m = slice(j, head);
    const int64_t b_panel = t->nr * j->padded, panels = (j->outputs + t->nr - 1) / t->nr;
    const int64_t span = kern_span(j->inputs);
    float *left = scratch + panels * b_panel;
    for (int64_t p = 0; p < panels; p++) {
        const int64_t o = p * t->nr, outputs = j->outputs - o < t->nr ? j->outputs - o : t->nr;
        for (int64_t k = 0; k < j->inputs; k += span) {
            const int64_t length = j->inputs - k < span ? j->inputs - k : span;
            kern_rows w = m;
            const int64_t skip = j->transposed ? o * m.stride + k : k * m.stride + o;
            w.data = (const char *)m.data + skip * (m.dtype == KERN_F32 ? 4 : 2);
            w.rows = j->transposed ? outputs : length;
            w.cols = j->transposed ? length : outputs;
            (j->transposed ? t->pack_right : t->pack_across)(scratch + p * b_panel + k * t->nr, &w,
                                                             KERN_CHAINS);
        }
    }
    for (int64_t i = 0; i < j->n; i += t->mr) {
        const int64_t rows = j->n - i < t->mr ? j->n - i : t->mr;
        float *y = j->y + i * j->y_row + head * j->y_head;
        for (int64_t k = 0; k < j->inputs; k += span) {
            const int64_t length = j->inputs - k < span ? j->inputs - k : span;
            const kern_rows x = {
                j->x + i * j->x_row + head * j->x_head + k, KERN_F32, NULL, j->x_row, rows, length};
            t->pack_left(left, &x, KERN_CHAINS, 1);
            for (int64_t o = 0; o < j->outputs; o += KERN_COLUMNS) {
                const kern_gemm g = {.a = left,
                                     .b = scratch + o / t->nr * b_panel + k * t->nr,
                                     .b_panel = b_panel,
                                     .rows = rows,
                                     .cols = j->outputs - o < KERN_COLUMNS ? j->outputs - o : KERN_COLUMNS,
                                     .k = length,
                                     .y = y + o,
                                     .total = y + o,
                                     .ldy = j->y_row,
                                     .ldt = j->y_row,
                                     .first = k == 0,
                                     .last = k + span >= j->inputs,
                                     .alpha = 1};
                t->gemm(&g);
            }
        }
    }
}

int kern_head_linear(kern_context *c, float *y, int64_t y_row, int64_t y_head, const float *x, int64_t x_row,
                     int64_t x_head, const kern_weight *w, int64_t head_rows, int64_t first, int64_t d,
                     int transposed, int64_t n, int64_t heads)
{
    const kern_table *t = kern_active();
    if (t->mr == 0) {
        kern_scalar_head_linear(y, y_row, y_head, x, x_row, x_head, w, head_rows, first, d, transposed, n,
                                heads);
        return 0;
    }
    head_job job = {t,         y,     x, w, y_row, y_head,  x_row, x_head,
                    head_rows, first, d, n, d,     w->cols, 0,     transposed};
    if (transposed) {
        job.inputs = w->cols;
        job.outputs = d;
    }
    job.padded = (job.inputs + 3) / 4 * 4;
    const double elements = (double)heads * (double)d * (double)w->cols;
    if (n <= FEW_ROWS) {
        if (kern_reserve(c, n * ((job.inputs + 15) / 16 * 16), 0)) return -1;
        kern_run(c, heads, elements / 2 * (double)n, few_task, &job);
        return 0;
    }
    const int64_t panels = (job.outputs + t->nr - 1) / t->nr;
    if (kern_reserve(c, panels * t->nr * job.padded + t->mr * KERN_BLOCK, 0)) return -1;
    kern_run(c, heads, elements * (double)n / 32, many_task, &job);
    return 0;
}
