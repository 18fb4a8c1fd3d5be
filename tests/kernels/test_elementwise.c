/* SPDX-License-Identifier: Apache-2.0 */
/* Norms, activations, softmax, rotary embedding, patches and widening against the oracles or the defining
 * formulas. */
#include "tests/kernels/kernel_test.h"

static const int64_t dims[] = {1, 2, 7, 15, 16, 17, 31, 63, 64, 65, 72, 130, 192, 1000, 1152, 4097};

static void test_rows(const char *isa, kern_context *c)
{
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        const int64_t dim = dims[d], n = random_int(1, 37);
        float *x = random_floats(n * dim), *gain = random_floats(dim), *bias = random_floats(dim);
        float *want = random_floats(n * dim), *got = random_floats(n * dim), *one = random_floats(dim);
        for (int64_t i = 0; i < n * dim; i++) x[i] = 3 * x[i] + 1.5f;
        kern_scalar_layernorm(want, x, gain, bias, 1e-6f, n, dim);
        kern_layernorm(c, got, x, gain, bias, 1e-6f, n, dim);
        /* Two values close together lose digits in their own difference, in PyTorch too. */
        CHECK_MSG(worst(got, want, n * dim) < (dim > 2 ? 2e-6 : 1e-4), "%s layernorm %ld: %g", isa, (long)dim,
                  worst(got, want, n * dim));
        kern_layernorm(c, one, x + (n - 1) * dim, gain, bias, 1e-6f, 1, dim);
        CHECK(same_bits(one, got + (n - 1) * dim, dim));
        float *place = same_floats(x, n * dim);
        kern_layernorm(c, place, place, gain, bias, 1e-6f, n, dim);
        CHECK(same_bits(place, got, n * dim));

        kern_scalar_rmsnorm(want, x, gain, 1e-6f, n, dim);
        kern_rmsnorm(c, got, x, gain, 1e-6f, n, dim);
        CHECK_MSG(worst(got, want, n * dim) < 1e-6, "%s rmsnorm %ld: %g", isa, (long)dim,
                  worst(got, want, n * dim));
        place = same_floats(x, n * dim);
        kern_rmsnorm(c, place, place, gain, 1e-6f, n, dim);
        CHECK(same_bits(place, got, n * dim));

        float *a = same_floats(x, n * dim), *b = same_floats(x, n * dim);
        kern_scalar_softmax(a, n, dim);
        kern_softmax(c, b, n, dim);
        CHECK_MSG(worst(b, a, n * dim) < 1e-6, "%s softmax %ld: %g", isa, (long)dim, worst(b, a, n * dim));
    }
    float hidden[20];
    for (int i = 0; i < 20; i++) hidden[i] = i == 7 ? 1000.0f : -INFINITY;
    kern_softmax(c, hidden, 1, 20);
    for (int i = 0; i < 20; i++) CHECK(hidden[i] == (i == 7 ? 1.0f : 0.0f));
}

typedef void activation(kern_context *c, float *x, int64_t n);
typedef void oracle(float *x, int64_t n);

static void test_activation(const char *isa, kern_context *c, const char *name, activation *run,
                            oracle *reference)
{
    const int64_t n = 200003;
    float *x = random_floats(n), *want, *got;
    for (int64_t i = 0; i < n; i++) x[i] = (float)(i - n / 2) * 2e-4f + x[i] * 1e-4f; /* -20 .. 20 */
    x[0] = -1e4f;
    x[1] = 1e4f;
    x[2] = -1e30f;
    x[3] = 0;
    want = same_floats(x, n);
    got = same_floats(x, n);
    reference(want, n);
    run(c, got, n);
    double error = 0;
    for (int64_t i = 0; i < n; i++) {
        /* Far out in the negative tail the exponent's own rounding grows; the value is then next to nothing.
         */
        const double size = fabs((double)want[i]) + 0.01 * fmin(fabs((double)x[i]), 1) + 1e-30;
        const double off = fabs((double)got[i] - want[i]) / size;
        if (!(off <= error)) error = off;
    }
    CHECK_MSG(error < 1e-6, "%s %s: %g", isa, name, error);
    float bad = NAN;
    run(c, &bad, 1);
    CHECK_MSG(isnan(bad), "%s %s hides NaN", isa, name);
}

static void test_flat(const char *isa, kern_context *c)
{
    test_activation(isa, c, "gelu_tanh", kern_gelu_tanh, kern_scalar_gelu_tanh);
    test_activation(isa, c, "gelu_erf", kern_gelu_erf, kern_scalar_gelu_erf);
    for (int64_t n = 1; n < 70000; n = n * 3 + 2) {
        float *x = random_floats(n), *u = random_floats(n), *y = random_floats(n), *want = same_floats(y, n);
        for (int64_t i = 0; i < n; i++) x[i] *= 30;
        kern_scalar_silu_mul(want, x, u, n);
        float *got = same_floats(y, n);
        kern_silu_mul(c, got, x, u, n);
        CHECK_MSG(worst(got, want, n) < 1e-6, "%s silu: %g", isa, worst(got, want, n));
        want = same_floats(y, n);
        got = same_floats(y, n);
        kern_scalar_axpy(want, 0.3f, x, n);
        kern_axpy(c, got, 0.3f, x, n);
        CHECK(same_bits(got, want, n)); /* both round once */
        kern_scalar_add(want, x, n);
        kern_add(c, got, x, n);
        CHECK(same_bits(got, want, n));
    }
}

