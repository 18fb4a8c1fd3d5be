/* SPDX-License-Identifier: Apache-2.0 */
/* Attention: every variant against the oracle; the same bits for any number of threads, tiles in a batch,
 * queries in a step (prefill in chunks, decoding one by one) and for AVX2 and AVX-512. */
#include "tests/kernels/kernel_test.h"

/* side: 0, or the tokens are a grid with relative positions. */
static int run_full(kern_context *c, float *out, const float *qkv, const float *rel, float scale,
                    int64_t batch, int64_t tokens, int64_t side, int64_t heads, int64_t dim)
{
    return side ? kern_attention_rel(c, out, qkv, rel, rel + (2 * side - 1) * dim, scale, batch, side, heads,
                                     dim)
                : kern_attention_full(c, out, qkv, scale, batch, tokens, heads, dim);
}

static void test_full(int64_t batch, int64_t tokens, int64_t side, int64_t heads, int64_t dim, float size)
{
    const float *rel = side ? random_floats(2 * (2 * side - 1) * dim) : NULL;
    const int64_t in = tokens * 3 * heads * dim, part = tokens * heads * dim;
    float *qkv = random_floats(batch * in), *want = random_floats(batch * part),
          *got = random_floats(batch * part);
    for (int64_t i = 0; i < batch * in; i++) qkv[i] *= size;
    const float scale = 1.0f / sqrtf((float)dim);
    double *scores = malloc((size_t)(tokens + 2 * side) * sizeof *scores);
    if (side)
        kern_scalar_attention_rel(want, qkv, rel, rel + (2 * side - 1) * dim, scale, batch, side, heads, dim,
                                  scores);
    else
        kern_scalar_attention_full(want, qkv, scale, batch, tokens, heads, dim, scores);
    float *simd = NULL;
    for (const char *const *isa = variants(); *isa; isa++) {
        kern_isa_force(*isa);
        float *first = NULL;
        for (int threads = 1; threads <= 3; threads++) {
            kern_context *c = kern_context_new(threads);
            CHECK(run_full(c, got, qkv, rel, scale, batch, tokens, side, heads, dim) == 0);
            const double error = worst(got, want, batch * part);
            CHECK_MSG(error < 5e-6, "%s tokens=%ld heads=%ld dim=%ld: %g", *isa, (long)tokens, (long)heads,
                      (long)dim, error);
            if (first) CHECK_MSG(same_bits(got, first, batch * part), "%s threads %d", *isa, threads);
            first = same_floats(got, batch * part);
            CHECK(run_full(c, got, qkv + (batch - 1) * in, rel, scale, 1, tokens, side, heads, dim) == 0);
            CHECK_MSG(same_bits(got, first + (batch - 1) * part, part), "%s alone", *isa);
            kern_context_free(c);
        }
        if (has_vectors(*isa)) {
            if (simd) CHECK(same_bits(first, simd, batch * part));
            simd = first;
        }
    }
    free(scores);
}

typedef struct shape {
    int64_t total, heads, kv_heads, dk, dv, extra; /* extra: gap between rows of the caches */
    bool latent;                                   /* values are the first dv of each key */
} shape;

/* Run the whole sequence as one step, then in steps of `step` positions from `from` on: same bits. */
static void test_causal(const shape *s)
{
    const int64_t k_stride = s->kv_heads * s->dk + s->extra,
                  v_stride = s->latent ? k_stride : s->kv_heads * s->dv + s->extra;
    float *q = random_floats(s->total * s->heads * s->dk), *k = random_floats(s->total * k_stride);
    const float *v = s->latent ? k : random_floats(s->total * v_stride);
    const int64_t out_row = s->heads * s->dv, n = s->total * out_row;
    float *want = random_floats(n), *whole = random_floats(n), *got = random_floats(n), *simd = NULL;
    double *scores = malloc((size_t)s->total * sizeof *scores);
    const float scale = 2.0f / sqrtf((float)s->dk);
    static const int64_t steps[] = {1, 3, 8, 60, 131};
    kern_scalar_attention_causal(want, q, k, v, scale, s->total, 0, s->heads, s->kv_heads, s->dk, s->dv,
                                 k_stride, v_stride, scores);
    for (const char *const *isa = variants(); *isa; isa++) {
        kern_isa_force(*isa);
        for (int threads = 1; threads <= 3; threads++) {
            kern_context *c = kern_context_new(threads);
            CHECK(kern_attention_causal(c, whole, q, k, v, scale, s->total, 0, s->heads, s->kv_heads, s->dk,
                                        s->dv, k_stride, v_stride) == 0);
            const double error = worst(whole, want, n);
            CHECK_MSG(error < 5e-6, "%s causal %ld dk=%ld: %g", *isa, (long)s->total, (long)s->dk, error);
            const int64_t step = steps[random_bits() % 5], from = s->total > 140 ? s->total - 140 : 0;
            for (int64_t t = from; t < s->total; t += step) {
                const int64_t m = t + step < s->total ? step : s->total - t;
                CHECK(kern_attention_causal(c, got + t * out_row, q + t * s->heads * s->dk, k, v, scale, m, t,
                                            s->heads, s->kv_heads, s->dk, s->dv, k_stride, v_stride) == 0);
            }
            CHECK_MSG(same_bits(got + from * out_row, whole + from * out_row, (s->total - from) * out_row),
                      "%s causal %ld dk=%ld threads %d steps of %ld", *isa, (long)s->total, (long)s->dk,
                      threads, (long)step);
            kern_context_free(c);
        }
        if (has_vectors(*isa)) {
            if (simd) CHECK(same_bits(whole, simd, n));
            simd = same_floats(whole, n);
        }
    }
    free(scores);
}

int main(void)
{
    test_full(2, 1, 0, 1, 4, 1);
    test_full(3, 17, 0, 2, 8, 1);
    test_full(2, 57, 0, 3, 24, 1);
    test_full(2, 128, 0, 2, 72, 3);
    test_full(2, 200, 0, 3, 32, 6); /* sharp softmax */
    test_full(1, 300, 0, 2, 72, 1);
    test_full(2, 129, 0, 1, 130, 1);
    static const shape shapes[] = {
        {1, 1, 1, 8, 8, 0, false},       {20, 4, 2, 16, 16, 0, false},   {130, 3, 3, 32, 32, 5, false},
        {257, 2, 2, 128, 128, 0, false}, {300, 6, 3, 48, 40, 0, false},  {140, 16, 1, 576, 512, 0, true},
        {300, 4, 1, 40, 24, 3, true},    {200, 10, 5, 24, 36, 1, false}, {150, 3, 1, 1030, 65, 0, false},
        {129, 1, 1, 3, 5, 0, false},     {400, 8, 2, 64, 64, 0, false},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) test_causal(&shapes[i]);
    test_full(2, 1, 1, 1, 8, 1);
    test_full(3, 196, 14, 2, 64, 1);
    test_full(1, 400, 20, 1, 12, 2);
    return CHECK_DONE();
}
