/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and scratch: the only file of the kernels that allocates or knows OpenMP. */
#include <omp.h>
#include <sched.h>
#include <stdlib.h>

#include "kernels/internal.h"

/* Scalar operations that cost about as much as waking the other threads and waiting for them (some
 * microseconds). */
#define FORK_WORK 60000.0
/* Floats that every thread has from the start, for kernels that cannot fail. */
#define BASE_SCRATCH 16384

typedef struct area {
    float *data;
    size_t bytes;
} area;

struct kern_context {
    int threads;
    area user, shared;
    area *own; /* [threads] */
};

static int area_grow(area *a, size_t bytes)
{
    if (bytes <= a->bytes) return 0;
    const size_t rounded = (bytes + 4095) & ~(size_t)4095;
    if (rounded < bytes) return -1;
    free(a->data);
    a->data = aligned_alloc(64, rounded);
    a->bytes = a->data ? rounded : 0;
    return a->data ? 0 : -1;
}

static int online_cpus(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

kern_context *kern_context_new(int threads)
{
    kern_context *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->threads = threads > 0 ? threads : online_cpus();
    c->own = calloc((size_t)c->threads, sizeof *c->own);
    if (!c->own || kern_reserve(c, BASE_SCRATCH, 0)) {
        kern_context_free(c);
        return NULL;
    }
    return c;
}

void kern_context_free(kern_context *c)
{
    if (!c) return;
    for (int i = 0; c->own && i < c->threads; i++) free(c->own[i].data);
    free(c->own);
    free(c->user.data);
    free(c->shared.data);
    free(c);
}

int kern_context_threads(const kern_context *c)
{
    return c->threads;
}

void *kern_context_scratch(kern_context *c, size_t bytes)
{
    return area_grow(&c->user, bytes ? bytes : 1) ? NULL : c->user.data;
}

int kern_reserve(kern_context *c, int64_t per_thread, int64_t shared)
{
    for (int i = 0; i < c->threads; i++)
        if (area_grow(&c->own[i], (size_t)per_thread * sizeof(float))) return -1;
    return area_grow(&c->shared, (size_t)shared * sizeof(float));
}

void *kern_shared(kern_context *c)
{
    return c->shared.data;
}

void kern_run(kern_context *c, int64_t count, double work, kern_task *run, const void *job)
{
    if (c->threads == 1 || count == 1 || work < FORK_WORK) {
        for (int64_t i = 0; i < count; i++) run(job, i, c->own[0].data);
        return;
    }
    /* Always the same team size: libgomp lets go of threads that a smaller team leaves idle. */
#pragma omp parallel num_threads(c->threads)
    {
        float *scratch = c->own[omp_get_thread_num()].data;
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t i = 0; i < count; i++) run(job, i, scratch);
    }
}
