# SPDX-License-Identifier: Apache-2.0
"""python eval.py CHECKPOINT [--n 96]: how right tiles of held-out words and typefaces are read, greedily.

CHECKPOINT: one of train.py's (its averaged weights are judged; --last: the last ones) or an exported safetensors file.
"""
import argparse

import numpy as np
import torch

from gen import PROMPT, TILE, Generator, dense_labels
from model import EOS, PREFIX, VL2, Config, Heads, ids_text, prompt_ids
from train import dense_right, load, pixels


def distance(a, b):
    row = np.arange(len(b) + 1)
    codes = np.array([ord(c) for c in b], np.int64)
    for i, c in enumerate(a, 1):
        new = np.concatenate([[i], np.minimum(row[:-1] + (codes != ord(c)), row[1:] + 1)])
        row = np.minimum.accumulate(new - np.arange(len(new))) + np.arange(len(new))
    return int(row[-1])


@torch.no_grad()
def answer(model, tiles, most=400):
    """Greedy answers to tiles [B, TILE, TILE]."""
    b = len(tiles)
    image = model.mosaic(model.projector(model.vision(tiles)))
    embed = model.language.model.embed_tokens
    x = torch.cat([embed(torch.tensor(PREFIX)).expand(b, -1, -1), image,
                   embed(torch.tensor(prompt_ids(PROMPT))).expand(b, -1, -1)], 1)
    caches, past, out, open_ = [[] for _ in model.language.model.layers], x.shape[1], [[] for _ in range(b)], [True] * b
    logits = model.decode(x, past - 1, caches)[0]
    for _ in range(most):
        best = logits[:, -1].argmax(-1)
        for i, t in enumerate(best.tolist()):
            if open_[i] and t == EOS:
                open_[i] = False
            elif open_[i]:
                out[i].append(t)
        if not any(open_):
            break
        logits = model.decode(embed(best[:, None]), 0, caches, past)[0]
        past += 1
    return [ids_text(o) for o in out]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint")
    p.add_argument("--n", type=int, default=96, help="tiles")
    p.add_argument("--seen", action="store_true", help="training words and typefaces (unseen seeds)")
    p.add_argument("--last", action="store_true")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--show", action="store_true", help="print lines that were misread")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    model = VL2(Config())
    heads = Heads(model.c)
    if a.checkpoint.endswith(".safetensors"):
        from safetensors.torch import load_file
        model.load_state_dict({k: v.float() for k, v in load_file(a.checkpoint).items() if not k.startswith("heads.")})
        heads = None
    else:
        d = load(a.checkpoint, model, heads, averaged=not a.last)
        print(d["stage"], d["step"])
    model.eval()
    some = Generator(990000, held=not a.seen).samples(a.n, {"lines": 1})
    hit = there = wrong = letters = right = lines = aligned = 0
    for i in range(0, a.n, 24):
        part = some[i:i + 24]
        tiles = pixels(np.stack([s.tile for s in part]))
        if heads:
            with torch.no_grad():
                labels = torch.from_numpy(np.stack([dense_labels(s.chars, TILE, TILE) for s in part])).long()
                h, t = dense_right(heads.dense(model.vision(tiles)), labels)
            hit, there = hit + h, there + t
        for s, got in zip(part, answer(model, tiles)):
            wrong, letters = wrong + distance(s.answer, got), letters + len(s.answer)
            true, got = s.answer.split("\n"), got.split("\n")
            aligned += len(true) == len(got)
            right, lines = right + sum(x == y for x, y in zip(true, got)), lines + len(true)
            for x, y in zip(true, got):
                if a.show and x != y:
                    print(f"{x!r:40} {y!r}")
    if there:
        print(f"tower: {hit / there:.4f} of {there} characters in their patches")
    print(f"character errors {wrong / letters:.4f} of {letters}, lines exact {right / lines:.4f} of {lines}, "
          f"tiles with as many lines as they have {aligned / a.n:.4f}")


if __name__ == "__main__":
    main()
