#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the published DeepSeek-VL code, or transformers', on small models and write what it computes as fixtures.

    make_fixtures_vl.py --vl DIR [--case NAME ...]        deepseek-ai's layout (transformers 4.38.2)
    make_fixtures_vl.py --transformers [--case NAME ...]  transformers' layout (4.57.6, slow image processors)

A case is a folder as make_fixtures.py writes them. Everything is in float32 on one thread.
"""
import argparse
import contextlib
import copy
import importlib.metadata
import io
import json
import platform
from pathlib import Path

import numpy as np
import torch

import cases_vl
import make_fixtures as common
import safetensors_writer
import tiny_tokenizer

HERE = Path(__file__).resolve().parent
SPECIAL = ["<image_placeholder>"]


def random_weights(state, seed, tokens):
    rng = torch.Generator().manual_seed(seed)
    out = {}
    for name in sorted(state):
        shape = state[name].shape
        x = torch.randn(shape, generator=rng)
        if "alpha" in name:
            x = 0.7 + 0.1 * x
        elif "embed_tokens" in name:
            pass
        elif "lm_head" in name:
            x = x * (3.0 / shape[-1] ** 0.5)
            x[tokens:] = 0
        elif "pos_embed" in name or "position_embedding" in name or "rel_pos" in name:
            x = x * 0.5
        elif name.endswith("bias"):
            x = x * 0.2
        elif len(shape) == 1:
            x = 1 + 0.2 * x
        else:
            gain = 2.0 if ".mlp." in name or "aligner" in name else 1.2
            x = x * (gain / state[name][0].numel() ** 0.5)
        out[name] = x.contiguous()
    return out


def write_tokenizer(folder, case, **extra):
    tokenizer, ids = tiny_tokenizer.build("vl1", chat=SPECIAL)
    case["config"] = copy.deepcopy(case["config"])
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False) + "\n", encoding="utf-8")
    common.write_json(folder / "tokenizer_config.json", dict(tiny_tokenizer.config(), add_bos_token=True, **extra))
    return ids


def bytes_of(pixels, mean, std):
    """The picture that a processor normalised, as bytes: [3, S, S] -> [S, S, 3]."""
    x = np.asarray(pixels, dtype=np.float64).transpose(1, 2, 0) * np.array(std) + np.array(mean)
    out = np.rint(x * 255)
    assert abs(out - x * 255).max() < 1e-3 and out.min() >= 0 and out.max() <= 255
    return torch.from_numpy(out.astype(np.uint8))


def greedy(step, embed, embeds):
    """Tokens by arg max, and each one's lead. step: embeddings and cache -> logits of the last row, cache."""
    tokens, gaps, cache = [], [], None
    x = embeds[None]
    for _ in range(common.GREEDY_TOKENS):
        logits, cache = step(x, cache)
        top = logits.topk(2)
        tokens.append(int(top[1][0]))
        gaps.append(float(top[0][0] - top[0][1]))
        x = embed(torch.tensor([[tokens[-1]]]))
    return torch.tensor(tokens), torch.tensor(gaps)


# --- the original -------------------------------------------------------------------------------------------------

class Original:
    def __init__(self, models):
        self.models = models

    def write(self, folder, case, seed):
        from safetensors.torch import save_file
        ids = write_tokenizer(folder, case, processor_class="VLChatProcessor", tokenizer_class="LlamaTokenizerFast")
        common.write_json(folder / "config.json", case["config"])
        common.write_json(folder / "preprocessor_config.json", case["image"])
        common.write_json(folder / "processor_config.json", {
            "add_special_token": False, "ignore_id": -100, "image_tag": SPECIAL[0], "mask_prompt": True,
            "num_image_tokens": case["tokens"], "processor_class": "VLChatProcessor", "sft_format": "deepseek"})
        config = self.models.modeling_vlm.MultiModalityConfig(**case["config"])
        weights = random_weights(self.models.MultiModalityCausalLM(config).state_dict(), seed, ids["size"])
        dtype = common.DTYPES[case["config"]["torch_dtype"]]
        save_file({n: w.to(dtype) for n, w in weights.items()}, folder / "model.safetensors", metadata={"format": "pt"})

    def open(self, folder):
        with contextlib.redirect_stdout(io.StringIO()):
            self.processor = self.models.VLChatProcessor.from_pretrained(str(folder))
            self.model, info = self.models.MultiModalityCausalLM.from_pretrained(
                str(folder), torch_dtype=torch.float32, output_loading_info=True)
        wrong = {k: v for k, v in info.items() if v}
        assert not wrong, wrong
        self.model.eval()
        vision = self.model.vision_model
        self.hybrid = hasattr(vision, "vision_tower_low")
        self.parts = {"tower": vision.vision_tower_low if self.hybrid else vision, "projector": self.model.aligner}
        if self.hybrid:
            self.parts["high"] = vision.vision_tower_high
        self.layers, self.embed = self.model.language_model.model.layers, self.model.get_input_embeddings
        self.embed = self.model.language_model.get_input_embeddings()

    def prepare(self, case, pictures):
        batch = self.processor(conversations=copy.deepcopy(case["conversation"]), images=pictures, force_batchify=True)
        self.batch = batch.to("cpu", dtype=torch.float32)
        self.mask = batch.images_seq_mask[0]
        return batch.input_ids[0], batch.sft_format[0]

    def squares(self, pictures):
        pixels = self.processor.image_processor(pictures, return_tensors="pt").pixel_values
        return [bytes_of(p, [0] * 3, [1] * 3) for p in pixels], []

    def embeddings(self):
        return self.model.prepare_inputs_embeds(**{k: self.batch[k] for k in self.batch.keys() if k != "sft_format"})[0]

    def step(self, embeds, cache):
        out = self.model.language_model(inputs_embeds=embeds, past_key_values=cache, use_cache=True)
        self.logits = out.logits[0]
        return out.logits[0, -1], out.past_key_values


