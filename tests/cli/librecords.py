# SPDX-License-Identifier: Apache-2.0
"""Write and read dsvl record streams (dsvl-stream(5)) with nothing but numpy."""
import hashlib
import json
import struct

import numpy as np

NAMES = {"U8": np.uint8, "I32": np.int32, "F32": np.float32, "BF16": np.uint16}
TYPES = {np.dtype(v): k for k, v in NAMES.items() if k != "BF16"}


def content_hash(array):
    """pixels_hash and tiles_hash, as dsvl-stream(5) has them: BLAKE2bp of the shape as text and the data."""
    data = " ".join(map(str, array.shape)).encode() + b"\n" + np.ascontiguousarray(array).tobytes()
    blocks = [data[i:i + 128] for i in range(0, len(data), 128)]
    tree = {"fanout": 4, "depth": 2, "inner_size": 64}
    leaves = [hashlib.blake2b(b"".join(blocks[k::4]), node_offset=k, last_node=k == 3, **tree).digest() for k in range(4)]
    return hashlib.blake2b(b"".join(leaves), node_depth=1, last_node=True, **tree).hexdigest()[:64]


def record(kind, tensors=None, **facts):
    """One record as bytes; facts become strings."""
    header = {"__metadata__": {"dsvl.kind": kind, "dsvl.version": "1", **{k: str(v) for k, v in facts.items()}}}
    data = b""
    for name, value in (tensors or {}).items():
        raw = np.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": TYPES[value.dtype], "shape": list(value.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def stream(*records):
    """Records closed by their end record."""
    counts = {}
    for r in records:
        kind = parse(r)[0][0]["dsvl.kind"]
        counts[f"count.{kind}"] = counts.get(f"count.{kind}", 0) + 1
    return b"".join(records) + record("end", records=len(records), **counts)


def parse(data):
    """All records of some bytes: a list of (facts, {name: array}); the end record is the last one's facts."""
    out, at = [], 0
    while at < len(data):
        size, = struct.unpack_from("<Q", data, at)
        header = json.loads(data[at + 8:at + 8 + size])
        facts, at, length, tensors = header.pop("__metadata__"), at + 8 + size, 0, {}
        for name, t in header.items():
            begin, end = t["data_offsets"]
            assert at + end <= len(data), "cut"
            tensors[name] = np.frombuffer(data[at + begin:at + end], NAMES[t["dtype"]]).reshape(t["shape"])
            length = max(length, end)
        out.append((facts, tensors))
        at += length
    return out


def read_safetensors(path):
    with open(path, "rb") as f:
        data = f.read()
    size, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]],
                                NAMES[t["dtype"]]).reshape(t["shape"])
            for name, t in header.items() if t["dtype"] in NAMES}
