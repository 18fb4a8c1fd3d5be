/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a dsvl_model: configuration, mapped weights, tokenizer. Private to lib. */
#ifndef DSVL_LIB_MODEL_H
#define DSVL_LIB_MODEL_H

#include <stdatomic.h>

#include "kernels/kernels.h"
#include "lib/checkpoint.h"
#include "lib/config.h"
#include "lib/tokenizer.h"

typedef struct dsvl_vision dsvl_vision;       /* lib/vision.c: tower weights */
typedef struct dsvl_sam dsvl_sam;             /* lib/sam.c */
typedef struct dsvl_projector dsvl_projector; /* lib/projector.c */
typedef struct dsvl_decoder dsvl_decoder;     /* lib/decoder.c */

struct dsvl_model {
    char *folder, *name;
    char hash[65];
    dsvl_options options;
    dsvl_config config;
    dsvl_processor_config processor;
    dsvl_checkpoint *checkpoint; /* NULL when neither vision nor decoder was asked for */
    dsvl_tokenizer *tokenizer;   /* NULL unless asked for */
    bool no_bos; /* tokenizer_config.json of DeepSeek-VL says not to begin with the beginning token */
    dsvl_vision *vision;
    dsvl_sam *sam; /* hybrid only */
    dsvl_projector *projector;
    dsvl_decoder *decoder;
    _Atomic(kern_context *)
        *spare; /* the context of the last dsvl_encode_tiles, for the next; NULL inside: in use */
};

/* Observers for the parity tests: called with each intermediate result, [rows, cols] f32. stage: "tower",
 * "projector", "layer.K", ... NULL: none. Kept per call, not global. */
typedef void (*dsvl_probe_fn)(void *user, const char *stage, const float *values, int64_t rows, int64_t cols);

/* vision.c: bind; then pixels [n, S, S, 3] -> features [n, side*side, width] */
dsvl_vision *dsvl_vision_bind(dsvl_checkpoint *checkpoint, const dsvl_config *config, dsvl_error *err);
void dsvl_vision_free(dsvl_vision *vision);
int64_t dsvl_vision_scratch(const dsvl_vision *vision); /* bytes of scratch for each tile of a call */
int dsvl_vision_run(const dsvl_vision *vision, kern_context *context, const uint8_t *tiles, int n,
                    float *features, dsvl_error *err);
/* The same for pictures [n, S, S, 3] of f32 in 0 .. 1. */
int dsvl_vision_run_float(const dsvl_vision *vision, kern_context *context, const float *pictures, int n,
                          float *features, dsvl_error *err);

/* sam.c: the high-resolution tower: pixels [n, S, S, 3] -> features [n, out_side*out_side, down[1]] */
dsvl_sam *dsvl_sam_bind(dsvl_checkpoint *checkpoint, const dsvl_config *config, dsvl_error *err);
void dsvl_sam_free(dsvl_sam *sam);
int64_t dsvl_sam_scratch(const dsvl_sam *sam); /* bytes of scratch of a call */
int dsvl_sam_run(const dsvl_sam *sam, kern_context *context, const uint8_t *tiles, int n, float *features,
                 dsvl_error *err);

/* towers.c: what stands before the projector. Of each tile: the pixels [S, S, 3] and, where the processor
 * makes a second picture, its pixels behind them. The low features [n, side*side, width] come first in
 * `features`, then the high ones of a hybrid. */
int64_t dsvl_towers_floats(const dsvl_model *model);  /* of `features`, for each tile */
int64_t dsvl_towers_scratch(const dsvl_model *model); /* bytes of working memory for each tile */
int dsvl_towers_run(const dsvl_model *model, kern_context *context, const uint8_t *tiles, int n,
                    float *features, dsvl_error *err);

/* projector.c: features [n, side*side, width], and of a hybrid those of the high-resolution tower (else NULL)
 * -> [n, out_side*out_side, output] */
dsvl_projector *dsvl_projector_bind(dsvl_checkpoint *checkpoint, const dsvl_config *config, dsvl_error *err);
void dsvl_projector_free(dsvl_projector *projector);
int dsvl_projector_side(const dsvl_projector *projector);
int64_t
dsvl_projector_scratch(const dsvl_projector *projector); /* bytes of scratch for each tile of a call */
int dsvl_projector_run(const dsvl_projector *projector, kern_context *context, const float *features,
                       const float *high, int n, float *out, dsvl_error *err);
/* One image: features [1 + cols*rows, out_side*out_side, output] -> embeddings [dsvl_image_tokens, output].
 */
void dsvl_projector_mosaic(const dsvl_projector *projector, const float *features, int cols, int rows,
                           float *embeddings);

/* decoder.c */
dsvl_decoder *dsvl_decoder_bind(dsvl_checkpoint *checkpoint, const dsvl_config *config, dsvl_error *err);
void dsvl_decoder_free(dsvl_decoder *decoder);

/* The model that a configuration describes, without weights: to learn which tensors it asks for
 * (dsvl_checkpoint_wants of its checkpoint) and what it takes. Not for computing with. */
dsvl_model *dsvl_model_plan(const dsvl_config *config, unsigned parts, dsvl_error *err);

/* Bytes that computing takes besides the weights, where --max-memory sets no limit: encoding with that many
 * threads; a session of that many tokens (session.c). */
uint64_t dsvl_encode_bytes(const dsvl_model *model, int threads);
uint64_t dsvl_session_bytes(const dsvl_decoder *decoder, size_t tokens);
/* Bytes of a plan's weights: quantized (bits 0: not), the rest in 16 bits. */
uint64_t dsvl_weight_bytes(const dsvl_model *plan, const dsvl_quantization *quantization);
/* Bytes of memory that the machine, its container and the limits of the process allow. */
uint64_t dsvl_memory_there(void);
/* The most precise of the precisions that can be had whose weights, with `working` bytes more, fit `there`;
 * NULL when none does. What a user would be told. */
const char *dsvl_precision_that_fits(const dsvl_model *plan, uint64_t working, uint64_t there);

/* session.c: the embedding [width] of a token of the vocabulary. */
void dsvl_session_embed(const dsvl_session *session, int32_t id, float *row);
/* session.c, for tests: watch the output of each decoder layer and the logits of every row fed. */
void dsvl_session_probe(dsvl_session *session, dsvl_probe_fn probe, void *user);

#endif
