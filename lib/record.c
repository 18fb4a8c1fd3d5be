/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/record.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

dsvl_record *dsvl_record_new(const char *kind, dsvl_error *err)
{
    dsvl_record *record = dsvl_alloc_zero(1, sizeof *record);
    if (!record || !(record->metadata = json_object())) {
        dsvl_fail_memory(err, sizeof *record);
        dsvl_record_free(record);
        return NULL;
    }
    if (dsvl_record_set(record, DSVL_KEY_KIND, kind, err) ||
        dsvl_record_set(record, DSVL_KEY_VERSION, "1", err)) {
        dsvl_record_free(record);
        return NULL;
    }
    return record;
}

void dsvl_record_free(dsvl_record *record)
{
    if (!record) return;
    for (size_t i = 0; i < record->count; i++) {
        dsvl_dealloc(record->entries[i].name);
        dsvl_tensor_free(&record->entries[i].tensor);
    }
    dsvl_dealloc(record->entries);
    json_decref(record->metadata);
    dsvl_dealloc(record);
}

const char *dsvl_record_get(const dsvl_record *record, const char *key)
{
    return json_string_value(json_object_get(record->metadata, key));
}

const char *dsvl_record_kind(const dsvl_record *record)
{
    const char *kind = dsvl_record_get(record, DSVL_KEY_KIND);
    return kind ? kind : "";
}

bool dsvl_record_is(const dsvl_record *record, const char *kind)
{
    return strcmp(dsvl_record_kind(record), kind) == 0;
}

/* Length of the well-formed UTF-8 sequence at p (Unicode table 3-7), 0 when there is none. */
static size_t sequence_length(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80) return 1;
    size_t n = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
               : (p[0] & 0xf0) == 0xe0        ? 3
               : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                              : 0;
    if (n == 0 || n > left) return 0;
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
    }
    return n;
}

char *dsvl_utf8(const char *text, size_t length)
{
    if (length > (SIZE_MAX - 1) / 3) return NULL;
    char *out = dsvl_alloc(3 * length + 1, 1), *q = out;
    if (!out) return NULL;
    for (size_t i = 0; i < length;) {
        size_t n = sequence_length((const unsigned char *)text + i, length - i);
        memcpy(q, n ? text + i : "\xef\xbf\xbd", n ? n : 3);
        q += n ? n : 3;
        i += n ? n : 1;
    }
    *q = '\0';
    return out;
}

int dsvl_record_set(dsvl_record *record, const char *key, const char *value, dsvl_error *err)
{
    char *clean = dsvl_utf8(value, strlen(value));
    json_t *string = clean ? json_string_nocheck(clean) : NULL;
    dsvl_dealloc(clean);
    if (!string || json_object_set_new(record->metadata, key, string))
        return dsvl_fail_memory(err, strlen(value));
    return 0;
}

int dsvl_record_setf(dsvl_record *record, const char *key, dsvl_error *err, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) return dsvl_fail_memory(err, 0);
    int status = dsvl_record_set(record, key, text, err);
    free(text);
    return status;
}

int dsvl_record_append(dsvl_record *record, const char *key, const char *separator, const char *value,
                       dsvl_error *err)
{
    const char *old = dsvl_record_get(record, key);
    if (!old || !*old) return dsvl_record_set(record, key, value, err);
    return dsvl_record_setf(record, key, err, "%s%s%s", old, separator, value);
}

static int bad_value(const dsvl_record *record, const char *key, const char *wanted, dsvl_error *err)
{
    char place[256];
    const char *text = dsvl_record_get(record, key);
    return dsvl_fail(err, DSVL_E_INPUT, "%s: the %s record's \"%s\" is %s%.40s%s, not %s",
                     dsvl_record_place(record, place), dsvl_record_kind(record), key, text ? "\"" : "",
                     text ? text : "absent", text ? "\"" : "", wanted);
}

int dsvl_record_int(const dsvl_record *record, const char *key, long low, long high, long *value,
                    dsvl_error *err)
{
    const char *text = dsvl_record_get(record, key);
    char *end = NULL;
    errno = 0;
    long n = text ? strtol(text, &end, 10) : 0;
    if (!text || end == text || *end || errno || n < low || n > high) {
        char wanted[80];
        snprintf(wanted, sizeof wanted, "a whole number from %ld to %ld", low, high);
        return bad_value(record, key, wanted, err);
    }
    *value = n;
    return 0;
}

