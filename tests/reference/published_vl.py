# SPDX-License-Identifier: Apache-2.0
"""Import the published DeepSeek-VL code on a CPU, and let a tower's settings hold sizes of their own.

The published code keeps the sizes of its towers in tables and takes no notice of other keys. Cut down, a model names
a published tower and says what differs; the entry is put into the table from outside, never in the code's files.
"""
import contextlib
import io
import sys
from pathlib import Path

import published

SIGLIP_SIZES = ("patch_size", "width", "layers", "heads", "mlp_ratio")
SAM_SIZES = ("patch_size", "width", "layers", "heads", "global_attn_indexes", "prompt_embed_dim", "downsample_channels")


def _sized(create, table, names):
    def build(model_name, **settings):
        sizes = {k: settings.pop(k) for k in names if k in settings}
        table["cut down"] = dict(table[model_name], **sizes)
        return create(model_name="cut down", **settings)
    return build


def load(path):
    """Import deepseek_vl.models from the checkout at path; return the module."""
    path = Path(path).resolve()
    if not (path / "deepseek_vl" / "models" / "modeling_vlm.py").is_file():
        raise SystemExit(f"{path}: not a checkout of the published DeepSeek-VL code (see README.md)")
    published._stub_collections()
    published._stub_torchvision()
    sys.path.insert(0, str(path))
    with contextlib.redirect_stdout(io.StringIO()):
        from deepseek_vl import models
        from deepseek_vl.models import clip_encoder, sam, siglip_vit
    clip_encoder.create_siglip_vit = _sized(siglip_vit.create_siglip_vit, siglip_vit.SigLIP_MODEL_CONFIG, SIGLIP_SIZES)
    clip_encoder.create_sam_vit = _sized(sam.create_sam_vit, sam.SAM_MODEL_CONFIG, SAM_SIZES)
    return models
