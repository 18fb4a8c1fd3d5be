/* SPDX-License-Identifier: Apache-2.0 */
/* From a checkpoint's tensors to the fields of a model: types, shapes and finiteness are checked here. */
#include <stdio.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/checkpoint_private.h"
#include "lib/quantized.h"

/* ---- numbers that are not finite --------------------------------------------------------------------- */

/* A value is NaN or infinite when all bits of its exponent are set. With the other bits cleared, adding the
 * lowest exponent bit then carries into the place of the sign, and nowhere else: so one addition tests a
 * whole word. */
typedef struct lanes {
    uint64_t exponent, lowest, sign;
} lanes;
static const lanes lanes_of[DSVL_DTYPE_COUNT] = {
    [DSVL_F32] = {0x7f8000007f800000u, 0x0080000000800000u, 0x8000000080000000u},
    [DSVL_BF16] = {0x7f807f807f807f80u, 0x0080008000800080u, 0x8000800080008000u},
    [DSVL_F16] = {0x7c007c007c007c00u, 0x0400040004000400u, 0x8000800080008000u},
};

static bool bytes_finite(const void *values, size_t nbytes, dsvl_dtype dtype)
{
    const unsigned char *p = values;
    const lanes l = lanes_of[dtype];
    uint64_t carried = 0, word[8];
    for (; nbytes >= sizeof word; p += sizeof word, nbytes -= sizeof word) {
        memcpy(word, p, sizeof word);
        for (int i = 0; i < 8; i++) carried |= (word[i] & l.exponent) + l.lowest;
    }
    memset(word, 0, sizeof word);
    if (nbytes) memcpy(word, p, nbytes);
    for (int i = 0; i < 8; i++) carried |= (word[i] & l.exponent) + l.lowest;
    return (carried & l.sign) == 0;
}

bool dsvl_all_finite(const float *values, size_t n)
{
    return bytes_finite(values, n * sizeof *values, DSVL_F32);
}

/* Index of the first value that is not finite, for the message. */
static size_t first_bad(const dsvl_tensor *t)
{
    size_t size = dsvl_dtype_size(t->dtype), i = 0;
    const unsigned char *p = t->data;
    while (i < t->nbytes / size && bytes_finite(p + i * size, size, t->dtype)) i++;
    return i;
}

static int check_finite(const slot *s, dsvl_error *err)
{
    if (bytes_finite(s->tensor->data, s->tensor->nbytes, s->tensor->dtype)) return 0;
    return dsvl_fail(err, DSVL_E_MODEL,
                     "%s: tensor \"%s\" holds a NaN or infinity (element %zu); fetch the file again",
                     s->shard->path, s->name, first_bad(s->tensor));
}

static int check_scales(const slot *s, dsvl_error *err)
{
    if (kern_quantized_finite(&s->quantized)) return 0;
    return dsvl_fail(err, DSVL_E_MODEL,
                     "%s: tensor \"%s\" holds a scale that is NaN or infinite; quantize again",
                     s->shard->path, s->name);
}

/* ---- one tensor -------------------------------------------------------------------------------------- */

static bool is_quantized(const dsvl_checkpoint *c, dsvl_bind_type type)
{
    return c->quantization.bits && type == DSVL_BIND_MATRIX;
}

/* The slot of a tensor; of one of the three weight types, but for a quantized matrix. */
static slot *take(const dsvl_checkpoint *c, const char *name, dsvl_bind_type type, dsvl_error *err)
{
    slot *s = dsvl_checkpoint_slot(c, name);
    if (!s) {
        dsvl_fail(err, DSVL_E_MODEL, "%s: tensor \"%s\" is missing%s", c->shards[0].path, name,
                  c->shard_count > 1 ? " there and in the other shards" : "");
        return NULL;
    }
    s->used = s->bound = true;
    if (is_quantized(c, type)) return s;
    const dsvl_tensor *t = s->tensor;
    if (t->dtype != DSVL_F32 && t->dtype != DSVL_F16 && t->dtype != DSVL_BF16) {
        dsvl_fail(err, DSVL_E_MODEL, "%s: tensor \"%s\" is %s; weights can be F32, F16 or BF16%s",
                  s->shard->path, name, dsvl_dtype_name(t->dtype),
                  t->dtype == DSVL_U8 ? ", and config.json does not say that this one is quantized" : "");
        return NULL;
    }
    if ((uintptr_t)t->data % dsvl_dtype_size(t->dtype)) {
        dsvl_fail(err, DSVL_E_MODEL,
                  "%s: tensor \"%s\" is not aligned to its type; save the file anew with safetensors",
                  s->shard->path, name);
        return NULL;
    }
    return s;
}

static int wrong_shape(const slot *s, const char *wanted, dsvl_error *err)
{
    char got[96];
    return dsvl_fail(err, DSVL_E_MODEL, "%s: tensor \"%s\" has shape %s, but config.json asks for %s",
                     s->shard->path, s->name, dsvl_shape_text(s->tensor->rank, s->tensor->shape, got),
                     wanted);
}

