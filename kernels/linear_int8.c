/* SPDX-License-Identifier: Apache-2.0 */
/* Quantized weights times activations as whole numbers. Either kern_linear in a context that asks for 8 bits:
 * a row of x is rounded with one scale. Or, where the processor multiplies bytes so fast that it beats f32, x
 * as three digits of 8 bits with a scale for every block, which keep what f32 says. Sums over a block of
 * weights are exact; block after block they are added, times the block's scale, by one fused multiply-add
 * each; the row's scale, if it has one, and the bias come last. Few rows or many take the same way. */
#include <math.h>

#include "kernels/internal.h"
#include "kernels/scalar.h"

/* Packed rows of x held at once, in bytes. */
#define LEFT_LIMIT ((int64_t)32 << 20)
/* Weights of a task, in bytes, and packed rows that they are multiplied with in turn: what a second-level
 * cache of 1 MB holds together. */
#define TASK_LIMIT ((int64_t)640 << 10)
#define ROWS_LIMIT ((int64_t)192 << 10)
#define MOST_PANELS 8
/* Columns that many rows are multiplied with before the next ones follow: of longer rows weights and packed
 * rows would not stay together in that cache. */
#define SPAN 2048
/* Outputs per task where no SIMD table serves. */
#define PORTABLE_OUTPUTS 16

float kern_int8_scale(float largest, float *inverse)
{
    /* What is too small for 127 / largest counts as nothing; what is not finite must not look finite. */
    *inverse = largest > 1e-30f && largest < INFINITY ? 127.0f / largest : 0;
    return largest <= 1e-30f ? 0 : largest < INFINITY ? largest / 127.0f : NAN;
}

typedef struct int8_job {
    const kern_int8_table *table;
    kern_rows left;
    const kern_weight *w;
    float *y; /* [left.rows, w->rows] */
    const float *bias;
    int64_t blocks, block_bytes; /* of the weight as it stands; blocks of one panel */
    int64_t panels;              /* of weights, per task */
    int64_t span;                /* blocks of many rows that are multiplied in one pass */
    /* Packed rows of x: a panel is bytes, then offsets, then scales (left_panel). */
    char *packed;
    int64_t panel_bytes;
} int8_job;

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

typedef struct left_panel {
    int8_t *bytes;
    int32_t *offset; /* [blocks][rows][digits] */
    float *scale;    /* [blocks][rows], or [rows] */
} left_panel;

static left_panel panel_at(const int8_job *j, int64_t panel)
{
    void *at = j->packed + panel * j->panel_bytes;
    left_panel p = {.bytes = at};
    at = p.bytes + j->table->mr * j->table->bytes * j->blocks * j->w->group;
    p.offset = at;
    at = p.offset + j->blocks * j->table->mr * j->table->digits;
    p.scale = at;
    return p;
}

static void pack_task(const void *job, int64_t panel, float *scratch)
{
    const int8_job *j = job;
    const int64_t row = panel * j->table->mr;
    const left_panel p = panel_at(j, panel);
    kern_rows x = j->left;
    (void)scratch;
    if (x.index)
        x.index += row;
    else
        x.data = (const float *)x.data + row * x.stride;
    x.rows = min64(j->table->mr, x.rows - row);
    j->table->pack(p.bytes, p.scale, p.offset, &x, j->w->group);
}

/* A panel of rows times one of weights, whose blocks of `size` bytes begin at w. */
static kern_int8_block block_of(const int8_job *j, const left_panel *x, int64_t rows, const unsigned char *w,
                                int64_t size, bool wide)
{
    const kern_int8_block block = {.rows = rows,
                                   .group = j->w->group,
                                   .a = x->bytes,
                                   .offset = x->offset,
                                   .scale = x->scale,
                                   .block = w,
                                   .blocks = j->blocks,
                                   .block_bytes = size,
                                   .dtype = j->w->dtype,
                                   .wide = wide};
    return block;
}

