/* SPDX-License-Identifier: Apache-2.0 */
/* config.json as checked numbers.
 *
 * Mirrors VisionEncoderConfig, MlpProjectorConfig and DeepseekVLV2Config (modeling_deepseek_vl_v2.py) and
 * DeepseekV2Config (configuration_deepseek.py) of the published code: a key that is absent takes the default
 * of those classes, because the released files leave out every key that equals it. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/config_internal.h"

/* A model_type inside a section is redundant, but another one than ours means another architecture. */
static int read_section(const json_t *root, const char *key, const char *type, const json_t **section,
                        const conf_place *p)
{
    const char *const types[] = {type, NULL};
    int ignored;
    char prefix[48];
    *section = json_object_get(root, key);
    if (!json_is_object(*section)) return conf_wrong(p, key, *section, "an object");
    snprintf(prefix, sizeof prefix, "%s.", key);
    return conf_read_choice(*section, "model_type", types, type, &ignored,
                            &(conf_place){p->where, prefix, p->err});
}

/* ---- the vision tower -------------------------------------------------------------------------------- */

#define VISION(field) offsetof(dsvl_vision_config, field)
static const conf_setting vision_settings[] = {
    {"image_size", CONF_WHOLE, VISION(image_size), 1, 8192, 384, CONF_REFUSED},
    {"patch_size", CONF_WHOLE, VISION(patch_size), 1, 1024, 16, CONF_REFUSED},
    {"width", CONF_WHOLE, VISION(width), 1, 65536, 1024, CONF_REFUSED},
    {"layers", CONF_WHOLE, VISION(layers), 1, 1024, 24, CONF_REFUSED},
    {"heads", CONF_WHOLE, VISION(heads), 1, 1024, 16, CONF_REFUSED},
};

typedef struct vision_extra {
    double mlp_ratio;
    bool class_token, ignore_head;
} vision_extra;
static const conf_setting vision_extra_settings[] = {
    {"mlp_ratio", CONF_REAL, offsetof(vision_extra, mlp_ratio), 0.001, 64, 4, CONF_REFUSED},
    {"class_token", CONF_FLAG, offsetof(vision_extra, class_token), 0, 1, 0, CONF_REFUSED},
    {"ignore_head", CONF_FLAG, offsetof(vision_extra, ignore_head), 0, 1, 1, CONF_REFUSED},
};

