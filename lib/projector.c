/* SPDX-License-Identifier: Apache-2.0 */
/* From patch features to the decoder's embeddings. Mirrors MlpProjector and
 * DeepseekVLV2ForCausalLM.prepare_inputs_embeds of the published modeling_deepseek_vl_v2.py, DeepSeek-VL's
 * MlpProjector (projector.py), and transformers' DeepseekVLAligner and DeepseekVLHybridAligner.
 *
 *   features [n, side*side, input]
 *   token_pooling:       2x2 patches -> 4*input -> linear -> input; an odd last row and column are dropped
 *   downsample_mlp_gelu: zero-pad right and bottom to a multiple of r; r x r patches -> r*r*input, channel by
 * channel linear (gelu linear)...                              -> [n, out_side*out_side, output]
 *   low_high_hybrid_split_mlp_gelu: [linear(high), linear(low)], each to half of output, (gelu linear)...
 *
 *   VL2: one image = rows of the global tile, each with image_newline behind it; view_seperator (sic); rows
 * of the local tiles laid out as one picture, likewise. global_view_pos "tail" puts the global tile last. VL:
 * one image = its square, as it is.
 */
#include <stddef.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/model.h"
#include "lib/stems.h"

enum { MAX_LAYERS = 16 };

typedef struct linear {
    kern_weight weight; /* [out, in] */
    const float *bias;  /* [out] */
} linear;

struct dsvl_projector {
    dsvl_projector_config config;
    int side, out_side;       /* tokens a row of a tile, before and after */
    int gather;               /* patches of gather x gather tokens are joined; 1: none */
    linear pool;              /* token_pooling */
    linear split[2];          /* hybrid: high [output/2, input], low [output/2, input] */
    bool marks;               /* newlines and a separator stand between rows and views */
    linear layer[MAX_LAYERS]; /* gelu between them */
    int layers;
    const float *newline, *separator; /* [output] */
};

enum { INPUT, JOINED, FROM, TO, OUTPUT, HALF, SIZES };

static const dsvl_binding pool_table[] = {
    {"token_pooling_layer.weight", offsetof(linear, weight), DSVL_BIND_MATRIX, 2, {INPUT, JOINED}},
    {"token_pooling_layer.bias", offsetof(linear, bias), DSVL_BIND_VECTOR, 1, {INPUT}},
};
static const dsvl_binding mark_table[] = {
    {"image_newline", offsetof(dsvl_projector, newline), DSVL_BIND_VECTOR, 1, {OUTPUT}},
    {"view_seperator", offsetof(dsvl_projector, separator), DSVL_BIND_VECTOR, 1, {OUTPUT}},
};
static const dsvl_binding single_table[] = {
    {"layers.weight", offsetof(linear, weight), DSVL_BIND_MATRIX, 2, {TO, FROM}},
    {"layers.bias", offsetof(linear, bias), DSVL_BIND_VECTOR, 1, {TO}},
};
static const dsvl_binding sequence_table[] = {
    {"layers.#.weight", offsetof(linear, weight), DSVL_BIND_MATRIX, 2, {TO, FROM}},
    {"layers.#.bias", offsetof(linear, bias), DSVL_BIND_VECTOR, 1, {TO}},
};

/* transformers */
static const dsvl_binding linears_table[] = {
    {"linear#.weight", offsetof(linear, weight), DSVL_BIND_MATRIX, 2, {TO, FROM}},
    {"linear#.bias", offsetof(linear, bias), DSVL_BIND_VECTOR, 1, {TO}},
};
static const dsvl_binding last_table[] = {
    {"proj.weight", offsetof(linear, weight), DSVL_BIND_MATRIX, 2, {TO, FROM}},
    {"proj.bias", offsetof(linear, bias), DSVL_BIND_VECTOR, 1, {TO}},
};

#define SPLIT(high, low)                                                                                     \
    {                                                                                                        \
        {high ".weight", offsetof(linear, weight), DSVL_BIND_MATRIX, 2, {HALF, INPUT}},                      \
            {high ".bias", offsetof(linear, bias), DSVL_BIND_VECTOR, 1, {HALF}},                             \
            {low ".weight", sizeof(linear) + offsetof(linear, weight), DSVL_BIND_MATRIX, 2, {HALF, INPUT}},  \
            {low ".bias", sizeof(linear) + offsetof(linear, bias), DSVL_BIND_VECTOR, 1, {HALF}},             \
    }
static const dsvl_binding split_table[] = SPLIT("high_up_proj", "low_up_proj"),
                          split_table_transformers[] = SPLIT("high_res_vision_proj", "vision_proj");

/* The projector types as data: which tensors, and by which number the first layer goes and the next ones
 * follow; how many layers (depth raised to `least`, 0: none); and whether the inner layers are mlp_ratio
 * times as wide. In a published Sequential every other entry is a GELU. */
