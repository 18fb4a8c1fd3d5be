/* SPDX-License-Identifier: Apache-2.0 */
/* Products with weight matrices. Few rows (decoding) read the weights where they stand; many rows pack both
 * factors block by block. Either way a row's bits are the same: see simd_gemm.h for the order of the sums. */
#include <string.h>
#include <unistd.h>

#include "kernels/internal.h"
#include "kernels/scalar.h"

/* Up to this many rows, reading weights in place beats packing them. */
#define FEW_ROWS 8
/* Packed rows of x held at once, in floats: 32 MB. */
#define LEFT_LIMIT ((int64_t)8 << 20)
/* Bytes of weights of the smallest and the largest task of few rows. */
#define TASK_LEAST 8192
#define TASK_MOST ((int64_t)4 << 20)
/* Outputs per task where no SIMD table serves. */
#define PORTABLE_OUTPUTS 16

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

static kern_rows part(const kern_rows *m, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    kern_rows p = *m;
    const int64_t skip = (m->index ? 0 : row * m->stride) + col;
    p.data = (const char *)m->data + skip * (m->dtype == KERN_F32 ? 4 : 2);
    p.index = m->index ? m->index + row : NULL;
    p.rows = rows;
    p.cols = cols;
    return p;
}

typedef struct product {
    const kern_table *table;
    kern_rows left, right; /* [n, k] and [outputs, k] */
    int64_t group;         /* of a quantized right factor, or 0 */
    float *y;              /* [n, ldy] */
    int64_t ldy;
    const float *bias;
    float alpha, beta;
    float *packed; /* x: [panel][k][mr] of many rows, quads of few */
    /* many rows: */
    int64_t padded;  /* k rounded up to whole steps of four chains */
    int64_t span;    /* k per block */
    int64_t columns; /* outputs per task */
} product;

/* ---- many rows ---------------------------------------------------------------------------------------- */

static void pack_task(const void *job, int64_t panel, float *scratch)
{
    const product *p = job;
    const int64_t mr = p->table->mr, row = panel * mr, rows = min64(mr, p->left.rows - row);
    float *to = p->packed + panel * mr * p->padded;
    (void)scratch;
    for (int64_t k = 0; k < p->left.cols; k += p->span) {
        const kern_rows x = part(&p->left, row, rows, k, min64(p->span, p->left.cols - k));
        p->table->pack_left(to + k * mr, &x, p->group ? KERN_PLAIN : KERN_CHAINS, 1);
    }
}

/* Columns k .. k+g->k of outputs first .. first+g->cols, packed for gemm. */
static void pack_weights(const product *p, kern_gemm *g, int64_t first, int64_t k, float *to, float *scale)
{
    const int64_t nr = p->table->nr;
    g->b = to;
    g->b_panel = nr * round_up(g->k, p->group ? p->group : 4);
    if (!p->group) {
        for (int64_t j = 0; j < g->cols; j += nr) {
            const kern_rows w = part(&p->right, first + j, min64(nr, g->cols - j), k, g->k);
            p->table->pack_right(to + j / nr * g->b_panel, &w, KERN_CHAINS);
        }
        return;
    }
    const int64_t blocks = (p->right.cols + p->group - 1) / p->group,
                  size = kern_block_bytes(p->right.dtype, p->group);
    g->scale = scale;
    g->group = p->group;
    g->s_panel = nr * (p->span / p->group);
    for (int64_t j = 0; j < g->cols; j += KERN_PANEL)
        for (int64_t b = 0; b * p->group < g->k; b++)
            p->table->expand(to + j / nr * g->b_panel + b * p->group * nr,
                             scale + j / nr * g->s_panel + b * nr,
                             (const unsigned char *)p->right.data +
                                 ((first + j) / KERN_PANEL * blocks + k / p->group + b) * size,
                             p->right.dtype, p->group, g->b_panel, g->s_panel);
}

/* One block of outputs for all packed rows. scratch: packed weights [columns, KERN_BLOCK], then their scales,
 * or, when beta needs the old y to the end, unfinished sums [left.rows, columns]. */
