/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing the next token from logits, as transformers' logits processors do it. */
#ifndef DSVL_LIB_SAMPLING_H
#define DSVL_LIB_SAMPLING_H

#include <stdbool.h>

#include "lib/error.h"

typedef struct dsvl_sampler dsvl_sampler;

/* sampling NULL: greedy. Parameters out of range are an error that names them. */
dsvl_sampler *dsvl_sampler_new(const dsvl_sampling *sampling, size_t vocab, dsvl_error *err);
void dsvl_sampler_free(dsvl_sampler *sampler); /* NULL-safe */

/* A token of the prompt or of the answer, for the repetition penalty; ids outside the vocabulary are ignored.
 */
void dsvl_sampler_see(dsvl_sampler *sampler, int32_t id);

/* Restrict every choice to the tokens that `allowed` lets through; NULL: all. */
typedef bool (*dsvl_allowed_fn)(void *user, int32_t id);
void dsvl_sampler_restrict(dsvl_sampler *sampler, dsvl_allowed_fn allowed, void *user);

/* Let `favour` change the scores [vocab] before every choice; NULL: they stay. */
typedef void (*dsvl_favour_fn)(void *user, float *scores);
void dsvl_sampler_favour(dsvl_sampler *sampler, dsvl_favour_fn favour, void *user);

/* Choose from logits [vocab]; *logprob is the natural log of the token's probability at temperature 1, before
 * any penalty. Logits that are not finite are an error. */
int dsvl_sampler_pick(dsvl_sampler *sampler, const float *logits, int32_t *id, float *logprob,
                      dsvl_error *err);

/* For tests: the tokens that remain after penalty, temperature and top-p, and their probabilities, which add
 * up to 1; ids and p have room for the vocabulary. Returns how many; 0 for a greedy sampler. */
size_t dsvl_sampler_candidates(dsvl_sampler *sampler, const float *logits, int32_t *ids, float *p);

#endif
