/* SPDX-License-Identifier: Apache-2.0 */
/* Mixture of experts: work.norm [n, width] -> work.out [n, width].
 * Mirrors MoEGate and DeepseekV2MoE of modeling_deepseek.py.
 *
 *   scores = softmax or sigmoid(x . router^T)        [n, experts]
 *   pick experts_per_token of them for each row      (greedy, group limited, or noaux_tc)
 *   out = sum weight * expert(x) + shared(x)
 *
 * Rows are gathered by expert, so each expert in use is read once a pass and the others are not touched. An
 * expert's contributions are added in the order of experts, whatever the number of rows: the bits of a row do
 * not depend on the rows beside it. */
#include <math.h>
#include <string.h>

#include "lib/decoder.h"

/* Index of the largest of count values, the first of equals; -1 only when all are -inf. */
static int largest(const float *values, int count)
{
    int best = -1;
    float top = -INFINITY;
    for (int i = 0; i < count; i++) {
        if (values[i] > top) {
            top = values[i];
            best = i;
        }
    }
    return best;
}

/* What decides between groups: the best score (group_limited_greedy) or the sum of the two best (noaux_tc).
 */
static float group_score(const float *values, int count, bool two)
{
    float first = -INFINITY, second = -INFINITY;
    for (int i = 0; i < count; i++) {
        if (values[i] > first) {
            second = first;
            first = values[i];
        } else if (values[i] > second) {
            second = values[i];
        }
    }
    return two ? first + second : first;
}

/* Scores outside the kept groups become 0, as published: not -inf, so that with negative corrections a
 * refused group's expert can still be chosen. choice [experts], group [groups] scratch. */
static void limit_groups(float *choice, float *group, const dsvl_decoder_config *c, bool two)
{
    int size = c->experts / c->groups;
    for (int g = 0; g < c->groups; g++) group[g] = group_score(choice + g * size, size, two);
    for (int i = 0; i < c->groups_kept; i++) {
        int best = largest(group, c->groups);
        if (best >= 0) group[best] = -INFINITY; /* the mark of a kept group */
    }
    for (int g = 0; g < c->groups; g++)
        for (int i = 0; i < size && group[g] > -INFINITY; i++) choice[g * size + i] = 0;
}

/* Experts of one row and their weights. scores [experts]; choice [experts] and group
 * [groups] are scratch. 0, or -1 when a score is not
 * a number. */
static int pick(const dsvl_decoder_config *c, const float *scores, const float *correction, float *choice,
                float *group, int32_t *picked, float *weight)
{
    bool noaux = c->method == DSVL_GATE_NOAUX_TC;
    for (int e = 0; e < c->experts; e++) choice[e] = noaux ? scores[e] + correction[e] : scores[e];
    if (c->method != DSVL_GATE_GREEDY && c->groups_kept < c->groups) limit_groups(choice, group, c, noaux);

    float sum = 0;
    for (int i = 0; i < c->experts_per_token; i++) {
        int e = largest(choice, c->experts);
        if (e < 0) return -1;
        picked[i] = e;
        weight[i] = noaux ? scores[e] : choice[e];
        sum += weight[i];
        choice[e] = -INFINITY;
    }
    bool normalize = c->normalize_top && c->experts_per_token > 1;
    for (int i = 0; i < c->experts_per_token; i++) {
        if (normalize) weight[i] /= sum + 1e-20f;
        weight[i] *= c->routed_scale;
    }
    return 0;
}

static int route(const dsvl_decoder *decoder, const dsvl_layer *layer, dsvl_pass *pass, size_t n,
                 dsvl_error *err)
{
    const dsvl_decoder_config *c = &decoder->config;
    dsvl_work *work = &pass->work;
    size_t experts = (size_t)c->experts, picks = (size_t)c->experts_per_token;
    if (kern_linear(pass->kern, work->scores, work->norm, &layer->router, NULL, (int64_t)n))
        return dsvl_fail_scratch(err);
    if (c->score == DSVL_SCORE_SOFTMAX) {
        kern_softmax(pass->kern, work->scores, (int64_t)n, c->experts);
    } else {
        for (size_t i = 0; i < n * experts; i++) work->scores[i] = 1.0f / (1.0f + expf(-work->scores[i]));
    }
    for (size_t i = 0; i < n; i++)
        if (pick(c, work->scores + i * experts, layer->correction, work->choice, work->group,
                 work->picked + i * picks, work->weight + i * picks))
            return dsvl_fail(err, DSVL_E_MODEL,
                             "the decoder's expert scores are not numbers: the weights are damaged "
                             "or the embeddings hold NaN");
    return 0;
}

