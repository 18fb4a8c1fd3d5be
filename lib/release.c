/* SPDX-License-Identifier: Apache-2.0 */
/* The released models as a table. Facts from the published repositories: the numbers of config.json (a key
 * that equals the default of the published configuration class is absent there), the names and sizes of the
 * weight files.
 *
 * The first DeepSeek-VL2 was written by two processes, each cutting files at 8 GiB: 8.59, 8.59, 8.59, 1.37
 * GB, then 8.6, 8.59, 8.59, 2.03 GB; by the sizes the second began with layer 15. */
#include "lib/release.h"

#include <string.h>

#include "lib/alloc.h"

#define GIB8 ((uint64_t)8 << 30)
enum {
    TILE = 384,
    TINY_TILE = 76
}; /* five patches of 14 and, as in the released towers, 6 pixels that no patch has */

/* The files of DeepSeek-VL2 but for its language_config; 0 stands for the candidate resolutions. */
#define VL2_CONFIG(language, width)                                                                          \
    "{'candidate_resolutions': 0, 'global_view_pos': 'head', 'language_config': " language                   \
    ", 'model_type': 'deepseek_vl_v2', 'projector_config': {'model_type': 'mlp_projector', "                 \
    "'n_embed': " width "}, 'tile_tag': '2D', 'torch_dtype': 'bfloat16', 'transformers_version': '4.38.2', " \
    "'vision_config': {'layers': "                                                                           \
    "27, 'mlp_ratio': 3.7362, 'model_name': 'siglip_so400m_patch14_384', 'model_type': 'vision', "           \
    "'patch_size': 14, "                                                                                     \
    "'width': 1152}}"
static const dsvl_release_file vl2_files[] = {
    {"processor_config.json",
     "{'add_special_token': false, 'candidate_resolutions': 0, 'downsample_ratio': "
     "2, 'ignore_id': -100, 'image_mean': "
     "[0.5, 0.5, 0.5], 'image_std': [0.5, 0.5, 0.5], 'image_token': '<image>', "
     "'mask_prompt': false, 'normalize': true, "
     "'pad_token': '<\xef\xbd\x9c\xe2\x96\x81pad\xe2\x96\x81\xef\xbd\x9c>', "
     "'patch_size': 14, 'processor_class': "
     "'DeepseekVLV2Processor', 'sft_format': 'deepseek'}",
     NULL},
    {NULL, NULL, NULL}};
/* Scaled down: sizes that a group of 128 divides, and one, as there, that it does not (the tower's 239). */
static const char vl2_tiny[] =
    "{'language_config': {'hidden_size': 128, 'intermediate_size': 320, 'moe_intermediate_size': 128, "
    "'n_routed_experts': 8, 'num_attention_heads': 4, 'num_experts_per_tok': 3, 'num_hidden_layers': 3, "
    "'num_key_value_heads': 4, 'vocab_size': 512}, 'projector_config': {'input_dim': 64, 'n_embed': 128}, "
    "'vision_config': {'heads': 2, 'image_size': 76, 'layers': 2, 'width': 64}}";
static const char vl2_tiny_latent[] =
    "{'language_config': {'hidden_size': 128, 'intermediate_size': 320, 'moe_intermediate_size': 128, "
    "'n_routed_experts': 8, 'num_attention_heads': 4, 'num_experts_per_tok': 3, 'num_hidden_layers': 3, "
    "'num_key_value_heads': 4, 'vocab_size': 512, 'kv_lora_rank': 64, 'qk_nope_head_dim': 32, "
    "'qk_rope_head_dim': 16, 'v_head_dim': 32}, 'projector_config': {'input_dim': 64, 'n_embed': 128}, "
    "'vision_config': {'heads': 2, 'image_size': 76, 'layers': 2, 'width': 64}}";