# --- transformers -------------------------------------------------------------------------------------------------

class Transformers:
    def write(self, folder, case, seed):
        import transformers
        ids = write_tokenizer(folder, case, image_token=SPECIAL[0], extra_special_tokens={"image_token": SPECIAL[0]},
                              tokenizer_class="LlamaTokenizerFast")
        case["config"]["image_token_id"] = ids["image"]
        kind = case["kind"]
        config = getattr(transformers, kind + "Config")(**copy.deepcopy(case["config"]))
        model = getattr(transformers, kind + "ForConditionalGeneration")(config)
        weights = random_weights(model.state_dict(), seed, ids["size"])
        model.load_state_dict(weights)
        model.to(torch.bfloat16).save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        image = getattr(transformers, kind + "ImageProcessor")(**case["image"])
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
        getattr(transformers, kind + "Processor")(image, tokenizer, num_image_tokens=case["tokens"]).save_pretrained(folder)
        (folder / "special_tokens_map.json").unlink(missing_ok=True)

    def open(self, folder):
        import transformers
        config = json.loads((folder / "config.json").read_text())
        kind = "DeepseekVLHybrid" if config["model_type"] == "deepseek_vl_hybrid" else "DeepseekVL"
        self.hybrid = kind == "DeepseekVLHybrid"
        image = getattr(transformers, kind + "ImageProcessor").from_pretrained(str(folder))
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
        chat = json.loads((folder / "processor_config.json").read_text())
        self.processor = getattr(transformers, kind + "Processor")(image, tokenizer,
                                                                   num_image_tokens=chat["num_image_tokens"])
        self.model, info = getattr(transformers, kind + "ForConditionalGeneration").from_pretrained(
            str(folder), dtype=torch.float32, output_loading_info=True)
        wrong = {k: v for k, v in info.items() if v}
        assert not wrong, wrong
        self.model.eval()
        inner = self.model.model
        self.parts = {"tower": inner.vision_model, "projector": inner.aligner}
        self.layers, self.embed = inner.language_model.layers, self.model.get_input_embeddings()
        if self.hybrid:
            get, seen = inner.get_high_res_image_features, self

            def keep(pixels):
                seen.high = get(pixels)
                return seen.high
            inner.get_high_res_image_features = keep

    def text(self, conversation):
        """What the chat template of the converted models makes of a conversation (cases_vl has no odd ones)."""
        system = ("You are a helpful language and vision assistant. You are able to understand the visual content that "
                  "the user provides, and assist the user with a variety of tasks using natural language.\n\n")
        out = system
        for message in conversation[:-1]:
            end = "\n\n" if message["role"] == "User" else tiny_tokenizer.EOS
            out += f"{message['role']}: {message['content'].strip()}{end}"
        return out + "Assistant:"

    def prepare(self, case, pictures):
        text = self.text(case["conversation"])
        self.batch = self.processor(text=text, images=pictures, return_tensors="pt")
        ids = self.batch["input_ids"][0]
        self.mask = ids == self.model.config.image_token_id
        return ids, text

    def squares(self, pictures):
        image = self.processor.image_processor
        out = [image(p, return_tensors="pt") for p in pictures]
        if not self.hybrid:
            return [bytes_of(o["pixel_values"][0], image.image_mean, image.image_std) for o in out], []
        return ([bytes_of(o["high_res_pixel_values"][0], image.high_res_image_mean, image.high_res_image_std) for o in out],
                [bytes_of(o["pixel_values"][0], image.image_mean, image.image_std) for o in out])

    def embeddings(self):
        inputs = {k: self.batch[k] for k in ("pixel_values", "high_res_pixel_values") if k in self.batch}
        features = self.model.model.get_image_features(**inputs)
        embeds = self.embed(self.batch["input_ids"])
        return embeds.masked_scatter(self.mask[None, :, None].expand_as(embeds), features)[0]

    def step(self, embeds, cache):
        out = self.model.model.language_model(inputs_embeds=embeds, past_key_values=cache, use_cache=True)
        self.logits = self.model.lm_head(out.last_hidden_state)[0]
        return self.logits[-1], out.past_key_values


