/* SPDX-License-Identifier: Apache-2.0 */
/* A dense row-major tensor: type, shape, bytes. Used by the record stream, checkpoints and filters. */
#ifndef DSVL_LIB_TENSOR_H
#define DSVL_LIB_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"

/* The element types of safetensors that the project reads; others are refused by name. */
typedef enum dsvl_dtype {
    DSVL_U8,
    DSVL_I8,
    DSVL_I16,
    DSVL_U16,
    DSVL_F16,
    DSVL_BF16,
    DSVL_I32,
    DSVL_U32,
    DSVL_F32,
    DSVL_I64,
    DSVL_U64,
    DSVL_F64,
    DSVL_BOOL,
    DSVL_DTYPE_COUNT
} dsvl_dtype;

#define DSVL_MAX_RANK 8

typedef struct dsvl_tensor {
    dsvl_dtype dtype;
    int rank;
    int64_t shape[DSVL_MAX_RANK];
    size_t nbytes;
    void *data; /* owned or borrowed: the holder says which */
} dsvl_tensor;

const char *dsvl_dtype_name(dsvl_dtype dtype); /* "F32", as safetensors spells it */
size_t dsvl_dtype_size(dsvl_dtype dtype);
bool dsvl_dtype_parse(const char *name, dsvl_dtype *dtype);

/* Number of elements of a shape, checked: false when negative or when elements * size overflows. */
bool dsvl_shape_bytes(dsvl_dtype dtype, int rank, const int64_t *shape, size_t *elements, size_t *nbytes);

/* Allocate an uninitialised tensor that owns its data. 0 or -1. */
int dsvl_tensor_new(dsvl_tensor *tensor, dsvl_dtype dtype, int rank, const int64_t *shape, dsvl_error *err);
void dsvl_tensor_free(dsvl_tensor *tensor); /* frees owned data and zeroes the struct */

/* "[12, 768, 3]" into a caller's buffer, for messages. */
const char *dsvl_shape_text(int rank, const int64_t *shape, char buffer[96]);

/* The project's content hash (lib/hash.h) of the shape as text, "1754 1240 3\n", and then the data. */
void dsvl_tensor_hash(const dsvl_tensor *tensor, char hex[65]);

static inline float dsvl_bf16_to_f32(uint16_t x)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)x << 16};
    return v.f;
}
uint16_t dsvl_f32_to_bf16(float x); /* round to nearest, ties to even; NaN stays NaN */
float dsvl_f16_to_f32(uint16_t x);
uint16_t dsvl_f32_to_f16(float x);

#endif
