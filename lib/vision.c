/* SPDX-License-Identifier: Apache-2.0 */
/* The SigLIP vision tower: uint8 tiles to patch features. Mirrors VisionTransformer.forward_features of the
 * published siglip_vit.py with ignore_head (the attention pool is never reached), and transformers'
 * SiglipVisionTransformer, whose queries, keys and values are three matrices.
 *
 *   x = patches . W_patch + b + position                     [tokens = side*side, width]
 *   layers times:
 *     x += attention(norm1(x) . W_qkv + b) . W_proj + b      heads of width / heads, softmax(q.k * dim^-1/2)
 *     x += gelu(norm2(x) . W_fc1 + b) . W_fc2 + b            VL2: the tanh form of gelu; VL: the erf form
 *   x = norm(x)
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/model.h"
#include "lib/stems.h"

typedef struct vision_block {
    const float *norm1_gain, *norm1_bias, *norm2_gain, *norm2_bias; /* [width] */
    kern_weight qkv, proj;                                          /* [3*width, width], [width, width] */
    kern_weight part[3];  /* transformers: q, k, v, each [width, width], in the place of qkv */
    kern_weight fc1, fc2; /* [mlp, width], [width, mlp] */
    const float *qkv_bias, *part_bias[3], *proj_bias, *fc1_bias, *fc2_bias;
} vision_block;

struct dsvl_vision {
    dsvl_vision_config config;
    bool parted;             /* blocks have part, not qkv */
    kern_weight patch;       /* [width, 3*patch*patch] */
    const float *patch_bias; /* [width] */
    const float *position;   /* [side*side, width] */
    const float *norm_gain, *norm_bias;
    vision_block *blocks; /* [layers] */
};

enum { ONE, RGB, PATCH, TOKENS, WIDTH, QKV, MLP, SIZES };

#define STEM(field) offsetof(dsvl_vision, field)
static const dsvl_binding stem_table[] = {
    {"patch_embed.proj.weight", STEM(patch), DSVL_BIND_PLAIN, 4, {WIDTH, RGB, PATCH, PATCH}},
    {"patch_embed.proj.bias", STEM(patch_bias), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"pos_embed", STEM(position), DSVL_BIND_VECTOR, 3, {ONE, TOKENS, WIDTH}},
    {"norm.weight", STEM(norm_gain), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"norm.bias", STEM(norm_bias), DSVL_BIND_VECTOR, 1, {WIDTH}},
};
static const dsvl_binding stem_table_transformers[] = {
    {"embeddings.patch_embedding.weight", STEM(patch), DSVL_BIND_PLAIN, 4, {WIDTH, RGB, PATCH, PATCH}},
    {"embeddings.patch_embedding.bias", STEM(patch_bias), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"embeddings.position_embedding.weight", STEM(position), DSVL_BIND_VECTOR, 2, {TOKENS, WIDTH}},
    {"post_layernorm.weight", STEM(norm_gain), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"post_layernorm.bias", STEM(norm_bias), DSVL_BIND_VECTOR, 1, {WIDTH}},
};

#define BLOCK(field) offsetof(vision_block, field)
static const dsvl_binding block_table[] = {
    {"blocks.#.norm1.weight", BLOCK(norm1_gain), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"blocks.#.norm1.bias", BLOCK(norm1_bias), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"blocks.#.attn.qkv.weight", BLOCK(qkv), DSVL_BIND_MATRIX, 2, {QKV, WIDTH}},
    {"blocks.#.attn.qkv.bias", BLOCK(qkv_bias), DSVL_BIND_VECTOR, 1, {QKV}},
    {"blocks.#.attn.proj.weight", BLOCK(proj), DSVL_BIND_MATRIX, 2, {WIDTH, WIDTH}},
    {"blocks.#.attn.proj.bias", BLOCK(proj_bias), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"blocks.#.norm2.weight", BLOCK(norm2_gain), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"blocks.#.norm2.bias", BLOCK(norm2_bias), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"blocks.#.mlp.fc1.weight", BLOCK(fc1), DSVL_BIND_MATRIX, 2, {MLP, WIDTH}},
    {"blocks.#.mlp.fc1.bias", BLOCK(fc1_bias), DSVL_BIND_VECTOR, 1, {MLP}},
    {"blocks.#.mlp.fc2.weight", BLOCK(fc2), DSVL_BIND_MATRIX, 2, {WIDTH, MLP}},
    {"blocks.#.mlp.fc2.bias", BLOCK(fc2_bias), DSVL_BIND_VECTOR, 1, {WIDTH}},
};
static const dsvl_binding block_table_transformers[] = {
    {"encoder.layers.#.layer_norm1.weight", BLOCK(norm1_gain), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"encoder.layers.#.layer_norm1.bias", BLOCK(norm1_bias), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"encoder.layers.#.self_attn.q_proj.weight", BLOCK(part[0]), DSVL_BIND_MATRIX, 2, {WIDTH, WIDTH}},
    {"encoder.layers.#.self_attn.q_proj.bias", BLOCK(part_bias[0]), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"encoder.layers.#.self_attn.k_proj.weight", BLOCK(part[1]), DSVL_BIND_MATRIX, 2, {WIDTH, WIDTH}},
    {"encoder.layers.#.self_attn.k_proj.bias", BLOCK(part_bias[1]), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"encoder.layers.#.self_attn.v_proj.weight", BLOCK(part[2]), DSVL_BIND_MATRIX, 2, {WIDTH, WIDTH}},
    {"encoder.layers.#.self_attn.v_proj.bias", BLOCK(part_bias[2]), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"encoder.layers.#.self_attn.out_proj.weight", BLOCK(proj), DSVL_BIND_MATRIX, 2, {WIDTH, WIDTH}},
    {"encoder.layers.#.self_attn.out_proj.bias", BLOCK(proj_bias), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"encoder.layers.#.layer_norm2.weight", BLOCK(norm2_gain), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"encoder.layers.#.layer_norm2.bias", BLOCK(norm2_bias), DSVL_BIND_VECTOR, 1, {WIDTH}},
    {"encoder.layers.#.mlp.fc1.weight", BLOCK(fc1), DSVL_BIND_MATRIX, 2, {MLP, WIDTH}},
    {"encoder.layers.#.mlp.fc1.bias", BLOCK(fc1_bias), DSVL_BIND_VECTOR, 1, {MLP}},
    {"encoder.layers.#.mlp.fc2.weight", BLOCK(fc2), DSVL_BIND_MATRIX, 2, {WIDTH, MLP}},
    {"encoder.layers.#.mlp.fc2.bias", BLOCK(fc2_bias), DSVL_BIND_VECTOR, 1, {WIDTH}},
};