/* -1 when it overflows: with a zero among them, the sides of an empty tensor can be anything. */
static int64_t product(const int64_t *shape, int rank)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++) {
        if (__builtin_mul_overflow(n, shape[i], &n)) return -1;
    }
    return n;
}

static const kern_dtype kernel_type[DSVL_DTYPE_COUNT] = {
    [DSVL_F32] = KERN_F32, [DSVL_F16] = KERN_F16, [DSVL_BF16] = KERN_BF16};

/* The U8 tensor that stands for a quantized matrix: its shape follows from the configuration. */
static int set_quantized(const dsvl_checkpoint *c, slot *s, int64_t rows, int64_t cols, kern_weight *out,
                         dsvl_error *err)
{
    const dsvl_quantization *q = &c->quantization;
    const dsvl_tensor *t = s->tensor;
    int64_t shape[3] = {0};
    char got[96], wanted[96];
    const bool possible = dsvl_quantized_shape(q, rows, cols, shape) == 0;
    if (t->dtype != DSVL_U8)
        return dsvl_fail(
            err, DSVL_E_MODEL,
            "%s: tensor \"%s\" is %s, but config.json says that it is quantized to %d bits; the folder mixes "
            "two conversions, quantize the original again",
            s->shard->path, s->name, dsvl_dtype_name(t->dtype), q->bits);
    if (!possible || t->rank != 3 || memcmp(t->shape, shape, sizeof shape) != 0)
        return dsvl_fail(
            err, DSVL_E_MODEL,
            "%s: tensor \"%s\" has shape %s, but %d bits in groups of %d, as config.json says, give %s",
            s->shard->path, s->name, dsvl_shape_text(t->rank, t->shape, got), q->bits, q->group,
            dsvl_shape_text(3, shape, wanted));
    *out = (kern_weight){t->data, q->bits == 8 ? KERN_Q8 : KERN_Q4, rows, cols, q->group};
    s->quantized = *out;
    return c->scan ? check_scales(s, err) : 0;
}

static int set_matrix(const dsvl_checkpoint *c, const slot *s, int64_t rows, int64_t cols, kern_weight *out,
                      dsvl_error *err)
{
    if (c->scan && check_finite(s, err)) return -1;
    *out = (kern_weight){s->tensor->data, kernel_type[s->tensor->dtype], rows, cols, 0};
    return 0;
}

static void widen(float *out, const dsvl_tensor *t, size_t n)
{
    const uint16_t *half = t->data;
    if (t->dtype == DSVL_BF16) {
        for (size_t i = 0; i < n; i++) out[i] = dsvl_bf16_to_f32(half[i]);
    } else {
        for (size_t i = 0; i < n; i++) out[i] = dsvl_f16_to_f32(half[i]);
    }
}

static int set_vector(dsvl_checkpoint *c, const slot *s, int64_t length, const float **out, dsvl_error *err)
{
    if (check_finite(s, err)) return -1;
    if (s->tensor->dtype == DSVL_F32) {
        *out = s->tensor->data; /* no need to widen: stays in the shared mapping */
        return 0;
    }
    void *block = c->owned;
    if (!dsvl_grow(&block, &c->owned_capacity, c->owned_count + 1, sizeof *c->owned))
        return dsvl_fail_memory(err, 0);
    c->owned = block;
    float *values = dsvl_alloc((size_t)length, sizeof *values);
    if (!values) return dsvl_fail_memory(err, (size_t)length * sizeof *values);
    c->owned[c->owned_count++] = values;
    widen(values, s->tensor, (size_t)length);
    *out = values;
    return 0;
}

static int bind_matrix(dsvl_checkpoint *c, const char *name, dsvl_bind_type type, int64_t rows, int64_t cols,
                       kern_weight *out, dsvl_error *err)
{
    const int64_t shape[2] = {rows, cols};
    if (c->blank) {
        *out = (kern_weight){.rows = rows, .cols = cols};
        return dsvl_checkpoint_want(c, name, type, 2, shape, err);
    }
    slot *s = take(c, name, type, err);
    if (!s) return -1;
    if (is_quantized(c, type)) return set_quantized(c, s, rows, cols, out, err);
    const dsvl_tensor *t = s->tensor;
    if (t->rank < 1 || t->shape[0] != rows || product(t->shape + 1, t->rank - 1) != cols) {
        char wanted[96];
        return wrong_shape(s, dsvl_shape_text(2, shape, wanted), err);
    }
    return set_matrix(c, s, rows, cols, out, err);
}

int dsvl_checkpoint_matrix(dsvl_checkpoint *c, const char *name, int64_t rows, int64_t cols, kern_weight *out,
                           dsvl_error *err)
{
    return bind_matrix(c, name, DSVL_BIND_MATRIX, rows, cols, out, err);
}

int dsvl_checkpoint_plain(dsvl_checkpoint *c, const char *name, int64_t rows, int64_t cols, kern_weight *out,
                          dsvl_error *err)
{
    return bind_matrix(c, name, DSVL_BIND_PLAIN, rows, cols, out, err);
}

