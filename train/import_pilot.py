# SPDX-License-Identifier: Apache-2.0
"""python import_pilot.py IN OUT: a bare tower (safetensors or the quick trainer's .pt) as a checkpoint to begin from."""
import sys

import torch
from safetensors.torch import load_file

from model import CLASSES, SLOTS, VL2, Config, Heads


def main(source, target):
    if source.endswith(".safetensors"):
        d = load_file(source)
        tower = {k: v for k, v in d.items() if k.startswith("vision.")}
        w, b = d.get("dense_head.weight"), d.get("dense_head.bias")
    else:
        d = torch.load(source)
        tower = {"vision." + k: v for k, v in d["v"].items()}
        w, b = d["h"]["weight"], d["h"]["bias"]
    model = VL2(Config())
    heads = Heads(model.c)
    state = model.state_dict()
    state.update({k: v for k, v in tower.items() if k in state and v.shape == state[k].shape})
    grey = state["vision.patch_embed.proj.weight"].sum(1, keepdim=True)
    state["vision.patch_embed.proj.weight"] = torch.cat([grey * k for k in (.299, .587, .114)], 1)  # colours as luminance
    model.load_state_dict(state)
    if w is not None:  # 95 classes (nothing and ASCII) become all of the character set
        with torch.no_grad():
            heads.dense.weight.view(SLOTS, CLASSES, -1)[:, :95] = w.view(SLOTS, 95, -1)
            heads.dense.bias.view(SLOTS, CLASSES)[:, :95] = b.view(SLOTS, 95)
            heads.dense.bias.view(SLOTS, CLASSES)[:, 95:] = -4.
    torch.save(dict(config=model.c.as_dict(), stage="import", step=0, model=model.state_dict(), heads=heads.state_dict(),
                    opt=dict(t=0, m={}, v={}, ema={})), target)


if __name__ == "__main__":
    main(*sys.argv[1:3])
