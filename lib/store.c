/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/alloc.h"

/* FOLDER/ab/cdef...: a header of HEADER bytes, then the entry. Temporary files are FOLDER/ab/tmp.RANDOM. */
enum { HEADER = 80, DIGITS = 64, STALE_SECONDS = 3600 };
#define TRIM_SHARE 32 /* trim once in this share of the limit written, and then this much below it */

struct dsvl_store {
    int folder; /* descriptor */
    uint64_t limit;
    char *name;
};

/* ---- life -------------------------------------------------------------------------------------------- */

static int make_folders(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/') continue;
        *p = '\0';
        int failed = mkdir(path, 0777) && errno != EEXIST;
        *p = '/';
        if (failed) return -1;
    }
    return mkdir(path, 0777) && errno != EEXIST ? -1 : 0;
}

dsvl_store *dsvl_store_open(const char *folder, uint64_t limit, dsvl_error *err)
{
    dsvl_store *store = dsvl_alloc_zero(1, sizeof *store);
    if (store) {
        store->folder = -1;
        store->name = dsvl_strdup(folder);
    }
    if (!store || !store->name) {
        dsvl_fail_memory(err, strlen(folder));
        dsvl_store_close(store);
        return NULL;
    }
    store->limit = limit;
    if (*folder && make_folders(store->name) == 0)
        store->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->folder >= 0) return store;
    dsvl_fail(err, DSVL_E_IO, "cache %s: cannot open: %s", folder, strerror(*folder ? errno : ENOENT));
    dsvl_store_close(store);
    return NULL;
}

void dsvl_store_close(dsvl_store *store)
{
    if (!store) return;
    if (store->folder >= 0) close(store->folder);
    dsvl_dealloc(store->name);
    dsvl_dealloc(store);
}

/* ---- entries ----------------------------------------------------------------------------------------- */

static void entry_path(char path[DIGITS + 2], const char *key)
{
    snprintf(path, DIGITS + 2, "%.2s/%.62s", key, key + 2);
}

/* The header: what the file is, and the hash of key and content. */
static void make_header(char header[HEADER + 1], const char *key, const dsvl_bytes_part *parts, size_t count)
{
    char hex[DIGITS + 1];
    dsvl_hash hash;
    dsvl_hash_init(&hash);
    dsvl_hash_add(&hash, key, DIGITS);
    for (size_t i = 0; i < count; i++) dsvl_hash_add(&hash, parts[i].data, parts[i].length);
    dsvl_hash_hex(&hash, hex);
    snprintf(header, HEADER + 1, "dsvl-cache 1 %s  \n", hex);
}

static bool read_all(int file, char *to, size_t length)
{
    while (length) {
        ssize_t n = read(file, to, length);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        to += n;
        length -= (size_t)n;
    }
    return true;
}

/* An open entry's content, owned; NULL: it is damaged, or (err->code) memory is out. */
static char *read_entry(int file, const char *key, size_t *length, dsvl_error *err)
{
    struct stat info;
    char header[HEADER], want[HEADER + 1];
    if (fstat(file, &info) || info.st_size < HEADER || !read_all(file, header, HEADER)) return NULL;
    *length = (size_t)info.st_size - HEADER;
    char *data = dsvl_alloc(*length, 1);
    if (!data) {
        dsvl_fail_memory(err, *length);
        return NULL;
    }
    bool whole = read_all(file, data, *length);
    if (whole) {
        make_header(want, key, &(dsvl_bytes_part){data, *length}, 1);
        whole = memcmp(header, want, HEADER) == 0;
    }
    if (whole) return data;
    dsvl_dealloc(data);
    return NULL;
}

