#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The reader that dsvl-stream(5) shows works as it stands there, and refuses a stream that was cut short.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
sed -n '/^\.Bd -literal$/,/^\.Ed$/{/^\./d;p;}' man/dsvl-stream.5 | sed 's/\\e/\\/g' >"$tmp/reader.py"
dsvl-rasterize --dpi 40 tests/data/report.pdf >"$tmp/stream"
python3 "$tmp/reader.py" <"$tmp/stream" >"$tmp/list"
grep -q "^page tests/data/report.pdf 1 .*'pixels': \[[0-9]*, [0-9]*, 3\]" "$tmp/list"
head -c -200 "$tmp/stream" >"$tmp/cut"
if python3 "$tmp/reader.py" <"$tmp/cut" >/dev/null 2>"$tmp/error"; then exit 1; fi
grep -q 'cut short' "$tmp/error"
# One record opens as a safetensors file in the published library, without a byte changed.
python3 - "$tmp/stream" "$tmp/one.safetensors" <<'P'
import struct, sys, json
data = open(sys.argv[1], 'rb').read()
size, = struct.unpack('<Q', data[:8])
header = json.loads(data[8:8 + size])
length = max(t['data_offsets'][1] for n, t in header.items() if n != '__metadata__')
open(sys.argv[2], 'wb').write(data[:8 + size + length])
from safetensors import safe_open
with safe_open(sys.argv[2], 'numpy') as f:
    assert f.metadata()['dsvl.kind'] == 'page'
    assert f.get_tensor('pixels').shape[2] == 3
P