/* Sort the picks by expert, rows ascending within each: first [experts+1], row_of and weight_of [n*picks]. */
static void sort_by_expert(const dsvl_decoder_config *c, dsvl_work *work, size_t n)
{
    size_t picks = (size_t)c->experts_per_token, total = n * picks;
    memset(work->first, 0, ((size_t)c->experts + 1) * sizeof *work->first);
    for (size_t i = 0; i < total; i++) work->first[work->picked[i] + 1]++;
    for (int e = 0; e < c->experts; e++) work->first[e + 1] += work->first[e];
    for (size_t i = 0; i < total; i++) {
        int32_t at = work->first[work->picked[i]]++;
        work->row_of[at] = (int32_t)(i / picks);
        work->weight_of[at] = work->weight[i];
    }
    for (int e = c->experts; e > 0; e--)
        work->first[e] = work->first[e - 1]; /* undo the advance of the fill */
    work->first[0] = 0;
}

/* Experts of one token that are multiplied at once. */
#define TOGETHER 8

/* The experts of a single row and behind them the shared ones, some at a time: their matrices are so small
 * that to begin each on its own would take a good part of the time. The sums are those of many rows, in the
 * same order. */
static int run_row(const dsvl_decoder *decoder, const dsvl_layer *layer, dsvl_pass *pass, dsvl_error *err)
{
    const dsvl_decoder_config *c = &decoder->config;
    dsvl_work *work = &pass->work;
    const int64_t width = c->width;
    const int last = c->shared_experts > 0 ? c->experts : c->experts - 1;
    int e = 0;
    for (int done = 0, count; e <= last; done += count) {
        kern_product inner[2 * TOGETHER], outer[TOGETHER];
        int64_t at = 0; /* in gate and up */
        for (count = 0; count < TOGETHER && e <= last; e++) {
            if (e < c->experts && work->first[e + 1] == work->first[e]) continue;
            const dsvl_mlp *expert = e < c->experts ? &layer->experts[e] : &layer->mlp;
            float *gate = work->gate + at, *up = work->up + at;
            inner[2 * count] = (kern_product){gate, work->norm, NULL, &expert->gate, NULL, 1};
            inner[2 * count + 1] = (kern_product){up, work->norm, NULL, &expert->up, NULL, 1};
            outer[count] = (kern_product){work->expert + count * width, gate, NULL, &expert->down, NULL, 1};
            at += expert->gate.rows;
            count++;
        }
        if (kern_linear_many(pass->kern, inner, 2 * (int64_t)count)) return dsvl_fail_scratch(err);
        kern_silu_mul(pass->kern, work->gate, work->gate, work->up, at);
        if (kern_linear_many(pass->kern, outer, count)) return dsvl_fail_scratch(err);
        for (int i = 0; i < count; i++) {
            const float *y = work->expert + i * width;
            if (done + i < c->experts_per_token)
                kern_axpy(pass->kern, work->out, work->weight_of[done + i], y, width);
            else
                kern_add(pass->kern, work->out, y, width);
        }
    }
    return 0;
}

/* The experts one after the other, each with the rows that picked it, then the shared ones with all rows. */
static int run_rows(const dsvl_decoder *decoder, const dsvl_layer *layer, dsvl_pass *pass, size_t n,
                    dsvl_error *err)
{
    const dsvl_decoder_config *c = &decoder->config;
    dsvl_work *work = &pass->work;
    kern_context *kern = pass->kern;
    size_t width = (size_t)c->width;
    for (int e = 0; e < c->experts; e++) {
        int32_t begin = work->first[e], rows = work->first[e + 1] - begin;
        if (rows == 0) continue;
        const dsvl_mlp *expert = &layer->experts[e];
        const int32_t *index = work->row_of + begin;
        if (kern_linear_gather(kern, work->gate, work->norm, index, &expert->gate, rows) ||
            kern_linear_gather(kern, work->up, work->norm, index, &expert->up, rows))
            return dsvl_fail_scratch(err);
        kern_silu_mul(kern, work->gate, work->gate, work->up, (int64_t)rows * c->expert_mlp);
        if (kern_linear(kern, work->expert, work->gate, &expert->down, NULL, rows))
            return dsvl_fail_scratch(err);
        for (int32_t i = 0; i < rows; i++)
            kern_axpy(kern, work->out + (size_t)index[i] * width, work->weight_of[begin + i],
                      work->expert + (size_t)i * width, c->width);
    }
    if (c->shared_experts == 0) return 0;
    if (dsvl_mlp_run(&layer->mlp, pass, work->expert, work->norm, n, err)) return -1;
    kern_add(kern, work->out, work->expert, (int64_t)(n * width));
    return 0;
}

int dsvl_moe_run(const dsvl_decoder *decoder, const dsvl_layer *layer, dsvl_pass *pass, size_t n,
                 dsvl_error *err)
{
    dsvl_work *work = &pass->work;
    if (route(decoder, layer, pass, n, err)) return -1;
    sort_by_expert(&decoder->config, work, n);
    memset(work->out, 0, n * (size_t)decoder->config.width * sizeof(float));
    return n == 1 ? run_row(decoder, layer, pass, err) : run_rows(decoder, layer, pass, n, err);
}
