# SPDX-License-Identifier: Apache-2.0
"""Import the published DeepSeek-VL2 code on a CPU, without xformers or flash-attn.

The code itself is not part of this project: it is read from a checkout whose path the caller gives.
What stands between that code and a current torch is patched here, from outside, never in its files:
  - xformers.ops.memory_efficient_attention -> torch's scaled_dot_product_attention ([B,N,H,D] in and out);
  - torchvision's compiled operators are not needed, but its import asks for two of them by name;
  - attrdict wants the abstract classes that Python 3.10 moved out of collections.
"""
import collections
import collections.abc
import contextlib
import io
import subprocess
import sys
import types
from pathlib import Path


def _stub_collections():
    for name in ("Mapping", "MutableMapping", "Sequence", "Callable", "Iterable", "Hashable"):
        if not hasattr(collections, name):
            setattr(collections, name, getattr(collections.abc, name))


def _stub_xformers():
    import torch.nn.functional as F

    def memory_efficient_attention(q, k, v, p=0.0):
        assert p == 0.0
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)

    package, ops = types.ModuleType("xformers"), types.ModuleType("xformers.ops")
    ops.memory_efficient_attention = memory_efficient_attention
    package.ops = ops
    sys.modules.update({"xformers": package, "xformers.ops": ops})


_keep = []


def _stub_torchvision():
    import torch

    try:
        import torchvision  # noqa: F401
        return
    except RuntimeError:
        for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
            del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _keep.append(library)  # the definitions live as long as this object


def load(path):
    """Import deepseek_vl2.models from the checkout at path; return the module."""
    path = Path(path).resolve()
    if not (path / "deepseek_vl2" / "models" / "modeling_deepseek_vl_v2.py").is_file():
        raise SystemExit(f"{path}: not a checkout of the published DeepSeek-VL2 code (see README.md)")
    _stub_collections()
    _stub_xformers()
    _stub_torchvision()
    sys.path.insert(0, str(path))
    with contextlib.redirect_stdout(io.StringIO()):
        from deepseek_vl2 import models
    return models


def commit(path, given=None):
    """The checkout's commit: as given, else from git, else from a file named COMMIT beside the code."""
    if given:
        return given
    note = Path(path) / "COMMIT"
    if note.is_file():
        return note.read_text().strip()
    run = subprocess.run(["git", "-C", str(path), "rev-parse", "HEAD"], capture_output=True, text=True)
    return run.stdout.strip() or "unknown"
