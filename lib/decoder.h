/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the language model: weights, the cache of a sequence, and one pass of rows through the
 * layers. Private to decoder*.c, session.c and generation.c.
 *
 *   hidden [n, width] -> { rmsnorm -> attention -> + , rmsnorm -> mlp or experts -> + } x layers -> rmsnorm
 * -> head
 *
 * Mirrors deepseek_vl2/models/modeling_deepseek.py (DeepseekV2ForCausalLM) in f32. */
#ifndef DSVL_LIB_DECODER_H
#define DSVL_LIB_DECODER_H

#include "lib/model.h"

/* DeepseekV2MLP: down(silu(gate(x)) * up(x)). */
typedef struct dsvl_mlp {
    kern_weight gate, up; /* [mlp, width] */
    kern_weight down;     /* [width, mlp] */
} dsvl_mlp;

/* One DeepseekV2DecoderLayer. What a variant lacks stays zero. */
typedef struct dsvl_layer {
    const float *input_norm, *post_norm; /* [width] */

    kern_weight q;    /* MHA [heads*head_dim, width]; MLA without q_lora [heads*(nope+rope), width] */
    kern_weight k, v; /* MHA [kv_heads*head_dim, width] */
    kern_weight o;    /* MHA [width, width]; MLA [width, heads*v_dim] */
    const float *q_bias, *k_bias, *v_bias, *o_bias;

    kern_weight q_a;        /* MLA with q_lora: [q_lora, width] */
    const float *q_a_bias;  /* [q_lora] */
    const float *q_a_norm;  /* [q_lora] */
    kern_weight q_b;        /* [heads*(nope+rope), q_lora] */
    kern_weight kv_a;       /* [kv_lora+rope, width] */
    const float *kv_a_bias; /* [kv_lora+rope] */
    const float *kv_a_norm; /* [kv_lora] */
    kern_weight kv_b;       /* [heads*(nope+v_dim), kv_lora]; per head: nope rows, then v_dim rows */

    bool sparse;             /* a DeepseekV2MoE stands in place of the MLP */
    dsvl_mlp mlp;            /* dense, or the shared experts as one wide MLP */
    kern_weight router;      /* [experts, width] */
    const float *correction; /* noaux_tc: [experts] */
    dsvl_mlp *experts;       /* [experts], owned */
} dsvl_layer;

struct dsvl_decoder {
    dsvl_decoder_config config;
    float score_scale;  /* multiplies q.k */
    int key_width;      /* floats of one position in a layer's key cache: MLA the latent and the rotary key */
    int value_width;    /* the same for values; 0 for MLA, whose values are the latent itself */
    int query_dim;      /* floats of one head's query as projected */
    kern_weight embed;  /* [vocab, width] */
    kern_weight head;   /* [vocab, width] */
    const float *norm;  /* [width] */
    dsvl_layer *layers; /* [config.layers], owned */
};

/* ---- decoder_rope.c: rotary tables of one sequence ---- */

typedef struct dsvl_rope {
    float *cosine, *sine; /* [capacity, dim/2]; rows below `ready` hold values that never change */
    size_t ready, capacity;
} dsvl_rope;

/* Make the rows [past, length) valid for a call that brings the sequence to `length`. */
int dsvl_rope_prepare(dsvl_rope *rope, const dsvl_decoder_config *config, size_t past, size_t length,
                      dsvl_error *err);
void dsvl_rope_clear(dsvl_rope *rope);
int dsvl_rope_dim(const dsvl_decoder_config *config); /* rotated values a head */
/* Softmax scale of the attention scores, YaRN's factor included. */
float dsvl_rope_score_scale(const dsvl_decoder_config *config);

/* ---- one pass ---- */

typedef struct dsvl_cache {
    float *k; /* [capacity, key_width] */
    float *v; /* [capacity, value_width]; NULL for MLA */
} dsvl_cache;

/* Rows that absorbed attention takes at a time: its buffers are several times as wide as the stream. */
#define DSVL_ABSORBED_ROWS 512

/* MLA's expanded keys and values of a group of heads, for prefilling images (see decoder_attention.c). */
typedef struct dsvl_expanded {
    float *block;
    size_t floats;
    int64_t heads;      /* in a group */
    float *key, *value; /* [positions, heads, nope+rope], [positions, heads, v_dim] */
    float *query, *out; /* [rows, heads, nope+rope], [rows, heads, v_dim] */
} dsvl_expanded;

