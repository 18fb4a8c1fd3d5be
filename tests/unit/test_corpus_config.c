/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's committed inputs, once each. */
#define CORPUS "tests/fuzz/corpus/config"
#include "tests/fuzz/fuzz_config.c"
#include "tests/fuzz/replay.c"
