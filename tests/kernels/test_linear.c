/* SPDX-License-Identifier: Apache-2.0 */
/* kern_linear and its relatives: every variant against the oracle, and the same bits for a row however many
 * rows, threads and (AVX2, AVX-512) whichever registers compute it. */
#include "tests/kernels/kernel_test.h"

static const char *const types[] = {"f32", "f16", "bf16"};

static void check_close(const char *isa, const char *what, kern_dtype t, int64_t n, int64_t rows,
                        int64_t cols, const float *got, const float *want)
{
    const double error = worst(got, want, n * rows);
    CHECK_MSG(error < 2e-6, "%s %s %s n=%ld rows=%ld cols=%ld: %g", isa, what, types[t], (long)n, (long)rows,
              (long)cols, error);
}

static void test_linear(int64_t n, int64_t rows, int64_t cols, kern_dtype type)
{
    const kern_weight w = random_weight(type, rows, cols);
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
        check_close(*isa, "linear", type, n, rows, cols, got, want);
        float *first = same_floats(got, n * rows);
        for (int t = 1; t < 3; t++) {
            CHECK(kern_linear(c[t], got, x, &w, bias, n) == 0);
            CHECK_MSG(same_bits(got, first, n * rows), "%s threads n=%ld %ldx%ld", *isa, (long)n, (long)rows,
                      (long)cols);
        }
        for (int64_t i = 0; i < n; i += 1 + n / 5) {
            CHECK(kern_linear(c[1], one, x + i * cols, &w, bias, 1) == 0);
            CHECK_MSG(same_bits(one, first + i * rows, rows), "%s row %ld alone, n=%ld %ldx%ld %s", *isa,
                      (long)i, (long)n, (long)rows, (long)cols, types[type]);
        }
        const int64_t from = n / 3, count = n - from;
        CHECK(kern_linear(c[0], got, x + from * cols, &w, bias, count) == 0);
        CHECK(same_bits(got, first + from * rows, count * rows));
        CHECK(kern_linear_gather(c[1], got, x, index, &w, n) == 0);
        check_close(*isa, "gather", type, n, rows, cols, got, gathered);
        if (has_vectors(*isa)) {
            if (simd)
                CHECK_MSG(same_bits(first, simd, n * rows), "%s n=%ld %ldx%ld", *isa, (long)n, (long)rows,
                          (long)cols);
            simd = first;
        }
        for (int t = 0; t < 3; t++) kern_context_free(c[t]);
    }
    free(index);
}

static void test_matmul(int64_t m, int64_t n, int64_t k, float alpha, float beta)
{
    const int64_t lda = k + 3, ldb = k + 1, ldc = n + 5;
    const float *a = random_floats(m * lda), *b = random_floats(n * ldb), *start = random_floats(m * ldc);
    float *want = same_floats(start, m * ldc);
    kern_scalar_matmul(want, ldc, a, lda, b, ldb, alpha, beta, m, n, k);
    for (const char *const *isa = variants(); *isa; isa++) {
        kern_isa_force(*isa);
        kern_context *c = kern_context_new(2);
        float *got = same_floats(start, m * ldc);
        CHECK(kern_matmul(c, got, ldc, a, lda, b, ldb, alpha, beta, m, n, k) == 0);
        const double error = worst(got, want, m * ldc);
        CHECK_MSG(error < 2e-6, "%s matmul %ldx%ldx%ld beta %g: %g", *isa, (long)m, (long)n, (long)k, beta,
                  error);
        for (int64_t i = 0; i < m; i++) /* what lies between the rows stays */
            CHECK(same_bits(got + i * ldc + n, start + i * ldc + n, 5));
        kern_context_free(c);
    }
}

static void test_heads(int64_t n, int64_t heads, int64_t head_rows, int64_t first, int64_t d, int64_t r,
                       int transposed, kern_dtype type)
{
    const kern_weight w = random_weight(type, heads * head_rows, r);
    const int64_t inputs = transposed ? r : d, outputs = transposed ? d : r;
    const int64_t x_head = inputs + 2, x_row = heads * x_head + 1, y_head = outputs + 3,
                  y_row = heads * y_head;
    const float *x = random_floats(n * x_row), *start = random_floats(n * y_row);
    float *want = same_floats(start, n * y_row), *simd = NULL;
    kern_scalar_head_linear(want, y_row, y_head, x, x_row, x_head, &w, head_rows, first, d, transposed, n,
                            heads);
    for (const char *const *isa = variants(); *isa; isa++) {
        kern_isa_force(*isa);
        kern_context *c = kern_context_new(2);
        float *got = same_floats(start, n * y_row), *one = same_floats(start, n * y_row);
        CHECK(kern_head_linear(c, got, y_row, y_head, x, x_row, x_head, &w, head_rows, first, d, transposed,
                               n, heads) == 0);
        const double error = worst(got, want, n * y_row);
        CHECK_MSG(error < 2e-6, "%s heads n=%ld d=%ld r=%ld transposed %d %s: %g", *isa, (long)n, (long)d,
                  (long)r, transposed, types[type], error);
        for (int64_t i = 0; i < n; i++)
            CHECK(kern_head_linear(c, one + i * y_row, y_row, y_head, x + i * x_row, x_row, x_head, &w,
                                   head_rows, first, d, transposed, 1, heads) == 0);
        CHECK_MSG(same_bits(got, one, n * y_row), "%s heads n=%ld d=%ld r=%ld transposed %d", *isa, (long)n,
                  (long)d, (long)r, transposed);
        if (has_vectors(*isa)) {
            if (simd) CHECK(same_bits(got, simd, n * y_row));
            simd = got;
        }
        kern_context_free(c);
    }
}

int main(void)
{
    static const int64_t ns[] = {1, 2, 3, 4, 5, 7, 8, 9, 13, 14, 15, 29, 64, 103};
    static const int64_t sizes[][2] = {{1, 1},     {5, 3},     {16, 16},   {17, 15},   {31, 33},
                                       {32, 64},   {48, 100},  {100, 72},  {130, 257}, {65, 1023},
                                       {33, 1024}, {40, 1025}, {16, 2100}, {200, 128}};
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            test_linear(ns[i], sizes[s][0], sizes[s][1], (kern_dtype)((i + s) % 3));
    for (int t = 0; t < 3; t++) {
        test_linear(300, 700, 150, (kern_dtype)t);
        test_linear(1, 700, 1500, (kern_dtype)t);
    }
    for (int64_t m = 1; m < 40; m += 6) {
        test_matmul(m, 37, 65, 1, 0);
        test_matmul(m, 50, 1300, 0.5f, 0);
        test_matmul(m, 33, 1300, -1.5f, 0.25f);
        test_matmul(m, 300, 20, 2, 1);
    }
    for (int64_t n = 1; n < 40; n += 7)
        for (int t = 0; t < 6; t++) {
            test_heads(n, 3, 20, 4, 16, 24, t % 2, (kern_dtype)(t / 2));
            test_heads(n, 2, 37, 5, 31, 1030, t % 2, (kern_dtype)(t / 2));
            test_heads(n, 2, 1100, 0, 1100, 33, t % 2, (kern_dtype)(t / 2));
        }
    return CHECK_DONE();
}
