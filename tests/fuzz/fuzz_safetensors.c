/* SPDX-License-Identifier: Apache-2.0 */
/* A model.safetensors; or, where the bytes begin with '{', a model.safetensors.index.json over two sound
 * shards. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/checkpoint.h"
#include "tests/fuzz/fuzz.h"

static char folder[64];

static void put_file(const char *name, const void *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ALWAYS(fd >= 0 && (size == 0 || write(fd, data, size) == (ssize_t)size) && close(fd) == 0);
}

static void drop_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static void put_shard(const char *file, const char *tensor)
{
    char json[128], all[256];
    int n = snprintf(json, sizeof json,
                     "{\"%s\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", tensor);
    uint64_t length = (uint64_t)n;
    memset(all, 0, sizeof all);
    memcpy(all, &length, 8);
    memcpy(all + 8, json, (size_t)n);
    put_file(file, all, 8 + (size_t)n + 16);
}

static void clean_up(void)
{
    drop_file("model.safetensors");
    drop_file("model.safetensors.index.json");
    drop_file("a.safetensors");
    drop_file("b.safetensors");
    rmdir(folder);
}

static void run_header(const uint8_t *data, size_t size)
{
    dsvl_error err = {.code = DSVL_OK};
    dsvl_st_header header = {0};
    int status = dsvl_st_parse(&header, (const char *)data, size, 1 << 20, "fuzz", &err);
    ALWAYS(status == 0 ? err.code == DSVL_OK : err.code != DSVL_OK && err.message[0]);
    if (status) return;
    uint64_t at = 0;
    for (size_t i = 0; i < header.count; i++) {
        const dsvl_st_entry *e = &header.entries[i];
        size_t elements, bytes;
        ALWAYS(e->begin == at && dsvl_st_find(&header, e->name) == e);
        ALWAYS(dsvl_shape_bytes(e->tensor.dtype, e->tensor.rank, e->tensor.shape, &elements, &bytes));
        at += bytes;
    }
    ALWAYS(at == header.data_bytes && at <= 1 << 20 && json_is_object(header.metadata));
    char *bytes = NULL;
    size_t length;
    if (dsvl_st_format(header.entries, header.count, header.metadata, &bytes, &length, &err) == 0) {
        dsvl_st_header again = {0};
        ALWAYS(length % 8 == 0);
        ALWAYS(dsvl_st_parse(&again, bytes + 8, length - 8, 1 << 20, "again", &err) == 0);
        ALWAYS(again.count == header.count && again.data_bytes == header.data_bytes);
        dsvl_st_clear(&again);
    }
    dsvl_dealloc(bytes);
    dsvl_st_clear(&header);
}

static void run_checkpoint(void)
{
    dsvl_error err = {.code = DSVL_OK};
    dsvl_checkpoint *c = dsvl_checkpoint_open(folder, &err);
    ALWAYS(c ? err.code == DSVL_OK : err.code != DSVL_OK && err.message[0]);
    for (size_t i = 0; c && i < dsvl_checkpoint_count(c); i++) {
        const char *name = dsvl_checkpoint_name(c, i);
        const dsvl_tensor *t = dsvl_checkpoint_find(c, name);
        kern_weight weight;
        const float *vector;
        err.code = DSVL_OK;
        ALWAYS(t != NULL);
        int64_t rows = t->rank ? t->shape[0] : 1;
        size_t elements, bytes;
        ALWAYS(dsvl_shape_bytes(t->dtype, t->rank, t->shape, &elements, &bytes) && bytes == t->nbytes);
        unsigned sum = 0; /* touch the mapping */
        for (size_t k = 0; k < bytes; k++) sum += ((const unsigned char *)t->data)[k];
        ALWAYS(sum <= bytes * 255);
        dsvl_checkpoint_matrix(c, name, rows, rows > 0 ? (int64_t)elements / rows : 0, &weight, &err);
        dsvl_checkpoint_vector(c, name, (int64_t)elements, &vector, &err);
    }
    if (c) dsvl_checkpoint_surplus(c, "", &err);
    dsvl_checkpoint_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!folder[0]) {
        json_object_seed(1);
        snprintf(folder, sizeof folder, "/dev/shm/dsvl-fuzz-%ld", (long)getpid());
        ALWAYS(mkdir(folder, 0700) == 0);
        put_shard("a.safetensors", "a");
        put_shard("b.safetensors", "b");
        atexit(clean_up);
    }
    if (size && data[0] == '{') {
        drop_file("model.safetensors");
        put_file("model.safetensors.index.json", data, size);
        run_header(data, size);
    } else {
        put_file("model.safetensors", data, size);
        if (size > 8) run_header(data + 8, size - 8);
    }
    run_checkpoint();
    drop_file("model.safetensors.index.json");
    return 0;
}
