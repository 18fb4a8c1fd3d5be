/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and scratch: the only file of the kernels that allocates or knows threads.
 *
 * The threads are a pool of our own and not OpenMP's, for the sake of busy machines: there the caller of an
 * OpenMP region waits for every thread of the team, also for one that has not had a processor yet, and with a
 * job beside it a command took eight times as long. Here the caller takes tasks too and waits only for
 * threads that have begun one. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "kernels/internal.h"

/* Cycles below which waking the other threads and waiting for them does not pay (a few microseconds). */
#define FORK_WORK 12000.0
#define HUGE_PAGE ((size_t)2 << 20)
/* Floats that every thread has from the start, for kernels that cannot fail. */
#define BASE_SCRATCH 16384

typedef struct area {
    float *data;
    size_t bytes;
} area;

typedef struct worker {
    pthread_t thread;
    struct kern_context *context;
    int index; /* its scratch is own[index] */
} worker;

struct kern_context {
    int threads;
    bool int8; /* activations */
    area user, shared;
    area *own; /* [threads] */

    worker *workers; /* [threads - 1], started at the first work that is worth it */
    int started;     /* workers that run; -1: not tried yet */
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    atomic_uint round; /* goes up with every job */
    bool open, quit;   /* a job may be begun; the context ends (both under the lock) */
    atomic_int active; /* workers in the job */
    /* the job; constant while it is open */
    kern_task *run;
    const void *job;
    int64_t count;
    atomic_llong next;
};

static int area_grow(area *a, size_t bytes)
{
    if (bytes <= a->bytes) return 0;
    const size_t align = bytes < HUGE_PAGE ? 4096 : HUGE_PAGE, rounded = (bytes + align - 1) & ~(align - 1);
    if (rounded < bytes) return -1;
    free(a->data);
    a->data = aligned_alloc(align, rounded);
    a->bytes = a->data ? rounded : 0;
#ifdef MADV_HUGEPAGE
    /* Strided walks over activations touch more pages than the address cache holds. Refusal does no harm. */
    if (a->data && align == HUGE_PAGE) (void)madvise(a->data, rounded, MADV_HUGEPAGE);
#endif
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
    c->started = -1;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    pthread_cond_init(&c->done, NULL);
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
    pthread_mutex_lock(&c->lock);
    c->quit = true;
    atomic_fetch_add(&c->round, 1);
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->started; i++) pthread_join(c->workers[i].thread, NULL);
    pthread_cond_destroy(&c->done);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c->workers);
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

void kern_context_int8(kern_context *c, bool on)
{
    c->int8 = on;
}

bool kern_int8(const kern_context *c)
{
    return c->int8;
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

/* Turns of a waiting loop before a thread sleeps: some tens of microseconds, the pause between two kernels.
 */
#define SPIN 3000

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    sched_yield();
#endif
}

/* The lock is held for less time than a sleeping thread takes to wake: turn a while before sleeping. */
static void enter(kern_context *c)
{
    for (int spin = 0; spin < SPIN / 16; spin++) {
        if (pthread_mutex_trylock(&c->lock) == 0) return;
        relax();
    }
    pthread_mutex_lock(&c->lock);
}

static void take_tasks(kern_context *c, float *scratch)
{
    int64_t i;
    while ((i = atomic_fetch_add(&c->next, 1)) < c->count) c->run(c->job, i, scratch);
}

static void *work_on(void *argument)
{
    worker *w = argument;
    kern_context *c = w->context;
    unsigned seen = 0;
    for (;;) {
        for (int spin = 0; spin < SPIN && atomic_load(&c->round) == seen; spin++) relax();
        enter(c);
        while (atomic_load(&c->round) == seen) pthread_cond_wait(&c->wake, &c->lock);
        seen = atomic_load(&c->round);
        const bool quit = c->quit, open = c->open;
        if (open) atomic_fetch_add(&c->active, 1);
        pthread_mutex_unlock(&c->lock);
        if (quit) return NULL;
        if (!open) continue; /* the others have done it all */
        take_tasks(c, c->own[w->index].data);
        enter(c);
        if (atomic_fetch_sub(&c->active, 1) == 1) pthread_cond_signal(&c->done);
        pthread_mutex_unlock(&c->lock);
    }
}

/* Start the workers; fewer than asked for when the system refuses. */
static void start_workers(kern_context *c)
{
    c->started = 0;
    c->workers = calloc((size_t)c->threads - 1, sizeof *c->workers);
    for (int i = 0; c->workers && i < c->threads - 1; i++) {
        c->workers[i].context = c;
        c->workers[i].index = i + 1;
        if (pthread_create(&c->workers[i].thread, NULL, work_on, &c->workers[i])) break;
        c->started++;
    }
}

void kern_run(kern_context *c, int64_t count, double work, kern_task *run, const void *job)
{
    if (c->threads == 1 || count == 1 || work < FORK_WORK) {
        for (int64_t i = 0; i < count; i++) run(job, i, c->own[0].data);
        return;
    }
    if (c->started < 0) start_workers(c);
    enter(c);
    c->run = run;
    c->job = job;
    c->count = count;
    atomic_store(&c->next, 0);
    c->open = true;
    atomic_fetch_add(&c->round, 1);
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    take_tasks(c, c->own[0].data);
    enter(c);
    c->open = false; /* who has not begun by now need not */
    pthread_mutex_unlock(&c->lock);
    for (int spin = 0; spin < SPIN && atomic_load(&c->active); spin++) relax();
    enter(c);
    while (atomic_load(&c->active)) pthread_cond_wait(&c->done, &c->lock);
    pthread_mutex_unlock(&c->lock);
}