/* The attention pool at the end of SigLIP: no model of the family reaches it. */
#define ATTENTION_POOL                                                                                       \
    {0, "latent", 3, {1, 1, DSVL_DIM_WIDTH}}, {0, "q.weight", 2, {DSVL_DIM_WIDTH, DSVL_DIM_WIDTH}},          \
        {0, "q.bias", 1, {DSVL_DIM_WIDTH}}, {0, "kv.weight", 2, {DSVL_DIM_KV, DSVL_DIM_WIDTH}},              \
        {0, "kv.bias", 1, {DSVL_DIM_KV}}, {0, "proj.weight", 2, {DSVL_DIM_WIDTH, DSVL_DIM_WIDTH}},           \
        {0, "proj.bias", 1, {DSVL_DIM_WIDTH}}, {0, "norm.weight", 1, {DSVL_DIM_WIDTH}},                      \
        {0, "norm.bias", 1, {DSVL_DIM_WIDTH}}, {0, "mlp.fc1.weight", 2, {DSVL_DIM_MLP, DSVL_DIM_WIDTH}},     \
        {0, "mlp.fc1.bias", 1, {DSVL_DIM_MLP}}, {0, "mlp.fc2.weight", 2, {DSVL_DIM_WIDTH, DSVL_DIM_MLP}},    \
    {                                                                                                        \
        0, "mlp.fc2.bias", 1,                                                                                \
        {                                                                                                    \
            DSVL_DIM_WIDTH                                                                                   \
        }                                                                                                    \
    }
static const dsvl_unused_tensor pool[] = {ATTENTION_POOL, {0, NULL, 0, {0}}};
static const dsvl_unused_tensor nothing[] = {{0, NULL, 0, {0}}};
/* And the norms that the tower of two towers has and does not use. */
static const dsvl_unused_tensor pool_and_norms[] = {ATTENTION_POOL,
                                                    {1, "weight", 1, {DSVL_DIM_WIDTH}},
                                                    {1, "bias", 1, {DSVL_DIM_WIDTH}},
                                                    {2, "weight", 1, {DSVL_DIM_WIDTH}},
                                                    {2, "bias", 1, {DSVL_DIM_WIDTH}},
                                                    {0, NULL, 0, {0}}};

/* DeepSeek-VL: sizes of the towers stand in the published code, not in config.json; scaled down they do. */
#define HALF "[0.5, 0.5, 0.5]"
#define CLIP_MEAN "[0.48145466, 0.4578275, 0.40821073]"
#define CLIP_STD "[0.26862954, 0.26130258, 0.27577711]"
#define LLAMA_TINY                                                                                           \
    "'hidden_size': 128, 'intermediate_size': 320, 'num_attention_heads': 4, 'num_key_value_heads': 4, "     \
    "'num_hidden_layers': 3, 'vocab_size': 512"
#define VL_LANGUAGE_TINY "'language_config': {" LLAMA_TINY "}"
#define VL_IMAGE(color, size, mean, std)                                                                     \
    "{'background_color': " color ", 'do_normalize': false, 'image_mean': " mean                             \
    ", 'image_processor_type': 'VLMImageProcessor', 'image_size': " size ", 'image_std': " std               \
    ", 'min_size': 14, 'processor_class': 'VLChatProcessor', 'rescale_factor': 0.00392156862745098}"
#define VL_CHAT                                                                                              \
    "{'add_special_token': false, 'ignore_id': -100, 'image_tag': '<image_placeholder>', 'mask_prompt': "    \
    "true, "                                                                                                 \
    "'num_image_tokens': 576, 'processor_class': 'VLChatProcessor', 'sft_format': 'deepseek'}"
static const dsvl_release_file vl_1b_files[] = {
    {"preprocessor_config.json", VL_IMAGE("[127, 127, 127]", "384", HALF, HALF), "{'image_size': 48}"},
    {"processor_config.json", VL_CHAT, "{'num_image_tokens': 16}"},
    {NULL, NULL, NULL}};
static const dsvl_release_file vl_7b_files[] = {{"preprocessor_config.json",
                                                 VL_IMAGE("[122, 116, 104]", "1024", CLIP_MEAN, CLIP_STD),
                                                 "{'image_size': 128}"},
                                                {"processor_config.json", VL_CHAT, NULL},
                                                {NULL, NULL, NULL}};

/* The same models as transformers' converters write them (convert_deepseek_vl_weights_to_hf.py and
 * convert_deepseek_vl_hybrid_weights_to_hf.py): the attention pool and the unused norms are gone. */
#define LLAMA(hidden, inner, heads, layers)                                                                  \
    "'text_config': {'attention_bias': false, 'attention_dropout': 0.0, 'head_dim': 128, 'hidden_act': "     \
    "'silu', 'hidden_size': " hidden ", 'initializer_range': 0.02, 'intermediate_size': " inner              \
    ", 'max_position_embeddings': 16384, 'mlp_bias': false, 'model_type': 'llama', "                         \
    "'num_attention_heads': " heads ", 'num_hidden_layers': " layers ", 'num_key_value_heads': " heads       \
    ", 'pretraining_tp': 1, 'rms_norm_eps': 1e-06, 'rope_scaling': null, 'rope_theta': 10000.0, "            \
    "'use_cache': true, 'vocab_size': 102400}"
