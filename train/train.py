# SPDX-License-Identifier: Apache-2.0
"""One stage of the recipe: python train.py STAGE --steps N. See README.md for the order of the stages."""
import argparse
import os
import random
import signal
import sys
import time
import traceback

import numpy as np
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F

from gen import IGNORE, PROMPT, SLOTS, TILE, Generator, dense_labels
from model import CLASSES, PREFIX, VL2, Config, Heads, answer_ids, prompt_ids

# what: the parts trained; tower: share of the decoder's gradient that reaches the tower; dense, patch: weights of the
# tower's and the projector's own tasks; wrong: see collate
STAGES = {
    "encoder": dict(what=("vision", "heads.dense"), dense=1., lr=1.2e-3, batch=32),
    "projector": dict(what=("projector", "heads.patch"), dense=0., lr=2.5e-3, batch=32),
    "decoder": dict(what=("projector", "language", "image_newline", "view_seperator", "heads.patch", "heads.here",
                          "heads.next", "heads.row", "heads.column"), tower=0., dense=0., patch=.3, lr=1.2e-3, batch=24),
    "lines": dict(what=("",), tower=.5, dense=.5, patch=.5, lr=8e-4, batch=24, wrong=.04),
}
SIDE = TILE // 16         # patches
ROW = TILE // 32 + 1      # tokens of a row of the mosaic, with its newline
VIEW = TILE // 32 * ROW   # tokens of a view


def pixels(tiles):
    return torch.from_numpy(tiles).float().div_(127.5).sub_(1)


class TileFeed:
    """Batches of tiles and their dense labels, for the stages without a decoder."""

    def __init__(self, seed, stage):
        self.gen, self.stage = Generator(seed), stage

    def __call__(self):
        some = self.gen.samples(self.stage["batch"])
        labels = np.stack([dense_labels(s.chars, TILE, TILE) for s in some])
        return pixels(np.stack([s.tile for s in some])), torch.from_numpy(labels).long()


