/* SPDX-License-Identifier: Apache-2.0 */
/* The high-resolution tower of DeepSeek-VL 7B. Mirrors ImageEncoderViT of the published sam.py, and
 * transformers' SamVisionEncoder with DeepseekVLSamVisionNeck and DeepseekVLSamVisionProj.
 *
 *   x = patches . W_patch + b + position                       [side*side, width], one picture at a time
 *   layers times:
 *     h = norm1(x); in windows of window*window tokens, but for the global blocks: zeros fill the last ones,
 *         and take part as keys
 *     x += attention(h . W_qkv + b, relative positions) . W_proj + b
 *     x += gelu(norm2(x) . W_lin1 + b) . W_lin2 + b
 *   branch(x) = conv(conv(resize(norm(conv3x3(norm(conv1x1(x)))))))  resize: to (4*out_side)^2, bilinear
 *   result = branch(x) + alpha * branch_hd(x behind the first global block)     [out_side*out_side, down[1]]
 *
 * Both branches have necks of their own and the strided convolutions in common. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/model.h"
#include "lib/stems.h"

typedef struct sam_block {
    const float *norm1_gain, *norm1_bias, *norm2_gain, *norm2_bias; /* [width] */
    const float *rel_h, *rel_w;                                     /* [2*span-1, width/heads] */
    kern_weight qkv, proj;                                          /* [3*width, width], [width, width] */
    kern_weight lin1, lin2;                                         /* [mlp, width], [width, mlp] */
    const float *qkv_bias, *proj_bias, *lin1_bias, *lin2_bias;
} sam_block;

typedef struct sam_neck {
    kern_weight conv1, conv2;                                       /* [neck, width], [neck, neck*3*3] */
    const float *norm1_gain, *norm1_bias, *norm2_gain, *norm2_bias; /* [neck] */
} sam_neck;

struct dsvl_sam {
    dsvl_sam_config config;
    kern_weight patch;       /* [width, 3*patch*patch] */
    const float *patch_bias; /* [width] */
    const float *position;   /* [side*side, width] */
    sam_neck neck, neck_hd;
    kern_weight down[2]; /* [down[0], neck*3*3], [down[1], down[0]*3*3] */
    const float *alpha;  /* [1] */
    sam_block *blocks;   /* [layers], owned */
};

enum { ONE, RGB, THREE, PATCH, SIDE, WIDTH, QKV, MLP, HEAD, SPAN, NECK, DOWN0, DOWN1, SIZES };

#define SAM(field) offsetof(dsvl_sam, field)
#define BLOCK(field) offsetof(sam_block, field)
#define MATRIX DSVL_BIND_MATRIX
#define PLAIN DSVL_BIND_PLAIN
#define VECTOR DSVL_BIND_VECTOR

/* What stands in both layouts by other names: the row's field and shape, and its name in each. */
#define STEM_ROWS(encoder, patch_name, neck_name, n1, l1, n2, l2, hd, proj1, proj2, alpha_name)              \
    {encoder patch_name ".weight", SAM(patch), PLAIN, 4, {WIDTH, RGB, PATCH, PATCH}},                        \
        {encoder patch_name ".bias", SAM(patch_bias), VECTOR, 1, {WIDTH}},                                   \
        {encoder "pos_embed", SAM(position), VECTOR, 4, {ONE, SIDE, SIDE, WIDTH}},                           \
        {neck_name n1 ".weight", SAM(neck.conv1), MATRIX, 4, {NECK, WIDTH, ONE, ONE}},                       \
        {neck_name l1 ".weight", SAM(neck.norm1_gain), VECTOR, 1, {NECK}},                                   \
        {neck_name l1 ".bias", SAM(neck.norm1_bias), VECTOR, 1, {NECK}},                                     \
        {neck_name n2 ".weight", SAM(neck.conv2), MATRIX, 4, {NECK, NECK, THREE, THREE}},                    \
        {neck_name l2 ".weight", SAM(neck.norm2_gain), VECTOR, 1, {NECK}},                                   \
        {neck_name l2 ".bias", SAM(neck.norm2_bias), VECTOR, 1, {NECK}},                                     \
        {hd n1 ".weight", SAM(neck_hd.conv1), MATRIX, 4, {NECK, WIDTH, ONE, ONE}},                           \
        {hd l1 ".weight", SAM(neck_hd.norm1_gain), VECTOR, 1, {NECK}},                                       \
        {hd l1 ".bias", SAM(neck_hd.norm1_bias), VECTOR, 1, {NECK}},                                         \
        {hd n2 ".weight", SAM(neck_hd.conv2), MATRIX, 4, {NECK, NECK, THREE, THREE}},                        \
        {hd l2 ".weight", SAM(neck_hd.norm2_gain), VECTOR, 1, {NECK}},                                       \
        {hd l2 ".bias", SAM(neck_hd.norm2_bias), VECTOR, 1, {NECK}},                                         \
        {proj1 ".weight", SAM(down[0]), MATRIX, 4, {DOWN0, NECK, THREE, THREE}},                             \
        {proj2 ".weight", SAM(down[1]), MATRIX, 4, {DOWN1, DOWN0, THREE, THREE}},                            \
    {                                                                                                        \
        alpha_name, SAM(alpha), VECTOR, 1,                                                                   \
        {                                                                                                    \
            ONE                                                                                              \
        }                                                                                                    \
    }