static void multiply_task(const void *job, int64_t task, float *scratch)
{
    const product *p = job;
    const int64_t mr = p->table->mr, first = task * p->columns;
    float *beyond = scratch + p->columns * KERN_BLOCK;
    kern_gemm g = {.a_panel = mr * p->padded,
                   .rows = p->left.rows,
                   .cols = min64(p->columns, p->right.rows - first),
                   .y = p->y + first,
                   .ldy = p->ldy,
                   .bias = p->bias ? p->bias + first : NULL,
                   .alpha = p->alpha,
                   .beta = p->beta};
    g.total = p->beta != 0 ? beyond : g.y;
    g.ldt = p->beta != 0 ? p->columns : g.ldy;
    for (int64_t k = 0; k < p->left.cols; k += p->span) {
        g.k = min64(p->span, p->left.cols - k);
        pack_weights(p, &g, first, k, scratch, beyond);
        g.a = p->packed + k * mr;
        g.first = k == 0;
        g.last = k + p->span >= p->left.cols;
        p->table->gemm(&g);
    }
}

/* Outputs per task: packed they take at most half of the second-level cache, and every thread gets some
 * tasks. */
static int64_t task_columns(const kern_context *c, const kern_table *t, int64_t outputs)
{
    const int64_t whole =
        t->nr < KERN_PANEL ? KERN_PANEL : t->nr; /* panels of packed and quantized weights */
    const long cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
    int64_t columns = (cache > 0 ? cache : 262144) / 2 / (KERN_BLOCK * (int64_t)sizeof(float));
    const int64_t share =
        round_up((outputs + 3 * kern_context_threads(c) - 1) / (3 * kern_context_threads(c)), whole);
    if (columns > share) columns = share;
    if (columns > KERN_COLUMNS) columns = KERN_COLUMNS;
    return columns < whole ? whole : columns / whole * whole;
}

/* k per block of a quantized factor: whole groups, about equal. Totals go over from block to block as they
 * are, so this is not seen in the result. */
static int64_t quantized_span(const product *p)
{
    const int64_t groups = (p->right.cols + p->group - 1) / p->group, most = KERN_BLOCK / p->group;
    const int64_t spans = (groups + most - 1) / most;
    return (groups + spans - 1) / spans * p->group;
}

static int many_rows(kern_context *c, const product *whole)
{
    product p = *whole;
    const int64_t mr = p.table->mr, n = p.left.rows;
    p.padded = round_up(p.left.cols, 4);
    p.span = p.group ? quantized_span(&p) : kern_span(p.left.cols);
    p.columns = task_columns(c, p.table, p.right.rows);
    int64_t batch = LEFT_LIMIT / p.padded / mr * mr;
    if (batch < mr) batch = mr;
    if (batch > n) batch = n;
    const int64_t beyond = p.beta != 0 ? batch * p.columns : p.group ? p.columns * p.span / p.group : 0;
    if (kern_reserve(c, p.columns * KERN_BLOCK + beyond, round_up(batch, mr) * p.padded)) return -1;
    p.packed = kern_shared(c);
    for (int64_t row = 0; row < n; row += batch) {
        const int64_t rows = min64(batch, n - row);
        p.left = part(&whole->left, row, rows, 0, whole->left.cols);
        p.y = whole->y + row * p.ldy;
        const double elements = (double)rows * (double)p.left.cols;
        kern_run(c, (rows + mr - 1) / mr, elements / 2, pack_task, &p);
        kern_run(c, (p.right.rows + p.columns - 1) / p.columns, elements * (double)p.right.rows / 32,
                 multiply_task, &p);
    }
    return 0;
}

/* ---- few rows ----------------------------------------------------------------------------------------- */

/* Products of few rows. Their outputs, in whole panels, are counted on from one product to the next. */
typedef struct read_list {
    product jobs[KERN_TOGETHER];
    int64_t count, begin[KERN_TOGETHER + 1]; /* first output of each product */
    int64_t from[KERN_TASKS + 1];            /* and of each task */
} read_list;

/* Outputs first .. first+outputs, which begin a panel. */
static void read_quantized(const product *p, int64_t first, int64_t outputs)
{
    const int64_t blocks = (p->right.cols + p->group - 1) / p->group;
    kern_few f = {.y = p->y + first,
                  .x = p->left.data,
                  .ldy = p->ldy,
                  .ldx = p->left.stride,
                  .n = p->left.rows,
                  .dtype = p->right.dtype,
                  .group = p->group,
                  .blocks = blocks,
                  .block_bytes = kern_block_bytes(p->right.dtype, p->group),
                  .rows = outputs,
                  .bias = p->bias ? p->bias + first : NULL};
    f.w = (const unsigned char *)p->right.data + first / KERN_PANEL * blocks * f.block_bytes;
    p->table->few(&f);
}

