# SPDX-License-Identifier: Apache-2.0
"""filters/resize.c for Python tests and benchmarks: compiled alone into a shared object, with the project's flags."""
import ctypes
import subprocess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
BOX, BILINEAR, BICUBIC = range(3)


class Picture(ctypes.Structure):
    _fields_ = [("pixels", ctypes.c_void_p), ("stride", ctypes.c_size_t), ("width", ctypes.c_int),
                ("height", ctypes.c_int), ("channels", ctypes.c_int)]


class Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("message", ctypes.c_char * 1016)]


class Resizer:
    """Both entries; `folder` holds the compiled files."""

    def __init__(self, folder):
        flags = ["-std=c11", "-D_GNU_SOURCE", "-I.", "-O2", "-fPIC", "-ffp-contract=off", "-fno-math-errno"]
        objects = []
        for name, extra in (("filters/resize", []), ("filters/resize_avx2", ["-mavx2", "-mfma"]), ("lib/alloc", []),
                            ("lib/error", [])):
            objects.append(str(Path(folder) / (name.replace("/", "_") + ".o")))
            subprocess.run(["cc", *flags, *extra, "-c", name + ".c", "-o", objects[-1]], cwd=ROOT, check=True)
        shared = str(Path(folder) / "resize.so")
        subprocess.run(["cc", "-shared", "-o", shared, *objects, "-lm"], check=True)
        library = ctypes.CDLL(shared)
        self.fast, self.scalar = library.dsvl_resize, library.dsvl_resize_scalar

    @staticmethod
    def call(entry, out, source, box=None, filter_=BICUBIC):
        """Resize source u8 [H,W] or [H,W,3], rows perhaps apart, into out; raises ValueError with dsvl's message."""
        channels = source.shape[2] if source.ndim == 3 else 1
        picture = Picture(source.ctypes.data, source.strides[0], source.shape[1], source.shape[0], channels)
        error = Error()
        corners = (ctypes.c_float * 4)(*box) if box else None
        if entry(ctypes.c_void_p(out.ctypes.data), ctypes.c_size_t(out.strides[0]), out.shape[1], out.shape[0],
                 ctypes.byref(picture), corners, filter_, ctypes.byref(error)):
            raise ValueError(error.message.decode())

    def resize(self, entry, source, width, height, box=None, filter_=BICUBIC):
        out = np.empty((height, width, *source.shape[2:]), np.uint8)
        self.call(entry, out, source, box, filter_)
        return out
