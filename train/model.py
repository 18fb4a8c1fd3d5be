# SPDX-License-Identifier: Apache-2.0
"""DeepSeek-VL2 as published (SigLIP tower, 2x2 unfold and MLP projector, tile mosaic, DeepSeek-V2 decoder with MLA and
MoE), small, with the published names of its tensors; plus the heads that exist only in training."""
import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from gen import CLASS, SLOTS

BOS, EOS, PAD, IMAGE, REF, REF_END, DET, DET_END, GROUNDING, USER, ASSISTANT = range(256, 267)
CLASSES = len(CLASS) + 1
ROWS, COLUMNS = 40, 72  # of the heads that name a token's place; a tile uses 8 and 9


@dataclass
class Config:
    tile: int = 256
    patch: int = 16
    vision_width: int = 192
    vision_layers: int = 6
    vision_heads: int = 3
    projector_ratio: int = 4
    width: int = 256
    layers: int = 4
    heads: int = 4
    nope: int = 64
    rope: int = 32
    value: int = 64
    latent: int = 192
    dense_mlp: int = 640
    expert_mlp: int = 128
    experts: int = 8
    active: int = 2
    shared: int = 2
    eps: float = 1e-6
    theta: float = 10000.
    vocab: int = 267

    as_dict = asdict


def attend(q, k, v, mask=None):
    """softmax(q k' / sqrt(d)) v; mask is added to the scores. In bfloat16 plain products are half as fast again as
    PyTorch's fused attention on CPUs, in float32 the fused one is faster."""
    if not torch.is_autocast_enabled("cpu"):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    s = q * q.shape[-1] ** -.5 @ k.transpose(-2, -1)
    return (s if mask is None else s + mask).softmax(-1) @ v


class VisionAttention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(attend(q, k, v).transpose(1, 2).reshape(b, n, d))


