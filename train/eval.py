# SPDX-License-Identifier: Apache-2.0
"""python eval.py CHECKPOINT [--n 24] [--grids 1x1,3x1,2x2] [--tower]: figures on held-out words, seeds and typefaces.

CHECKPOINT: one of train.py's (its averaged weights are judged; --last: the last ones) or an exported safetensors file.
"""
import argparse
import csv
import io
import random
import re
import time

import numpy as np
import torch

from gen import TILE, Generator, dense_labels
from model import EOS, PREFIX, VL2, Config, Heads, answer_ids, ids_text, prompt_ids
from train import dense_right, load, pixels


def distance(a, b):
    row = np.arange(len(b) + 1)
    codes = np.array([ord(c) for c in b], np.int64)
    for i, c in enumerate(a, 1):
        new = np.concatenate([[i], np.minimum(row[:-1] + (codes != ord(c)), row[1:] + 1)])
        row = np.minimum.accumulate(new - np.arange(len(new))) + np.arange(len(new))
    return int(row[-1])


@torch.no_grad()
def answer(model, batch, most=1200):
    """Greedy answers to samples of one grid and of prompts of one length."""
    tiles = pixels(np.stack([s.tiles for s in batch]))
    b, n = tiles.shape[:2]
    e = model.projector(model.vision(tiles.view(b * n, TILE, TILE)))
    image = model.mosaic(e.view(b, n, *e.shape[1:]), *batch[0].grid)
    embed = model.language.model.embed_tokens
    ask = torch.tensor([prompt_ids(s.prompt) for s in batch])
    x = torch.cat([embed(torch.tensor(PREFIX)).expand(b, -1, -1), image, embed(ask)], 1)
    caches, past, out, open_ = [[] for _ in model.language.model.layers], x.shape[1], [[] for _ in batch], [True] * b
    logits = model.decode(x, past - 1, caches)[0]
    for _ in range(most):
        best = logits[:, -1].argmax(-1)
        for i, t in enumerate(best.tolist()):
            if open_[i]:
                if t == EOS:
                    open_[i] = False
                else:
                    out[i].append(t)
        if not any(open_):
            break
        logits = model.decode(embed(best[:, None]), 0, caches, past)[0]
        past += 1
    return [ids_text(o) for o in out]


def cells(text, markdown=False):
    if markdown:
        rows = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in text.split("\n") if not line.startswith("|---")]
        return [[c.strip() for c in row] for row in rows]
    try:
        return list(csv.reader(io.StringIO(text), strict=False))
    except csv.Error:
        return [line.split(",") for line in text.split("\n")]


def cells_right(true, got):
    hit = sum(1 for i, row in enumerate(true) for j, c in enumerate(row)
              if i < len(got) and j < len(got[i]) and got[i][j] == c)
    return hit, max(sum(map(len, true)), sum(map(len, got)))


def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, w) * max(0, h)
    return both / max(1e-9, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def box(text):
    m = re.search(r"\[\[(\d+),(\d+),(\d+),(\d+)\]\]", text)
    return [int(g) for g in m.groups()] if m else [0, 0, 0, 0]


def score(kind, true, got):
    """(right, of) of the figure by which this kind is judged"""
    if kind == "text":
        return distance(true, got), len(true)
    if kind in ("table", "markdown"):
        return cells_right(cells(true, kind == "markdown"), cells(got, kind == "markdown"))
    if kind == "chart":
        return sum(1 for a, b in zip(cells(true), cells(got)) if a == b), max(len(cells(true)), len(cells(got)))
    if kind == "locate":
        return iou(box(true), box(got)) >= .5, 1
    return got != "", 1


NAMES = dict(text="character errors", table="cells exact", markdown="cells exact", chart="pairs exact",
             locate="boxes IoU>=.5", blank="blanks answered")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint")
    p.add_argument("--n", type=int, default=24, help="samples of a kind and a grid")
    p.add_argument("--grids", default="1x1,3x1,2x2")
    p.add_argument("--kinds", default="text,table,markdown,chart,locate,blank")
    p.add_argument("--tower", action="store_true", help="only the tower's own task: characters in their patches")
    p.add_argument("--seen", action="store_true", help="training words and typefaces (unseen seeds)")
    p.add_argument("--last", action="store_true")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--show", action="store_true")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    model = VL2(Config())
    heads = Heads(model.c)
    if a.checkpoint.endswith(".safetensors"):
        from safetensors.torch import load_file
        model.load_state_dict({k: v.float() for k, v in load_file(a.checkpoint).items() if not k.startswith("heads.")})
    else:
        d = load(a.checkpoint, model, heads, averaged=not a.last)
        print(d["stage"], d["step"])
    model.eval()
    if a.tower:
        for kind in ("text", "table", "chart"):
            g = Generator(990000, held=not a.seen)
            hit = there = 0
            with torch.no_grad():
                for s in g.samples(a.n, [(2, 1)], {kind: 1}):
                    lab = dense_labels(s.chars, 2 * TILE, TILE)
                    lab = torch.from_numpy(np.stack([lab[:, :16], lab[:, 16:]])).long()
                    h, t = dense_right(heads.dense(model.vision(pixels(s.tiles[1:]))), lab)
                    hit, there = hit + h, there + t
            print(f"{kind}: characters in their patches {hit / there:.4f} of {there}")
        return
    for grid in [tuple(map(int, g.split("x"))) for g in a.grids.split(",")]:
        for kind in a.kinds.split(","):
            g = Generator(990000 + 100 * grid[0] + grid[1], held=not a.seen)
            began, groups, hit, of, shown = time.time(), {}, 0, 0, None
            for s in g.samples(a.n, [grid], {kind: 1}):
                groups.setdefault(len(prompt_ids(s.prompt)), []).append(s)
            size = max(1, 12 // (grid[0] * grid[1]))
            for some in groups.values():
                some.sort(key=lambda s: len(s.answer))
                for i in range(0, len(some), size):
                    part = some[i:i + size]
                    most = max(len(answer_ids(s.answer)[0]) for s in part) + 60
                    for s, got in zip(part, answer(model, part, most)):
                        true = ids_text(answer_ids(s.answer)[0][:-1])
                        h, t = score(kind, true, got)
                        hit, of = hit + h, of + t
                        if shown is None or random.Random(len(true)).random() < .2:
                            shown = true, got
            print(f"{kind} {grid[0]}x{grid[1]}: {NAMES[kind]} {hit / max(1, of):.4f} of {of}"
                  f" ({time.time() - began:.0f} s)", flush=True)
            if a.show:
                print("   true", repr(shown[0][:150]), "\n   got ", repr(shown[1][:150]))


if __name__ == "__main__":
    main()
