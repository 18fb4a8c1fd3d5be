/* SPDX-License-Identifier: Apache-2.0 */
/* config.json and processor_config.json as checked numbers.
 *
 * Mirrors VisionEncoderConfig, MlpProjectorConfig and DeepseekVLV2Config (modeling_deepseek_vl_v2.py),
 * DeepseekV2Config (configuration_deepseek.py) and DeepseekVLV2Processor.__init__ of the published code: a
 * key that is absent takes the default of those classes, because the released files leave out every key that
 * equals it. */
#include "lib/config.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/folder.h"

/* ---- reading settings by tables ---------------------------------------------------------------------- */

/* Where a value stands, for messages: "FILE: section.key". */
typedef struct place {
    const char *where, *section; /* section: "" at the top, else "language_config." */
    dsvl_error *err;
} place;

typedef enum setting_type { WHOLE, REAL, REAL32, FLAG } setting_type;

#define REQUIRED NAN /* no default: absent is an error */
#define REFUSED NAN  /* null is an error */

typedef struct setting {
    const char *key;
    setting_type type;
    size_t offset;
    double low, high;
    double absent, null; /* what stands for an absent key and for a null */
} setting;

static int wrong(const place *p, const char *key, const json_t *value, const char *wanted)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    dsvl_fail(p->err, DSVL_E_MODEL, "%s: %s%s is %.60s, not %s", p->where, p->section, key,
              text ? text : "absent", wanted);
    free(text);
    return -1;
}

static void store(void *base, const setting *s, double value)
{
    char *field = (char *)base + s->offset;
    switch (s->type) {
    case WHOLE:
        memcpy(field, &(int){(int)value}, sizeof(int));
        break;
    case REAL:
        memcpy(field, &value, sizeof value);
        break;
    case REAL32:
        memcpy(field, &(float){(float)value}, sizeof(float));
        break;
    case FLAG:
        memcpy(field, &(bool){value != 0}, sizeof(bool));
        break;
    }
}

static int read_setting(const json_t *object, const setting *s, void *base, const place *p)
{
    const json_t *value = json_object_get(object, s->key);
    double number;
    char wanted[96];
    bool type_fits = s->type == FLAG    ? json_is_boolean(value)
                     : s->type == WHOLE ? json_is_integer(value)
                                        : json_is_number(value);
    if (s->type == FLAG) {
        snprintf(wanted, sizeof wanted, "true or false");
    } else {
        snprintf(wanted, sizeof wanted, "a %snumber from %.9g to %.9g", s->type == WHOLE ? "whole " : "",
                 s->low, s->high);
    }
    if (!value || json_is_null(value)) {
        number = value ? s->null : s->absent;
        if (isnan(number)) return wrong(p, s->key, value, wanted);
    } else {
        if (!type_fits) return wrong(p, s->key, value, wanted);
        number = s->type == FLAG ? json_is_true(value) : json_number_value(value);
        if (s->type != FLAG && !(number >= s->low && number <= s->high))
            return wrong(p, s->key, value, wanted);
    }
    store(base, s, number);
    return 0;
}

static int read_settings(const json_t *object, const setting *settings, size_t count, void *base,
                         const place *p)
{
    for (size_t i = 0; i < count; i++) {
        if (read_setting(object, &settings[i], base, p)) return -1;
    }
    return 0;
}
#define READ_SETTINGS(object, table, base, p)                                                                \
    read_settings(object, table, sizeof table / sizeof *table, base, p)

/* A string that must be one of `names` (NULL-terminated); absent: the published default, by name. */
static int read_choice(const json_t *object, const char *key, const char *const *names, const char *absent,
                       int *choice, const place *p)
{
    const json_t *value = json_object_get(object, key);
    const char *text = value ? json_string_value(value) : absent;
    for (int i = 0; text && names[i]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *choice = i;
            return 0;
        }
    }
    char wanted[160] = "";
    for (int i = 0; names[i]; i++) {
        size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof wanted - used, "%s\"%s\"", i ? " or " : "", names[i]);
    }
    return wrong(p, key, value, wanted);
}

