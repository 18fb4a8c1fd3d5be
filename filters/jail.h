/* SPDX-License-Identifier: Apache-2.0 */
/* A jail for a process that parses bytes nobody vouches for. Once inside there is no way out: no network, no
 * other program, no signal to anybody else, no file but those under the given folders, for reading, and
 * limits on memory and processor time. It is made of Linux's seccomp filters (through libseccomp), Landlock,
 * and resource limits. */
#ifndef DSVL_FILTERS_JAIL_H
#define DSVL_FILTERS_JAIL_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

typedef struct dsvl_jail dsvl_jail;

/* Prepare a jail; it holds nobody yet. readable: files, and folders under which everything may be read; those
 * that are not there are left out. Without any, a process that opens a file is stopped at that call. NULL
 * with *err filled when this system cannot do it at all. */
dsvl_jail *dsvl_jail_new(const char *const *readable, size_t count, dsvl_error *err);
void dsvl_jail_free(dsvl_jail *jail); /* NULL-safe; does not let anybody out */

/* Put the calling process in, for good. It must have one thread. memory: bytes of its own that it may have
 * beyond those of now; seconds of processor time after which the kernel kills it. `calls`, in memory that
 * another process may share, receives the number of a system call for which the process was stopped. 0 or -1;
 * after -1 it must end. */
int dsvl_jail_enter(const dsvl_jail *jail, uint64_t memory, uint64_t seconds, volatile int *calls,
                    dsvl_error *err);

/* What this kernel lacks: a sentence for the user, NULL when every layer is there. */
const char *dsvl_jail_missing(void);

/* "socket"; owned (dsvl_dealloc), NULL when it is no system call's number. */
char *dsvl_jail_call_name(int number);

#endif
