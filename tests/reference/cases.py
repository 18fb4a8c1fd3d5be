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
        language(**MLA), odd, [(97, 131)], table_prompt, tokenizer="vl1", bare=True)
    add("vl2-tiny", "as DeepSeek-VL2-tiny: multi-head attention (use_mla false), softmax greedy gate, two images, bf16",
        language(**MHA), processor(42, 14), [(60, 40), (31, 77)], ask("<image>\n<image>\nCompare the two images."),
        bare=True)
    add("vl2-base", "as DeepSeek-VL2-base: MLA, sigmoid noaux_tc gate with bias, renormalised, times 2.0, in 3 shards; "
        "the bias is f32 among bf16",
        language(**MLA, topk_method="noaux_tc", scoring_func="sigmoid", norm_topk_prob=True, routed_scaling_factor=2.0),
        odd, [(150, 90)], table_prompt, shards=3, keep_f32=("e_score_correction_bias",), bare=True)

    # The branches, one or a few a case, on smaller models.
    plain = {"vision": {"width": 16, "layers": 1, "global_pool": ""}}
    even = processor(14, 7)  # 2x2 patches, one token a tile

    def small(**keys):
        return language(**dict(dict(hidden_size=24, intermediate_size=32, moe_intermediate_size=10, n_routed_experts=6,
                                    num_experts_per_tok=2, num_hidden_layers=2), **keys))

    add("three-images", "three images: none is cut into tiles, each has a global view and an equal local one",
        small(**MLA), odd, [(40, 30), (75, 20), (20, 110)],
        ask("This is image_1: <image>\nThis is image_2: <image>\nThis is image_3: <image>\nCompare the images."), **plain)
    add("text-only", "no image; no routed experts, thus dense layers only",
        small(**MLA, n_routed_experts=None, n_shared_experts=None), odd, [], ask("What is in the picture?"),
        dtype="float16", **plain)
    add("chat", "a system message, two rounds, an image in each; the answer already given ends with the end token",
        small(**MLA), even, [(60, 30), (30, 90)],
        [{"role": "system", "content": "Answer in one word. "}] +
        ask("<image>\nRead the text. ", " The total.\n", "<image>\nAnd in this image, 12 345?"),
        tokenizer="vl1", **plain)
    add("tail", "global_view_pos tail, six tiles, another mean and deviation",
        small(**MLA), processor(21, 7, image_mean=[0.48145466, 0.4578275, 0.40821073],
                               image_std=[0.26862954, 0.26130258, 0.27577711]), [(90, 60)], table_prompt,
        dtype="float32", global_view_pos="tail", **plain)
    add("mha-gqa", "multi-head attention with two heads for keys and values, biases, one expert a token",
        small(**dict(MHA, num_key_value_heads=2), attention_bias=True, num_experts_per_tok=1, norm_topk_prob=True,
              routed_scaling_factor=1.5, n_shared_experts=1), even, [(50, 70)], table_prompt, dtype="float16", **plain)
    add("q-lora", "MLA with a low-rank query, biases; rms_norm_eps of 0.01, which the inner norms must not take up",
        small(**MLA, q_lora_rank=14, attention_bias=True, rms_norm_eps=0.01), even, [(50, 70)], table_prompt, **plain)
    add("gate-groups-noaux", "noaux_tc over four groups of which two are kept, sigmoid, renormalised, times 2.5",
        small(**MLA, n_routed_experts=12, moe_intermediate_size=8, num_experts_per_tok=3, n_group=4, topk_group=2,
              topk_method="noaux_tc", scoring_func="sigmoid", norm_topk_prob=True, routed_scaling_factor=2.5,
              n_shared_experts=1), even, [(50, 70)], table_prompt, bias_mean=0.3, keep_f32=("gate",), **plain)
    add("gate-groups-greedy", "group_limited_greedy, softmax, times 2.5, no dense layer, no shared expert",
        small(**MLA, n_routed_experts=8, moe_intermediate_size=8, num_experts_per_tok=3, n_group=4, topk_group=2,
              topk_method="group_limited_greedy", routed_scaling_factor=2.5, n_shared_experts=None,
              first_k_dense_replace=0), even, [(50, 70)], table_prompt, dtype="float16", **plain)
    add("gate-norm", "softmax greedy, renormalised and times 1.5; two dense layers, then every second one has experts",
        small(**MLA, norm_topk_prob=True, routed_scaling_factor=1.5, first_k_dense_replace=2, moe_layer_freq=2,
              num_hidden_layers=5, n_shared_experts=1), even, [(50, 70)], table_prompt, **plain)
    add("gate-noaux-softmax", "noaux_tc on softmax scores, as they are",
        small(**MLA, topk_method="noaux_tc"), even, [(50, 70)], table_prompt, bias_std=0.1, **plain)
    add("rope-linear", "MLA, rope_scaling linear, rope_theta 1000; greedy on sigmoid scores",
        small(**MLA, rope_scaling={"type": "linear", "factor": 4.0}, rope_theta=1000.0, scoring_func="sigmoid"),
        even, [(50, 70)], table_prompt, **plain)
    add("rope-dynamic", "MLA, rope_scaling dynamic: the context outgrows max_position_embeddings while decoding",
        small(**MLA, rope_scaling={"type": "dynamic", "factor": 2.0}, max_position_embeddings=48),
        even, [(50, 70)], table_prompt, **plain)
    add("rope-dynamic-long", "MLA, rope_scaling dynamic: the prompt is longer than max_position_embeddings",
        small(**MLA, rope_scaling={"type": "dynamic", "factor": 5.0}, max_position_embeddings=20),
        even, [(50, 70)], table_prompt, **plain)
    yarn = {"type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64, "beta_fast": 8, "beta_slow": 1}
    add("rope-yarn", "MLA, rope_scaling yarn as in DeepSeek-V2: mscale equal to mscale_all_dim",
        small(**dict(MLA, qk_rope_head_dim=16), rope_scaling=dict(yarn, mscale=0.707, mscale_all_dim=0.707)),
        even, [(50, 70)], table_prompt, **plain)
    add("rope-yarn-mscale", "MLA, rope_scaling yarn with mscale apart from mscale_all_dim",
        small(**dict(MLA, qk_rope_head_dim=16), rope_scaling=dict(yarn, mscale=1.0, mscale_all_dim=0.5)),
        even, [(50, 70)], table_prompt, **plain)
    add("mha-linear", "multi-head attention, rope_scaling linear",
        small(**MHA, rope_scaling={"type": "linear", "factor": 2.0}), even, [(50, 70)], table_prompt, **plain)
    add("mha-dynamic", "multi-head attention, rope_scaling dynamic: outgrown while decoding",
        small(**MHA, rope_scaling={"type": "dynamic", "factor": 2.0}, max_position_embeddings=48),
        even, [(50, 70)], table_prompt, **plain)

    fine = processor(14, 7, downsample_ratio=1)  # one token a patch
    add("projector-mlp", "mlp_gelu of depth 3: a token a patch",
        small(**MLA), fine, [(50, 70)], table_prompt, dtype="float16",
        projector={"projector_type": "mlp_gelu", "depth": 3}, **plain)
    add("projector-linear", "a linear projector; pixels not normalised",
        small(**MLA), processor(14, 7, downsample_ratio=1, normalize=False), [(50, 70)], table_prompt, dtype="float16",
        projector={"projector_type": "linear"}, **plain)
    add("projector-identity", "no projector: the tower is as wide as the decoder",
        small(**MLA), fine, [(50, 70)], table_prompt, dtype="float16", projector={"projector_type": "identity"},
        vision={"width": 24, "layers": 2, "global_pool": ""})
    add("projector-deep", "downsample_mlp_gelu of depth 3, mlp_ratio 4, 3 to 1 each way: 4x4 patches padded to 6x6",
        small(**MLA), processor(40, 10, downsample_ratio=3), [(100, 60)], table_prompt,
        projector={"depth": 3, "mlp_ratio": 4, "downsample_ratio": 3}, **plain)

    # Quantized folders, against the published code on the values that their weights stand for.
    add("quantized-4", "4 bits in groups of 32: MLA, sigmoid noaux_tc gate; rows of 24, 48 and 89 do not fill their groups",
        language(**MLA, hidden_size=64, intermediate_size=96, moe_intermediate_size=48, topk_method="noaux_tc",
                 scoring_func="sigmoid", norm_topk_prob=True, routed_scaling_factor=2.0, n_routed_experts=6),
        odd, [(97, 131)], table_prompt, quantize={"bits": 4, "group": 32})
    add("quantized-8", "8 bits in groups of 64: multi-head attention, softmax greedy gate",
        language(**MHA, hidden_size=64, intermediate_size=96, moe_intermediate_size=48, n_routed_experts=6),
        processor(42, 14), [(60, 40)], table_prompt, quantize={"bits": 8, "group": 64})
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
    """Lines as dsvl-read sets them: each on a row of 32 pixels."""
    image = Image.new("RGB", (256, 256), (255, 255, 255))
    pen, font = ImageDraw.Draw(image), ImageFont.truetype(str(FONTS / "DejaVuSans.ttf"), 27)
    for i, line in enumerate(("The annual", "report shows a", "rise of 12.5 %", "in 2024,", "Station", "Alder Bridge", "18,450")):
        pen.text((4, 32 * i + 23), line, fill=(0, 0, 0), font=font, anchor="ls")
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
    return [dict(small, name="nano-text", about="the embedded model reads lines of text: 256x256, one tile",
                 prompt="Read the text.", conversation=ask("<image>\nRead the text."), pictures=[text_page()]),
            dict(small, name="nano-table", omit=("tiles", "tower", "projector"), about="the embedded model reads a table: 512x256, two tiles",
                 prompt="Extract the table as CSV.", conversation=ask("<image>\nExtract the table as CSV."),
                 pictures=[table_page()])]
