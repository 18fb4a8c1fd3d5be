/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of DeepSeek-VL, in the original layout and in transformers'.
 *
 * Mirrors MultiModalityConfig (modeling_vlm.py) with CLIPVisionTower and HybridVisionTower (clip_encoder.py),
 * SigLIP_MODEL_CONFIG, SAM_MODEL_CONFIG and LlamaConfig; and transformers' DeepseekVLConfig and
 * DeepseekVLHybridConfig with SiglipVisionConfig and SamVisionConfig.
 *
 * The original names its towers and keeps their sizes in code: here they are rows. A tower's settings may
 * hold sizes of their own (width, layers, heads, patch_size, mlp_ratio, ...), which replace the row's: no
 * released file does, models cut down for tests do. */
#include <stdio.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/config_internal.h"

static int read_object(const json_t *root, const char *key, const json_t **object, const conf_place *p)
{
    *object = json_object_get(root, key);
    return json_is_object(*object) ? 0 : conf_wrong(p, key, *object, "an object");
}

static int read_flag(const json_t *object, const char *key, bool wanted, const conf_place *p)
{
    const json_t *value = json_object_get(object, key);
    if (!value || (wanted ? json_is_true(value) : json_is_false(value))) return 0;
    return conf_wrong(p, key, value, wanted ? "true" : "false");
}

/* pixel_mean and pixel_std; without them pixels stay in 0 .. 1. */
static int read_norm(const json_t *params, double mean[3], double std[3], const conf_place *p)
{
    return conf_read_triple(params, "pixel_mean", -1, 1, 0, mean, p) ||
                   conf_read_triple(params, "pixel_std", 1e-6, 1e6, 1, std, p)
               ? -1
               : 0;
}

/* ---- SigLIP ------------------------------------------------------------------------------------------ */

#define VISION(field) offsetof(dsvl_vision_config, field)
static const char *const siglip_names[] = {"siglip_large_patch16_384", "siglip_so400m_patch14_384",
                                           "siglip_so400m_patch14_224", NULL};
static const struct siglip {
    int patch_size, width, layers, heads;
    double mlp_ratio;
} siglips[] = {{16, 1024, 24, 16, 4}, {14, 1152, 27, 16, 3.7362}, {14, 1152, 27, 16, 3.7362}};

typedef struct siglip_extra {
    double mlp_ratio;
    int select;
} siglip_extra;

static int check_vision(dsvl_vision_config *v, const conf_place *p)
{
    v->side = v->image_size / v->patch_size;
    if (v->side < 1 || v->side > 1024 || v->width % v->heads || v->mlp < 1) {
        return dsvl_fail(p->err, DSVL_E_MODEL,
                         "%s: %s: %d pixels by patches of %d, width %d and %d heads do not go together",
                         p->where, p->section, v->image_size, v->patch_size, v->width, v->heads);
    }
    return 0;
}

/* The layers that run: create_siglip_vit leaves out those behind select_layer. */
static int select_layers(int layers, int select)
{
    int all = select <= 0 ? layers + select + 1 : select;
    return all < layers ? all : layers;
}

static int read_siglip(const json_t *params, dsvl_vision_config *v, const conf_place *p)
{
    int name;
    if (conf_read_choice(params, "model_name", siglip_names, siglip_names[0], &name, p)) return -1;
    const struct siglip *s = &siglips[name];
    siglip_extra extra;
    const conf_setting settings[] = {
        {"image_size", CONF_WHOLE, VISION(image_size), 1, 8192, 336, CONF_REFUSED},
        {"patch_size", CONF_WHOLE, VISION(patch_size), 1, 1024, s->patch_size, CONF_REFUSED},
        {"width", CONF_WHOLE, VISION(width), 1, 65536, s->width, CONF_REFUSED},
        {"layers", CONF_WHOLE, VISION(layers), 1, 1024, s->layers, CONF_REFUSED},
        {"heads", CONF_WHOLE, VISION(heads), 1, 1024, s->heads, CONF_REFUSED},
    };
    const conf_setting extras[] = {
        {"mlp_ratio", CONF_REAL, offsetof(siglip_extra, mlp_ratio), 0.001, 64, s->mlp_ratio, CONF_REFUSED},
        {"select_layer", CONF_WHOLE, offsetof(siglip_extra, select), -1024, 1024, -2, CONF_REFUSED},
    };
    if (CONF_READ(params, settings, v, p) || CONF_READ(params, extras, &extra, p) ||
        read_flag(params, "ignore_head", true, p) || read_norm(params, v->mean, v->std, p)) {
        return -1;
    }
    v->layers = select_layers(v->layers, extra.select);
    if (v->layers < 1)
        return conf_wrong(p, "select_layer", json_object_get(params, "select_layer"), "a layer of the tower");
    v->mlp = (int)(v->width * extra.mlp_ratio);
    v->eps = 1e-6f;
    v->gelu_erf = true;
    return check_vision(v, p);
}

