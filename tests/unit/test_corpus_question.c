/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's committed inputs, once each. */
#define CORPUS "tests/fuzz/corpus/question"
#include "tests/fuzz/fuzz_question.c"
#include "tests/fuzz/replay.c"
