/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/stems.h"

/* The attention pool of a SigLIP tower is in the original files and never reached (ignore_head), as are the
 * two norms of the hybrid tower (HybridVisionTower.forward leaves them out). */
static const dsvl_stems stems[DSVL_ARCH_COUNT][DSVL_FILES_COUNT] = {
    [DSVL_ARCH_VL2] =
        {
            [DSVL_FILES_ORIGINAL] =
                {
                    .vision = "vision.",
                    .projector = "projector.",
                    .decoder = "language.model.",
                    .head = "language.lm_head.weight",
                    .vision_parts = {"vision.", "projector.", "image_newline", "view_seperator"},
                    .decoder_parts = {"language."},
                    .unused = {"vision.attn_pool."},
                },
        },
    [DSVL_ARCH_VL] =
        {
            [DSVL_FILES_ORIGINAL] =
                {
                    .vision = "vision_model.vision_tower.",
                    .projector = "aligner.",
                    .decoder = "language_model.model.",
                    .head = "language_model.lm_head.weight",
                    .vision_parts = {"vision_model.vision_tower.", "aligner."},
                    .decoder_parts = {"language_model."},
                    .unused = {"vision_model.vision_tower.attn_pool."},
                },
            [DSVL_FILES_TRANSFORMERS] =
                {
                    .vision = "model.vision_model.vision_model.",
                    .projector = "model.aligner.",
                    .decoder = "model.language_model.",
                    .head = "lm_head.weight",
                    .vision_parts = {"model.vision_model.", "model.aligner."},
                    .decoder_parts = {"model.language_model.", "lm_head."},
                    .unused = {"model.vision_model.vision_model.head."},
                },
        },
    [DSVL_ARCH_VL_HYBRID] =
        {
            [DSVL_FILES_ORIGINAL] =
                {
                    .vision = "vision_model.vision_tower_low.vision_tower.",
                    .projector = "aligner.",
                    .decoder = "language_model.model.",
                    .head = "language_model.lm_head.weight",
                    .vision_parts = {"vision_model.vision_tower_low.", "vision_model.vision_tower_high.",
                                     "vision_model.high_layer_norm.", "vision_model.low_layer_norm.",
                                     "aligner."},
                    .decoder_parts = {"language_model."},
                    .unused = {"vision_model.vision_tower_low.vision_tower.attn_pool.",
                               "vision_model.high_layer_norm.", "vision_model.low_layer_norm."},
                },
            [DSVL_FILES_TRANSFORMERS] =
                {
                    .vision = "model.vision_model.vision_model.",
                    .projector = "model.aligner.",
                    .decoder = "model.language_model.",
                    .head = "lm_head.weight",
                    .vision_parts = {"model.vision_model.", "model.high_res_vision_model.",
                                     "model.high_res_vision_neck.", "model.high_res_vision_proj.",
                                     "model.high_res_vision_alpha", "model.aligner."},
                    .decoder_parts = {"model.language_model.", "lm_head."},
                    .unused = {"model.vision_model.vision_model.head."},
                },
        },
};

const dsvl_stems *dsvl_stems_of(const dsvl_config *config)
{
    return &stems[config->arch][config->files];
}
