/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/tensor.h"

#include <stdio.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/hash.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[DSVL_DTYPE_COUNT] = {
    [DSVL_U8] = {"U8", 1},     [DSVL_I8] = {"I8", 1},     [DSVL_I16] = {"I16", 2}, [DSVL_U16] = {"U16", 2},
    [DSVL_F16] = {"F16", 2},   [DSVL_BF16] = {"BF16", 2}, [DSVL_I32] = {"I32", 4}, [DSVL_U32] = {"U32", 4},
    [DSVL_F32] = {"F32", 4},   [DSVL_I64] = {"I64", 8},   [DSVL_U64] = {"U64", 8}, [DSVL_F64] = {"F64", 8},
    [DSVL_BOOL] = {"BOOL", 1},
};

const char *dsvl_dtype_name(dsvl_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t dsvl_dtype_size(dsvl_dtype dtype)
{
    return dtypes[dtype].size;
}

bool dsvl_dtype_parse(const char *name, dsvl_dtype *dtype)
{
    for (int i = 0; i < DSVL_DTYPE_COUNT; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *dtype = (dsvl_dtype)i;
            return true;
        }
    }
    return false;
}

bool dsvl_shape_bytes(dsvl_dtype dtype, int rank, const int64_t *shape, size_t *elements, size_t *nbytes)
{
    if (rank < 0 || rank > DSVL_MAX_RANK) return false;
    size_t product = 1;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0 || (uint64_t)shape[i] > SIZE_MAX) return false;
        if (__builtin_mul_overflow(product, (size_t)shape[i], &product)) return false;
    }
    *elements = product;
    return !__builtin_mul_overflow(product, dtypes[dtype].size, nbytes);
}

int dsvl_tensor_new(dsvl_tensor *tensor, dsvl_dtype dtype, int rank, const int64_t *shape, dsvl_error *err)
{
    memset(tensor, 0, sizeof *tensor);
    size_t elements, nbytes;
    if (!dsvl_shape_bytes(dtype, rank, shape, &elements, &nbytes)) {
        char text[96];
        return dsvl_fail(err, DSVL_E_LIMIT, "a tensor of shape %s is too large",
                         dsvl_shape_text(rank, shape, text));
    }
    tensor->data = dsvl_alloc(nbytes, 1);
    if (!tensor->data) return dsvl_fail_memory(err, nbytes);
    tensor->dtype = dtype;
    tensor->rank = rank;
    memcpy(tensor->shape, shape, (size_t)rank * sizeof *shape);
    tensor->nbytes = nbytes;
    return 0;
}

void dsvl_tensor_free(dsvl_tensor *tensor)
{
    if (!tensor) return;
    dsvl_dealloc(tensor->data);
    memset(tensor, 0, sizeof *tensor);
}

void dsvl_tensor_hash(const dsvl_tensor *tensor, char hex[65])
{
    dsvl_hash hash;
    dsvl_hash_init(&hash);
    for (int i = 0; i < tensor->rank; i++) {
        char text[24];
        int n = snprintf(text, sizeof text, "%lld%c", (long long)tensor->shape[i],
                         i + 1 < tensor->rank ? ' ' : '\n');
        dsvl_hash_add(&hash, text, (size_t)n);
    }
    dsvl_hash_add(&hash, tensor->data, tensor->nbytes);
    dsvl_hash_hex(&hash, hex);
}

const char *dsvl_shape_text(int rank, const int64_t *shape, char buffer[96])
{
    size_t used = 0;
    buffer[used++] = '[';
    for (int i = 0; i < rank && used < 80; i++) {
        int n = snprintf(buffer + used, 96 - used, i ? ", %lld" : "%lld", (long long)shape[i]);
        if (n < 0 || (size_t)n >= 96 - used) break;
        used += (size_t)n;
    }
    if (used > 94) used = 94;
    buffer[used++] = ']';
    buffer[used] = '\0';
    return buffer;
}

uint16_t dsvl_f32_to_bf16(float x)
{
    union {
        float f;
        uint32_t u;
    } v = {x};
    if (x != x) return (uint16_t)((v.u >> 16) | 0x40); /* keep it a quiet NaN */
    return (uint16_t)((v.u + 0x7fff + ((v.u >> 16) & 1)) >> 16);
}

float dsvl_f16_to_f32(uint16_t x)
{
    union {
        uint32_t u;
        float f;
    } v;
    uint32_t sign = (uint32_t)(x & 0x8000) << 16, exponent = (x >> 10) & 31, mantissa = x & 0x3ff;
    if (exponent == 31) {
        v.u = sign | 0x7f800000 | mantissa << 13;
    } else if (exponent) {
        v.u = sign | (exponent + 112) << 23 | mantissa << 13;
    } else { /* zero or subnormal: mantissa * 2^-24 is exact in f32 */
        v.f = (float)mantissa * 0x1p-24f;
        v.u |= sign;
    }
    return v.f;
}

uint16_t dsvl_f32_to_f16(float x)
{
    union {
        float f;
        uint32_t u;
    } v = {x};
    uint32_t sign = (v.u >> 16) & 0x8000, magnitude = v.u & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* rounds beyond 65504 */
    if (magnitude < 0x38800000) { /* subnormal half: add 0.5 so the bits line up */
        v.u = magnitude;
        v.f += 0.5f;
        return (uint16_t)(sign | (v.u - 0x3f000000));
    }
    uint32_t odd = (magnitude >> 13) & 1;
    return (uint16_t)(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}
