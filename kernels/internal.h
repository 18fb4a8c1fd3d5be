/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of libdsvl-kernels share: tasks and scratch of a context, and the table of one instruction
 * set. The public functions cut work into tasks whose extent depends on shapes only and hand each to the
 * table; which thread runs a task, and how many there are, cannot be seen in the result. */
#ifndef DSVL_KERNELS_INTERNAL_H
#define DSVL_KERNELS_INTERNAL_H

#include "kernels/kernels.h"

/* ---- context.c --------------------------------------------------------------------------------------- */

/* One task; `scratch` is the running thread's part (see kern_reserve), 64-byte aligned. */
typedef void kern_task(const void *job, int64_t task, float *scratch);

/* Run tasks 0..count-1, each once, in any order. `work` is their whole cost in scalar operations, roughly:
 * below the price of waking threads the caller runs them all itself. */
void kern_run(kern_context *c, int64_t count, double work, kern_task *run, const void *job);

/* Make sure that every thread has `per_thread` floats and that `shared` floats exist; 0, or -1: no memory. */
int kern_reserve(kern_context *c, int64_t per_thread, int64_t shared);
void *kern_shared(kern_context *c);
bool kern_int8(const kern_context *c); /* see kern_context_int8 */

/* ---- dispatch.c -------------------------------------------------------------------------------------- */

/* A sum over k is cut into equal blocks (the last may be shorter) of at most KERN_BLOCK, a multiple of 16: a
 * packed panel of one then stays close. Part of the definition of every result; see simd_gemm.h. */
#define KERN_BLOCK 1280
static inline int64_t kern_span(int64_t k)
{
    const int64_t blocks = (k + KERN_BLOCK - 1) / KERN_BLOCK;
    return blocks < 2 ? KERN_BLOCK : ((k + blocks - 1) / blocks + 15) / 16 * 16;
}

/* Most columns that one call of gemm takes. */
#define KERN_COLUMNS 256
/* Keys that a step of attention takes together; also part of every result. */
#define KERN_CHUNK 256

/* A matrix somewhere in memory: row r starts at element (index ? index[r] : r) * stride. */
typedef struct kern_rows {
    const void *data;
    kern_dtype dtype;
    const int32_t *index;
    int64_t stride, rows, cols;
} kern_rows;

/* Bytes of a block of a quantized matrix (quantize.c). */
int64_t kern_block_bytes(kern_dtype dtype, int64_t group);

/* Order of k in a packed panel: four interleaved chains, or ascending. */
typedef enum kern_order { KERN_CHAINS, KERN_PLAIN } kern_order;

/* y[rows, cols] = alpha * a . b + bias + beta * y over one k-block of packed panels. Unfinished sums stand in
 * total, which may be y when beta is 0. */
typedef struct kern_gemm {
    const float *a, *b;
    int64_t a_panel, b_panel; /* floats from one panel to the next */
    int64_t rows, cols, k;    /* cols <= KERN_COLUMNS, k <= KERN_BLOCK */
    float *y, *total;
    int64_t ldy, ldt;
    bool first, last;  /* k-block of the sum */
    const float *bias; /* [cols] or NULL */
    float alpha, beta;
    const float
        *scale; /* right factor from expand: its scales, s_panel floats from panel to panel; or NULL */
    int64_t s_panel, group;
} kern_gemm;

/* y[n, rows] = x . w^T + bias, n small, w quantized. Rows of x are as long as all blocks: what is missing of
 * the last one is zero. */
typedef struct kern_few {
    float *y;
    const float *x;
    int64_t ldy, ldx, n;
    const unsigned char *w; /* from a panel's first block on */
    kern_dtype dtype;
    int64_t group, blocks, block_bytes, rows; /* blocks: of a panel */
    const float *bias;
} kern_few;

/* y[n, w->rows] = x . w^T + bias, n small, x as pack_quads leaves it. */
typedef struct kern_gemv {
    float *y;
    const float *x; /* [k/4][n][4] */
    int64_t ldy, n;
    const kern_rows *w;
    const float *bias;
} kern_gemv;

/* One block of query rows against one chunk of at most KERN_CHUNK keys. Exactly one of (panels) and (keys,
 * values) is set. Results: top[r] the largest score, sum[r] of e^(score - top), out[r, ldo] the values
 * weighted by it. */
typedef struct kern_chunk {
    int64_t rows, length, dk, dv;
    const float *q; /* times scale: packed panels, or quads with unpacked keys */
    const float *k_panels,
        *v_panels; /* packed for this chunk; v_panel floats from one panel of V to the next */
    int64_t v_panel;
    kern_order order; /* of q and k_panels */
    kern_rows keys, values;
    const int64_t *visible; /* [rows] keys that the row may see, or NULL: all */
    /* What a score gains, or NULL: the keys are a grid of rows of `side`; bias[r] holds what a key gains by
     * its row [side], then by its column [side]. begin: the first key's place in the grid. */
    const float *bias;
    int64_t side, begin;
    float *scores; /* scratch [rows, KERN_CHUNK] */
    float *top, *sum, *out;
    int64_t ldo;
} kern_chunk;

