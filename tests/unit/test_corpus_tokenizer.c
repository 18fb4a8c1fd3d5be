/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's committed inputs, once each. */
#define CORPUS "tests/fuzz/corpus/tokenizer"
#include "tests/fuzz/fuzz_tokenizer.c"
#include "tests/fuzz/replay.c"