/* ---- SAM --------------------------------------------------------------------------------------------- */

#define SAM(field) offsetof(dsvl_sam_config, field)
static const conf_setting sam_settings[] = {
    {"image_size", CONF_WHOLE, SAM(image_size), 1, 8192, 1024, CONF_REFUSED},
    {"patch_size", CONF_WHOLE, SAM(patch_size), 1, 1024, 16, CONF_REFUSED},
    {"width", CONF_WHOLE, SAM(width), 1, 65536, 768, CONF_REFUSED},
    {"layers", CONF_WHOLE, SAM(layers), 1, DSVL_SAM_MAX_LAYERS, 12, CONF_REFUSED},
    {"heads", CONF_WHOLE, SAM(heads), 1, 1024, 12, CONF_REFUSED},
    {"window_size", CONF_WHOLE, SAM(window), 1, 1024, 14, CONF_REFUSED},
    {"prompt_embed_dim", CONF_WHOLE, SAM(neck), 1, 65536, 256, CONF_REFUSED},
};

static int read_global(const json_t *object, dsvl_sam_config *s, const conf_place *p)
{
    static const int released[] = {2, 5, 8, 11};
    const char *const wanted = "a list of blocks of the tower, lowest first";
    const json_t *list = json_object_get(object, "global_attn_indexes");
    size_t n = list ? json_array_size(list) : 4;
    int last = -1;
    if (n < 1) return conf_wrong(p, "global_attn_indexes", list, wanted);
    for (size_t i = 0; i < n; i++) {
        json_int_t block = list ? json_integer_value(json_array_get(list, i)) : released[i];
        if (block <= last || block >= s->layers || (list && !json_is_integer(json_array_get(list, i))))
            return conf_wrong(p, "global_attn_indexes", list, wanted);
        last = (int)block;
        s->global_block[last] = true;
        if (i == 0) s->first_global = last;
    }
    return 0;
}

static int check_sam(dsvl_sam_config *s, const conf_place *p)
{
    s->side = s->image_size / s->patch_size;
    if (s->image_size % s->patch_size || s->side < 1 || s->side > 1024 || s->width % s->heads || s->mlp < 1) {
        return dsvl_fail(p->err, DSVL_E_MODEL,
                         "%s: %s: %d pixels by patches of %d, width %d and %d heads do not go together",
                         p->where, p->section, s->image_size, s->patch_size, s->width, s->heads);
    }
    return 0;
}

static int read_sam(const json_t *params, dsvl_sam_config *s, const conf_place *p)
{
    static const char *const names[] = {"sam_b_downsample", NULL}, *const same[] = {"same", NULL};
    const json_t *down = json_object_get(params, "downsample_channels");
    int name, feature;
    if (conf_read_choice(params, "model_name", names, NULL, &name, p) ||
        conf_read_choice(params, "select_feature", same, NULL, &feature, p) ||
        CONF_READ(params, sam_settings, s, p) || read_global(params, s, p) ||
        read_norm(params, s->mean, s->std, p)) {
        return -1;
    }
    s->mlp = 4 * s->width;
    s->eps = 1e-6f;
    s->out_side = 24; /* sam.py resizes to 96 x 96 whatever the size of the picture */
    s->down[0] = 512;
    s->down[1] = 1024;
    for (size_t i = 0; down && i < 2; i++) {
        json_int_t channels = json_integer_value(json_array_get(down, i));
        if (json_array_size(down) != 2 || channels < 1 || channels > 65536)
            return conf_wrong(p, "downsample_channels", down, "two numbers from 1 to 65536");
        s->down[i] = (int)channels;
    }
    return check_sam(s, p);
}

/* ---- LLaMA ------------------------------------------------------------------------------------------- */

