/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/folder_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/folder.h"
#include "lib/hash.h"

enum { NAME_BYTES = 64, ALIGNMENT = 64 }; /* where a file's tensors begin: a cache line */

struct dsvl_folder_writer {
    char *out, *temporary; /* paths; the latter NULL once renamed */
    bool replace;
    char *sums; /* text of DSVL_SUMS so far */
    size_t sums_length, sums_capacity;
    /* the tensors */
    const dsvl_st_entry *entries;
    const json_t *metadata;
    size_t count;
    size_t *first; /* [files + 1]: the tensor each file begins with */
    size_t files, file;
    dsvl_shards shards;
    uint64_t left, total; /* bytes to come in this file; of all tensors */
    /* the open file */
    int descriptor;
    char name[NAME_BYTES];
    dsvl_hash hash;
};

static int fail_write(const dsvl_folder_writer *w, const char *name, dsvl_error *err)
{
    const int why = errno;
    return dsvl_fail(err, DSVL_E_IO, "%s/%s: cannot write: %s%s", w->temporary, name, strerror(why),
                     why == ENOSPC ? "; free some space or choose another disk" : "");
}

/* ---- beginning and end ------------------------------------------------------------------------------- */

/* The folder that holds `path`, owned. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return dsvl_strdup(".");
    return slash == path ? dsvl_strdup("/") : dsvl_strndup(path, (size_t)(slash - path));
}

dsvl_folder_writer *dsvl_folder_writer_new(const char *out, bool replace, dsvl_error *err)
{
    struct stat status;
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/') length--; /* OUT/ and OUT are the same folder */
    dsvl_folder_writer *w = dsvl_alloc_zero(1, sizeof *w);
    if (w) {
        w->descriptor = -1;
        w->replace = replace;
        w->out = dsvl_strndup(out, length);
        w->temporary = dsvl_alloc(length + 16, 1);
    }
    if (!w || !w->out || !w->temporary) {
        dsvl_fail_memory(err, length);
        goto fail;
    }
    snprintf(w->temporary, length + 16, "%s.tmp-XXXXXX", w->out);
    if (lstat(w->out, &status) == 0) {
        if (!replace || !S_ISDIR(status.st_mode)) {
            dsvl_fail(err, DSVL_E_USAGE, "%s: exists already; %s", w->out,
                      S_ISDIR(status.st_mode) ? "give another name, or --force to replace it"
                                              : "it is not a folder");
            goto fail;
        }
    }
    if (!mkdtemp(w->temporary)) {
        dsvl_fail(err, DSVL_E_IO, "%s: cannot make a folder here: %s", w->temporary, strerror(errno));
        w->temporary[0] = '\0';
        goto fail;
    }
    return w;
fail:
    dsvl_folder_writer_free(w);
    return NULL;
}

/* A folder of plain files, which is all that a model folder is; anything else in it is left alone. */
static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder) closedir(folder);
    rmdir(path);
}

void dsvl_folder_writer_free(dsvl_folder_writer *w)
{
    if (!w) return;
    if (w->descriptor >= 0) close(w->descriptor);
    if (w->temporary && w->temporary[0]) remove_folder(w->temporary);
    dsvl_dealloc(w->temporary);
    dsvl_dealloc(w->out);
    dsvl_dealloc(w->sums);
    dsvl_dealloc(w->first);
    dsvl_dealloc(w);
}

/* ---- one file ---------------------------------------------------------------------------------------- */

static int open_file(dsvl_folder_writer *w, const char *name, dsvl_error *err)
{
    char *path = dsvl_folder_path(w->temporary, name);
    if (!path) return dsvl_fail_memory(err, strlen(name));
    w->descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    dsvl_dealloc(path);
    if (w->descriptor < 0) return fail_write(w, name, err);
    snprintf(w->name, sizeof w->name, "%s", name);
    dsvl_hash_init(&w->hash);
    return 0;
}

static int write_bytes(dsvl_folder_writer *w, const void *bytes, size_t length, dsvl_error *err)
{
    const char *p = bytes;
    dsvl_hash_add(&w->hash, bytes, length);
    while (length) {
        const ssize_t n = write(w->descriptor, p, length < (size_t)1 << 30 ? length : (size_t)1 << 30);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_write(w, w->name, err);
        p += n;
        length -= (size_t)n;
    }
    return 0;
}

