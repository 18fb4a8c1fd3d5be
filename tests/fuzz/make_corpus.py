#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the seeds of the fuzzers into tests/fuzz/corpus: one small input for each branch of the parsers.

Inputs that a fuzzer found are added beside them under names of their own; this script leaves those alone."""
import json
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "reference"))
import tiny_tokenizer  # noqa: E402


def put(kind, name, data):
    folder = HERE / "corpus" / kind
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


# ---- tokenizer ----

def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def tokenizer(steps, text, *, prefix=False, regex=False, added=(), **model):
    letters = "abcdeĠĊ <s>12.éï¿½"
    words = list(dict.fromkeys(letters.replace(" ", ""))) + ["ab", "cd", "abcd", "Ġa", "ĊĊ"]
    byte_level = {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}
    merges = ["a b", ["c", "d"], "ab cd", "Ġ a", "Ċ Ċ"]
    content = {
        "version": "1.0", "added_tokens": [dict({"id": 40 + i, "special": i % 2 == 0}, **a) for i, a in enumerate(added)],
        "normalizer": None, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*steps, byte_level]} if steps else byte_level,
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {w: i for i, w in enumerate(words)}, "merges": merges, **model},
    }
    return json.dumps(content, ensure_ascii=False).encode() + b"\0" + text


def tokenizers():
    text = "a b<s> abcd\n\n12.5 é 漢字 <s>x  ".encode() + b"\xff\xe2\x82"
    put("tokenizer", "plain", tokenizer([], text, added=[{"content": "<s>"}]))
    put("tokenizer", "gpt2", tokenizer([], text, regex=True, prefix=True, ignore_merges=True))
    put("tokenizer", "unknown", tokenizer([{"type": "Digits", "individual_digits": True}], text, unk_token="a", fuse_unk=True))
    put("tokenizer", "flags", tokenizer([], text, added=[
        {"content": "<s>", "lstrip": True, "normalized": True}, {"content": "12", "rstrip": True}, {"content": "x", "single_word": True}]))
    for i, behavior in enumerate(("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")):
        put("tokenizer", f"split{i}", tokenizer([split("\\s+", behavior), split("a", behavior, True, "String")], text))
    for style, patterns in tiny_tokenizer.SPLITS.items():
        short = [p if len(p) < 300 else p[:120] + "]+" for p in patterns]
        put("tokenizer", style, tokenizer([split(p) for p in short], text))
    put("tokenizer", "patterns", tokenizer([split(p) for p in (
        "(?i:'s|'t)|(?>a)(?=b)|(?!c)|(?<=d)|(?<!e)", "[^\\S\\n\\d\\P{L}\\x{41}-\\u005a]{1,3}", "\\p{^Lu}*?|\\.++|^a$", "x{,2}y{3}z{4,}",
        "(?:a*)*b|\\t\\r\\f\\v\\a\\e\\D")], text))
    put("tokenizer", "broken", tokenizer([], text).replace(b'"a": 0', b'"a": 99999999'))


# ---- safetensors, stream ----

def safetensors(tensors, metadata=None, data=b""):
    header = {} if metadata is None else {"__metadata__": metadata}
    at = len(data)
    for name, dtype, shape, raw in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(raw)]}
        data += raw
        at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def checkpoints():
    f32 = struct.pack("<4f", 1, -2, 3.5, float("nan"))
    put("safetensors", "f32", safetensors([("w", "F32", [2, 2], f32)]))
    put("safetensors", "types", safetensors([
        ("a", "BF16", [2], b"\x80\x3f\0\0"), ("b", "F16", [1, 2], b"\0\x3c\0\x7c"), ("c", "I64", [], b"\0" * 8), ("d", "U8", [3], b"abc"),
        ("e", "BOOL", [0], b""), ("f", "I8", [1, 1, 1, 1], b"\x05")], {"format": "pt"}))
    put("safetensors", "empty", safetensors([]))
    put("safetensors", "overlap", struct.pack("<Q", 136) + json.dumps({
        "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]}}).encode()
        .ljust(136) + b"123456")
    put("safetensors", "huge", struct.pack("<Q", 1 << 60) + b"{}")
    put("safetensors", "shape", safetensors([("a", "F32", [1 << 40, 1 << 40], b"1234")]))
    put("safetensors", "index", json.dumps({"metadata": {"total_size": 32}, "weight_map": {
        "a": "a.safetensors", "b": "b.safetensors"}}).encode())
    put("safetensors", "index-wrong", json.dumps({"weight_map": {"a": "b.safetensors", "c": "../c", "d": 7}}).encode())


def streams():
    page = {"dsvl.kind": "page", "dsvl.version": "1", "document": "a \"b\".pdf", "page": "3", "pages": "4", "dpi": "150",
            "page_label": "iii", "crop_pt": "0 0 595.2 841.8", "pixel_to_point": "0.48 0 0 0.48 0 0"}
    record = safetensors([("pixels", "U8", [1, 2, 3], b"123456"), ("words.boxes", "F32", [1, 4], b"\0" * 16),
                          ("words.text", "U8", [4], b"text"), ("words.offsets", "I64", [2], struct.pack("<2q", 0, 4))], page)
    error = safetensors([], dict(page, **{"dsvl.kind": "error", "stage": "dsvl-rasterize", "message": "broken", "cause": "input"}))
    other = safetensors([("x", "F32", [1], b"\0\0\0\0")], {"dsvl.kind": "picture", "dsvl.version": "1", "\u00e9": "\u00e9"})

    def end(**counts):
        facts = {"dsvl.kind": "end", "dsvl.version": "1", "records": str(sum(counts.values()))}
        return safetensors([], dict(facts, **{f"count.{k}": str(v) for k, v in counts.items()}))

    put("stream", "one", record + end(page=1))
    put("stream", "three", record + error + other + end(page=1, error=1, picture=1))
    put("stream", "joined", record + end(page=1) + error + end(error=1))
    put("stream", "no-end", record)
    put("stream", "cut", (record + end(page=1))[:-7])
    put("stream", "trailing", record + end(page=1) + b"\0\0\0")
    put("stream", "wrong-count", record + end(page=2))
    put("stream", "empty", b"")
    put("stream", "picture", b"P6\n2 1\n255\n123456")


# ---- config ----

def configs():
    fixtures = HERE.parent / "reference/fixtures"
    for name in ("vl2-tiny", "vl2-small", "vl2-base", "chat", "rope-yarn", "projector-linear", "mha-gqa"):
        folder = fixtures / name
        parts = [json.dumps(json.loads((folder / f).read_text()), separators=(",", ":")).encode()
                 for f in ("config.json", "processor_config.json")]
        put("config", name, b"\0".join(parts))
    put("config", "unknown", b'{"model_type": "llava", "vision_config": null}\0{}')


def main():
    tokenizers()
    checkpoints()
    streams()
    configs()


if __name__ == "__main__":
    main()
