/* SPDX-License-Identifier: Apache-2.0 */
/* The language model: its weights, bound by tables, and the loop over layers.
 * Mirrors DeepseekV2Model and DeepseekV2ForCausalLM of deepseek_vl2/models/modeling_deepseek.py.
 *
 *   h = embeddings                                  [n, width]
 *   for each layer: h += attention(rmsnorm(h)); h += mlp_or_experts(rmsnorm(h))
 *   logits = rmsnorm(h) . head^T                    [n, vocab] */
#include "lib/decoder.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/stems.h"

/* ---- weights by tables ------------------------------------------------------------------------------- */

/* Sizes a shape may name. */
typedef enum dimension {
    DIM_WIDTH,
    DIM_VOCAB,
    DIM_QUERY,
    DIM_KEY,
    DIM_Q_LORA,
    DIM_KV_LORA,
    DIM_KV_A,
    DIM_KV_B,
    DIM_CONTEXT,
    DIM_DENSE,
    DIM_EXPERT,
    DIM_SHARED,
    DIM_EXPERTS,
    DIM_COUNT
} dimension;

/* What a layer must be for a weight to exist; several bits: all of them. */
enum {
    IF_MHA = 1,
    IF_MLA = 2,
    IF_Q_LORA = 4,
    IF_Q_FULL = 8,
    IF_BIAS = 16,
    IF_DENSE = 32,
    IF_SPARSE = 64,
    IF_SHARED = 128,
    IF_NOAUX = 256
};

typedef struct entry {
    const char *name;
    dsvl_bind_type type; /* a vector of `rows`, or a matrix [rows, cols] */
    size_t field;
    dimension rows, cols;
    unsigned when;
} entry;

#define MATRIX(name, type, field, rows, cols, when)                                                          \
    {                                                                                                        \
        name, DSVL_BIND_MATRIX, offsetof(type, field), rows, cols, when                                      \
    }
#define PLAIN(name, type, field, rows, cols, when)                                                           \
    {                                                                                                        \
        name, DSVL_BIND_PLAIN, offsetof(type, field), rows, cols, when                                       \
    }
#define VECTOR(name, type, field, rows, when)                                                                \
    {                                                                                                        \
        name, DSVL_BIND_VECTOR, offsetof(type, field), rows, DIM_COUNT, when                                 \
    }

