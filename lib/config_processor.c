/* SPDX-License-Identifier: Apache-2.0 */
/* processor_config.json as checked numbers.
 *
 * Mirrors DeepseekVLV2Processor.__init__ of the published code: a key that is absent takes its default. */
#include <stdio.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/config_internal.h"
#include "lib/folder.h"

/* Read [[w, h], ...] into list; 0 or -1. */
int conf_read_candidates(const json_t *root, int (*list)[2], int *count, const conf_place *p)
{
    const json_t *value = json_object_get(root, "candidate_resolutions");
    size_t n = json_array_size(value);
    if (n < 1 || n > DSVL_MAX_CANDIDATES) {
        return dsvl_fail(p->err, DSVL_E_MODEL, "%s: candidate_resolutions is not a list of 1 to %d sizes",
                         p->where, DSVL_MAX_CANDIDATES);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *size = json_array_get(value, i);
        for (size_t k = 0; k < 2; k++) {
            json_int_t side = json_integer_value(json_array_get(size, k));
            if (json_array_size(size) != 2 || side < 1 || side > 65536) {
                return conf_wrong(p, "candidate_resolutions", size,
                                  "a list of [width, height] from 1 to 65536");
            }
            list[i][k] = (int)side;
        }
    }
    *count = (int)n;
    return 0;
}

int conf_read_triple(const json_t *root, const char *key, double low, double high, double absent,
                     double out[3], const conf_place *p)
{
    const json_t *value = json_object_get(root, key);
    for (size_t i = 0; i < 3; i++) {
        const json_t *item = json_array_get(value, i);
        out[i] = value ? json_number_value(item) : absent;
        if (value &&
            (json_array_size(value) != 3 || !json_is_number(item) || !(out[i] >= low && out[i] <= high))) {
            char wanted[80];
            snprintf(wanted, sizeof wanted, "three numbers from %g to %g", low, high);
            return conf_wrong(p, key, value, wanted);
        }
    }
    return 0;
}