/* Where each layout keeps the tower. */
#define ROWS(table) table, sizeof table / sizeof *table
static const struct {
    const dsvl_binding *stem;
    size_t stems;
    const dsvl_binding *block;
    size_t blocks;
    bool parted;
} layouts[DSVL_FILES_COUNT] = {
    [DSVL_FILES_ORIGINAL] = {ROWS(stem_table), ROWS(block_table), false},
    [DSVL_FILES_TRANSFORMERS] = {ROWS(stem_table_transformers), ROWS(block_table_transformers), true},
};

dsvl_vision *dsvl_vision_bind(dsvl_checkpoint *checkpoint, const dsvl_config *config, dsvl_error *err)
{
    const dsvl_vision_config *c = &config->vision;
    const int64_t sizes[SIZES] = {
        [ONE] = 1,
        [RGB] = 3,
        [PATCH] = c->patch_size,
        [TOKENS] = (int64_t)c->side * c->side,
        [WIDTH] = c->width,
        [QKV] = 3 * c->width,
        [MLP] = c->mlp,
    };
    dsvl_vision *v = dsvl_alloc_zero(1, sizeof *v);
    vision_block *blocks = dsvl_alloc_zero((size_t)c->layers, sizeof *blocks);
    if (!v || !blocks) {
        dsvl_fail_memory(err, (size_t)c->layers * sizeof *blocks);
        dsvl_dealloc(blocks);
        dsvl_dealloc(v);
        return NULL;
    }
    v->config = *c;
    v->blocks = blocks;
    v->parted = layouts[config->files].parted;
    const char *stem = dsvl_stems_of(config)->vision;
    int status = dsvl_checkpoint_bind(checkpoint, stem, layouts[config->files].stem,
                                      layouts[config->files].stems, 0, sizes, v, err);
    for (int i = 0; status == 0 && i < c->layers; i++) {
        status = dsvl_checkpoint_bind(checkpoint, stem, layouts[config->files].block,
                                      layouts[config->files].blocks, i, sizes, &blocks[i], err);
    }
    if (status || dsvl_checkpoint_surplus(checkpoint, stem, err)) {
        dsvl_vision_free(v);
        return NULL;
    }
    return v;
}

