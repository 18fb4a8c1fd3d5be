/* SPDX-License-Identifier: Apache-2.0 */
/* Attention by blocks of queries and chunks of keys. A chunk's scores are weighed by their own maximum;
 * chunks are joined in ascending order. Chunks begin at multiples of KERN_CHUNK, so a query's result depends
 * on its position alone: not on how many queries come with it, nor on whether chunks were taken in turn or by
 * several threads. */
#include <float.h>
#include <string.h>

#include "kernels/internal.h"
#include "kernels/scalar.h"

/* Queries per block, before rounding down to whole panels. */
#define QUERIES 112
/* Below this many query rows, keys and values are read where they stand. */
#define FEW_ROWS 8
/* Partial results of chunks held at once, in floats: 32 MB. */
#define PARTS_LIMIT ((int64_t)8 << 20)

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

typedef struct attention {
    const kern_table *table;
    float *out;
    const float *q, *k, *v;
    float scale;
    int64_t n, past, heads, group; /* group: query heads that share a key head */
    int64_t dk, dv, k_stride, v_stride;
    int64_t k_padded, ldo;    /* dk in whole steps; dv in whole vectors */
    int64_t block;            /* query rows per block */
    int64_t k_chunk, v_chunk; /* floats of a packed chunk */
    int64_t chunks, blocks;
    float *parts;               /* [kv_heads][chunks] results (split) */
    int64_t part_rows, part;    /* rows and floats of one */
    const float *rel_h, *rel_w; /* [2*side-1, dk], or NULL */
    int64_t side;
} attention;

/* A thread's scratch, carved. */
typedef struct desk {
    float *q;                               /* [block, k_padded] packed or scaled */
    float *scores;                          /* [block, KERN_CHUNK] */
    float *part_out, *out;                  /* [block, ldo] */
    float *part_top, *part_sum, *top, *sum; /* [block] */
    int64_t *visible;                       /* [block] */
    int32_t *index;                         /* [block] rows of q and out, in units of dk and dv */
    float *bias;                            /* [block, 2*side] */
    float *k, *v;                           /* packed chunks */
} desk;

static int64_t desk_floats(const attention *a, int64_t chunks)
{
    const int64_t b = round_up(a->block, 16);
    return b * (a->k_padded + KERN_CHUNK + 2 * a->ldo + 4 + 2 + 1 + 2 * a->side) +
           chunks * (a->k_chunk + a->v_chunk);
}

static desk desk_carve(const attention *a, float *scratch, int64_t chunks)
{
    const int64_t b = round_up(a->block, 16);
    desk d;
    d.q = scratch;
    d.scores = d.q + b * a->k_padded;
    d.part_out = d.scores + b * KERN_CHUNK;
    d.out = d.part_out + b * a->ldo;
    d.part_top = d.out + b * a->ldo;
    d.part_sum = d.part_top + b;
    d.top = d.part_sum + b;
    d.sum = d.top + b;
    void *integers = d.sum + b;
    d.visible = integers;
    integers = d.visible + b;
    d.index = integers;
    void *floats = d.index + b;
    d.bias = floats;
    d.k = d.bias + b * 2 * a->side;
    d.v = d.k + chunks * a->k_chunk;
    return d;
}

static void attention_sizes(attention *a)
{
    const int64_t mr = a->table->mr, nr = a->table->nr;
    a->block = QUERIES / mr * mr;
    a->k_padded = round_up(a->dk, 4);
    a->ldo = round_up(a->dv, 16);
    a->k_chunk = round_up(KERN_CHUNK, nr) * a->k_padded;
    a->v_chunk = round_up(a->dv, nr) * KERN_CHUNK;
}

/* Pack keys [length, dk] and values [length, dv] of one chunk. */
static void pack_chunk(const attention *a, const kern_rows *keys, const kern_rows *values, kern_order order,
                       float *k, float *v)
{
    const kern_table *t = a->table;
    const int64_t span = order == KERN_PLAIN ? a->dk : kern_span(a->dk);
    for (int64_t j = 0; j < keys->rows; j += t->nr)
        for (int64_t c = 0; c < a->dk; c += span) {
            kern_rows part = *keys;
            part.data = (const float *)keys->data + j * keys->stride + c;
            part.rows = min64(t->nr, keys->rows - j);
            part.cols = min64(span, a->dk - c);
            t->pack_right(k + j * a->k_padded + c * t->nr, &part, order);
        }
    for (int64_t j = 0; j < a->dv; j += t->nr) {
        kern_rows part = *values;
        part.data = (const float *)values->data + j;
        part.cols = min64(t->nr, a->dv - j);
        t->pack_across(v + j * KERN_CHUNK, &part, KERN_PLAIN);
    }
}

