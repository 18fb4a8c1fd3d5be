/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

static int compare_begin(const void *a, const void *b)
{
    const dsvl_st_entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->tensor.nbytes < y->tensor.nbytes ? -1 : x->tensor.nbytes > y->tensor.nbytes;
}

static int compare_name(const void *a, const void *b)
{
    const dsvl_st_entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int compare_key(const void *key, const void *entry)
{
    const dsvl_st_entry *const *x = entry;
    return strcmp(key, (*x)->name);
}

/* A JSON integer >= 0. */
static bool natural(const json_t *value, int64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = json_integer_value(value);
    return true;
}

static int parse_entry(dsvl_st_entry *entry, const char *name, const json_t *value, uint64_t data_limit,
                       const char *where, dsvl_error *err)
{
    const json_t *dtype = json_object_get(value, "dtype");
    const json_t *shape = json_object_get(value, "shape");
    const json_t *offsets = json_object_get(value, "data_offsets");
    dsvl_tensor *t = &entry->tensor;
    if (!json_is_string(dtype) || !json_is_array(shape) || json_array_size(offsets) != 2) {
        return dsvl_fail(err, DSVL_E_INPUT, "%s: tensor \"%.100s\" lacks dtype, shape or data_offsets", where,
                         name);
    }
    if (!dsvl_dtype_parse(json_string_value(dtype), &t->dtype)) {
        return dsvl_fail(err, DSVL_E_INPUT, "%s: tensor \"%.100s\" has the unsupported dtype \"%.20s\"",
                         where, name, json_string_value(dtype));
    }
    if (json_array_size(shape) > DSVL_MAX_RANK) {
        return dsvl_fail(err, DSVL_E_INPUT, "%s: tensor \"%.100s\" has more than %d dimensions", where, name,
                         DSVL_MAX_RANK);
    }
    t->rank = (int)json_array_size(shape);
    for (int i = 0; i < t->rank; i++) {
        if (!natural(json_array_get(shape, (size_t)i), &t->shape[i])) {
            return dsvl_fail(err, DSVL_E_INPUT, "%s: tensor \"%.100s\": dimension %d is not a natural number",
                             where, name, i);
        }
    }
    int64_t begin, end;
    size_t elements;
    if (!natural(json_array_get(offsets, 0), &begin) || !natural(json_array_get(offsets, 1), &end) ||
        end < begin || (uint64_t)end > data_limit) {
        return dsvl_fail(err, DSVL_E_INPUT, "%s: tensor \"%.100s\": data_offsets lie outside the data", where,
                         name);
    }
    if (!dsvl_shape_bytes(t->dtype, t->rank, t->shape, &elements, &t->nbytes) ||
        t->nbytes != (uint64_t)(end - begin)) {
        char text[96];
        return dsvl_fail(err, DSVL_E_INPUT,
                         "%s: tensor \"%.100s\": %lld bytes of data do not fit shape %s of %s", where, name,
                         (long long)(end - begin), dsvl_shape_text(t->rank, t->shape, text),
                         dsvl_dtype_name(t->dtype));
    }
    entry->begin = (uint64_t)begin;
    return 0;
}

static int parse_metadata(dsvl_st_header *header, json_t *metadata, const char *where, dsvl_error *err)
{
    if (!metadata) {
        header->metadata = json_object();
        return header->metadata ? 0 : dsvl_fail_memory(err, 0);
    }
    if (!json_is_object(metadata))
        return dsvl_fail(err, DSVL_E_INPUT, "%s: __metadata__ is not an object", where);
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value)) {
            return dsvl_fail(err, DSVL_E_INPUT, "%s: __metadata__ \"%.100s\" is not a string", where, key);
        }
    }
    header->metadata = json_incref(metadata);
    return 0;
}

/* Offsets must tile the data section without gap or overlap. */
static int check_layout(dsvl_st_header *header, const char *where, dsvl_error *err)
{
    if (header->count) {
        qsort(header->entries, header->count, sizeof *header->entries, compare_begin);
        for (size_t i = 0; i < header->count; i++) header->by_name[i] = &header->entries[i];
        qsort(header->by_name, header->count, sizeof *header->by_name, compare_name);
    }
    uint64_t position = 0;
    for (size_t i = 0; i < header->count; i++) {
        const dsvl_st_entry *entry = &header->entries[i];
        if (entry->begin != position) {
            return dsvl_fail(err, DSVL_E_INPUT, "%s: tensor \"%.100s\" leaves a gap in the data or overlaps",
                             where, entry->name);
        }
        position += entry->tensor.nbytes; /* each end is below data_limit, so this cannot overflow */
    }
    header->data_bytes = position;
    return 0;
}

