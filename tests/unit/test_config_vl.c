/* SPDX-License-Identifier: Apache-2.0 */
/* DeepSeek-VL's released configurations, in both layouts, as numbers; what is refused, by file and key. */
#include <math.h>

#include "lib/config.h"
#include "lib/model.h"
#include "lib/stems.h"
#include "tests/unit/check.h"

/* deepseek-ai/deepseek-vl-1.3b-chat and -7b-chat, config.json; the text model's numbers can be changed. */
#define ONE(vision, aligner, language)                                                                       \
    "{\"architectures\":[\"MultiModalityCausalLM\"],\"model_type\":\"multi_modality\",\"torch_dtype\":"      \
    "\"float16\",\"aligner_config\":{\"cls\":\"MlpProjector\",\"model_type\":\"aligner\",\"params\":{"       \
    "\"depth\":2,\"input_dim\":1024,\"n_embed\":2048,\"projector_type\":\"mlp_gelu\"" aligner                \
    "}},\"language_config\":{\"hidden_size\":2048,\"intermediate_size\":5632,\"max_position_embeddings\":"   \
    "16384,\"model_type\":\"llama\",\"num_attention_heads\":16,\"num_hidden_layers\":24,"                    \
    "\"num_key_value_heads\":16,\"torch_dtype\":\"float16\",\"vocab_size\":102400" language                  \
    "},\"vision_config\":{\"cls\":\"CLIPVisionTower\",\"model_type\":\"vision\",\"params\":{"                \
    "\"image_size\":384,\"model_name\":\"siglip_large_patch16_384\",\"pixel_mean\":[0.5,0.5,0.5],"           \
    "\"pixel_std\":[0.5,0.5,0.5],\"select_feature\":\"same\",\"select_layer\":-1" vision "}}}"
#define TWO(high, top)                                                                                       \
    "{\"model_type\":\"multi_modality\",\"aligner_config\":{\"cls\":\"MlpProjector\",\"params\":{\"depth\":" \
    "2,\"input_dim\":1024,\"n_embed\":4096,\"projector_type\":\"low_high_hybrid_split_mlp_gelu\"}},"         \
    "\"language_config\":{\"max_position_embeddings\":16384,\"model_type\":\"llama\",\"num_hidden_layers\":" \
    "30,\"vocab_size\":102400},\"vision_config\":{\"cls\":\"HybridVisionTower\",\"params\":{"                \
    "\"concat_type\":\"tuple\",\"freeze_high\":true,\"freeze_low\":true,\"high_res_cfg\":{\"image_size\":"   \
    "1024,\"model_name\":\"sam_b_downsample\",\"output_dim\":1024,\"pixel_mean\":[0.48145466,0.4578275,"     \
    "0.40821073],\"pixel_std\":[0.26862954,0.26130258,0.27577711],\"select_feature\":\"same\","              \
    "\"select_layer\":-1" high "},\"low_res_cfg\":{\"image_size\":384,\"model_name\":"                       \
    "\"siglip_large_patch16_384\",\"output_dim\":1024,\"pixel_mean\":[0.5,0.5,0.5],\"pixel_std\":[0.5,0.5,"  \
    "0.5],\"select_feature\":\"same\",\"select_layer\":-1}" top "}}}"
/* deepseek-community's 7B: what its conversion writes. */
#define HYBRID(vision, text)                                                                                 \
    "{\"model_type\":\"deepseek_vl_hybrid\",\"image_token_id\":100015,\"text_config\":{\"model_type\":"      \
    "\"llama\",\"hidden_size\":4096,\"intermediate_size\":11008,\"max_position_embeddings\":16384,"          \
    "\"num_attention_heads\":32,\"num_hidden_layers\":30,\"vocab_size\":102400,\"head_dim\":128" text        \
    "},\"vision_config\":{\"model_type\":\"siglip_vision_model\",\"hidden_size\":1024,"                      \
    "\"intermediate_size\":4096,\"image_size\":384,\"patch_size\":16,\"hidden_act\":\"gelu\","               \
    "\"vision_use_head\":false,\"num_attention_heads\":16,\"num_hidden_layers\":24" vision                   \
    "},\"high_res_vision_config\":{\"model_type\":\"sam_vision_model\",\"hidden_size\":768,"                 \
    "\"intermediate_size\":3072,\"image_size\":1024,\"patch_size\":16,\"num_attention_heads\":12,"           \
    "\"num_hidden_layers\":12}}"