# --- one case -----------------------------------------------------------------------------------------------------

def first(x):
    return x[0] if isinstance(x, tuple) else x.last_hidden_state if hasattr(x, "last_hidden_state") else x


def compute(side, case, pictures):
    """Every stage of the case's conversation."""
    seen, out = {}, {}

    def watch(name):
        def hook(_module, _inputs, output):
            seen.setdefault(name, []).append(first(output).detach())
        return hook

    parts = dict(side.parts, **{f"layer.{k}": m for k, m in enumerate(side.layers)})
    handles = [m.register_forward_hook(watch(n)) for n, m in parts.items()]
    with torch.no_grad():
        ids, text = side.prepare(case, pictures)
        embeds = side.embeddings()
        side.step(embeds[None], None)
    for h in handles:
        h.remove()
    if side.hybrid:
        high = seen["high"][0] if "high" in seen else side.high
        seen["high"] = [high.flatten(2).transpose(1, 2) if high.dim() == 4 else high]
    out["input_ids"], out["inputs_embeds"], out["logits"] = ids, embeds, side.logits.detach()
    for k in range(len(side.layers)):
        x = seen[f"layer.{k}"][0]
        out[f"layer.{k}"] = x[0] if x.dim() == 3 else x
    place = torch.nonzero(side.mask)[:, 0]
    squares, lows = side.squares(pictures)
    for n, picture in enumerate(pictures):
        out[f"image.{n}"] = torch.from_numpy(np.array(picture))
        out[f"tiles.{n}"] = squares[n][None]
        if lows:
            out[f"tiles_low.{n}"] = lows[n][None]
        for part in ("tower", "high", "projector"):
            if part in seen:
                out[f"{part}.{n}"] = seen[part][0][n:n + 1]
        out[f"embeddings.{n}"] = embeds[place[n * case["tokens"]:(n + 1) * case["tokens"]]]
    assert len(place) == case["tokens"] * len(pictures)
    with torch.no_grad():
        out["greedy"], out["greedy_gap"] = greedy(side.step, side.embed, embeds)
    return out, text


def make_case(side, case, root, seeds, origin):
    folder = root / case["name"]
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    tried = []
    for seed in range(case["seed"], case["seed"] + seeds):
        side.write(folder, case, seed)
        side.open(folder)
        out, text = compute(side, case, cases_vl.images(case))
        gap, variety = float(out["greedy_gap"].min()), len(set(out["greedy"].tolist()))
        tried.append((seed, gap, variety))
        if gap > common.MIN_GREEDY_GAP and variety >= 16:
            break
    else:
        raise SystemExit(f"{case['name']}: no seed is well separated: {tried}")
    pictures = cases_vl.shapes(case)
    squares, lows = side.squares(pictures)
    for n, at in enumerate(range(len(pictures)) if len(squares[0]) < 100 else (4, 6, 7)):
        out[f"shape.{n}"] = torch.from_numpy(np.array(pictures[at]))
        out[f"square.{n}"] = squares[at][None]
        if lows:
            out[f"square_low.{n}"] = lows[at][None]
    versions = {n: importlib.metadata.version(n) for n in ("torch", "transformers", "tokenizers", "numpy", "pillow")}
    versions["python"] = platform.python_version()
    about = {"case": case["name"], "description": f"{case['about']} (seed {seed})",
             "conversation": json.dumps(case["conversation"], ensure_ascii=False), "text": text, "published": origin,
             "versions": json.dumps(versions), "greedy_gap_min": f"{gap:.6g}"}
    out = common.trim(case, dict(out))
    safetensors_writer.write(folder / "expected.safetensors", {n: v.contiguous().numpy() for n, v in out.items()}, about)
    common.report(case, folder, out, gap, float("inf"), variety, {"": 0.0}, f"seed {seed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vl", type=Path, help="checkout of the published DeepSeek-VL code")
    parser.add_argument("--transformers", action="store_true", help="make the cases of transformers' layout")
    parser.add_argument("--commit", help="the checkout's commit, where it is not a git checkout")
    parser.add_argument("--case", action="append", help="only this case (may be repeated)")
    parser.add_argument("--out", type=Path, default=HERE / "fixtures")
    parser.add_argument("--seeds", type=int, default=60, help="how many seeds to try for a well separated case")
    args = parser.parse_args()
    if bool(args.vl) == args.transformers:
        parser.error("either --vl or --transformers is needed")
    torch.set_num_threads(1)
    import published
    if args.vl:
        import published_vl
        side, table = Original(published_vl.load(args.vl)), cases_vl.original()
        import deepseek_vl.models.modeling_vlm  # noqa: F401
        origin = "deepseek-ai/DeepSeek-VL " + published.commit(args.vl, args.commit)
    else:
        published._stub_torchvision()
        side, table = Transformers(), cases_vl.transformers()
        origin = "transformers " + importlib.metadata.version("transformers")
    import transformers
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for case in table:
        if not args.case or case["name"] in args.case:
            make_case(side, case, args.out, args.seeds, origin)


if __name__ == "__main__":
    main()
