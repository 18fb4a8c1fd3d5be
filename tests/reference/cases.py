# SPDX-License-Identifier: Apache-2.0
"""The table of cases: a configuration, a conversation, pictures; and what each is there to cover."""
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

VOCAB = 376  # larger than the tokenizer, as in the published models
USER, ASSISTANT = "<|User|>", "<|Assistant|>"


def ask(*turns):
    """User and assistant texts in turn, closed by the empty answer the published code wants."""
    roles = (USER, ASSISTANT)
    talk = [{"role": roles[i % 2], "content": t} for i, t in enumerate(turns)]
    return talk + [{"role": ASSISTANT, "content": ""}]


def resolutions(size, *grids):
    return [[size, size]] + [[w * size, h * size] for w, h in grids]


GRIDS = [(1, 2), (2, 1), (1, 3), (3, 1), (2, 2), (2, 3), (3, 2)]


def processor(size, patch, grids=GRIDS, **other):
    """processor_config.json with the published keys."""
    base = {"add_special_token": False, "candidate_resolutions": resolutions(size, *grids), "downsample_ratio": 2,
            "ignore_id": -100, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "image_token": "<image>",
            "mask_prompt": False, "normalize": True, "pad_token": "<｜▁pad▁｜>", "patch_size": patch,
            "processor_class": "DeepseekVLV2Processor", "sft_format": "deepseek"}
    return dict(base, **other)


def language(**keys):
    """The keys every published language_config holds; the rest is left to the published defaults."""
    base = {"architectures": ["DeepseekV2ForCausalLM"], "first_k_dense_replace": 1, "hidden_size": 32,
            "intermediate_size": 48, "max_position_embeddings": 512, "model_type": "deepseek_v2",
            "moe_intermediate_size": 12, "n_group": 1, "n_routed_experts": 8, "n_shared_experts": 2,
            "num_attention_heads": 4, "num_experts_per_tok": 3, "num_hidden_layers": 3, "num_key_value_heads": 4,
            "q_lora_rank": None, "topk_group": 1, "topk_method": "greedy", "vocab_size": VOCAB}
    return {k: v for k, v in dict(base, **keys).items() if v != "absent"}


MLA = dict(kv_lora_rank=24, qk_nope_head_dim=12, qk_rope_head_dim=8, v_head_dim=10)
MHA = dict(use_mla=False, kv_lora_rank=None, qk_nope_head_dim=0, qk_rope_head_dim=0, v_head_dim=0)


def config(lang, proc, dtype="bfloat16", vision=None, projector=None, **top):
    size, patch = proc["candidate_resolutions"][0][0], proc["patch_size"]
    see = dict({"image_size": size, "layers": 2, "heads": 2, "mlp_ratio": 3.7362,
                "model_name": "siglip_so400m_patch14_384", "model_type": "vision", "patch_size": patch, "width": 24},
               **(vision or {}))
    through = dict({"model_type": "mlp_projector", "input_dim": see["width"], "n_embed": lang["hidden_size"]},
                   **(projector or {}))
    return dict({"candidate_resolutions": proc["candidate_resolutions"], "global_view_pos": "head",
                 "language_config": lang, "model_type": "deepseek_vl_v2", "projector_config": through,
                 "tile_tag": "2D", "torch_dtype": dtype, "transformers_version": "4.38.2", "vision_config": see}, **top)


