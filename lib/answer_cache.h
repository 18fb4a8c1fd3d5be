/* SPDX-License-Identifier: Apache-2.0 */
/* Answers kept in a store: the same question about the same images, asked of the same model in the same way,
 * has the same answer, so it is computed once. */
#ifndef DSVL_LIB_ANSWER_CACHE_H
#define DSVL_LIB_ANSWER_CACHE_H

#include "lib/group.h"
#include "lib/store.h"

/* Everything that an answer depends on; all borrowed. */
typedef struct dsvl_asked {
    const dsvl_model *model;
    const dsvl_group *group;
    const int32_t *ids; /* [count]: the prompt, images as -1-k */
    size_t count;
    const dsvl_sampling *sampling; /* its timeout plays no part: what it cut short is not kept */
    size_t max_tokens;
    dsvl_grounding *grounding; /* NULL: the answer is free */
} dsvl_asked;

/* 1: *out is the answer, to be cleared by the caller, *prompt_tokens the length of its prompt, and the
 * grounding holds the answer's spans. 0: it is not there. -1: out of memory. `key` is filled for the put. */
int dsvl_answer_cache_get(const dsvl_store *store, const dsvl_asked *asked, char key[65],
                          dsvl_generation *out, size_t *prompt_tokens, dsvl_error *err);
/* Keep an answer, unless time cut it short. */
int dsvl_answer_cache_put(const dsvl_store *store, const char key[65], const dsvl_generation *generation,
                          size_t prompt_tokens, dsvl_error *err);

#endif
