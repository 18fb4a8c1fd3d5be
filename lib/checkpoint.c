/* SPDX-License-Identifier: Apache-2.0 */
/* model.safetensors or its shards, mapped; opening and finding. Binding is in checkpoint_bind.c. */
#include "lib/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/checkpoint_private.h"
#include "lib/folder.h"
#include "lib/hash.h"

#define SINGLE "model.safetensors"
#define INDEX "model.safetensors.index.json"
enum { EDGE = 4096, MAX_SHARDS = 4096 };

/* ---- one file ---------------------------------------------------------------------------------------- */

static int map_file(shard *s, dsvl_error *err)
{
    struct stat status;
    int descriptor = open(s->path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return dsvl_fail(err, DSVL_E_MODEL, "%s: cannot open: %s%s", s->path, strerror(errno),
                         errno == ENOENT ? "; the model is incomplete, fetch this file" : "");
    }
    int result = -1;
    if (fstat(descriptor, &status) || !S_ISREG(status.st_mode)) {
        dsvl_fail(err, DSVL_E_MODEL, "%s: not a regular file", s->path);
    } else if (status.st_size < 8) {
        dsvl_fail(err, DSVL_E_MODEL, "%s: %lld bytes are no safetensors file", s->path,
                  (long long)status.st_size);
    } else {
        void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
        if (map == MAP_FAILED) {
            dsvl_fail(err, DSVL_E_IO, "%s: cannot map into memory: %s", s->path, strerror(errno));
        } else {
            s->map = map;
            s->size = (size_t)status.st_size;
            result = 0;
        }
    }
    close(descriptor);
    return result;
}

/* Header against file: the data section must be exactly what the header describes. */
static int read_header(shard *s, dsvl_error *err)
{
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | s->map[i];
    if (length > DSVL_HEADER_LIMIT || length > s->size - 8) {
        return dsvl_fail(err, DSVL_E_MODEL,
                         "%s: a header of %llu bytes does not fit a file of %zu; it is cut or damaged",
                         s->path, (unsigned long long)length, s->size);
    }
    if (dsvl_st_parse(&s->header, (const char *)s->map + 8, (size_t)length, INT64_MAX, s->path, err)) {
        if (err && err->code == DSVL_E_INPUT) err->code = DSVL_E_MODEL;
        return -1;
    }
    uint64_t have = s->size - 8 - length;
    if (have != s->header.data_bytes) {
        return dsvl_fail(err, DSVL_E_MODEL,
                         "%s: %llu bytes of data where the header describes %llu; the file is %s, "
                         "fetch it again",
                         s->path, (unsigned long long)have, (unsigned long long)s->header.data_bytes,
                         have < s->header.data_bytes ? "cut short" : "damaged");
    }
    s->data = s->map + 8 + length;
    for (size_t i = 0; i < s->header.count; i++) {
        dsvl_st_entry *entry = &s->header.entries[i];
        union {
            const unsigned char *read;
            void *data;
        } at = {.read = s->data + entry->begin};
        entry->tensor.data = at.data; /* const from here on: the mapping is read-only */
    }
    return 0;
}

static int open_shard(shard *s, const char *folder, const char *name, dsvl_error *err)
{
    s->name = dsvl_strdup(name);
    s->path = dsvl_folder_path(folder, name);
    if (!s->name || !s->path) return dsvl_fail_memory(err, strlen(folder));
    return map_file(s, err) || read_header(s, err) ? -1 : 0;
}

static void close_shard(shard *s)
{
    dsvl_st_clear(&s->header);
    if (s->map) munmap(s->map, s->size);
    dsvl_dealloc(s->name);
    dsvl_dealloc(s->path);
}

/* ---- shards and their index -------------------------------------------------------------------------- */

