#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make bench: every benchmark in turn; each prints ratios against a peer or a limit measured in the same run.
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
