#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the published DeepSeek-VL2 code on small models and write what it computes as fixtures.

    make_fixtures.py --vl2 DIR [--case NAME ...] [--nano DIR] [--list]

A case is a folder fixtures/NAME with a complete model folder of the published layout and expected.safetensors
(README.md says what it holds). The case `nano` holds no model: its expected values are from the folder --nano,
the embedded model. Everything is in float32 on one thread; the seeds make a run repeatable.
"""
import argparse
import contextlib
import copy
import importlib.metadata
import inspect
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
warnings.filterwarnings("ignore")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import save_file as save_torch  # noqa: E402

sys.path.insert(0, str(HERE.parent / "cli"))
import cases  # noqa: E402
import libmodel  # noqa: E402
import published  # noqa: E402
import safetensors_writer  # noqa: E402
import tiny_tokenizer  # noqa: E402

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
GREEDY_TOKENS = 64
MIN_GREEDY_GAP = 1e-3  # smallest top-1/top-2 logit distance over the greedy tokens
MIN_GATE_GAP = 1e-4  # smallest distance, in score, between a chosen and a refused expert


# --- the model folder ---------------------------------------------------------------------------------------------

def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def random_weights(state, seed, case):
    """Random values for a state dict's names and shapes, large enough that every part of the model speaks up."""
    rng = torch.Generator().manual_seed(seed)
    out = {}
    for name in sorted(state):
        shape = state[name].shape
        x = torch.randn(shape, generator=rng)
        if name.endswith("e_score_correction_bias"):
            x = x * case.get("bias_std", 0.2) + case.get("bias_mean", 0.0)
        elif name.endswith("gate.weight"):
            x = x * (1.5 / shape[-1] ** 0.5)
        elif name.endswith("embed_tokens.weight") or "image_newline" in name or "view_seperator" in name:
            pass
        elif name.endswith("lm_head.weight"):
            x = x * (3.0 / shape[-1] ** 0.5)
            x[case["tokenizer_size"]:] = 0  # ids without a token
        elif name.endswith("pos_embed") or name.endswith("latent"):
            x = x * 0.5
        elif "norm" in name and name.endswith("weight"):
            x = 1 + 0.2 * x
        elif name.endswith("bias"):
            x = x * 0.2
        else:
            gain = 2.0 if "experts" in name or ".mlp." in name or "projector" in name else 1.2
            x = x * (gain / state[name][0].numel() ** 0.5)
        out[name] = x.contiguous()
    return out


