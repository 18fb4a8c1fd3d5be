# SPDX-License-Identifier: Apache-2.0
"""Write a safetensors file with the same bytes on every run (the library orders metadata at random)."""
import json
import struct

import numpy as np

NAMES = {np.dtype(np.uint8): "U8", np.dtype(np.int32): "I32", np.dtype(np.int64): "I64", np.dtype(np.float32): "F32"}


def write(path, tensors, metadata):
    header, end = {"__metadata__": dict(sorted(metadata.items()))}, 0
    names = sorted(tensors, key=lambda n: (-tensors[n].dtype.itemsize, n))  # wide types first: all stay aligned
    for name in names:
        array = tensors[name]
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(np.ascontiguousarray(tensors[name]).tobytes())