#define DECODER(field) offsetof(dsvl_decoder_config, field)
static const conf_setting llama_settings[] = {
    {"vocab_size", CONF_WHOLE, DECODER(vocab), 1, 1 << 24, 32000, CONF_REFUSED},
    {"hidden_size", CONF_WHOLE, DECODER(width), 1, 65536, 4096, CONF_REFUSED},
    {"intermediate_size", CONF_WHOLE, DECODER(dense_mlp), 1, 1 << 20, 11008, CONF_REFUSED},
    {"num_hidden_layers", CONF_WHOLE, DECODER(layers), 1, 1024, 32, CONF_REFUSED},
    {"num_attention_heads", CONF_WHOLE, DECODER(heads), 1, 1024, 32, CONF_REFUSED},
    {"num_key_value_heads", CONF_WHOLE, DECODER(kv_heads), 1, 1024, 0, 0},
    {"head_dim", CONF_WHOLE, DECODER(head_dim), 1, 65536, 0, 0},
    {"attention_bias", CONF_FLAG, DECODER(attention_bias), 0, 1, 0, CONF_REFUSED},
    {"rms_norm_eps", CONF_REAL32, DECODER(eps), 0, 1, 1e-6, CONF_REFUSED},
    {"rope_theta", CONF_REAL, DECODER(rope_theta), 1, 1e12, 10000, CONF_REFUSED},
    {"max_position_embeddings", CONF_WHOLE, DECODER(context), 1, 1 << 24, 2048, CONF_REFUSED},
    {"tie_word_embeddings", CONF_FLAG, DECODER(tied), 0, 1, 0, CONF_REFUSED},
    {"bos_token_id", CONF_WHOLE, DECODER(bos), 0, 1 << 24, -1, -1},
    {"eos_token_id", CONF_WHOLE, DECODER(eos), 0, 1 << 24, -1, -1},
    {"pad_token_id", CONF_WHOLE, DECODER(pad), 0, 1 << 24, -1, -1},
};

/* yarn: LlamaAttention knows it since transformers has the DeepSeek-VL classes, and did not before. */
static int read_llama(const json_t *section, dsvl_decoder_config *d, bool yarn, const conf_place *p)
{
    static const char *const activations[] = {"silu", NULL}, *const types[] = {"llama", NULL};
    int ignored;
    if (conf_read_choice(section, "model_type", types, "llama", &ignored, p) ||
        conf_read_choice(section, "hidden_act", activations, "silu", &ignored, p) ||
        CONF_READ(section, llama_settings, d, p) || read_flag(section, "mlp_bias", false, p) ||
        conf_read_rope(section, d, yarn, p)) {
        return -1;
    }
    const int head_dim = d->head_dim;
    if (conf_check_attention(d, p)) return -1;
    if (head_dim && head_dim != d->head_dim) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "%d, hidden_size by num_attention_heads", d->head_dim);
        return conf_wrong(p, "head_dim", json_object_get(section, "head_dim"), wanted);
    }
    return 0;
}

/* ---- the original layout ----------------------------------------------------------------------------- */

static int read_params(const json_t *root, const char *key, const json_t **section, const json_t **params,
                       const conf_place *top)
{
    char prefix[48];
    const conf_place p = {top->where, prefix, top->err};
    snprintf(prefix, sizeof prefix, "%s.", key);
    return read_object(root, key, section, top) || read_object(*section, "params", params, &p) ? -1 : 0;
}

static int read_aligner(const json_t *root, dsvl_config *config, const conf_place *top)
{
    static const char *const one[] = {"identity", "linear", "mlp_gelu", NULL},
                             *const two[] = {"low_high_hybrid_split_mlp_gelu", NULL};
    static const conf_setting settings[] = {
        {"input_dim", CONF_WHOLE, offsetof(dsvl_projector_config, input), 1, 65536, CONF_REQUIRED,
         CONF_REFUSED},
        {"n_embed", CONF_WHOLE, offsetof(dsvl_projector_config, output), 1, 65536, CONF_REQUIRED,
         CONF_REFUSED},
        {"depth", CONF_WHOLE, offsetof(dsvl_projector_config, depth), 1, 16, 1, CONF_REFUSED},
    };
    static const char *const classes[] = {"MlpProjector", NULL};
    const bool hybrid = config->arch == DSVL_ARCH_VL_HYBRID;
    const conf_place p = {top->where, "aligner_config.params.", top->err};
    const json_t *section, *params;
    dsvl_projector_config *j = &config->projector;
    int type, ignored;
    if (read_params(root, "aligner_config", &section, &params, top) ||
        conf_read_choice(section, "cls", classes, NULL, &ignored,
                         &(conf_place){top->where, "aligner_config.", top->err}) ||
        CONF_READ(params, settings, j, &p) ||
        conf_read_choice(params, "projector_type", hybrid ? two : one, NULL, &type, &p)) {
        return -1;
    }
    j->type = hybrid ? DSVL_PROJ_HYBRID_SPLIT_MLP_GELU : (dsvl_projector_type)(DSVL_PROJ_IDENTITY + type);
    return 0;
}

