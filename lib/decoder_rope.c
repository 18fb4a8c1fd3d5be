/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary position tables.
 *
 *   MLA: DeepseekV2{,LinearScaling,DynamicNTKScaling,Yarn}RotaryEmbedding of modeling_deepseek.py
 *   MHA: Llama{,LinearScaling,DynamicNTKScaling}RotaryEmbedding of transformers 4.38.2, which has no YaRN;
 *   in transformers' layout also _compute_yarn_parameters of 4.57, whose attention_factor stands in the
 * tables
 *
 * Angles are taken in f32 as there: frequencies, positions and their product are each rounded to f32 before
 * the cosine, because at position 4000 one bit of the product is 2e-4 of a turn's radian. */
#include <math.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/decoder.h"

int dsvl_rope_dim(const dsvl_decoder_config *config)
{
    return config->mla ? config->rope_dim : config->head_dim;
}

/* yarn_get_mscale */
static double yarn_scale(double factor, double mscale)
{
    return factor <= 1 ? 1.0 : 0.1 * mscale * log(factor) + 1.0;
}

float dsvl_rope_score_scale(const dsvl_decoder_config *config)
{
    if (!config->mla) return (float)(1.0 / sqrt((double)config->head_dim));
    double scale = pow((double)(config->nope_dim + config->rope_dim), -0.5);
    if (config->rope != DSVL_ROPE_NONE && config->rope_mscale_all != 0) {
        double m = yarn_scale(config->rope_factor, config->rope_mscale_all);
        scale = scale * m * m;
    }
    return (float)scale;
}

/* 1 / base^(2i/dim), each step in f32 as torch computes it; the power itself is rounded once, from f64. */
static float frequency(double base, int i, int dim)
{
    float exponent = (float)(2 * i) / (float)dim;
    return 1.0f / (float)pow((double)(float)base, (double)exponent);
}

/* yarn_find_correction_dim */
static double yarn_dim(double rotations, int dim, double base, int positions)
{
    const double pi = 3.141592653589793;
    return (dim * log(positions / (rotations * 2 * pi))) / (2 * log(base));
}

/* The frequency of pair i under YaRN: between the interpolated and the plain one by a ramp over i. */
static float yarn_frequency(const dsvl_decoder_config *config, int i, int dim)
{
    double base = config->rope_theta;
    double low = floor(yarn_dim(config->rope_beta_fast, dim, base, config->rope_original));
    double high = ceil(yarn_dim(config->rope_beta_slow, dim, base, config->rope_original));
    low = low > 0 ? low : 0;
    high = high < dim - 1 ? high : dim - 1;
    if (low == high) high += 0.001; /* as published: no division by zero */

    float exponent = (float)(2 * i) / (float)dim;
    float power = (float)pow((double)(float)base, (double)exponent);
    float plain = 1.0f / power;
    float interpolated = 1.0f / ((float)config->rope_factor * power);
    float ramp = ((float)i - (float)low) / (float)(high - low);
    ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
    float keep = 1.0f - ramp;
    return interpolated * (1.0f - keep) + plain * keep;
}

static bool beyond_trained(const dsvl_decoder_config *config, size_t length)
{
    return config->rope == DSVL_ROPE_DYNAMIC && length > (size_t)config->context;
}

/* Cosine and sine of rows [from, to) for a sequence of `length` positions. */
static void fill(dsvl_rope *rope, const dsvl_decoder_config *config, size_t from, size_t to, size_t length)
{
    int dim = dsvl_rope_dim(config), half = dim / 2;
    double base = config->rope_theta, factor = config->rope_factor;
    if (beyond_trained(config, length))
        base *= pow(factor * (double)length / config->context - (factor - 1), dim / (dim - 2.0));
    float mscale = 1;
    if (config->rope == DSVL_ROPE_YARN)
        mscale =
            (float)(yarn_scale(factor, config->rope_mscale) / yarn_scale(factor, config->rope_mscale_all));
    for (int i = 0; i < half; i++) {
        float f = config->rope == DSVL_ROPE_YARN ? yarn_frequency(config, i, dim) : frequency(base, i, dim);
        for (size_t p = from; p < to; p++) {
            float position = (float)p;
            if (config->rope == DSVL_ROPE_LINEAR) position /= (float)factor;
            float angle = position * f;
            rope->cosine[p * (size_t)half + (size_t)i] = cosf(angle) * mscale;
            rope->sine[p * (size_t)half + (size_t)i] = sinf(angle) * mscale;
        }
    }
}

static int grow(dsvl_rope *rope, size_t half, size_t length, dsvl_error *err)
{
    if (length <= rope->capacity) return 0;
    size_t capacity = rope->capacity ? rope->capacity : 256;
    while (capacity < length) capacity *= 2; /* lengths are bounded by an int context */
    float *cosine = dsvl_realloc(rope->cosine, rope->capacity * half, capacity * half, sizeof(float));
    if (!cosine) return dsvl_fail_memory(err, capacity * half * sizeof(float));
    rope->cosine = cosine;
    float *sine = dsvl_realloc(rope->sine, rope->capacity * half, capacity * half, sizeof(float));
    if (!sine) return dsvl_fail_memory(err, capacity * half * sizeof(float));
    rope->sine = sine;
    rope->capacity = capacity;
    return 0;
}

int dsvl_rope_prepare(dsvl_rope *rope, const dsvl_decoder_config *config, size_t past, size_t length,
                      dsvl_error *err)
{
    if (beyond_trained(config, length)) {
        /* Every call turns its own rows by frequencies for the new length; keys already cached keep theirs.
         */
        if (grow(rope, (size_t)dsvl_rope_dim(config) / 2, length, err)) return -1;
        fill(rope, config, past, length, length);
        rope->ready = rope->ready < past ? rope->ready : past;
        return 0;
    }
    if (length <= rope->ready) return 0;
    if (grow(rope, (size_t)dsvl_rope_dim(config) / 2, length, err)) return -1;
    /* Ahead of need, so that decoding does not come here every step; not where frequencies still change. */
    size_t to = rope->capacity;
    if (config->rope == DSVL_ROPE_DYNAMIC && to > (size_t)config->context) to = (size_t)config->context;
    fill(rope, config, rope->ready, to, length);
    rope->ready = to;
    return 0;
}

void dsvl_rope_clear(dsvl_rope *rope)
{
    dsvl_dealloc(rope->cosine);
    dsvl_dealloc(rope->sine);
    memset(rope, 0, sizeof *rope);
}