/* A model_type inside a section is redundant, but another one than ours means another architecture. */
static int read_section(const json_t *root, const char *key, const char *type, const json_t **section,
                        const place *p)
{
    const char *const types[] = {type, NULL};
    int ignored;
    char prefix[48];
    *section = json_object_get(root, key);
    if (!json_is_object(*section)) return wrong(p, key, *section, "an object");
    snprintf(prefix, sizeof prefix, "%s.", key);
    return read_choice(*section, "model_type", types, type, &ignored, &(place){p->where, prefix, p->err});
}

/* ---- the vision tower -------------------------------------------------------------------------------- */

#define VISION(field) offsetof(dsvl_vision_config, field)
static const setting vision_settings[] = {
    {"image_size", WHOLE, VISION(image_size), 1, 8192, 384, REFUSED},
    {"patch_size", WHOLE, VISION(patch_size), 1, 1024, 16, REFUSED},
    {"width", WHOLE, VISION(width), 1, 65536, 1024, REFUSED},
    {"layers", WHOLE, VISION(layers), 1, 1024, 24, REFUSED},
    {"heads", WHOLE, VISION(heads), 1, 1024, 16, REFUSED},
};

typedef struct vision_extra {
    double mlp_ratio;
    bool class_token, ignore_head;
} vision_extra;
static const setting vision_extra_settings[] = {
    {"mlp_ratio", REAL, offsetof(vision_extra, mlp_ratio), 0.001, 64, 4, REFUSED},
    {"class_token", FLAG, offsetof(vision_extra, class_token), 0, 1, 0, REFUSED},
    {"ignore_head", FLAG, offsetof(vision_extra, ignore_head), 0, 1, 1, REFUSED},
};

static int read_vision(const json_t *root, dsvl_vision_config *v, const place *top)
{
    static const char *const pools[] = {"map", "",
                                        NULL}; /* the head is ignored; "avg" would drop the last norm */
    const json_t *section;
    const place p = {top->where, "vision_config.", top->err};
    vision_extra extra;
    int pool;
    if (read_section(root, "vision_config", "vision", &section, top) ||
        READ_SETTINGS(section, vision_settings, v, &p) ||
        READ_SETTINGS(section, vision_extra_settings, &extra, &p) ||
        read_choice(section, "global_pool", pools, "map", &pool, &p)) {
        return -1;
    }
    if (extra.class_token) return wrong(&p, "class_token", json_object_get(section, "class_token"), "false");
    if (!extra.ignore_head) return wrong(&p, "ignore_head", json_object_get(section, "ignore_head"), "true");
    v->side = v->image_size / v->patch_size; /* the convolution leaves the rest of the pixels out */
    v->mlp = (int)(v->width * extra.mlp_ratio);
    v->eps = 1e-6f; /* fixed in siglip_vit.VisionTransformer */
    if (v->side < 1 || v->side > 1024) {
        return dsvl_fail(p.err, DSVL_E_MODEL,
                         "%s: vision_config.image_size %d and patch_size %d give %d patches a side", p.where,
                         v->image_size, v->patch_size, v->side);
    }
    if (v->width % v->heads || v->mlp < 1) {
        return dsvl_fail(p.err, DSVL_E_MODEL, "%s: vision_config.width %d does not go with %s", p.where,
                         v->width, v->mlp < 1 ? "mlp_ratio" : "heads: it must be a multiple");
    }
    return 0;
}

/* ---- the projector ----------------------------------------------------------------------------------- */

