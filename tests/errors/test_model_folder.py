# SPDX-License-Identifier: Apache-2.0
"""Model folders that cannot be used: dsvl-encode says which file, tensor or key is wrong before any work, and exits 3."""
import json
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
from libmodel import read_file, write_file  # noqa: E402
from librecords import parse, read_safetensors, record, stream  # noqa: E402

FIXTURES = HERE.parent / "reference" / "fixtures"


def edit(change, name="model.safetensors"):
    """A change of the tensors of one file."""
    def run(folder):
        tensors = read_file(folder / name)
        change(tensors)
        write_file(folder / name, tensors)
    return run


def settings(name, change):
    def run(folder):
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))
    return run


def put(tensors, name, offset, raw):
    dtype, shape, data = tensors[name]
    tensors[name] = (dtype, shape, data[:offset] + raw + data[offset + len(raw):])


def transposed(tensors, name):
    dtype, shape, data = tensors[name]
    tensors[name] = (dtype, shape[::-1], data)


QKV, GAIN, LAST = "vision.blocks.1.attn.qkv.weight", "vision.blocks.0.norm1.weight", "model-00003-of-00003.safetensors"
FIRST = "image_newline"
NAN, HUGE = b"\xc0\x7f", b"\x7f\x7f"  # bf16: NaN, 3.39e38

CASES = [
    ("vl2-small", lambda d: (d / "config.json").unlink(), "config.json: cannot open: No such file"),
    ("vl2-small", lambda d: (d / "processor_config.json").unlink(), "processor_config.json: cannot open: No such file"),
    ("vl2-small", lambda d: (d / "model.safetensors").unlink(), "no weights: neither model.safetensors nor"),
    ("vl2-small", lambda d: (d / "config.json").write_text("{\"model_type\": "), "config.json: not valid JSON, line 1"),
    ("vl2-small", lambda d: (d / "config.json").write_bytes(b""), "config.json: not valid JSON"),
    ("vl2-small", settings("config.json", lambda c: c.update(model_type="deepseek_vl_v3")),
     "config.json: model_type is \"deepseek_vl_v3\", not a type that can be run"),
    ("vl2-small", settings("config.json", lambda c: c.update(tile_tag="1D")), "config.json: tile_tag \"1D\" cannot be run"),
    ("vl2-small", settings("config.json", lambda c: c["vision_config"].update(width=0)), "vision_config.width is 0"),
    ("vl2-small", settings("config.json", lambda c: c["vision_config"].update(layers=1)),
     "model.safetensors: tensor \"vision.blocks.1.attn.proj.bias\" has no place"),
    ("vl2-small", settings("config.json", lambda c: c["vision_config"].update(layers=3)),
     "model.safetensors: tensor \"vision.blocks.2.norm1.weight\" is missing"),
    ("vl2-small", settings("config.json", lambda c: c["vision_config"].update(mlp_ratio=4)),
     "tensor \"vision.blocks.0.mlp.fc1.weight\" has shape [89, 24], but config.json asks for [96, 24]"),
    ("vl2-small", settings("config.json", lambda c: c["projector_config"].update(depth=3)), "projector.layers.4.weight\" is missing"),
    ("vl2-small", settings("processor_config.json", lambda c: c.update(downsample_ratio=3)), "downsample_ratio 3 make 1 tokens"),
    ("vl2-small", edit(lambda t: t.pop("vision.pos_embed")), "tensor \"vision.pos_embed\" is missing"),
    ("vl2-small", edit(lambda t: t.pop("image_newline")), "tensor \"image_newline\" is missing"),
    ("vl2-small", edit(lambda t: transposed(t, QKV)), f"tensor \"{QKV}\" has shape [24, 72], but config.json asks for [72, 24]"),
    ("vl2-small", edit(lambda t: transposed(t, "vision.pos_embed")), "asks for [1, 9, 24]"),
    ("vl2-small", edit(lambda t: put(t, QKV, 200, NAN)), f"tensor \"{QKV}\" holds a NaN or infinity (element 100)"),
    ("vl2-small", edit(lambda t: put(t, GAIN, 6, b"\x80\xff")), f"tensor \"{GAIN}\" holds a NaN or infinity (element 3)"),
    ("vl2-small", edit(lambda t: t.update({QKV: ("I16", *t[QKV][1:])})), f"tensor \"{QKV}\" is I16; weights can be F32, F16 or BF16"),
    ("vl2-small", edit(lambda t: t.update({QKV: ("F4", *t[QKV][1:])})), f"tensor \"{QKV}\" has the unsupported dtype \"F4\""),
    ("vl2-small", edit(lambda t: t.update({"vision.extra": ("F32", [1], b"\0\0\0\0")})), "tensor \"vision.extra\" has no place"),
    ("vl2-small", edit(lambda t: t.update({"optimizer.step": ("F32", [1], b"\0\0\0\0")})), "tensor \"optimizer.step\" has no place"),
    ("vl2-small", lambda d: cut(d / "model.safetensors", -1), "the file is cut short, fetch it again"),
    ("vl2-small", lambda d: cut(d / "model.safetensors", 3000), "does not fit a file of 3000; it is cut or damaged"),
    ("vl2-small", lambda d: cut(d / "model.safetensors", 5), "5 bytes are no safetensors file"),
    ("vl2-small", edit(lambda t: [put(t, GAIN, 2 * i, HUGE) for i in range(24)]),
     "the vision tower gave a NaN or infinity: a weight of vision.*"),
    ("vl2-base", lambda d: (d / LAST).unlink(), f"{LAST}: cannot open: No such file or directory; the model is incomplete"),
    ("vl2-base", lambda d: cut(d / LAST, -7), "the file is cut short, fetch it again"),
    ("vl2-base", edit(lambda t: t.pop(next(iter(t))), LAST), f"should stand in {LAST} and does not"),
    ("vl2-base", edit(lambda t: t.update({FIRST: ("F32", [1], b"\0\0\0\0")}), LAST), f"tensor \"{FIRST}\" belongs, by the index, in"),
    ("vl2-base", settings("model.safetensors.index.json", lambda c: c["weight_map"].update(x="../../etc/passwd")),
     "weight_map \"x\" does not name a file in this folder"),
    ("vl2-base", settings("model.safetensors.index.json", lambda c: c.pop("weight_map")), "index.json: no weight_map"),
]


def cut(path, length):
    path.write_bytes(path.read_bytes()[:length])


def encode(folder, data):
    run = subprocess.run(["dsvl-encode", "-m", str(folder)], input=data, capture_output=True)
    return run.returncode, run.stdout, run.stderr.decode()


def page(case):
    tiles = read_safetensors(FIXTURES / case / "expected.safetensors")["tiles.0"][:2]
    return stream(record("tiles", {"tiles": tiles}, tiles_cols=1, tiles_rows=1, document="a.pdf", page=1))


def main():
    failures = 0
    for number, (case, change, message) in enumerate(CASES):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            shutil.copytree(FIXTURES / case, folder)
            change(folder)
            status, out, said = encode(folder, page(case))
            if status != 3 or out or message not in said or said.count("\n") != 1 or not said.startswith("dsvl-encode: "):
                print(f"case {number}: status {status}, {len(out)} bytes, said {said!r}, want {message!r}")
                failures += 1
    status, out, said = encode(FIXTURES / "vl2-small", page("vl2-small"))
    assert status == 0 and parse(out)[0][0]["dsvl.kind"] == "embeddings", said
    status, out, said = encode(FIXTURES / "vl2-small" / "config.json", page("vl2-small"))
    assert status == 3 and "config.json: no such model folder" in said, said
    sys.exit(failures != 0)


main()
