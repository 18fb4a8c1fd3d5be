/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/group.h"

#include <string.h>

#include "lib/alloc.h"

static const dsvl_tensor *check(const dsvl_model *model, const dsvl_record *record, dsvl_error *err)
{
    char place[256];
    dsvl_record_place(record, place);
    const dsvl_tensor *t = dsvl_record_tensor(record, "embeddings");
    const char *made_by = dsvl_record_get(record, "model_hash"), *name = dsvl_record_get(record, "model");
    if (!t || t->rank != 2 || (t->dtype != DSVL_F32 && t->dtype != DSVL_BF16) || t->shape[0] < 1) {
        dsvl_fail(err, DSVL_E_INPUT,
                  "%s: the record has no tensor \"embeddings\" of F32 or BF16 [tokens, width]", place);
        return NULL;
    }
    if (!made_by || strcmp(made_by, dsvl_model_hash(model)) != 0) {
        dsvl_fail(err, DSVL_E_INPUT,
                  "%s: the embeddings were made by model %.100s (hash %.16s), not by %.100s (hash %.16s): "
                  "give dsvl-encode "
                  "and dsvl-answer the same -m",
                  place, name ? name : "?", made_by ? made_by : "none", dsvl_model_name(model),
                  dsvl_model_hash(model));
        return NULL;
    }
    if (t->shape[1] != dsvl_model_width(model)) {
        dsvl_fail(err, DSVL_E_INPUT, "%s: the embeddings are %lld wide and the decoder %d", place,
                  (long long)t->shape[1], dsvl_model_width(model));
        return NULL;
    }
    return t;
}

/* [tokens, width] as f32, owned. */
static float *widened(const dsvl_tensor *t, dsvl_error *err)
{
    size_t n = (size_t)t->shape[0] * (size_t)t->shape[1];
    float *out = dsvl_alloc(n, sizeof *out);
    if (!out) {
        dsvl_fail_memory(err, n * sizeof *out);
        return NULL;
    }
    if (t->dtype == DSVL_F32) {
        memcpy(out, t->data, n * sizeof *out);
        return out;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, (const char *)t->data + i * sizeof half, sizeof half);
        out[i] = dsvl_bf16_to_f32(half);
    }
    return out;
}

static int reserve(dsvl_group *group, dsvl_error *err)
{
    size_t need = group->count + 1;
    void *images = group->images, *sources = group->sources;
    if (!dsvl_grow(&images, &group->image_capacity, need, sizeof *group->images))
        return dsvl_fail_memory(err, need * sizeof *group->images);
    group->images = images;
    if (!dsvl_grow(&sources, &group->source_capacity, need, sizeof *group->sources))
        return dsvl_fail_memory(err, need * sizeof *group->sources);
    group->sources = sources;
    return 0;
}

int dsvl_group_add(dsvl_group *group, const dsvl_model *model, const dsvl_record *record, dsvl_error *err)
{
    const dsvl_tensor *t = check(model, record, err);
    if (!t || reserve(group, err)) return -1;
    dsvl_image image = {.tokens = (size_t)t->shape[0], .id = group->serial};
    if (group->tokens + image.tokens < (size_t)dsvl_model_context(model)) {
        image.embeddings = widened(t, err);
        if (!image.embeddings) return -1;
    }
    if (dsvl_source_read(&group->sources[group->count], record, err)) {
        dsvl_dealloc(image.embeddings);
        return -1;
    }
    if (group->wants_evidence && dsvl_evidence_add(&group->evidence, record, group->count, err)) {
        dsvl_dealloc(image.embeddings);
        dsvl_source_clear(&group->sources[group->count]);
        return -1;
    }
    group->images[group->count++] = image;
    group->tokens += image.tokens;
    group->serial++;
    return 0;
}

bool dsvl_group_other_document(const dsvl_group *group, const dsvl_record *record)
{
    if (group->count == 0) return false;
    const char *here = dsvl_record_get(record, DSVL_KEY_DOCUMENT);
    const char *last = json_string_value(group->sources[group->count - 1].document);
    return !here != !last || (here && strcmp(here, last) != 0);
}

void dsvl_group_reset(dsvl_group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        dsvl_dealloc(group->images[i].embeddings);
        dsvl_source_clear(&group->sources[i]);
    }
    dsvl_evidence_reset(&group->evidence);
    group->count = group->tokens = group->failed = 0;
}

void dsvl_group_clear(dsvl_group *group)
{
    dsvl_group_reset(group);
    dsvl_evidence_clear(&group->evidence);
    dsvl_dealloc(group->images);
    dsvl_dealloc(group->sources);
    memset(group, 0, sizeof *group);
}
