#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prefill and decoding beside llama.cpp's family, on the decoder of DeepSeek-VL2-Small, whose shape DeepSeek-V2-Lite
has: the same precision of every tensor (groups of 32), threads and numbers of tokens, random weights, in turns in one
run. Prints tokens per second and the ratios, ours to theirs. Theirs rounds activations to 8 bits; ours prefills with as many
(--activations int8) and, which costs more, with all that an f32 holds. Decoding is with the latter.

    make && python3 tests/bench/llama_cpp.py path/to/llama-bench DIR [--bits 4|8] [--all] [--turns 3]

llama-bench is that of llama.cpp or of ik_llama.cpp (then with its run-time repacking). DIR gets both models, 9 GB each
with 4 bits and 17 GB with 8; they are made when they are not there."""
import argparse
import ctypes
import json
import os
import statistics
import struct
import subprocess
import time
from pathlib import Path

import numpy as np

TOP = Path(__file__).resolve().parents[2]
LAYERS, WIDTH, HEADS, LATENT, NOPE, ROPE, VALUE, VOCAB = 27, 2048, 16, 512, 128, 64, 128, 102400
DENSE, EXPERT, EXPERTS, PICKED, SHARED = 10944, 1408, 64, 6, 2
PROMPT, ANSWER = 512, 64
F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8  # types of tensors
BLOCK = {F32: (1, 4), F16: (1, 2), Q4_0: (32, 18), Q8_0: (32, 34)}  # values and bytes of a block


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def settings():
    """Key, value: the metadata of a GGUF file. No vocabulary: llama-bench feeds numbers."""
    whole = {"block_count": LAYERS, "context_length": 4096, "embedding_length": WIDTH, "feed_forward_length": DENSE,
             "attention.head_count": HEADS, "attention.head_count_kv": HEADS, "attention.key_length": NOPE + ROPE,
             "attention.value_length": VALUE, "attention.kv_lora_rank": LATENT, "rope.dimension_count": ROPE,
             "leading_dense_block_count": 1, "expert_count": EXPERTS, "expert_used_count": PICKED,
             "expert_shared_count": SHARED, "expert_feed_forward_length": EXPERT, "vocab_size": VOCAB}
    real = {"attention.layer_norm_rms_epsilon": 1e-6, "rope.freq_base": 10000.0, "expert_weights_scale": 1.0}
    yield from (("general.architecture", "deepseek2"), ("tokenizer.ggml.model", "no_vocab"))
    yield from ((f"deepseek2.{k}", v) for k, v in (whole | real).items())


def pack(value):
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    return struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)


def tensors(kind, kv_b):
    """Name, dimensions from the innermost on, type."""
    yield from (("token_embd", (WIDTH, VOCAB), kind), ("output_norm", (WIDTH,), F32), ("output", (WIDTH, VOCAB), kind))
    for i in range(LAYERS):
        layer = [("attn_norm", (WIDTH,), F32), ("attn_kv_a_norm", (LATENT,), F32), ("ffn_norm", (WIDTH,), F32),
                 ("attn_q", (WIDTH, HEADS * (NOPE + ROPE)), kind), ("attn_kv_a_mqa", (WIDTH, LATENT + ROPE), kind),
                 ("attn_kv_b", (LATENT, HEADS * (NOPE + VALUE)), kv_b), ("attn_output", (HEADS * VALUE, WIDTH), kind)]
        parts = [("", DENSE, ())] if i == 0 else [("_exps", EXPERT, (EXPERTS,)), ("_shexp", EXPERT * SHARED, ())]
        for name, inner, many in parts:
            layer += [(f"ffn_gate{name}", (WIDTH, inner, *many), kind), (f"ffn_up{name}", (WIDTH, inner, *many), kind),
                      (f"ffn_down{name}", (inner, WIDTH, *many), kind)]
        if i > 0:
            layer.append(("ffn_gate_inp", (WIDTH, EXPERTS), F32))
        yield from ((f"blk.{i}.{name}", shape, kind) for name, shape, kind in layer)


def pool(kind, dice):
    """Some random values in the form of the type, of the size that weights have."""
    if kind in (F32, F16):
        return dice.normal(0, 0.02, 1 << 21).astype("<f4" if kind == F32 else "<f2").tobytes()
    values, size = BLOCK[kind]
    blocks = dice.integers(0, 256, (1 << 20, size), dtype=np.uint8)
    blocks[:, :2] = np.frombuffer(np.float16(0.02 / (73 if kind == Q8_0 else 4.6)).tobytes(), np.uint8)
    return blocks.tobytes()


def write_gguf(path, kind, kv_b):
    dice, infos, sizes, at = np.random.default_rng(1), b"", [], 0
    pools = {k: pool(k, dice) for k in (F32, F16, kind)}
    for name, shape, type_ in tensors(kind, kv_b):
        values, size = BLOCK[type_]
        infos += text(f"{name}.weight") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, type_, at)
        bytes_ = int(np.prod(shape)) // values * size
        sizes.append((name, type_, bytes_))
        at += (bytes_ + 31) // 32 * 32
    pairs = list(settings())
    head = struct.pack("<IIQQ", 0x46554747, 3, len(sizes), len(pairs))
    head += b"".join(text(k) + pack(v) for k, v in pairs) + infos
    with open(f"{path}.part", "wb") as out:
        out.write(head + bytes(-len(head) % 32))
        for name, type_, bytes_ in sizes:
            if name.endswith("norm"):
                out.write(np.ones(bytes_ // 4, "<f4").tobytes())
                continue
            begin = int(dice.integers(0, 1 << 16)) * BLOCK[type_][1]
            for done in range(0, bytes_, len(pools[type_]) - begin):
                out.write(pools[type_][begin:begin + bytes_ - done])
            out.write(bytes(-bytes_ % 32))
    os.replace(f"{path}.part", path)


class Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("message", ctypes.c_char * 1016)]


class Options(ctypes.Structure):
    _fields_ = [("threads", ctypes.c_int), ("max_memory", ctypes.c_uint64), ("int8", ctypes.c_int)]


class Ours:
    """The decoder of a folder, through the public functions of lib/dsvl.h."""

    def __init__(self, folder, threads, int8=0):
        self.lib, self.error = ctypes.CDLL(TOP / "lib/libdsvl.so"), Error()
        for name in ("dsvl_model_open", "dsvl_session_new", "dsvl_session_logits"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.model = self.checked(self.lib.dsvl_model_open(str(folder).encode(), 2, ctypes.byref(Options(threads, 0, int8)),
                                                           ctypes.byref(self.error)))
        self.session = self.checked(self.lib.dsvl_session_new(self.model, PROMPT, ctypes.byref(self.error)))
        dice = np.random.default_rng(2)
        self.page = dice.normal(0, 0.02, (PROMPT, WIDTH)).astype(np.float32)
        self.ids = dice.integers(0, VOCAB, PROMPT).astype(np.int32)

    def checked(self, pointer):
        if not pointer:
            raise SystemExit(self.error.message.decode())
        return ctypes.c_void_p(pointer)

    def feed(self, what, rows):
        function = self.lib.dsvl_session_feed_tokens if what.dtype == np.int32 else self.lib.dsvl_session_feed_embeddings
        if function(self.session, what.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(rows), ctypes.byref(self.error)):
            raise SystemExit(self.error.message.decode())
        size = ctypes.c_size_t()
        self.checked(self.lib.dsvl_session_logits(self.session, ctypes.byref(size)))

    def prefill(self):
        """A page's embeddings: tokens per second."""
        self.lib.dsvl_session_truncate(self.session, ctypes.c_size_t(0))
        begun = time.perf_counter()
        self.feed(self.page, PROMPT)
        return PROMPT / (time.perf_counter() - begun)

    def decode(self):
        self.lib.dsvl_session_truncate(self.session, ctypes.c_size_t(0))
        begun = time.perf_counter()
        for i in range(ANSWER):
            self.feed(self.ids[i:i + 1], 1)
        return ANSWER / (time.perf_counter() - begun)

    def close(self):
        self.lib.dsvl_session_free(self.session)
        self.lib.dsvl_model_close(self.model)


