/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a model folder is what it was, and computes what the published code computes. */
#ifndef DSVL_LIB_VERIFY_H
#define DSVL_LIB_VERIFY_H

#include "lib/model.h"

typedef void (*dsvl_told_fn)(void *user, uint64_t done, uint64_t total);

/* Every file of the folder's dsvl-hashes.txt against its hash; *files: how many, 0 where there is no such
 * list. -1 with DSVL_E_MODEL names the first file that is missing or differs. */
int dsvl_verify_hashes(const char *folder, dsvl_told_fn told, void *user, size_t *files, dsvl_error *err);

/* One stage of a comparison with a fixture file (tests/reference/README.md): how far the largest deviation
 * is, as a part of the largest value; 0 or infinite for tiles and tokens, which are equal or not. */
typedef struct dsvl_stage {
    char name[32]; /* "tiles.0", "tower.0", "projector.0", "embeddings.0", "layer.3", "logits", "greedy" */
    double deviation;
    bool departs; /* beyond the tolerance, or not comparable at all */
} dsvl_stage;
typedef void (*dsvl_stage_fn)(void *user, const dsvl_stage *stage);
/* Cuts a picture [height, width, 3] into tiles (filters/tiling.h; the library has no filters): owned tensor.
 */
typedef int (*dsvl_cut_fn)(const dsvl_processor_config *processor, const dsvl_tensor *image, bool crop,
                           dsvl_tensor *tiles, dsvl_error *err);

/* Run a model, opened with all parts, on the fixture's conversation, each stage on what the one before gave,
 * until a stage departs by more than `tolerance`: 0, and `seen` has been told every stage; the last one may
 * depart. -1: the fixture cannot be read or does not go with the model. */
int dsvl_verify_stages(const dsvl_model *model, const char *path, double tolerance, dsvl_cut_fn cut,
                       dsvl_stage_fn seen, void *user, dsvl_error *err);

#endif