#define BLOCK_ROWS(layer, norm)                                                                              \
    {layer norm "1.weight", BLOCK(norm1_gain), VECTOR, 1, {WIDTH}},                                          \
        {layer norm "1.bias", BLOCK(norm1_bias), VECTOR, 1, {WIDTH}},                                        \
        {layer "attn.rel_pos_h", BLOCK(rel_h), VECTOR, 2, {SPAN, HEAD}},                                     \
        {layer "attn.rel_pos_w", BLOCK(rel_w), VECTOR, 2, {SPAN, HEAD}},                                     \
        {layer "attn.qkv.weight", BLOCK(qkv), MATRIX, 2, {QKV, WIDTH}},                                      \
        {layer "attn.qkv.bias", BLOCK(qkv_bias), VECTOR, 1, {QKV}},                                          \
        {layer "attn.proj.weight", BLOCK(proj), MATRIX, 2, {WIDTH, WIDTH}},                                  \
        {layer "attn.proj.bias", BLOCK(proj_bias), VECTOR, 1, {WIDTH}},                                      \
        {layer norm "2.weight", BLOCK(norm2_gain), VECTOR, 1, {WIDTH}},                                      \
        {layer norm "2.bias", BLOCK(norm2_bias), VECTOR, 1, {WIDTH}},                                        \
        {layer "mlp.lin1.weight", BLOCK(lin1), MATRIX, 2, {MLP, WIDTH}},                                     \
        {layer "mlp.lin1.bias", BLOCK(lin1_bias), VECTOR, 1, {MLP}},                                         \
        {layer "mlp.lin2.weight", BLOCK(lin2), MATRIX, 2, {WIDTH, MLP}},                                     \
    {                                                                                                        \
        layer "mlp.lin2.bias", BLOCK(lin2_bias), VECTOR, 1,                                                  \
        {                                                                                                    \
            WIDTH                                                                                            \
        }                                                                                                    \
    }

enum { STEM_COUNT = 18, BLOCK_COUNT = 14 };
#define HIGH "vision_model.vision_tower_high.vision_tower."
#define ENCODER "model.high_res_vision_model.vision_encoder."
static const dsvl_binding stem_tables[DSVL_FILES_COUNT][STEM_COUNT] = {
    [DSVL_FILES_ORIGINAL] = {STEM_ROWS(HIGH, "patch_embed.proj", HIGH "neck.", "0", "1", "2", "3",
                                       HIGH "neck_hd.", HIGH "downsamples.0", HIGH "downsamples.1",
                                       HIGH "hd_alpha_downsamples")},
    [DSVL_FILES_TRANSFORMERS] = {STEM_ROWS(
        ENCODER, "patch_embed.projection", ENCODER "neck.", "conv1", "layer_norm1", "conv2", "layer_norm2",
        "model.high_res_vision_neck.", "model.high_res_vision_proj.conv1", "model.high_res_vision_proj.conv2",
        "model.high_res_vision_alpha")},
};
static const dsvl_binding block_tables[DSVL_FILES_COUNT][BLOCK_COUNT] = {
    [DSVL_FILES_ORIGINAL] = {BLOCK_ROWS(HIGH "blocks.#.", "norm")},
    [DSVL_FILES_TRANSFORMERS] = {BLOCK_ROWS(ENCODER "layers.#.", "layer_norm")},
};

