# SPDX-License-Identifier: Apache-2.0
"""python merge.py OUT IN...: a checkpoint to begin a stage from, out of exported or state files (safetensors) and
checkpoints (their averaged weights); what comes later on the line prevails, what fits nowhere is left out."""
import sys

import torch
from safetensors.torch import load_file

from model import CLASSES, SLOTS, VL2, Config, Heads


def main(target, sources):
    torch.manual_seed(1)
    model = VL2(Config())
    heads = Heads(model.c)
    for source in sources:
        if source.endswith(".safetensors"):
            new = {k: v.float() for k, v in load_file(source).items()}
        else:
            d = torch.load(source, weights_only=True)
            trained = d["opt"]["ema"]
            new = {k: trained.get(k, v) for k, v in d["model"].items()}
            new |= {"heads." + k: trained.get("heads." + k, v) for k, v in d["heads"].items()}
            if d["stage"] == "encoder":
                new = {k: v for k, v in new.items() if k.startswith(("vision.", "heads.dense."))}
        if "dense_head.weight" in new:  # the pilot's head: nothing and ASCII, of which three thirds a patch
            w, b = new["dense_head.weight"].view(SLOTS, 95, -1), new["dense_head.bias"].view(SLOTS, 95)
            with torch.no_grad():
                heads.dense.weight.view(SLOTS, CLASSES, -1)[:, :95] = w
                heads.dense.bias.view(SLOTS, CLASSES)[:, :95] = b
                heads.dense.bias.view(SLOTS, CLASSES)[:, 95:] = -4.
        for prefix, module in (("", model), ("heads.", heads)):
            state = module.state_dict()
            fit = {k: new[prefix + k] for k in state if prefix + k in new and new[prefix + k].shape == state[k].shape}
            module.load_state_dict(state | fit)
            print(source, prefix, len(fit), "of", len(state), "tensors")
    torch.save(dict(config=model.c.as_dict(), stage="merge", step=0, model=model.state_dict(), heads=heads.state_dict(),
                    opt=dict(t=0, m={}, v={}, ema={})), target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
