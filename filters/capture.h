/* SPDX-License-Identifier: Apache-2.0 */
/* What a foreign library prints straight to standard error, kept from the terminal and given back as text. */
#ifndef DSVL_FILTERS_CAPTURE_H
#define DSVL_FILTERS_CAPTURE_H

#include <stddef.h>

typedef struct dsvl_capture {
    int saved; /* the real standard error; -1: not capturing */
    int file;
} dsvl_capture;

/* Standard error belongs to the whole process: nothing of ours may print between these two. Where the system
 * refuses, nothing is captured. */
void dsvl_capture_begin(dsvl_capture *capture);
/* Put standard error back; the beginning of what was printed goes to text, NUL-terminated, lines as they
 * came. */
void dsvl_capture_end(dsvl_capture *capture, char *text, size_t size);

#endif