static void read_outputs(const product *p, int64_t first, int64_t outputs)
{
    const kern_rows w = part(&p->right, first, outputs, 0, p->right.cols);
    const kern_gemv g = {p->y + first, p->packed, p->ldy, p->left.rows, &w, p->bias ? p->bias + first : NULL};
    p->table->gemv(&g);
}

static void read_task(const void *job, int64_t task, float *scratch)
{
    const read_list *list = job;
    (void)scratch;
    for (int64_t i = 0; i < list->count; i++) {
        const product *p = &list->jobs[i];
        const int64_t from = list->from[task] - list->begin[i],
                      end = min64(list->from[task + 1] - list->begin[i], p->right.rows),
                      first = from < 0 ? 0 : from;
        if (first < end) (p->group ? read_quantized : read_outputs)(p, first, end - first);
    }
}

/* Large tasks first, for the prefetchers, then ever smaller ones, so that the threads end together. */
int64_t kern_cut(int64_t from[KERN_TASKS + 1], const kern_context *c, int64_t rows, int64_t row_bytes,
                 int64_t unit)
{
    const int64_t threads = kern_context_threads(c), units = (rows + unit - 1) / unit;
    const int64_t least = TASK_LEAST / (row_bytes * unit) + 1, most = TASK_MOST / (row_bytes * unit) + 1;
    int64_t tasks = 0;
    for (int64_t at = 0, count; at < units; at += count) {
        count = (units - at) / (2 * threads);
        if (count > most && tasks < KERN_TASKS / 2) count = most;
        if (count < least) count = least;
        if (count > units - at || tasks + 1 == KERN_TASKS) count = units - at;
        from[tasks++] = at * unit;
    }
    from[tasks] = rows;
    return tasks;
}

/* Rows of x as the kernels of few rows want them: quads, or padded to whole groups. Returns the floats that
 * this takes, and with `to` does it; 0: x serves as it is. */
static int64_t pack_few(product *p, float *to)
{
    const int64_t k = p->left.cols, n = p->left.rows, padded = round_up(k, p->group ? p->group : 16);
    if (p->group && !p->left.index && padded == k) return 0;
    if (!to) return n * padded;
    p->packed = to;
    if (!p->group) {
        p->table->pack_quads(to, &p->left, 1);
        return n * padded;
    }
    for (int64_t i = 0; i < n; i++, to += padded) {
        const float *x =
            (const float *)p->left.data + (p->left.index ? p->left.index[i] : i) * p->left.stride;
        memcpy(to, x, (size_t)k * sizeof *to);
        memset(to + k, 0, (size_t)(padded - k) * sizeof *to);
    }
    p->left = (kern_rows){p->packed, KERN_F32, NULL, padded, n, k};
    return n * padded;
}

/* Whether two products take the same quads, as the gate and the inner layer of an expert do. */
static bool shares_quads(const product *a, const product *b)
{
    return !a->group && !b->group && a->left.data == b->left.data && a->left.index == b->left.index &&
           a->left.rows == b->left.rows && a->left.cols == b->left.cols;
}

static double bytes_of(const product *p)
{
    const double elements = (double)p->right.rows * (double)p->right.cols;
    if (!p->group) return elements * (p->right.dtype == KERN_F32 ? 4 : 2);
    return elements / (double)p->group * (double)kern_block_bytes(p->right.dtype, p->group) / KERN_PANEL;
}

static int few_rows(kern_context *c, read_list *list)
{
    int64_t floats = 0;
    double bytes = 0, work = 0;
    for (int64_t i = 0; i < list->count; i++) {
        product *p = &list->jobs[i];
        floats += pack_few(p, NULL);
        list->begin[i + 1] = list->begin[i] + round_up(p->right.rows, KERN_PANEL);
        bytes += bytes_of(p);
        work += bytes_of(p) / 4 * (double)(p->group ? p->left.rows : 1);
    }
    if (kern_reserve(c, 0, floats)) return -1;
    float *to = kern_shared(c);
    for (int64_t i = 0; i < list->count; i++) {
        product *p = &list->jobs[i];
        if (i && shares_quads(p - 1, p))
            p->packed = p[-1].packed;
        else
            to += pack_few(p, to);
    }
    const int64_t rows = list->begin[list->count],
                  tasks = kern_cut(list->from, c, rows, (int64_t)(bytes / (double)rows) + 1, KERN_PANEL);
    kern_run(c, tasks, work, read_task, list);
    return 0;
}

/* ---- the public functions ----------------------------------------------------------------------------- */