#define SIGLIP                                                                                               \
    "'vision_config': {'attention_dropout': 0.0, 'hidden_act': 'gelu', 'hidden_size': 1024, 'image_size': "  \
    "384, 'intermediate_size': 4096, 'layer_norm_eps': 1e-06, 'model_type': 'siglip_vision_model', "         \
    "'num_attention_heads': 16, 'num_channels': 3, 'num_hidden_layers': 24, 'patch_size': 16, "              \
    "'vision_use_head': false}"
#define SAM                                                                                                  \
    "'high_res_vision_config': {'attention_dropout': 0.0, 'global_attn_indexes': [2, 5, 8, 11], "            \
    "'hidden_act': 'gelu', 'hidden_size': 768, 'image_size': 1024, 'initializer_range': 1e-10, "             \
    "'layer_norm_eps': 1e-06, 'mlp_dim': 3072, 'mlp_ratio': 4.0, 'model_type': 'sam_vision_model', "         \
    "'num_attention_heads': 12, 'num_channels': 3, 'num_hidden_layers': 12, 'num_pos_feats': 128, "          \
    "'output_channels': 256, 'patch_size': 16, 'qkv_bias': true, 'use_abs_pos': true, 'use_rel_pos': true, " \
    "'window_size': 14}"
#define VL_TRANSFORMERS(kind, model, more)                                                                   \
    "{'architectures': ['Deepseek" kind "ForConditionalGeneration'], 'dtype': 'float16', " more              \
    "'image_token_id': 100015, 'model_type': '" model "', 'transformers_version': '4.57.6'}"
#define VL_PIXELS(kind, more, resample)                                                                      \
    "{'background_color': [127, 127, 127], 'do_convert_rgb': null, 'do_normalize': true, 'do_pad': true, "   \
    "'do_rescale': true, 'do_resize': true, " more "'image_mean': " HALF                                     \
    ", 'image_processor_type': 'Deepseek" kind "ImageProcessor', 'image_std': " HALF                         \
    ", 'min_size': 14, 'processor_class': 'Deepseek" kind "Processor', 'resample': " resample                \
    ", 'rescale_factor': 0.00392156862745098, 'size': {'height': 384, 'width': 384}}"
static const dsvl_release_file vl_1b_converted_files[] = {
    {"preprocessor_config.json", VL_PIXELS("VL", "", "3"), "{'size': {'height': 48, 'width': 48}}"},
    {"processor_config.json", "{'num_image_tokens': 576, 'processor_class': 'DeepseekVLProcessor'}",
     "{'num_image_tokens': 16}"},
    {NULL, NULL, NULL}};
static const dsvl_release_file vl_7b_converted_files[] = {
    {"preprocessor_config.json",
     VL_PIXELS("VLHybrid",
               "'high_res_background_color': [122, 116, 104], 'high_res_image_mean': " CLIP_MEAN
               ", 'high_res_image_std': " CLIP_STD
               ", 'high_res_resample': 3, 'high_res_size': {'height': 1024, 'width': 1024}, ",
               "2"),
     "{'high_res_size': {'height': 128, 'width': 128}, 'size': {'height': 48, 'width': 48}}"},
    {"processor_config.json", "{'num_image_tokens': 576, 'processor_class': 'DeepseekVLHybridProcessor'}",
     NULL},
    {NULL, NULL, NULL}};
#define VL_TRANSFORMERS_TINY "{'image_token_id': 499, 'text_config': {'head_dim': 32, " LLAMA_TINY "}, "
#define SIGLIP_TINY                                                                                          \
    "'hidden_size': 64, 'image_size': 48, 'intermediate_size': 256, 'num_attention_heads': 2, "              \
    "'num_hidden_layers': 2}"

