/* SPDX-License-Identifier: Apache-2.0 */
/* kern_linear on quantized weights with activations of 8 bits: every variant against the oracle, and the same
 * bits however many rows, threads and whichever registers. */
#include "tests/kernels/kernel_test.h"

static kern_weight random_quantized(kern_dtype dtype, int64_t group, int64_t rows, int64_t cols)
{
    kern_context *c = kern_context_new(1);
    void *to = malloc((size_t)kern_quantized_size(dtype, group, rows, cols));
    if (!to || kern_quantize(c, to, random_floats(rows * cols), dtype, group, rows, cols)) abort();
    kern_context_free(c);
    const kern_weight q = {to, dtype, rows, cols, group};
    return q;
}

static kern_context *eight_bits(int threads)
{
    kern_context *c = kern_context_new(threads);
    kern_context_int8(c, true);
    return c;
}

static void test_linear(int64_t n, int64_t rows, int64_t cols, kern_dtype dtype, int64_t group)
{
    const kern_weight w = random_quantized(dtype, group, rows, cols);
    float *x = random_floats(n * cols), *bias = random_floats(rows);
    int32_t *index = malloc((size_t)n * sizeof *index);
    for (int64_t i = 0; i < n; i++) index[i] = (int32_t)random_int(0, n - 1);
    for (int64_t k = 0; k < cols && n > 2; k++) x[2 * cols + k] = 0;
    float *want = random_floats(n * rows), *got = random_floats(n * rows), *one = random_floats(rows);
    float *gathered = random_floats(n * rows), *first = NULL;
    kern_scalar_linear_int8(want, x, NULL, &w, bias, n, 0, rows);
    kern_scalar_linear_int8(gathered, x, index, &w, NULL, n, 0, rows);
    for (const char *const *isa = variants(); *isa; isa++) {
        kern_isa_force(*isa);
        kern_context *c = eight_bits(1), *c3 = eight_bits(3);
        CHECK(kern_linear(c, got, x, &w, bias, n) == 0);
        CHECK_MSG(worst(got, want, n * rows) < 2e-6, "%s group %ld n=%ld %ldx%ld: %g", *isa, (long)group,
                  (long)n, (long)rows, (long)cols, worst(got, want, n * rows));
        if (has_vectors(*isa)) {
            if (first)
                CHECK_MSG(same_bits(got, first, n * rows), "%s other bits, n=%ld %ldx%ld", *isa, (long)n,
                          (long)rows, (long)cols);
            first = same_floats(got, n * rows);
            CHECK(kern_linear(c3, got, x, &w, bias, n) == 0 && same_bits(got, first, n * rows));
            for (int64_t i = 0; i < n; i += 1 + n / 5)
                CHECK(kern_linear(c3, one, x + i * cols, &w, bias, 1) == 0 &&
                      same_bits(one, first + i * rows, rows));
        }
        CHECK(kern_linear_gather(c3, got, x, index, &w, n) == 0);
        CHECK(worst(got, gathered, n * rows) < 2e-6);
        kern_context_free(c);
        kern_context_free(c3);
    }
    free(index);
    free((void *)(uintptr_t)w.data);
}

/* What is not finite in a row makes all its results so, and no other row's. */
static void test_not_finite(void)
{
    const kern_weight w = random_quantized(KERN_Q8, 32, 40, 50);
    for (const char *const *isa = variants(); *isa; isa++)
        for (int bad = 0; bad < 2; bad++) {
            kern_isa_force(*isa);
            kern_context *c = eight_bits(1);
            float *x = random_floats(3 * 50), *y = random_floats(3 * 40);
            x[50 + 17] = bad ? NAN : -INFINITY;
            CHECK(kern_linear(c, y, x, &w, NULL, 3) == 0);
            for (int i = 0; i < 120; i++) CHECK(!isfinite(y[i]) == (i / 40 == 1));
            kern_context_free(c);
        }
    free((void *)(uintptr_t)w.data);
}

/* Weights of other types do not see the switch. */
static void test_floats(void)
{
    const kern_weight w = random_weight(KERN_BF16, 50, 70);
    const float *x = random_floats(9 * 70);
    float *a = random_floats(9 * 50), *b = random_floats(9 * 50);
    kern_context *c = kern_context_new(1);
    CHECK(kern_linear(c, a, x, &w, NULL, 9) == 0);
    kern_context_int8(c, true);
    CHECK(kern_linear(c, b, x, &w, NULL, 9) == 0);
    CHECK(same_bits(a, b, 9 * 50));
    kern_context_free(c);
}

int main(void)
{
    static const int64_t ns[] = {1, 2, 3, 5, 6, 7, 13, 14, 15, 31};
    static const int64_t sizes[][2] = {{1, 1},    {5, 3},     {33, 32},  {31, 33},  {32, 64},
                                       {48, 100}, {130, 257}, {33, 640}, {64, 1281}};
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            test_linear(ns[i], sizes[s][0], sizes[s][1], (i + s) % 2 ? KERN_Q8 : KERN_Q4,
                        32 << (i / 2 + s) % 3);
    test_linear(60, 300, 450, KERN_Q8, 128);
    test_linear(60, 300, 450, KERN_Q4, 128);
    for (int64_t n = 29; n < 32; n++) { /* rows too long for one pass */
        test_linear(n, 75, 4500, KERN_Q8, 128);
        test_linear(n, 96, 6000, KERN_Q4, 32);
    }
    test_not_finite();
    test_floats();
    return CHECK_DONE();
}
