/* SPDX-License-Identifier: Apache-2.0 */
/* A model's configuration: config.json, processor_config.json and tokenizer_config.json as numbers, checked.
 */
#ifndef DSVL_LIB_CONFIG_H
#define DSVL_LIB_CONFIG_H

#include <stdbool.h>

#include "lib/error.h"

/* DeepSeek-VL2; DeepSeek-VL with one tower (1.3B); DeepSeek-VL with two (7B). */
typedef enum dsvl_architecture {
    DSVL_ARCH_VL2,
    DSVL_ARCH_VL,
    DSVL_ARCH_VL_HYBRID,
    DSVL_ARCH_COUNT
} dsvl_architecture;
/* Whose files: deepseek-ai's, or those that transformers writes (deepseek-community). */
typedef enum dsvl_files { DSVL_FILES_ORIGINAL, DSVL_FILES_TRANSFORMERS, DSVL_FILES_COUNT } dsvl_files;

/* Numbers by which Pillow, and the files, call a resampling filter. */
enum { DSVL_PILLOW_BILINEAR = 2, DSVL_PILLOW_BICUBIC = 3 };

/* What dsvl-tile needs, from processor_config.json and, of DeepSeek-VL, preprocessor_config.json. Mirrors
 * DeepseekVLV2Processor.__init__; VLMImageProcessor and VLChatProcessor; transformers'
 * DeepseekVL{,Hybrid}ImageProcessor and -Processor. */
#define DSVL_MAX_CANDIDATES 256
typedef struct dsvl_processor_config {
    bool square;   /* DeepSeek-VL: a picture becomes one padded square, which is not cut; the candidates are
                      that square alone */
    int tokens;    /* square: num_image_tokens */
    int min_size;  /* square: the shorter side becomes at least this */
    bool by_ratio; /* square: a side is int(side * (S / longest)), not int(side / longest * S) */
    int filter;    /* square: DSVL_PILLOW_... */
    /* A second, smaller picture made of the padded square, for the low-resolution tower; 0: none here. */
    int low_size, low_filter;
    double low_mean[3], low_std[3];

    int tile_size; /* candidate_resolutions[0][0] */
    int patch_size, downsample_ratio;
    int candidates;
    int candidate[DSVL_MAX_CANDIDATES][2]; /* width, height; in file order, which decides ties */
    double mean[3], std[3];
    int pad_color[3]; /* int(mean * 255) */
    bool normalize;
    char image_token[64], pad_token[64], sft_format[32];
} dsvl_processor_config;

/* Mirrors VisionEncoderConfig and siglip_vit.VisionTransformer. */
typedef struct dsvl_vision_config {
    int image_size, patch_size, side; /* side = image_size / patch_size patches a row */
    int width, layers, heads, mlp;    /* mlp = int(width * mlp_ratio) */
    float eps;
    bool gelu_erf; /* else its tanh approximation */
    /* (v / 255 - mean) / std. From the processor's file, or where the published tower does it (DeepSeek-VL's
     * original layout) from the tower's settings. */
    double mean[3], std[3];
} dsvl_vision_config;

/* Mirrors sam.ImageEncoderViT: the high-resolution tower of the hybrid. */
#define DSVL_SAM_MAX_LAYERS 64
typedef struct dsvl_sam_config {
    int image_size, patch_size, side;
    int width, layers, heads, mlp;
    int window;                             /* tokens a side of a window */
    bool global_block[DSVL_SAM_MAX_LAYERS]; /* blocks without windows */
    int first_global;                       /* whose output the high-resolution branch takes */
    int neck;                               /* channels behind the neck */
    int down[2];                            /* channels behind each strided convolution */
    int out_side; /* tokens a side of the result; the neck is resized to 4 times it */
    float eps;
    double mean[3], std[3];
} dsvl_sam_config;

/* Mirrors MlpProjectorConfig. */
typedef enum dsvl_projector_type {
    DSVL_PROJ_IDENTITY,
    DSVL_PROJ_LINEAR,
    DSVL_PROJ_MLP_GELU,
    DSVL_PROJ_DOWNSAMPLE_MLP_GELU,
    DSVL_PROJ_HYBRID_SPLIT_MLP_GELU /* each tower to half of n_embed, joined */
} dsvl_projector_type;
typedef struct dsvl_projector_config {
    dsvl_projector_type type;
    int input, output, depth, ratio, downsample; /* input = tower width, output = n_embed */
    bool token_pooling; /* a linear layer over 2x2 patches before the projector; no released model has it */
    bool global_first;  /* global_view_pos == "head" */
} dsvl_projector_config;