#define PROJECTOR(field) offsetof(dsvl_projector_config, field)
static const setting projector_settings[] = {
    {"input_dim", WHOLE, PROJECTOR(input), 1, 65536, 1152, REFUSED},
    {"n_embed", WHOLE, PROJECTOR(output), 1, 65536, 2048, REFUSED},
    {"depth", WHOLE, PROJECTOR(depth), 1, 16, 2, REFUSED},
    {"mlp_ratio", WHOLE, PROJECTOR(ratio), 1, 64, 1, REFUSED},
    {"downsample_ratio", WHOLE, PROJECTOR(downsample), 1, 16, 2, REFUSED},
    {"token_pooling", FLAG, PROJECTOR(token_pooling), 0, 1, 0, REFUSED},
};

static int read_projector(const json_t *root, dsvl_config *config, const place *top)
{
    static const char *const types[] = {"identity", "linear", "mlp_gelu", "downsample_mlp_gelu", NULL};
    const json_t *section;
    const place p = {top->where, "projector_config.", top->err};
    dsvl_projector_config *j = &config->projector;
    int type;
    if (read_section(root, "projector_config", "mlp_projector", &section, top) ||
        READ_SETTINGS(section, projector_settings, j, &p) ||
        read_choice(section, "projector_type", types, "downsample_mlp_gelu", &type, &p)) {
        return -1;
    }
    j->type = (dsvl_projector_type)type;
    if (j->input != config->vision.width) {
        return dsvl_fail(p.err, DSVL_E_MODEL,
                         "%s: projector_config.input_dim is %d, but vision_config.width is %d", p.where,
                         j->input, config->vision.width);
    }
    if (j->type == DSVL_PROJ_IDENTITY && j->input != j->output) {
        return dsvl_fail(
            p.err, DSVL_E_MODEL,
            "%s: projector_config.projector_type \"identity\" cannot turn input_dim %d into n_embed %d",
            p.where, j->input, j->output);
    }
    if (j->token_pooling && (j->type == DSVL_PROJ_DOWNSAMPLE_MLP_GELU || config->vision.side < 2)) {
        return dsvl_fail(
            p.err, DSVL_E_MODEL, "%s: projector_config.token_pooling does not go with %s", p.where,
            config->vision.side < 2 ? "a tower of one patch" : "projector_type \"downsample_mlp_gelu\"");
    }
    return 0;
}

int dsvl_config_tile_side(const dsvl_config *config)
{
    const dsvl_projector_config *j = &config->projector;
    int side = config->vision.side;
    if (j->token_pooling) return side / 2; /* Tensor.unfold drops an odd last row and column */
    return j->type == DSVL_PROJ_DOWNSAMPLE_MLP_GELU ? (side + j->downsample - 1) / j->downsample : side;
}

/* ---- the language model ------------------------------------------------------------------------------ */

