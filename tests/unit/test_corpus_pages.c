/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's committed inputs, once each. */
#define CORPUS "tests/fuzz/corpus/pages"
#include "tests/fuzz/fuzz_pages.c"
#include "tests/fuzz/replay.c"
