#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The programs that dsvl-stream(5) shows work as they stand there: the content hash is the one in the records, and the
# reader refuses a stream that was cut short.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
awk -v tmp="$tmp" '/^\.Bd -literal$/ { out = tmp (n++ ? "/reader.py" : "/hash.py"); next }
    /^\.Ed$/ { out = "" } out { gsub(/\\e/, "\\"); print >out }' man/dsvl-stream.5
dsvl-rasterize --dpi 40 tests/data/report.pdf >"$tmp/stream"
python3 "$tmp/reader.py" <"$tmp/stream" >"$tmp/list"
grep -q "^page tests/data/report.pdf 1 .*'pixels': \[[0-9]*, [0-9]*, 3\]" "$tmp/list"
head -c -200 "$tmp/stream" >"$tmp/cut"
if python3 "$tmp/reader.py" <"$tmp/cut" >/dev/null 2>"$tmp/error"; then exit 1; fi
grep -q 'cut short' "$tmp/error"
# One record opens as a safetensors file in the published library, without a byte changed.
python3 - "$tmp/stream" "$tmp/one.safetensors" "$tmp/hash.py" <<'P'
import struct, sys, json
data = open(sys.argv[1], 'rb').read()
size, = struct.unpack('<Q', data[:8])
header = json.loads(data[8:8 + size])
length = max(t['data_offsets'][1] for n, t in header.items() if n != '__metadata__')
open(sys.argv[2], 'wb').write(data[:8 + size + length])
from safetensors import safe_open
with safe_open(sys.argv[2], 'numpy') as f:
    assert f.metadata()['dsvl.kind'] == 'page'
    pixels = f.get_tensor('pixels')
    assert pixels.shape[2] == 3
    program = {}
    exec(open(sys.argv[3]).read(), program)
    assert f.metadata()['pixels_hash'] == program['content_hash'](pixels.shape, pixels.tobytes())
P
