#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make bench: every benchmark in turn; each prints ratios against a peer or a limit measured in the same run. By hand,
# because the peer has to be built and models of the true size take tens of gigabytes: tests/bench/llama_cpp.py, beside
# llama.cpp; throughput.sh and soak.py.
set -eu
cd "$(dirname "$0")/../.."
tests/venv.sh
PATH=$PWD/bin:$PWD/tests/.venv/bin:$PATH
export PATH
for bench in "$@"; do
    echo "== ${bench##*/}"
    "$bench"
done
for bench in tests/bench/bench_*.py; do
    echo "== ${bench##*/}"
    python "$bench"
done