static int parse(dsvl_config *c, const char *json, dsvl_error *err)
{
    *err = (dsvl_error){0};
    return dsvl_config_parse(c, json, strlen(json), "M/config.json", err);
}

static void same_towers(const dsvl_config *c)
{
    const dsvl_vision_config *v = &c->vision;
    const dsvl_sam_config *s = &c->sam;
    CHECK(v->side == 24 && v->width == 1024 && v->layers == 24 && v->heads == 16 && v->mlp == 4096 &&
          v->gelu_erf);
    CHECK(v->eps == 1e-6f && dsvl_config_tile_side(c) == 24);
    if (c->arch != DSVL_ARCH_VL_HYBRID) return;
    CHECK(s->side == 64 && s->width == 768 && s->layers == 12 && s->heads == 12 && s->mlp == 3072);
    CHECK(s->window == 14 && s->neck == 256 && s->down[0] == 512 && s->down[1] == 1024 && s->out_side == 24);
    for (int i = 0; i < 12; i++) CHECK(s->global_block[i] == (i % 3 == 2));
    CHECK(s->first_global == 2);
}

static void released(void)
{
    dsvl_config c;
    dsvl_error err;
    CHECK_MSG(parse(&c, ONE("", "", ""), &err) == 0, "%s", err.message);
    CHECK(c.arch == DSVL_ARCH_VL && c.files == DSVL_FILES_ORIGINAL);
    same_towers(&c);
    CHECK(c.decoder.layers == 24 && c.decoder.head_dim == 128 && c.decoder.dense_mlp == 5632 &&
          !c.decoder.mla);
    CHECK(c.decoder.eps == 1e-6f && c.decoder.rope_theta == 10000 && !c.decoder.tied &&
          c.decoder.experts == 0);
    CHECK(c.projector.type == DSVL_PROJ_MLP_GELU && c.projector.output == 2048 && c.vision.mean[0] == 0.5);
    CHECK_MSG(parse(&c, TWO("", ""), &err) == 0, "%s", err.message);
    CHECK(c.arch == DSVL_ARCH_VL_HYBRID && c.files == DSVL_FILES_ORIGINAL);
    same_towers(&c);
    CHECK(c.decoder.width == 4096 && c.decoder.dense_mlp == 11008 && c.decoder.heads == 32 &&
          c.decoder.kv_heads == 32 && c.decoder.head_dim == 128);
    CHECK(fabs(c.sam.mean[2] - 0.40821073) < 1e-12 && c.vision.std[1] == 0.5);
    CHECK_STR(dsvl_stems_of(&c)->vision, "vision_model.vision_tower_low.vision_tower.");
    CHECK_MSG(parse(&c, HYBRID("", ""), &err) == 0, "%s", err.message);
    CHECK(c.arch == DSVL_ARCH_VL_HYBRID && c.files == DSVL_FILES_TRANSFORMERS && c.decoder.head_dim == 128);
    same_towers(&c);
    CHECK_STR(dsvl_stems_of(&c)->head, "lm_head.weight");
    CHECK_MSG(parse(&c, ONE(",\"select_layer\":-2", ",\"depth\":1", ""), &err) == 0 &&
                  c.vision.layers == 23 && c.projector.depth == 1,
              "%s", err.message);
    CHECK_MSG(
        parse(&c, HYBRID("", ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"rope_theta\":5e5,\"factor\":4}"),
              &err) == 0 &&
            c.decoder.rope == DSVL_ROPE_YARN && c.decoder.rope_theta == 5e5 &&
            c.decoder.rope_original == 16384,
        "%s", err.message);
}