/* Pack query rows, scaled. */
static void pack_queries(const attention *a, const kern_rows *q, kern_order order, float *to)
{
    const int64_t mr = a->table->mr, span = order == KERN_PLAIN ? a->dk : kern_span(a->dk);
    for (int64_t i = 0; i < q->rows; i += mr)
        for (int64_t c = 0; c < a->dk; c += span) {
            kern_rows part = *q;
            part.data = (const float *)q->data + (q->index ? 0 : i * q->stride) + c;
            part.index = q->index ? q->index + i : NULL;
            part.rows = min64(mr, q->rows - i);
            part.cols = min64(span, a->dk - c);
            a->table->pack_left(to + i * a->k_padded + c * mr, &part, order, a->scale);
        }
}

static void reset(const attention *a, desk *d, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++) {
        d->top[r] = -FLT_MAX; /* not infinity: the difference of two is taken */
        d->sum[r] = 0;
    }
    memset(d->out, 0, (size_t)(rows * a->ldo) * sizeof(float));
}

/* ---- bidirectional ------------------------------------------------------------------------------------ */

/* What the keys of a grid gain for the queries first .. first+rows-1, which stand at q. A key's relative
 * position falls as its own rises: the tables are read backwards. row: scratch [k_padded]. */
static void relative_bias(const attention *a, float *bias, const float *q, int64_t step, int64_t first,
                          int64_t rows, float *row)
{
    for (int64_t r = 0; r < rows; r++, q += step, bias += 2 * a->side) {
        const int64_t y = (first + r) / a->side, x = (first + r) % a->side;
        const kern_rows high = {
            .data = a->rel_h + (y + a->side - 1) * a->dk, .stride = -a->dk, .rows = a->side, .cols = a->dk};
        const kern_rows wide = {
            .data = a->rel_w + (x + a->side - 1) * a->dk, .stride = -a->dk, .rows = a->side, .cols = a->dk};
        memcpy(row, q, (size_t)a->dk * sizeof *row); /* one row in quads is the row, filled up with zeros */
        memset(row + a->dk, 0, (size_t)(a->k_padded - a->dk) * sizeof *row);
        a->table->gemv(&(kern_gemv){.y = bias, .x = row, .ldy = a->side, .n = 1, .w = &high});
        a->table->gemv(&(kern_gemv){.y = bias + a->side, .x = row, .ldy = a->side, .n = 1, .w = &wide});
    }
}

/* One head of one batch entry: its keys and values are packed once, then block after block of queries. */
static void full_task(const void *job, int64_t task, float *scratch)
{
    const attention *a = job;
    const kern_table *t = a->table;
    const int64_t step = 3 * a->heads * a->dk, base = task / a->heads * a->n * step + task % a->heads * a->dk;
    desk d = desk_carve(a, scratch, a->chunks);
    for (int64_t c = 0; c < a->chunks; c++) {
        const int64_t at = base + c * KERN_CHUNK * step, length = min64(KERN_CHUNK, a->n - c * KERN_CHUNK);
        const kern_rows keys = {a->q + at + a->heads * a->dk, KERN_F32, NULL, step, length, a->dk};
        const kern_rows values = {a->q + at + 2 * a->heads * a->dk, KERN_F32, NULL, step, length, a->dk};
        pack_chunk(a, &keys, &values, KERN_PLAIN, d.k + c * a->k_chunk, d.v + c * a->v_chunk);
    }
    for (int64_t i = 0; i < a->n; i += a->block) {
        const int64_t rows = min64(a->block, a->n - i);
        const kern_rows q = {a->q + base + i * step, KERN_F32, NULL, step, rows, a->dk};
        pack_queries(a, &q, KERN_PLAIN, d.q);
        if (a->rel_h) relative_bias(a, d.bias, q.data, step, i, rows, d.part_out);
        reset(a, &d, rows);
        for (int64_t c = 0; c < a->chunks; c++) {
            const kern_chunk chunk = {.rows = rows,
                                      .bias = a->rel_h ? d.bias : NULL,
                                      .side = a->side,
                                      .begin = c * KERN_CHUNK,
                                      .length = min64(KERN_CHUNK, a->n - c * KERN_CHUNK),
                                      .dk = a->dk,
                                      .dv = a->dv,
                                      .q = d.q,
                                      .k_panels = d.k + c * a->k_chunk,
                                      .v_panels = d.v + c * a->v_chunk,
                                      .v_panel = t->nr * KERN_CHUNK,
                                      .order = KERN_PLAIN,
                                      .scores = d.scores,
                                      .top = d.part_top,
                                      .sum = d.part_sum,
                                      .out = d.part_out,
                                      .ldo = a->ldo};
            t->attend(&chunk);
            t->attend_join(d.top, d.sum, d.out, a->ldo, &chunk);
        }
        float *to = a->out + (task / a->heads * a->n + i) * a->heads * a->dv + task % a->heads * a->dv;
        for (int64_t r = 0; r < rows; r++)
            t->attend_finish(to + r * a->heads * a->dv, d.out + r * a->ldo, d.sum[r], a->dv);
    }
}