static const struct variant {
    const dsvl_binding *table; /* two rows */
    const dsvl_binding *split; /* four rows, the first layer; NULL: none */
    int first, step;
    bool deep, wide, downsample;
    int least;
} variants[][DSVL_FILES_COUNT] = {
    [DSVL_PROJ_IDENTITY] = {{NULL, NULL, 0, 0, false, false, false, 0}},
    [DSVL_PROJ_LINEAR] = {{single_table, NULL, 0, 0, false, false, false, 1}},
    [DSVL_PROJ_MLP_GELU] = {{sequence_table, NULL, 0, 2, true, false, false, 1},
                            {linears_table, NULL, 1, 1, true, false, false, 1}},
    [DSVL_PROJ_DOWNSAMPLE_MLP_GELU] = {{sequence_table, NULL, 0, 2, true, true, true, 2}},
    [DSVL_PROJ_HYBRID_SPLIT_MLP_GELU] = {{sequence_table, split_table, -1, 2, true, false, false, 1},
                                         {last_table, split_table_transformers, 0, 0, true, false, false, 1}},
};

static int bind_layers(dsvl_projector *p, dsvl_checkpoint *checkpoint, const struct variant *v,
                       const char *stem, dsvl_error *err)
{
    const dsvl_projector_config *c = &p->config;
    const int64_t joined = (int64_t)c->input * p->gather * p->gather,
                  inner = (int64_t)c->output * (v->wide ? c->ratio : 1);
    int64_t sizes[SIZES] = {
        [INPUT] = c->input, [JOINED] = joined, [OUTPUT] = c->output, [HALF] = c->output / 2};
    p->layers = v->deep && c->depth > v->least ? c->depth : v->least;
    if (p->marks && dsvl_checkpoint_bind(checkpoint, "", mark_table, 2, 0, sizes, p, err)) return -1;
    if (c->token_pooling && dsvl_checkpoint_bind(checkpoint, stem, pool_table, 2, 0, sizes, &p->pool, err))
        return -1;
    if (v->split && dsvl_checkpoint_bind(checkpoint, stem, v->split, 4, 0, sizes, p->split, err)) return -1;
    for (int i = v->split ? 1 : 0; i < p->layers; i++) {
        sizes[FROM] = i ? inner : c->token_pooling ? c->input : joined;
        sizes[TO] = i == p->layers - 1 ? c->output : inner;
        if (dsvl_checkpoint_bind(checkpoint, stem, v->table, 2, v->first + v->step * i, sizes, &p->layer[i],
                                 err))
            return -1;
    }
    return dsvl_checkpoint_surplus(checkpoint, stem, err);
}

dsvl_projector *dsvl_projector_bind(dsvl_checkpoint *checkpoint, const dsvl_config *config, dsvl_error *err)
{
    dsvl_projector *p = dsvl_alloc_zero(1, sizeof *p);
    if (!p) {
        dsvl_fail_memory(err, sizeof *p);
        return NULL;
    }
    const struct variant *v = &variants[config->projector.type][config->files];
    p->config = config->projector;
    p->marks = config->arch == DSVL_ARCH_VL2;
    p->side = config->vision.side;
    p->out_side = dsvl_config_tile_side(config);
    p->gather = p->config.token_pooling ? 2 : v->downsample ? p->config.downsample : 1;
    if (bind_layers(p, checkpoint, v, dsvl_stems_of(config)->projector, err)) {
        dsvl_projector_free(p);
        return NULL;
    }
    return p;
}

void dsvl_projector_free(dsvl_projector *projector)
{
    dsvl_dealloc(projector);
}

int dsvl_projector_side(const dsvl_projector *projector)
{
    return projector->out_side;
}

/* Widest row that stands between two steps. */
static int64_t row_width(const dsvl_projector *p)
{
    int64_t widest = (int64_t)p->config.input * p->gather * p->gather;
    if (p->split[0].weight.rows && p->config.output > widest) widest = p->config.output;
    for (int i = 0; i < p->layers; i++)
        widest = p->layer[i].weight.rows > widest ? p->layer[i].weight.rows : widest;
    return widest;
}

int64_t dsvl_projector_scratch(const dsvl_projector *p)
{
    return (int64_t)sizeof(float) * 2 * p->out_side * p->out_side * row_width(p);
}

/* F.unfold with kernel = stride = r on the zero-padded square: out [out_side*out_side, input*r*r] of one tile
 * x [side*side, input]; value c*r*r + dy*r + dx is channel c of the token at (dy, dx) in the patch. */