static void refused(void)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {ONE(",\"model_name\":\"vit_b\"", "", ""), "vision_config.params.model_name is \"vit_b\""},
        {ONE(",\"image_size\":8", "", ""), "vision_config.params.: 8 pixels by patches of 16"},
        {ONE(",\"ignore_head\":false", "", ""), "params.ignore_head is false, not true"},
        {ONE("", ",\"input_dim\":512", ""), "takes features of width 512"},
        {ONE("", ",\"n_embed\":4096", ""), "makes embeddings of width 4096"},
        {ONE("", ",\"projector_type\":\"low_high_hybrid_split_mlp_gelu\"", ""),
         "aligner_config.params.projector_type"},
        {ONE("", "", ",\"hidden_act\":\"gelu\""), "language_config.hidden_act is \"gelu\", not \"silu\""},
        {ONE("", "", ",\"head_dim\":64"), "language_config.head_dim is 64, not 128"},
        {ONE("", "", ",\"model_type\":\"qwen2\""), "language_config.model_type is \"qwen2\""},
        {ONE("", "", ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":2}"), "published with has no yarn"},
        {ONE("", "", ",\"rope_scaling\":{\"type\":\"linear\"}"),
         "language_config.rope_scaling.factor is absent"},
        {TWO(",\"model_name\":\"sam_vit_l\"", ""), "high_res_cfg.model_name is \"sam_vit_l\""},
        {TWO(",\"global_attn_indexes\":[5,2]", ""), "high_res_cfg.global_attn_indexes"},
        {TWO(",\"downsample_channels\":[512,512]", ""), "towers have not both width 1024"},
        {TWO("", ",\"concat_type\":\"add\""), "concat_type is \"add\", not \"tuple\""},
        {HYBRID(",\"hidden_act\":\"relu\"", ""), "vision_config.hidden_act is \"relu\""},
        {HYBRID("", ",\"mlp_bias\":true"), "text_config.mlp_bias is true, not false"},
        {"{\"model_type\":\"deepseek_vl\"}", "vision_config is absent"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsvl_config c;
        dsvl_error err;
        CHECK_MSG(parse(&c, cases[i].json, &err) == -1 && err.code == DSVL_E_MODEL &&
                      strncmp(err.message, "M/config.json: ", 15) == 0 &&
                      strstr(err.message, cases[i].message),
                  "case %zu: got \"%s\", want \"%s\"", i, err.message, cases[i].message);
    }
}

/* Parameters of a released file, in units of 1e4: those that are bound, and `unused` that nothing reads. The
 * published files hold 3.950 and 14.688 GB of two bytes each. */
static void sizes(void)
{
    /* attn_pool: latent, q, kv, proj, norm, fc1 and fc2 of width 1024; the hybrid's two norms */
    const double pool = 1024 + 4 * (1024 * 1024 + 1024) + 2048 + 2 * 4096 * 1024 + 4096 + 1024;
    const struct {
        const char *json;
        double unused, parameters;
    } files[] = {
        {ONE("", "", ""), pool, 1.9752e9},
        {TWO("", ""), pool + 4 * 1024, 7.3440e9},
        {HYBRID("", ""), pool + 4 * 1024, 7.3440e9},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        dsvl_config c;
        dsvl_error err;
        size_t count = 0;
        double sum = files[i].unused;
        CHECK(parse(&c, files[i].json, &err) == 0);
        dsvl_model *plan = dsvl_model_plan(&c, DSVL_PART_VISION | DSVL_PART_DECODER, &err);
        CHECK_MSG(plan, "%s", err.message);
        const dsvl_want *wants = plan ? dsvl_checkpoint_wants(plan->checkpoint, &count) : NULL;
        for (size_t k = 0; k < count; k++) {
            double n = 1;
            for (int d = 0; d < wants[k].rank; d++) n *= (double)wants[k].shape[d];
            sum += n;
        }
        CHECK_MSG(fabs(sum - files[i].parameters) < 5e4, "%zu: %.0f parameters", i, sum);
        dsvl_model_close(plan);
    }
}

