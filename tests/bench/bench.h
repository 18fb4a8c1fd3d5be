/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the benchmarks of kernels: time, memory, medians, and how fast memory can be read. What is
 * compared runs in turns in one process, so that ratios mean the same on any machine. */
#ifndef DSVL_TESTS_BENCH_H
#define DSVL_TESTS_BENCH_H

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/kernels.h"

static inline double now(void)
{
    return omp_get_wtime();
}

/* OpenMP's threads (dnnl_sgemm's, and those that only read) spin for some milliseconds when they have nothing
 * to do: let them fall asleep before others are measured. */
static inline void settle(void)
{
    const struct timespec pause = {0, 30000000};
    nanosleep(&pause, NULL);
}

static inline void *take(size_t bytes)
{
    void *block = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!block) {
        fprintf(stderr, "benchmark: no memory\n");
        exit(1);
    }
    return block;
}

static inline float *random_floats(int64_t n, float size)
{
    static uint64_t state = 1;
    float *x = take((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = ((float)(uint32_t)(state >> 32) * 0x1p-31f - 1.0f) * size;
    }
    return x;
}

static inline int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return values[n / 2];
}

#if defined(__x86_64__) && !defined(__clang__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default"), noinline))
#else
#define WIDEST __attribute__((noinline))
#endif

typedef uint64_t words __attribute__((vector_size(64), may_alias));

/* Sum of 64-byte lines, fetched `ahead` bytes ahead into the second-level cache (0: as the processor does).
 */
WIDEST static uint64_t sum_lines(const words *p, int64_t lines, int64_t ahead)
{
    words s[4] = {{0}, {0}, {0}, {0}};
    for (int64_t i = 0; i + 4 <= lines; i += 4)
        for (int u = 0; u < 4; u++) {
            if (ahead) __builtin_prefetch((const char *)(p + i + u) + ahead, 0, 2);
            s[u] += p[i + u];
        }
    uint64_t total = 0;
    for (int u = 0; u < 32; u++) total += s[u / 8][u % 8];
    return total;
}

/* Seconds to read `bytes` once, every thread its contiguous share in ascending order. */
static inline double read_once(const void *data, size_t bytes, int64_t ahead)
{
    const int64_t lines = (int64_t)(bytes / sizeof(words));
    uint64_t total = 0;
    const double start = now();
#pragma omp parallel reduction(+ : total)
    {
        const int64_t share = lines / omp_get_num_threads();
        total += sum_lines((const words *)data + share * omp_get_thread_num(), share, ahead);
    }
    const double seconds = now() - start;
    if (total == 42) fputc(' ', stderr); /* keeps the sums */
    return seconds;
}

/* The least seconds of several ways to read `bytes`. */
static inline double read_all(const void *data, size_t bytes)
{
    static const int64_t ahead[] = {0, 4096, 16384, 65536};
    double best = 1e30;
    for (size_t i = 0; i < sizeof ahead / sizeof *ahead; i++) {
        const double seconds = read_once(data, bytes, ahead[i]);
        if (seconds < best) best = seconds;
    }
    settle();
    return best;
}

#endif