static void join_patches(const dsvl_projector *p, float *out, const float *x)
{
    const int64_t r = p->gather, c = p->config.input;
    for (int64_t token = 0; token < (int64_t)p->out_side * p->out_side; token++) {
        float *row = out + token * c * r * r;
        for (int64_t d = 0; d < r * r; d++) {
            const int64_t y = token / p->out_side * r + d / r, at = token % p->out_side * r + d % r;
            const bool inside = y < p->side && at < p->side;
            const float *from = x + (y * p->side + at) * c;
            for (int64_t k = 0; k < c; k++) row[k * r * r + d] = inside ? from[k] : 0;
        }
    }
}

/* What stands before the layers, if anything does: joined patches, pooled tokens, the halves of a hybrid.
 * Returns what the first of them takes; NULL when scratch is out. */
static const float *prepare(const dsvl_projector *p, kern_context *context, const float *features,
                            const float *high, int n, float *one, float *other)
{
    const int64_t rows = (int64_t)n * p->out_side * p->out_side, input = p->config.input;
    const float *x = features;
    if (p->gather > 1) {
        const int64_t in = (int64_t)p->side * p->side * input,
                      joined = rows / n * input * p->gather * p->gather;
        for (int i = 0; i < n; i++) join_patches(p, one + i * joined, features + i * in);
        x = one;
    }
    if (p->config.token_pooling) {
        if (kern_linear(context, other, x, &p->pool.weight, p->pool.bias, rows)) return NULL;
        x = other;
    }
    const int64_t half = p->split[0].weight.rows;
    for (int side = 0; half && side < 2; side++) {
        if (kern_linear(context, other, side ? features : high, &p->split[side].weight, p->split[side].bias,
                        rows))
            return NULL;
        for (int64_t r = 0; r < rows; r++)
            memcpy(one + (2 * r + side) * half, other + r * half, (size_t)half * sizeof *one);
        x = one;
    }
    return x;
}

int dsvl_projector_run(const dsvl_projector *p, kern_context *context, const float *features,
                       const float *high, int n, float *out, dsvl_error *err)
{
    const int64_t rows = (int64_t)n * p->out_side * p->out_side, input = p->config.input;
    const size_t bytes = (size_t)dsvl_projector_scratch(p) * (size_t)n;
    const bool split = p->split[0].weight.rows > 0;
    if (n < 1 || split != (high != NULL)) return dsvl_fail(err, DSVL_E_INTERNAL, "projector: %d tiles", n);
    float *one = kern_context_scratch(context, bytes);
    if (!one) return dsvl_fail_memory(err, bytes);
    float *other = one + rows * row_width(p);
    const float *x = prepare(p, context, features, high, n, one, other);
    if (!x) return dsvl_fail_memory(err, bytes);
    if (split && p->layers > 1) kern_gelu_erf(context, one, rows * p->config.output);
    for (int i = split ? 1 : 0; i < p->layers; i++) {
        float *y = i == p->layers - 1 ? out : x == one ? other : one;
        const linear *layer = &p->layer[i];
        if (kern_linear(context, y, x, &layer->weight, layer->bias, rows))
            return dsvl_fail_memory(err, bytes);
        if (i < p->layers - 1) kern_gelu_erf(context, y, rows * layer->weight.rows);
        x = y;
    }
    if (x != out) memcpy(out, x, (size_t)(rows * (split ? p->config.output : input)) * sizeof *out);
    return 0;
}

/* ---- one image --------------------------------------------------------------------------------------- */

/* cols x rows tiles [cols*rows, side*side, width] as one picture with a newline behind each row; returns its
 * end. */
static float *lay_out(const dsvl_projector *p, float *out, const float *tiles, int cols, int rows)
{
    const int64_t side = p->out_side, width = p->config.output, strip = side * width;
    for (int64_t y = 0; y < rows * side; y++) {
        for (int64_t col = 0; col < cols; col++) {
            const float *tile = tiles + (y / side * cols + col) * side * strip;
            memcpy(out, tile + y % side * strip, (size_t)strip * sizeof *out);
            out += strip;
        }
        memcpy(out, p->newline, (size_t)width * sizeof *out);
        out += width;
    }
    return out;
}

void dsvl_projector_mosaic(const dsvl_projector *p, const float *features, int cols, int rows,
                           float *embeddings)
{
    const int64_t width = p->config.output, square = (int64_t)p->out_side * p->out_side;
    if (!p->marks) {
        memcpy(embeddings, features, (size_t)(square * width) * sizeof *embeddings);
        return;
    }
    const float *local = features + square * width;
    const bool head = p->config.global_first;
    float *at = head ? lay_out(p, embeddings, features, 1, 1) : lay_out(p, embeddings, local, cols, rows);
    memcpy(at, p->separator, (size_t)width * sizeof *at);
    at += width;
    if (head) {
        lay_out(p, at, local, cols, rows);
    } else {
        lay_out(p, at, features, 1, 1);
    }
}