class VisionMLP(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class VisionBlock(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(d, eps=1e-6), VisionAttention(d, heads)
        self.norm2, self.mlp = nn.LayerNorm(d, eps=1e-6), VisionMLP(d)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.proj = nn.Conv2d(3, d, p, p)


class Vision(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, n, d = c, c.tile // c.patch, c.vision_width
        self.patch_embed = PatchEmbed(d, c.patch)
        self.pos_embed = nn.Parameter(torch.zeros(1, n * n, d))
        self.blocks = nn.Sequential(*[VisionBlock(d, c.vision_heads) for _ in range(c.vision_layers)])
        self.norm = nn.LayerNorm(d, eps=1e-6)

    def forward(self, x):
        """x: grey tiles [B, tile, tile] in [-1, 1], standing for three equal channels"""
        c = self.c
        n, p = c.tile // c.patch, c.patch
        x = x.view(-1, n, p, n, p).transpose(2, 3).reshape(-1, n * n, p * p)
        w = self.patch_embed.proj.weight.sum(1).view(c.vision_width, -1)
        return self.norm(self.blocks(F.linear(x, w, self.patch_embed.proj.bias) + self.pos_embed))


class Projector(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c.width * c.projector_ratio
        self.layers = nn.Sequential(nn.Linear(c.vision_width * 4, d), nn.GELU(), nn.Linear(d, c.width))

    def forward(self, x):
        b, n, d = x.shape
        s = math.isqrt(n)  # the order of F.unfold: channel, then row, then column of the 2x2
        x = x.view(b, s // 2, 2, s // 2, 2, d).permute(0, 1, 3, 5, 2, 4).reshape(b, n // 4, d * 4)
        return self.layers(x)


class RMSNorm(nn.Module):
    def __init__(self, d, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(d)), eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def _rope(c, n, cache={}):  # noqa: B006 (it is one cache)
    if n not in cache:
        f = torch.outer(torch.arange(n).float(), 1 / c.theta ** (torch.arange(0, c.rope, 2).float() / c.rope))
        f = torch.cat((f, f), -1)
        cache[n] = f.cos(), f.sin()
    return cache[n]


def _rotate(x, cos, sin):
    b, h, n, d = x.shape
    x = x.view(b, h, n, d // 2, 2).transpose(4, 3).reshape(b, h, n, d)
    return x * cos + torch.cat((-x[..., d // 2:], x[..., :d // 2]), -1) * sin


class Attention(nn.Module):
    """Multi-head latent attention."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.q_proj = nn.Linear(c.width, c.heads * (c.nope + c.rope), bias=False)
        self.kv_a_proj_with_mqa = nn.Linear(c.width, c.latent + c.rope, bias=False)
        self.kv_a_layernorm = RMSNorm(c.latent, c.eps)
        self.kv_b_proj = nn.Linear(c.latent, c.heads * (c.nope + c.value), bias=False)
        self.o_proj = nn.Linear(c.heads * c.value, c.width, bias=False)

    def forward(self, x, start=0, cache=None, past=0, probe=None):
        """Queries only from start on. probe: [(heads, sample, query, key)] index tensors; returns for each the mean
        of -log attention from query to key."""
        c = self.c
        b, n, _ = x.shape
        m, total = n - start, past + n
        cos, sin = _rope(c, 8192)
        qn, qp = self.q_proj(x[:, start:]).view(b, m, c.heads, -1).transpose(1, 2).split([c.nope, c.rope], -1)
        latent, kp = self.kv_a_proj_with_mqa(x).split([c.latent, c.rope], -1)
        latent = self.kv_a_layernorm(latent.float())
        qp = _rotate(qp, cos[past + start:total], sin[past + start:total])
        kp = _rotate(kp[:, None], cos[past:total], sin[past:total])
        if cache is not None:
            if cache:
                latent, kp = torch.cat([cache[0], latent], 1), torch.cat([cache[1], kp], 2)
            cache[:] = [latent, kp]
        kn, v = self.kv_b_proj(latent).view(b, total, c.heads, -1).transpose(1, 2).split([c.nope, c.value], -1)
        k, q = torch.cat([kn, kp.expand(b, c.heads, total, c.rope)], -1), torch.cat([qn, qp], -1)
        mask = torch.full((m, total), float("-inf"), dtype=v.dtype).triu_(past + start + 1) if m > 1 else None
        if torch.is_autocast_enabled("cpu"):
            o = attend(q.to(v.dtype), k.to(v.dtype), v, mask)
        else:  # PyTorch's fast attention wants values as wide as keys
            o = attend(q, k, F.pad(v, (0, c.nope + c.rope - c.value)), mask)[..., :c.value]
        losses = []
        for heads, who, query, key in probe or ():
            heads, loss = torch.tensor(heads), 0.
            for i in who.unique().tolist():
                rows = who == i
                at, to = query[rows], key[rows]
                a = q[i, heads][:, at - start - past] @ k[i, heads].transpose(-2, -1) * (c.nope + c.rope) ** -.5
                a = a.float().masked_fill(torch.arange(total) > at[:, None], float("-inf")).log_softmax(-1)
                loss = loss - a[:, torch.arange(len(at)), to].sum()
            losses.append(loss / max(1, len(who) * len(heads)))
        return self.o_proj(o.transpose(1, 2).reshape(b, m, -1)), losses


class MLP(nn.Module):
    def __init__(self, d, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(d, hidden, bias=False), nn.Linear(d, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, d, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Gate(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c.experts, c.width) * .02)


class MoE(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, self.gate = c, Gate(c)
        self.experts = nn.ModuleList([MLP(c.width, c.expert_mlp) for _ in range(c.experts)])
        self.shared_experts = MLP(c.width, c.expert_mlp * c.shared)
        self.balance = 0.

    def forward(self, x):
        c, f = self.c, x.reshape(-1, x.shape[-1])
        with torch.autocast("cpu", enabled=False):
            p = F.linear(f.float(), self.gate.weight).softmax(-1)
        w, e = p.topk(c.active, -1, sorted=False)
        e = e.view(-1)
        order, count = e.argsort(), torch.bincount(e, minlength=c.experts)
        rows = order // c.active
        if self.training:
            self.balance = (count.float() / e.numel() * p.mean(0)).sum() * c.experts
        parts = f[rows].split(count.tolist())
        y = torch.cat([m(t) for m, t in zip(self.experts, parts) if len(t)]) * w.view(-1)[order][:, None]
        return (torch.zeros_like(f).index_add(0, rows, y.to(f.dtype)) + self.shared_experts(f)).view(x.shape)


class Layer(nn.Module):
    def __init__(self, c, i):
        super().__init__()
        self.self_attn = Attention(c)
        self.mlp = MoE(c) if i else MLP(c.width, c.dense_mlp)
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(c.width, c.eps), RMSNorm(c.width, c.eps)

    def forward(self, x, start=0, cache=None, past=0, probe=None):
        o, a = self.self_attn(self.input_layernorm(x), start, cache, past, probe)
        x = x[:, start:] + o
        return x + self.mlp(self.post_attention_layernorm(x)), a


class VL2(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.vision, self.projector = Vision(c), Projector(c)
        self.image_newline = nn.Parameter(torch.randn(c.width))
        self.view_seperator = nn.Parameter(torch.randn(c.width))
        self.language = nn.Module()
        self.language.model = m = nn.Module()
        m.embed_tokens = nn.Embedding(c.vocab, c.width)
        m.layers = nn.ModuleList([Layer(c, i) for i in range(c.layers)])
        m.norm = RMSNorm(c.width, c.eps)
        self.language.lm_head = nn.Linear(c.width, c.vocab, bias=False)
        self.initialise()

    @torch.no_grad()
    def initialise(self):
        c = self.c
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                p.zero_()
            elif p.dim() >= 2 and "pos_embed" not in name and "gate.weight" not in name:
                std = .8 / p[0].numel() ** .5
                if name.endswith(("attn.proj.weight", "fc2.weight", "o_proj.weight", "down_proj.weight")):
                    std /= (2 * (c.vision_layers if "vision" in name else c.layers)) ** .5
                p.normal_(std=std)
        self.language.model.embed_tokens.weight.normal_(std=1.)
        # sine-cosine positions to start from, and keys near queries, so that attention begins local
        n, d = c.tile // c.patch, c.vision_width // 4
        f = 1 / 200 ** (torch.arange(d) / d)
        y, x = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
        pe = [g(v.reshape(-1, 1) * f) for v in (x, y) for g in (torch.sin, torch.cos)]
        self.vision.pos_embed[0] = torch.cat(pe, 1) * .6
        for b in self.vision.blocks:
            w, d = b.attn.qkv.weight, c.vision_width
            w[:d] *= 1.1
            w[d:2 * d] = w[:d] + .3 * w[d:2 * d]

    def mosaic(self, e):
        """e [B, n*n, width], an image of one tile, whose two views are the same -> its embeddings [B, m, width]"""
        b, hw, d = e.shape
        h, nl = math.isqrt(hw), self.image_newline
        view = torch.cat([e.view(b, h, h, d), nl.expand(b, h, 1, d)], 2).reshape(b, -1, d)
        return torch.cat([view, self.view_seperator.expand(b, 1, d), view], 1)

    def decode(self, x, start=0, caches=None, past=0, probes=None):
        """Logits from position start on; and the probes' losses by layer, and the layers' outputs."""
        losses, hidden, layers = [], [], self.language.model.layers
        for i, layer in enumerate(layers):
            x, a = layer(x, start if i == len(layers) - 1 else 0, caches[i] if caches is not None else None, past,
                         probes and probes[i])
            losses.append(a)
            hidden.append(x)
        return self.language.lm_head(self.language.model.norm(x)), losses, hidden


class Heads(nn.Module):
    """What supervision reads out in training; not exported."""

    def __init__(self, c):
        super().__init__()
        self.dense = nn.Linear(c.vision_width, SLOTS * CLASSES)  # characters of a patch, from the tower
        self.patch = nn.Linear(c.width, 4 * SLOTS * CLASSES)     # the same of a 2x2, from the projector
        self.here, self.next = nn.Linear(c.width, 12), nn.Linear(c.width, 12)  # place inside the token
        self.row, self.column = nn.Linear(c.width, ROWS), nn.Linear(c.width, COLUMNS)  # of the token, in the mosaic
        nn.init.normal_(self.dense.weight, std=.02)


def prompt_ids(prompt):
    """What follows the image's embeddings."""
    return list(("\n" + prompt + "\n\n").encode()) + [ASSISTANT] + list(b":")


PREFIX = [BOS, USER] + list(b": ")


def answer_ids(s, at=None):
    """Token ids of an answer, and the place of each."""
    ids, places = [], []
    for i, c in enumerate(s):
        t = list(c.encode())
        ids += t
        places += [at[i] if at else None] * len(t)
    return ids + [EOS], places + [None]


def ids_text(ids):
    """The other way round; special tokens have no text."""
    return bytes(i for i in ids if i < 256).decode("utf-8", "replace")
