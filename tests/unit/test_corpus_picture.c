/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's committed inputs, once each. */
#define CORPUS "tests/fuzz/corpus/picture"
#include "tests/fuzz/fuzz_picture.c"
#include "tests/fuzz/replay.c"