static int full(kern_context *c, attention *a, int64_t batch)
{
    a->chunks = (a->n + KERN_CHUNK - 1) / KERN_CHUNK;
    a->dv = a->dk;
    attention_sizes(a);
    if (kern_reserve(c, desk_floats(a, a->chunks), 0)) return -1;
    kern_run(c, batch * a->heads,
             (double)batch * (double)a->heads * (double)a->n * (double)(a->n * a->dk) / 12, full_task, a);
    return 0;
}

int kern_attention_full(kern_context *c, float *out, const float *qkv, float scale, int64_t batch,
                        int64_t tokens, int64_t heads, int64_t dim)
{
    attention a = {
        .table = kern_active(), .out = out, .q = qkv, .scale = scale, .n = tokens, .heads = heads, .dk = dim};
    if (a.table->mr != 0) return full(c, &a, batch);
    if (kern_reserve(c, 0, 2 * tokens)) return -1;
    kern_scalar_attention_full(out, qkv, scale, batch, tokens, heads, dim, kern_shared(c));
    return 0;
}

int kern_attention_rel(kern_context *c, float *out, const float *qkv, const float *rel_h, const float *rel_w,
                       float scale, int64_t batch, int64_t side, int64_t heads, int64_t dim)
{
    attention a = {.table = kern_active(),
                   .out = out,
                   .q = qkv,
                   .scale = scale,
                   .n = side * side,
                   .heads = heads,
                   .dk = dim,
                   .rel_h = rel_h,
                   .rel_w = rel_w,
                   .side = side};
    if (a.table->mr != 0) return full(c, &a, batch);
    if (kern_reserve(c, 0, 2 * (side * side + 2 * side))) return -1;
    kern_scalar_attention_rel(out, qkv, rel_h, rel_w, scale, batch, side, heads, dim, kern_shared(c));
    return 0;
}

/* ---- causal, with a cache ----------------------------------------------------------------------------- */

/* Query rows first .. first+rows-1 of key head g: row r is head g*group + r % group of query r / group. */
static void take_queries(const attention *a, desk *d, int64_t g, int64_t first, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++) {
        const int64_t at = first + r;
        d->index[r] = (int32_t)(at / a->group * a->heads + g * a->group + at % a->group);
    }
    const kern_rows q = {a->q, KERN_F32, d->index, a->dk, rows, a->dk};
    if (rows >= FEW_ROWS) {
        pack_queries(a, &q, KERN_CHAINS, d->q);
        return;
    }
    a->table->pack_quads(d->q, &q, a->scale);
}

/* Those rows against chunk c; results in the given arrays. */
static kern_chunk causal_chunk(const attention *a, desk *d, int64_t g, int64_t first, int64_t rows, int64_t c)
{
    const int64_t begin = c * KERN_CHUNK, last = a->past + (first + rows - 1) / a->group;
    const int64_t length = min64(KERN_CHUNK, last + 1 - begin);
    for (int64_t r = 0; r < rows; r++) d->visible[r] = a->past + (first + r) / a->group + 1 - begin;
    kern_chunk chunk = {
        .rows = rows,
        .length = length,
        .dk = a->dk,
        .dv = a->dv,
        .q = d->q,
        .v_panel = a->table->nr * KERN_CHUNK,
        .order = KERN_CHAINS,
        .keys = {a->k + begin * a->k_stride + g * a->dk, KERN_F32, NULL, a->k_stride, length, a->dk},
        .values = {a->v + begin * a->v_stride + g * a->dv, KERN_F32, NULL, a->v_stride, length, a->dv},
        .visible = d->visible,
        .scores = d->scores,
        .top = d->part_top,
        .sum = d->part_sum,
        .out = d->part_out,
        .ldo = a->ldo};
    if (rows >= FEW_ROWS) {
        pack_chunk(a, &chunk.keys, &chunk.values, KERN_CHAINS, d->k, d->v);
        chunk.k_panels = d->k;
        chunk.v_panels = d->v;
    }
    return chunk;
}

