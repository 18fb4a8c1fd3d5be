#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The house rules that a machine can check: one door for each foreign library, the direction of dependencies, an
# SPDX line in every source, no word of what does not belong in a release.
set -u
status=0
complain() {
    echo "$1"
    status=1
}
# header: the only file that may include it
for rule in 'poppler[./a-z-]*:filters/source_pdf.c' 'tiffio:filters/source_tiff.c' 'jpeglib:filters/source_jpeg.c' 'seccomp:filters/jail.c' \
    'fontconfig[/a-z]*:filters/fonts.c' \
    'dnnl:kernels/gemm_dnnl.c'; do
    header=${rule%%:*} door=${rule#*:}
    found=$(git ls-files -co --exclude-standard '*.[ch]' | xargs grep -lE "#include *<${header}[a-z_]*\.h>" | grep -v '^tests/bench/' || :)
    [ -z "$found" ] || [ "$found" = "$door" ] || complain "<$header> is included by: $found; its door is $door"
done
# No include goes back up: kernels < lib < filters < cmd
for rule in 'kernels:lib/|filters/|cmd/' 'lib:filters/|cmd/' 'filters:cmd/'; do
    found=$(grep -rnE "#include \"(${rule#*:})" "${rule%%:*}" --include='*.[ch]' | grep -v 'kernels/.*"lib/alloc.h"')
    [ -z "$found" ] || complain "a dependency that points up: $found"
done
for f in $(git ls-files -co --exclude-standard '*.c' '*.h' '*.sh' '*.py' Makefile); do
    head -n 3 "$f" | grep -q 'SPDX-License-Identifier' || complain "$f has no SPDX line"
done
found=$(grep -rnE '\b(printf|puts|putchar|exit|abort)\(' lib filters kernels --include='*.c' | grep -vE 'snprintf|asprintf|dsvl_|\* ')
[ -z "$found" ] || complain "printing or exiting outside cmd: $found"
exit $status
