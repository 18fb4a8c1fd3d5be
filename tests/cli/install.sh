#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make install: the programs and the embedded model run from the prefix alone, and a C program builds against the
# library through pkg-config with nothing but the public header.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
make --no-print-directory install DESTDIR="$tmp/root" PREFIX=/opt/dsvl >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
prefix=$tmp/root/opt/dsvl
document=$PWD/tests/data/report.pdf
PATH=$prefix/bin:/usr/bin:/bin
cd "$tmp" # nothing of the build tree can be found from here
for program in dsvl dsvl-rasterize dsvl-regions dsvl-tile dsvl-encode dsvl-answer; do
    test "$($program --version)" = "$program $(sed -n 's/^Version: //p' "$prefix/lib/pkgconfig/dsvl.pc")"
    test -s "$prefix/share/man/man1/$program.1"
done
dsvl ask --max-tokens 16 --pages 1 "$document" 'Read the text.' >"$tmp/answer"
grep -q '"model":"nano"' "$tmp/answer"
dsvl-answer -p x </dev/null 2>"$tmp/error" && exit 1
grep -q 'cut short' "$tmp/error" # the model was found before the empty stream was read
printf '%s\n' "ARCHIVE=$tmp/archive OUT=$tmp/out QUESTION='Read.' OPTIONS='--dpi 24 --max-tokens 2'" >night.conf
mkdir archive && cp "$document" archive/a.pdf
(cd / && env -i PATH=/usr/bin:/bin "$prefix/share/dsvl/examples/dsvl-nightly" "$tmp/night.conf") # as cron does
test -s "$tmp/out/%$tmp/archive/a.pdf.jsonl"
# shellcheck disable=SC2016 # for make to expand, not for the shell
printf 'include %s/share/dsvl/dsvl.mk\nall: $(DSVL_ANSWERS)\n' "$prefix" >rules.mk
printf '{"prompt": "Read."}\n' >questions.jsonl
cp "$document" a.pdf
make -s -f rules.mk all DSVL_DOCUMENTS=a.pdf DSVL_RASTERIZE_FLAGS=--dpi=24 DSVL_ANSWER_FLAGS=--max-tokens=2
test -s build/a.pdf.answers.jsonl
for file in LICENSES/Apache-2.0.txt LICENSES/GPL-3.0-or-later.txt NOTICE; do test -s "$prefix/share/doc/dsvl/${file##*/}"; done

cat >hello.c <<'C'
#include <dsvl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    dsvl_error err = {0};
    dsvl_model *model = dsvl_model_open(getenv("MODEL"), DSVL_PART_DECODER | DSVL_PART_TOKENIZER, NULL, &err);
    dsvl_session *session = model ? dsvl_session_new(model, 0, &err) : NULL;
    const dsvl_message turn = {.role = "user", .content = "Hello."};
    const dsvl_sampling greedy = {.top_p = 1, .repetition_penalty = 1};
    dsvl_generation generation = {0};
    int32_t *ids = NULL;
    size_t count = 0;
    int status = !session || dsvl_chat_tokens(model, &turn, 1, &ids, &count, &err) ||
                 dsvl_session_feed_tokens(session, ids, count, &err) ||
                 dsvl_session_generate(session, &greedy, 4, NULL, NULL, &generation, &err);
    if (status) fprintf(stderr, "%s\n", err.message);
    printf("%s %zu %zu\n", model ? dsvl_model_name(model) : "", count, generation.count);
    dsvl_generation_clear(&generation);
    dsvl_free(ids);
    dsvl_session_free(session);
    dsvl_model_close(model);
    return status;
}
C
PKG_CONFIG_PATH=$prefix/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$tmp/root
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
# shellcheck disable=SC2046,SC2086
cc -std=c11 -Wall -Wextra -Werror ${SAN-} hello.c $(pkg-config --cflags --libs dsvl) -o hello
LD_LIBRARY_PATH=$prefix/lib MODEL=$prefix/share/dsvl/models/nano ./hello >hello.out
grep -Eq '^nano [1-9][0-9]* [0-4]$' hello.out
# What the library exports is what the header declares.
nm -D --defined-only "$prefix/lib/libdsvl.so" | awk '$2 == "T" { print $3 }' | sort >exported
sed -n 's/^DSVL_API .*[ *]\(dsvl_[a-z_]*\)(.*/\1/p' "$prefix/include/dsvl.h" | sort >declared
diff declared exported
