#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run every test: the programs given, the shell tests and the Python tests. A test passes when it exits 0; what a
# failing one prints is shown. TEST=text runs those whose name contains it; TEST_BIN names another build's programs.
set -u
cd "$(dirname "$0")/.." || exit 1
tests/venv.sh || exit 1
PATH=${TEST_BIN-$PWD/bin}:$PWD/tests/.venv/bin:$PATH
export PATH
LC_ALL=C.UTF-8
export LC_ALL
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
failed=0
# Helpers that tests source or import are not tests: their names begin with lib or make.
for t in "$@" tests/cli/*.sh tests/errors/*.sh tests/*/test_*.py; do
    [ -e "$t" ] || continue
    case ${t##*/} in lib*.sh | make*.sh) continue ;; esac
    case $t in *"${TEST-}"*) ;; *) continue ;; esac
    case $t in
    *.sh) timeout 900 sh "$t" ;;
    *.py) timeout 900 python "$t" ;;
    *) timeout 900 "./$t" ;;
    esac >"$log" 2>&1 </dev/null
    status=$?
    if [ $status = 0 ]; then
        passed=$((passed + 1))
        echo "ok   $t"
    else
        failed=$((failed + 1))
        echo "FAIL $t (status $status)"
        sed 's/^/     /' "$log" | tail -n 60
    fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