#define DECODER(field) offsetof(dsvl_decoder_config, field)
static const setting decoder_settings[] = {
    {"vocab_size", WHOLE, DECODER(vocab), 1, 1 << 24, 102400, REFUSED},
    {"hidden_size", WHOLE, DECODER(width), 1, 65536, 4096, REFUSED},
    {"intermediate_size", WHOLE, DECODER(dense_mlp), 1, 1 << 20, 11008, REFUSED},
    {"moe_intermediate_size", WHOLE, DECODER(expert_mlp), 1, 1 << 20, 1407, REFUSED},
    {"num_hidden_layers", WHOLE, DECODER(layers), 1, 1024, 30, REFUSED},
    {"num_attention_heads", WHOLE, DECODER(heads), 1, 1024, 32, REFUSED},
    {"num_key_value_heads", WHOLE, DECODER(kv_heads), 1, 1024, 32, 0},
    {"n_shared_experts", WHOLE, DECODER(shared_experts), 0, 1024, 0, 0},
    {"n_routed_experts", WHOLE, DECODER(experts), 1, 65536, 0, 0},
    {"num_experts_per_tok", WHOLE, DECODER(experts_per_token), 1, 65536, 0, 0},
    {"n_group", WHOLE, DECODER(groups), 1, 65536, 0, 0},
    {"topk_group", WHOLE, DECODER(groups_kept), 1, 65536, 0, 0},
    {"moe_layer_freq", WHOLE, DECODER(moe_frequency), 1, 1024, 1, REFUSED},
    {"first_k_dense_replace", WHOLE, DECODER(first_dense), 0, 1024, 0, REFUSED},
    {"norm_topk_prob", FLAG, DECODER(normalize_top), 0, 1, 0, REFUSED},
    {"routed_scaling_factor", REAL32, DECODER(routed_scale), 1e-6, 1e6, 1, REFUSED},
    {"use_mla", FLAG, DECODER(mla), 0, 1, 1, REFUSED},
    {"q_lora_rank", WHOLE, DECODER(q_lora), 1, 65536, 1536, 0},
    {"kv_lora_rank", WHOLE, DECODER(kv_lora), 1, 65536, 512, 0},
    {"qk_nope_head_dim", WHOLE, DECODER(nope_dim), 0, 4096, 128, 0},
    {"qk_rope_head_dim", WHOLE, DECODER(rope_dim), 0, 4096, 64, 0},
    {"v_head_dim", WHOLE, DECODER(v_dim), 0, 4096, 128, 0},
    {"attention_bias", FLAG, DECODER(attention_bias), 0, 1, 0, REFUSED},
    {"rms_norm_eps", REAL32, DECODER(eps), 0, 1, 1e-6, REFUSED},
    {"rope_theta", REAL, DECODER(rope_theta), 1, 1e12, 10000, REFUSED},
    {"max_position_embeddings", WHOLE, DECODER(context), 1, 1 << 24, 2048, REFUSED},
    {"tie_word_embeddings", FLAG, DECODER(tied), 0, 1, 0, REFUSED},
    {"bos_token_id", WHOLE, DECODER(bos), 0, 1 << 24, 100000, -1},
    {"eos_token_id", WHOLE, DECODER(eos), 0, 1 << 24, 100001, -1},
    {"pad_token_id", WHOLE, DECODER(pad), 0, 1 << 24, -1, -1},
};

/* mscale_all_dim also scales the softmax when the type is not yarn (DeepseekV2Attention.__init__). */
static const setting rope_settings[] = {
    {"factor", REAL, DECODER(rope_factor), 1e-3, 1e6, REQUIRED, REFUSED},
    {"original_max_position_embeddings", WHOLE, DECODER(rope_original), 1, 1 << 24, 4096, REFUSED},
    {"beta_fast", REAL, DECODER(rope_beta_fast), 1e-6, 1e6, 32, REFUSED},
    {"beta_slow", REAL, DECODER(rope_beta_slow), 1e-6, 1e6, 1, REFUSED},
    {"mscale", REAL, DECODER(rope_mscale), 0, 1e6, 1, REFUSED},
    {"mscale_all_dim", REAL, DECODER(rope_mscale_all), 0, 1e6, 0, REFUSED},
};

static int read_rope(const json_t *section, dsvl_decoder_config *d, const place *lang)
{
    static const char *const types[] = {"linear", "dynamic", "yarn", NULL};
    const json_t *scaling = json_object_get(section, "rope_scaling");
    const place p = {lang->where, "language_config.rope_scaling.", lang->err};
    int type;
    d->rope = DSVL_ROPE_NONE;
    if (!scaling || json_is_null(scaling)) return 0;
    if (!json_is_object(scaling)) return wrong(lang, "rope_scaling", scaling, "an object or null");
    if (read_choice(scaling, "type", types, NULL, &type, &p) || READ_SETTINGS(scaling, rope_settings, d, &p))
        return -1;
    d->rope = (dsvl_rope_type)(DSVL_ROPE_LINEAR + type);
    if (d->rope == DSVL_ROPE_YARN && !d->mla) { /* multi-head attention is transformers' LlamaAttention */
        return wrong(&p, "type", json_object_get(scaling, "type"),
                     "\"linear\" or \"dynamic\", which use_mla false needs");
    }
    return 0;
}

