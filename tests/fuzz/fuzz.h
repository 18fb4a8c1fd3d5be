/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzzers share. Built with clang -fsanitize=fuzzer they search (`make fuzz`); built with replay.c
 * they run their committed corpus once, in plain `make check` (tests/unit/test_corpus_*.c). */
#ifndef DSVL_TESTS_FUZZ_H
#define DSVL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input; a sanitizer reports the rest. */
#define ALWAYS(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                   \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

#endif
