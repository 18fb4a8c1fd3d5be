/* SPDX-License-Identifier: Apache-2.0 */
/* Speed of the kernels as ratios from one run, so that they mean the same on any machine, however busy:
 *   - the vision tower at SigLIP-SO400M's true size (random weights, LAYERS of its 27 equal layers) against
 * what dnnl_sgemm reaches on its largest layer, both with all threads;
 *   - decoding: bytes of bf16 weights read per second against plain reading of as much memory, for the layers
 * of DeepSeek-VL2-tiny and -small. What is compared runs in turns; a ratio is the median over the turns. */
#include <dnnl.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/kernels.h"

enum { WIDTH = 1152, MLP = 4304, HEADS = 16, TOKENS = 729, LAYERS = 2, ROUNDS = 9 };

static double now(void)
{
    return omp_get_wtime();
}

/* OpenMP's threads (dnnl_sgemm's, and those that only read) spin for some milliseconds when they have nothing
 * to do: let them fall asleep before others are measured. */
static void settle(void)
{
    const struct timespec pause = {0, 50000000};
    nanosleep(&pause, NULL);
}

static void *take(size_t bytes)
{
    void *block = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!block) {
        fprintf(stderr, "bench_kernels: no memory\n");
        exit(1);
    }
    return block;
}