static void test_widen(const char *isa, kern_context *c)
{
    /* All 65536 values of either 16-bit type: exact. */
    static uint16_t all[65536 + 5];
    static float want[65536 + 5], got[65536 + 5];
    for (int i = 0; i < 65536 + 5; i++) all[i] = (uint16_t)i;
    for (int t = 1; t < 3; t++) {
        kern_scalar_widen(want, all, (kern_dtype)t, 65536 + 5);
        kern_widen(c, got, all, (kern_dtype)t, 65536 + 5);
        int differ = 0;
        for (int i = 0; i < 65536 + 5; i++)
            differ += isnan(want[i]) ? !isnan(got[i]) : memcmp(&want[i], &got[i], sizeof *got) != 0;
        CHECK_MSG(differ == 0, "%s widen type %d: %d values", isa, t, differ);
    }
    CHECK(kern_scalar_element(&(uint16_t){0x3c00}, KERN_F16, 0) == 1.0f);
    CHECK(kern_scalar_element(&(uint16_t){0x0001}, KERN_F16, 0) == 0x1p-24f);
    CHECK(kern_scalar_element(&(uint16_t){0xfbff}, KERN_F16, 0) == -65504.0f);
    CHECK(kern_scalar_element(&(uint16_t){0xc040}, KERN_BF16, 0) == -3.0f);
}

/* Against the formula of DeepseekV2RotaryEmbedding: q cos + rotate_half(q) sin. */
static void test_rope(const char *isa, kern_context *c)
{
    for (int64_t dim = 2; dim <= 130; dim += 16) {
        const int64_t n = 5, past = 3, heads = 3, stride = dim + 4, row = heads * stride + 2, half = dim / 2;
        const float *x = random_floats(n * row), *cosine = random_floats((past + n) * half);
        const float *sine = random_floats((past + n) * half);
        for (int interleaved = 0; interleaved < 2; interleaved++) {
            float *want = same_floats(x, n * row), *got = same_floats(x, n * row);
            for (int64_t i = 0; i < n; i++)
                for (int64_t h = 0; h < heads; h++)
                    for (int64_t j = 0; j < half; j++) {
                        const int64_t at = i * row + h * stride, p = (past + i) * half + j;
                        const float a = interleaved ? x[at + 2 * j] : x[at + j];
                        const float b = interleaved ? x[at + 2 * j + 1] : x[at + half + j];
                        want[at + j] = a * cosine[p] - b * sine[p];
                        want[at + half + j] = b * cosine[p] + a * sine[p];
                    }
            (interleaved ? kern_rope_interleaved : kern_rope_half)(c, got, cosine, sine, n, past, heads, dim,
                                                                   row, stride);
            CHECK_MSG(worst(got, want, n * row) < 3e-7, "%s rope %d dim %ld", isa, interleaved, (long)dim);
        }
    }
}

static void test_patches(kern_context *c)
{
    const int64_t n = 2, size = 23, patch = 5, side = 4, area = patch * patch;
    uint8_t tiles[2 * 23 * 23 * 3];
    for (size_t i = 0; i < sizeof tiles; i++) tiles[i] = (uint8_t)random_bits();
    const float mean[3] = {0.5f, 0.25f, 0.4f}, std[3] = {0.5f, 0.3f, 0.2f};
    float *rows = random_floats(n * side * side * 3 * area);
    kern_patches(c, rows, tiles, mean, std, n, size, patch, side);
    int differ = 0;
    for (int64_t t = 0; t < n; t++)
        for (int64_t p = 0; p < side * side; p++)
            for (int64_t e = 0; e < 3 * area; e++) {
                const int64_t ch = e / area, y = p / side * patch + e % area / patch,
                              x = p % side * patch + e % patch;
                const float v = (float)tiles[((t * size + y) * size + x) * 3 + ch] / 255.0f;
                differ += rows[(t * side * side + p) * 3 * area + e] != (v - mean[ch]) / std[ch];
            }
    CHECK_MSG(differ == 0, "%d patch values differ", differ);
}

int main(void)
{
    for (const char *const *isa = variants(); *isa; isa++) {
        kern_isa_force(*isa);
        kern_context *c = kern_context_new(2);
        test_rows(*isa, c);
        test_flat(*isa, c);
        test_widen(*isa, c);
        test_rope(*isa, c);
        test_patches(c);
        kern_context_free(c);
    }
    return CHECK_DONE();
}
