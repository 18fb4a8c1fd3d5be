/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of one decoder layer: work.norm [n, width] -> work.out [n, width].
 *
 *   MHA  LlamaAttention of transformers 4.38.2 (ATTENTION_CLASSES["mha_eager"]): rotary halves, grouped keys
 *   MLA  DeepseekV2Attention of modeling_deepseek.py: the cache holds, for each position, the normalised
 * latent [kv_lora] and one rotary key [rope] that all heads share. Queries are carried into the latent space
 * by the key rows of kv_b (absorbed), so decoding reads the latent alone:
 *
 *          q [n, heads, nope+rope] -> q' [n, heads, kv_lora+rope] . cache -> latent [n, heads, kv_lora]
 *                                                                        -> value rows of kv_b -> [n, heads,
 * v_dim] */
#include <string.h>

#include "lib/alloc.h"
#include "lib/decoder.h"

/* The two small norms inside MLA are built without the config's eps: nn default of DeepseekV2RMSNorm. */
static const float LORA_EPS = 1e-6f;

static int mha(const dsvl_decoder *decoder, const dsvl_layer *layer, dsvl_cache *cache, dsvl_pass *pass,
               int64_t n, int64_t past)
{
    const dsvl_decoder_config *c = &decoder->config;
    dsvl_work *work = &pass->work;
    kern_context *kern = pass->kern;
    int64_t heads = c->heads, kv_heads = c->kv_heads, dim = c->head_dim, stride = decoder->key_width;
    float *k = cache->k + past * stride, *v = cache->v + past * stride; /* [n, kv_heads, dim] */
    const kern_product inner[] = {{work->query, work->norm, NULL, &layer->q, layer->q_bias, n},
                                  {k, work->norm, NULL, &layer->k, layer->k_bias, n},
                                  {v, work->norm, NULL, &layer->v, layer->v_bias, n}};
    if (kern_linear_many(kern, inner, 3)) return -1;
    const float *cosine = pass->rope.cosine, *sine = pass->rope.sine;
    kern_rope_half(kern, work->query, cosine, sine, n, past, heads, dim, heads * dim, dim);
    kern_rope_half(kern, k, cosine, sine, n, past, kv_heads, dim, stride, dim);
    if (kern_attention_causal(kern, work->context, work->query, cache->k, cache->v, decoder->score_scale, n,
                              past, heads, kv_heads, dim, dim, stride, stride))
        return -1;
    return kern_linear(kern, work->out, work->context, &layer->o, layer->o_bias, n);
}

/* Queries [n, heads, nope+rope], by one projection or through a low rank, and the rows k of the cache before
 * their norm. */
static int mla_project(const dsvl_decoder *decoder, const dsvl_layer *layer, dsvl_pass *pass, float *k,
                       int64_t n)
{
    dsvl_work *work = &pass->work;
    int64_t rank = decoder->config.q_lora;
    const kern_product inner[] = {
        rank ? (kern_product){work->low, work->norm, NULL, &layer->q_a, layer->q_a_bias, n}
             : (kern_product){work->query, work->norm, NULL, &layer->q, NULL, n},
        {k, work->norm, NULL, &layer->kv_a, layer->kv_a_bias, n}};
    if (kern_linear_many(pass->kern, inner, 2)) return -1;
    if (rank == 0) return 0;
    kern_rmsnorm(pass->kern, work->low, work->low, layer->q_a_norm, LORA_EPS, n, rank);
    return kern_linear(pass->kern, work->query, work->low, &layer->q_b, NULL, n);
}

/* Absorbed attention of n rows of queries [n, heads, nope+rope] -> context [n, heads, v_dim]. */
static int absorbed(const dsvl_decoder *decoder, const dsvl_layer *layer, const dsvl_cache *cache,
                    dsvl_pass *pass, const float *q, float *context, int64_t n, int64_t past)
{
    const dsvl_decoder_config *c = &decoder->config;
    dsvl_work *work = &pass->work;
    int64_t heads = c->heads, nope = c->nope_dim, rope = c->rope_dim, rank = c->kv_lora, value = c->v_dim;
    int64_t query = nope + rope, key = rank + rope;
    if (kern_head_linear(pass->kern, work->absorbed, heads * key, key, q, heads * query, query, &layer->kv_b,
                         nope + value, 0, nope, 0, n, heads))
        return -1;
    for (int64_t i = 0; i < n * heads; i++)
        memcpy(work->absorbed + i * key + rank, q + i * query + nope, (size_t)rope * sizeof(float));
    if (kern_attention_causal(pass->kern, work->latent, work->absorbed, cache->k, cache->k,
                              decoder->score_scale, n, past, heads, 1, key, rank, key, key))
        return -1;
    return kern_head_linear(pass->kern, context, heads * value, value, work->latent, heads * rank, rank,
                            &layer->kv_b, nope + value, nope, value, 1, n, heads);
}

/* [n, from_heads, dim] at head `first` <-> [n, group, dim]: one way or the other. */
static void move_heads(float *group, float *all, int64_t n, int64_t group_heads, int64_t all_heads,
                       int64_t first, int64_t dim, bool gather)
{
    size_t bytes = (size_t)(group_heads * dim) * sizeof(float);
    for (int64_t i = 0; i < n; i++) {
        float *one = group + i * group_heads * dim, *other = all + (i * all_heads + first) * dim;
        memcpy(gather ? one : other, gather ? other : one, bytes);
    }
}