int dsvl_record_double(const dsvl_record *record, const char *key, double *value, dsvl_error *err)
{
    const char *text = dsvl_record_get(record, key);
    char *end = NULL;
    double x = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end || !isfinite(x)) return bad_value(record, key, "a number", err);
    *value = x;
    return 0;
}

static dsvl_st_entry *find_entry(const dsvl_record *record, const char *name)
{
    for (size_t i = 0; i < record->count; i++) {
        if (strcmp(record->entries[i].name, name) == 0) return &record->entries[i];
    }
    return NULL;
}

const dsvl_tensor *dsvl_record_tensor(const dsvl_record *record, const char *name)
{
    const dsvl_st_entry *entry = find_entry(record, name);
    return entry ? &entry->tensor : NULL;
}

const dsvl_tensor *dsvl_record_need(const dsvl_record *record, const char *name, dsvl_dtype dtype, int rank,
                                    dsvl_error *err)
{
    const dsvl_tensor *t = dsvl_record_tensor(record, name);
    if (t && t->dtype == dtype && t->rank == rank) return t;
    char place[256], shape[96];
    if (!t) {
        dsvl_fail(err, DSVL_E_INPUT, "%s: the %s record has no tensor \"%s\"",
                  dsvl_record_place(record, place), dsvl_record_kind(record), name);
    } else {
        dsvl_fail(err, DSVL_E_INPUT, "%s: tensor \"%s\" is %s %s, not %s of rank %d",
                  dsvl_record_place(record, place), name, dsvl_dtype_name(t->dtype),
                  dsvl_shape_text(t->rank, t->shape, shape), dsvl_dtype_name(dtype), rank);
    }
    return NULL;
}

int dsvl_record_put_take(dsvl_record *record, const char *name, dsvl_tensor *tensor, dsvl_error *err)
{
    dsvl_st_entry *entry = find_entry(record, name);
    if (entry) {
        dsvl_tensor_free(&entry->tensor);
    } else {
        dsvl_st_entry *grown = dsvl_realloc(record->entries, record->count, record->count + 1, sizeof *grown);
        char *copy = grown ? dsvl_strdup(name) : NULL;
        if (grown) record->entries = grown;
        if (!copy) {
            dsvl_tensor_free(tensor);
            return dsvl_fail_memory(err, sizeof *grown);
        }
        entry = &record->entries[record->count++];
        memset(entry, 0, sizeof *entry);
        entry->name = copy;
    }
    entry->tensor = *tensor;
    memset(tensor, 0, sizeof *tensor);
    return 0;
}

void dsvl_record_swap(dsvl_record *record, const char *name, dsvl_tensor *tensor)
{
    dsvl_st_entry *entry = find_entry(record, name);
    if (!entry) return;
    const dsvl_tensor other = entry->tensor;
    entry->tensor = *tensor;
    *tensor = other;
}

void dsvl_record_drop(dsvl_record *record, const char *name)
{
    dsvl_st_entry *entry = find_entry(record, name);
    if (!entry) return;
    dsvl_dealloc(entry->name);
    dsvl_tensor_free(&entry->tensor);
    size_t index = (size_t)(entry - record->entries);
    memmove(entry, entry + 1, (record->count - index - 1) * sizeof *entry);
    record->count--;
}

const char *dsvl_record_place(const dsvl_record *record, char buffer[256])
{
    const char *document = dsvl_record_get(record, DSVL_KEY_DOCUMENT),
               *page = dsvl_record_get(record, DSVL_KEY_PAGE);
    const char *name = document ? strcmp(document, "-") ? document : "standard input" : "record";
    snprintf(buffer, 256, "%.200s%s%.20s", name, page ? ", page " : "", page ? page : "");
    return buffer;
}

int dsvl_record_to_error(dsvl_record *record, const char *stage, const dsvl_error *cause, dsvl_error *err)
{
    static const char *const causes[] = {"internal", "usage",  "input", "model",
                                         "limit",    "memory", "io",    "internal"};
    while (record->count) dsvl_record_drop(record, record->entries[record->count - 1].name);
    if (dsvl_record_set(record, DSVL_KEY_KIND, "error", err) ||
        dsvl_record_set(record, DSVL_KEY_STAGE, stage, err) ||
        dsvl_record_set(record, DSVL_KEY_CAUSE, causes[cause->code], err)) {
        return -1;
    }
    return dsvl_record_set(record, DSVL_KEY_MESSAGE, cause->message, err);
}
