#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the seeds of the fuzzers into tests/fuzz/corpus: one small input for each branch of the parsers.

Inputs that a fuzzer found are added beside them under names of their own; this script leaves those alone."""
import io
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
    for name in ("vl-1.3b", "vl-7b", "vl-1.3b-transformers", "vl-7b-transformers"):
        folder = fixtures / name
        put("config", name, b"\0".join(json.dumps(json.loads((folder / f).read_text()), separators=(",", ":")).encode()
                                       for f in ("config.json", "preprocessor_config.json")))
    put("config", "unknown", b'{"model_type": "llava", "vision_config": null}\0{}')


# ---- pictures, lists of pages, questions ----

def pictures():
    from PIL import Image
    image = Image.radial_gradient("L").resize((19, 13))
    exif = Image.Exif()
    exif[274], exif[282], exif[283], exif[296] = 6, 72.0, 72.0, 2

    def saved(mode, kind, **options):
        out = io.BytesIO()
        image.convert(mode).save(out, kind, **options)
        return out.getvalue()
    for i, (name, data) in enumerate({
            "png-gray": saved("L", "PNG"), "png-rgb": saved("RGB", "PNG", dpi=(300, 300)), "png-bits": saved("1", "PNG"),
            "png-palette": saved("P", "PNG"), "png-alpha": saved("RGBA", "PNG"), "jpeg-gray": saved("L", "JPEG"),
            "jpeg": saved("RGB", "JPEG", exif=exif, dpi=(96, 96)), "jpeg-progressive": saved("RGB", "JPEG", progressive=True),
            "jpeg-cmyk": saved("CMYK", "JPEG"), "tiff": saved("RGB", "TIFF", dpi=(200, 100)), "tiff-lzw": saved("L", "TIFF", compression="tiff_lzw"),
            "tiff-fax": saved("1", "TIFF", compression="group4"), "tiff-jpeg": saved("RGB", "TIFF", compression="jpeg"),
            "tiff-deflate": saved("P", "TIFF", compression="tiff_adobe_deflate"), "tiff-alpha": saved("RGBA", "TIFF"),
            "tiff-pages": saved("L", "TIFF", save_all=True, append_images=[image.rotate(90, expand=True)]),
            "pnm": b"P6 2 1 255\n123456P5\n# x\n1 2 65535 1234P4 9 1\n\xaa\x80", "pnm-cut": b"P5 9 9 255\n1"}.items()):
        put("picture", name, bytes([i % 16]) + data)
        put("picture", name + "-plain", b"\0" + data)
        put("picture", name + "-cut", bytes([i % 16]) + data[:-len(data) // 3])
    put("exif", "turned", exif.tobytes()[6:])
    put("exif", "big-endian", b"MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\x01\x1a\0\x05\0\0\0\x01\xff\xff\xff\xff\0\0\0\0")
    put("exif", "cut", b"II*\0\x08\0\0\0\xff\xff")


def lists():
    for name, text in {"one": "1", "last": "-1", "ranges": "1-3,7,-1,5--1,-3--2", "backward": "3-1", "zero": "0", "empty": "",
                       "huge": "99999999999999999999", "most": "1000000000--1", "junk": "1,,2", "space": " 1"}.items():
        put("pages", name, text.encode())


def questions():
    lines = [{"id": "a", "prompt": "What?"}, {"prompt": "<|ref|>x<|/ref|>"}, {"id": 7, "prompt": "é\n"}]
    put("question", "lines", b"\n\n".join(json.dumps(line).encode() for line in lines))
    put("question", "bad-lines", b'{"prompt": 1}\n{"id": null}\n[]\n{"prompt": "a", "prompt": "b"}')
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}, {"type": "image"}]},
            {"role": "assistant", "content": "This."}, {"role": "user", "content": "And?"}]
    put("question", "chat", json.dumps(chat).encode())
    put("question", "messages", json.dumps({"messages": chat}).encode())
    put("question", "bad-chat", b'[{"role": "user"}, {"content": [{"type": "video"}]}]')
    put("question", "deep", b"[" * 3000)


def main():
    pictures()
    lists()
    questions()
    tokenizers()
    checkpoints()
    streams()
    configs()


if __name__ == "__main__":
    main()