static const dsvl_release releases[] = {
    {.name = "deepseek-vl-1.3b",
     .config = "{'aligner_config': {'cls': 'MlpProjector', 'model_type': 'aligner', 'params': {'depth': 2, "
               "'input_dim': 1024, 'n_embed': 2048, 'projector_type': 'mlp_gelu'}}, 'architectures': "
               "['MultiModalityCausalLM'], 'language_config': {'hidden_size': 2048, 'intermediate_size': "
               "5632, 'max_position_embeddings': 16384, 'model_type': 'llama', 'num_attention_heads': 16, "
               "'num_hidden_layers': 24, 'num_key_value_heads': 16, 'torch_dtype': 'float16', 'vocab_size': "
               "102400}, 'model_type': 'multi_modality', 'torch_dtype': 'float16', 'transformers_version': "
               "'4.38.2', 'vision_config': {'cls': 'CLIPVisionTower', 'model_type': 'vision', 'params': "
               "{'image_size': 384, 'model_name': 'siglip_large_patch16_384', 'pixel_mean': " HALF
               ", 'pixel_std': " HALF ", 'select_feature': 'same', 'select_layer': -1}}}",
     .settings = vl_1b_files,
     .tiny = "{'aligner_config': {'params': {'input_dim': 64, 'n_embed': 128}}, " VL_LANGUAGE_TINY
             ", 'vision_config': {'params': {'image_size': 48, 'patch_size': 12, 'width': 64, 'layers': 2, "
             "'heads': 2}}}",
     .dtype = DSVL_F16,
     .files = 1,
     .unused = pool,
     .image_token = "<image_placeholder>",
     .ids = {100016, 100000},
     .tiny_ids = {500, 484}},
    {.name = "deepseek-vl-7b",
     .config =
         "{'aligner_config': {'cls': 'MlpProjector', 'model_type': 'aligner', 'params': {'depth': 2, "
         "'input_dim': 1024, 'n_embed': 4096, 'projector_type': 'low_high_hybrid_split_mlp_gelu'}}, "
         "'architectures': ['MultiModalityCausalLM'], 'language_config': {'max_position_embeddings': 16384, "
         "'model_type': 'llama', 'num_hidden_layers': 30, 'torch_dtype': 'float16', 'vocab_size': 102400}, "
         "'model_type': 'multi_modality', 'torch_dtype': 'float16', 'transformers_version': '4.38.2', "
         "'vision_config': {'cls': 'HybridVisionTower', 'model_type': 'vision', 'params': {'concat_type': "
         "'tuple', 'freeze_high': true, 'freeze_low': true, 'high_res_cfg': {'image_size': 1024, "
         "'model_name': 'sam_b_downsample', 'output_dim': 1024, 'pixel_mean': " CLIP_MEAN
         ", 'pixel_std': " CLIP_STD
         ", 'select_feature': 'same', 'select_layer': -1}, 'low_res_cfg': {'image_size': 384, 'model_name': "
         "'siglip_large_patch16_384', 'output_dim': 1024, 'pixel_mean': " HALF ", 'pixel_std': " HALF
         ", 'select_feature': 'same', 'select_layer': -1}}}}",
     .settings = vl_7b_files,
     .tiny = "{'aligner_config': {'params': {'input_dim': 64, 'n_embed': 128}}, " VL_LANGUAGE_TINY
             ", 'vision_config': {'params': {'high_res_cfg': {'image_size': 128, 'output_dim': 64, "
             "'patch_size': 8, 'width': 64, 'layers': 4, 'heads': 2, 'global_attn_indexes': [1, 3], "
             "'prompt_embed_dim': 32, 'downsample_channels': [32, 64]}, 'low_res_cfg': {'image_size': 48, "
             "'output_dim': 64, 'patch_size': 2, 'width': 64, 'layers': 2, 'heads': 2}}}}",
     .dtype = DSVL_F16,
     .shards = {5000000000, 0, 5},
     .files = 3,
     .unused = pool_and_norms,
     .image_token = "<image_placeholder>",
     .ids = {100016, 100000},
     .tiny_ids = {500, 484}},
    {.name = "deepseek-vl-1.3b-transformers",
     .config = VL_TRANSFORMERS("VL", "deepseek_vl", LLAMA("2048", "5632", "16", "24") ", " SIGLIP ", "),
     .settings = vl_1b_converted_files,
     .tiny = VL_TRANSFORMERS_TINY "'vision_config': {'patch_size': 12, " SIGLIP_TINY "}",
     .dtype = DSVL_F16,
     .files = 1,
     .unused = nothing,
     .image_token = "<image_placeholder>",
     .ids = {100016, 100000},
     .tiny_ids = {500, 484}},
    {.name = "deepseek-vl-7b-transformers",
     .config = VL_TRANSFORMERS("VLHybrid", "deepseek_vl_hybrid",
                               LLAMA("4096", "11008", "32", "30") ", " SIGLIP ", " SAM ", "),
     .settings = vl_7b_converted_files,
     .tiny = VL_TRANSFORMERS_TINY
     "'high_res_vision_config': {'global_attn_indexes': [1, 3], 'hidden_size': 64, 'image_size': 128, "
     "'mlp_dim': 256, 'num_attention_heads': 2, 'num_hidden_layers': 4, 'num_pos_feats': 32, "
     "'output_channels': 16, 'patch_size': 8}, 'vision_config': {'patch_size': 2, " SIGLIP_TINY "}",
     .dtype = DSVL_F16,
     .shards = {5000000000, 0, 5},
     .files = 3,
     .unused = nothing,
     .image_token = "<image_placeholder>",
     .ids = {100016, 100000},
     .tiny_ids = {500, 484}},
    {.name = "deepseek-vl2-tiny",
     .config = VL2_CONFIG(
         "{'architectures': ['DeepseekV2ForCausalLM'], 'auto_map': {'AutoConfig': "
         "'configuration_deepseek.DeepseekV2Config', 'AutoModel': 'modeling_deepseek.DeepseekV2Model', "
         "'AutoModelForCausalLM': 'modeling_deepseek.DeepseekV2ForCausalLM'}, 'bos_token_id': 0, "
         "'eos_token_id': "
         "1, 'first_k_dense_replace': 1, 'hidden_size': 1280, 'intermediate_size': 6848, "
         "'kv_lora_rank': null, "
         "'lm_head': true, 'max_position_embeddings': 4096, 'model_type': 'deepseek_v2', "
         "'moe_intermediate_size': 896, 'n_group': 1, 'n_routed_experts': 64, 'n_shared_experts': 2, "
         "'num_attention_heads': 10, 'num_experts_per_tok': 6, 'num_hidden_layers': 12, "
         "'num_key_value_heads': "
         "10, 'q_lora_rank': null, 'qk_nope_head_dim': 0, 'qk_rope_head_dim': 0, 'rm_head': false, "
         "'topk_group': 1, 'topk_method': 'greedy', 'torch_dtype': 'bfloat16', 'use_mla': false, "
         "'v_head_dim': "
         "0, 'vocab_size': 129280}",
         "1280"),
     .settings = vl2_files,
     .tiny = vl2_tiny,
     .dtype = DSVL_BF16,
     .shards = {GIB8, 0, 6},
     .files = 1,
     .unused = pool,
     .ids = {128815, 0},
     .tiny_ids = {480, 0}},
    {.name = "deepseek-vl2-small",
     .config = VL2_CONFIG(
         "{'architectures': ['DeepseekV2ForCausalLM'], 'bos_token_id': 100000, 'eos_token_id': 100001, "
         "'first_k_dense_replace': 1, 'hidden_size': 2048, 'intermediate_size': 10944, 'kv_lora_rank': 512, "
         "'lm_head': true, 'max_position_embeddings': 4096, 'model_type': 'deepseek_v2', "
         "'moe_intermediate_size': 1408, 'n_group': 1, 'n_routed_experts': 64, 'n_shared_experts': 2, "
         "'num_attention_heads': 16, 'num_experts_per_tok': 6, 'num_hidden_layers': 27, "
         "'num_key_value_heads': "
         "16, 'q_lora_rank': null, 'qk_nope_head_dim': 128, 'qk_rope_head_dim': 64, 'rm_head': false, "
         "'topk_group': 1, 'topk_method': 'greedy', 'torch_dtype': 'bfloat16', 'v_head_dim': 128, "
         "'vocab_size': 102400}",
         "2048"),
     .settings = vl2_files,
     .tiny = vl2_tiny_latent,
     .dtype = DSVL_BF16,
     .shards = {GIB8, 0, 6},
     .files = 4,
     .unused = pool,
     .ids = {100002, 100000},
     .tiny_ids = {480, 478}},
    {.name = "deepseek-vl2",
     .config = VL2_CONFIG(
         "{'architectures': ['DeepseekV2ForCausalLM'], 'bos_token_id': 0, 'eos_token_id': 1, "
         "'first_k_dense_replace': 1, 'hidden_size': 2560, 'intermediate_size': 12288, 'kv_lora_rank': 512, "
         "'lm_head': true, 'max_position_embeddings': 4096, 'model_type': 'deepseek_v2', "
         "'moe_intermediate_size': 1536, 'n_group': 1, 'n_routed_experts': 72, 'n_shared_experts': 2, "
         "'norm_topk_prob': true, 'num_experts_per_tok': 6, 'q_lora_rank': null, 'qk_nope_head_dim': 128, "
         "'qk_rope_head_dim': 64, 'rm_head': false, 'routed_scaling_factor': 2.0, 'scoring_func': 'sigmoid', "
         "'topk_group': 1, 'topk_method': 'noaux_tc', 'torch_dtype': 'bfloat16', 'v_head_dim': 128, "
         "'vocab_size': 129280}",
         "2560"),
     .settings = vl2_files,
     .tiny = vl2_tiny_latent,
     .dtype = DSVL_BF16,
     .shards = {GIB8, 0, 6},
     .files = 8,
     .second_layer = 15,
     .unused = pool,
     .ids = {128815, 0},
     .tiny_ids = {480, 0}},
};