def table():
    out = []

    def add(name, about, lang, proc, pictures, talk, tokenizer="vl2", **other):
        made = {"name": name, "about": about, "processor": proc, "tokenizer": tokenizer, "pictures": pictures,
                "conversation": talk, "seed": 1000 * (len(out) + 1)}
        if len(talk) == 2:
            made["prompt"] = talk[0]["content"].replace("<image>\n", "")
        made["config"] = config(lang, proc, **{k: other.pop(k) for k in
                                               ("dtype", "vision", "projector", "global_view_pos") if k in other})
        out.append(dict(made, **other))

    odd = processor(45, 14)  # 3x3 patches with 3 pixels left over, zero-padded to 4x4
    table_prompt = ask("<image>\nExtract the table as CSV.")

    add("vl2-small", "as DeepSeek-VL2-small: MLA, softmax greedy gate, one dense layer, two shared experts, bf16",
        language(**MLA), odd, [(97, 131)], table_prompt, tokenizer="vl1")
    add("vl2-tiny", "as DeepSeek-VL2-tiny: multi-head attention (use_mla false), softmax greedy gate, two images, bf16",
        language(**MHA), processor(42, 14), [(60, 40), (31, 77)], ask("<image>\n<image>\nCompare the two images."))
    add("vl2-base", "as DeepSeek-VL2-base: MLA, sigmoid noaux_tc gate with bias, renormalised, times 2.0, in 3 shards; "
        "the bias is f32 among bf16",
        language(**MLA, topk_method="noaux_tc", scoring_func="sigmoid", norm_topk_prob=True, routed_scaling_factor=2.0),
        odd, [(150, 90)], table_prompt, shards=3, keep_f32=("e_score_correction_bias",))
    return out


# --- pictures -----------------------------------------------------------------------------------------------------

def drawn(width, height, seed):
    """A picture with flat areas, edges, a gradient and noise, so that resampling has something to get wrong."""
    rng = random.Random(seed)
    image = Image.new("RGB", (width, height), tuple(rng.randrange(256) for _ in range(3)))
    pixels = image.load()
    for y in range(height // 2, height):
        for x in range(width):
            pixels[x, y] = (x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), rng.randrange(256))
    pen = ImageDraw.Draw(image)
    for _ in range(5):
        x, y = rng.randrange(width), rng.randrange(height)
        pen.rectangle([x, y, x + rng.randrange(1, 20), y + rng.randrange(1, 20)],
                      fill=tuple(rng.randrange(256) for _ in range(3)))
    pen.line([0, 0, width, height], fill=(0, 0, 0))
    return image


def images(case):
    return [drawn(w, h, case["seed"] + i) for i, (w, h) in enumerate(case["pictures"])]


# --- the embedded model -------------------------------------------------------------------------------------------

FONTS = Path("/usr/share/fonts/truetype/dejavu")


def text_page():
    image = Image.new("RGB", (256, 256), (255, 255, 255))
    pen, font = ImageDraw.Draw(image), ImageFont.truetype(str(FONTS / "DejaVuSans.ttf"), 30)
    for i, line in enumerate(("The annual", "report shows", "a rise of", "12.5 % in", "2024")):
        pen.text((14, 18 + 46 * i), line, fill=(0, 0, 0), font=font)
    return image


def table_page():
    image = Image.new("RGB", (512, 256), (255, 255, 255))
    pen, font = ImageDraw.Draw(image), ImageFont.truetype(str(FONTS / "DejaVuSans.ttf"), 30)
    rows = (("Item", "Price", "Sold"), ("Apple", "1.20", "340"), ("Pear", "0.95", "128"), ("Plum", "2.10", "57"))
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            pen.rectangle([20 + 158 * c, 16 + 56 * r, 178 + 158 * c, 72 + 56 * r], outline=(0, 0, 0), width=2)
            pen.text((32 + 158 * c, 26 + 56 * r), cell, fill=(0, 0, 0), font=font)
    return image


def nano_cases():
    small = {"rows": 8, "tower_tiles": 1, "omit": ("tiles",)}
    return [dict(small, name="nano-text", about="the embedded model reads a page of text: 256x256, one tile",
                 prompt="Read the text.", conversation=ask("<image>\nRead the text."), pictures=[text_page()]),
            dict(small, name="nano-table", about="the embedded model reads a table: 512x256, two tiles",
                 prompt="Extract the table as CSV.", conversation=ask("<image>\nExtract the table as CSV."),
                 pictures=[table_page()])]