/* The index comes with the download: a path in it must not lead out of the folder. */
static bool plain_name(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static const shard *find_shard(const dsvl_checkpoint *c, const char *name)
{
    for (size_t i = 0; i < c->shard_count; i++) {
        if (strcmp(c->shards[i].name, name) == 0) return &c->shards[i];
    }
    return NULL;
}

static int add_shard(dsvl_checkpoint *c, const char *folder, const char *name, dsvl_error *err)
{
    if (c->shard_count == MAX_SHARDS)
        return dsvl_fail(err, DSVL_E_MODEL, "%s: more than %d shards", folder, MAX_SHARDS);
    shard *grown = dsvl_realloc(c->shards, c->shard_count, c->shard_count + 1, sizeof *grown);
    if (!grown) return dsvl_fail_memory(err, sizeof *grown);
    c->shards = grown;
    memset(&grown[c->shard_count], 0, sizeof *grown);
    return open_shard(&grown[c->shard_count++], folder, name, err);
}

/* Every tensor of the index stands in the shard that it names, and no shard holds one that the index does not
 * have. */
static int check_index(const dsvl_checkpoint *c, json_t *map, const char *path, dsvl_error *err)
{
    const char *name;
    json_t *value;
    size_t held = 0;
    json_object_foreach(map, name, value)
    {
        const shard *s = find_shard(c, json_string_value(value));
        if (!s || !dsvl_st_find(&s->header, name)) {
            return dsvl_fail(err, DSVL_E_MODEL, "%s: tensor \"%.200s\" should stand in %s and does not", path,
                             name, json_string_value(value));
        }
    }
    for (size_t i = 0; i < c->shard_count; i++) {
        const shard *s = &c->shards[i];
        for (size_t k = 0; k < s->header.count; k++) {
            const char *where = json_string_value(json_object_get(map, s->header.entries[k].name));
            if (!where || strcmp(where, s->name) != 0) {
                return dsvl_fail(err, DSVL_E_MODEL, "%s: tensor \"%.200s\" %s %s", s->path,
                                 s->header.entries[k].name, where ? "belongs, by the index, in" : "is not in",
                                 where ? where : INDEX);
            }
        }
        held += s->header.count;
    }
    if (held != json_object_size(map)) return dsvl_fail(err, DSVL_E_INTERNAL, "%s: tensors miscounted", path);
    return 0;
}

static int open_indexed(dsvl_checkpoint *c, const char *folder, dsvl_error *err)
{
    int status = -1;
    char *text = NULL, *path = dsvl_folder_path(folder, INDEX);
    size_t length;
    json_t *root = NULL;
    json_error_t problem;
    const char *name;
    json_t *value;
    if (!path) return dsvl_fail_memory(err, strlen(folder));
    if (dsvl_folder_read(folder, INDEX, DSVL_INDEX_LIMIT, &text, &length, err)) goto out;
    root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map) || json_object_size(map) == 0) {
        dsvl_fail(err, DSVL_E_MODEL, "%s: %s", path, root ? "no weight_map" : problem.text);
        goto out;
    }
    json_object_foreach(map, name, value)
    {
        const char *file = json_string_value(value);
        if (!file || !plain_name(file)) {
            dsvl_fail(err, DSVL_E_MODEL, "%s: weight_map \"%.200s\" does not name a file in this folder",
                      path, name);
            goto out;
        }
        if (!find_shard(c, file) && add_shard(c, folder, file, err)) goto out;
    }
    status = check_index(c, map, path, err);