static int read_vision(const json_t *root, dsvl_vision_config *v, const conf_place *top)
{
    static const char *const pools[] = {"map", "",
                                        NULL}; /* the head is ignored; "avg" would drop the last norm */
    const json_t *section;
    const conf_place p = {top->where, "vision_config.", top->err};
    vision_extra extra;
    int pool;
    if (read_section(root, "vision_config", "vision", &section, top) ||
        CONF_READ(section, vision_settings, v, &p) || CONF_READ(section, vision_extra_settings, &extra, &p) ||
        conf_read_choice(section, "global_pool", pools, "map", &pool, &p)) {
        return -1;
    }
    if (extra.class_token)
        return conf_wrong(&p, "class_token", json_object_get(section, "class_token"), "false");
    if (!extra.ignore_head)
        return conf_wrong(&p, "ignore_head", json_object_get(section, "ignore_head"), "true");
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
static const conf_setting projector_settings[] = {
    {"input_dim", CONF_WHOLE, PROJECTOR(input), 1, 65536, 1152, CONF_REFUSED},
    {"n_embed", CONF_WHOLE, PROJECTOR(output), 1, 65536, 2048, CONF_REFUSED},
    {"depth", CONF_WHOLE, PROJECTOR(depth), 1, 16, 2, CONF_REFUSED},
    {"mlp_ratio", CONF_WHOLE, PROJECTOR(ratio), 1, 64, 1, CONF_REFUSED},
    {"downsample_ratio", CONF_WHOLE, PROJECTOR(downsample), 1, 16, 2, CONF_REFUSED},
    {"token_pooling", CONF_FLAG, PROJECTOR(token_pooling), 0, 1, 0, CONF_REFUSED},
};

static int read_projector(const json_t *root, dsvl_config *config, const conf_place *top)
{
    static const char *const types[] = {"identity", "linear", "mlp_gelu", "downsample_mlp_gelu", NULL};
    const json_t *section;
    const conf_place p = {top->where, "projector_config.", top->err};
    dsvl_projector_config *j = &config->projector;
    int type;
    if (read_section(root, "projector_config", "mlp_projector", &section, top) ||
        CONF_READ(section, projector_settings, j, &p) ||
        conf_read_choice(section, "projector_type", types, "downsample_mlp_gelu", &type, &p)) {
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
static const conf_setting decoder_settings[] = {
    {"vocab_size", CONF_WHOLE, DECODER(vocab), 1, 1 << 24, 102400, CONF_REFUSED},
    {"hidden_size", CONF_WHOLE, DECODER(width), 1, 65536, 4096, CONF_REFUSED},
    {"intermediate_size", CONF_WHOLE, DECODER(dense_mlp), 1, 1 << 20, 11008, CONF_REFUSED},
    {"moe_intermediate_size", CONF_WHOLE, DECODER(expert_mlp), 1, 1 << 20, 1407, CONF_REFUSED},
    {"num_hidden_layers", CONF_WHOLE, DECODER(layers), 1, 1024, 30, CONF_REFUSED},
    {"num_attention_heads", CONF_WHOLE, DECODER(heads), 1, 1024, 32, CONF_REFUSED},
    {"num_key_value_heads", CONF_WHOLE, DECODER(kv_heads), 1, 1024, 32, 0},
    {"n_shared_experts", CONF_WHOLE, DECODER(shared_experts), 0, 1024, 0, 0},
    {"n_routed_experts", CONF_WHOLE, DECODER(experts), 1, 65536, 0, 0},
    {"num_experts_per_tok", CONF_WHOLE, DECODER(experts_per_token), 1, 65536, 0, 0},
    {"n_group", CONF_WHOLE, DECODER(groups), 1, 65536, 0, 0},
    {"topk_group", CONF_WHOLE, DECODER(groups_kept), 1, 65536, 0, 0},
    {"moe_layer_freq", CONF_WHOLE, DECODER(moe_frequency), 1, 1024, 1, CONF_REFUSED},
    {"first_k_dense_replace", CONF_WHOLE, DECODER(first_dense), 0, 1024, 0, CONF_REFUSED},
    {"norm_topk_prob", CONF_FLAG, DECODER(normalize_top), 0, 1, 0, CONF_REFUSED},
    {"routed_scaling_factor", CONF_REAL32, DECODER(routed_scale), 1e-6, 1e6, 1, CONF_REFUSED},
    {"use_mla", CONF_FLAG, DECODER(mla), 0, 1, 1, CONF_REFUSED},
    {"q_lora_rank", CONF_WHOLE, DECODER(q_lora), 1, 65536, 1536, 0},
    {"kv_lora_rank", CONF_WHOLE, DECODER(kv_lora), 1, 65536, 512, 0},
    {"qk_nope_head_dim", CONF_WHOLE, DECODER(nope_dim), 0, 4096, 128, 0},
    {"qk_rope_head_dim", CONF_WHOLE, DECODER(rope_dim), 0, 4096, 64, 0},
    {"v_head_dim", CONF_WHOLE, DECODER(v_dim), 0, 4096, 128, 0},
    {"attention_bias", CONF_FLAG, DECODER(attention_bias), 0, 1, 0, CONF_REFUSED},
    {"rms_norm_eps", CONF_REAL32, DECODER(eps), 0, 1, 1e-6, CONF_REFUSED},
    {"rope_theta", CONF_REAL, DECODER(rope_theta), 1, 1e12, 10000, CONF_REFUSED},
    {"max_position_embeddings", CONF_WHOLE, DECODER(context), 1, 1 << 24, 2048, CONF_REFUSED},
    {"tie_word_embeddings", CONF_FLAG, DECODER(tied), 0, 1, 0, CONF_REFUSED},
    {"bos_token_id", CONF_WHOLE, DECODER(bos), 0, 1 << 24, 100000, -1},
    {"eos_token_id", CONF_WHOLE, DECODER(eos), 0, 1 << 24, 100001, -1},
    {"pad_token_id", CONF_WHOLE, DECODER(pad), 0, 1 << 24, -1, -1},
};

static const conf_setting theta_settings[] = {
    {"rope_theta", CONF_REAL, DECODER(rope_theta), 1, 1e12, CONF_REQUIRED, CONF_REFUSED},
};
/* mscale_all_dim also scales the softmax when the type is not yarn (DeepseekV2Attention.__init__). */
static const conf_setting rope_settings[] = {
    {"factor", CONF_REAL, DECODER(rope_factor), 1e-3, 1e6, CONF_REQUIRED, CONF_REFUSED},
    {"original_max_position_embeddings", CONF_WHOLE, DECODER(rope_original), 1, 1 << 24, 0, 0},
    {"beta_fast", CONF_REAL, DECODER(rope_beta_fast), 1e-6, 1e6, 32, CONF_REFUSED},
    {"beta_slow", CONF_REAL, DECODER(rope_beta_slow), 1e-6, 1e6, 1, CONF_REFUSED},
    {"mscale", CONF_REAL, DECODER(rope_mscale), 0, 1e6, 1, CONF_REFUSED},
    {"mscale_all_dim", CONF_REAL, DECODER(rope_mscale_all), 0, 1e6, 0, CONF_REFUSED},
};

int conf_read_rope(const json_t *section, dsvl_decoder_config *d, bool yarn, const conf_place *lang)
{
    static const char *const types[] = {"linear", "dynamic", "yarn", "default", NULL};
    const json_t *scaling = json_object_get(section, "rope_scaling");
    const char *const key = scaling && !json_is_null(scaling) ? "rope_scaling" : "rope_parameters";
    char prefix[64];
    int type;
    scaling = json_object_get(section, key);
    d->rope = DSVL_ROPE_NONE;
    if (!scaling || json_is_null(scaling)) return 0;
    if (!json_is_object(scaling)) return conf_wrong(lang, key, scaling, "an object or null");
    snprintf(prefix, sizeof prefix, "%s%s.", lang->section, key);
    const conf_place p = {lang->where, prefix, lang->err};
    const char *const name = json_object_get(scaling, "rope_type") ? "rope_type" : "type";
    if (conf_read_choice(scaling, name, types, NULL, &type, &p)) return -1;
    if (json_object_get(scaling, "rope_theta") && CONF_READ(scaling, theta_settings, d, &p)) return -1;
    if (strcmp(types[type], "default") == 0) return 0;
    if (CONF_READ(scaling, rope_settings, d, &p)) return -1;
    const json_t *factor = json_object_get(scaling, "attention_factor");
    if (factor && !json_is_null(factor))
        return conf_wrong(&p, "attention_factor", factor, "left to the scaling");
    d->rope = (dsvl_rope_type)(DSVL_ROPE_LINEAR + type);
    if (d->rope_original == 0) d->rope_original = d->mla ? 4096 : d->context;
    if (d->rope == DSVL_ROPE_YARN && !yarn) {
        return conf_wrong(&p, name, json_object_get(scaling, name),
                          "\"linear\" or \"dynamic\": the attention that this model was published with has "
                          "no yarn");
    }
    return 0;
}

int conf_check_attention(dsvl_decoder_config *d, const conf_place *p)
{
    if (d->kv_heads == 0) d->kv_heads = d->heads;
    if (d->mla) {
        if (!d->kv_lora || !d->nope_dim || !d->rope_dim || d->rope_dim % 2 || !d->v_dim) {
            return dsvl_fail(p->err, DSVL_E_MODEL,
                             "%s: %suse_mla needs kv_lora_rank, qk_nope_head_dim and v_head_dim above 0 and "
                             "an even qk_rope_head_dim; they are %d, %d, %d and %d",
                             p->where, p->section, d->kv_lora, d->nope_dim, d->v_dim, d->rope_dim);
        }
        return 0;
    }
    d->head_dim = d->width / d->heads;
    if (d->width % d->heads || d->head_dim % 2) {
        return dsvl_fail(p->err, DSVL_E_MODEL,
                         "%s: %shidden_size %d is not num_attention_heads %d times an even number", p->where,
                         p->section, d->width, d->heads);
    }
    if (d->heads % d->kv_heads) {
        return dsvl_fail(p->err, DSVL_E_MODEL,
                         "%s: %snum_attention_heads %d is not a multiple of num_key_value_heads %d", p->where,
                         p->section, d->heads, d->kv_heads);
    }
    return 0;
}

static int read_experts(const json_t *section, dsvl_decoder_config *d, const conf_place *p)
{
    static const char *const methods[] = {"greedy", "group_limited_greedy", "noaux_tc", NULL};
    static const char *const scores[] = {"softmax", "sigmoid", NULL};
    int method, score;
    if (d->experts == 0) {
        d->shared_experts = d->experts_per_token = 0;
        return 0;
    }
    /* The published default of topk_method is misspelt and runs with no gate: it has to be said. */
    if (conf_read_choice(section, "topk_method", methods, NULL, &method, p) ||
        conf_read_choice(section, "scoring_func", scores, "softmax", &score, p)) {
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

static int read_decoder(const json_t *root, dsvl_config *config, const conf_place *top)
{
    static const char *const activations[] = {"silu", NULL};
    const json_t *section;
    const conf_place p = {top->where, "language_config.", top->err};
    dsvl_decoder_config *d = &config->decoder;
    int activation;
    if (read_section(root, "language_config", "deepseek_v2", &section, top) ||
        CONF_READ(section, decoder_settings, d, &p) ||
        conf_read_choice(section, "hidden_act", activations, "silu", &activation, &p) ||
        conf_read_rope(section, d, d->mla, &p) || conf_check_attention(d, &p) ||
        read_experts(section, d, &p)) {
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

static int parse_vl2(dsvl_config *config, const json_t *root, const conf_place *p)
{
    static const char *const positions[] = {"head", "tail", NULL};
    static const conf_setting em[] = {
        {"dsvl_preferred_em_px", CONF_WHOLE, offsetof(dsvl_config, preferred_em_px), 0, 1024, 0, 0},
        {"dsvl_line_pitch_px", CONF_WHOLE, offsetof(dsvl_config, line_pitch_px), 8, 1024, 0, 0},
        {"dsvl_region_tiles", CONF_WHOLE, offsetof(dsvl_config, region_tiles), 0, 4096, 0, 0},
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
        return conf_wrong(p, "tile_tag", tag, "\"2D\"");
    if (conf_read_choice(root, "global_view_pos", positions, "head", &position, p) ||
        CONF_READ(root, em, config, p) || read_vision(root, &config->vision, p) ||
        read_projector(root, config, p) || read_decoder(root, config, p)) {
        return -1;
    }
    config->projector.global_first = position == 0;
    if (!json_object_get(root, "candidate_resolutions")) return 0;
    if (conf_read_candidates(root, candidate, &candidates, p)) return -1;
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
    int (*parse)(dsvl_config *config, const json_t *root, const conf_place *p);
} families[] = {
    {"deepseek_vl_v2", DSVL_ARCH_VL2, parse_vl2},
    {"multi_modality", DSVL_ARCH_VL, conf_parse_vl}, /* which of the two: vision_config says */
    {"deepseek_vl", DSVL_ARCH_VL, conf_parse_vl_transformers},
    {"deepseek_vl_hybrid", DSVL_ARCH_VL_HYBRID, conf_parse_vl_transformers},
};

int dsvl_config_parse(dsvl_config *config, const char *json, size_t length, const char *where,
                      dsvl_error *err)
{
    const conf_place p = {where, "", err};
    json_t *root = conf_parse_json(json, length, where, err);
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
    if (status > 0)
        status = conf_wrong(&p, "model_type", type,
                            "a type that can be run: \"deepseek_vl_v2\", \"multi_modality\", "
                            "\"deepseek_vl\" or \"deepseek_vl_hybrid\"");
    if (status == 0) status = conf_read_quantization(root, &config->quantization, &p);
    json_decref(root);
    return status;
}

int dsvl_config_read(dsvl_config *config, const char *folder, dsvl_error *err)
{
    char *json = NULL, *where = NULL;
    size_t length;
    int status = conf_read_file(folder, "config.json", &json, &length, &where, err);
    if (status == 0) status = dsvl_config_parse(config, json, length, where, err);
    dsvl_dealloc(json);
    dsvl_dealloc(where);
    return status;
}
