/* SPDX-License-Identifier: Apache-2.0 */
/* Quantized matrices: sizes, layout, rounding, what cannot be quantized. */
#include "tests/kernels/kernel_test.h"

static void test_sizes(void)
{
    CHECK(kern_quantized_size(KERN_Q8, 32, 1, 1) == 64 + 1024);
    CHECK(kern_quantized_size(KERN_Q4, 32, 1, 1) == 64 + 512);
    CHECK(kern_quantized_size(KERN_Q8, 128, 33, 129) == 4 * (64 + 4096));
    CHECK(kern_quantized_size(KERN_Q4, 64, 32, 64) == 64 + 1024);
    CHECK(kern_quantized_size(KERN_BF16, 32, 1, 1) == -1);
    CHECK(kern_quantized_size(KERN_Q4, 16, 1, 1) == -1);
    CHECK(kern_quantized_size(KERN_Q4, 0, 1, 1) == -1);
    CHECK(kern_quantized_size(KERN_Q4, 32, 0, 1) == -1);
    CHECK(kern_quantized_size(KERN_Q4, 32, 1, -1) == -1);
    CHECK(kern_quantized_size(KERN_Q8, 32, INT64_MAX, 2) == -1);
    CHECK(kern_quantized_size(KERN_Q8, 128, INT64_MAX / 64, INT64_MAX / 64) == -1);
}

/* One value at a known place. */
static void test_layout(void)
{
    enum { ROWS = 40, COLS = 200, GROUP = 64 };
    kern_context *c = kern_context_new(1);
    static float w[ROWS * COLS];
    const int64_t row = 37, col = 64 + 13;
    for (int eight = 0; eight < 2; eight++) {
        const kern_dtype dtype = eight ? KERN_Q8 : KERN_Q4;
        const size_t size = (size_t)kern_quantized_size(dtype, GROUP, ROWS, COLS);
        unsigned char *to = malloc(size);
        memset(w, 0, sizeof w);
        w[row * COLS + col] = eight ? 127 * 0.5f : -8 * 0.5f;
        CHECK(kern_quantize(c, to, w, dtype, GROUP, ROWS, COLS) == 0);
        const size_t block = (64 + 32 * GROUP * (eight ? 8 : 4) / 8) * (1 * 4 + 1); /* panel 1, block 1 */
        const size_t scale = block + 2 * 5, data = block + 64 + (eight ? 3 : 1) * 128 + 4 * 5 + 1;
        for (size_t i = 0; i < size; i++) {
            const int want = i == scale + 1 ? 0x38 : i == data ? (eight ? 127 : 0x80) : 0;
            CHECK_MSG(to[i] == want, "byte %zu: %d, not %d", i, to[i], want);
        }
        free(to);
    }
    kern_context_free(c);
}

/* Largest error in steps of each group's scale; rows may also be quantized piece by piece. */
static void test_rounding(kern_dtype dtype, int64_t group, int64_t rows, int64_t cols, float size)
{
    kern_context *c = kern_context_new(1), *c3 = kern_context_new(3);
    float *w = random_floats(rows * cols), *back = random_floats(rows * cols);
    for (int64_t i = 0; i < rows * cols; i++) w[i] *= size;
    const size_t bytes = (size_t)kern_quantized_size(dtype, group, rows, cols);
    unsigned char *whole = malloc(bytes), *pieces = malloc(bytes);
    memset(whole, 0xaa, bytes);
    CHECK(kern_quantize(c3, whole, w, dtype, group, rows, cols) == 0);
    size_t at = 0;
    for (int64_t r = 0; r < rows; r += 64) {
        const int64_t count = rows - r < 64 ? rows - r : 64;
        CHECK(kern_quantize(c, pieces + at, w + r * cols, dtype, group, count, cols) == 0);
        at += (size_t)kern_quantized_size(dtype, group, count, cols);
    }
    CHECK(at == bytes && memcmp(whole, pieces, bytes) == 0);
    const kern_weight q = {whole, dtype, rows, cols, group};
    CHECK(kern_quantized_finite(&q));
    kern_dequantize(back, &q, 0, rows / 2);
    kern_dequantize(back + rows / 2 * cols, &q, rows / 2, rows - rows / 2);
    const double top = dtype == KERN_Q8 ? 127 : 8, bound = dtype == KERN_Q8 ? 0.51 : 1.1;
    const double subnormal = top * 0x1p-25; /* half the distance of the smallest scales, times q */
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < cols; k++) {
            double most = 0;
            for (int64_t i = k / group * group; i < cols && i < (k / group + 1) * group; i++)
                most = fmax(most, fabs(w[r * cols + i]));
            const double off = fabs(back[r * cols + k] - w[r * cols + k]);
            CHECK_MSG(off <= bound * most / top + subnormal, "%g of %g", off, most / top);
        }
    whole[1] = 0x7c;
    CHECK(!kern_quantized_finite(&q));
    free(whole);
    free(pieces);
    kern_context_free(c);
    kern_context_free(c3);
}

static void test_refusals(void)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f, 458000.0f};
    kern_context *c = kern_context_new(1);
    unsigned char to[64 + 1024];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        float w[40] = {0};
        w[39] = bad[i];
        CHECK(kern_quantize(c, to, w, KERN_Q4, 32, 2, 20) == -1);
        w[39] = 457999.0f;
        CHECK(kern_quantize(c, to, w, KERN_Q4, 32, 2, 20) == 0);
        const kern_weight q = {to, KERN_Q4, 2, 20, 32};
        CHECK(kern_quantized_finite(&q));
    }
    kern_context_free(c);
}

int main(void)
{
    test_sizes();
    test_layout();
    static const float sizes[] = {1, 0.03f, 1e-5f, 1e-8f, 3000, 0};
    for (int t = 0; t < 2; t++)
        for (int64_t group = 32; group <= 128; group *= 2)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
                test_rounding(t ? KERN_Q8 : KERN_Q4, group, 70 + (int64_t)s, 261, sizes[s]);
    test_refusals();
    return CHECK_DONE();
}