out:
    json_decref(root);
    dsvl_dealloc(text);
    dsvl_dealloc(path);
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static int compare_slots(const void *a, const void *b)
{
    const slot *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int compare_name(const void *name, const void *s)
{
    return strcmp(name, ((const slot *)s)->name);
}

static int build_slots(dsvl_checkpoint *c, dsvl_error *err)
{
    size_t total = 0;
    for (size_t i = 0; i < c->shard_count; i++) total += c->shards[i].header.count;
    c->slots = dsvl_alloc_zero(total, sizeof *c->slots);
    if (!c->slots) return dsvl_fail_memory(err, total * sizeof *c->slots);
    for (size_t i = 0; i < c->shard_count; i++) {
        const shard *s = &c->shards[i];
        for (size_t k = 0; k < s->header.count; k++) {
            const dsvl_st_entry *entry = &s->header.entries[k];
            c->slots[c->count++] = (slot){.name = entry->name, .tensor = &entry->tensor, .shard = s};
            c->data_bytes += entry->tensor.nbytes;
        }
    }
    qsort(c->slots, c->count, sizeof *c->slots, compare_slots);
    return 0;
}

/* A large checkpoint is touched at thousands of scattered places while it is opened. Reading ahead at each
 * would read all of it when it is not in memory; so that is off until dsvl_checkpoint_hash, the last of them,
 * is done. */
static void advise(const dsvl_checkpoint *c, int advice)
{
    for (size_t i = 0; i < c->shard_count; i++) madvise(c->shards[i].map, c->shards[i].size, advice);
}

dsvl_checkpoint *dsvl_checkpoint_open(const char *folder, dsvl_error *err)
{
    dsvl_checkpoint *c = dsvl_alloc_zero(1, sizeof *c);
    if (!c) {
        dsvl_fail_memory(err, sizeof *c);
        return NULL;
    }
    int status = 0;
    if (dsvl_folder_has(folder, SINGLE)) { /* transformers prefers it to an index, too */
        status = add_shard(c, folder, SINGLE, err);
    } else if (dsvl_folder_has(folder, INDEX)) {
        status = open_indexed(c, folder, err);
    } else {
        status =
            dsvl_fail(err, DSVL_E_MODEL, "%s: no weights: neither " SINGLE " nor " INDEX " is there", folder);
    }
    if (status || build_slots(c, err)) {
        dsvl_checkpoint_close(c);
        return NULL;
    }
    c->scan = c->data_bytes <= DSVL_SCAN_LIMIT;
    advise(c, c->scan ? MADV_WILLNEED : MADV_RANDOM);
    return c;
}

void dsvl_checkpoint_close(dsvl_checkpoint *c)
{
    if (!c) return;
    for (size_t i = 0; i < c->shard_count; i++) close_shard(&c->shards[i]);
    for (size_t i = 0; i < c->owned_count; i++) dsvl_dealloc(c->owned[i]);
    for (size_t i = 0; i < c->want_count; i++) dsvl_dealloc(c->wants[i].name);
    dsvl_dealloc(c->wants);
    for (size_t i = 0; i < c->ignored_count; i++) dsvl_dealloc(c->ignored[i]);
    dsvl_dealloc(c->ignored);
    dsvl_dealloc(c->owned);
    dsvl_dealloc(c->slots);
    dsvl_dealloc(c->shards);
    dsvl_dealloc(c);
}

slot *dsvl_checkpoint_slot(const dsvl_checkpoint *c, const char *name)
{
    return c->count ? bsearch(name, c->slots, c->count, sizeof *c->slots, compare_name) : NULL;
}

const dsvl_tensor *dsvl_checkpoint_find(const dsvl_checkpoint *c, const char *name)
{
    const slot *found = dsvl_checkpoint_slot(c, name);
    return found ? found->tensor : NULL;
}

size_t dsvl_checkpoint_count(const dsvl_checkpoint *c)
{
    return c->count;
}

const char *dsvl_checkpoint_name(const dsvl_checkpoint *c, size_t i)
{
    return i < c->count ? c->slots[i].name : NULL;
}

void dsvl_checkpoint_quantized(dsvl_checkpoint *c, const dsvl_quantization *quantization)
{
    c->quantization = *quantization;
}

void dsvl_checkpoint_forget(const dsvl_checkpoint *c, const void *bytes, size_t length)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)bytes / page * page;
    for (size_t i = 0; i < c->shard_count; i++) {
        unsigned char *map = c->shards[i].map;
        if (from < (uintptr_t)map || from >= (uintptr_t)map + c->shards[i].size) continue;
        /* the mapping is of a file and never written: dropped pages come back when they are read */
        madvise(map + (from - (uintptr_t)map), length + ((uintptr_t)bytes - from), MADV_DONTNEED);
    }
}