def ours(folder, threads):
    """Prefill with activations of 8 bits and of 32, decoding."""
    speed = []
    for int8 in (1, 0):
        o = Ours(folder, threads, int8)
        if int8:
            o.prefill()  # brings the weights to memory
        speed.append(o.prefill())
        if not int8:
            speed.append(o.decode())
        o.close()
    return speed


def theirs(program, model, threads):
    """The same of llama-bench, which warms up too."""
    command = [program, "-m", model, "-t", threads, "-p", PROMPT, "-n", ANSWER, "-r", 1, "-fa", 1, "-o", "json"]
    usage = subprocess.run([program, "--help"], capture_output=True, text=True).stdout
    if "-rtr" in usage:
        command += ["-rtr", 1, "-mla", 3, "-fmoe", 1]
    run = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"llama-bench failed: {run.stderr[-2000:]}")
    speed = {bool(r["n_gen"]): r["avg_ts"] for r in json.loads(run.stdout[run.stdout.index("["):])}
    return speed[False], speed[False], speed[True]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="llama-bench")
    parser.add_argument("dir", type=Path)
    parser.add_argument("--bits", type=int, choices=(4, 8), default=4)
    parser.add_argument("--all", action="store_true", help="theirs has kv_b quantized too; ours never has")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    kind, folder = Q4_0 if args.bits == 4 else Q8_0, args.dir / f"int{args.bits}"
    gguf = args.dir / f"int{args.bits}{'-all' if args.all else ''}.gguf"
    args.dir.mkdir(parents=True, exist_ok=True)
    if not gguf.exists():
        write_gguf(gguf, kind, kind if args.all else F16)
    if not folder.exists():
        subprocess.run([TOP / "bin/dsvl-model", "synth", "--quiet", "--release", "deepseek-vl2-small", "--bits",
                        str(args.bits), "--group", "32", folder], check=True)
    turns = []
    for _ in range(args.turns):
        turns.append((ours(folder, args.threads), theirs(args.program, gguf, args.threads)))
    print(f"weights of {args.bits} bits, {args.threads} threads")
    for i, what in enumerate((f"prefill of {PROMPT} tokens, activations of 8 bits", "the same, activations of 32 bits",
                              f"decoding {ANSWER} tokens")):
        ratios = sorted(a[i] / b[i] for a, b in turns)
        print(f"{what}: {statistics.median(a[i] for a, _ in turns):.2f} against "
              f"{statistics.median(b[i] for _, b in turns):.2f} tokens/s; ratio {statistics.median(ratios):.2f} "
              f"({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