static const entry layer_table[] = {
    VECTOR("input_layernorm.weight", dsvl_layer, input_norm, DIM_WIDTH, 0),
    VECTOR("post_attention_layernorm.weight", dsvl_layer, post_norm, DIM_WIDTH, 0),
    MATRIX("self_attn.q_proj.weight", dsvl_layer, q, DIM_QUERY, DIM_WIDTH, IF_Q_FULL),
    VECTOR("self_attn.q_proj.bias", dsvl_layer, q_bias, DIM_QUERY, IF_MHA | IF_BIAS),
    MATRIX("self_attn.k_proj.weight", dsvl_layer, k, DIM_KEY, DIM_WIDTH, IF_MHA),
    VECTOR("self_attn.k_proj.bias", dsvl_layer, k_bias, DIM_KEY, IF_MHA | IF_BIAS),
    MATRIX("self_attn.v_proj.weight", dsvl_layer, v, DIM_KEY, DIM_WIDTH, IF_MHA),
    VECTOR("self_attn.v_proj.bias", dsvl_layer, v_bias, DIM_KEY, IF_MHA | IF_BIAS),
    MATRIX("self_attn.q_a_proj.weight", dsvl_layer, q_a, DIM_Q_LORA, DIM_WIDTH, IF_Q_LORA),
    VECTOR("self_attn.q_a_proj.bias", dsvl_layer, q_a_bias, DIM_Q_LORA, IF_Q_LORA | IF_BIAS),
    VECTOR("self_attn.q_a_layernorm.weight", dsvl_layer, q_a_norm, DIM_Q_LORA, IF_Q_LORA),
    MATRIX("self_attn.q_b_proj.weight", dsvl_layer, q_b, DIM_QUERY, DIM_Q_LORA, IF_Q_LORA),
    MATRIX("self_attn.kv_a_proj_with_mqa.weight", dsvl_layer, kv_a, DIM_KV_A, DIM_WIDTH, IF_MLA),
    VECTOR("self_attn.kv_a_proj_with_mqa.bias", dsvl_layer, kv_a_bias, DIM_KV_A, IF_MLA | IF_BIAS),
    VECTOR("self_attn.kv_a_layernorm.weight", dsvl_layer, kv_a_norm, DIM_KV_LORA, IF_MLA),
    PLAIN("self_attn.kv_b_proj.weight", dsvl_layer, kv_b, DIM_KV_B, DIM_KV_LORA, IF_MLA),
    MATRIX("self_attn.o_proj.weight", dsvl_layer, o, DIM_WIDTH, DIM_CONTEXT, 0),
    VECTOR("self_attn.o_proj.bias", dsvl_layer, o_bias, DIM_WIDTH, IF_BIAS),
    MATRIX("mlp.gate_proj.weight", dsvl_layer, mlp.gate, DIM_DENSE, DIM_WIDTH, IF_DENSE),
    MATRIX("mlp.up_proj.weight", dsvl_layer, mlp.up, DIM_DENSE, DIM_WIDTH, IF_DENSE),
    MATRIX("mlp.down_proj.weight", dsvl_layer, mlp.down, DIM_WIDTH, DIM_DENSE, IF_DENSE),
    PLAIN("mlp.gate.weight", dsvl_layer, router, DIM_EXPERTS, DIM_WIDTH, IF_SPARSE),
    VECTOR("mlp.gate.e_score_correction_bias", dsvl_layer, correction, DIM_EXPERTS, IF_SPARSE | IF_NOAUX),
    MATRIX("mlp.shared_experts.gate_proj.weight", dsvl_layer, mlp.gate, DIM_SHARED, DIM_WIDTH,
           IF_SPARSE | IF_SHARED),
    MATRIX("mlp.shared_experts.up_proj.weight", dsvl_layer, mlp.up, DIM_SHARED, DIM_WIDTH,
           IF_SPARSE | IF_SHARED),
    MATRIX("mlp.shared_experts.down_proj.weight", dsvl_layer, mlp.down, DIM_WIDTH, DIM_SHARED,
           IF_SPARSE | IF_SHARED),
};

static const entry expert_table[] = {
    MATRIX("gate_proj.weight", dsvl_mlp, gate, DIM_EXPERT, DIM_WIDTH, 0),
    MATRIX("up_proj.weight", dsvl_mlp, up, DIM_EXPERT, DIM_WIDTH, 0),
    MATRIX("down_proj.weight", dsvl_mlp, down, DIM_WIDTH, DIM_EXPERT, 0),
};

static const entry model_table[] = {
    PLAIN("embed_tokens.weight", dsvl_decoder, embed, DIM_VOCAB, DIM_WIDTH, 0),
    VECTOR("norm.weight", dsvl_decoder, norm, DIM_WIDTH, 0),
};
/* Its name is the layout's. */
static const entry head_table[] = {MATRIX("", dsvl_decoder, head, DIM_VOCAB, DIM_WIDTH, 0)};

#define ENTRIES(table) (sizeof(table) / sizeof(table)[0])

static void sizes(const dsvl_decoder_config *c, int64_t dims[DIM_COUNT])
{
    int64_t query = c->mla ? (int64_t)c->nope_dim + c->rope_dim : c->head_dim;
    dims[DIM_WIDTH] = c->width;
    dims[DIM_VOCAB] = c->vocab;
    dims[DIM_QUERY] = c->heads * query;
    dims[DIM_KEY] = (int64_t)c->kv_heads * c->head_dim;
    dims[DIM_Q_LORA] = c->q_lora;
    dims[DIM_KV_LORA] = c->kv_lora;
    dims[DIM_KV_A] = (int64_t)c->kv_lora + c->rope_dim;
    dims[DIM_KV_B] = c->heads * ((int64_t)c->nope_dim + c->v_dim);
    dims[DIM_CONTEXT] = (int64_t)c->heads * (c->mla ? c->v_dim : c->head_dim);
    dims[DIM_DENSE] = c->dense_mlp;
    dims[DIM_EXPERT] = c->expert_mlp;
    dims[DIM_SHARED] = (int64_t)c->shared_experts * c->expert_mlp;
    dims[DIM_EXPERTS] = c->experts;
}