static float *random_floats(int64_t n, float size)
{
    static uint64_t state = 1;
    float *x = take((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = ((float)(uint32_t)(state >> 32) * 0x1p-31f - 1.0f) * size;
    }
    return x;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return values[n / 2];
}

/* ---- the vision tower --------------------------------------------------------------------------------- */

typedef struct layer {
    kern_weight qkv, proj, fc1, fc2;
} layer;

static kern_weight random_matrix(int64_t rows, int64_t cols)
{
    const kern_weight w = {random_floats(rows * cols, 1.7f / sqrtf((float)cols)), KERN_F32, rows, cols, 0};
    return w;
}

/* The blocks of siglip_vit.VisionTransformer on x [tiles*TOKENS, WIDTH]. */
static void tower(kern_context *c, const layer *layers, float *x, float *h, float *wide, const float *ones,
                  int64_t tiles)
{
    const int64_t rows = tiles * TOKENS;
    for (int i = 0; i < LAYERS; i++) {
        const layer *l = &layers[i];
        kern_layernorm(c, h, x, ones, ones, 1e-6f, rows, WIDTH);
        kern_linear(c, wide, h, &l->qkv, ones, rows);
        kern_attention_full(c, h, wide, 1 / sqrtf(WIDTH / HEADS), tiles, TOKENS, HEADS, WIDTH / HEADS);
        kern_linear(c, wide, h, &l->proj, ones, rows);
        kern_add(c, x, wide, rows * WIDTH);
        kern_layernorm(c, h, x, ones, ones, 1e-6f, rows, WIDTH);
        kern_linear(c, wide, h, &l->fc1, ones, rows);
        kern_gelu_tanh(c, wide, rows * MLP);
        kern_linear(c, h, wide, &l->fc2, ones, rows);
        kern_add(c, x, h, rows * WIDTH);
    }
}

/* FLOP/s of dnnl_sgemm on fc1, the largest layer: y[rows, MLP] = x[rows, WIDTH] . W, W as stored ('T') or
 * not. */
static double peak(char trans, const float *x, const float *w, float *y, int64_t rows)
{
    const double start = now();
    dnnl_sgemm('N', trans, rows, MLP, WIDTH, 1, x, WIDTH, w, trans == 'T' ? WIDTH : MLP, 0, y, MLP);
    return 2.0 * (double)rows * MLP * WIDTH / (now() - start);
}

static void bench_tower(kern_context *c, int64_t tiles)
{
    const int64_t rows = tiles * TOKENS;
    layer layers[LAYERS];
    for (int i = 0; i < LAYERS; i++)
        layers[i] = (layer){random_matrix(3 * WIDTH, WIDTH), random_matrix(WIDTH, WIDTH),
                            random_matrix(MLP, WIDTH), random_matrix(WIDTH, MLP)};
    float *x = random_floats(rows * WIDTH, 1), *h = random_floats(rows * WIDTH, 1);
    float *wide = random_floats(rows * MLP, 1), *ones = random_floats(MLP, 0);
    for (int i = 0; i < MLP; i++) ones[i] = 1;
    const double flops = LAYERS * (2.0 * (double)rows * WIDTH * (4 * WIDTH + 2 * MLP) +
                                   4.0 * (double)tiles * TOKENS * TOKENS * WIDTH);
    double ratio[ROUNDS], ours[ROUNDS], theirs[ROUNDS];
    tower(c, layers, x, h, wide, ones, tiles);
    for (int r = 0; r < ROUNDS; r++) {
        /* The better of both layouts, before and after us. */
        double best = 0;
        for (int half = 0; half < 2; half++) {
            const double p = peak('T', x, layers[0].fc1.data, wide, rows),
                         q = peak('N', x, layers[0].fc1.data, wide, rows);
            best = fmax(best, fmax(p, q));
            if (half == 0) {
                settle();
                const double start = now();
                tower(c, layers, x, h, wide, ones, tiles);
                ours[r] = flops / (now() - start);
            }
        }
        theirs[r] = best;
        ratio[r] = ours[r] / best;
    }
    const double m = median(ratio, ROUNDS);
    printf("tower, %ld tile%s: %.0f GFLOP/s, dnnl_sgemm's best %.0f; ratio %.2f (%.2f to %.2f)\n",
           (long)tiles, tiles > 1 ? "s" : "", median(ours, ROUNDS) * 1e-9, median(theirs, ROUNDS) * 1e-9, m,
           ratio[0], ratio[ROUNDS - 1]);
    for (int i = 0; i < LAYERS; i++) {
        free((void *)(uintptr_t)layers[i].qkv.data);
        free((void *)(uintptr_t)layers[i].proj.data);
        free((void *)(uintptr_t)layers[i].fc1.data);
        free((void *)(uintptr_t)layers[i].fc2.data);
    }
    free(x);
    free(h);
    free(wide);
    free(ones);
}

/* ---- decoding ----------------------------------------------------------------------------------------- */

/* Seconds to read `bytes` once, every thread its contiguous share, eight independent sums each. */
static double read_all(const uint16_t *data, size_t bytes)
{
    const int64_t words = (int64_t)(bytes / 8);
    uint64_t total = 0;
    const double start = now();
#pragma omp parallel reduction(+ : total)
    {
        const int threads = omp_get_num_threads(), me = omp_get_thread_num();
        const uint64_t *p = (const uint64_t *)(const void *)data;
        uint64_t s[8] = {0};
        for (int64_t i = words / threads * me; i + 8 <= words / threads * (me + 1); i += 8)
            for (int u = 0; u < 8; u++) s[u] += p[i + u];
        for (int u = 0; u < 8; u++) total += s[u];
    }
    const double seconds = now() - start;
    if (total == 42) fputc(' ', stderr); /* keeps the sums */
    return seconds;
}

/* Weights of many layers in one block far larger than the caches, each read once. */
static void bench_decode(kern_context *c, const char *name, int64_t rows, int64_t cols, int64_t n)
{
    const size_t each = (size_t)(rows * cols) * 2, count = ((size_t)768 << 20) / each;
    uint16_t *data = take(each * count);
    for (size_t i = 0; i < each * count / 2; i++) data[i] = (uint16_t)(0x3c00 + i % 511);
    float *x = random_floats(n * cols, 1), *y = random_floats(n * rows, 1);
    double ratio[ROUNDS], ours[ROUNDS], theirs[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        const double plain = read_all(data, each * count);
        settle();
        const double start = now();
        for (size_t i = 0; i < count; i++) {
            const kern_weight w = {data + i * each / 2, KERN_BF16, rows, cols, 0};
            kern_linear(c, y, x, &w, NULL, n);
        }
        const double seconds = now() - start;
        ours[r] = (double)(each * count) / seconds;
        theirs[r] = (double)(each * count) / plain;
        ratio[r] = plain / seconds;
    }
    const double m = median(ratio, ROUNDS);
    printf(
        "decode, %ld row%s, %s [%ld, %ld] bf16: %.1f GB/s, plain reading %.1f; ratio %.2f (%.2f to %.2f)\n",
        (long)n, n > 1 ? "s" : "", name, (long)rows, (long)cols, median(ours, ROUNDS) * 1e-9,
        median(theirs, ROUNDS) * 1e-9, m, ratio[0], ratio[ROUNDS - 1]);
    free(data);
    free(x);
    free(y);
}

int main(void)
{
    kern_context *c = kern_context_new(0);
    if (!c) return 1;
    omp_set_num_threads(kern_context_threads(c));
    printf("%s, %d threads\n", kern_isa(), kern_context_threads(c));
    bench_tower(c, 1);
    bench_tower(c, 4);
    bench_decode(c, "tiny expert", 896, 1280, 1);
    bench_decode(c, "tiny dense", 6848, 1280, 1);
    bench_decode(c, "small expert", 1408, 2048, 1);
    bench_decode(c, "small expert down", 2048, 1408, 1);
    bench_decode(c, "small head", 102400, 2048, 1);
    bench_decode(c, "small dense", 10944, 2048, 4);
    bench_decode(c, "small dense", 10944, 2048, 8);
    kern_context_free(c);
    return 0;
}
