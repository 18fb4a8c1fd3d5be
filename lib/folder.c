/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"

char *dsvl_folder_path(const char *folder, const char *name)
{
    size_t length = strlen(folder) + strlen(name) + 2;
    char *path = dsvl_alloc(length, 1);
    if (path) snprintf(path, length, "%s/%s", folder, name);
    return path;
}

bool dsvl_folder_has(const char *folder, const char *name)
{
    int directory = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC); /* needs no memory: absent means absent */
    if (directory < 0) return false;
    bool found = faccessat(directory, name, F_OK, 0) == 0;
    close(directory);
    return found;
}

static int cannot_open(const char *folder, const char *path, dsvl_error *err)
{
    int why = errno;
    struct stat status;
    if (stat(folder, &status) || !S_ISDIR(status.st_mode)) {
        return dsvl_fail(err, DSVL_E_MODEL, "%s: no such model folder", folder);
    }
    return dsvl_fail(err, DSVL_E_MODEL, "%s: cannot open: %s", path, strerror(why));
}

static int read_all(int descriptor, char *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t got = read(descriptor, bytes + done, length - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) {
            errno = EIO; /* the file shrank after fstat */
            return -1;
        }
        done += (size_t)got;
    }
    return 0;
}

int dsvl_folder_read(const char *folder, const char *name, size_t limit, char **bytes, size_t *length,
                     dsvl_error *err)
{
    int result = -1, descriptor = -1;
    char *block = NULL, *path = dsvl_folder_path(folder, name);
    struct stat status;
    if (!path) return dsvl_fail_memory(err, strlen(folder));
    descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        cannot_open(folder, path, err);
        goto out;
    }
    if (fstat(descriptor, &status) || !S_ISREG(status.st_mode)) {
        dsvl_fail(err, DSVL_E_MODEL, "%s: not a regular file", path);
        goto out;
    }
    if ((uint64_t)status.st_size > limit) {
        dsvl_fail(err, DSVL_E_MODEL, "%s: %lld bytes exceed the limit of %zu", path,
                  (long long)status.st_size, limit);
        goto out;
    }
    size_t size = (size_t)status.st_size;
    block = dsvl_alloc(size + 1, 1);
    if (!block) {
        dsvl_fail_memory(err, size);
        goto out;
    }
    if (read_all(descriptor, block, size)) {
        dsvl_fail(err, DSVL_E_IO, "%s: cannot read: %s", path, strerror(errno));
        goto out;
    }
    block[size] = '\0';
    *bytes = block;
    *length = size;
    block = NULL;
    result = 0;
out:
    if (descriptor >= 0) close(descriptor);
    dsvl_dealloc(block);
    dsvl_dealloc(path);
    return result;
}

/* Here and not with the rest of a model, so that a program that reads settings alone links neither weights
 * nor kernels. */
char *dsvl_model_default_folder(dsvl_error *err)
{
    static const char *const places[] = {"/../models/nano", "/../share/dsvl/models/nano"};
    char exe[PATH_MAX], path[PATH_MAX + 64];
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash) *slash = '\0';
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s%s", exe, places[i]);
        if (!dsvl_folder_has(path, "config.json")) continue;
        char *found = dsvl_strdup(path);
        if (!found) dsvl_fail_memory(err, sizeof path);
        return found;
    }
    dsvl_fail(err, DSVL_E_MODEL, "the embedded model is not in %s%s nor in %s%s; name a model folder with -m",
              exe, places[0], exe, places[1]);
    return NULL;
}