int dsvl_store_get(const dsvl_store *store, const char *key, void **data, size_t *length, dsvl_error *err)
{
    char path[DIGITS + 2];
    dsvl_error failure = {0};
    entry_path(path, key);
    int file = openat(store->folder, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    *data = read_entry(file, key, length, &failure);
    if (*data) futimens(file, NULL); /* used now; where that is not allowed the entry only ages sooner */
    close(file);
    if (*data) return 1;
    if (failure.code) {
        if (err) *err = failure;
        return -1;
    }
    unlinkat(store->folder, path, 0);
    return 0;
}

static bool write_all(int file, const char *from, size_t length)
{
    while (length) {
        ssize_t n = write(file, from, length);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        from += n;
        length -= (size_t)n;
    }
    return true;
}

static bool write_entry(int file, const char *header, const dsvl_bytes_part *parts, size_t count)
{
    bool good = write_all(file, header, HEADER);
    for (size_t i = 0; good && i < count; i++) good = write_all(file, parts[i].data, parts[i].length);
    return good && fdatasync(file) == 0;
}

int dsvl_store_put(const dsvl_store *store, const char *key, const dsvl_bytes_part *parts, size_t count,
                   dsvl_error *err)
{
    char path[DIGITS + 2], temporary[48], header[HEADER + 1];
    uint64_t number, bytes = HEADER;
    entry_path(path, key);
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number) number = (uint64_t)getpid();
    snprintf(temporary, sizeof temporary, "%.2s/tmp.%016llx", key, (unsigned long long)number);
    make_header(header, key, parts, count);
    for (size_t i = 0; i < count; i++) bytes += parts[i].length;

    path[2] = '\0';
    int failed = mkdirat(store->folder, path, 0777) && errno != EEXIST;
    path[2] = '/';
    int file = failed ? -1 : openat(store->folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    failed = file < 0 || !write_entry(file, header, parts, count);
    if (!failed) failed = renameat(store->folder, temporary, store->folder, path) != 0;
    const int cause = errno;
    if (file >= 0) close(file);
    if (failed) {
        unlinkat(store->folder, temporary, 0);
        return dsvl_fail(err, DSVL_E_IO, "cache %s: cannot write: %s", store->name, strerror(cause));
    }
    /* Processes do not count together: each entry brings a trim on with a chance that is its share of what
     * may be written between two. The key's digits are as good as dice. */
    const uint64_t between = store->limit / TRIM_SHARE + 1;
    const double dice =
        (double)strtoul((char[]){key[8], key[9], key[10], key[11], key[12], key[13], '\0'}, NULL, 16) /
        0x1000000;
    return dice * (double)between < (double)bytes ? dsvl_store_trim(store, err) : 0;
}

/* ---- the limit --------------------------------------------------------------------------------------- */

typedef struct aged {
    struct timespec used;
    uint64_t bytes;
    char path[DIGITS + 2];
} aged;

typedef struct census {
    aged *items; /* owned */
    size_t count, capacity;
    uint64_t bytes;
} census;

static int by_age(const void *a, const void *b)
{
    const aged *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec) return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* Count an entry; what a killed process left half written goes once it is old. */
static int count_entry(const dsvl_store *store, census *all, const char *folder, const char *name,
                       dsvl_error *err)
{
    aged item;
    struct stat info;
    if (strlen(name) > DIGITS - 2) return 0; /* not ours */
    snprintf(item.path, sizeof item.path, "%.2s/%.62s", folder, name);
    if (fstatat(store->folder, item.path, &info, AT_SYMLINK_NOFOLLOW) || !S_ISREG(info.st_mode)) return 0;
    if (strncmp(name, "tmp.", 4) == 0) {
        if (time(NULL) - info.st_mtime > STALE_SECONDS) unlinkat(store->folder, item.path, 0);
        return 0;
    }
    void *items = all->items;
    if (!dsvl_grow(&items, &all->capacity, all->count + 1, sizeof *all->items))
        return dsvl_fail_memory(err, (all->count + 1) * sizeof *all->items);
    all->items = items;
    item.used = info.st_mtim;
    item.bytes = (uint64_t)info.st_size;
    all->items[all->count++] = item;
    all->bytes += item.bytes;
    return 0;
}

static int count_folder(const dsvl_store *store, census *all, const char *folder, dsvl_error *err)
{
    int descriptor = openat(store->folder, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = descriptor >= 0 ? fdopendir(descriptor) : NULL;
    int status = 0;
    if (!entries) {
        if (descriptor >= 0) close(descriptor);
        return 0;
    }
    for (struct dirent *e; status == 0 && (e = readdir(entries));) {
        if (e->d_name[0] != '.') status = count_entry(store, all, folder, e->d_name, err);
    }
    closedir(entries);
    return status;
}

int dsvl_store_trim(const dsvl_store *store, dsvl_error *err)
{
    census all = {0};
    int status = 0, lock = openat(store->folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB)) goto out; /* another process is at it */
    for (int i = 0; i < 256 && status == 0; i++) {
        char folder[3];
        snprintf(folder, sizeof folder, "%02x", (unsigned)i);
        status = count_folder(store, &all, folder, err);
    }
    if (status || all.bytes <= store->limit) goto out;
    qsort(all.items, all.count, sizeof *all.items, by_age);
    const uint64_t keep = store->limit - store->limit / TRIM_SHARE;
    for (size_t i = 0; i < all.count && all.bytes > keep; i++) {
        unlinkat(store->folder, all.items[i].path, 0);
        all.bytes -= all.items[i].bytes;
    }
out:
    if (lock >= 0) close(lock);
    dsvl_dealloc(all.items);
    return status;
}