/* Bind the entries of one table into the struct at base. */
static int bind(dsvl_checkpoint *checkpoint, const char *prefix, const entry *table, size_t count,
                unsigned traits, const int64_t dims[DIM_COUNT], void *base, dsvl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const entry *e = &table[i];
        if (e->when & ~traits) continue;
        char name[256];
        int length = snprintf(name, sizeof name, "%s%s", prefix, e->name);
        if (length < 0 || (size_t)length >= sizeof name)
            return dsvl_fail(err, DSVL_E_INTERNAL, "tensor name too long: %s%s", prefix, e->name);
        void *field = (char *)base + e->field;
        const int64_t rows = dims[e->rows], cols = e->type == DSVL_BIND_VECTOR ? 1 : dims[e->cols];
        if (e->type == DSVL_BIND_VECTOR
                ? dsvl_checkpoint_vector(checkpoint, name, rows, (const float **)field, err)
            : e->type == DSVL_BIND_PLAIN ? dsvl_checkpoint_plain(checkpoint, name, rows, cols, field, err)
                                         : dsvl_checkpoint_matrix(checkpoint, name, rows, cols, field, err))
            return -1;
    }
    return 0;
}

static int bind_layer(dsvl_decoder *decoder, int k, dsvl_checkpoint *checkpoint, const char *root,
                      const int64_t dims[DIM_COUNT], dsvl_error *err)
{
    const dsvl_decoder_config *c = &decoder->config;
    dsvl_layer *layer = &decoder->layers[k];
    layer->sparse = c->experts > 0 && k >= c->first_dense && k % c->moe_frequency == 0;
    unsigned traits = c->mla ? IF_MLA : IF_MHA;
    traits |= c->mla && c->q_lora > 0 ? IF_Q_LORA : IF_Q_FULL;
    traits |= c->attention_bias ? IF_BIAS : 0u;
    traits |= layer->sparse ? IF_SPARSE : IF_DENSE;
    traits |= c->shared_experts > 0 ? IF_SHARED : 0u;
    traits |= c->method == DSVL_GATE_NOAUX_TC ? IF_NOAUX : 0u;

    char prefix[128];
    snprintf(prefix, sizeof prefix, "%slayers.%d.", root, k);
    if (bind(checkpoint, prefix, layer_table, ENTRIES(layer_table), traits, dims, layer, err)) return -1;
    size_t stem = strlen(prefix);
    snprintf(prefix + stem, sizeof prefix - stem, "self_attn.rotary_emb.inv_freq");
    dsvl_checkpoint_ignore(checkpoint, prefix); /* older files carry it; it follows from the config */
    if (!layer->sparse) return 0;

    layer->experts = dsvl_alloc_zero((size_t)c->experts, sizeof *layer->experts);
    if (!layer->experts) return dsvl_fail_memory(err, (size_t)c->experts * sizeof *layer->experts);
    for (int e = 0; e < c->experts; e++) {
        snprintf(prefix + stem, sizeof prefix - stem, "mlp.experts.%d.", e);
        if (bind(checkpoint, prefix, expert_table, ENTRIES(expert_table), 0, dims, &layer->experts[e], err))
            return -1;
    }
    return 0;
}

/* What the arithmetic below relies on; lib/config.c has checked each key by itself. */
static int check(const dsvl_decoder_config *c, dsvl_error *err)
{
    bool mla = c->kv_lora > 0 && c->nope_dim > 0 && c->rope_dim > 0 && c->v_dim > 0;
    bool mha = c->head_dim > 0 && c->kv_heads > 0 && c->heads % c->kv_heads == 0;
    bool moe = c->experts == 0 || (c->experts_per_token > 0 && c->experts_per_token <= c->experts &&
                                   c->expert_mlp > 0 && c->moe_frequency > 0 && c->shared_experts >= 0);
    bool groups = c->experts == 0 || c->method == DSVL_GATE_GREEDY ||
                  (c->groups > 0 && c->experts % c->groups == 0 && c->groups_kept > 0);
    if (c->width <= 0 || c->vocab <= 0 || c->heads <= 0 || c->layers <= 0 || c->context <= 0 ||
        !(c->mla ? mla : mha) || !moe || !groups || dsvl_rope_dim(c) % 2)
        return dsvl_fail(err, DSVL_E_INTERNAL,
                         "decoder: inconsistent sizes in a configuration that was accepted");
    return 0;
}

