/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's committed inputs, once each. */
#define CORPUS "tests/fuzz/corpus/exif"
#include "tests/fuzz/fuzz_exif.c"
#include "tests/fuzz/replay.c"
