/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint: model.safetensors, or shards with model.safetensors.index.json, memory-mapped read-only and
 * shared between processes. Tensors are bound to struct fields by tables; anything missing, surplus,
 * misshapen or of an unsupported type is an error that names it.
 *
 * Numbers that are not finite: every vector that is bound is checked, and every matrix of a checkpoint of at
 * most DSVL_SCAN_LIMIT bytes. Reading all of a larger one would cost seconds before the first page; there a
 * NaN in a matrix is found by the check on the output of the stage that used it. */
#ifndef DSVL_LIB_CHECKPOINT_H
#define DSVL_LIB_CHECKPOINT_H

#include "kernels/kernels.h"
#include "lib/config.h"
#include "lib/safetensors.h"

#define DSVL_SCAN_LIMIT ((uint64_t)256 << 20)

typedef struct dsvl_checkpoint dsvl_checkpoint;

dsvl_checkpoint *dsvl_checkpoint_open(const char *folder, dsvl_error *err);
void dsvl_checkpoint_close(dsvl_checkpoint *checkpoint);

/* Find a tensor; NULL when absent. Data points into the mapping. */
const dsvl_tensor *dsvl_checkpoint_find(const dsvl_checkpoint *checkpoint, const char *name);
size_t dsvl_checkpoint_count(const dsvl_checkpoint *checkpoint);
const char *dsvl_checkpoint_name(const dsvl_checkpoint *checkpoint, size_t i);

/* What a field takes: a matrix, which may be quantized; a matrix that stays in a float type (embeddings,
 * gates, the first layer of a tower); a vector, widened to f32. */
typedef enum dsvl_bind_type { DSVL_BIND_MATRIX, DSVL_BIND_PLAIN, DSVL_BIND_VECTOR } dsvl_bind_type;

/* Bind a matrix in its own type: shape must be [rows, cols] (any rank whose first dimension is rows and whose
 * product of the others is cols). Marks the tensor as used. _plain: one that is never quantized. */
int dsvl_checkpoint_matrix(dsvl_checkpoint *checkpoint, const char *name, int64_t rows, int64_t cols,
                           kern_weight *out, dsvl_error *err);
int dsvl_checkpoint_plain(dsvl_checkpoint *checkpoint, const char *name, int64_t rows, int64_t cols,
                          kern_weight *out, dsvl_error *err);
/* Bind a small vector of `length` elements widened to f32 (norm gains, biases); *out is owned by the
 * checkpoint. */
int dsvl_checkpoint_vector(dsvl_checkpoint *checkpoint, const char *name, int64_t length, const float **out,
                           dsvl_error *err);
/* Declare a tensor known but not needed (attn_pool); absent is fine. */
void dsvl_checkpoint_ignore(dsvl_checkpoint *checkpoint, const char *prefix);
/* After binding all: error naming the first tensor with one of the prefixes that nobody bound or ignored. */
int dsvl_checkpoint_surplus(const dsvl_checkpoint *checkpoint, const char *prefix, dsvl_error *err);
/* A table row that binds one tensor to one field of a struct: rank 1 to 4, each dimension an index into the
 * `sizes` that come with the table. The name goes on from a stem (see stems.h); '#' in it stands for the
 * number given to dsvl_checkpoint_bind. */
typedef struct dsvl_binding {
    const char *name;
    size_t offset; /* of a kern_weight (shape[0] rows, the product of the rest cols) or a const float *
                      (VECTOR) */
    dsvl_bind_type type;
    int rank;
    unsigned char dim[4];
} dsvl_binding;
int dsvl_checkpoint_bind(dsvl_checkpoint *checkpoint, const char *stem, const dsvl_binding *table,
                         size_t count, int number, const int64_t *sizes, void *fields, dsvl_error *err);

/* From here on every MATRIX that is bound must be quantized so. */
void dsvl_checkpoint_quantized(dsvl_checkpoint *checkpoint, const dsvl_quantization *quantization);
/* Tensors that were bound so far, in bytes: what a process that uses them may come to hold in memory. */
uint64_t dsvl_checkpoint_bound(const dsvl_checkpoint *checkpoint);
/* Read every value that was bound: 0, or -1 naming the first tensor with one that is not finite. `told`, when
 * given, is called with the bytes read so far. */
int dsvl_checkpoint_scan(const dsvl_checkpoint *checkpoint,
                         void (*told)(void *user, uint64_t done, uint64_t total), void *user,
                         dsvl_error *err);
/* Bytes of a tensor that will not be needed again soon: they need not stay in memory. */
void dsvl_checkpoint_forget(const dsvl_checkpoint *checkpoint, const void *bytes, size_t length);

/* A checkpoint without files, to learn what a model asks for: whoever binds from it gets weights without
 * data, and every request is kept, in order. Binding finds nothing missing, misshapen or surplus there. */
typedef struct dsvl_want {
    char *name;
    dsvl_bind_type type;
    int rank;
    int64_t shape[4];
} dsvl_want;
dsvl_checkpoint *dsvl_checkpoint_blank(dsvl_error *err);
const dsvl_want *dsvl_checkpoint_wants(const dsvl_checkpoint *checkpoint, size_t *count);
/* Whether a blank checkpoint was asked to ignore tensors of this name. */
bool dsvl_checkpoint_ignored(const dsvl_checkpoint *checkpoint, const char *name);

/* Whether all values are finite: one pass over the bits of the exponents. */
bool dsvl_all_finite(const float *values, size_t n);

/* Hash that identifies the folder: see dsvl_model_hash. */
int dsvl_checkpoint_hash(const dsvl_checkpoint *checkpoint, const char *folder, char hex[65],
                         dsvl_error *err);

#endif
