# SPDX-License-Identifier: Apache-2.0
"""Two or more processes on one machine train one model: parameters and gradients lie in shared memory, each process
owns some tensors and updates them. Muon for the hidden matrices, AdamW for the rest; an average of the weights."""
import math

import torch
import torch.multiprocessing as mp


def orthogonalise(g, steps=5):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (g / (g.norm() + 1e-7)).bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.t()
    for _ in range(steps):
        s = x @ x.t()
        x = a * x + (b * s + c * (s @ s)) @ x
    return (x.t() if tall else x).float()


class Shared:
    def __init__(self, named, world, rate=lambda name: 1.):
        """named: [(name, parameter)] to train; rate: factor of the learning rate by name"""
        self.world = world
        self.names, self.ps = [n for n, _ in named], [p for _, p in named]
        size = sum(p.numel() for p in self.ps)
        self.p, self.m, self.v, self.ema = (torch.zeros(size).share_memory_() for _ in range(4))
        self.g = [torch.zeros(size).share_memory_() for _ in range(world)]
        self.norm, self.flags = torch.zeros(world).share_memory_(), torch.zeros(2).share_memory_()
        self.barrier = mp.Barrier(world)
        self.off, self.muon, self.rate, cost, o = [], [], [rate(n) for n in self.names], [], 0
        for n, p in zip(self.names, self.ps):
            k = p.numel()
            self.p[o:o + k] = p.data.reshape(-1)
            p.data = self.p[o:o + k].view(p.shape)
            self.off.append(o)
            muon = p.dim() == 2 and not n.startswith("heads.") and not any(
                t in n for t in ("embed_tokens", "lm_head", "mlp.gate.weight"))
            self.muon.append(muon)
            cost.append(k * (60 + min(p.shape)) if muon else k * 100)
            o += k
        self.ema.copy_(self.p)
        self.owner, load = [0] * len(cost), [0] * world
        for i in sorted(range(len(cost)), key=lambda i: -cost[i]):
            self.owner[i] = load.index(min(load))
            load[self.owner[i]] += cost[i]
        self.t = 0

    def state(self):
        def cut(flat):
            return {n: flat[o:o + p.numel()].view(p.shape).clone() for n, p, o in zip(self.names, self.ps, self.off)}
        return dict(t=self.t, m=cut(self.m), v=cut(self.v), ema=cut(self.ema))

    def load(self, state, moments=True):
        for n, p, o in zip(self.names, self.ps, self.off):
            for key, flat in (("m", self.m), ("v", self.v), ("ema", self.ema)):
                if n in state[key] and state[key][n].shape == p.shape and (moments or key == "ema"):
                    flat[o:o + p.numel()] = state[key][n].reshape(-1)
        self.t = state["t"] if moments else 0

    def attach(self, rank):
        self.rank = rank
        for p, o in zip(self.ps, self.off):
            p.grad = self.g[rank][o:o + p.numel()].view(p.shape)
        self.mine = [i for i, w in enumerate(self.owner) if w == rank]

    def step(self, lr, betas=(.9, .98), momentum=.95, decay=.01, clip=1., average=.999):
        self.barrier.wait()
        total, grads = 0., {}
        for i in self.mine:
            o, k = self.off[i], self.ps[i].numel()
            g = self.g[0][o:o + k]
            for w in range(1, self.world):
                g += self.g[w][o:o + k]
            g /= self.world
            total += float(g.dot(g))
            grads[i] = g
        self.norm[self.rank] = total
        self.barrier.wait()
        norm = float(self.norm.sum()) ** .5
        self.t += 1
        if math.isfinite(norm):
            scale = min(1., clip / (norm + 1e-9))
            keep = min(average, (1 + self.t) / (10 + self.t))
            for i in self.mine:
                g, o, shape = grads[i], self.off[i], self.ps[i].shape
                k, rate = g.numel(), lr * self.rate[i]
                m, v, p = self.m[o:o + k], self.v[o:o + k], self.p[o:o + k]
                if self.muon[i]:
                    m.mul_(momentum).add_(g, alpha=1 - momentum)
                    u = g.lerp(m, momentum).view(shape)
                    if float(u.abs().max()) > 1e-12:
                        parts = u.chunk(3, 0) if "qkv" in self.names[i] else [u]
                        u = torch.cat([orthogonalise(q) * (.8 * max(q.shape) ** .5) for q in parts]).reshape(-1)
                        p.mul_(1 - rate * decay).add_(u, alpha=-rate)
                else:
                    g = g * scale
                    m.mul_(betas[0]).add_(g, alpha=1 - betas[0])
                    v.mul_(betas[1]).addcmul_(g, g, value=1 - betas[1])
                    u = (m / (1 - betas[0] ** self.t)) / ((v / (1 - betas[1] ** self.t)).sqrt_() + 1e-8)
                    if len(shape) > 1:
                        p.mul_(1 - rate * decay)
                    p.add_(u, alpha=-rate)
                self.ema[o:o + k].lerp_(p, 1 - keep)
        self.barrier.wait()
        self.g[self.rank].zero_()
        return norm
