/* SPDX-License-Identifier: Apache-2.0 */
/* DeepSeek-VL's processor: preprocessor_config.json says what becomes of a picture, processor_config.json
 * what stands in the text for it.
 *
 * Mirrors VLMImageProcessor.__init__ and VLChatProcessor.__init__ (image_processing_vlm.py,
 * processing_vlm.py), and transformers' DeepseekVLImageProcessor, DeepseekVLHybridImageProcessor and
 * DeepseekVLProcessor: a key that is absent takes their default. */
#include <string.h>

#include "lib/config_internal.h"

#define PROCESSOR(field) offsetof(dsvl_processor_config, field)
static const conf_setting common_settings[] = {
    {"min_size", CONF_WHOLE, PROCESSOR(min_size), 1, 8192, 14, CONF_REFUSED},
    {"do_normalize", CONF_FLAG, PROCESSOR(normalize), 0, 1, 1, CONF_REFUSED},
};
static const conf_setting original_settings[] = {
    {"image_size", CONF_WHOLE, PROCESSOR(tile_size), 1, 8192, CONF_REQUIRED, CONF_REFUSED},
};
static const conf_setting chat_settings[] = {
    {"num_image_tokens", CONF_WHOLE, PROCESSOR(tokens), 1, 1 << 20, 576, CONF_REFUSED},
};
static const double clip_mean[3] = {0.48145466, 0.4578275, 0.40821073},
                    clip_std[3] = {0.26862954, 0.26130258, 0.27577711};

/* Mean and deviation; absent or null: CLIP's. The colour of the padding is the mean that is written there;
 * null: grey. */
static int read_norm(const json_t *image, const char *mean_key, const char *std_key, double mean[3],
                     double std[3], int color[3], bool null_is_gray, const conf_place *p)
{
    const json_t *m = json_object_get(image, mean_key), *s = json_object_get(image, std_key);
    const bool mean_given = m && !json_is_null(m), std_given = s && !json_is_null(s);
    memcpy(mean, clip_mean, sizeof clip_mean);
    memcpy(std, clip_std, sizeof clip_std);
    if ((mean_given && conf_read_triple(image, mean_key, 0, 1, 0, mean, p)) ||
        (std_given && conf_read_triple(image, std_key, 1e-6, 1e6, 0, std, p))) {
        return -1;
    }
    const bool gray = !mean_given && (null_is_gray || json_is_null(m));
    for (int i = 0; color && i < 3; i++) color[i] = gray ? 127 : (int)(mean[i] * 255);
    return 0;
}

/* {"height": S, "width": S}, or S. */
static int read_size(const json_t *image, const char *key, int absent, int *size, const conf_place *p)
{
    const json_t *value = json_object_get(image, key);
    const json_t *height = json_is_object(value) ? json_object_get(value, "height") : value;
    const json_t *width = json_is_object(value) ? json_object_get(value, "width") : value;
    *size = absent;
    if (!value || json_is_null(value)) return 0;
    const json_int_t side = json_integer_value(height);
    if (!json_is_integer(height) || !json_is_integer(width) || json_integer_value(width) != side ||
        side < 1 || side > 8192) {
        return conf_wrong(p, key, value, "a square of 1 to 8192 pixels: {\"height\": S, \"width\": S}");
    }
    *size = (int)side;
    return 0;
}

static int read_filter(const json_t *image, const char *key, int *filter, const conf_place *p)
{
    const json_t *value = json_object_get(image, key);
    *filter = DSVL_PILLOW_BICUBIC;
    if (!value) return 0;
    const json_int_t number = json_integer_value(value);
    if (number != DSVL_PILLOW_BILINEAR && number != DSVL_PILLOW_BICUBIC)
        return conf_wrong(p, key, value, "2 (bilinear) or 3 (bicubic)");
    *filter = (int)number;
    return 0;
}