dsvl_decoder *dsvl_decoder_bind(dsvl_checkpoint *checkpoint, const dsvl_config *config, dsvl_error *err)
{
    const dsvl_decoder_config *c = &config->decoder;
    if (check(c, err)) return NULL;
    dsvl_decoder *decoder = dsvl_alloc_zero(1, sizeof *decoder);
    if (!decoder) {
        dsvl_fail_memory(err, sizeof *decoder);
        return NULL;
    }
    decoder->config = *c;
    decoder->score_scale = dsvl_rope_score_scale(c);
    decoder->query_dim = c->mla ? c->nope_dim + c->rope_dim : c->head_dim;
    decoder->key_width = c->mla ? c->kv_lora + c->rope_dim : c->kv_heads * c->head_dim;
    decoder->value_width = c->mla ? 0 : c->kv_heads * c->head_dim;
    decoder->layers = dsvl_alloc_zero((size_t)c->layers, sizeof *decoder->layers);
    if (!decoder->layers) {
        dsvl_fail_memory(err, (size_t)c->layers * sizeof *decoder->layers);
        goto failed;
    }
    int64_t dims[DIM_COUNT];
    sizes(c, dims);
    const dsvl_stems *stems = dsvl_stems_of(config);
    if (bind(checkpoint, stems->decoder, model_table, ENTRIES(model_table), 0, dims, decoder, err))
        goto failed;
    for (int k = 0; k < c->layers; k++)
        if (bind_layer(decoder, k, checkpoint, stems->decoder, dims, err)) goto failed;
    if (c->tied) {
        dsvl_checkpoint_ignore(checkpoint, stems->head); /* a copy of the embeddings, when it is there */
        decoder->head = decoder->embed;
    } else if (bind(checkpoint, stems->head, head_table, 1, 0, dims, decoder, err)) {
        goto failed;
    }
    for (int i = 0; i < DSVL_STEM_PREFIXES && stems->decoder_parts[i]; i++)
        if (dsvl_checkpoint_surplus(checkpoint, stems->decoder_parts[i], err)) goto failed;
    return decoder;
failed:
    dsvl_decoder_free(decoder);
    return NULL;
}

void dsvl_decoder_free(dsvl_decoder *decoder)
{
    if (!decoder) return;
    for (int k = 0; decoder->layers && k < decoder->config.layers; k++)
        dsvl_dealloc(decoder->layers[k].experts);
    dsvl_dealloc(decoder->layers);
    dsvl_dealloc(decoder);
}

/* ---- work -------------------------------------------------------------------------------------------- */

int dsvl_fail_scratch(dsvl_error *err)
{
    return dsvl_fail(err, DSVL_E_MEMORY, "out of memory for scratch of the matrix kernels");
}

static size_t widest_mlp(const dsvl_decoder_config *c)
{
    size_t widest = (size_t)c->dense_mlp;
    /* Those of one token are computed together. */
    size_t experts = (size_t)c->expert_mlp * ((size_t)c->experts_per_token + (size_t)c->shared_experts);
    if (c->experts > 0 && experts > widest) widest = experts;
    return widest;
}

/* Cut a block into the arrays of dsvl_work, each on its own cache line; with base NULL only the size is
 * counted. */
static size_t cut(dsvl_work *work, char *base, const dsvl_decoder *decoder, size_t rows)
{
    const dsvl_decoder_config *c = &decoder->config;
    size_t width = (size_t)c->width, heads = (size_t)c->heads, experts = (size_t)c->experts;
    size_t picks = experts ? (size_t)c->experts_per_token : 0;
    size_t latent = c->mla ? (size_t)c->kv_lora : 0, rope = c->mla ? (size_t)c->rope_dim : 0;
    size_t value = (size_t)(c->mla ? c->v_dim : c->head_dim);
    size_t block = rows < DSVL_ABSORBED_ROWS ? rows : DSVL_ABSORBED_ROWS;
    struct {
        void *slot;
        size_t count; /* of 4-byte elements */
    } parts[] = {
        {&work->hidden, rows * width},
        {&work->norm, rows * width},
        {&work->out, rows * width},
        {&work->query, rows * heads * (size_t)decoder->query_dim},
        {&work->low, c->mla ? rows * (size_t)c->q_lora : 0},
        {&work->absorbed, block * heads * (latent + rope)},
        {&work->latent, block * heads * latent},
        {&work->context, rows * heads * value},
        {&work->gate, rows * widest_mlp(c)},
        {&work->up, rows * widest_mlp(c)},
        {&work->scores, rows * experts},
        {&work->choice, experts},
        {&work->group, experts ? (size_t)c->groups : 0},
        {&work->picked, rows * picks},
        {&work->weight, rows * picks},
        {&work->first, experts + 1},
        {&work->row_of, rows * picks},
        {&work->weight_of, rows * picks},
        {&work->expert, experts ? (rows > picks + 1 ? rows : picks + 1) * width : 0},
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char *here = base ? base + used : NULL;
        if (base) memcpy(parts[i].slot, &here, sizeof here);
        used += (parts[i].count * sizeof(float) + 63) / 64 * 64;
    }
    return used;
}

