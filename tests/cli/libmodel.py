# SPDX-License-Identifier: Apache-2.0
"""Model folders in tests: reading and writing safetensors files, and dsvl-quantized(5) as its page describes it."""
import json
import struct

import numpy as np


def read_file(path):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    data = path.read_bytes()
    size, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {n: (t["dtype"], t["shape"], data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]])
            for n, t in header.items()}


def read_folder(folder):
    """The same of all the files of a folder."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        if path.name.startswith("model"):
            tensors.update(read_file(path))
    return tensors


def write_file(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def floats(dtype, shape, raw):
    """A float tensor as f32."""
    if dtype == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    return np.frombuffer(raw, {"F16": "<f2", "F32": "<f4"}[dtype]).astype("<f4").reshape(shape)


def dequantize(blocks, bits, group, rows, cols):
    """The [rows, cols] matrix that a U8 tensor [panels, blocks, bytes] stands for."""
    panels, count, _ = blocks.shape
    scale = np.ascontiguousarray(blocks[:, :, :64]).view("<f2").astype("<f4")  # [panel, block, row]
    raw = blocks[:, :, 64:]
    if bits == 8:  # [step, row, j] -> [row, step, j]
        q = raw.view(np.int8).reshape(panels, count, group // 4, 32, 4).transpose(0, 1, 3, 2, 4)
    else:
        raw = raw.reshape(panels, count, group // 8, 32, 4)
        both = np.stack([raw & 15, raw >> 4], axis=4).astype(np.int8)  # [.., row, half, j]
        q = (both - 16 * (both > 7)).transpose(0, 1, 3, 2, 4, 5)
    q = q.reshape(panels, count, 32, group).astype("<f4")
    whole = (scale[..., None] * q).transpose(0, 2, 1, 3).reshape(panels * 32, count * group)
    return whole[:rows, :cols]


def dequantize_folder(source, original, target):
    """A folder like a quantized one with F32 weights; original: read_folder() of what was quantized, for shapes and for
    the tensors that no model reads."""
    config = json.loads((source / "config.json").read_text())
    how = config.pop("quantization_config")
    target.mkdir()
    (target / "config.json").write_text(json.dumps(config))
    for path in source.glob("*.json"):
        if path.name not in ("config.json", "model.safetensors.index.json"):
            (target / path.name).write_bytes(path.read_bytes())
    packed, out = read_folder(source), {}
    for name, (dtype, shape, raw) in original.items():
        if name in packed and packed[name][0] == "U8":
            blocks = np.frombuffer(packed[name][2], np.uint8).reshape(packed[name][1])
            value = dequantize(blocks, how["bits"], how["group_size"], shape[0], int(np.prod(shape[1:])))
        else:
            value = floats(*packed.get(name, (dtype, shape, raw)))
        out[name] = ("F32", shape, np.ascontiguousarray(value, "<f4").tobytes())
    write_file(target / "model.safetensors", out)