/* To the disk, and its line into DSVL_SUMS. */
static int close_file(dsvl_folder_writer *w, dsvl_error *err)
{
    char hex[65], line[NAME_BYTES + 96];
    int status = fsync(w->descriptor);
    if (close(w->descriptor)) status = -1;
    w->descriptor = -1;
    if (status) return fail_write(w, w->name, err);
    dsvl_hash_hex(&w->hash, hex);
    const size_t n = (size_t)snprintf(line, sizeof line, "%s  %s\n", hex, w->name);
    void *sums = w->sums;
    if (!dsvl_grow(&sums, &w->sums_capacity, w->sums_length + n + 1, 1)) return dsvl_fail_memory(err, n);
    w->sums = sums;
    memcpy(w->sums + w->sums_length, line, n + 1);
    w->sums_length += n;
    return 0;
}

int dsvl_folder_writer_file(dsvl_folder_writer *w, const char *name, const void *bytes, size_t length,
                            dsvl_error *err)
{
    if (strlen(name) >= NAME_BYTES || strchr(name, '/') || w->left || w->file < w->files)
        return dsvl_fail(err, DSVL_E_INTERNAL, "%s: no place for this file now", name);
    return open_file(w, name, err) || write_bytes(w, bytes, length, err) ? -1 : close_file(w, err);
}

/* ---- tensors ----------------------------------------------------------------------------------------- */

static void shard_name(const dsvl_folder_writer *w, size_t file, char name[NAME_BYTES])
{
    if (w->shards.limit == 0)
        snprintf(name, NAME_BYTES, "model.safetensors");
    else
        snprintf(name, NAME_BYTES, "model-%05zu-of-%0*zu.safetensors", file + 1, w->shards.total_digits,
                 w->files);
}

/* Where files begin. */
static int spread(dsvl_folder_writer *w, dsvl_error *err)
{
    uint64_t bytes = 0;
    size_t capacity = 0;
    void *first = NULL;
    for (size_t i = 0; i < w->count; i++) {
        const size_t n = w->entries[i].tensor.nbytes;
        const bool begin = i == 0 || (w->shards.limit && bytes && n > w->shards.limit - bytes) ||
                           (w->shards.second && i == w->shards.second);
        if (begin) {
            if (!dsvl_grow(&first, &capacity, w->files + 2, sizeof *w->first)) {
                dsvl_dealloc(first);
                return dsvl_fail_memory(err, capacity);
            }
            ((size_t *)first)[w->files++] = i;
            bytes = 0;
        }
        bytes += n;
        w->total += n;
    }
    if (first) ((size_t *)first)[w->files] = w->count;
    w->first = first;
    return 0;
}

static int check_room(const dsvl_folder_writer *w, dsvl_error *err)
{
    struct statvfs disk;
    if (statvfs(w->temporary, &disk)) return 0; /* then the writes themselves will tell */
    const uint64_t have = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (have >= w->total) return 0;
    return dsvl_fail(err, DSVL_E_IO, "%s: %.2f GB of weights do not fit: the disk has %.2f GB left", w->out,
                     (double)w->total / 1e9, (double)have / 1e9);
}

static int open_shard(dsvl_folder_writer *w, dsvl_error *err)
{
    static const char blanks[ALIGNMENT + 1] =
        "                                                                ";
    char name[NAME_BYTES], *header = NULL;
    size_t length;
    const size_t from = w->first[w->file], to = w->first[w->file + 1];
    if (dsvl_st_format(w->entries + from, to - from, w->metadata, &header, &length, err)) return -1;
    shard_name(w, w->file, name);
    const size_t pad = (ALIGNMENT - length % ALIGNMENT) % ALIGNMENT;
    for (int i = 0; i < 8; i++) header[i] = (char)((uint64_t)(length - 8 + pad) >> (8 * i) & 255);
    int status =
        open_file(w, name, err) || write_bytes(w, header, length, err) || write_bytes(w, blanks, pad, err)
            ? -1
            : 0;
    dsvl_dealloc(header);
    for (size_t i = from; i < to; i++) w->left += w->entries[i].tensor.nbytes;
    return status;
}

