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

/* ---- dispatch.c -------------------------------------------------------------------------------------- */

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
} kern_table;

const kern_table *kern_active(void);

extern const kern_table kern_table_scalar;

#endif
