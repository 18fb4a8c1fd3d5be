/* SPDX-License-Identifier: Apache-2.0 */
/* The whole test harness: a failed check prints where and what, and the program exits 1 at its end. */
#ifndef DSVL_TESTS_CHECK_H
#define DSVL_TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                          \
            check_failures++;                                                                                \
        }                                                                                                    \
    } while (0)

/* Like CHECK, with a printf message that shows the values. */
#define CHECK_MSG(condition, ...)                                                                            \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: failed: %s: ", __FILE__, __LINE__, #condition);                          \
            fprintf(stderr, __VA_ARGS__);                                                                    \
            fputc('\n', stderr);                                                                             \
            check_failures++;                                                                                \
        }                                                                                                    \
    } while (0)

#define CHECK_STR(got, want)                                                                                 \
    do {                                                                                                     \
        const char *got_ = (got), *want_ = (want);                                                           \
        if (!got_ || !want_ || strcmp(got_, want_) != 0) {                                                   \
            fprintf(stderr, "%s:%d: got \"%s\", want \"%s\"\n", __FILE__, __LINE__, got_ ? got_ : "(null)",  \
                    want_ ? want_ : "(null)");                                                               \
            check_failures++;                                                                                \
        }                                                                                                    \
    } while (0)

/* The last line of main. */
#define CHECK_DONE() (check_failures ? EXIT_FAILURE : EXIT_SUCCESS)

#endif
