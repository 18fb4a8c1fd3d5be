#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make fuzz: run each fuzzer for the given number of seconds from its corpus; a finding fails and is kept in build/fuzz.
set -eu
seconds=$1
shift
for fuzzer in "$@"; do
    name=${fuzzer##*/fuzz_}
    grown=build/fuzz/corpus/$name
    mkdir -p "$grown"
    words=
    [ ! -f "tests/fuzz/$name.dict" ] || words=-dict=tests/fuzz/$name.dict
    echo "fuzzing $name for $seconds s"
    "$fuzzer" -max_total_time="$seconds" -rss_limit_mb=3000 -timeout=20 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix=build/fuzz/finding- ${words:+"$words"} "$grown" "tests/fuzz/corpus/$name"
done