void dsvl_vision_free(dsvl_vision *vision)
{
    if (!vision) return;
    dsvl_dealloc(vision->blocks);
    dsvl_dealloc(vision);
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Floats of the two buffers that a token needs: h [width]; wide: patches, then q k v (and one of them apart
 * where they are three matrices), then the hidden layer. */
static int64_t wide_width(const dsvl_vision *v)
{
    const dsvl_vision_config *c = &v->config;
    return max64(max64((int64_t)(v->parted ? 4 : 3) * c->width, c->mlp),
                 (int64_t)3 * c->patch_size * c->patch_size);
}

int64_t dsvl_vision_scratch(const dsvl_vision *vision)
{
    const dsvl_vision_config *c = &vision->config;
    return (int64_t)sizeof(float) * c->side * c->side * (c->width + wide_width(vision));
}

/* h [rows, width] -> wide [rows, 3, width]: one product, or three whose results are put side by side. */
static int run_qkv(const dsvl_vision *v, const vision_block *b, kern_context *context, float *wide,
                   const float *h, int64_t rows)
{
    const int64_t width = v->config.width;
    if (!v->parted) return kern_linear(context, wide, h, &b->qkv, b->qkv_bias, rows);
    float *part = wide + rows * 3 * width; /* [rows, width] */
    for (int i = 0; i < 3; i++) {
        if (kern_linear(context, part, h, &b->part[i], b->part_bias[i], rows)) return -1;
        for (int64_t r = 0; r < rows; r++)
            memcpy(wide + (3 * r + i) * width, part + r * width, (size_t)width * sizeof *part);
    }
    return 0;
}

/* x [rows, width] += one block; h [rows, width] and wide [rows, wide_width] are scratch. */
static int run_block(const dsvl_vision *v, const vision_block *b, kern_context *context, float *x, float *h,
                     float *wide, int64_t n)
{
    const dsvl_vision_config *c = &v->config;
    const int64_t tokens = (int64_t)c->side * c->side, rows = n * tokens, width = c->width;
    const int64_t dim = width / c->heads;
    const float scale = (float)(1.0 / sqrt((double)dim));
    kern_layernorm(context, h, x, b->norm1_gain, b->norm1_bias, c->eps, rows, width);
    if (run_qkv(v, b, context, wide, h, rows)) return -1;
    if (kern_attention_full(context, h, wide, scale, n, tokens, c->heads, dim)) return -1;
    if (kern_linear(context, wide, h, &b->proj, b->proj_bias, rows)) return -1;
    kern_add(context, x, wide, rows * width);
    kern_layernorm(context, h, x, b->norm2_gain, b->norm2_bias, c->eps, rows, width);
    if (kern_linear(context, wide, h, &b->fc1, b->fc1_bias, rows)) return -1;
    (c->gelu_erf ? kern_gelu_erf : kern_gelu_tanh)(context, wide, rows * c->mlp);
    if (kern_linear(context, h, wide, &b->fc2, b->fc2_bias, rows)) return -1;
    kern_add(context, x, h, rows * width);
    return 0;
}

/* Patches of float pictures [n, size, size, 3] in 0 .. 1, as kern_patches lays them out. */
static void float_patches(const dsvl_vision_config *c, float *rows, const float *pictures, int n)
{
    const int64_t size = c->image_size, patch = c->patch_size;
    for (int64_t i = 0; i < n; i++, pictures += size * size * 3)
        for (int64_t token = 0; token < (int64_t)c->side * c->side; token++)
            for (int64_t k = 0; k < 3; k++)
                for (int64_t p = 0; p < patch * patch; p++) {
                    const int64_t y = token / c->side * patch + p / patch,
                                  x = token % c->side * patch + p % patch;
                    const float mean = (float)c->mean[k], std = (float)c->std[k];
                    *rows++ = (pictures[(y * size + x) * 3 + k] - mean) / std;
                }
}

/* Either of tiles and pictures. */
static int run(const dsvl_vision *vision, kern_context *context, const uint8_t *tiles, const float *pictures,
               int n, float *features, dsvl_error *err)
{
    const dsvl_vision_config *c = &vision->config;
    const int64_t tokens = (int64_t)c->side * c->side, rows = n * tokens, width = c->width;
    float mean[3], std[3];
    if (n < 1) return dsvl_fail(err, DSVL_E_INTERNAL, "vision tower: %d tiles", n);
    const size_t bytes = (size_t)dsvl_vision_scratch(vision) * (size_t)n;
    float *h = kern_context_scratch(context, bytes);
    if (!h) return dsvl_fail_memory(err, bytes);
    float *wide = h + rows * width;
    for (int i = 0; i < 3; i++) {
        mean[i] = (float)c->mean[i];
        std[i] = (float)c->std[i];
    }
    if (tiles)
        kern_patches(context, wide, tiles, mean, std, n, c->image_size, c->patch_size, c->side);
    else
        float_patches(c, wide, pictures, n);
    int status = kern_linear(context, features, wide, &vision->patch, vision->patch_bias, rows);
    for (int i = 0; i < n; i++)
        kern_add(context, features + i * tokens * width, vision->position, tokens * width);
    for (int i = 0; status == 0 && i < c->layers; i++) {
        status = run_block(vision, &vision->blocks[i], context, features, h, wide, n);
    }
    if (status) return dsvl_fail_memory(err, bytes);
    kern_layernorm(context, features, features, vision->norm_gain, vision->norm_bias, c->eps, rows, width);
    return 0;
}

int dsvl_vision_run(const dsvl_vision *vision, kern_context *context, const uint8_t *tiles, int n,
                    float *features, dsvl_error *err)
{
    return run(vision, context, tiles, NULL, n, features, err);
}

int dsvl_vision_run_float(const dsvl_vision *vision, kern_context *context, const float *pictures, int n,
                          float *features, dsvl_error *err)
{
    return run(vision, context, NULL, pictures, n, features, err);
}