static int check_attention(dsvl_decoder_config *d, const place *p)
{
    if (d->kv_heads == 0) d->kv_heads = d->heads;
    if (d->mla) {
        if (!d->kv_lora || !d->nope_dim || !d->rope_dim || d->rope_dim % 2 || !d->v_dim) {
            return dsvl_fail(
                p->err, DSVL_E_MODEL,
                "%s: language_config.use_mla needs kv_lora_rank, qk_nope_head_dim and v_head_dim above 0 and "
                "an even qk_rope_head_dim; they are %d, %d, %d and %d",
                p->where, d->kv_lora, d->nope_dim, d->v_dim, d->rope_dim);
        }
        return 0;
    }
    d->head_dim = d->width / d->heads;
    if (d->width % d->heads || d->head_dim % 2) {
        return dsvl_fail(
            p->err, DSVL_E_MODEL,
            "%s: language_config.hidden_size %d is not num_attention_heads %d times an even number", p->where,
            d->width, d->heads);
    }
    if (d->heads % d->kv_heads) {
        return dsvl_fail(
            p->err, DSVL_E_MODEL,
            "%s: language_config.num_attention_heads %d is not a multiple of num_key_value_heads %d",
            p->where, d->heads, d->kv_heads);
    }
    return 0;
}

static int read_experts(const json_t *section, dsvl_decoder_config *d, const place *p)
{
    static const char *const methods[] = {"greedy", "group_limited_greedy", "noaux_tc", NULL};
    static const char *const scores[] = {"softmax", "sigmoid", NULL};
    int method, score;
    if (d->experts == 0) {
        d->shared_experts = d->experts_per_token = 0;
        return 0;
    }
    /* The published default of topk_method is misspelt and runs with no gate: it has to be said. */
    if (read_choice(section, "topk_method", methods, NULL, &method, p) ||
        read_choice(section, "scoring_func", scores, "softmax", &score, p)) {
        return -1;
    }
    d->method = (dsvl_gate_method)method;
    d->score = (dsvl_gate_score)score;
    if (d->experts_per_token < 1 || d->experts_per_token > d->experts) {
        return dsvl_fail(p->err, DSVL_E_MODEL,
                         "%s: language_config.num_experts_per_tok is %d of n_routed_experts %d", p->where,
                         d->experts_per_token, d->experts);
    }
    if (d->method == DSVL_GATE_GREEDY) return 0;
    int least = d->method == DSVL_GATE_NOAUX_TC ? 2 : 1; /* noaux_tc adds the two best scores of a group */
    if (d->groups < 1 || d->experts % d->groups || d->experts / d->groups < least || d->groups_kept < 1 ||
        d->groups_kept > d->groups) {
        return dsvl_fail(
            p->err, DSVL_E_MODEL,
            "%s: language_config.n_group %d and topk_group %d do not divide n_routed_experts %d for \"%s\"",
            p->where, d->groups, d->groups_kept, d->experts, methods[method]);
    }
    return 0;
}

static int read_decoder(const json_t *root, dsvl_config *config, const place *top)
{
    static const char *const activations[] = {"silu", NULL};
    const json_t *section;
    const place p = {top->where, "language_config.", top->err};
    dsvl_decoder_config *d = &config->decoder;
    int activation;
    if (read_section(root, "language_config", "deepseek_v2", &section, top) ||
        READ_SETTINGS(section, decoder_settings, d, &p) ||
        read_choice(section, "hidden_act", activations, "silu", &activation, &p) ||
        read_rope(section, d, &p) || check_attention(d, &p) || read_experts(section, d, &p)) {
        return -1;
    }
    if (d->width != config->projector.output) {
        return dsvl_fail(p.err, DSVL_E_MODEL,
                         "%s: projector_config.n_embed is %d, but language_config.hidden_size is %d", p.where,
                         config->projector.output, d->width);
    }
    return 0;
}

/* ---- whole files ------------------------------------------------------------------------------------- */

