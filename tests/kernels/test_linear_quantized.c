/* SPDX-License-Identifier: Apache-2.0 */
/* kern_linear and kern_linear_gather on quantized weights: every variant against the oracle, and the same
 * bits for a row however many rows, threads and (AVX2, AVX-512 without VNNI) whichever registers compute it.
 */
#include "tests/kernels/kernel_test.h"

static kern_weight random_quantized(kern_dtype dtype, int64_t group, int64_t rows, int64_t cols)
{
    kern_context *c = kern_context_new(1);
    float *w = random_floats(rows * cols);
    for (int64_t i = 0; i < rows * cols; i++) w[i] *= 0.1f;
    /* On purpose at no multiple of more than 2 bytes. */
    char *to = malloc((size_t)kern_quantized_size(dtype, group, rows, cols) + 2);
    if (!to || kern_quantize(c, to + 2, w, dtype, group, rows, cols)) abort();
    kern_context_free(c);
    const kern_weight q = {to + 2, dtype, rows, cols, group};
    return q;
}

static void check_close(const char *isa, const char *what, const kern_weight *w, int64_t n, const float *got,
                        const float *want)
{
    const double error = worst(got, want, n * w->rows);
    CHECK_MSG(error < 2e-6, "%s %s q%d group %ld n=%ld rows=%ld cols=%ld: %g", isa, what,
              w->dtype == KERN_Q8 ? 8 : 4, (long)w->group, (long)n, (long)w->rows, (long)w->cols, error);
}

static void check_same(const char *isa, const char *what, const kern_weight *w, int64_t n, const float *a,
                       const float *b, int64_t count)
{
    CHECK_MSG(same_bits(a, b, count), "%s: other bits, %s: q%d group %ld n=%ld rows=%ld cols=%ld", isa, what,
              w->dtype == KERN_Q8 ? 8 : 4, (long)w->group, (long)n, (long)w->rows, (long)w->cols);
}

static void test_linear(int64_t n, int64_t rows, int64_t cols, kern_dtype dtype, int64_t group)
{
    const kern_weight w = random_quantized(dtype, group, rows, cols);
    const float *x = random_floats(n * cols), *bias = random_floats(rows);
    int32_t *index = malloc((size_t)n * sizeof *index);
    for (int64_t i = 0; i < n; i++) index[i] = (int32_t)random_int(0, n - 1);
    float *want = random_floats(n * rows), *got = random_floats(n * rows), *one = random_floats(rows);
    float *gathered = random_floats(n * rows), *simd = NULL;
    kern_scalar_linear(want, x, NULL, &w, bias, n);
    kern_scalar_linear(gathered, x, index, &w, NULL, n);
    for (const char *const *isa = variants(); *isa; isa++) {
        kern_isa_force(*isa);
        kern_context *c[3] = {kern_context_new(1), kern_context_new(2), kern_context_new(3)};
        CHECK(kern_linear(c[0], got, x, &w, bias, n) == 0);
        check_close(*isa, "linear", &w, n, got, want);
        if (strcmp(*isa, "scalar") == 0) { /* the oracle itself; slow */
            for (int t = 0; t < 3; t++) kern_context_free(c[t]);
            continue;
        }
        float *first = same_floats(got, n * rows);
        for (int t = 1; t < 3; t++) {
            CHECK(kern_linear(c[t], got, x, &w, bias, n) == 0);
            check_same(*isa, "threads", &w, n, got, first, n * rows);
        }
        for (int64_t i = 0; i < n; i += 1 + n / 5) {
            CHECK(kern_linear(c[1], one, x + i * cols, &w, bias, 1) == 0);
            check_same(*isa, "row alone", &w, n, one, first + i * rows, rows);
        }
        const int64_t from = n / 3, count = n - from;
        CHECK(kern_linear(c[0], got, x + from * cols, &w, bias, count) == 0);
        check_same(*isa, "last rows", &w, n, got, first + from * rows, count * rows);
        CHECK(kern_linear_gather(c[1], got, x, index, &w, n) == 0);
        check_close(*isa, "gather", &w, n, got, gathered);
        if (simd && strcmp(*isa, "avx512vnni") != 0)
            check_same(*isa, "other registers", &w, n, first, simd, n * rows);
        if (has_vectors(*isa)) simd = first;
        for (int t = 0; t < 3; t++) kern_context_free(c[t]);
    }
    free(index);
    free((char *)(uintptr_t)w.data - 2);
}

