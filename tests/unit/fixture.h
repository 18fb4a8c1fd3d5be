/* SPDX-License-Identifier: Apache-2.0 */
/* Reading tests/reference/fixtures: expected.safetensors of a case, and the list of cases. */
#ifndef DSVL_TESTS_FIXTURE_H
#define DSVL_TESTS_FIXTURE_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/safetensors.h"

#define FIXTURES "tests/reference/fixtures"

typedef struct fixture {
    char name[260];   /* of the case */
    char folder[300]; /* of its model */
    char *bytes;
    dsvl_st_header header;
} fixture;

static inline char *fixture_slurp(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *bytes = size >= 0 ? dsvl_alloc((size_t)size + 1, 1) : NULL;
    *length = bytes ? fread(bytes, 1, (size_t)size, file) : 0;
    if (bytes) bytes[*length] = '\0';
    fclose(file);
    return bytes;
}

/* 0, or -1 with a message when the case cannot be read. */
static inline int fixture_open(fixture *f, const char *name)
{
    char path[340];
    size_t length = 0;
    uint64_t n = 0;
    dsvl_error err = {0};
    memset(f, 0, sizeof *f);
    snprintf(f->name, sizeof f->name, "%s", name);
    bool embedded = strncmp(name, "nano-", 5) == 0;
    snprintf(f->folder, sizeof f->folder, embedded ? "models/nano" : FIXTURES "/%s", name);
    snprintf(path, sizeof path, FIXTURES "/%s/expected.safetensors", name);
    f->bytes = fixture_slurp(path, &length);
    if (f->bytes && length > 8) memcpy(&n, f->bytes, 8);
    if (!f->bytes || n > length - 8 ||
        dsvl_st_parse(&f->header, f->bytes + 8, (size_t)n, length, path, &err)) {
        fprintf(stderr, "%s: cannot read: %s\n", path, err.message);
        return -1;
    }
    for (size_t i = 0; i < f->header.count; i++)
        f->header.entries[i].tensor.data = f->bytes + 8 + n + f->header.entries[i].begin;
    return 0;
}

static inline void fixture_close(fixture *f)
{
    dsvl_st_clear(&f->header);
    dsvl_dealloc(f->bytes);
}

static inline const dsvl_tensor *fixture_tensor(const fixture *f, const char *name)
{
    const dsvl_st_entry *entry = dsvl_st_find(&f->header, name);
    return entry ? &entry->tensor : NULL;
}

static inline const char *fixture_fact(const fixture *f, const char *key)
{
    return json_string_value(json_object_get(f->header.metadata, key));
}

/* Call run for every case; returns how many there were. */
static inline int fixture_each(void (*run)(const fixture *f))
{
    int cases = 0;
    struct dirent **list = NULL;
    int count = scandir(FIXTURES, &list, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[400];
        snprintf(path, sizeof path, FIXTURES "/%s/expected.safetensors", list[i]->d_name);
        FILE *there = list[i]->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (there) {
            fixture f;
            fclose(there);
            if (fixture_open(&f, list[i]->d_name) == 0) {
                run(&f);
                cases++;
            }
            fixture_close(&f);
        }
        free(list[i]);
    }
    free(list);
    return cases;
}

#endif