static void finish_rows(const attention *a, const desk *d, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++)
        a->table->attend_finish(a->out + d->index[r] * a->dv, d->out + r * a->ldo, d->sum[r], a->dv);
}

/* A block of queries of one key head against all it sees, chunk after chunk. */
static void causal_task(const void *job, int64_t task, float *scratch)
{
    const attention *a = job;
    /* The last blocks see the most: begin with them, so that the threads end together. */
    const int64_t kv_heads = a->heads / a->group, g = task % kv_heads,
                  block = a->blocks - 1 - task / kv_heads;
    const int64_t first = block * a->block, rows = min64(a->block, a->n * a->group - first);
    const int64_t last = a->past + (first + rows - 1) / a->group;
    desk d = desk_carve(a, scratch, 1);
    take_queries(a, &d, g, first, rows);
    reset(a, &d, rows);
    for (int64_t c = 0; c * KERN_CHUNK <= last; c++) {
        const kern_chunk chunk = causal_chunk(a, &d, g, first, rows, c);
        a->table->attend(&chunk);
        a->table->attend_join(d.top, d.sum, d.out, a->ldo, &chunk);
    }
    finish_rows(a, &d, rows);
}

/* Few queries: the chunks are the tasks. A part is top, sum and out [rows, ldo] of its rows (held in pairs,
 * as tiles write them). */
static void split_task(const void *job, int64_t task, float *scratch)
{
    const attention *a = job;
    desk d = desk_carve(a, scratch, 1);
    d.part_top = a->parts + task * a->part;
    d.part_sum = d.part_top + a->part_rows;
    d.part_out = d.part_sum + a->part_rows;
    take_queries(a, &d, task / a->chunks, 0, a->n * a->group);
    const kern_chunk chunk = causal_chunk(a, &d, task / a->chunks, 0, a->n * a->group, task % a->chunks);
    a->table->attend(&chunk);
}

static void join_task(const void *job, int64_t g, float *scratch)
{
    const attention *a = job;
    const int64_t rows = a->n * a->group;
    desk d = desk_carve(a, scratch, 1);
    reset(a, &d, rows);
    for (int64_t r = 0; r < rows; r++)
        d.index[r] = (int32_t)(r / a->group * a->heads + g * a->group + r % a->group);
    for (int64_t c = 0; c < a->chunks; c++) {
        float *part = a->parts + (g * a->chunks + c) * a->part;
        const kern_chunk chunk = {.rows = rows,
                                  .dv = a->dv,
                                  .top = part,
                                  .sum = part + a->part_rows,
                                  .out = part + 2 * a->part_rows,
                                  .ldo = a->ldo};
        a->table->attend_join(d.top, d.sum, d.out, a->ldo, &chunk);
    }
    finish_rows(a, &d, rows);
}

int kern_attention_causal(kern_context *c, float *out, const float *q, const float *k, const float *v,
                          float scale, int64_t n, int64_t past, int64_t heads, int64_t kv_heads, int64_t dk,
                          int64_t dv, int64_t k_stride, int64_t v_stride)
{
    attention a = {kern_active(),
                   out,
                   q,
                   k,
                   v,
                   scale,
                   n,
                   past,
                   heads,
                   heads / kv_heads,
                   dk,
                   dv,
                   k_stride,
                   v_stride,
                   .chunks = (past + n + KERN_CHUNK - 1) / KERN_CHUNK};
    if (a.table->mr == 0) {
        if (kern_reserve(c, 0, 2 * (past + n))) return -1;
        kern_scalar_attention_causal(out, q, k, v, scale, n, past, heads, kv_heads, dk, dv, k_stride,
                                     v_stride, kern_shared(c));
        return 0;
    }
    if (n <= 0) return 0;
    attention_sizes(&a);
    a.part_rows = round_up(n * a.group, 2);
    a.part = a.part_rows * (2 + a.ldo);
    const double work = (double)(n * heads) * (double)(past + n) * (double)(dk + dv) / 16;
    const bool split = n * a.group <= a.block && kv_heads * a.chunks * a.part <= PARTS_LIMIT;
    if (kern_reserve(c, desk_floats(&a, 1), split ? kv_heads * a.chunks * a.part : 0)) return -1;
    if (!split) {
        a.blocks = (n * a.group + a.block - 1) / a.block;
        kern_run(c, kv_heads * a.blocks, work, causal_task, &a);
        return 0;
    }
    a.parts = kern_shared(c);
    kern_run(c, kv_heads * a.chunks, work, split_task, &a);
    kern_run(c, kv_heads, (double)(n * heads * a.chunks) * (double)dv / 8, join_task, &a);
    return 0;
}
