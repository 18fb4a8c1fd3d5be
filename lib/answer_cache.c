/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/answer_cache.h"

#include <string.h>

#include "lib/alloc.h"

/* The entry: this, then ids [count] and logprobs [count]. */
typedef struct kept_answer {
    uint64_t prompt_tokens, count;
    double mean_logprob;
    uint32_t finish, retried;
} kept_answer;

static void add_number(dsvl_hash *hash, uint64_t number)
{
    dsvl_hash_add(hash, &number, sizeof number);
}

static void add_array(dsvl_hash *hash, const void *data, size_t length)
{
    add_number(hash, length);
    if (length) dsvl_hash_add(hash, data, length);
}

/* False: an image was dropped because the prompt is too long, so there is nothing to look up. */
static bool make_key(const dsvl_asked *asked, char key[65])
{
    const dsvl_group *g = asked->group;
    const dsvl_sampling *s = asked->sampling;
    const dsvl_evidence *e = &g->evidence;
    const size_t width = (size_t)dsvl_model_width(asked->model);
    const float numbers[] = {s->temperature, s->top_p, s->repetition_penalty};
    dsvl_hash hash;
    dsvl_hash_init(&hash);
    add_array(&hash, "answer 1 " DSVL_VERSION, sizeof "answer 1 " DSVL_VERSION);
    add_array(&hash, dsvl_model_hash(asked->model), 64);
    add_array(&hash, asked->ids, asked->count * sizeof *asked->ids);
    add_array(&hash, numbers, sizeof numbers);
    add_number(&hash, s->seed);
    add_number(&hash, s->keep_loops != 0);
    add_number(&hash, asked->max_tokens);
    add_number(&hash, asked->model->options.int8 != 0);
    for (size_t i = 0; i < g->count; i++) {
        if (!g->images[i].embeddings) return false;
        add_array(&hash, g->images[i].embeddings, g->images[i].tokens * width * sizeof(float));
    }
    if (asked->grounding) {
        add_array(&hash, e->text, e->bytes);
        add_array(&hash, e->offsets, (e->count + 1) * sizeof *e->offsets);
        add_array(&hash, e->boxes, e->count * 4 * sizeof *e->boxes);
        add_array(&hash, e->flags, e->count);
        add_array(&hash, e->image, e->count * sizeof *e->image);
        add_array(&hash, e->sizes, e->count * sizeof *e->sizes);
        for (size_t i = 0; i < e->passage_count; i++) {
            add_number(&hash, e->passages[i].count);
            add_number(&hash, e->passages[i].kind);
        }
    }
    dsvl_hash_hex(&hash, key);
    return true;
}

/* The spans of an answer that was grounded when it was made. */
static int ground_again(const dsvl_asked *asked, const dsvl_generation *generation, dsvl_error *err)
{
    if (!asked->grounding) return 0;
    dsvl_grounding_reset(asked->grounding);
    for (size_t i = 0; i < generation->count; i++) {
        const char *bytes;
        size_t length;
        dsvl_tokenizer_bytes(asked->model->tokenizer, generation->ids[i], false, &bytes, &length);
        if (dsvl_grounding_accept(asked->grounding, bytes, length, err)) return -1;
    }
    return generation->finish == DSVL_FINISH_STOP ? dsvl_grounding_finish(asked->grounding, err) : 0;
}

int dsvl_answer_cache_get(const dsvl_store *store, const dsvl_asked *asked, char key[65],
                          dsvl_generation *out, size_t *prompt_tokens, dsvl_error *err)
{
    void *data = NULL;
    size_t length;
    kept_answer kept;
    key[0] = '\0';
    memset(out, 0, sizeof *out);
    if (!make_key(asked, key)) return 0;
    int found = dsvl_store_get(store, key, &data, &length, err);
    if (found != 1) return found;
    found = 0;
    if (length < sizeof kept) goto out;
    memcpy(&kept, data, sizeof kept);
    if (kept.count > length ||
        length != sizeof kept + kept.count * (sizeof *out->ids + sizeof *out->logprobs))
        goto out; /* of another version */
    found = -1;
    out->finish = (dsvl_finish)kept.finish;
    out->retried = (int)kept.retried;
    out->mean_logprob = kept.mean_logprob;
    out->count = (size_t)kept.count;
    *prompt_tokens = (size_t)kept.prompt_tokens;
    if (!(out->ids = dsvl_alloc(out->count, sizeof *out->ids)) ||
        !(out->logprobs = dsvl_alloc(out->count, sizeof *out->logprobs))) {
        dsvl_fail_memory(err, out->count * sizeof *out->ids);
        goto out;
    }
    const char *ids = (const char *)data + sizeof kept;
    memcpy(out->ids, ids, out->count * sizeof *out->ids);
    memcpy(out->logprobs, ids + out->count * sizeof *out->ids, out->count * sizeof *out->logprobs);
    if (ground_again(asked, out, err) == 0) found = 1;
out:
    dsvl_dealloc(data);
    if (found != 1) dsvl_generation_clear(out);
    return found;
}

int dsvl_answer_cache_put(const dsvl_store *store, const char key[65], const dsvl_generation *generation,
                          size_t prompt_tokens, dsvl_error *err)
{
    if (!key[0] || generation->finish == DSVL_FINISH_TIMEOUT || generation->finish == DSVL_FINISH_ERROR)
        return 0;
    const kept_answer kept = {prompt_tokens, generation->count, generation->mean_logprob,
                              (uint32_t)generation->finish, (uint32_t)generation->retried};
    const dsvl_bytes_part parts[] = {
        {&kept, sizeof kept},
        {generation->ids, generation->count * sizeof *generation->ids},
        {generation->logprobs, generation->count * sizeof *generation->logprobs}};
    return dsvl_store_put(store, key, parts, 3, err);
}
