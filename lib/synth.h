/* SPDX-License-Identifier: Apache-2.0 */
/* Model folders of a released model's true shape, or scaled down, with random weights: for measuring and
 * testing where the real ones are not at hand. */
#ifndef DSVL_LIB_SYNTH_H
#define DSVL_LIB_SYNTH_H

#include "lib/release.h"

/* Told how much has been written, now and then. */
typedef void (*dsvl_progress_fn)(void *user, uint64_t done, uint64_t total);

typedef struct dsvl_synth_options {
    const dsvl_release *release;
    bool tiny;                      /* scaled down */
    uint64_t seed;                  /* the same seed gives the same bytes */
    dsvl_quantization quantization; /* bits 0: in the release's own type */
    bool replace;                   /* an `out` that exists */
    dsvl_progress_fn progress;
    void *user;
} dsvl_synth_options;

/* Write a whole folder, as lib/folder_writer.h says. Memory: some tens of megabytes. */
int dsvl_synth(const char *out, const dsvl_synth_options *options, dsvl_error *err);

#endif
