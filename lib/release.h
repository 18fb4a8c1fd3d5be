/* SPDX-License-Identifier: Apache-2.0 */
/* The released models: what their folders hold besides the numbers, as a table of facts. For making folders
 * of the same shape (lib/synth.h) where the real ones cannot be fetched. */
#ifndef DSVL_LIB_RELEASE_H
#define DSVL_LIB_RELEASE_H

#include <jansson.h>

#include "lib/checkpoint.h"
#include "lib/folder_writer.h"

/* A tensor that every file of a release holds and no model uses. */
typedef struct dsvl_unused_tensor {
    const char *name;
    int rank;
    signed char dim[4]; /* DSVL_DIM_..., negative; or a number as it is */
} dsvl_unused_tensor;
enum {
    DSVL_DIM_WIDTH = -1,
    DSVL_DIM_KV = -2,
    DSVL_DIM_MLP = -3
}; /* of the vision tower: width, 2*width, mlp */

typedef struct dsvl_release {
    const char *name;        /* "deepseek-vl2-tiny" */
    const char *config;      /* what config.json has of its own; JSON with ' for " */
    const char *tiny;        /* what the scaled-down model has instead */
    dsvl_dtype dtype;        /* of every tensor */
    dsvl_shards shards;      /* second: set from second_layer */
    int second_layer;        /* the decoder layer whose first tensor begins a new file; 0: none */
    int files;               /* with weights */
    int tokens, tiny_tokens; /* ids in tokenizer.json; those that the published processor adds come behind */
} dsvl_release;

/* NULL when there is none of this name. */
const dsvl_release *dsvl_release_find(const char *name);
/* The i-th; NULL past the last. */
const dsvl_release *dsvl_release_at(size_t i);

/* config.json and processor_config.json at true size or scaled down; owned, NULL: out of memory. */
json_t *dsvl_release_config(const dsvl_release *release, bool tiny);
json_t *dsvl_release_processor(const dsvl_release *release, bool tiny);
/* release_tokenizer.c: tokenizer.json with this many ids, beginning and end token first or last; and its
 * settings. */
json_t *dsvl_release_tokenizer(int tokens, bool specials_first);
json_t *dsvl_release_tokenizer_config(void);
json_t *dsvl_release_special_tokens(void);
const dsvl_unused_tensor *dsvl_release_unused(const dsvl_release *release, size_t *count);

#endif