static void portable_task(const void *job, int64_t task, float *scratch)
{
    const kern_product *j = job;
    const int64_t first = task * PORTABLE_OUTPUTS;
    (void)scratch;
    kern_scalar_linear_part(j->y, j->x, j->index, j->w, j->bias, j->n, first,
                            min64(PORTABLE_OUTPUTS, j->w->rows - first));
}

static bool is_quantized(const kern_weight *w)
{
    return w->dtype == KERN_Q8 || w->dtype == KERN_Q4;
}

static product product_of(const kern_table *table, const kern_product *p)
{
    return (product){.table = table,
                     .left = {p->x, KERN_F32, p->index, p->w->cols, p->n, p->w->cols},
                     .right = {p->w->data, p->w->dtype, NULL, p->w->cols, p->w->rows, p->w->cols},
                     .group = is_quantized(p->w) ? p->w->group : 0,
                     .y = p->y,
                     .ldy = p->w->rows,
                     .bias = p->bias,
                     .alpha = 1};
}

/* Whether activations stay f32 in this product, and weights where they stand. */
static bool reads(const kern_context *c, const kern_product *p)
{
    const kern_table *table = kern_active();
    const bool int8 = is_quantized(p->w) && (kern_int8(c) || kern_int8_active(true));
    return !int8 && !table->linear && table->mr != 0 && p->n > 0 && p->n <= FEW_ROWS && p->w->rows > 0;
}

static int linear_reading(kern_context *c, const kern_product *products, int64_t count)
{
    read_list list;
    list.count = count;
    list.begin[0] = 0;
    for (int64_t i = 0; i < count; i++) list.jobs[i] = product_of(kern_active(), &products[i]);
    return few_rows(c, &list);
}

static int linear(kern_context *c, const kern_product *one)
{
    const kern_table *table = kern_active();
    const kern_weight *w = one->w;
    if (one->n <= 0 || w->rows <= 0) return 0;
    if (reads(c, one)) return linear_reading(c, one, 1);
    if (is_quantized(w) && (kern_int8(c) || kern_int8_active(true)))
        return kern_linear_int8(c, kern_int8_active(!kern_int8(c)), one);
    if (table->linear) return table->linear(c, one->y, one->x, one->index, w, one->bias, one->n);
    if (table->mr == 0) {
        kern_run(c, (w->rows + PORTABLE_OUTPUTS - 1) / PORTABLE_OUTPUTS,
                 (double)one->n * (double)(w->rows * w->cols), portable_task, one);
        return 0;
    }
    const product p = product_of(table, one);
    return many_rows(c, &p);
}

int kern_linear(kern_context *c, float *y, const float *x, const kern_weight *w, const float *bias, int64_t n)
{
    return linear(c, &(kern_product){y, x, NULL, w, bias, n});
}

int kern_linear_gather(kern_context *c, float *y, const float *x, const int32_t *index, const kern_weight *w,
                       int64_t n)
{
    return linear(c, &(kern_product){y, x, index, w, NULL, n});
}

int kern_linear_many(kern_context *c, const kern_product *products, int64_t count)
{
    const kern_int8_table *table = kern_int8_active(!kern_int8(c));
    for (int64_t i = 0, run; i < count; i += run) {
        const kern_product *p = &products[i];
        const int64_t most = min64(KERN_TOGETHER, count - i);
        int status;
        for (run = 0; run < most && is_quantized(p[run].w) && kern_int8_reads(table, p + run);) run++;
        if (run > 1) {
            status = kern_int8_read(c, table, p, run);
        } else {
            for (run = 0; run < most && reads(c, p + run);) run++;
            status = run > 1 ? linear_reading(c, p, run) : linear(c, p);
        }
        if (status) return -1;
        if (run == 0) run = 1;
    }
    return 0;
}

int kern_matmul(kern_context *c, float *C, int64_t ldc, const float *A, int64_t lda, const float *B,
                int64_t ldb, float alpha, float beta, int64_t m, int64_t n, int64_t k)
{
    const kern_table *table = kern_active();
    if (m <= 0 || n <= 0) return 0;
    if (table->mr == 0) {
        kern_scalar_matmul(C, ldc, A, lda, B, ldb, alpha, beta, m, n, k);
        return 0;
    }
    const product p = {.table = table,
                       .left = {A, KERN_F32, NULL, lda, m, k},
                       .right = {B, KERN_F32, NULL, ldb, n, k},
                       .y = C,
                       .ldy = ldc,
                       .alpha = alpha,
                       .beta = beta};
    return many_rows(c, &p);
}
