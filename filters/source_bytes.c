/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a document. Regular files are mapped, so that a page of a large scan archive costs only what
 * it reads. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filters/source.h"
#include "lib/alloc.h"

/* Read to the end of a descriptor. */
static int slurp(int descriptor, size_t limit, dsvl_bytes *bytes, dsvl_error *err)
{
    unsigned char *data = NULL;
    size_t length = 0, capacity = 0;
    for (;;) {
        if (length == capacity) {
            size_t want = capacity ? 2 * capacity : (size_t)1 << 20;
            unsigned char *grown = dsvl_realloc(data, length, want, 1);
            if (!grown) {
                dsvl_dealloc(data);
                return dsvl_fail_memory(err, want);
            }
            data = grown;
            capacity = want;
        }
        ssize_t n = read(descriptor, data + length, capacity - length);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n == 0) break;
            dsvl_dealloc(data);
            return dsvl_fail(err, DSVL_E_INPUT, "cannot read: %s", strerror(errno));
        }
        length += (size_t)n;
        if (length > limit) {
            dsvl_dealloc(data);
            return dsvl_fail(err, DSVL_E_LIMIT,
                             "longer than %zu MiB, the limit for a document that comes through a pipe",
                             limit >> 20);
        }
    }
    *bytes = (dsvl_bytes){data, length, false};
    return 0;
}

/* Map a regular file, read anything else. */
static int take_bytes(dsvl_bytes *bytes, int descriptor, bool map, size_t limit, dsvl_error *err)
{
    struct stat facts;
    if (fstat(descriptor, &facts)) return dsvl_fail(err, DSVL_E_INPUT, "cannot read: %s", strerror(errno));
    if (S_ISDIR(facts.st_mode)) return dsvl_fail(err, DSVL_E_INPUT, "is a directory; name the files in it");
    if (!map || !S_ISREG(facts.st_mode) || facts.st_size <= 0) return slurp(descriptor, limit, bytes, err);
    void *data = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED) return dsvl_fail(err, DSVL_E_INPUT, "cannot map: %s", strerror(errno));
    *bytes = (dsvl_bytes){data, (size_t)facts.st_size, true};
    return 0;
}

static int open_path(const char *path, dsvl_error *err)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0) dsvl_fail(err, DSVL_E_INPUT, "cannot open: %s", strerror(errno));
    return descriptor;
}

int dsvl_bytes_open(dsvl_bytes *bytes, const char *path, size_t limit, dsvl_error *err)
{
    memset(bytes, 0, sizeof *bytes);
    bool standard = strcmp(path, "-") == 0;
    int descriptor = standard ? STDIN_FILENO : open_path(path, err);
    if (descriptor < 0) return -1;
    int status = take_bytes(bytes, descriptor, !standard, limit, err);
    if (!standard) close(descriptor);
    return status;
}

int dsvl_bytes_map(dsvl_bytes *bytes, int descriptor, dsvl_error *err)
{
    memset(bytes, 0, sizeof *bytes);
    return take_bytes(bytes, descriptor, true, DSVL_DOCUMENT_LIMIT, err);
}

/* The rest of a descriptor as a file in memory. */
static int copy_to_memory(int descriptor, size_t limit, dsvl_error *err)
{
    dsvl_bytes bytes = {0};
    int file = -1;
    if (take_bytes(&bytes, descriptor, false, limit, err)) return -1;
    file = memfd_create("document", MFD_CLOEXEC);
    for (size_t at = 0; file >= 0 && at < bytes.length;) {
        ssize_t n = write(file, bytes.data + at, bytes.length - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            close(file);
            file = -1;
        } else {
            at += (size_t)n;
        }
    }
    if (file < 0) dsvl_fail(err, DSVL_E_MEMORY, "cannot keep the document in memory: %s", strerror(errno));
    dsvl_bytes_close(&bytes);
    return file;
}

int dsvl_document_open(const char *path, size_t limit, dsvl_error *err)
{
    if (strcmp(path, "-") == 0) return copy_to_memory(STDIN_FILENO, limit, err);
    struct stat facts;
    int descriptor = open_path(path, err);
    if (descriptor < 0 || (fstat(descriptor, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size > 0))
        return descriptor;
    int copy = copy_to_memory(descriptor, limit, err);
    close(descriptor);
    return copy;
}

void dsvl_bytes_close(dsvl_bytes *bytes)
{
    union { /* the block is ours: the const is for readers */
        const unsigned char *shared;
        void *own;
    } block = {bytes->data};
    if (bytes->mapped)
        munmap(block.own, bytes->length);
    else
        dsvl_dealloc(block.own);
    memset(bytes, 0, sizeof *bytes);
}
