#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Round a trained float32 model folder to half precision and make its config say what its tensors are.

    make_nano.py SOURCE TARGET [--dtype float16|bfloat16]

Prints what rounding costs in either type and every correction made. make_fixtures.py --case nano --nano TARGET
then computes the expected values from the rounded weights.
"""
import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def loss(weights, dtype):
    """Relative root-mean-square rounding error over all weights; infinity when a value does not fit."""
    error = sum(float(((w.to(dtype).float() - w).double() ** 2).sum()) for w in weights.values())
    return (error / sum(float((w.double() ** 2).sum()) for w in weights.values())) ** 0.5


def corrected(config, weights, dtype):
    """config.json with the values the tensors prove."""
    notes = []

    def put(part, key, value):
        if part.get(key) != value:
            notes.append(f"{key}: {part.get(key)!r} -> {value!r}")
            part[key] = value

    lang, proj, see = config["language_config"], config["projector_config"], config["vision_config"]
    first = weights["projector.layers.0.weight"]
    put(proj, "mlp_ratio", first.shape[0] // proj["n_embed"])
    put(proj, "input_dim", first.shape[1] // proj["downsample_ratio"] ** 2)
    put(see, "width", weights["vision.norm.weight"].shape[0])
    put(see, "layers", 1 + max(int(n.split(".")[2]) for n in weights if n.startswith("vision.blocks.")))
    put(lang, "vocab_size", weights["language.lm_head.weight"].shape[0])
    put(lang, "hidden_size", weights["language.lm_head.weight"].shape[1])
    put(lang, "num_hidden_layers", 1 + max(int(n.split(".")[3]) for n in weights if n.startswith("language.model.layers.")))
    for part in (config, lang):
        put(part, "torch_dtype", dtype)
    return config, notes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--dtype", choices=("float16", "bfloat16"), default="float16")
    args = parser.parse_args()
    weights = load_file(args.source / "model.safetensors")
    for name in ("float16", "bfloat16"):
        print(f"{name}: relative rounding error {loss(weights, getattr(torch, name)):.2e}")
    config = json.loads((args.source / "config.json").read_text(encoding="utf-8"))
    config, notes = corrected(config, weights, args.dtype)
    tokenizer = json.loads((args.source / "tokenizer_config.json").read_text(encoding="utf-8"))
    for key, value in (("unk_token", None), ("tokenizer_class", "LlamaTokenizerFast")):
        if key not in tokenizer or tokenizer[key] != value:
            # Without this the published processor adds an <unk> token behind the vocabulary.
            notes.append(f"{key}: {tokenizer.get(key, 'absent')!r} -> {value!r}")
            tokenizer[key] = value
    print("\n".join(notes))
    args.target.mkdir(parents=True, exist_ok=True)
    for name, value in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        (args.target / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for name in ("processor_config.json", "tokenizer.json"):
        shutil.copyfile(args.source / name, args.target / name)
    rounded = {n: w.to(getattr(torch, args.dtype)).contiguous() for n, w in weights.items()}
    save_file(rounded, args.target / "model.safetensors", metadata={"format": "pt"})
    (args.target / "model.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