int dsvl_st_parse(dsvl_st_header *header, const char *json, size_t length, uint64_t data_limit,
                  const char *where, dsvl_error *err)
{
    memset(header, 0, sizeof *header);
    int status = -1;
    json_error_t problem;
    json_t *root = json_loadb(json, length, JSON_REJECT_DUPLICATES, &problem);
    if (!json_is_object(root)) {
        dsvl_fail(err, DSVL_E_INPUT, "%s: the safetensors header is not a JSON object%s%s", where,
                  root ? "" : ": ", root ? "" : problem.text);
        goto out;
    }
    header->entries = dsvl_alloc_zero(json_object_size(root), sizeof *header->entries);
    header->by_name = dsvl_alloc_zero(json_object_size(root), sizeof *header->by_name);
    if (!header->entries || !header->by_name) {
        dsvl_fail_memory(err, json_object_size(root) * sizeof *header->entries);
        goto out;
    }
    if (parse_metadata(header, json_object_get(root, "__metadata__"), where, err)) goto out;
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        dsvl_st_entry *entry = &header->entries[header->count];
        if (parse_entry(entry, name, value, data_limit, where, err)) goto out;
        entry->name = dsvl_strdup(name);
        if (!entry->name) {
            dsvl_fail_memory(err, strlen(name));
            goto out;
        }
        header->count++;
    }
    status = check_layout(header, where, err);
out:
    json_decref(root);
    if (status) dsvl_st_clear(header);
    return status;
}

void dsvl_st_clear(dsvl_st_header *header)
{
    for (size_t i = 0; i < header->count; i++) dsvl_dealloc(header->entries[i].name);
    dsvl_dealloc(header->entries);
    dsvl_dealloc(header->by_name);
    json_decref(header->metadata);
    memset(header, 0, sizeof *header);
}

const dsvl_st_entry *dsvl_st_find(const dsvl_st_header *header, const char *name)
{
    if (!header->count) return NULL;
    const dsvl_st_entry **found =
        bsearch(name, header->by_name, header->count, sizeof *header->by_name, compare_key);
    return found ? *found : NULL;
}

/* {"__metadata__": ..., name: {...}, ...} with offsets in the order given; NULL when memory is out. */
static json_t *header_json(const dsvl_st_entry *entries, size_t count, const json_t *metadata)
{
    json_t *root = json_object();
    if (!root) return NULL;
    bool ok = true;
    if (json_object_size(metadata)) {
        json_t *copy = json_deep_copy(metadata);
        ok = copy && json_object_set_new(root, "__metadata__", copy) == 0;
    }
    uint64_t position = 0;
    for (size_t i = 0; ok && i < count; i++) {
        const dsvl_tensor *t = &entries[i].tensor;
        json_t *shape = json_array();
        for (int d = 0; shape && d < t->rank; d++) json_array_append_new(shape, json_integer(t->shape[d]));
        json_t *value = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dsvl_dtype_name(t->dtype), "shape", shape,
                                  "data_offsets", (json_int_t)position, (json_int_t)(position + t->nbytes));
        ok = value && json_object_set_new(root, entries[i].name, value) == 0;
        position += t->nbytes;
    }
    if (ok) return root;
    json_decref(root);
    return NULL;
}

int dsvl_st_format(const dsvl_st_entry *entries, size_t count, const json_t *metadata, char **bytes,
                   size_t *length, dsvl_error *err)
{
    json_t *root = header_json(entries, count, metadata);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!text) return dsvl_fail_memory(err, 0);
    size_t n = strlen(text), padded = (n + 7) / 8 * 8;
    int status = -1;
    *bytes = dsvl_alloc(padded + 8, 1);
    if (!*bytes) {
        dsvl_fail_memory(err, padded);
    } else {
        for (int i = 0; i < 8; i++) (*bytes)[i] = (char)((uint64_t)padded >> (8 * i) & 255);
        memcpy(*bytes + 8, text, n);
        memset(*bytes + 8 + n, ' ', padded - n);
        *length = padded + 8;
        status = 0;
    }
    free(text);
    return status;
}