size_t dsvl_work_bytes(const dsvl_decoder *decoder, size_t rows)
{
    dsvl_work none;
    return cut(&none, NULL, decoder, rows);
}

int dsvl_work_reserve(dsvl_work *work, const dsvl_decoder *decoder, size_t rows, dsvl_error *err)
{
    if (rows <= work->rows) return 0;
    size_t bytes = dsvl_work_bytes(decoder, rows);
    dsvl_dealloc(work->block);
    memset(work, 0, sizeof *work);
    work->block = dsvl_alloc(bytes, 1);
    if (!work->block) return dsvl_fail_memory(err, bytes);
    cut(work, work->block, decoder, rows);
    work->rows = rows;
    return 0;
}

/* ---- one pass ---------------------------------------------------------------------------------------- */

int dsvl_mlp_run(const dsvl_mlp *mlp, dsvl_pass *pass, float *y, const float *x, size_t n, dsvl_error *err)
{
    kern_context *kern = pass->kern;
    float *gate = pass->work.gate, *up = pass->work.up;
    int64_t rows = (int64_t)n;
    const kern_product inner[] = {{gate, x, NULL, &mlp->gate, NULL, rows},
                                  {up, x, NULL, &mlp->up, NULL, rows}};
    if (kern_linear_many(kern, inner, 2)) return dsvl_fail_scratch(err);
    kern_silu_mul(kern, gate, gate, up, rows * mlp->gate.rows);
    return kern_linear(kern, y, gate, &mlp->down, NULL, rows) ? dsvl_fail_scratch(err) : 0;
}

int dsvl_decoder_run(const dsvl_decoder *decoder, dsvl_pass *pass, size_t n, size_t past, dsvl_error *err)
{
    const dsvl_decoder_config *c = &decoder->config;
    dsvl_work *work = &pass->work;
    int64_t rows = (int64_t)n, width = c->width;
    if (n == 0 || n > work->rows || past + n > pass->capacity)
        return dsvl_fail(err, DSVL_E_INTERNAL, "decoder: %zu rows at %zu, room for %zu at %zu", n, past,
                         work->rows, pass->capacity);
    for (int k = 0; k < c->layers; k++) {
        const dsvl_layer *layer = &decoder->layers[k];
        kern_rmsnorm(pass->kern, work->norm, work->hidden, layer->input_norm, c->eps, rows, width);
        if (dsvl_attention_run(decoder, layer, &pass->layers[k], pass, n, past, err)) return -1;
        kern_add(pass->kern, work->hidden, work->out, rows * width);

        kern_rmsnorm(pass->kern, work->norm, work->hidden, layer->post_norm, c->eps, rows, width);
        if (layer->sparse ? dsvl_moe_run(decoder, layer, pass, n, err)
                          : dsvl_mlp_run(&layer->mlp, pass, work->out, work->norm, n, err))
            return -1;
        kern_add(pass->kern, work->hidden, work->out, rows * width);
        if (pass->probe) {
            char stage[32];
            snprintf(stage, sizeof stage, "layer.%d", k);
            pass->probe(pass->probe_user, stage, work->hidden, rows, width);
        }
    }
    return 0;
}

int dsvl_decoder_logits(const dsvl_decoder *decoder, kern_context *kern, float *logits, float *norm,
                        const float *hidden, size_t n, dsvl_error *err)
{
    const dsvl_decoder_config *c = &decoder->config;
    kern_rmsnorm(kern, norm, hidden, decoder->norm, c->eps, (int64_t)n, c->width);
    return kern_linear(kern, logits, norm, &decoder->head, NULL, (int64_t)n) ? dsvl_fail_scratch(err) : 0;
}
