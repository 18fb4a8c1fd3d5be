/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/folder.h"
#include "lib/folder_writer.h"
#include "lib/hash.h"

enum { READ_BYTES = 4 << 20, HEX = 64 };
#define SUMS_LIMIT ((size_t)1 << 20)

typedef struct hashing {
    const char *folder;
    dsvl_told_fn told;
    void *user;
    unsigned char *buffer; /* [READ_BYTES] */
    uint64_t done, total;
} hashing;

static int hash_file(hashing *h, const char *path, char hex[65], dsvl_error *err)
{
    dsvl_hash hash;
    dsvl_hash_init(&hash);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return dsvl_fail(err, DSVL_E_MODEL, "%s: cannot open: %s", path, strerror(errno));
    for (;;) {
        const ssize_t n = read(file, h->buffer, READ_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            dsvl_fail(err, DSVL_E_IO, "%s: cannot read: %s", path, strerror(errno));
            close(file);
            return -1;
        }
        if (n == 0) break;
        dsvl_hash_add(&hash, h->buffer, (size_t)n);
        h->done += (uint64_t)n;
        if (h->told) h->told(h->user, h->done, h->total);
    }
    close(file);
    dsvl_hash_hex(&hash, hex);
    return 0;
}

/* One line "HEX  NAME"; the name is of a file in the folder. */
static int check_line(hashing *h, char *line, bool measure, dsvl_error *err)
{
    char hex[65];
    struct stat about;
    const char *name = line + HEX + 2;
    if (strlen(line) <= HEX + 2 || strspn(line, "0123456789abcdef") != HEX ||
        memcmp(line + HEX, "  ", 2) != 0 || strchr(name, '/'))
        return dsvl_fail(err, DSVL_E_MODEL, "%s/" DSVL_SUMS ": \"%.80s\" is not a hash and a name", h->folder,
                         line);
    char *path = dsvl_folder_path(h->folder, name);
    if (!path) return dsvl_fail_memory(err, strlen(name));
    int status = 0;
    if (measure) {
        if (stat(path, &about))
            status = dsvl_fail(err, DSVL_E_MODEL, "%s: missing, and " DSVL_SUMS " lists it", path);
        else
            h->total += (uint64_t)about.st_size;
    } else {
        status = hash_file(h, path, hex, err);
        if (status == 0 && memcmp(hex, line, HEX) != 0)
            status = dsvl_fail(err, DSVL_E_MODEL,
                               "%s: is not the file that was written: its hash is %.16s..., not %.16s...",
                               path, hex, line);
    }
    dsvl_dealloc(path);
    return status;
}

int dsvl_verify_hashes(const char *folder, dsvl_told_fn told, void *user, size_t *files, dsvl_error *err)
{
    hashing h = {.folder = folder, .told = told, .user = user};
    char *text = NULL;
    size_t length;
    int status = -1;
    *files = 0;
    if (!dsvl_folder_has(folder, DSVL_SUMS)) return 0;
    if (dsvl_folder_read(folder, DSVL_SUMS, SUMS_LIMIT, &text, &length, err)) return -1;
    h.buffer = dsvl_alloc(READ_BYTES, 1);
    if (!h.buffer) {
        dsvl_fail_memory(err, READ_BYTES);
        goto out;
    }
    for (int measure = 1; measure >= 0; measure--) { /* what is missing is said before hours of reading */
        char *rest = text, *copy = dsvl_strndup(text, length);
        if (!copy) {
            dsvl_fail_memory(err, length);
            goto out;
        }
        rest = copy;
        status = 0;
        for (char *line; status == 0 && (line = strsep(&rest, "\n")) && *line;) {
            status = check_line(&h, line, measure, err);
            *files += measure == 0;
        }
        dsvl_dealloc(copy);
        if (status) goto out;
    }
out:
    dsvl_dealloc(h.buffer);
    dsvl_dealloc(text);
    return status;
}