/* Read [[w, h], ...] into list; 0 or -1. */
static int read_candidates(const json_t *root, int (*list)[2], int *count, const place *p)
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
                return wrong(p, "candidate_resolutions", size, "a list of [width, height] from 1 to 65536");
            }
            list[i][k] = (int)side;
        }
    }
    *count = (int)n;
    return 0;
}

static int parse_vl2(dsvl_config *config, const json_t *root, const place *p)
{
    static const char *const positions[] = {"head", "tail", NULL};
    static const setting em[] = {
        {"dsvl_preferred_em_px", WHOLE, offsetof(dsvl_config, preferred_em_px), 0, 1024, 0, 0},
        {"dsvl_region_tiles", WHOLE, offsetof(dsvl_config, region_tiles), 0, 4096, 0, 0},
    };
    const json_t *tag = json_object_get(root, "tile_tag");
    int position, candidates, candidate[DSVL_MAX_CANDIDATES][2];
    if (json_is_string(tag) && strcmp(json_string_value(tag), "1D") == 0) {
        return dsvl_fail(
            p->err, DSVL_E_MODEL,
            "%s: tile_tag \"1D\" cannot be run: the published code refers to settings (config.aligner) that "
            "such a model has not; use a model with tile_tag \"2D\"",
            p->where);
    }
    if (!json_is_string(tag) || strcmp(json_string_value(tag), "2D") != 0)
        return wrong(p, "tile_tag", tag, "\"2D\"");
    if (read_choice(root, "global_view_pos", positions, "head", &position, p) ||
        READ_SETTINGS(root, em, config, p) || read_vision(root, &config->vision, p) ||
        read_projector(root, config, p) || read_decoder(root, config, p)) {
        return -1;
    }
    config->projector.global_first = position == 0;
    if (!json_object_get(root, "candidate_resolutions")) return 0;
    if (read_candidates(root, candidate, &candidates, p)) return -1;
    if (candidate[0][0] != config->vision.image_size) {
        return dsvl_fail(p->err, DSVL_E_MODEL,
                         "%s: candidate_resolutions starts with [%d, %d], but vision_config.image_size is %d",
                         p->where, candidate[0][0], candidate[0][1], config->vision.image_size);
    }
    return 0;
}

/* The families that can be run; a second one adds its row here and its tables above. */
static const struct family {
    const char *model_type;
    dsvl_architecture arch;
    int (*parse)(dsvl_config *config, const json_t *root, const place *p);
} families[] = {{"deepseek_vl_v2", DSVL_ARCH_VL2, parse_vl2}};

static json_t *parse_json(const char *json, size_t length, const char *where, dsvl_error *err)
{
    json_error_t problem;
    json_t *root = json_loadb(json, length, 0, &problem);
    if (json_is_object(root)) return root;
    if (root) {
        dsvl_fail(err, DSVL_E_MODEL, "%s: not a JSON object", where);
    } else {
        dsvl_fail(err, DSVL_E_MODEL, "%s: not valid JSON, line %d: %s", where, problem.line, problem.text);
    }
    json_decref(root);
    return NULL;
}

int dsvl_config_parse(dsvl_config *config, const char *json, size_t length, const char *where,
                      dsvl_error *err)
{
    const place p = {where, "", err};
    json_t *root = parse_json(json, length, where, err);
    if (!root) return -1;
    memset(config, 0, sizeof *config);
    const json_t *type = json_object_get(root, "model_type");
    int status = 1;
    for (size_t i = 0; json_is_string(type) && i < sizeof families / sizeof *families; i++) {
        if (strcmp(json_string_value(type), families[i].model_type) == 0) {
            config->arch = families[i].arch;
            status = families[i].parse(config, root, &p);
        }
    }
    if (status > 0) status = wrong(&p, "model_type", type, "a type that can be run: \"deepseek_vl_v2\"");
    json_decref(root);
    return status;
}

