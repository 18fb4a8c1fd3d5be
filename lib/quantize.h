/* SPDX-License-Identifier: Apache-2.0 */
/* From a model folder to a quantized one: dsvl-quantized(5). */
#ifndef DSVL_LIB_QUANTIZE_H
#define DSVL_LIB_QUANTIZE_H

#include "lib/checkpoint.h"
#include "lib/synth.h"

typedef struct dsvl_quantize_options {
    dsvl_quantization quantization;
    int threads;
    bool replace; /* an `out` that exists */
    dsvl_progress_fn progress;
    void *user;
} dsvl_quantize_options;

/* Write `out`, as lib/folder_writer.h says, from the folder `in`, which is checked as for running it. The
 * settings files and the tokenizer are copied; tensors that no model reads are left out. The weights pass
 * through some tens of megabytes of memory, whatever their size. */
int dsvl_quantize(const char *in, const char *out, const dsvl_quantize_options *options, dsvl_error *err);

#endif