/* ---- a checkpoint without files ---------------------------------------------------------------------- */

dsvl_checkpoint *dsvl_checkpoint_blank(dsvl_error *err)
{
    dsvl_checkpoint *c = dsvl_alloc_zero(1, sizeof *c);
    if (c)
        c->blank = true;
    else
        dsvl_fail_memory(err, sizeof *c);
    return c;
}

int dsvl_checkpoint_want(dsvl_checkpoint *c, const char *name, dsvl_bind_type type, int rank,
                         const int64_t *shape, dsvl_error *err)
{
    void *block = c->wants;
    char *copy = dsvl_strdup(name);
    if (!copy || !dsvl_grow(&block, &c->want_capacity, c->want_count + 1, sizeof *c->wants)) {
        dsvl_dealloc(copy);
        return dsvl_fail_memory(err, sizeof *c->wants);
    }
    c->wants = block;
    dsvl_want *want = &c->wants[c->want_count++];
    *want = (dsvl_want){.name = copy, .type = type, .rank = rank};
    memcpy(want->shape, shape, (size_t)rank * sizeof *shape);
    return 0;
}

const dsvl_want *dsvl_checkpoint_wants(const dsvl_checkpoint *c, size_t *count)
{
    *count = c->want_count;
    return c->wants;
}

bool dsvl_checkpoint_ignored(const dsvl_checkpoint *c, const char *name)
{
    for (size_t i = 0; i < c->ignored_count; i++)
        if (strncmp(name, c->ignored[i], strlen(c->ignored[i])) == 0) return true;
    return false;
}

/* ---- identity ---------------------------------------------------------------------------------------- */

/* Name and length go before the bytes, so that no two folders give the same input. */
static void hash_part(dsvl_hash *hash, const char *name, const void *bytes, uint64_t length)
{
    unsigned char word[8];
    for (int i = 0; i < 8; i++) word[i] = (unsigned char)(length >> (8 * i));
    dsvl_hash_add(hash, name, strlen(name) + 1);
    dsvl_hash_add(hash, word, sizeof word);
    if (length) dsvl_hash_add(hash, bytes, (size_t)length);
}

static void hash_shard(dsvl_hash *hash, const shard *s)
{
    hash_part(hash, s->name, s->map, (uint64_t)(s->data - s->map));
    for (size_t i = 0; i < s->header.count; i++) {
        const dsvl_tensor *t = &s->header.entries[i].tensor;
        const unsigned char *bytes = t->data;
        if (t->nbytes <= 2 * EDGE) {
            dsvl_hash_add(hash, bytes, t->nbytes);
        } else {
            dsvl_hash_add(hash, bytes, EDGE);
            dsvl_hash_add(hash, bytes + t->nbytes - EDGE, EDGE);
        }
    }
}

int dsvl_checkpoint_hash(const dsvl_checkpoint *c, const char *folder, char hex[65], dsvl_error *err)
{
    static const struct {
        const char *name;
        size_t limit;
    } files[] = {{"config.json", DSVL_CONFIG_LIMIT},
                 {"processor_config.json", DSVL_CONFIG_LIMIT},
                 {"preprocessor_config.json", DSVL_CONFIG_LIMIT}, /* DeepSeek-VL */
                 {"tokenizer.json", DSVL_TOKENIZER_LIMIT}};
    dsvl_hash hash;
    dsvl_hash_init(&hash);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *bytes = NULL;
        size_t length = 0;
        if (!dsvl_folder_has(folder, files[i].name)) continue; /* whoever needs it says so */
        if (dsvl_folder_read(folder, files[i].name, files[i].limit, &bytes, &length, err)) return -1;
        hash_part(&hash, files[i].name, bytes, length);
        dsvl_dealloc(bytes);
    }
    for (size_t i = 0; i < c->shard_count; i++) hash_shard(&hash, &c->shards[i]);
    dsvl_hash_hex(&hash, hex);
    if (!c->scan) advise(c, MADV_NORMAL);
    return 0;
}
