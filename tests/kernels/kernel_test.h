/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the kernel tests: reproducible random data, comparison with an oracle, every variant and thread
 * count. */
#ifndef DSVL_TESTS_KERNEL_TEST_H
#define DSVL_TESTS_KERNEL_TEST_H

#include <math.h>

#include "kernels/kernels.h"
#include "kernels/scalar.h"
#include "tests/unit/check.h"

static uint64_t random_state = 1;

static inline uint32_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

/* In [-1, 1), uniform. */
static inline float random_float(void)
{
    return (float)random_bits() * 0x1p-31f - 1.0f;
}

static inline int64_t random_int(int64_t low, int64_t high)
{
    return low + random_bits() % (high - low + 1);
}

/* n floats; the pointer is on purpose no multiple of more than 4 bytes. Kept to the end of the test. */
static inline float *random_floats(int64_t n)
{
    static struct kept {
        struct kept *before;
        float data[];
    } * last;
    struct kept *block = malloc(sizeof *block + (size_t)(n + 1) * sizeof(float));
    if (!block) abort();
    block->before = last;
    last = block;
    for (int64_t i = 0; i <= n; i++) block->data[i] = random_float();
    return block->data + 1;
}

static inline float *same_floats(const float *from, int64_t n)
{
    float *to = random_floats(n);
    memcpy(to, from, (size_t)n * sizeof *to);
    return to;
}

/* A weight of the given type; 16-bit types get the upper bits of random values of either sign below 1. */
static inline kern_weight random_weight(kern_dtype dtype, int64_t rows, int64_t cols)
{
    const int64_t n = rows * cols;
    kern_weight w = {NULL, dtype, rows, cols, 0};
    if (dtype == KERN_F32) {
        w.data = random_floats(n);
        return w;
    }
    void *kept = random_floats(n / 2 + 1);
    uint16_t *half = kept;
    for (int64_t i = 0; i <= n; i++) {
        const uint32_t r = random_bits();
        half[i] = dtype == KERN_BF16 ? (uint16_t)((r & 0x8000) | (0x3d80 + (r & 0x1ff)))
                                     : (uint16_t)((r & 0x8000) | (r >> 16 & 0x3bff));
    }
    w.data = half + 1;
    return w;
}

/* Largest |got - want| relative to the largest |want|. */
static inline double worst(const float *got, const float *want, int64_t n)
{
    double top = 1e-30, error = 0;
    for (int64_t i = 0; i < n; i++) {
        const double size = fabs((double)want[i]), off = fabs((double)got[i] - want[i]);
        if (size > top) top = size;
        if (!(off <= error)) error = off; /* NaN counts */
    }
    return error / top;
}

static inline bool same_bits(const float *a, const float *b, int64_t n)
{
    return memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

/* Our own variants of products, which agree to the bit; the others are held to the oracle alone. */
static inline bool has_vectors(const char *isa)
{
    return strncmp(isa, "avx", 3) == 0;
}

/* The variants that this CPU has, NULL at the end. */
static inline const char *const *variants(void)
{
    static const char *const all[] = {"scalar", "onednn", "avx2", "avx512", "avx512vnni"};
    static const char *have[6];
    int n = 0;
    for (int i = 0; i < 5; i++)
        if (kern_isa_force(all[i])) have[n++] = all[i];
    have[n] = NULL;
    return have;
}

#endif