/* Several products at once are those one by one, whatever their types, sizes and rows. */
static void test_many(int64_t n)
{
    enum { COUNT = 21 };
    kern_weight w[COUNT];
    kern_product products[COUNT];
    float *want[COUNT];
    const float *x = random_floats(n * 700), *bias = random_floats(200);
    int32_t index[64];
    for (int64_t i = 0; i < n; i++) index[i] = (int32_t)random_int(0, n - 1);
    for (int i = 0; i < COUNT; i++) {
        const int64_t rows = random_int(1, 200), cols = i % 5 == 0 ? random_int(1, 700) : 650;
        w[i] = i % 7 == 6 ? random_weight(KERN_BF16, rows, cols)
                          : random_quantized(i % 3 ? KERN_Q4 : KERN_Q8, 32 << i % 4 / 2, rows, cols);
        products[i] = (kern_product){random_floats(n * rows), x, i % 2 ? index : NULL, &w[i], NULL, n};
        if (i % 2 == 0) products[i].bias = bias;
        want[i] = random_floats(n * rows);
    }
    for (const char *const *isa = variants(); *isa; isa++)
        for (int eight = 0; eight < 2; eight++) {
            kern_isa_force(*isa);
            kern_context *c = kern_context_new(2);
            kern_context_int8(c, eight);
            for (int i = 0; i < COUNT; i++) {
                const kern_product *p = &products[i];
                CHECK((p->index ? kern_linear_gather(c, want[i], x, p->index, p->w, n)
                                : kern_linear(c, want[i], x, p->w, p->bias, n)) == 0);
            }
            CHECK(kern_linear_many(c, products, COUNT) == 0);
            for (int i = 0; i < COUNT; i++)
                CHECK_MSG(same_bits(products[i].y, want[i], n * w[i].rows), "%s product %d, n=%ld", *isa, i,
                          (long)n);
            CHECK(kern_linear_many(c, products, 0) == 0);
            kern_context_free(c);
        }
    for (int i = 0; i < COUNT; i++)
        if (w[i].dtype != KERN_BF16) free((char *)(uintptr_t)w[i].data - 2);
}

int main(void)
{
    static const int64_t ns[] = {1, 2, 3, 4, 5, 8, 9, 15, 29, 43};
    static const int64_t sizes[][2] = {{1, 1},     {5, 3},     {16, 16},   {33, 32},   {31, 33},
                                       {32, 64},   {48, 100},  {100, 72},  {130, 257}, {65, 1023},
                                       {33, 1024}, {64, 1281}, {16, 2700}, {200, 128}};
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            test_linear(ns[i], sizes[s][0], sizes[s][1], (i + s) % 2 ? KERN_Q8 : KERN_Q4,
                        32 << (i / 2 + s) % 3);
    for (int t = 0; t < 6; t++) {
        test_linear(100, 300, 450, t % 2 ? KERN_Q8 : KERN_Q4, 32 << t / 2);
        test_linear(1, 300, 1500, t % 2 ? KERN_Q8 : KERN_Q4, 32 << t / 2);
        test_linear(29 + t, 75, 4500, t % 2 ? KERN_Q8 : KERN_Q4, 32 << t / 2); /* too long for one pass */
    }
    test_many(1);
    test_many(3);
    test_many(20);
    return CHECK_DONE();
}
