/* SPDX-License-Identifier: Apache-2.0 */
/* Speed of weights in memory as ratios from one run:
 *   - decoding: bytes of weights that a token needs per second, for the products of a token through layers of
 *     the released models' true shapes, against the fastest plain reading of the same memory;
 *   - prefill of TOKENS tokens: FLOP/s against the better of dnnl_sgemm's two layouts on the same FLOP, with
 *     activations of f32 and of 8 bits. A ratio is the median over the turns. */
#include <dnnl.h>

#include "tests/bench/bench.h"

enum { TOKENS = 2017, ROUNDS = 7 };

static const char *only = "";

/* ---- decoding ----------------------------------------------------------------------------------------- */

/* Products of one layer for one token: `count` matrices [rows, cols], multiplied at once as the decoder does.
 */
typedef struct shape {
    int64_t rows, cols;
    int count;
} shape;

enum { TOGETHER = 12 };

typedef struct decoder {
    const char *name;
    shape shapes[8];
} decoder;

/* A layer with experts as most are: 6 of 64 and 2 shared ones, which stand as one. The output head is not
 * quantized, nor is what multi-head latent attention absorbs. */
static const decoder decoders[] = {
    {"VL2-tiny",
     {{1280, 1280, 3}, {1280, 1280, 1}, {896, 1280, 12}, {1280, 896, 6}, {1792, 1280, 2}, {1280, 1792, 1}}},
    {"VL2-small",
     {{3072, 2048, 1},
      {576, 2048, 1},
      {2048, 2048, 1},
      {1408, 2048, 12},
      {2048, 1408, 6},
      {2816, 2048, 2},
      {2048, 2816, 1}}},
    {"VL-1.3B", {{2048, 2048, 3}, {2048, 2048, 1}, {5504, 2048, 2}, {2048, 5504, 1}}},
};

static int64_t weight_bytes(kern_dtype dtype, int64_t rows, int64_t cols)
{
    if (dtype == KERN_Q8 || dtype == KERN_Q4) return kern_quantized_size(dtype, 128, rows, cols);
    return rows * cols * (dtype == KERN_F32 ? 4 : 2);
}

/* As many layers as `bytes` hold, each weight read once; returns the bytes read. */
static int64_t decode(kern_context *c, const decoder *d, kern_dtype dtype, const char *data, int64_t bytes,
                      const float *x, float *y)
{
    int64_t at = 0;
    for (;;)
        for (const shape *s = d->shapes; s->count; s++) {
            kern_weight w[TOGETHER];
            kern_product products[TOGETHER];
            const int64_t size = weight_bytes(dtype, s->rows, s->cols);
            if (at + s->count * size > bytes) return at;
            for (int i = 0; i < s->count; i++, at += size) {
                w[i] = (kern_weight){data + at, dtype, s->rows, s->cols, 128};
                products[i] = (kern_product){y + i * s->rows, x, NULL, &w[i], NULL, 1};
            }
            if (kern_linear_many(c, products, s->count)) exit(1);
        }
}

static void bench_decode(kern_context *c, const decoder *d, kern_dtype dtype, const char *type,
                         const char *data, int64_t bytes, const float *x, float *y)
{
    double ratio[ROUNDS], ours[ROUNDS], theirs[ROUNDS];
    char label[64];
    snprintf(label, sizeof label, "decode, %s %s", d->name, type);
    if (!strstr(label, only)) return;
    for (int r = 0; r < ROUNDS; r++) {
        const double plain = read_all(data, (size_t)bytes), start = now();
        const int64_t done = decode(c, d, dtype, data, bytes, x, y);
        ours[r] = (double)done / (now() - start);
        theirs[r] = (double)bytes / plain;
        ratio[r] = ours[r] / theirs[r];
    }
    const double m = median(ratio, ROUNDS);
    printf("%s: %.1f GB/s, plain reading %.1f; ratio %.2f (%.2f to %.2f)\n", label,
           median(ours, ROUNDS) * 1e-9, median(theirs, ROUNDS) * 1e-9, m, ratio[0], ratio[ROUNDS - 1]);
    fflush(stdout);
}

/* ---- prefill ------------------------------------------------------------------------------------------ */