static void processors(void)
{
    static const char original[] =
        "{\"background_color\":[122,116,104],\"do_normalize\":false,\"image_mean\":[0.48145466,0.4578275,"
        "0.40821073],\"image_processor_type\":\"VLMImageProcessor\",\"image_size\":1024,\"image_std\":["
        "0.26862954,0.26130258,0.27577711],\"min_size\":14,\"rescale_factor\":0.00392156862745098}";
    static const char hybrid[] =
        "{\"image_processor_type\":\"DeepseekVLHybridImageProcessor\",\"do_convert_rgb\":null,\"do_pad\":"
        "true,"
        "\"size\":{\"height\":384,\"width\":384},\"high_res_size\":{\"height\":1024,\"width\":1024},"
        "\"image_mean\":[0.5,0.5,0.5],\"image_std\":[0.5,0.5,0.5],\"resample\":2,\"high_res_resample\":3}";
    static const char *const wrong[][2] = {
        {"{\"image_processor_type\":\"CLIPImageProcessor\"}",
         "image_processor_type is \"CLIPImageProcessor\""},
        {"{\"image_processor_type\":\"VLMImageProcessor\"}", "image_size is absent"},
        {"{\"image_processor_type\":\"DeepseekVLImageProcessor\",\"size\":{\"height\":3,\"width\":4}}",
         "size is "},
        {"{\"image_processor_type\":\"DeepseekVLImageProcessor\",\"resample\":1}",
         "2 (bilinear) or 3 (bicubic)"},
        {"{\"image_processor_type\":\"DeepseekVLImageProcessor\",\"do_pad\":false}",
         "do_pad is false, not true"},
        {"{\"image_processor_type\":\"DeepseekVLImageProcessor\",\"min_size\":400}",
         "min_size is 400, not at most"},
        {"{\"image_processor_type\":\"DeepseekVLImageProcessor\",\"rescale_factor\":1}",
         "rescale_factor is 1"},
    };
    dsvl_processor_config p;
    dsvl_error err = {0};
    CHECK_MSG(dsvl_processor_config_parse(&p, original, strlen(original), "M/p", &err) == 0, "%s",
              err.message);
    CHECK(p.square && !p.by_ratio && p.tile_size == 1024 && p.min_size == 14 && !p.normalize &&
          p.low_size == 0);
    CHECK(p.pad_color[0] == 122 && p.pad_color[1] == 116 && p.pad_color[2] == 104 && p.tokens == 576);
    CHECK(p.filter == DSVL_PILLOW_BICUBIC);
    CHECK_STR(p.image_token, "<image_placeholder>");
    CHECK_MSG(dsvl_processor_config_parse(&p, hybrid, strlen(hybrid), "M/p", &err) == 0, "%s", err.message);
    CHECK(p.square && p.by_ratio && p.tile_size == 1024 && p.low_size == 384 && p.normalize);
    CHECK(p.pad_color[0] == 127 && p.pad_color[2] == 127 && p.low_filter == DSVL_PILLOW_BILINEAR);
    CHECK(p.filter == DSVL_PILLOW_BICUBIC && p.low_mean[0] == 0.5 && fabs(p.mean[1] - 0.4578275) < 1e-12);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        err = (dsvl_error){0};
        CHECK_MSG(dsvl_processor_config_parse(&p, wrong[i][0], strlen(wrong[i][0]), "M/p", &err) == -1 &&
                      strncmp(err.message, "M/p: ", 5) == 0 && strstr(err.message, wrong[i][1]),
                  "%zu: %s", i, err.message);
    }
}

int main(void)
{
    released();
    refused();
    sizes();
    processors();
    return CHECK_DONE();
}
