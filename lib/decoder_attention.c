/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of one decoder layer: work.norm [n, width] -> work.out [n, width].
 *
 *   MHA  LlamaAttention of transformers 4.38.2 (ATTENTION_CLASSES["mha_eager"]): rotary halves, grouped keys
 *   MLA  DeepseekV2Attention of modeling_deepseek.py: the cache holds, for each position, the normalised
 * latent [kv_lora] and one rotary key [rope] that all heads share. Queries are carried into the latent space
 * by the key rows of kv_b (absorbed), so keys and values are never expanded:
 *
 *          q [n, heads, nope+rope] -> q' [n, heads, kv_lora+rope] . cache -> latent [n, heads, kv_lora]
 *                                                                        -> value rows of kv_b -> [n, heads,
 * v_dim] */
#include <string.h>

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
    if (kern_linear(kern, work->query, work->norm, &layer->q, layer->q_bias, n) ||
        kern_linear(kern, k, work->norm, &layer->k, layer->k_bias, n) ||
        kern_linear(kern, v, work->norm, &layer->v, layer->v_bias, n))
        return -1;
    const float *cosine = pass->rope.cosine, *sine = pass->rope.sine;
    kern_rope_half(kern, work->query, cosine, sine, n, past, heads, dim, heads * dim, dim);
    kern_rope_half(kern, k, cosine, sine, n, past, kv_heads, dim, stride, dim);
    if (kern_attention_causal(kern, work->context, work->query, cache->k, cache->v, decoder->score_scale, n,
                              past, heads, kv_heads, dim, dim, stride, stride))
        return -1;
    return kern_linear(kern, work->out, work->context, &layer->o, layer->o_bias, n);
}

/* Queries [n, heads, nope+rope], by one projection or through a low rank. */
static int mla_queries(const dsvl_decoder *decoder, const dsvl_layer *layer, dsvl_pass *pass, int64_t n)
{
    dsvl_work *work = &pass->work;
    int64_t rank = decoder->config.q_lora;
    if (rank == 0) return kern_linear(pass->kern, work->query, work->norm, &layer->q, NULL, n);
    if (kern_linear(pass->kern, work->low, work->norm, &layer->q_a, layer->q_a_bias, n)) return -1;
    kern_rmsnorm(pass->kern, work->low, work->low, layer->q_a_norm, LORA_EPS, n, rank);
    return kern_linear(pass->kern, work->query, work->low, &layer->q_b, NULL, n);
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
    if (mla_queries(decoder, layer, pass, n)) return -1;
    kern_rope_interleaved(kern, work->query + nope, cosine, sine, n, past, heads, rope, heads * query, query);

    float *k = cache->k + past * key; /* [n, kv_lora+rope] */
    if (kern_linear(kern, k, work->norm, &layer->kv_a, layer->kv_a_bias, n)) return -1;
    for (int64_t i = 0; i < n; i++)
        kern_rmsnorm(kern, k + i * key, k + i * key, layer->kv_a_norm, LORA_EPS, 1, rank);
    kern_rope_interleaved(kern, k + rank, cosine, sine, n, past, 1, rope, key, key);

    if (kern_head_linear(kern, work->absorbed, heads * key, key, work->query, heads * query, query,
                         &layer->kv_b, nope + value, 0, nope, 0, n, heads))
        return -1;
    for (int64_t i = 0; i < n * heads; i++)
        memcpy(work->absorbed + i * key + rank, work->query + i * query + nope, (size_t)rope * sizeof(float));
    if (kern_attention_causal(kern, work->latent, work->absorbed, cache->k, cache->k, decoder->score_scale, n,
                              past, heads, 1, key, rank, key, key) ||
        kern_head_linear(kern, work->context, heads * value, value, work->latent, heads * rank, rank,
                         &layer->kv_b, nope + value, nope, value, 1, n, heads))
        return -1;
    return kern_linear(kern, work->out, work->context, &layer->o, layer->o_bias, n);
}

int dsvl_attention_run(const dsvl_decoder *decoder, const dsvl_layer *layer, dsvl_cache *cache,
                       dsvl_pass *pass, size_t n, size_t past, dsvl_error *err)
{
    int failed = decoder->config.mla ? mla(decoder, layer, cache, pass, (int64_t)n, (int64_t)past)
                                     : mha(decoder, layer, cache, pass, (int64_t)n, (int64_t)past);
    return failed ? dsvl_fail_scratch(err) : 0;
}