typedef enum dsvl_gate_score { DSVL_SCORE_SOFTMAX, DSVL_SCORE_SIGMOID } dsvl_gate_score;
typedef enum dsvl_gate_method {
    DSVL_GATE_GREEDY,
    DSVL_GATE_GROUP_LIMITED,
    DSVL_GATE_NOAUX_TC
} dsvl_gate_method;
typedef enum dsvl_rope_type {
    DSVL_ROPE_NONE,
    DSVL_ROPE_LINEAR,
    DSVL_ROPE_DYNAMIC,
    DSVL_ROPE_YARN
} dsvl_rope_type;

/* Mirrors DeepseekV2Config (and LlamaConfig, its special case: MHA, dense). */
typedef struct dsvl_decoder_config {
    int vocab, width, layers, heads, kv_heads;
    int dense_mlp; /* intermediate_size */
    bool mla;
    int head_dim;                                   /* MHA: width / heads */
    int q_lora, kv_lora, nope_dim, rope_dim, v_dim; /* MLA; q_lora 0: a single q_proj */
    bool attention_bias;
    /* mixture of experts; experts 0: dense everywhere */
    int experts, shared_experts, experts_per_token, expert_mlp, first_dense, moe_frequency;
    dsvl_gate_score score;
    dsvl_gate_method method;
    int groups, groups_kept;
    bool normalize_top;
    float routed_scale;
    float eps;
    double rope_theta;
    dsvl_rope_type rope;
    double rope_factor, rope_beta_fast, rope_beta_slow, rope_mscale, rope_mscale_all;
    int rope_original;
    int context; /* max_position_embeddings */
    bool tied;   /* lm_head is embed_tokens */
    int bos, eos, pad;
} dsvl_decoder_config;

/* How the matrices of a folder are quantized (dsvl-quantized(5)); bits 0: they are not. */
typedef struct dsvl_quantization {
    int bits;  /* 8 or 4 */
    int group; /* inputs that share a scale: 32, 64 or 128 */
} dsvl_quantization;

typedef struct dsvl_config {
    dsvl_architecture arch;
    dsvl_files files;
    dsvl_vision_config vision; /* the low-resolution tower of the hybrid */
    dsvl_sam_config sam;       /* hybrid only */
    dsvl_projector_config projector;
    dsvl_decoder_config decoder;
    dsvl_quantization quantization; /* key quantization_config */
    int preferred_em_px;            /* type size the model reads best, pixels per em; 0: not said (key
                                       dsvl_preferred_em_px) */
    int line_pitch_px; /* it reads lines of print that are set anew on one tile, so many pixels from one to
                          the next; 0: it has not learned that (key dsvl_line_pitch_px) */
    int region_tiles;  /* the most tiles it reads well in one picture; 0: not said (key dsvl_region_tiles) */
} dsvl_config;

/* Read and check a folder's files. Unknown model types and inconsistent numbers are errors naming file and
 * key. A key that is absent takes the default of the published configuration class. */
int dsvl_config_read(dsvl_config *config, const char *folder, dsvl_error *err);
int dsvl_processor_config_read(dsvl_processor_config *config, const char *folder, dsvl_error *err);
/* The same from bytes (fuzzing); `where` names them in messages. */
int dsvl_config_parse(dsvl_config *config, const char *json, size_t length, const char *where,
                      dsvl_error *err);
int dsvl_processor_config_parse(dsvl_processor_config *config, const char *json, size_t length,
                                const char *where, dsvl_error *err);
/* Whether the processor cuts tiles that this model can take, and counts the tokens that it makes of them.
 * Also takes over what the processor says about normalising pixels. */
int dsvl_config_match(dsvl_config *config, const dsvl_processor_config *processor, const char *folder,
                      dsvl_error *err);
/* Side of the token square that a tile becomes: after downsampling, a row that is not full counts. */
int dsvl_config_tile_side(const dsvl_config *config);

#endif