/* Buffers for up to `rows` rows, cut from one block. */
typedef struct dsvl_work {
    void *block;
    size_t rows;
    float *hidden;    /* [rows, width]: the residual stream, input and output of a pass */
    float *norm;      /* [rows, width] */
    float *out;       /* [rows, width]: what a sub-layer adds to the stream */
    float *query;     /* [rows, heads, query_dim] */
    float *low;       /* MLA: [rows, q_lora] */
    float *absorbed;  /* MLA: [block, heads, kv_lora+rope], block = at most DSVL_ABSORBED_ROWS rows */
    float *latent;    /* MLA: [block, heads, kv_lora] */
    float *context;   /* [rows, heads, value dim] */
    float *gate, *up; /* [rows, widest MLP, or a token's experts together] */
    float *scores;    /* [rows, experts] */
    float *choice;    /* [experts]: scores of one row as they stand for selection */
    float *group;     /* [groups]: likewise for groups */
    int32_t *picked;  /* [rows, experts_per_token] */
    float *weight;    /* [rows, experts_per_token] */
    int32_t *first;   /* [experts + 1]: where an expert's rows begin in the two lists below */
    int32_t *row_of;  /* [rows * experts_per_token] */
    float *weight_of; /* [rows * experts_per_token] */
    float *expert;    /* [rows or experts_per_token, width] */
} dsvl_work;

/* Everything a pass writes to. */
typedef struct dsvl_pass {
    kern_context *kern;
    dsvl_cache *layers; /* [config.layers], owned */
    size_t capacity;    /* positions allocated in each layer */
    dsvl_rope rope;
    dsvl_work work;
    dsvl_expanded expanded;
    bool expand;   /* this feed is images: attend to expanded keys */
    bool int8;     /* likewise: round activations to 8 bits */
    float *last;   /* [width]: the stream after the last layer, last row fed */
    float *logits; /* [vocab] */
    bool has_last, has_logits;
    dsvl_probe_fn probe;
    void *probe_user;
} dsvl_pass;

/* Bytes of work for that many rows; allocate it (keeps a block that is large enough). */
size_t dsvl_work_bytes(const dsvl_decoder *decoder, size_t rows);
int dsvl_work_reserve(dsvl_work *work, const dsvl_decoder *decoder, size_t rows, dsvl_error *err);

/* Room to expand `positions` keys for `rows` queries, within `limit` bytes or one head. Only for MLA. */
int dsvl_expanded_reserve(dsvl_expanded *expanded, const dsvl_decoder *decoder, size_t positions, size_t rows,
                          uint64_t limit, dsvl_error *err);
/* Bytes it takes for one head. */
size_t dsvl_expanded_bytes(const dsvl_decoder *decoder, size_t positions, size_t rows);

/* Rows work.hidden [n, width] at positions past .. past+n-1 through all layers, in place; keys and values go
 * to the cache. Rotary rows and cache positions must be there. */
int dsvl_decoder_run(const dsvl_decoder *decoder, dsvl_pass *pass, size_t n, size_t past, dsvl_error *err);
/* Final norm and head: hidden [n, width] -> logits [n, vocab]; norm [n, width] is scratch. */
int dsvl_decoder_logits(const dsvl_decoder *decoder, kern_context *kern, float *logits, float *norm,
                        const float *hidden, size_t n, dsvl_error *err);

/* decoder_attention.c, decoder_moe.c: work.norm [n, width] -> work.out [n, width]. */
int dsvl_attention_run(const dsvl_decoder *decoder, const dsvl_layer *layer, dsvl_cache *cache,
                       dsvl_pass *pass, size_t n, size_t past, dsvl_error *err);
int dsvl_moe_run(const dsvl_decoder *decoder, const dsvl_layer *layer, dsvl_pass *pass, size_t n,
                 dsvl_error *err);
/* One MLP on dense rows x [n, width] -> y [n, width]. */
int dsvl_mlp_run(const dsvl_mlp *mlp, dsvl_pass *pass, float *y, const float *x, size_t n, dsvl_error *err);

/* A kernel ran out of scratch. Returns -1. */
int dsvl_fail_scratch(dsvl_error *err);

#endif