/* Seconds of dnnl_sgemm, the better of W as stored ('T') or not. */
static double sgemm(const float *x, const float *w, float *y, int64_t n, int64_t rows, int64_t cols)
{
    double best = 1e30;
    for (int t = 0; t < 2; t++) {
        const double start = now();
        dnnl_sgemm('N', t ? 'T' : 'N', n, rows, cols, 1, x, cols, w, t ? cols : rows, 0, y, rows);
        if (now() - start < best) best = now() - start;
    }
    settle();
    return best;
}

enum { KINDS = 5 };
static const char *const kinds[KINDS] = {"f32", "int8", "int4", "int8 x int8", "int4 x int8"};

static void bench_prefill(kern_context *c, const char *name, int64_t n, int64_t rows, int64_t cols)
{
    char label[64];
    snprintf(label, sizeof label, "prefill, %ld rows, %s", (long)n, name);
    if (!strstr(label, only)) return;
    float *x = random_floats(n * cols, 1), *w = random_floats(rows * cols, 1);
    float *y = random_floats(n * rows, 1);
    void *q8 = take((size_t)weight_bytes(KERN_Q8, rows, cols));
    void *q4 = take((size_t)weight_bytes(KERN_Q4, rows, cols));
    if (kern_quantize(c, q8, w, KERN_Q8, 128, rows, cols) ||
        kern_quantize(c, q4, w, KERN_Q4, 128, rows, cols))
        exit(1);
    const kern_weight weights[] = {
        {w, KERN_F32, rows, cols, 0}, {q8, KERN_Q8, rows, cols, 128}, {q4, KERN_Q4, rows, cols, 128}};
    double ratio[KINDS][ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        const double peer = sgemm(x, w, y, n, rows, cols);
        for (int t = 0; t < KINDS; t++) {
            kern_context_int8(c, t > 2);
            const double start = now();
            if (kern_linear(c, y, x, &weights[t > 2 ? t - 2 : t], NULL, n)) exit(1);
            ratio[t][r] = peer / (now() - start);
        }
    }
    kern_context_int8(c, false);
    printf("%s [%ld, %ld], against dnnl_sgemm:", label, (long)rows, (long)cols);
    for (int t = 0; t < KINDS; t++) {
        const double m = median(ratio[t], ROUNDS);
        printf(" %s %.2f (%.2f to %.2f)%s", kinds[t], m, ratio[t][0], ratio[t][ROUNDS - 1],
               t + 1 < KINDS ? "," : "\n");
    }
    fflush(stdout);
    free(x);
    free(w);
    free(y);
    free(q8);
    free(q4);
}

/* With an argument: only what bears that text in its name. */
int main(int argc, char **argv)
{
    if (argc > 1) only = argv[1];
    kern_context *c = kern_context_new(0);
    if (!c) return 1;
    omp_set_num_threads(kern_context_threads(c));
    printf("%s, %d threads\n", kern_isa(), kern_context_threads(c));
    const int64_t bytes = (int64_t)768 << 20; /* far larger than the caches */
    char *data = take((size_t)bytes);
    memset(data, 0x2c, (size_t)bytes); /* a small number as f16, as bf16 and as f32 */
    float *x = random_floats(1 << 14, 1), *y = random_floats(1 << 15, 1);
    static const char *const types[] = {"f32", "f16", "bf16", "int8", "int4"};
    for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++)
        for (int t = KERN_F32; t <= KERN_Q4; t++)
            if (t != KERN_F16) bench_decode(c, &decoders[i], (kern_dtype)t, types[t], data, bytes, x, y);
    free(data);
    free(x);
    free(y);
    bench_prefill(c, "VL-1.3B attention", TOKENS, 2048, 2048);
    bench_prefill(c, "VL-1.3B gate", TOKENS, 5504, 2048);
    bench_prefill(c, "VL2-small dense", TOKENS, 2048, 10944);
    bench_prefill(c, "VL2-small expert", TOKENS * 6 / 64, 1408, 2048);
    bench_prefill(c, "VL2-tiny expert", TOKENS * 6 / 64, 896, 1280);
    kern_context_free(c);
    return 0;
}
