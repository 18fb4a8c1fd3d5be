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

int dsvl_bytes_open(dsvl_bytes *bytes, const char *path, size_t limit, dsvl_error *err)
{
    memset(bytes, 0, sizeof *bytes);
    bool standard = strcmp(path, "-") == 0;
    int descriptor = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0) return dsvl_fail(err, DSVL_E_INPUT, "cannot open: %s", strerror(errno));
    struct stat facts;
    int status = -1;
    if (fstat(descriptor, &facts)) {
        dsvl_fail(err, DSVL_E_INPUT, "cannot read: %s", strerror(errno));
    } else if (S_ISDIR(facts.st_mode)) {
        dsvl_fail(err, DSVL_E_INPUT, "is a directory; name the files in it");
    } else if (!standard && S_ISREG(facts.st_mode) && facts.st_size > 0) {
        void *data = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (data == MAP_FAILED) {
            dsvl_fail(err, DSVL_E_INPUT, "cannot map: %s", strerror(errno));
        } else {
            *bytes = (dsvl_bytes){data, (size_t)facts.st_size, true};
            status = 0;
        }
    } else {
        status = slurp(descriptor, limit, bytes, err);
    }
    if (!standard) close(descriptor);
    return status;
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
