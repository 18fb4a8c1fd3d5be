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
    int prefix;       /* which of its layout's unused prefixes (lib/stems.h) */
    const char *name; /* behind it */
    int rank;
    short dim[4]; /* DSVL_DIM_..., negative; or a number as it is */
} dsvl_unused_tensor;
enum {
    DSVL_DIM_WIDTH = -1,
    DSVL_DIM_KV = -2,
    DSVL_DIM_MLP = -3
}; /* of the vision tower: width, 2*width, mlp */

/* A file with settings, besides config.json. */
typedef struct dsvl_release_file {
    const char *name, *json;
    const char *tiny; /* what the scaled-down model has instead; NULL: nothing */
} dsvl_release_file;

/* tokenizer.json: how many ids it has, and where the beginning and the end token stand; what the published
 * processor adds comes behind. */
typedef struct dsvl_release_ids {
    int count, begin;
} dsvl_release_ids;

typedef struct dsvl_release {
    const char *name;                  /* "deepseek-vl2-tiny" */
    const char *config;                /* config.json, with ' for " */
    const dsvl_release_file *settings; /* ended by a row without a name */
    const char *tiny;                  /* what the scaled-down model has instead */
    dsvl_dtype dtype;                  /* of every tensor */
    dsvl_shards shards;                /* second: set from second_layer */
    int second_layer;                  /* the decoder layer whose first tensor begins a new file; 0: none */
    int files;                         /* with weights */
    const dsvl_unused_tensor *unused;  /* ended by a row without a name */
    const char *image_token; /* the last id of tokenizer.json; NULL: the published processor adds it */
    dsvl_release_ids ids, tiny_ids;
} dsvl_release;

/* NULL when there is none of this name. */
const dsvl_release *dsvl_release_find(const char *name);
/* The i-th; NULL past the last. */
const dsvl_release *dsvl_release_at(size_t i);

/* A file's settings at true size or scaled down; owned, NULL: out of memory. */
json_t *dsvl_release_config(const dsvl_release *release, bool tiny);
json_t *dsvl_release_settings(const dsvl_release_file *file, bool tiny);
/* release_tokenizer.c: tokenizer.json and what belongs to it. */
json_t *dsvl_release_tokenizer(const dsvl_release *release, bool tiny);
json_t *dsvl_release_tokenizer_config(void);
json_t *dsvl_release_special_tokens(void);

#endif