/* Tokens a side within which a block attends. */
static int span_of(const dsvl_sam_config *c, int block)
{
    return c->global_block[block] ? c->side : c->window;
}

dsvl_sam *dsvl_sam_bind(dsvl_checkpoint *checkpoint, const dsvl_config *config, dsvl_error *err)
{
    const dsvl_sam_config *c = &config->sam;
    int64_t sizes[SIZES] = {
        [ONE] = 1,
        [RGB] = 3,
        [THREE] = 3,
        [PATCH] = c->patch_size,
        [SIDE] = c->side,
        [WIDTH] = c->width,
        [QKV] = 3 * c->width,
        [MLP] = c->mlp,
        [HEAD] = c->width / c->heads,
        [NECK] = c->neck,
        [DOWN0] = c->down[0],
        [DOWN1] = c->down[1],
    };
    dsvl_sam *s = dsvl_alloc_zero(1, sizeof *s);
    sam_block *blocks = dsvl_alloc_zero((size_t)c->layers, sizeof *blocks);
    if (!s || !blocks) {
        dsvl_fail_memory(err, (size_t)c->layers * sizeof *blocks);
        dsvl_dealloc(blocks);
        dsvl_dealloc(s);
        return NULL;
    }
    s->config = *c;
    s->blocks = blocks;
    int status =
        dsvl_checkpoint_bind(checkpoint, "", stem_tables[config->files], STEM_COUNT, 0, sizes, s, err);
    for (int i = 0; status == 0 && i < c->layers; i++) {
        sizes[SPAN] = 2 * span_of(c, i) - 1;
        status = dsvl_checkpoint_bind(checkpoint, "", block_tables[config->files], BLOCK_COUNT, i, sizes,
                                      &blocks[i], err);
    }
    if (status == 0) return s;
    dsvl_sam_free(s);
    return NULL;
}

void dsvl_sam_free(dsvl_sam *sam)
{
    if (!sam) return;
    dsvl_dealloc(sam->blocks);
    dsvl_dealloc(sam);
}

/* ---- room -------------------------------------------------------------------------------------------- */

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Windows a side, the last one filled up. */
static int64_t windows(const dsvl_sam_config *c)
{
    return (c->side + c->window - 1) / c->window;
}

/* The buffers of a picture, in floats. x and first: the stream, and what it was behind the first global
 * block. h: a stream in windows. wide: what a layer or a convolution's patches take. */
typedef struct room {
    int64_t x, h, wide;
} room;

static room room_of(const dsvl_sam_config *c)
{
    const int64_t tokens = (int64_t)c->side * c->side, filled = windows(c) * c->window,
                  most = max64(tokens, filled * filled), grid = 16 * (int64_t)c->out_side * c->out_side;
    room r = {.x = tokens * c->width};
    r.h = max64(max64(most * c->width, grid * c->neck), grid / 4 * c->down[0]);
    r.wide = max64(most * 3 * c->width, tokens * max64(c->mlp, 3 * (int64_t)c->patch_size * c->patch_size));
    r.h = max64(max64(r.h, tokens * c->neck), grid / 16 * c->down[1]);
    r.wide = max64(r.wide, tokens * 9 * c->neck);
    r.wide = max64(r.wide, max64(grid / 4 * 9 * c->neck, grid / 16 * 9 * c->down[0]));
    return r;
}

int64_t dsvl_sam_scratch(const dsvl_sam *sam)
{
    const room r = room_of(&sam->config);
    return (int64_t)sizeof(float) * (2 * r.x + 2 * r.h + r.wide);
}

/* ---- blocks ------------------------------------------------------------------------------------------ */

/* x [side, side, width] into windows [n, n, window, window, width], zeros beyond the edge; or back, added.
 * Mirrors window_partition and window_unpartition. */