static void finish(const int8_job *j, const left_panel *x, const float *t, int64_t ldt, int64_t row,
                   int64_t rows, int64_t first, int64_t cols)
{
    for (int64_t r = 0; r < rows; r++)
        j->table->finish(j->y + (row + r) * j->w->rows + first, t + r * ldt,
                         j->table->block_scales ? 1 : x->scale[r], j->bias ? j->bias + first : NULL, cols);
}

/* Products whose rows are one panel each. Their outputs, in whole panels, are counted on from one product to
 * the next. */
typedef struct int8_list {
    int8_job jobs[KERN_TOGETHER];
    int64_t count, begin[KERN_TOGETHER + 1]; /* first output of each product */
    int64_t from[KERN_TASKS + 1];            /* and of each task */
} int8_list;

/* Weights are read where they stand, in order. scratch: sums [mr, KERN_PANEL]. */
static void read_task(const void *job, int64_t task, float *scratch)
{
    const int8_list *list = job;
    for (int64_t i = 0; i < list->count; i++) {
        const int8_job *j = &list->jobs[i];
        const left_panel x = panel_at(j, 0);
        int64_t o = list->from[task] - list->begin[i], end = list->from[task + 1] - list->begin[i];
        o = o < 0 ? 0 : o;
        end = min64(end, j->w->rows);
        const unsigned char *w = j->w->data;
        w += o / KERN_PANEL * j->blocks * j->block_bytes;
        for (; o < end; o += KERN_PANEL, w += j->blocks * j->block_bytes) {
            kern_int8_block block = block_of(j, &x, j->left.rows, w, j->block_bytes, false);
            block.t = scratch;
            block.ldt = KERN_PANEL;
            j->table->multiply(&block);
            finish(j, &x, scratch, KERN_PANEL, 0, j->left.rows, o, min64(KERN_PANEL, end - o));
        }
    }
}

/* Rows that a panel of weights meets before the next one comes: so many that those stay in the second-level
 * cache. */
static int64_t batch_rows(const int8_job *j)
{
    const int64_t panels = ROWS_LIMIT / (j->panel_bytes * j->span / j->blocks);
    return (panels < 1 ? 1 : panels) * j->table->mr;
}

/* Blocks first .. first+blocks of the columns, and where their sums stay until all are added: those of row i
 * at sums + i * step. */
typedef struct pass {
    int64_t first, blocks;
    float *sums;
    int64_t step, lds;
} pass;

/* Rows begin .. end-1 times panel p, of which the pass's blocks stand at w; meanwhile what is at `next`, as
 * many bytes as those have, is fetched. */
static void multiply_panel(const int8_job *j, const pass *s, const unsigned char *w, int64_t panel,
                           int64_t begin, int64_t end, const unsigned char *next)
{
    const kern_int8_table *t = j->table;
    const bool wide = t->expand != NULL;
    const int64_t first = panel * KERN_PANEL, bytes = s->blocks * j->block_bytes;
    const int64_t tiles = (end - begin + t->mr - 1) / t->mr,
                  step = round_up((j->block_bytes + tiles - 1) / tiles, 64);
    for (int64_t i = begin, fetched = 0; i < end; i += t->mr, fetched += step * s->blocks) {
        const int64_t rows = min64(t->mr, end - i), before = s->first * kern_int8_held(rows);
        const left_panel x = panel_at(j, i / t->mr);
        kern_int8_block block =
            block_of(j, &x, rows, w, wide ? kern_block_bytes(KERN_Q8, j->w->group) : j->block_bytes, wide);
        block.a += before * j->w->group * t->bytes;
        block.offset += before * t->digits;
        if (t->block_scales) block.scale += before;
        block.blocks = s->blocks;
        block.more = s->first > 0;
        block.t = s->sums + i * s->step;
        block.ldt = s->lds;
        block.fetch = next && fetched < bytes ? next + fetched : NULL;
        block.fetch_step = step;
        t->multiply(&block);
        if (s->first + s->blocks == j->blocks)
            finish(j, &x, block.t, s->lds, i, rows, first, min64(KERN_PANEL, j->w->rows - first));
    }
}