static int read_triple(const json_t *root, const char *key, double low, double high, double absent,
                       double out[3], const place *p)
{
    const json_t *value = json_object_get(root, key);
    for (size_t i = 0; i < 3; i++) {
        const json_t *item = json_array_get(value, i);
        out[i] = value ? json_number_value(item) : absent;
        if (value &&
            (json_array_size(value) != 3 || !json_is_number(item) || !(out[i] >= low && out[i] <= high))) {
            char wanted[80];
            snprintf(wanted, sizeof wanted, "three numbers from %g to %g", low, high);
            return wrong(p, key, value, wanted);
        }
    }
    return 0;
}

static int read_text(const json_t *root, const char *key, const char *absent, char *out, size_t capacity,
                     const place *p)
{
    const json_t *value = json_object_get(root, key);
    const char *text = value ? json_string_value(value) : absent;
    if (!text || strlen(text) >= capacity) return wrong(p, key, value, "a short string");
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

#define PROCESSOR(field) offsetof(dsvl_processor_config, field)
static const setting processor_settings[] = {
    {"patch_size", WHOLE, PROCESSOR(patch_size), 1, 1024, REQUIRED, REFUSED},
    {"downsample_ratio", WHOLE, PROCESSOR(downsample_ratio), 1, 16, REQUIRED, REFUSED},
    {"normalize", FLAG, PROCESSOR(normalize), 0, 1, 1, REFUSED},
};

static int parse_processor(dsvl_processor_config *c, const json_t *root, const place *p)
{
    if (READ_SETTINGS(root, processor_settings, c, p) ||
        read_candidates(root, c->candidate, &c->candidates, p) ||
        read_triple(root, "image_mean", 0, 1, 0.5, c->mean, p) ||
        read_triple(root, "image_std", 1e-6, 1e6, 0.5, c->std, p) ||
        read_text(root, "image_token", "<image>", c->image_token, sizeof c->image_token, p) ||
        read_text(root, "pad_token", "<\xef\xbd\x9c\xe2\x96\x81pad\xe2\x96\x81\xef\xbd\x9c>", c->pad_token,
                  sizeof c->pad_token, p) ||
        read_text(root, "sft_format", "deepseek", c->sft_format, sizeof c->sft_format, p)) {
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
    json_t *root = parse_json(json, length, where, err);
    if (!root) return -1;
    memset(config, 0, sizeof *config);
    int status = parse_processor(config, root, &(place){where, "", err});
    json_decref(root);
    return status;
}

static int read_file(const char *folder, const char *name, char **json, size_t *length, char **where,
                     dsvl_error *err)
{
    *where = dsvl_folder_path(folder, name);
    if (!*where) return dsvl_fail_memory(err, strlen(folder));
    return dsvl_folder_read(folder, name, DSVL_CONFIG_LIMIT, json, length, err);
}

int dsvl_config_read(dsvl_config *config, const char *folder, dsvl_error *err)
{
    char *json = NULL, *where = NULL;
    size_t length;
    int status = read_file(folder, "config.json", &json, &length, &where, err);
    if (status == 0) status = dsvl_config_parse(config, json, length, where, err);
    dsvl_dealloc(json);
    dsvl_dealloc(where);
    return status;
}

int dsvl_processor_config_read(dsvl_processor_config *config, const char *folder, dsvl_error *err)
{
    char *json = NULL, *where = NULL;
    size_t length;
    int status = read_file(folder, "processor_config.json", &json, &length, &where, err);
    if (status == 0) status = dsvl_processor_config_parse(config, json, length, where, err);
    dsvl_dealloc(json);
    dsvl_dealloc(where);
    return status;
}

int dsvl_config_match(const dsvl_config *config, const dsvl_processor_config *processor, const char *folder,
                      dsvl_error *err)
{
    const dsvl_vision_config *v = &config->vision;
    if (processor->tile_size != v->image_size) {
        return dsvl_fail(
            err, DSVL_E_MODEL,
            "%s: processor_config.json: candidate_resolutions starts with a tile of %d pixels, but "
            "config.json: vision_config.image_size is %d",
            folder, processor->tile_size, v->image_size);
    }
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
