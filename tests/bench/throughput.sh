#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Pages per hour of dsvl run on this machine: processes against threads. Prints one line for each way, the figures of
# dsvl-archive(7). Run as: PATH=$PWD/bin:$PATH tests/bench/throughput.sh [DOCUMENTS]
set -eu
documents=${1:-12}
data=$(cd "$(dirname "$0")/../data" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
for n in $(seq "$documents"); do # each its own pixels, so that nothing is found in the cache
    dsvl-rasterize --dpi $((96 + n)) --gray --format ppm --pages 1 "$data/report.pdf" >"$n.ppm"
done
for way in '1 1' '1 2' '2 1'; do
    # shellcheck disable=SC2086
    set -- $way
    dsvl run -q --out "out$1$2" --jobs "$1" --threads "$2" -p 'What is the total?' --max-tokens 64 ./*.ppm
    rate=$(sed -n 's/.*"pages_per_hour": \([0-9]*\).*/\1/p' "out$1$2/.dsvl/summary.json")
    echo "$1 processes of $2 threads: $rate pages per hour"
done
cmp out11/1.ppm.jsonl out21/1.ppm.jsonl