/* Bytes of a pass's blocks of one panel, as they are multiplied. */
static int64_t span_bytes(const int8_job *j)
{
    return j->span * (j->table->expand ? kern_block_bytes(KERN_Q8, j->w->group) : j->block_bytes);
}

/* Floats of the sums that a task keeps from pass to pass: [rows, panels * KERN_PANEL]; or of a single tile.
 */
static int64_t sums_of(const int8_job *j, int64_t rows)
{
    return j->span == j->blocks ? j->table->mr * KERN_PANEL
                                : round_up(rows, j->table->mr) * j->panels * KERN_PANEL;
}

/* Some panels of weights times all packed rows. scratch: sums, then expanded panels. */
static void multiply_task(const void *job, int64_t task, float *scratch)
{
    const int8_job *j = job;
    const kern_int8_table *t = j->table;
    const int64_t all = (j->w->rows + KERN_PANEL - 1) / KERN_PANEL, first = task * j->panels,
                  last = min64(all, first + j->panels), batch = batch_rows(j), size = span_bytes(j),
                  bytes = j->blocks * j->block_bytes;
    unsigned char *const wide = (unsigned char *)(scratch + sums_of(j, j->left.rows));
    for (int64_t at = 0; at < j->blocks; at += j->span)
        for (int64_t i = 0; i < j->left.rows; i += batch)
            for (int64_t p = first; p < last; p++) {
                const unsigned char *raw =
                                        (const unsigned char *)j->w->data + p * bytes + at * j->block_bytes,
                                    *w = raw;
                pass s = {at, min64(j->span, j->blocks - at), scratch, 0, KERN_PANEL};
                if (j->span < j->blocks) {
                    s.step = s.lds = j->panels * KERN_PANEL;
                    s.sums += (p - first) * KERN_PANEL;
                }
                if (t->expand) {
                    unsigned char *to = wide + (p - first) * size;
                    w = to;
                    for (int64_t b = 0; i == 0 && b < s.blocks; b++, to += size / j->span)
                        t->expand(to, raw + b * j->block_bytes, j->w->dtype, j->w->group);
                }
                multiply_panel(j, &s, w, p, i, min64(i + batch, j->left.rows),
                               i == 0 && p + 1 < all ? raw + bytes : NULL);
            }
}

/* Panels of weights per task: what the second-level cache holds, and some tasks for every thread. */
static int64_t task_panels(const kern_context *c, const int8_job *j)
{
    const int64_t all = (j->w->rows + KERN_PANEL - 1) / KERN_PANEL, tasks = 3 * kern_context_threads(c);
    int64_t panels = TASK_LIMIT / (j->span * kern_block_bytes(KERN_Q8, j->w->group));
    panels = min64(min64(panels, MOST_PANELS), (all + tasks - 1) / tasks);
    return panels < 1 ? 1 : panels;
}

static void portable_task(const void *job, int64_t task, float *scratch)
{
    const int8_job *j = job;
    const int64_t first = task * PORTABLE_OUTPUTS;
    (void)scratch;
    kern_scalar_linear_int8(j->y, j->left.data, j->left.index, j->w, j->bias, j->left.rows, first,
                            min64(PORTABLE_OUTPUTS, j->w->rows - first));
}

static const kern_int8_table *table_for(const kern_int8_table *table, const kern_weight *w)
{
    return table && table->narrow && w->dtype == KERN_Q4 ? table->narrow : table;
}

static int8_job job_of(const kern_int8_table *any, const kern_product *p)
{
    const kern_weight *w = p->w;
    const kern_int8_table *table = table_for(any, w);
    int8_job j = {.table = table,
                  .left = {p->x, KERN_F32, p->index, w->cols, p->n, w->cols},
                  .w = w,
                  .y = p->y,
                  .bias = p->bias,
                  .blocks = (w->cols + w->group - 1) / w->group,
                  .block_bytes = kern_block_bytes(w->dtype, w->group)};
    if (table)
        j.panel_bytes =
            round_up(table->mr * (j.blocks * (w->group * table->bytes + 4 * table->digits + 4)), 64);
    return j;
}

