/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's committed inputs, once each. */
#define CORPUS "tests/fuzz/corpus/stream"
#include "tests/fuzz/fuzz_stream.c"
#include "tests/fuzz/replay.c"