static void cut_windows(const dsvl_sam_config *c, float *to, const float *x)
{
    const int64_t n = windows(c), w = c->window, width = c->width;
    for (int64_t at = 0; at < n * n * w * w; at++, to += width) {
        const int64_t y = at / (n * w * w) * w + at / w % w, x0 = at / (w * w) % n * w + at % w;
        if (y < c->side && x0 < c->side)
            memcpy(to, x + (y * c->side + x0) * width, (size_t)width * sizeof *to);
        else
            memset(to, 0, (size_t)width * sizeof *to);
    }
}

static void join_windows(const dsvl_sam_config *c, float *x, const float *from)
{
    const int64_t n = windows(c), w = c->window, width = c->width;
    for (int64_t at = 0; at < n * n * w * w; at++, from += width) {
        const int64_t y = at / (n * w * w) * w + at / w % w, x0 = at / (w * w) % n * w + at % w;
        if (y < c->side && x0 < c->side)
            memcpy(x + (y * c->side + x0) * width, from, (size_t)width * sizeof *x);
    }
}

/* x [side*side, width] += one block; h, g and wide are scratch. */
static int run_block(const dsvl_sam *s, int block, kern_context *context, float *x, float *h, float *g,
                     float *wide)
{
    const dsvl_sam_config *c = &s->config;
    const sam_block *b = &s->blocks[block];
    const bool global = c->global_block[block];
    const int64_t tokens = (int64_t)c->side * c->side, width = c->width, dim = width / c->heads;
    const int64_t span = span_of(c, block), batch = global ? 1 : windows(c) * windows(c);
    const int64_t rows = batch * span * span;
    const float scale = (float)(1.0 / sqrt((double)dim));
    kern_layernorm(context, g, x, b->norm1_gain, b->norm1_bias, c->eps, tokens, width);
    if (!global) cut_windows(c, h, g);
    if (kern_linear(context, wide, global ? g : h, &b->qkv, b->qkv_bias, rows) ||
        kern_attention_rel(context, h, wide, b->rel_h, b->rel_w, scale, batch, span, c->heads, dim) ||
        kern_linear(context, wide, h, &b->proj, b->proj_bias, rows)) {
        return -1;
    }
    if (!global) join_windows(c, h, wide);
    kern_add(context, x, global ? wide : h, tokens * width);
    kern_layernorm(context, h, x, b->norm2_gain, b->norm2_bias, c->eps, tokens, width);
    if (kern_linear(context, wide, h, &b->lin1, b->lin1_bias, tokens)) return -1;
    kern_gelu_erf(context, wide, tokens * c->mlp);
    if (kern_linear(context, h, wide, &b->lin2, b->lin2_bias, tokens)) return -1;
    kern_add(context, x, h, tokens * width);
    return 0;
}

/* ---- convolutions ------------------------------------------------------------------------------------ */

/* A 3x3 convolution with one pixel of zeros around: x [side, side, channels] -> y [out, out, w->rows], out =
 * side by stride. The patches [out*out, channels*3*3], in the weight's order, go through `patches`. */
static int conv3(kern_context *context, float *y, const float *x, const kern_weight *w, int64_t side,
                 int64_t channels, int64_t stride, float *patches)
{
    const int64_t out = (side + stride - 1) / stride;
    for (int64_t at = 0; at < out * out; at++) {
        float *row = patches + at * channels * 9;
        for (int64_t k = 0; k < 9; k++) {
            const int64_t v = at / out * stride + k / 3 - 1, u = at % out * stride + k % 3 - 1;
            const bool inside = v >= 0 && v < side && u >= 0 && u < side;
            const float *from = x + (v * side + u) * channels;
            for (int64_t c = 0; c < channels; c++) row[c * 9 + k] = inside ? from[c] : 0;
        }
    }
    return kern_linear(context, y, patches, w, NULL, out * out);
}

/* Where output pixel i of `out` falls among `side` pixels: between low and low+1 (or the last), at `share` of
 * the way. F.interpolate(mode="bilinear", align_corners=False), in f32. */
typedef struct place {
    int64_t low, high;
    float share;
} place;

static place place_of(int64_t i, int64_t side, int64_t out)
{
    float at = (float)side / (float)out * ((float)i + 0.5f) - 0.5f;
    if (at < 0) at = 0;
    place p = {.low = (int64_t)at};
    if (p.low > side - 1) p.low = side - 1;
    p.high = p.low + (p.low < side - 1);
    p.share = at - (float)p.low;
    return p;
}

