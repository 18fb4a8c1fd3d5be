/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/quantized.h"

#include <string.h>

#include "lib/alloc.h"

json_t *dsvl_quantization_json(const dsvl_quantization *q)
{
    return json_pack("{s:s, s:i, s:i, s:b, s:i}", "quant_method", "dsvl", "bits", q->bits, "group_size",
                     q->group, "sym", 1, "version", 1);
}

int dsvl_quantized_shape(const dsvl_quantization *q, int64_t rows, int64_t cols, int64_t shape[3])
{
    const int64_t bytes = kern_quantized_size(q->bits == 8 ? KERN_Q8 : KERN_Q4, q->group, rows, cols);
    if (bytes < 0) return -1;
    shape[0] = (rows + KERN_PANEL - 1) / KERN_PANEL;
    shape[1] = (cols + q->group - 1) / q->group;
    shape[2] = bytes / shape[0] / shape[1];
    return 0;
}

static int make_entry(dsvl_st_entry *entry, const dsvl_want *want, const dsvl_quantization *q,
                      dsvl_dtype plain, dsvl_error *err)
{
    dsvl_tensor *t = &entry->tensor;
    size_t elements;
    const bool quantize = q->bits && want->type == DSVL_BIND_MATRIX;
    t->dtype = quantize ? DSVL_U8 : plain;
    t->rank = quantize ? 3 : want->rank;
    memcpy(t->shape, want->shape, sizeof want->shape);
    int64_t cols = 1;
    for (int d = 1; d < want->rank; d++) cols *= want->shape[d];
    if ((quantize && dsvl_quantized_shape(q, want->shape[0], cols, t->shape)) ||
        !dsvl_shape_bytes(t->dtype, t->rank, t->shape, &elements, &t->nbytes))
        return dsvl_fail(err, DSVL_E_MODEL, "tensor \"%.200s\" is too large", want->name);
    entry->name = want->name;
    return 0;
}

int dsvl_quantized_entries(const dsvl_quantization *q, const dsvl_want *wants, size_t count,
                           dsvl_dtype_fn type, const void *user, dsvl_st_entry **entries, dsvl_error *err)
{
    size_t n = 0;
    *entries = dsvl_alloc_zero(count, sizeof **entries);
    if (!*entries) return dsvl_fail_memory(err, count * sizeof **entries);
    for (int plain = 0; plain < 2; plain++) {
        for (size_t i = 0; i < count; i++) {
            const bool first = q->bits && wants[i].type == DSVL_BIND_MATRIX;
            if (first == plain) continue;
            if (make_entry(&(*entries)[n], &wants[i], q, type(user, wants[i].name), err)) {
                dsvl_dealloc(*entries);
                *entries = NULL;
                return -1;
            }
            (*entries)[n++].begin = i; /* which want it is, until a file's layout is made */
        }
    }
    return 0;
}
