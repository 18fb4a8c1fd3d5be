/* SPDX-License-Identifier: Apache-2.0 */
/* A small process that starts others, one at a time, for work that may crash. It is forked early, while the
 * program has one thread and holds no document, so that what it starts begins fast and inherits nothing worth
 * stealing. */
#ifndef DSVL_FILTERS_LAUNCHER_H
#define DSVL_FILTERS_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

typedef struct dsvl_launcher dsvl_launcher;

/* Processes are forked ahead, so that one is ready when its work comes. They come in profiles, small numbers
 * whose meaning is the caller's. */
typedef struct dsvl_launch {
    /* In the launcher, before a process of this profile is forked: make ready what all of them share. 0 or
     * -1. */
    int (*prepare)(void *user, int profile, dsvl_error *err);
    /* In a process that was forked, before its work is there. */
    void (*settle)(void *user, int profile);
    /* In the same process: work. When it returns the process ends. Both descriptors are its own; it has no
     * others but standard error, which is kept for dsvl_launcher_end. */
    void (*run)(void *user, const void *request, int document, int output);
    void *user;
    size_t request_bytes; /* at most 256 */
} dsvl_launch;

dsvl_launcher *dsvl_launcher_new(const dsvl_launch *launch, dsvl_error *err);
void dsvl_launcher_stop(dsvl_launcher *launcher); /* ends its processes, without waiting; NULL-safe */
void dsvl_launcher_free(dsvl_launcher *launcher); /* stops it and waits; NULL-safe */

/* Have a process of this profile made ready, if none is; it is not waited for. */
int dsvl_launcher_ask(dsvl_launcher *launcher, int profile, dsvl_error *err);

/* Give work to a process. *output is the end to read of its pipe, owned by the caller; `document` stays the
 * caller's. more: have the next process forked meanwhile. */
int dsvl_launcher_start(dsvl_launcher *launcher, int profile, const void *request, int document, bool more,
                        int *output, dsvl_error *err);

/* Processor time of the process at work, in seconds; 0 when that cannot be told. */
double dsvl_launcher_seconds(const dsvl_launcher *launcher);

typedef struct dsvl_launch_end {
    int status;     /* as wait(2) has it */
    char said[256]; /* the last line that it wrote to standard error */
} dsvl_launch_end;

/* End the process at work, once after each start: if it still runs it is killed. end NULL: nobody wants to
 * know how, and it is not waited for. */
int dsvl_launcher_end(dsvl_launcher *launcher, dsvl_launch_end *end, dsvl_error *err);

#endif