const dsvl_release *dsvl_release_at(size_t i)
{
    return i < sizeof releases / sizeof *releases ? &releases[i] : NULL;
}

const dsvl_release *dsvl_release_find(const char *name)
{
    for (size_t i = 0; dsvl_release_at(i); i++) {
        if (strcmp(releases[i].name, name) == 0) return &releases[i];
    }
    return NULL;
}

/* ---- the settings files ------------------------------------------------------------------------------ */

/* JSON written with ' for ", which C strings would have to escape. */
static json_t *parse(const char *text)
{
    char *copy = dsvl_strdup(text);
    if (!copy) return NULL;
    for (char *p = copy; *p; p++) {
        if (*p == '\'') *p = '"';
    }
    json_t *value = json_loads(copy, 0, NULL);
    dsvl_dealloc(copy);
    return value;
}

/* Every grid of up to nine tiles, in the order of the released files, which decides ties. */
static json_t *candidates(int tile)
{
    static const signed char grid[][2] = {
        {1, 1}, {1, 2}, {2, 1}, {1, 3}, {3, 1}, {1, 4}, {4, 1}, {2, 2}, {1, 5}, {5, 1}, {1, 6}, {6, 1},
        {2, 3}, {3, 2}, {1, 7}, {7, 1}, {1, 8}, {8, 1}, {2, 4}, {4, 2}, {1, 9}, {9, 1}, {3, 3},
    };
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof grid / sizeof *grid; i++)
        json_array_append_new(list, json_pack("[i, i]", grid[i][0] * tile, grid[i][1] * tile));
    return list;
}