/* Kernels of one instruction set over whole ranges, single-threaded. Arguments are as in kernels.h. */
typedef struct kern_table {
    const char *name;
    void (*layernorm)(float *y, const float *x, const float *gain, const float *bias, float eps, int64_t n,
                      int64_t dim);
    void (*rmsnorm)(float *y, const float *x, const float *gain, float eps, int64_t n, int64_t dim);
    void (*gelu_tanh)(float *x, int64_t n);
    void (*gelu_erf)(float *x, int64_t n);
    void (*silu_mul)(float *y, const float *gate, const float *up, int64_t n);
    void (*add)(float *y, const float *x, int64_t n);
    void (*axpy)(float *y, float a, const float *x, int64_t n);
    void (*softmax)(float *x, int64_t n, int64_t dim);
    void (*widen)(float *y, const void *x, kern_dtype dtype, int64_t n);

    /* Where there is no gemm: linear products of a library, or NULL: the oracle's (gemm_dnnl.c). */
    int (*linear)(kern_context *c, float *y, const float *x, const int32_t *index, const kern_weight *w,
                  const float *bias, int64_t n);
    /* Quantized weights times whole numbers: rounded to 8 bits, and keeping what f32 says; or NULL. */
    const struct kern_int8_table *int8, *exact;

    /* What follows is absent (mr = 0) from the scalar table, which has whole kernels instead (scalar.h). */
    int mr, nr; /* rows of a packed panel: left, right */
    void (*pack_left)(float *to, const kern_rows *x, kern_order order, float scale);
    void (*pack_right)(float *to, const kern_rows *w, kern_order order);
    void (*pack_across)(float *to, const kern_rows *w, kern_order order);
    void (*gemm)(const kern_gemm *job);
    void (*pack_quads)(float *to, const kern_rows *x, float scale);
    void (*gemv)(const kern_gemv *job);
    void (*few)(const kern_few *job);
    void (*expand)(float *to, float *scale, const unsigned char *block, kern_dtype dtype, int64_t group,
                   int64_t b_panel, int64_t s_panel);
    void (*gemv_across)(float *y, const float *x, const kern_rows *m);
    void (*attend)(const kern_chunk *job);
    /* Join a chunk's result to what earlier chunks gave: top, sum and out [rows, ldo], then `with`. */
    void (*attend_join)(float *top, float *sum, float *out, int64_t ldo, const kern_chunk *with);
    void (*attend_finish)(float *to, const float *out, float sum, int64_t dv);
} kern_table;

const kern_table *kern_active(void);

/* ---- activations as whole numbers: linear_int8.c, int8_*.c -------------------------------------------- */

/* Scale of a row of x for one digit, and what its values are multiplied by before they are rounded. */
float kern_int8_scale(float largest, float *inverse);

/* Rows that a panel of `rows` is packed and multiplied as: 1 or an even number. */
static inline int64_t kern_int8_held(int64_t rows)
{
    return rows < 2 ? rows : (rows + 1) / 2 * 2;
}

/* One panel of packed rows times one of weights, KERN_PANEL outputs: t [rows, ldt] = scales times sums, or
 * with `more` these are added to what stands there, block after block. */
typedef struct kern_int8_block {
    float *t;
    bool more;
    int64_t ldt, rows, group;
    const int8_t *a;
    const int32_t *offset;
    const float *scale;
    const unsigned char *block;
    int64_t blocks, block_bytes; /* that follow each other */
    kern_dtype dtype;
    bool wide; /* weights are as expand leaves them */
    /* Memory that is wanted next: to be fetched meanwhile, fetch_step bytes with every block; or NULL. */
    const unsigned char *fetch;
    int64_t fetch_step;
} kern_int8_block;

typedef struct kern_int8_table {
    int mr;            /* most rows of a panel; its arrays are as long as the rows it holds */
    int bytes, digits; /* of an activation */
    bool nibbles;      /* multiply takes blocks of KERN_Q4 as they stand */
    bool block_scales; /* rows of x have a scale for every block and not one for all */
    /* scale: [rows] or [blocks][rows]; offset [blocks][rows][digits], for multiply. */
    void (*pack)(int8_t *to, float *scale, int32_t *offset, const kern_rows *x, int64_t group);
    void (*multiply)(const kern_int8_block *job);
    /* What is multiplied by many rows: a block as large as one of KERN_Q8; or NULL: as it stands. */
    void (*expand)(unsigned char *to, const unsigned char *block, kern_dtype dtype, int64_t group);
    void (*finish)(float *y, const float *t, float scale, const float *bias, int64_t cols);
    const struct kern_int8_table *narrow; /* takes the place of this one where weights are KERN_Q4; or NULL */
} kern_int8_table;

/* For activations of 8 bits, or such as keep what f32 says; NULL: none, and f32 or plain C serves. */
const kern_int8_table *kern_int8_active(bool exact);
int kern_linear_int8(kern_context *c, const kern_int8_table *table, const kern_product *product);
/* Products that read weights where they stand, all at once; at most KERN_TOGETHER. */
#define KERN_TOGETHER 16
bool kern_int8_reads(const kern_int8_table *table, const kern_product *product);
int kern_int8_read(kern_context *c, const kern_int8_table *table, const kern_product *products,
                   int64_t count);

/* Tasks of a product with few rows, which is a matter of reading: at most KERN_TASKS, in units of `unit`
 * outputs; from[i] is the first output of task i, from[count] = rows. Returns count. */
#define KERN_TASKS 128
int64_t kern_cut(int64_t from[KERN_TASKS + 1], const kern_context *c, int64_t rows, int64_t row_bytes,
                 int64_t unit);

int kern_dnnl_linear(kern_context *c, float *y, const float *x, const int32_t *index, const kern_weight *w,
                     const float *bias, int64_t n);

extern const kern_int8_table kern_int8_avx2, kern_int8_avx512, kern_exact_avx512;

extern const kern_table kern_table_scalar, kern_table_onednn, kern_table_avx2, kern_table_avx512,
    kern_table_vnni;

#endif
