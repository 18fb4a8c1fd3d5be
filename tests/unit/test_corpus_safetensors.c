/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's committed inputs, once each. */
#define CORPUS "tests/fuzz/corpus/safetensors"
#include "tests/fuzz/fuzz_safetensors.c"
#include "tests/fuzz/replay.c"