/* x [side, side, channels] -> y [out, out, channels] */
static void resize(float *y, const float *x, int64_t side, int64_t out, int64_t channels)
{
    for (int64_t at = 0; at < out * out; at++, y += channels) {
        const place v = place_of(at / out, side, out), u = place_of(at % out, side, out);
        const float *a = x + (v.low * side + u.low) * channels, *b = x + (v.low * side + u.high) * channels,
                    *c = x + (v.high * side + u.low) * channels, *d = x + (v.high * side + u.high) * channels;
        for (int64_t k = 0; k < channels; k++)
            y[k] = (1 - v.share) * ((1 - u.share) * a[k] + u.share * b[k]) +
                   v.share * ((1 - u.share) * c[k] + u.share * d[k]);
    }
}

/* x [side*side, width] -> out [out_side*out_side, down[1]]; h, g and wide are scratch. */
static int run_branch(const dsvl_sam *s, const sam_neck *n, kern_context *context, float *out, const float *x,
                      float *h, float *g, float *wide)
{
    const dsvl_sam_config *c = &s->config;
    const int64_t side = c->side, tokens = side * side, large = 4 * (int64_t)c->out_side;
    if (kern_linear(context, h, x, &n->conv1, NULL, tokens)) return -1;
    kern_layernorm(context, h, h, n->norm1_gain, n->norm1_bias, 1e-6f, tokens, c->neck);
    if (conv3(context, g, h, &n->conv2, side, c->neck, 1, wide)) return -1;
    kern_layernorm(context, g, g, n->norm2_gain, n->norm2_bias, 1e-6f, tokens, c->neck);
    resize(h, g, side, large, c->neck);
    if (conv3(context, g, h, &s->down[0], large, c->neck, 2, wide)) return -1;
    return conv3(context, out, g, &s->down[1], large / 2, c->down[0], 2, wide);
}

/* ---- one picture ------------------------------------------------------------------------------------- */

static int run_picture(const dsvl_sam *s, kern_context *context, const uint8_t *pixels, float *scratch,
                       float *out)
{
    const dsvl_sam_config *c = &s->config;
    const room r = room_of(c);
    const int64_t tokens = (int64_t)c->side * c->side,
                  result = (int64_t)c->out_side * c->out_side * c->down[1];
    float *x = scratch, *first = x + r.x, *h = first + r.x, *g = h + r.h, *wide = g + r.h;
    float mean[3], std[3];
    for (int i = 0; i < 3; i++) {
        mean[i] = (float)c->mean[i];
        std[i] = (float)c->std[i];
    }
    kern_patches(context, wide, pixels, mean, std, 1, c->image_size, c->patch_size, c->side);
    if (kern_linear(context, x, wide, &s->patch, s->patch_bias, tokens)) return -1;
    kern_add(context, x, s->position, tokens * c->width);
    for (int i = 0; i < c->layers; i++) {
        if (run_block(s, i, context, x, h, g, wide)) return -1;
        if (i == c->first_global) memcpy(first, x, (size_t)(tokens * c->width) * sizeof *x);
    }
    if (run_branch(s, &s->neck, context, out, x, h, g, wide)) return -1;
    /* x has done its work: its place takes the high-resolution branch. */
    float *branch = result <= r.x ? x : h;
    if (run_branch(s, &s->neck_hd, context, branch, first, h, g, wide)) return -1;
    kern_axpy(context, out, s->alpha[0], branch, result);
    return 0;
}

int dsvl_sam_run(const dsvl_sam *sam, kern_context *context, const uint8_t *tiles, int n, float *features,
                 dsvl_error *err)
{
    const dsvl_sam_config *c = &sam->config;
    const int64_t pixels = (int64_t)c->image_size * c->image_size * 3,
                  result = (int64_t)c->out_side * c->out_side * c->down[1];
    const size_t bytes = (size_t)dsvl_sam_scratch(sam);
    float *scratch = kern_context_scratch(context, bytes);
    if (!scratch) return dsvl_fail_memory(err, bytes);
    for (int i = 0; i < n; i++) {
        if (run_picture(sam, context, tiles + i * pixels, scratch, features + i * result))
            return dsvl_fail_memory(err, bytes);
    }
    return 0;
}