int conf_read_text(const json_t *root, const char *key, const char *absent, char *out, size_t capacity,
                   const conf_place *p)
{
    const json_t *value = json_object_get(root, key);
    const char *text = value ? json_string_value(value) : absent;
    if (!text || strlen(text) >= capacity) return conf_wrong(p, key, value, "a short string");
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

#define PROCESSOR(field) offsetof(dsvl_processor_config, field)
static const conf_setting processor_settings[] = {
    {"patch_size", CONF_WHOLE, PROCESSOR(patch_size), 1, 1024, CONF_REQUIRED, CONF_REFUSED},
    {"downsample_ratio", CONF_WHOLE, PROCESSOR(downsample_ratio), 1, 16, CONF_REQUIRED, CONF_REFUSED},
    {"normalize", CONF_FLAG, PROCESSOR(normalize), 0, 1, 1, CONF_REFUSED},
};

static int parse_processor(dsvl_processor_config *c, const json_t *root, const conf_place *p)
{
    if (CONF_READ(root, processor_settings, c, p) ||
        conf_read_candidates(root, c->candidate, &c->candidates, p) ||
        conf_read_triple(root, "image_mean", 0, 1, 0.5, c->mean, p) ||
        conf_read_triple(root, "image_std", 1e-6, 1e6, 0.5, c->std, p) ||
        conf_read_text(root, "image_token", "<image>", c->image_token, sizeof c->image_token, p) ||
        conf_read_text(root, "pad_token", "<\xef\xbd\x9c\xe2\x96\x81pad\xe2\x96\x81\xef\xbd\x9c>",
                       c->pad_token, sizeof c->pad_token, p) ||
        conf_read_text(root, "sft_format", "deepseek", c->sft_format, sizeof c->sft_format, p)) {
        return -1;
    }
    c->tile_size = c->candidate[0][0];
    for (int i = 0; i < c->candidates; i++) {
        const int *size = c->candidate[i];
        if (size[0] % c->tile_size || size[1] % c->tile_size ||
            size[0] / c->tile_size * (size[1] / c->tile_size) > 4096) {
            return dsvl_fail(
                p->err, DSVL_E_MODEL,
                "%s: candidate_resolutions: [%d, %d] is not a grid of at most 4096 tiles of %d pixels",
                p->where, size[0], size[1], c->tile_size);
        }
    }
    if (c->tile_size > 8192 || c->tile_size < c->patch_size) {
        return dsvl_fail(p->err, DSVL_E_MODEL,
                         "%s: candidate_resolutions: tiles of %d pixels do not go with patch_size %d",
                         p->where, c->tile_size, c->patch_size);
    }
    for (int i = 0; i < 3; i++) c->pad_color[i] = (int)(c->mean[i] * 255);
    return 0;
}

int dsvl_processor_config_parse(dsvl_processor_config *config, const char *json, size_t length,
                                const char *where, dsvl_error *err)
{
    const conf_place p = {where, "", err};
    json_t *root = conf_parse_json(json, length, where, err);
    if (!root) return -1;
    memset(config, 0, sizeof *config);
    int status = json_object_get(root, "image_processor_type")
                     ? conf_parse_processor_vl(config, root, &p, NULL, &p)
                     : parse_processor(config, root, &p);
    json_decref(root);
    return status;
}

/* One of the processor's files as JSON; *root stays NULL where `wanted` is false and there is none. */
static int open_file(const char *folder, const char *name, bool wanted, json_t **root, char **where,
                     dsvl_error *err)
{
    char *json = NULL;
    size_t length;
    if (!wanted && !dsvl_folder_has(folder, name)) return 0;
    if (conf_read_file(folder, name, &json, &length, where, err) == 0)
        *root = conf_parse_json(json, length, *where, err);
    dsvl_dealloc(json);
    return *root ? 0 : -1;
}

/* DeepSeek-VL2 has all in processor_config.json, candidate_resolutions among it. transformers from 5 on puts
 * what was preprocessor_config.json into it as "image_processor". */
int dsvl_processor_config_read(dsvl_processor_config *config, const char *folder, dsvl_error *err)
{
    json_t *chat = NULL, *image = NULL;
    char *chat_path = NULL, *image_path = NULL;
    const bool split = dsvl_folder_has(folder, "preprocessor_config.json");
    int status = open_file(folder, "processor_config.json", !split, &chat, &chat_path, err);
    const json_t *inside = json_object_get(chat, "image_processor");
    const bool vl = !json_object_get(chat, "candidate_resolutions") && (split || json_is_object(inside));
    if (!status && vl && !inside)
        status = open_file(folder, "preprocessor_config.json", true, &image, &image_path, err);
    memset(config, 0, sizeof *config);
    if (!status && vl) {
        const conf_place at = {inside ? chat_path : image_path, inside ? "image_processor." : "", err},
                         chat_at = {chat_path, "", err};
        status = conf_parse_processor_vl(config, inside ? inside : image, &at, chat, &chat_at);
    } else if (!status) {
        status = parse_processor(config, chat, &(conf_place){chat_path, "", err});
    }
    json_decref(chat);
    json_decref(image);
    dsvl_dealloc(chat_path);
    dsvl_dealloc(image_path);
    return status;
}

/* Which file says the size of a picture, for messages. */
static const char *size_place(const dsvl_processor_config *processor)
{
    return processor->square ? "preprocessor_config.json: the size"
                             : "processor_config.json: candidate_resolutions";
}

static int match_square(const dsvl_config *config, const dsvl_processor_config *processor, const char *folder,
                        dsvl_error *err)
{
    const int side = dsvl_config_tile_side(config);
    const bool two = config->arch == DSVL_ARCH_VL_HYBRID && config->files == DSVL_FILES_TRANSFORMERS;
    if (processor->by_ratio != (config->files == DSVL_FILES_TRANSFORMERS) ||
        processor->low_size != (two ? config->vision.image_size : 0)) {
        return dsvl_fail(err, DSVL_E_MODEL,
                         "%s: preprocessor_config.json is of another release than config.json: its "
                         "image_processor_type makes other pictures than the model takes",
                         folder);
    }
    if (config->files == DSVL_FILES_ORIGINAL && processor->normalize) {
        return dsvl_fail(err, DSVL_E_MODEL,
                         "%s: preprocessor_config.json: do_normalize is true, but the tower normalises too",
                         folder);
    }
    if (processor->tokens != side * side) {
        return dsvl_fail(
            err, DSVL_E_MODEL,
            "%s: processor_config.json: num_image_tokens is %d, but the model of config.json makes "
            "%d of a picture",
            folder, processor->tokens, side * side);
    }
    return 0;
}

static int match_tiles(const dsvl_config *config, const dsvl_processor_config *processor, const char *folder,
                       dsvl_error *err)
{
    int counted = (processor->tile_size / processor->patch_size + processor->downsample_ratio - 1) /
                  processor->downsample_ratio; /* DeepseekVLV2Processor.tokenize_with_images */
    if (counted != dsvl_config_tile_side(config)) {
        return dsvl_fail(err, DSVL_E_MODEL,
                         "%s: processor_config.json: patch_size %d and downsample_ratio %d make %d tokens a "
                         "side of a tile, "
                         "but the projector of config.json makes %d",
                         folder, processor->patch_size, processor->downsample_ratio, counted,
                         dsvl_config_tile_side(config));
    }
    return 0;
}

/* Without normalisation pixels stay in 0 .. 1. */
static void take_norm(double mean[3], double std[3], const double from_mean[3], const double from_std[3],
                      bool normalize)
{
    for (int i = 0; i < 3; i++) {
        mean[i] = normalize ? from_mean[i] : 0;
        std[i] = normalize ? from_std[i] : 1;
    }
}

int dsvl_config_match(dsvl_config *config, const dsvl_processor_config *processor, const char *folder,
                      dsvl_error *err)
{
    const bool hybrid = config->arch == DSVL_ARCH_VL_HYBRID;
    const int size = hybrid ? config->sam.image_size : config->vision.image_size;
    if (processor->square != (config->arch != DSVL_ARCH_VL2)) {
        return dsvl_fail(err, DSVL_E_MODEL,
                         "%s: the files mix releases: config.json is DeepSeek-VL%s's, the processor's are "
                         "DeepSeek-VL%s's",
                         folder, processor->square ? "2" : "", processor->square ? "" : "2");
    }
    if (processor->tile_size != size) {
        return dsvl_fail(err, DSVL_E_MODEL,
                         "%s: %s is %d pixels, but config.json: image_size of the vision tower is %d", folder,
                         size_place(processor), processor->tile_size, size);
    }
    if (processor->square ? match_square(config, processor, folder, err)
                          : match_tiles(config, processor, folder, err)) {
        return -1;
    }
    if (config->arch != DSVL_ARCH_VL2 && config->files == DSVL_FILES_ORIGINAL) return 0;
    if (hybrid) {
        take_norm(config->sam.mean, config->sam.std, processor->mean, processor->std, processor->normalize);
        take_norm(config->vision.mean, config->vision.std, processor->low_mean, processor->low_std,
                  processor->normalize);
    } else {
        take_norm(config->vision.mean, config->vision.std, processor->mean, processor->std,
                  processor->normalize);
    }
    return 0;
}