class SampleFeed:
    """Batches of samples of similar length."""

    def __init__(self, seed, stage):
        self.gen, self.stage, self.pool = Generator(seed), stage, []

    def __call__(self):
        if not self.pool:
            size = self.stage["batch"]
            some = [self.encode(s) for s in self.gen.samples(6 * size)]
            some.sort(key=lambda s: len(s["ids"]))
            self.pool = [some[i:i + size] for i in range(0, len(some), size)]
            self.gen.r.shuffle(self.pool)
        return collate(self.pool.pop(), self.stage.get("wrong", 0.), self.gen.r)

    @staticmethod
    def encode(s):
        ids, at = answer_ids(s.answer, s.at)
        spots = []  # (index in the answer, token of the mosaic, place inside that token)
        for i, p in enumerate(at):
            if p and 0 <= p[0] < TILE and 0 <= p[1] < TILE:
                x, y = int(p[0]), int(p[1])
                spots.append((i, y // 32 * ROW + x // 32, y % 32 // 16 * 6 + x % 32 * 6 // 32))
        return dict(tile=s.tile, ids=ids, ask=prompt_ids(PROMPT), spots=spots, labels=dense_labels(s.chars, TILE, TILE),
                    kind=s.kind)


def collate(batch, wrong=0., r=random):
    """wrong: this part of the bytes of half of the answers are others when they are read again: what is misread must not
    lead astray."""
    width = max(len(s["ask"]) + len(s["ids"]) for s in batch) - 1
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    target = torch.full((len(batch), width), -100)
    here, after = [], []
    for b, s in enumerate(batch):
        q = len(s["ask"])
        t = s["ask"] + s["ids"]
        if wrong and r.random() < .5:
            t = t[:q] + [r.randint(32, 126) if i < 256 and r.random() < wrong else i for i in t[q:]]
        ids[b, :len(t) - 1] = torch.tensor(t[:-1])
        target[b, q - 1:len(t) - 1] = torch.tensor(s["ids"])
        for i, key, slot in s["spots"]:
            after.append((b, q - 1 + i, key, slot))
            if q + i < width:
                here.append((b, q + i, key, slot))
    return dict(tiles=pixels(np.stack([s["tile"] for s in batch])), ids=ids, target=target,
                here=torch.tensor(here, dtype=torch.long).view(-1, 4), next=torch.tensor(after, dtype=torch.long).view(-1, 4),
                labels=torch.from_numpy(np.stack([s["labels"] for s in batch])).long(),
                first=min(len(s["ask"]) for s in batch) - 1, kinds=[s["kind"] for s in batch])


CLASS_WEIGHT = torch.ones(CLASSES)
CLASS_WEIGHT[0] = .25


def dense_loss(logits, labels):
    y = labels.reshape(-1)
    y = torch.where(y == IGNORE, -100, y)
    return F.cross_entropy(logits.reshape(-1, CLASSES).float(), y, weight=CLASS_WEIGHT)


def dense_right(logits, labels):
    """(characters named right, characters)"""
    hit = logits.reshape(-1, CLASSES).argmax(-1) == labels.reshape(-1)
    there = (labels.reshape(-1) > 0) & (labels.reshape(-1) != IGNORE)
    return int(hit[there].sum()), int(there.sum())


def by_token(labels):
    """[.., 16, 16, SLOTS] patches -> [.., 64, 4 * SLOTS] projected tokens"""
    n = labels.shape[-2] // 2
    return labels.reshape(-1, n, 2, n, 2, SLOTS).permute(0, 1, 3, 2, 4, 5).reshape(-1, n * n, 4 * SLOTS)


def tile_step(model, heads, stage, batch):
    tiles, labels = batch
    if "projector" in stage["what"]:
        with torch.no_grad():
            f = model.vision(tiles)
        f = model.projector(f)
        logits, labels = heads.patch(F.layer_norm(f, f.shape[-1:])), by_token(labels)
    else:
        logits = heads.dense(model.vision(tiles))
    loss = dense_loss(logits, labels)
    return loss, dict(loss=loss.item()), {"chars": dense_right(logits.detach(), labels)}


def place_losses(heads, hidden, after, at_text, at_local):
    """Whether the local mosaic's tokens know their row and column after the first layer, and each token of the answer
    those of the character that comes next after the second and the third: to find the way one must know where one is."""
    at = torch.arange(VIEW)
    mosaic = hidden[0][:, at_local:at_local + VIEW]
    asked = [("map", mosaic.reshape(-1, mosaic.shape[-1]), at.repeat(len(mosaic)))]
    asked += [(f"way{k + 1}", hidden[k][after[:, 0], after[:, 1] + at_text], after[:, 2]) for k in (1, 2)]
    losses = {}
    for name, x, key in asked:
        x = F.layer_norm(x, x.shape[-1:])
        losses[name] = (F.cross_entropy(heads.row(x).float(), key // ROW)
                        + F.cross_entropy(heads.column(x).float(), key % ROW))
    return losses


def sample_step(model, heads, stage, batch, early):
    """early: 1 at the start of the first decoder stage, falling to 0; strength of what only helps to begin"""
    tiles, ids, share = batch["tiles"], batch["ids"], stage["tower"]
    b = len(tiles)
    with torch.set_grad_enabled(bool(share or stage["dense"])):
        f = model.vision(tiles)
    e = model.projector(f * share + f.detach() * (1 - share) if share else f.detach())
    image = model.mosaic(e)
    embed = model.language.model.embed_tokens
    x = torch.cat([embed(torch.tensor(PREFIX)).expand(b, -1, -1), image, embed(ids)], 1)
    at_text = len(PREFIX) + image.shape[1]
    at_local = len(PREFIX) + VIEW + 1
    start = at_text + batch["first"]
    here, after = batch["here"], batch["next"]
    probes = [[], [], [], []]
    if len(after) and len(here):
        probes[1] = [((0, 1), here[:, 0], here[:, 1] + at_text, here[:, 2] + at_local)]
        probes[2] = probes[3] = [((0, 1, 2), after[:, 0], after[:, 1] + at_text, after[:, 2] + at_local)]
        if early > 0:
            probes[0] = [((k,), after[:, 0], after[:, 1] + at_text, after[:, 1] + at_text - k) for k in range(3)]
    logits, look, hidden = model.decode(x, start, probes=probes)
    target = batch["target"][:, batch["first"]:]
    read = F.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), target.reshape(-1), ignore_index=-100)
    loss = read
    log = dict(read=read.item())
    if probes[1]:
        align = (look[1][0] + look[2][0] + look[3][0]) / 3
        slot = 0.
        for head, where, layer in ((heads.here, here, 1), (heads.next, after, 2)):
            h = hidden[layer][where[:, 0], where[:, 1] + at_text]
            slot = slot + F.cross_entropy(head(F.layer_norm(h, h.shape[-1:])).float(), where[:, 3])
        loss = loss + (.15 + .15 * min(1, 2 * early)) * (align + .5 * slot)
        places = place_losses(heads, hidden, after, at_text, at_local)
        loss = loss + .1 * sum(places.values())
        log.update({k: v.item() for k, v in places.items()})
        if early > 0:
            loss = loss + .045 * early * sum(look[0])
        log.update(here=look[1][0].item(), next2=look[2][0].item(), next3=look[3][0].item(), slot=slot.item())
    patch, labels = heads.patch(F.layer_norm(e, e.shape[-1:])), by_token(batch["labels"])
    loss_patch = dense_loss(patch, labels)
    loss = loss + stage["patch"] * loss_patch
    log["patch"] = loss_patch.item()
    right = {"patch": dense_right(patch.detach(), labels)}
    if stage["dense"]:
        dense = heads.dense(f)
        loss_dense = dense_loss(dense, batch["labels"])
        loss = loss + stage["dense"] * loss_dense
        log["dense"] = loss_dense.item()
        right["chars"] = dense_right(dense.detach(), batch["labels"])
    loss = loss + .01 * sum(layer.mlp.balance for layer in model.language.model.layers[1:]) / 3
    with torch.no_grad():
        hit, there = logits.argmax(-1) == target, target >= 0
        for i, k in enumerate(batch["kinds"]):
            a, c = right.get(k, (0, 0))
            right[k] = a + int(hit[i][there[i]].sum()), c + int(there[i].sum())
    return loss, log, right


def worker(rank, opt, model, heads, args, stage, done, path):
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: opt.flags.__setitem__(0, 1))
    opt.attach(rank)
    seed = int(time.time() * 1000) % 1000000007 + rank
    decoding = "language" in stage["what"] or "" in stage["what"]
    feed = (SampleFeed if decoding else TileFeed)(seed, stage)
    logs, rights, began, saved, step = [], {}, time.time(), time.time(), done
    model.train()
    while step < args.steps:
        opt.barrier.wait()
        stop = bool(opt.flags[0])
        opt.barrier.wait()
        if stop:
            break
        left = (args.steps - step) / max(1, args.steps * args.cooldown)
        lr = args.lr * min(1., (step - done + 1) / 60, left)
        while True:
            try:
                batch = feed()
                break
            except Exception:  # a page that could not be laid out is no reason to stop
                traceback.print_exc()
                feed = type(feed)(seed + step + 7919, stage)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.half):
            if decoding:
                loss, log, right = sample_step(model, heads, stage, batch, max(0., 1 - step / args.early) if args.early else 0.)
            else:
                loss, log, right = tile_step(model, heads, stage, batch)
        loss.backward()
        log["norm"] = opt.step(lr)
        step += 1
        logs.append(log)
        for k, (a, c) in right.items():
            rights[k] = rights.get(k, 0) + np.array((a, c))
        if step % args.report == 0 and rank == 0:
            mean = {k: np.mean([q[k] for q in logs if k in q]) for k in sorted({k for q in logs for k in q})}
            print(step, f"lr {lr:.5f}", *(f"{k} {v:.4f}" for k, v in mean.items()), "|",
                  *(f"{k} {a / max(1, c):.4f}" for k, (a, c) in sorted(rights.items())),
                  f"| {(time.time() - began) / args.report:.2f} s/step", time.strftime("%H:%M", time.gmtime()), flush=True)
            logs, rights, began = [], {}, time.time()
        if rank == 0 and time.time() - saved > args.every:
            save(path, model, heads, opt, args.stage, step)
            saved = time.time()
    opt.barrier.wait()
    if rank == 0:
        save(path, model, heads, opt, args.stage, step)
        print("saved", path, step, flush=True)