bool kern_int8_reads(const kern_int8_table *any, const kern_product *p)
{
    const kern_dtype dtype = p->w->dtype;
    const kern_int8_table *table = table_for(any, p->w);
    return table && (dtype == KERN_Q8 || (dtype == KERN_Q4 && table->nibbles)) && p->n > 0 &&
           p->n <= table->mr && p->w->rows > 0;
}

/* An earlier product that packs the same rows, or NULL. */
static const int8_job *same_rows(const int8_list *list, const int8_job *j)
{
    for (const int8_job *k = list->jobs; k < j; k++)
        if (k->left.data == j->left.data && k->left.index == j->left.index && k->left.rows == j->left.rows &&
            k->left.cols == j->left.cols && k->w->group == j->w->group && k->table == j->table)
            return k;
    return NULL;
}

int kern_int8_read(kern_context *c, const kern_int8_table *table, const kern_product *products, int64_t count)
{
    int8_list list = {.count = count};
    int64_t bytes = 0, packed = 0;
    double work = 0;
    for (int64_t i = 0; i < count; i++) {
        int8_job *j = &list.jobs[i];
        *j = job_of(table, &products[i]);
        packed += j->panel_bytes;
        list.begin[i + 1] = list.begin[i] + round_up(j->w->rows, KERN_PANEL);
        const int64_t size = j->blocks * j->block_bytes * (list.begin[i + 1] - list.begin[i]) / KERN_PANEL;
        bytes += size;
        work += (double)size / 4 * (double)j->left.rows;
    }
    if (kern_reserve(c, table->mr * KERN_PANEL, packed / 4)) return -1;
    char *at = kern_shared(c);
    for (int64_t i = 0; i < count; i++) {
        const int8_job *same = same_rows(&list, &list.jobs[i]);
        list.jobs[i].packed = same ? same->packed : at;
        if (!same) pack_task(&list.jobs[i], 0, NULL);
        at += list.jobs[i].panel_bytes;
    }
    const int64_t tasks =
        kern_cut(list.from, c, list.begin[count], bytes / list.begin[count] + 1, KERN_PANEL);
    kern_run(c, tasks, work, read_task, &list);
    return 0;
}

static int many_rows(kern_context *c, const int8_job *whole)
{
    int8_job j = *whole;
    const int64_t mr = j.table->mr, n = j.left.rows;
    const int64_t passes = (j.blocks * j.w->group + SPAN - 1) / SPAN;
    j.span = (j.blocks + passes - 1) / passes;
    j.panels = task_panels(c, &j);
    const int64_t most = LEFT_LIMIT / j.panel_bytes * mr, batch = min64(most < mr ? mr : most, n);
    const int64_t wide = j.table->expand ? span_bytes(&j) / 4 : 0;
    if (kern_reserve(c, sums_of(&j, batch) + j.panels * wide, (batch + mr - 1) / mr * (j.panel_bytes / 4)))
        return -1;
    j.packed = kern_shared(c);
    for (int64_t row = 0; row < n; row += batch) {
        j.left.rows = min64(batch, n - row);
        if (j.left.index)
            j.left.index = whole->left.index + row;
        else
            j.left.data = (const float *)whole->left.data + row * j.left.stride;
        j.y = whole->y + row * j.w->rows;
        const double elements = (double)(j.left.rows * j.w->cols);
        kern_run(c, (j.left.rows + mr - 1) / mr, elements, pack_task, &j);
        kern_run(c, (j.w->rows + j.panels * KERN_PANEL - 1) / (j.panels * KERN_PANEL),
                 elements * (double)j.w->rows / 64, multiply_task, &j);
    }
    return 0;
}

int kern_linear_int8(kern_context *c, const kern_int8_table *table, const kern_product *p)
{
    if (kern_int8_reads(table, p)) return kern_int8_read(c, table, p, 1);
    const int8_job j = job_of(table, p);
    if (table) return many_rows(c, &j);
    kern_run(c, (p->w->rows + PORTABLE_OUTPUTS - 1) / PORTABLE_OUTPUTS,
             (double)p->w->rows * (double)p->w->cols * (double)p->n, portable_task, &j);
    return 0;
}