/* Change `into` where `from` has something else; objects go down. */
static void merge(json_t *into, json_t *from)
{
    const char *key;
    json_t *value;
    json_object_foreach(from, key, value)
    {
        json_t *old = json_object_get(into, key);
        if (json_is_object(old) && json_is_object(value))
            merge(old, value);
        else
            json_object_set(into, key, value);
    }
}

/* The settings of a file; scaled down, and with the candidates in their place. */
static json_t *settings(const char *text, const char *tiny, bool scale)
{
    json_t *value = parse(text);
    if (scale && tiny) {
        json_t *change = parse(tiny);
        if (!change) {
            json_decref(value);
            return NULL;
        }
        merge(value, change);
        json_decref(change);
    }
    if (json_object_get(value, "candidate_resolutions"))
        json_object_set_new(value, "candidate_resolutions", candidates(scale ? TINY_TILE : TILE));
    return value;
}

json_t *dsvl_release_config(const dsvl_release *release, bool tiny)
{
    json_t *config = settings(release->config, release->tiny, tiny);
    json_t *language = json_object_get(config, "language_config"),
           *bos = json_object_get(language, "bos_token_id");
    if (tiny && json_integer_value(bos) > 0) {
        json_object_set_new(language, "bos_token_id", json_integer(release->tiny_ids.begin));
        json_object_set_new(language, "eos_token_id", json_integer(release->tiny_ids.begin + 1));
    }
    return config;
}

json_t *dsvl_release_settings(const dsvl_release_file *file, bool tiny)
{
    return settings(file->json, file->tiny, tiny);
}
