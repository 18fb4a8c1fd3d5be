/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: every fallible function returns 0 or -1 (or NULL) and fills a caller-owned struct; the first error
 * wins, so a caller may pass the same struct through a chain of calls and look once at the end. Nothing in
 * lib, filters or kernels prints, exits or aborts. */
#ifndef DSVL_LIB_ERROR_H
#define DSVL_LIB_ERROR_H

#include "lib/dsvl.h"

/* Record an error and return -1, so that `return dsvl_fail(err, ...)` reads well. err may be NULL. The
 * message says what is wrong, where, and what to do; it carries no trailing newline or full stop. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
int dsvl_fail(dsvl_error *err, dsvl_code code, const char *format, ...);

/* Put context ("report.pdf, page 3: ") in front of an error that is already set. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void dsvl_error_prefix(dsvl_error *err, const char *format, ...);

/* Allocation failure of n bytes: the one message for it. Returns -1. */
int dsvl_fail_memory(dsvl_error *err, size_t n);

#endif