/* What both layouts' numbers must agree on. */
static int check_whole(const dsvl_config *c, const conf_place *p)
{
    const dsvl_projector_config *j = &c->projector;
    const bool hybrid = c->arch == DSVL_ARCH_VL_HYBRID;
    if (j->input != c->vision.width || (hybrid && j->input != c->sam.down[1])) {
        return dsvl_fail(p->err, DSVL_E_MODEL,
                         "%s: the aligner takes features of width %d, but the vision %s width %d", p->where,
                         j->input, hybrid ? "towers have not both" : "tower has",
                         hybrid ? j->input : c->vision.width);
    }
    if (j->output != c->decoder.width || (hybrid && j->output % 2) ||
        (j->type == DSVL_PROJ_IDENTITY && j->input != j->output)) {
        return dsvl_fail(p->err, DSVL_E_MODEL,
                         "%s: the aligner makes embeddings of width %d, but the language model's hidden_size "
                         "is %d",
                         p->where, j->output, c->decoder.width);
    }
    if (hybrid && c->sam.out_side != c->vision.side) {
        return dsvl_fail(p->err, DSVL_E_MODEL,
                         "%s: the high-resolution tower makes %d tokens a side, the other %d", p->where,
                         c->sam.out_side, c->vision.side);
    }
    return 0;
}

int conf_parse_vl(dsvl_config *config, const json_t *root, const conf_place *top)
{
    static const char *const classes[] = {"CLIPVisionTower", "HybridVisionTower", NULL}, *const tuple[] = {
                                                                                             "tuple", NULL};
    const conf_place v = {top->where, "vision_config.", top->err},
                     params_at = {top->where, "vision_config.params.", top->err},
                     high_at = {top->where, "vision_config.params.high_res_cfg.", top->err},
                     low_at = {top->where, "vision_config.params.low_res_cfg.", top->err},
                     lang_at = {top->where, "language_config.", top->err};
    const json_t *section, *params, *high, *low, *language;
    int tower, ignored;
    if (read_params(root, "vision_config", &section, &params, top) ||
        conf_read_choice(section, "cls", classes, NULL, &tower, &v) ||
        read_object(root, "language_config", &language, top) ||
        read_llama(language, &config->decoder, false, &lang_at)) {
        return -1;
    }
    if (tower == 1) {
        config->arch = DSVL_ARCH_VL_HYBRID;
        if (conf_read_choice(params, "concat_type", tuple, "tuple", &ignored, &params_at) ||
            read_object(params, "high_res_cfg", &high, &params_at) ||
            read_object(params, "low_res_cfg", &low, &params_at) || read_sam(high, &config->sam, &high_at) ||
            read_siglip(low, &config->vision, &low_at)) {
            return -1;
        }
    } else if (read_siglip(params, &config->vision, &params_at)) {
        return -1;
    }
    return read_aligner(root, config, top) || check_whole(config, top) ? -1 : 0;
}

/* ---- transformers' layout ---------------------------------------------------------------------------- */

static const conf_setting siglip_vision_settings[] = {
    {"image_size", CONF_WHOLE, VISION(image_size), 1, 8192, 224, CONF_REFUSED},
    {"patch_size", CONF_WHOLE, VISION(patch_size), 1, 1024, 16, CONF_REFUSED},
    {"hidden_size", CONF_WHOLE, VISION(width), 1, 65536, 768, CONF_REFUSED},
    {"intermediate_size", CONF_WHOLE, VISION(mlp), 1, 1 << 20, 3072, CONF_REFUSED},
    {"num_hidden_layers", CONF_WHOLE, VISION(layers), 1, 1024, 12, CONF_REFUSED},
    {"num_attention_heads", CONF_WHOLE, VISION(heads), 1, 1024, 12, CONF_REFUSED},
    {"layer_norm_eps", CONF_REAL32, VISION(eps), 0, 1, 1e-6, CONF_REFUSED},
};