/* The same through keys and values written out, a group of heads at a time. An absorbed query and key meet in
 * kv_lora dimensions instead of nope, so with thousands of queries expanding the keys once is the cheaper
 * way. */
static int expanded(const dsvl_decoder *decoder, const dsvl_layer *layer, const dsvl_cache *cache,
                    dsvl_pass *pass, int64_t n, int64_t past)
{
    const dsvl_decoder_config *c = &decoder->config;
    dsvl_expanded *x = &pass->expanded;
    int64_t nope = c->nope_dim, rope = c->rope_dim, rank = c->kv_lora, value = c->v_dim, total = past + n;
    int64_t dim = nope + rope, key = rank + rope;
    for (int64_t h = 0; h < c->heads; h += x->heads) {
        int64_t heads = c->heads - h < x->heads ? c->heads - h : x->heads, first = h * (nope + value);
        if (kern_head_linear(pass->kern, x->key, heads * dim, dim, cache->k, key, 0, &layer->kv_b,
                             nope + value, first, nope, 1, total, heads) ||
            kern_head_linear(pass->kern, x->value, heads * value, value, cache->k, key, 0, &layer->kv_b,
                             nope + value, first + nope, value, 1, total, heads))
            return -1;
        for (int64_t i = 0; i < total * heads; i++)
            memcpy(x->key + i * dim + nope, cache->k + i / heads * key + rank, (size_t)rope * sizeof(float));
        move_heads(x->query, pass->work.query, n, heads, c->heads, h, dim, true);
        if (kern_attention_causal(pass->kern, x->out, x->query, x->key, x->value, decoder->score_scale, n,
                                  past, heads, heads, dim, value, heads * dim, heads * value))
            return -1;
        move_heads(x->out, pass->work.context, n, heads, c->heads, h, value, false);
    }
    return 0;
}

static int mla(const dsvl_decoder *decoder, const dsvl_layer *layer, dsvl_cache *cache, dsvl_pass *pass,
               int64_t n, int64_t past)
{
    const dsvl_decoder_config *c = &decoder->config;
    dsvl_work *work = &pass->work;
    kern_context *kern = pass->kern;
    int64_t heads = c->heads, nope = c->nope_dim, rope = c->rope_dim, rank = c->kv_lora, value = c->v_dim;
    int64_t query = nope + rope, key = rank + rope;
    const float *cosine = pass->rope.cosine, *sine = pass->rope.sine;
    float *k = cache->k + past * key; /* [n, kv_lora+rope] */
    if (mla_project(decoder, layer, pass, k, n)) return -1;
    kern_rope_interleaved(kern, work->query + nope, cosine, sine, n, past, heads, rope, heads * query, query);
    for (int64_t i = 0; i < n; i++)
        kern_rmsnorm(kern, k + i * key, k + i * key, layer->kv_a_norm, LORA_EPS, 1, rank);
    kern_rope_interleaved(kern, k + rank, cosine, sine, n, past, 1, rope, key, key);

    if (pass->expand && expanded(decoder, layer, cache, pass, n, past)) return -1;
    for (int64_t i = 0; !pass->expand && i < n; i += DSVL_ABSORBED_ROWS) {
        int64_t rows = n - i < DSVL_ABSORBED_ROWS ? n - i : DSVL_ABSORBED_ROWS;
        if (absorbed(decoder, layer, cache, pass, work->query + i * heads * query,
                     work->context + i * heads * value, rows, past + i))
            return -1;
    }
    return kern_linear(kern, work->out, work->context, &layer->o, layer->o_bias, n);
}

size_t dsvl_expanded_bytes(const dsvl_decoder *decoder, size_t positions, size_t rows)
{
    const dsvl_decoder_config *c = &decoder->config;
    return (positions + rows) * (size_t)((int64_t)decoder->query_dim + c->v_dim) * sizeof(float);
}

int dsvl_expanded_reserve(dsvl_expanded *x, const dsvl_decoder *decoder, size_t positions, size_t rows,
                          uint64_t limit, dsvl_error *err)
{
    const dsvl_decoder_config *c = &decoder->config;
    size_t one = dsvl_expanded_bytes(decoder, positions, rows), dim = (size_t)decoder->query_dim;
    uint64_t fit = limit / one;
    size_t heads = fit < 1 ? 1 : fit > (uint64_t)c->heads ? (size_t)c->heads : (size_t)fit;
    size_t floats = heads * one / sizeof(float);
    if (floats > x->floats) {
        dsvl_dealloc(x->block);
        x->floats = 0;
        x->block = dsvl_alloc(floats, sizeof(float));
        if (!x->block) return dsvl_fail_memory(err, floats * sizeof(float));
        x->floats = floats;
    }
    x->heads = (int64_t)heads;
    x->key = x->block;
    x->value = x->key + positions * heads * dim;
    x->query = x->value + positions * heads * (size_t)c->v_dim;
    x->out = x->query + rows * heads * dim;
    return 0;
}

int dsvl_attention_run(const dsvl_decoder *decoder, const dsvl_layer *layer, dsvl_cache *cache,
                       dsvl_pass *pass, size_t n, size_t past, dsvl_error *err)
{
    int failed = decoder->config.mla ? mla(decoder, layer, cache, pass, (int64_t)n, (int64_t)past)
                                     : mha(decoder, layer, cache, pass, (int64_t)n, (int64_t)past);
    return failed ? dsvl_fail_scratch(err) : 0;
}