def save(path, model, heads, opt, stage, step):
    torch.save(dict(config=model.c.as_dict(), stage=stage, step=step, model=model.state_dict(), heads=heads.state_dict(),
                    opt=opt.state()), path + ".tmp")
    os.replace(path + ".tmp", path)


def load(path, model, heads, averaged=False):
    """Loads what fits; returns the checkpoint. averaged: the running average of the weights instead of the last."""
    d = torch.load(path, weights_only=True)
    state = dict(d["model"])
    state.update({"heads." + k: v for k, v in d["heads"].items()})
    if averaged:
        state.update(d["opt"]["ema"])
    for prefix, module in (("", model), ("heads.", heads)):
        own = module.state_dict()
        own.update({k: state[prefix + k] for k in own if prefix + k in state and state[prefix + k].shape == own[k].shape})
        module.load_state_dict(own)
    return d


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("stage", choices=list(STAGES))
    p.add_argument("--steps", type=int, required=True, help="in all, counting those before a resume")
    p.add_argument("--lr", type=float)
    p.add_argument("--cooldown", type=float, default=.2, help="last part of the steps, over which the rate falls to 0")
    p.add_argument("--init", help="checkpoint of the stage before (used when this stage has none yet)")
    p.add_argument("--runs", default="runs", help="folder of the checkpoints")
    p.add_argument("--every", type=float, default=240, help="seconds between checkpoints")
    p.add_argument("--report", type=int, default=50)
    p.add_argument("--early", type=int, default=0, help="decoder: steps with help for the first layers")
    p.add_argument("--batch", type=int)
    p.add_argument("--half", action="store_true", help="products in bfloat16: for CPUs where that is faster (README.md)")
    p.add_argument("--world", type=int, default=2)
    args = p.parse_args()
    stage = dict(dict(tower=0., patch=0.), **STAGES[args.stage])
    args.lr = args.lr or stage["lr"]
    stage["batch"] = args.batch or stage["batch"]
    os.makedirs(args.runs, exist_ok=True)
    path = os.path.join(args.runs, args.stage + ".pt")
    torch.manual_seed(1)
    model = VL2(Config())
    heads = Heads(model.c)
    resume = os.path.exists(path)
    done, state = 0, None
    if resume:
        d = load(path, model, heads)
        done, state = d["step"], d["opt"]
    elif args.init:
        load(args.init, model, heads, averaged=True)
    named = [(n, q) for n, q in model.named_parameters() if n.startswith(tuple(stage["what"]))]
    named += [("heads." + n, q) for n, q in heads.named_parameters() if ("heads." + n).startswith(tuple(stage["what"]))]
    chosen = {id(q) for _, q in named}
    for q in [*model.parameters(), *heads.parameters()]:
        q.requires_grad_(id(q) in chosen)

    def rate(n):
        slow = args.stage == "lines" and n.startswith(("vision.", "heads.dense"))
        return .4 if slow else 6. if "embed_tokens" in n or n.startswith(("heads.row", "heads.column")) else 1.
    from optim import Shared
    opt = Shared(named, args.world, rate)
    if state:
        opt.load(state)
    print(args.stage, "from step", done, "to", args.steps, f"{sum(q.numel() for q in model.parameters()):,} parameters,",
          f"{sum(q.numel() for _, q in named):,} trained", flush=True)
    context = mp.get_context("fork")
    jobs = [context.Process(target=worker, args=(r, opt, model, heads, args, stage, done, path)) for r in range(args.world)]
    for j in jobs:
        j.start()
    with open(os.path.join(args.runs, "pids"), "w", encoding="utf-8") as f:
        f.write("".join(f"{q}\n" for q in [os.getpid(), *(j.pid for j in jobs)]))
    signal.signal(signal.SIGTERM, lambda *_: opt.flags.__setitem__(0, 1))
    while any(j.is_alive() for j in jobs):
        time.sleep(1)
        if any(j.exitcode not in (None, 0) for j in jobs):
            for j in jobs:
                j.kill()
            sys.exit("a process failed")


if __name__ == "__main__":
    main()