/* What no released file turns off. */
static int check_steps(const json_t *image, const conf_place *p)
{
    static const char *const steps[] = {"do_resize", "do_rescale", "do_pad"};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const json_t *value = json_object_get(image, steps[i]);
        if (value && !json_is_null(value) && !json_is_true(value))
            return conf_wrong(p, steps[i], value, "true");
    }
    const json_t *factor = json_object_get(image, "rescale_factor");
    if (factor && fabs(json_number_value(factor) * 255 - 1) > 1e-6)
        return conf_wrong(p, "rescale_factor", factor, "1/255");
    return 0;
}

static int read_original(dsvl_processor_config *c, const json_t *image, const conf_place *p)
{
    c->filter = DSVL_PILLOW_BICUBIC;
    return CONF_READ(image, original_settings, c, p) ||
                   read_norm(image, "image_mean", "image_std", c->mean, c->std, c->pad_color, false, p)
               ? -1
               : 0;
}

static int read_transformers(dsvl_processor_config *c, const json_t *image, const conf_place *p)
{
    c->by_ratio = true;
    return read_size(image, "size", 384, &c->tile_size, p) || read_filter(image, "resample", &c->filter, p) ||
                   read_norm(image, "image_mean", "image_std", c->mean, c->std, c->pad_color, true, p)
               ? -1
               : 0;
}

/* Both squares are padded with the colour of the smaller one's mean: preprocess() hands background_color to
 * either. */
static int read_hybrid(dsvl_processor_config *c, const json_t *image, const conf_place *p)
{
    c->by_ratio = true;
    return read_size(image, "size", 384, &c->low_size, p) ||
                   read_size(image, "high_res_size", 1024, &c->tile_size, p) ||
                   read_filter(image, "resample", &c->low_filter, p) ||
                   read_filter(image, "high_res_resample", &c->filter, p) ||
                   read_norm(image, "image_mean", "image_std", c->low_mean, c->low_std, c->pad_color, true,
                             p) ||
                   read_norm(image, "high_res_image_mean", "high_res_image_std", c->mean, c->std, NULL, true,
                             p)
               ? -1
               : 0;
}

/* By image_processor_type. The Fast classes read the same keys; their pixels, resampled by torch, are not
 * followed. */
static const char *const types[] = {"VLMImageProcessor",
                                    "DeepseekVLImageProcessor",
                                    "DeepseekVLImageProcessorFast",
                                    "DeepseekVLImageProcessorPil",
                                    "DeepseekVLHybridImageProcessor",
                                    "DeepseekVLHybridImageProcessorFast",
                                    "DeepseekVLHybridImageProcessorPil",
                                    NULL};
static int (*const readers[])(dsvl_processor_config *, const json_t *, const conf_place *) = {
    read_original, read_transformers, read_transformers, read_transformers,
    read_hybrid,   read_hybrid,       read_hybrid};

int conf_parse_processor_vl(dsvl_processor_config *c, const json_t *image, const conf_place *p,
                            const json_t *chat, const conf_place *chat_at)
{
    int type;
    c->square = true;
    if (conf_read_choice(image, "image_processor_type", types, NULL, &type, p) ||
        CONF_READ(image, common_settings, c, p) || check_steps(image, p) || readers[type](c, image, p) ||
        CONF_READ(chat, chat_settings, c, chat_at) ||
        conf_read_text(chat, json_object_get(chat, "image_tag") ? "image_tag" : "image_token",
                       "<image_placeholder>", c->image_token, sizeof c->image_token, chat_at) ||
        conf_read_text(chat, "sft_format", "deepseek", c->sft_format, sizeof c->sft_format, chat_at)) {
        return -1;
    }
    if (c->min_size > c->tile_size)
        return conf_wrong(p, "min_size", json_object_get(image, "min_size"),
                          "at most the size of the square");
    c->candidates = 1;
    c->candidate[0][0] = c->candidate[0][1] = c->tile_size;
    c->patch_size = c->downsample_ratio = 1;
    return 0;
}
