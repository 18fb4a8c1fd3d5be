/* SPDX-License-Identifier: Apache-2.0 */
/* The vision towers of a model as one: what stands between pixels and projector.
 *
 * A hybrid's low-resolution tower takes a smaller picture. In transformers' layout the processor makes it, of
 * bytes: it comes behind the larger one. In the original the tower makes it (HybridVisionTower.resize):
 * torchvision's Resize with antialias on the picture in 0 .. 1, bilinear, in floats. The published code runs
 * that in bfloat16; here it is f32, like everything. */
#include <math.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/model.h"

/* ---- a smaller picture ------------------------------------------------------------------------------- */

/* The pixels that one output pixel is made of: weights of `count` from `first` on. Mirrors
 * upsample_bilinear2d_aa of ATen, in f32. */
typedef struct shrink_tap {
    int64_t first, count;
    float *weight;
} shrink_tap;

static int64_t taps_width(int64_t side, int64_t out)
{
    return 2 * (side + out - 1) / out + 3;
}

static void make_tap(shrink_tap *tap, int64_t i, int64_t side, int64_t out)
{
    const float scale = (float)side / (float)out, support = scale > 1 ? scale : 1;
    const float center = scale * ((float)i + 0.5f), inverse = scale > 1 ? 1 / scale : 1;
    float total = 0;
    tap->first = (int64_t)(center - support + 0.5f);
    if (tap->first < 0) tap->first = 0;
    int64_t last = (int64_t)(center + support + 0.5f);
    if (last > side) last = side;
    tap->count = last - tap->first;
    for (int64_t j = 0; j < tap->count; j++) {
        const float far = fabsf(((float)(j + tap->first) - center + 0.5f) * inverse);
        tap->weight[j] = far < 1 ? 1 - far : 0;
        total += tap->weight[j];
    }
    for (int64_t j = 0; total != 0 && j < tap->count; j++) tap->weight[j] /= total;
}

/* pixels [side, side, 3] u8 -> picture [out, out, 3] in 0 .. 1. The pass over columns comes first. */
static int shrink(float *picture, const uint8_t *pixels, int64_t side, int64_t out, dsvl_error *err)
{
    const int64_t width = taps_width(side, out);
    int status = -1;
    shrink_tap *taps = dsvl_alloc((size_t)out, sizeof *taps);
    float *weights = dsvl_alloc((size_t)(out * width), sizeof *weights);
    float *narrow = dsvl_alloc((size_t)(side * out * 3), sizeof *narrow); /* [side, out, 3] */
    if (!taps || !weights || !narrow) {
        dsvl_fail_memory(err, (size_t)(side * out * 3) * sizeof *narrow);
        goto out;
    }
    for (int64_t i = 0; i < out; i++) {
        taps[i].weight = weights + i * width;
        make_tap(&taps[i], i, side, out);
    }
    for (int64_t y = 0; y < side; y++)
        for (int64_t i = 0; i < out * 3; i++) {
            const shrink_tap *t = &taps[i / 3];
            const uint8_t *from = pixels + (y * side + t->first) * 3 + i % 3;
            float sum = 0;
            for (int64_t j = 0; j < t->count; j++) sum += (float)from[3 * j] / 255.0f * t->weight[j];
            narrow[y * out * 3 + i] = sum;
        }
    for (int64_t y = 0; y < out; y++)
        for (int64_t i = 0; i < out * 3; i++) {
            const float *from = narrow + taps[y].first * out * 3 + i;
            float sum = 0;
            for (int64_t j = 0; j < taps[y].count; j++) sum += from[j * out * 3] * taps[y].weight[j];
            picture[y * out * 3 + i] = sum;
        }
    status = 0;
out:
    dsvl_dealloc(taps);
    dsvl_dealloc(weights);
    dsvl_dealloc(narrow);
    return status;
}

/* ---- both towers ------------------------------------------------------------------------------------- */

static int64_t low_floats(const dsvl_model *m)
{
    return (int64_t)m->config.vision.side * m->config.vision.side * m->config.vision.width;
}

int64_t dsvl_towers_floats(const dsvl_model *m)
{
    const dsvl_sam_config *s = &m->config.sam;
    return low_floats(m) + (m->sam ? (int64_t)s->out_side * s->out_side * s->down[1] : 0);
}

int64_t dsvl_towers_scratch(const dsvl_model *m)
{
    const int64_t low = dsvl_vision_scratch(m->vision);
    if (!m->sam) return low;
    const int64_t side = m->config.vision.image_size, high = dsvl_sam_scratch(m->sam);
    return (low > high ? low : high) + side * side * 3 * (int64_t)sizeof(float);
}

/* The low-resolution pictures of n tiles through their tower, one at a time. */
static int run_low(const dsvl_model *m, kern_context *context, const uint8_t *tiles, int n, float *features,
                   dsvl_error *err)
{
    const int64_t side = m->config.vision.image_size, high = m->config.sam.image_size;
    const size_t bytes = dsvl_model_tile_bytes(m);
    const bool given = m->processor.low_size > 0;
    float *picture = given ? NULL : dsvl_alloc((size_t)(side * side * 3), sizeof *picture);
    if (!given && !picture) return dsvl_fail_memory(err, (size_t)(side * side * 3) * sizeof *picture);
    int status = 0;
    for (int i = 0; i < n && !status; i++) {
        const uint8_t *tile = tiles + (size_t)i * bytes;
        float *to = features + i * low_floats(m);
        if (given) {
            status = dsvl_vision_run(m->vision, context, tile + high * high * 3, 1, to, err);
        } else {
            status = shrink(picture, tile, high, side, err);
            if (!status) status = dsvl_vision_run_float(m->vision, context, picture, 1, to, err);
        }
    }
    dsvl_dealloc(picture);
    return status;
}

int dsvl_towers_run(const dsvl_model *m, kern_context *context, const uint8_t *tiles, int n, float *features,
                    dsvl_error *err)
{
    if (!m->sam) return dsvl_vision_run(m->vision, context, tiles, n, features, err);
    const size_t bytes = dsvl_model_tile_bytes(m);
    const int64_t floats = dsvl_towers_floats(m) - low_floats(m);
    if (run_low(m, context, tiles, n, features, err)) return -1;
    for (int i = 0; i < n; i++) {
        if (dsvl_sam_run(m->sam, context, tiles + (size_t)i * bytes, 1,
                         features + n * low_floats(m) + i * floats, err))
            return -1;
    }
    return 0;
}