def write_model(models, folder, case, seed):
    """A complete model folder with random weights; returns nothing, leaves config, tokenizer, processor and weights."""
    tokenizer, ids = tiny_tokenizer.build(case["tokenizer"], bare=case.get("bare", False))
    case["tokenizer_size"] = ids["size"]
    config = copy.deepcopy(case["config"])
    config["language_config"].update(bos_token_id=ids["bos"], eos_token_id=ids["eos"])
    if case.get("set_pad"):
        config["language_config"]["pad_token_id"] = ids["pad"]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_json(folder / "processor_config.json", case["processor"])
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False) + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", tiny_tokenizer.config(case.get("bare", False) and case["tokenizer"] == "vl1"))

    vl2 = sys.modules["deepseek_vl2.models.modeling_deepseek_vl_v2"]
    model = models.DeepseekVLV2ForCausalLM(vl2.DeepseekVLV2Config(**config))
    weights = random_weights(model.state_dict(), seed, case)
    dtype = DTYPES[config["torch_dtype"]]
    keep = case.get("keep_f32", ())
    weights = {n: w if any(k in n for k in keep) else w.to(dtype) for n, w in weights.items()}
    for old in folder.glob("model*.safetensors*"):
        old.unlink()
    shards = case.get("shards", 1)
    if shards == 1:
        save_torch(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names, index = sorted(weights), {}
    for s in range(shards):
        file = f"model-{s + 1:05d}-of-{shards:05d}.safetensors"
        part = names[s * len(names) // shards:(s + 1) * len(names) // shards]
        save_torch({n: weights[n] for n in part}, folder / file, metadata={"format": "pt"})
        index.update(dict.fromkeys(part, file))
    total = sum(w.numel() * w.element_size() for w in weights.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": index})


def quantize(folder, how):
    """Quantize a case's folder in place with this project's dsvl-model; the folder that the published code then runs has
    the values that the quantized weights stand for, by dsvl-quantized(5)."""
    original, plain = libmodel.read_folder(folder), Path(tempfile.mkdtemp()) / "model"
    packed = folder.with_name(folder.name + "-packed")
    subprocess.run([HERE.parent.parent / "bin" / "dsvl-model", "quantize", "--bits", str(how["bits"]), "--group",
                    str(how["group"]), folder, packed], check=True)
    shutil.rmtree(folder)
    packed.rename(folder)
    (folder / "dsvl-hashes.txt").unlink()
    libmodel.dequantize_folder(folder, original, plain)
    return plain


# --- running the published code -----------------------------------------------------------------------------------

def open_model(models, folder):
    with contextlib.redirect_stdout(io.StringIO()):
        processor = models.DeepseekVLV2Processor.from_pretrained(str(folder))
        model, info = models.DeepseekVLV2ForCausalLM.from_pretrained(
            str(folder), torch_dtype=torch.float32, output_loading_info=True)
    wrong = {k: v for k, v in info.items() if v}
    if wrong:
        raise SystemExit(f"{folder}: the published code cannot load this model whole: {wrong}")
    return model.eval(), processor


def prepare(processor, conversation, images):
    """The processor's batch, and its tiles as the uint8 pixels it normalised."""
    tiles = []
    transform = type(processor.image_transform)
    original = transform.__call__

    def spy(self, image):
        tiles.append(np.array(image))
        return original(self, image)

    transform.__call__ = spy
    try:
        batch = processor(conversations=conversation, images=images, force_batchify=True, system_prompt="")
    finally:
        transform.__call__ = original
    return batch.to("cpu", dtype=torch.float32), tiles


@contextlib.contextmanager
def watching(modules, seen):
    """Append each named module's output to seen[name] while inside."""
    def keep(name):
        def hook(_module, _inputs, output):
            seen.setdefault(name, []).append((output[0] if isinstance(output, tuple) else output).detach())
        return hook
    handles = [m.register_forward_hook(keep(n)) for n, m in modules.items()]
    try:
        yield
    finally:
        for h in handles:
            h.remove()


class GateGap:
    """The smallest distance between the last expert chosen and the first refused, in the score that chooses."""

    def __init__(self, model):
        self.value = float("inf")
        self.handles = [m.register_forward_pre_hook(self.look) for m in model.modules()
                        if type(m).__name__ == "MoEGate"]

    def look(self, gate, inputs):
        x = inputs[0].reshape(-1, inputs[0].shape[-1]).float()
        logits = x @ gate.weight.float().T
        scores = logits.softmax(-1) if gate.scoring_func == "softmax" else logits.sigmoid()
        if gate.topk_method != "greedy":
            noaux = gate.topk_method == "noaux_tc"
            scores = scores + gate.e_score_correction_bias if noaux else scores
            groups = scores.view(len(scores), gate.n_group, -1)
            groups = groups.topk(2, -1)[0].sum(-1) if noaux else groups.amax(-1)
            self.take(groups, gate.topk_group)
            chosen = torch.zeros_like(groups).scatter_(1, groups.topk(gate.topk_group, -1)[1], 1)
            mask = chosen.repeat_interleave(scores.shape[-1] // gate.n_group, -1).bool()
            # A refused group's experts stand at exactly 0. Were one chosen, it would be by an arbitrary rule for ties:
            # such a seed shows a gap of 0 here and is passed over.
            scores = scores.masked_fill(~mask, 0.0)
        self.take(scores, gate.top_k)

    def take(self, scores, k):
        if k < scores.shape[-1]:
            top = scores.topk(k + 1, -1)[0]
            self.value = min(self.value, float((top[:, k - 1] - top[:, k]).min()))


def compute(model, processor, conversation, images):
    """Every stage of one conversation, in the model's present precision."""
    seen, out = {}, {}
    language = model.language
    batch, tiles = prepare(processor, conversation, images)
    batch.images = batch.images.to(next(model.parameters()).dtype)
    modules = {"tower": model.vision, "projector": model.projector}
    modules.update({f"layer.{k}": m for k, m in enumerate(language.model.layers)})
    with torch.no_grad(), watching(modules, seen):
        embeds = model.prepare_inputs_embeds(**batch)
        result = language(inputs_embeds=embeds, attention_mask=batch.attention_mask, use_cache=True)
    out["input_ids"] = batch.input_ids[0]
    out["inputs_embeds"] = embeds[0]
    for k in range(len(language.model.layers)):
        out[f"layer.{k}"] = seen[f"layer.{k}"][0][0]
    out["logits"] = result.logits[0]
    place = torch.nonzero(batch.images_seq_mask[0])[:, 0]
    tile, token = 0, 0
    for n, image in enumerate(images):
        wide, high = (int(v) for v in batch.images_spatial_crop[0, n])
        count = 1 + wide * high
        side = int(seen["projector"][0].shape[1] ** 0.5)
        tokens = side * (side + 1) + 1 + high * side * (wide * side + 1)
        out[f"image.{n}"] = torch.from_numpy(np.array(image))
        out[f"tiles.{n}"] = torch.from_numpy(np.stack(tiles[tile:tile + count]))
        out[f"tower.{n}"] = seen["tower"][0][tile:tile + count]
        out[f"projector.{n}"] = seen["projector"][0][tile:tile + count]
        out[f"embeddings.{n}"] = embeds[0, place[token:token + tokens]]
        tile, token = tile + count, token + tokens
    assert tile == len(tiles) and token == len(place)
    return out, batch


def greedy(model, batch, embeds):
    """64 greedy tokens by the published model's own generate(), with no end token, and each one's lead."""
    model.language.generation_config.eos_token_id = None
    with torch.no_grad():
        result = model.language.generate(
            inputs_embeds=embeds[None], attention_mask=batch.attention_mask, pad_token_id=0, bos_token_id=0,
            max_new_tokens=GREEDY_TOKENS, do_sample=False, use_cache=True,
            return_dict_in_generate=True, output_scores=True)
    tokens = result.sequences[0][-GREEDY_TOKENS:]
    assert len(result.scores) == GREEDY_TOKENS
    top = torch.stack([s[0].topk(2)[0] for s in result.scores])
    return tokens, top[:, 0] - top[:, 1]


@contextlib.contextmanager
def everything_double():
    """The published code casts to float32 in places; for the noise estimate those casts become float64."""
    saved = torch.float32, torch.Tensor.float
    torch.set_default_dtype(torch.float64)
    torch.float32, torch.Tensor.float = torch.float64, torch.Tensor.double
    try:
        yield
    finally:
        torch.float32, torch.Tensor.float = saved
        torch.set_default_dtype(torch.float32)


def noise(models, folder, conversation, images, exact):
    """max|f32 - f64| / max|f64| for each float tensor: what float32 itself costs the published code."""
    model, processor = open_model(models, folder)
    model.double()
    with everything_double():
        doubled, _ = compute(model, processor, conversation, images)
    far = {}
    for name, value in exact.items():
        if value.dtype == torch.float32:
            other = doubled[name].double()
            far[name] = float((value.double() - other).abs().max() / other.abs().max())
    return far


def trim(case, out):
    """Keep a fixture small: the last rows of a long sequence, the first tiles of a big tower."""
    rows, tiles = case.get("rows"), case.get("tower_tiles")
    for name in list(out):
        kind = name.split(".")[0]
        if kind in case.get("omit", ()):
            del out[name]
        elif kind == "logits":
            out[name] = out[name][-8:]
        elif kind in ("layer", "inputs_embeds") and rows:
            out[name] = out[name][-rows:]
        elif kind in ("tower", "projector") and tiles:
            out[name] = out[name][:tiles]
    return out


def run(models, folder, conversation, images):
    """compute, greedy and the two gaps, on freshly opened models: rotary tables keep state between calls."""
    model, processor = open_model(models, folder)
    gate = GateGap(model)
    out, batch = compute(model, processor, conversation, images)
    model, _ = open_model(models, folder)
    gate2 = GateGap(model)
    out["greedy"], out["greedy_gap"] = greedy(model, batch, out["inputs_embeds"])
    return out, min(gate.value, gate2.value)


def write_expected(models, path, case, folder, conversation, images, out, gate_gap, commit):
    far = noise(models, folder, conversation, images, {n: v for n, v in out.items() if n != "greedy_gap"})
    versions = {n: importlib.metadata.version(n) for n in
                ("torch", "transformers", "tokenizers", "timm", "numpy", "pillow")}
    versions["python"] = platform.python_version()
    worst = {}
    for name, value in far.items():
        kind = name.split(".")[0]
        worst[kind] = max(worst.get(kind, 0.0), value)
    about = {
        "case": case["name"], "description": case["about"],
        "conversation": json.dumps(conversation, ensure_ascii=False),
        "prompt": case.get("prompt", ""),
        "text": published_text(conversation),
        "published": "deepseek-ai/DeepSeek-VL2 " + commit,
        "versions": json.dumps(versions),
        "greedy_gap_min": f"{float(out['greedy_gap'].min()):.6g}",
        "gate_gap_min": f"{gate_gap:.6g}",
        "float32_noise": json.dumps({k: float(f"{v:.2g}") for k, v in worst.items()}),
    }
    out = trim(case, dict(out))
    safetensors_writer.write(path, {n: v.numpy() for n, v in out.items()}, about)
    return worst


def published_text(conversation):
    """The text the published code tokenises, image placeholders included (beginning and end tokens aside)."""
    from deepseek_vl2.models.conversation import get_conv_template
    text = ""
    for message in conversation:
        template = get_conv_template("deepseek")
        if message["role"] in ("<|User|>", "user"):
            template.append_message(template.roles[0], message["content"].strip())
            template.append_message(template.roles[1], "")
            text += template.get_prompt()
        elif message["role"] in ("<|Assistant|>", "assistant"):
            text += message["content"].strip() + tiny_tokenizer.EOS
        else:
            text += message["content"].strip()
    return text[:-len(tiny_tokenizer.EOS)]


# --- one case -----------------------------------------------------------------------------------------------------

def make_case(models, case, root, commit, seeds):
    folder = root / case["name"]
    tried = []
    for seed in range(case["seed"], case["seed"] + seeds):
        write_model(models, folder, case, seed)
        model = quantize(folder, case["quantize"]) if "quantize" in case else folder
        out, gate_gap = run(models, model, case["conversation"], cases.images(case))
        gap, variety = float(out["greedy_gap"].min()), len(set(out["greedy"].tolist()))
        tried.append((seed, gap, gate_gap, variety))
        if gap > MIN_GREEDY_GAP and gate_gap > MIN_GATE_GAP and variety >= 16:
            break
    else:
        raise SystemExit(f"{case['name']}: no seed is well separated: {tried}")
    case = dict(case, about=f"{case['about']} (seed {seed})")
    worst = write_expected(models, folder / "expected.safetensors", case, model, case["conversation"],
                           cases.images(case), out, gate_gap, commit)
    report(case, folder, out, gap, gate_gap, variety, worst, f"seed {seed}")


def make_nano(models, nano, root, commit):
    for case in cases.nano_cases():
        folder = root / case["name"]
        folder.mkdir(parents=True, exist_ok=True)
        out, gate_gap = run(models, nano, case["conversation"], case["pictures"])
        worst = write_expected(models, folder / "expected.safetensors", case, nano, case["conversation"],
                               case["pictures"], out, gate_gap, commit)
        ids = [t for t in out["greedy"].tolist()]
        ids = ids[:ids.index(257)] if 257 in ids else ids
        text = bytes(t for t in ids if t < 256).decode("utf-8", "replace")
        report(case, folder, out, float(out["greedy_gap"].min()), gate_gap, len(set(ids)), worst, repr(text))


def write_defaults(root):
    """What the published configuration classes take a missing key for: published config.json files lean on it."""
    vl2 = sys.modules["deepseek_vl2.models.modeling_deepseek_vl_v2"]
    out = {}
    for part, kind in (("language_config", vl2.DeepseekV2Config), ("vision_config", vl2.VisionEncoderConfig),
                       ("projector_config", vl2.MlpProjectorConfig)):
        own = set(inspect.signature(kind.__init__).parameters) - {"self", "kwargs"}
        out[part] = {k: getattr(kind(), k) for k in sorted(own)}
    root.mkdir(parents=True, exist_ok=True)
    write_json(root / "defaults.json", out)


def report(case, folder, out, gap, gate_gap, variety, worst, note):
    for file in folder.iterdir():
        file.chmod(0o644)  # the safetensors writer leaves 0600
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{case['name']:20s} {size // 1000:4d} kB  seq {len(out['input_ids']):4d}  greedy gap {gap:.2e}  gate gap "
          f"{gate_gap:.2e}  distinct {variety}  f32 noise {max(worst.values()):.1e}  {note}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vl2", type=Path, help="checkout of the published DeepSeek-VL2 code")
    parser.add_argument("--commit", help="its commit, where DIR is not a git checkout")
    parser.add_argument("--case", action="append", help="only this case (may be repeated; `nano` is one)")
    parser.add_argument("--nano", type=Path, default=HERE.parent.parent / "models" / "nano", help="embedded model")
    parser.add_argument("--out", type=Path, default=HERE / "fixtures")
    parser.add_argument("--seeds", type=int, default=60, help="how many seeds to try for a well separated case")
    parser.add_argument("--list", action="store_true", help="print the cases and stop")
    args = parser.parse_args()
    table = {c["name"]: c for c in cases.table()}
    if args.list:
        for case in table.values():
            print(f"{case['name']:20s} {case['about']}")
        return
    if not args.vl2:
        parser.error("--vl2 is needed")
    wanted = args.case or list(table) + ["nano"]
    unknown = [w for w in wanted if w not in table and w != "nano"]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}")
    torch.set_num_threads(1)
    models = published.load(args.vl2)
    import transformers
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    commit = published.commit(args.vl2, args.commit)
    if not args.case:
        write_defaults(args.out)
    for name in wanted:
        if name == "nano":
            make_nano(models, args.nano, args.out, commit)
        else:
            make_case(models, table[name], args.out, commit, args.seeds)


if __name__ == "__main__":
    main()
