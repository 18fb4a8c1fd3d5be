/* SPDX-License-Identifier: Apache-2.0 */
/* LD_PRELOAD: the disk is full from the FULL_DISK_AT-th write to a regular file on, in programs whose name
 * begins with FULL_DISK_IN. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char *program_invocation_short_name;

ssize_t write(int file, const void *data, size_t length)
{
    static ssize_t (*real)(int, const void *, size_t);
    static long writes, limit = -1;
    struct stat info;
    if (!real) {
        const char *at = getenv("FULL_DISK_AT"), *in = getenv("FULL_DISK_IN");
        *(void **)&real = dlsym(RTLD_NEXT, "write");
        limit = at && in && strcmp(program_invocation_short_name, in) == 0 ? strtol(at, NULL, 10) : 0;
    }
    if (limit > 0 && fstat(file, &info) == 0 && S_ISREG(info.st_mode) && ++writes >= limit) {
        size_t some = length / 2; /* a part may still fit */
        if (writes == limit && some) return real(file, data, some);
        errno = ENOSPC;
        return -1;
    }
    return real(file, data, length);
}
