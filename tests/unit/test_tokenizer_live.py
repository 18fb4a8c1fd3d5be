#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dsvl's tokenizer against the tokenizers library: DeepSeek's pre-tokenizers, then random ones, on random texts.

    test_tokenizer_live.py [--texts N] [--kinds N] [--seed N] [TOKENIZER_JSON ...]

Every tokenizer.json is given to both; each text is encoded with its added tokens recognised and, as the oracle for
text that stays text, by the library on a copy of the file without added tokens. The files named on the command line
are compared besides."""
import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/reference"))
import tiny_tokenizer  # noqa: E402

# TEST_BIN names the programs of another build, as in tests/run.sh; its tests stand beside them.
DRIVER = Path(os.environ.get("TEST_BIN", ROOT / "build/bin")).parent / "tests/unit/test_tokenizer"

# Characters that every Unicode version since 3.2 knows: newer ones get their category from the version that the
# library and PCRE2 were each built with, and those differ.
OLD = [c for c in range(0x110000) if unicodedata.ucd_3_2_0.category(chr(c)) not in ("Cn", "Cs", "Co")]
SPACES = " \t\n\r\x0b\x0c\x85\xa0\u1680\u180e\u2000\u2009\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
MARKS = ["<image>", "<|User|>", "<|Assistant|>", "<|ref|>", "<|/ref|>", tiny_tokenizer.BOS, tiny_tokenizer.EOS,
         tiny_tokenizer.PAD, "<|User|", "<｜begin", "<imag", "<<image>>", "<a>", "<a>b", "ab", "é", "'s", "'Re", "0x1f", "£"]
WORDS = tiny_tokenizer.TEXT.split(" ") + ["straße", "naïve", "Ελληνικά", "Русский", "हिन्दी", "ไทย", "한국어", "ひらがな",
                                          "カタカナ", "漢字", "العربية", "עברית", "👩‍👩‍👧‍👦", "🇩🇪", "e\u0301", "١٢٣", "Ⅷ", "½"]


def text(rng):
    parts = []
    for _ in range(rng.choice((0, 1, 2, 4, 8, 20))):
        kind = rng.randrange(9)
        if kind == 0:
            parts.append(rng.choice(SPACES) * rng.choice((1, 1, 2, 3, 9)))
        elif kind == 1:
            parts.append("".join(rng.choice(SPACES) for _ in range(rng.randrange(6))))
        elif kind == 2:
            parts.append("".join(chr(rng.choice(OLD)) for _ in range(rng.randrange(8))))
        elif kind == 3:
            parts.append("".join(chr(rng.randrange(128)) for _ in range(rng.randrange(12))))
        elif kind == 4:
            parts.append(str(rng.randrange(10 ** rng.randrange(1, 12))))
        elif kind == 5:
            parts.append(rng.choice(MARKS))
        elif kind == 6:
            parts.append("".join(rng.choice("!?.,;:-–—…「」()[]{}'\"#%$^+=~") for _ in range(rng.randrange(1, 5))))
        else:
            parts.append(rng.choice(WORDS))
            parts.append(rng.choice(("", " ", " ", "\n")))
    raw = "".join(parts).encode()
    if rng.randrange(8) == 0:  # break it
        raw = bytearray(raw)
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(raw) + 1)
            raw[at:at + rng.randrange(3)] = bytes(rng.choice((0x80, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xA0, 0xF0, 0xF4, 0x90,
                                                              0xF5, 0xFF, 0x41)) for _ in range(rng.randrange(4)))
    return bytes(raw)


REGEXES = ["[\r\n]", "\\s+", "\\s+$", "^\\s+", "\\S+", "\\p{L}+", "\\p{N}{1,3}", "\\d", "\\D+", "\\s?\\p{P}+", "[^\\s\\p{L}]+",
           "\\s+(?!\\S)|\\s+", "(?i:'s|'re|'ll)", "[a-zA-Z]{2,}", "a*", "(?:e|o|\\b0)?".replace("\\b0", "0"), ".", "$", "^", "(?<=a)b",
           "(?<!t)h", "[一-龥ぁ-ん]+", "[\\S\\n]{,4}", "\\P{L}", "[^\\P{L}x]+", "\\x{e9}|\\u00df", "[\\-\\]a\\\\]+", "(t|T)h(?>e)", "[+-]?\\d+",
           "\\.|,", "[\\s\\p{M}]", " ?[\\p{P}\\p{S}]+[\r\n]*", "\\p{^Lu}+", "\\p{Lu}\\p{Ll}*+", "x??e", "(?=[A-Z])", "\\t|\\f|\\v|\\a|\\e"]


def step(rng):
    kind = rng.randrange(6)
    if kind == 0:
        return {"type": "Digits", "individual_digits": rng.random() < 0.5}
    pattern = {"Regex": rng.choice(REGEXES)}
    if kind == 1:
        pattern = {"String": rng.choice((" ", ".", "the", "\n", "<", "é", "*", "\\", "[a]"))}
    behavior = rng.choice(("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"))
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": rng.random() < 0.3}


def pre_tokenizer(rng):
    last = {"type": "ByteLevel", "add_prefix_space": rng.random() < 0.3, "trim_offsets": True}
    if rng.random() < 0.8:
        last["use_regex"] = rng.random() < 0.4
    steps = [step(rng) for _ in range(rng.randrange(4))] + [last]
    if rng.random() < 0.3:
        steps = [{"type": "Sequence", "pretokenizers": steps[:-1]}, last]
    return last if len(steps) == 1 else {"type": "Sequence", "pretokenizers": steps}


def flag(rng, chance=0.3):
    return rng.random() < chance


def variant(rng, content):
    """A random tokenizer.json from a tiny one."""
    content = json.loads(json.dumps(content))
    model = content["model"]
    content["pre_tokenizer"] = pre_tokenizer(rng)
    content["normalizer"] = rng.choice((None, {"type": "Sequence", "normalizers": []}))
    if flag(rng):
        model["merges"] = [m.split(" ") for m in model["merges"]]
    if flag(rng):  # tokens that only a whole piece reaches
        model["ignore_merges"] = True
        model["merges"] = model["merges"][: len(model["merges"]) // 2]
    if flag(rng):  # bytes the vocabulary lacks
        gone = set(rng.sample([w for w in model["vocab"] if len(w) == 1 and w not in "Ġ<>|"], 40))
        kept = [w for w in model["vocab"] if not gone & set(w)]
        model["vocab"] = {w: i for i, w in enumerate(kept)}
        pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        model["merges"] = [p for p in pairs if not gone & set("".join(p))]
        content["added_tokens"] = []
        if flag(rng, 0.7):
            model["unk_token"] = rng.choice(kept)
            model["fuse_unk"] = flag(rng, 0.5)
    size = max([*model["vocab"].values(), *(a["id"] for a in content["added_tokens"])]) + 1
    names = ["<a>", "<a>b", "Table", " x", "é", "the", "🇩🇪", "'s", "\n\n", "<|User|>x", "th", "e", "漢"]
    rng.shuffle(names)
    known = set(model["vocab"]) | {a["content"] for a in content["added_tokens"]}
    names = [n for n in names[: rng.randrange(10)] if n not in known]
    for i, name in enumerate(names):
        content["added_tokens"].append({"id": size + i, "content": name, "single_word": flag(rng), "lstrip": flag(rng),
                                        "rstrip": flag(rng), "normalized": flag(rng, 0.5), "special": flag(rng, 0.5)})
    return content


def compare(name, content, texts, folder):
    """Returns how many texts differ, and prints the first."""
    (folder / "tokenizer.json").write_text(json.dumps(content))
    stream = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    wrong = 0
    for mode in ("added", "literal"):
        if mode == "literal":
            content = dict(content, added_tokens=[])
        oracle = Tokenizer.from_str(json.dumps(content))
        run = subprocess.run([str(DRIVER), "--dump", str(folder), mode], input=stream, capture_output=True)
        if run.returncode != 0:
            print(f"{name}: {run.stderr.decode()}")
            return len(texts)
        lines = run.stdout.decode().split("\n")
        for line, raw in zip(lines, texts, strict=False):
            want = oracle.encode(raw.decode("utf-8", "replace"), add_special_tokens=False).ids
            if [int(x) for x in line.split()] != want:
                if not wrong:
                    print(f"{name}, {mode}: {raw!r}: got {line}, want {want}\n  {json.dumps(content['pre_tokenizer'])}")
                wrong += 1
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=3000)
    parser.add_argument("--kinds", type=int, default=60, help="random tokenizers; each gets a tenth of the texts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("files", nargs="*", type=Path)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    wrong = 0
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        tiny = {style: tiny_tokenizer.build(style, 400)[0] for style in ("vl1", "vl2")}
        cases = [(str(f), json.loads(f.read_text())) for f in args.files] + list(tiny.items())
        for name, content in cases:
            wrong += compare(name, content, [text(rng) for _ in range(args.texts)], folder)
        for i in range(args.kinds):
            content = variant(rng, rng.choice(list(tiny.values())))
            wrong += compare(f"variant {i}", content, [text(rng) for _ in range(args.texts // 10)], folder)
    if wrong:
        print(f"{wrong} texts differ")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
