/* SPDX-License-Identifier: Apache-2.0 */
/* Speed of the vision tower at SigLIP-SO400M's true size (random weights, LAYERS of its 27 equal layers) as
 * ratios from one run: f32 against what dnnl_sgemm reaches on the tower's largest layer, and weights and
 * activations of 8 bits against f32, all with all threads. What is compared runs in turns; a ratio is the
 * median over them. */
#include <dnnl.h>
#include <math.h>

#include "tests/bench/bench.h"

enum { WIDTH = 1152, MLP = 4304, HEADS = 16, TOKENS = 729, LAYERS = 2, ROUNDS = 9 };

typedef struct layer {
    kern_weight qkv, proj, fc1, fc2;
} layer;

static kern_weight random_matrix(int64_t rows, int64_t cols)
{
    const kern_weight w = {random_floats(rows * cols, 1.7f / sqrtf((float)cols)), KERN_F32, rows, cols, 0};
    return w;
}

static kern_weight quantized(kern_context *c, const kern_weight *w)
{
    void *to = take((size_t)kern_quantized_size(KERN_Q8, 128, w->rows, w->cols));
    if (kern_quantize(c, to, w->data, KERN_Q8, 128, w->rows, w->cols)) exit(1);
    const kern_weight q = {to, KERN_Q8, w->rows, w->cols, 128};
    return q;
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

/* The better of both layouts. */
static double best_peak(const float *x, const float *w, float *y, int64_t rows)
{
    const double best = fmax(peak('T', x, w, y, rows), peak('N', x, w, y, rows));
    settle();
    return best;
}

static void print_ratio(const char *what, double *ratio)
{
    const double m = median(ratio, ROUNDS);
    printf("%s %.2f (%.2f to %.2f)", what, m, ratio[0], ratio[ROUNDS - 1]);
}

static void bench_tower(kern_context *c, int64_t tiles)
{
    const int64_t rows = tiles * TOKENS;
    layer layers[LAYERS], narrow[LAYERS];
    for (int i = 0; i < LAYERS; i++) {
        layer *l = &layers[i];
        *l = (layer){random_matrix(3 * WIDTH, WIDTH), random_matrix(WIDTH, WIDTH), random_matrix(MLP, WIDTH),
                     random_matrix(WIDTH, MLP)};
        narrow[i] = (layer){quantized(c, &l->qkv), quantized(c, &l->proj), quantized(c, &l->fc1),
                            quantized(c, &l->fc2)};
    }
    float *x = random_floats(rows * WIDTH, 1), *h = random_floats(rows * WIDTH, 1);
    float *wide = random_floats(rows * MLP, 1), *ones = random_floats(MLP, 0);
    for (int i = 0; i < MLP; i++) ones[i] = 1;
    const double flops = LAYERS * (2.0 * (double)rows * WIDTH * (4 * WIDTH + 2 * MLP) +
                                   4.0 * (double)tiles * TOKENS * TOKENS * WIDTH);
    double ratio[ROUNDS], gain[ROUNDS], ours[ROUNDS], theirs[ROUNDS];
    tower(c, layers, x, h, wide, ones, tiles);
    for (int r = 0; r < ROUNDS; r++) {
        const double before = best_peak(x, layers[0].fc1.data, wide, rows);
        double start = now();
        tower(c, layers, x, h, wide, ones, tiles);
        const double seconds = now() - start;
        kern_context_int8(c, true);
        start = now();
        tower(c, narrow, x, h, wide, ones, tiles);
        gain[r] = seconds / (now() - start);
        kern_context_int8(c, false);
        theirs[r] = fmax(before, best_peak(x, layers[0].fc1.data, wide, rows));
        ours[r] = flops / seconds;
        ratio[r] = ours[r] / theirs[r];
    }
    printf("tower, %ld tile%s: f32 %.0f GFLOP/s, dnnl_sgemm's best %.0f; ", (long)tiles, tiles > 1 ? "s" : "",
           median(ours, ROUNDS) * 1e-9, median(theirs, ROUNDS) * 1e-9);
    print_ratio("ratio", ratio);
    print_ratio("; 8 bits against f32", gain);
    printf("\n");
    fflush(stdout);
    for (int i = 0; i < 2 * LAYERS; i++) {
        const layer *l = i < LAYERS ? &layers[i] : &narrow[i - LAYERS];
        free((void *)(uintptr_t)l->qkv.data);
        free((void *)(uintptr_t)l->proj.data);
        free((void *)(uintptr_t)l->fc1.data);
        free((void *)(uintptr_t)l->fc2.data);
    }
    free(x);
    free(h);
    free(wide);
    free(ones);
}

int main(void)
{
    kern_context *c = kern_context_new(0);
    if (!c) return 1;
    omp_set_num_threads(kern_context_threads(c));
    printf("%s, %d threads\n", kern_isa(), kern_context_threads(c));
    bench_tower(c, 1);
    bench_tower(c, 2); /* twice what a pass takes on two threads */
    kern_context_free(c);
    return 0;
}