/* Close files that are full and open the next, until there are bytes to come. */
static int advance(dsvl_folder_writer *w, dsvl_error *err)
{
    while (w->left == 0 && w->file < w->files) {
        if (w->descriptor >= 0) {
            if (close_file(w, err)) return -1;
            w->file++;
        }
        if (w->file < w->files && open_shard(w, err)) return -1;
    }
    return 0;
}

int dsvl_folder_writer_tensors(dsvl_folder_writer *w, const dsvl_st_entry *entries, size_t count,
                               const dsvl_shards *shards, const json_t *metadata, dsvl_error *err)
{
    w->entries = entries;
    w->count = count;
    w->shards = *shards;
    w->metadata = metadata;
    return spread(w, err) || check_room(w, err) || advance(w, err) ? -1 : 0;
}

int dsvl_folder_writer_put(dsvl_folder_writer *w, const void *bytes, size_t length, dsvl_error *err)
{
    const char *p = bytes;
    while (length) {
        const size_t now = length < w->left ? length : (size_t)w->left;
        if (now == 0) return dsvl_fail(err, DSVL_E_INTERNAL, "%s: more bytes than tensors", w->out);
        if (write_bytes(w, p, now, err)) return -1;
        p += now;
        length -= now;
        w->left -= now;
        if (w->left == 0 && advance(w, err)) return -1;
    }
    return 0;
}

/* ---- commit ------------------------------------------------------------------------------------------ */

static int write_index(dsvl_folder_writer *w, dsvl_error *err)
{
    json_t *map = json_object();
    for (size_t f = 0; f < w->files; f++) {
        char name[NAME_BYTES];
        shard_name(w, f, name);
        for (size_t i = w->first[f]; i < w->first[f + 1]; i++)
            json_object_set_new(map, w->entries[i].name, json_string(name));
    }
    json_t *root =
        json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)w->total, "weight_map", map);
    char *text = json_dumps(root, JSON_INDENT(2));
    int status = text ? dsvl_folder_writer_file(w, "model.safetensors.index.json", text, strlen(text), err)
                      : dsvl_fail_memory(err, 0);
    free(text);
    json_decref(root);
    return status;
}

static int sync_folder(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = folder < 0 ? -1 : fsync(folder);
    if (folder >= 0) close(folder);
    return status;
}

/* temporary -> out. What stood there before is in `temporary` afterwards and removed with it. */
static int move_into_place(dsvl_folder_writer *w, dsvl_error *err)
{
    int status = renameat2(AT_FDCWD, w->temporary, AT_FDCWD, w->out, RENAME_NOREPLACE);
    if (status && (errno == EINVAL || errno == ENOSYS)) status = rename(w->temporary, w->out);
    if (status && w->replace && (errno == EEXIST || errno == ENOTEMPTY)) {
        status = renameat2(AT_FDCWD, w->temporary, AT_FDCWD, w->out, RENAME_EXCHANGE);
        if (status == 0) remove_folder(w->temporary);
    }
    if (status) {
        return dsvl_fail(err, errno == EEXIST ? DSVL_E_USAGE : DSVL_E_IO, "%s: cannot rename %s to it: %s",
                         w->out, w->temporary, strerror(errno));
    }
    w->temporary[0] = '\0';
    char *parent = parent_of(w->out);
    if (parent)
        sync_folder(parent); /* the name may be lost with the power, the folder may not: nothing to report */
    dsvl_dealloc(parent);
    return 0;
}

int dsvl_folder_writer_commit(dsvl_folder_writer *w, dsvl_error *err)
{
    if (w->left || w->file < w->files)
        return dsvl_fail(err, DSVL_E_INTERNAL, "%s: fewer bytes than tensors", w->out);
    if (w->shards.limit && write_index(w, err)) return -1;
    char *sums = w->sums;
    const size_t length = w->sums_length;
    w->sums = NULL; /* this file is not in its own list */
    w->sums_length = w->sums_capacity = 0;
    int status = dsvl_folder_writer_file(w, DSVL_SUMS, sums ? sums : "", length, err);
    dsvl_dealloc(sums);
    if (status) return -1;
    const mode_t mask = umask(0);
    umask(mask);
    if (chmod(w->temporary, 0777 & ~mask) || sync_folder(w->temporary)) return fail_write(w, "", err);
    return move_into_place(w, err);
}
