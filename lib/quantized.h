/* SPDX-License-Identifier: Apache-2.0 */
/* The quantized folder, dsvl-quantized(5): which matrices are quantized, how config.json says so, and the
 * tensors that stand for them. The bytes of a matrix are kernels.h's. */
#ifndef DSVL_LIB_QUANTIZED_H
#define DSVL_LIB_QUANTIZED_H

#include <jansson.h>

#include "lib/checkpoint.h"

/* The object for config.json's key "quantization_config"; owned. */
#define DSVL_QUANTIZATION_KEY "quantization_config"
json_t *dsvl_quantization_json(const dsvl_quantization *q);

/* Shape of the U8 tensor [panels, blocks, bytes of a block] that stands for a matrix; -1: too large. */
int dsvl_quantized_shape(const dsvl_quantization *q, int64_t rows, int64_t cols, int64_t shape[3]);

/* Every tensor of a model as it stands in a file, matrices quantized by q (bits 0: none).
 * Quantized ones come first, in the order in which the model reads them, so that each begins at a multiple of
 * 64 bytes. `type` tells the type of the others. *entries is owned (dsvl_dealloc); names are borrowed from
 * the wants; `begin` holds the index of the want. */
typedef dsvl_dtype (*dsvl_dtype_fn)(const void *user, const char *name);
int dsvl_quantized_entries(const dsvl_quantization *q, const dsvl_want *wants, size_t count,
                           dsvl_dtype_fn type, const void *user, dsvl_st_entry **entries, dsvl_error *err);

#endif