int dsvl_checkpoint_vector(dsvl_checkpoint *c, const char *name, int64_t length, const float **out,
                           dsvl_error *err)
{
    if (c->blank) return dsvl_checkpoint_want(c, name, DSVL_BIND_VECTOR, 1, &length, err);
    const slot *s = take(c, name, DSVL_BIND_VECTOR, err);
    if (!s) return -1;
    if (product(s->tensor->shape, s->tensor->rank) != length) {
        char wanted[96];
        return wrong_shape(s, dsvl_shape_text(1, &length, wanted), err);
    }
    return set_vector(c, s, length, out, err);
}

/* ---- tables ------------------------------------------------------------------------------------------ */

static int number_name(const char *stem, const char *pattern, int number, char *name, size_t capacity,
                       dsvl_error *err)
{
    const char *mark = strchr(pattern, '#');
    int used =
        mark ? snprintf(name, capacity, "%s%.*s%d%s", stem, (int)(mark - pattern), pattern, number, mark + 1)
             : snprintf(name, capacity, "%s%s", stem, pattern);
    if (used < 0 || (size_t)used >= capacity)
        return dsvl_fail(err, DSVL_E_INTERNAL, "%s: tensor name too long", pattern);
    return 0;
}

int dsvl_checkpoint_bind(dsvl_checkpoint *c, const char *stem, const dsvl_binding *table, size_t count,
                         int number, const int64_t *sizes, void *fields, dsvl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const dsvl_binding *b = &table[i];
        char name[256], wanted[96];
        int64_t shape[4];
        void *field = (char *)fields + b->offset;
        if (number_name(stem, b->name, number, name, sizeof name, err)) return -1;
        for (int d = 0; d < b->rank; d++) shape[d] = sizes[b->dim[d]];
        const int64_t rest = product(shape + 1, b->rank - 1);
        if (c->blank) {
            if (b->type != DSVL_BIND_VECTOR)
                *(kern_weight *)field = (kern_weight){.rows = shape[0], .cols = rest};
            if (dsvl_checkpoint_want(c, name, b->type, b->rank, shape, err)) return -1;
            continue;
        }
        slot *s = take(c, name, b->type, err);
        if (!s) return -1;
        if (is_quantized(c, b->type)) {
            if (set_quantized(c, s, shape[0], rest, field, err)) return -1;
            continue;
        }
        bool same = s->tensor->rank == b->rank;
        for (int d = 0; d < b->rank; d++) same = same && s->tensor->shape[d] == shape[d];
        if (!same) return wrong_shape(s, dsvl_shape_text(b->rank, shape, wanted), err);
        if (b->type == DSVL_BIND_VECTOR ? set_vector(c, s, shape[0] * rest, field, err)
                                        : set_matrix(c, s, shape[0], rest, field, err)) {
            return -1;
        }
    }
    return 0;
}

void dsvl_checkpoint_ignore(dsvl_checkpoint *c, const char *prefix)
{
    for (size_t i = 0; i < c->count; i++) {
        slot *s = &c->slots[i];
        if (!s->bound && strncmp(s->name, prefix, strlen(prefix)) == 0) s->used = true;
    }
    void *block = c->ignored;
    char *copy = c->blank ? dsvl_strdup(prefix) : NULL;
    if (!copy || !dsvl_grow(&block, &c->ignored_capacity, c->ignored_count + 1, sizeof *c->ignored)) {
        dsvl_dealloc(copy); /* out of memory: a tensor is then called surplus */
        return;
    }
    c->ignored = block;
    c->ignored[c->ignored_count++] = copy;
}

/* ---- all that was bound ------------------------------------------------------------------------------ */

uint64_t dsvl_checkpoint_bound(const dsvl_checkpoint *c)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < c->count; i++) bytes += c->slots[i].bound ? c->slots[i].tensor->nbytes : 0;
    return bytes;
}

int dsvl_checkpoint_scan(const dsvl_checkpoint *c, void (*told)(void *user, uint64_t done, uint64_t total),
                         void *user, dsvl_error *err)
{
    const uint64_t total = dsvl_checkpoint_bound(c);
    uint64_t done = 0;
    for (size_t i = 0; i < c->count; i++) {
        const slot *s = &c->slots[i];
        if (!s->bound) continue;
        if (s->quantized.data ? check_scales(s, err) : check_finite(s, err)) return -1;
        dsvl_checkpoint_forget(c, s->tensor->data, s->tensor->nbytes);
        done += s->tensor->nbytes;
        if (told) told(user, done, total);
    }
    return 0;
}

int dsvl_checkpoint_surplus(const dsvl_checkpoint *c, const char *prefix, dsvl_error *err)
{
    for (size_t i = 0; i < c->count; i++) {
        const slot *s = &c->slots[i];
        if (!s->used && strncmp(s->name, prefix, strlen(prefix)) == 0) {
            return dsvl_fail(err, DSVL_E_MODEL,
                             "%s: tensor \"%.200s\" has no place in the model that config.json describes",
                             s->shard->path, s->name);
        }
    }
    return 0;
}