static const conf_setting sam_vision_settings[] = {
    {"image_size", CONF_WHOLE, SAM(image_size), 1, 8192, 1024, CONF_REFUSED},
    {"patch_size", CONF_WHOLE, SAM(patch_size), 1, 1024, 16, CONF_REFUSED},
    {"hidden_size", CONF_WHOLE, SAM(width), 1, 65536, 768, CONF_REFUSED},
    {"num_hidden_layers", CONF_WHOLE, SAM(layers), 1, DSVL_SAM_MAX_LAYERS, 12, CONF_REFUSED},
    {"num_attention_heads", CONF_WHOLE, SAM(heads), 1, 1024, 12, CONF_REFUSED},
    {"mlp_dim", CONF_WHOLE, SAM(mlp), 1, 1 << 20, 0, 0},
    {"window_size", CONF_WHOLE, SAM(window), 1, 1024, 14, CONF_REFUSED},
    {"output_channels", CONF_WHOLE, SAM(neck), 1, 16384, 256, CONF_REFUSED},
    {"layer_norm_eps", CONF_REAL32, SAM(eps), 0, 1, 1e-6, CONF_REFUSED},
};

/* SamVisionConfig; mlp_dim falls back on mlp_ratio, and intermediate_size is read by nobody there. */
static int read_sam_transformers(const json_t *section, dsvl_config *config, const conf_place *p)
{
    static const char *const activations[] = {"gelu", NULL};
    static const conf_setting ratio[] = {{"mlp_ratio", CONF_REAL, 0, 0.001, 64, 4, CONF_REFUSED}};
    dsvl_sam_config *s = &config->sam;
    double mlp_ratio;
    int ignored;
    if (conf_read_choice(section, "hidden_act", activations, "gelu", &ignored, p) ||
        CONF_READ(section, sam_vision_settings, s, p) || CONF_READ(section, ratio, &mlp_ratio, p) ||
        read_flag(section, "qkv_bias", true, p) || read_flag(section, "use_abs_pos", true, p) ||
        read_flag(section, "use_rel_pos", true, p) || read_global(section, s, p)) {
        return -1;
    }
    if (s->mlp == 0) s->mlp = (int)(s->width * mlp_ratio);
    s->down[0] = 2 * s->neck;
    s->down[1] = 4 * s->neck;
    s->out_side = config->vision.side;
    return check_sam(s, p);
}

int conf_parse_vl_transformers(dsvl_config *config, const json_t *root, const conf_place *top)
{
    static const char *const activations[] = {"gelu_pytorch_tanh", "gelu", NULL};
    const conf_place vision_at = {top->where, "vision_config.", top->err},
                     high_at = {top->where, "high_res_vision_config.", top->err},
                     text_at = {top->where, "text_config.", top->err};
    const bool hybrid = config->arch == DSVL_ARCH_VL_HYBRID;
    const json_t *vision, *high, *text;
    int activation;
    config->files = DSVL_FILES_TRANSFORMERS;
    if (read_object(root, "vision_config", &vision, top) || read_object(root, "text_config", &text, top) ||
        CONF_READ(vision, siglip_vision_settings, &config->vision, &vision_at) ||
        conf_read_choice(vision, "hidden_act", activations, activations[0], &activation, &vision_at) ||
        check_vision(&config->vision, &vision_at) || read_llama(text, &config->decoder, true, &text_at)) {
        return -1;
    }
    config->vision.gelu_erf = activation == 1;
    if (hybrid && (read_object(root, "high_res_vision_config", &high, top) ||
                   read_sam_transformers(high, config, &high_at))) {
        return -1;
    }
    config->projector = (dsvl_projector_config){
        .type = hybrid ? DSVL_PROJ_HYBRID_SPLIT_MLP_GELU : DSVL_PROJ_MLP_GELU,
        .input = config->vision.width,
        .output = config->decoder.width,
        .depth = 2,
    };
    return check_whole(config, top);
}
