/* SPDX-License-Identifier: Apache-2.0 */
/* A config.json, a NUL and a processor_config.json, or DeepSeek-VL's preprocessor_config.json. */
#include <jansson.h>

#include "lib/config.h"
#include "tests/fuzz/fuzz.h"

/* What the code that allocates and loops by these numbers relies on. */
static void check_config(const dsvl_config *c)
{
    const dsvl_vision_config *v = &c->vision;
    const dsvl_decoder_config *d = &c->decoder;
    ALWAYS(v->patch_size > 0 && v->side > 0 && v->side == v->image_size / v->patch_size);
    ALWAYS(v->width > 0 && v->heads > 0 && v->width % v->heads == 0 && v->layers > 0 && v->mlp > 0);
    ALWAYS(d->vocab > 0 && d->width > 0 && d->layers > 0 && d->heads > 0 && d->kv_heads > 0 &&
           d->context > 0);
    if (d->mla)
        ALWAYS(d->kv_lora > 0 && d->nope_dim >= 0 && d->rope_dim >= 0 && d->v_dim > 0 && d->q_lora >= 0);
    else
        ALWAYS(d->heads % d->kv_heads == 0 && d->head_dim > 0 && d->head_dim * d->heads == d->width);
    if (d->experts)
        ALWAYS(d->experts_per_token > 0 && d->experts_per_token <= d->experts && d->expert_mlp > 0);
    if (d->experts && d->method != DSVL_GATE_GREEDY) { /* greedy has no groups */
        ALWAYS(d->groups > 0 && d->experts % d->groups == 0);
        ALWAYS(d->groups_kept > 0 && d->groups_kept <= d->groups);
    }
    ALWAYS(dsvl_config_tile_side(c) > 0);
    if (c->arch != DSVL_ARCH_VL_HYBRID) return;
    const dsvl_sam_config *s = &c->sam;
    ALWAYS(s->patch_size > 0 && s->side > 0 && s->side * s->patch_size == s->image_size && s->window > 0);
    ALWAYS(s->width > 0 && s->heads > 0 && s->width % s->heads == 0 && s->layers > 0 && s->mlp > 0);
    ALWAYS(s->layers <= DSVL_SAM_MAX_LAYERS && s->first_global < s->layers &&
           s->global_block[s->first_global]);
    ALWAYS(s->neck > 0 && s->down[0] > 0 && s->down[1] == c->projector.input && s->out_side == v->side);
}

static void check_processor(const dsvl_processor_config *p)
{
    ALWAYS(p->candidates > 0 && p->candidates <= DSVL_MAX_CANDIDATES && p->tile_size > 0);
    for (int i = 0; i < p->candidates; i++) {
        ALWAYS(p->candidate[i][0] > 0 && p->candidate[i][0] % p->tile_size == 0);
        ALWAYS(p->candidate[i][1] > 0 && p->candidate[i][1] % p->tile_size == 0);
    }
    ALWAYS(p->patch_size > 0 && p->downsample_ratio > 0 && p->low_size >= 0 && p->tokens >= 0);
    ALWAYS(!p->square || (p->min_size > 0 && p->min_size <= p->tile_size && p->filter));
    ALWAYS(memchr(p->image_token, '\0', sizeof p->image_token) &&
           memchr(p->pad_token, '\0', sizeof p->pad_token));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static dsvl_config config;
    static dsvl_processor_config processor;
    dsvl_error err = {.code = DSVL_OK}, other = {.code = DSVL_OK}, third = {.code = DSVL_OK};
    json_object_seed(1);
    const char *json = (const char *)data, *end = size ? memchr(json, '\0', size) : NULL;
    size_t length = end ? (size_t)(end - json) : size;
    int status = dsvl_config_parse(&config, json, length, "config.json", &err);
    ALWAYS(status == 0 ? err.code == DSVL_OK : err.code != DSVL_OK && err.message[0]);
    if (status == 0) check_config(&config);
    if (!end) return 0;
    int second =
        dsvl_processor_config_parse(&processor, end + 1, size - length - 1, "processor_config.json", &other);
    ALWAYS(second == 0 ? other.code == DSVL_OK : other.code != DSVL_OK && other.message[0]);
    if (second == 0) check_processor(&processor);
    if (status == 0 && second == 0) dsvl_config_match(&config, &processor, "fuzz", &third);
    return 0;
}
