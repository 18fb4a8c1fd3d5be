# SPDX-License-Identifier: Apache-2.0
"""The table of DeepSeek-VL cases: both layouts, one tower and two, cut down. `sizes` in a tower's settings replace
those that its published name stands for; see published_vl.py."""
from cases import VOCAB, drawn

SYSTEM = "system"
MEAN, STD = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
# Shapes of pictures whose sides are hard to round, or too thin; the square has 48 or 128 pixels.
SHAPES = [(60, 40), (31, 77), (48, 48), (2, 2), (300, 4), (3, 250), (49, 48), (97, 31), (19, 57), (67, 69)]


def talk(*turns):
    roles = ("User", "Assistant")
    return [{"role": roles[i % 2], "content": t} for i, t in enumerate(turns)] + [{"role": "Assistant", "content": ""}]


def llama(**keys):
    return dict({"hidden_size": 24, "intermediate_size": 40, "max_position_embeddings": 1024, "model_type": "llama",
                 "num_attention_heads": 4, "num_key_value_heads": 4, "num_hidden_layers": 3, "vocab_size": VOCAB}, **keys)


SIGLIP = {"image_size": 48, "model_name": "siglip_large_patch16_384", "select_feature": "same", "select_layer": -1,
          "patch_size": 12, "width": 32, "layers": 3, "heads": 2}
LOW = dict(SIGLIP, patch_size=2, layers=2)
SAM = {"image_size": 128, "model_name": "sam_b_downsample", "select_feature": "same", "select_layer": -1, "patch_size": 8,
       "width": 24, "layers": 4, "heads": 2, "global_attn_indexes": [1, 3], "prompt_embed_dim": 8,
       "downsample_channels": [16, 32], "output_dim": 32}


def original():
    def one(name, about, seed, pictures, conversation, language, depth=2, dtype="float16", vision=None):
        config = {"architectures": ["MultiModalityCausalLM"], "model_type": "multi_modality", "torch_dtype": dtype,
                  "aligner_config": {"cls": "MlpProjector", "model_type": "aligner", "params": {
                      "depth": depth, "input_dim": 32, "n_embed": 24, "projector_type": "mlp_gelu"}},
                  "language_config": language,
                  "vision_config": {"cls": "CLIPVisionTower", "model_type": "vision",
                                    "params": dict(SIGLIP, pixel_mean=MEAN, pixel_std=STD, **(vision or {}))}}
        image = {"background_color": [127, 127, 127], "do_normalize": False, "image_mean": MEAN, "image_std": STD,
                 "image_processor_type": "VLMImageProcessor", "image_size": 48, "min_size": 14,
                 "processor_class": "VLChatProcessor", "rescale_factor": 1 / 255}
        return {"name": name, "about": about, "seed": seed, "config": config, "image": image, "tokens": 16,
                "pictures": pictures, "conversation": conversation}

    def two(name, about, seed, pictures, conversation):
        case = one(name, about, seed, pictures, conversation, llama(num_hidden_layers=2), dtype="float16")
        case["config"]["aligner_config"]["params"]["projector_type"] = "low_high_hybrid_split_mlp_gelu"
        case["config"]["vision_config"] = {"cls": "HybridVisionTower", "model_type": "vision", "params": {
            "concat_type": "tuple", "freeze_high": True, "freeze_low": True,
            "high_res_cfg": dict(SAM, pixel_mean=CLIP_MEAN, pixel_std=CLIP_STD),
            "low_res_cfg": dict(LOW, pixel_mean=MEAN, pixel_std=STD, output_dim=32)}}
        case["image"].update(background_color=[122, 116, 104], image_mean=CLIP_MEAN, image_std=CLIP_STD, image_size=128)
        return dict(case, tokens=576, rows=8)

    return [
        one("vl-1.3b", "as DeepSeek-VL-1.3B chat: SigLIP, mlp_gelu, LLaMA, f16; two rounds", 31000, [(60, 40), (31, 77)],
            talk("<image_placeholder>Extract the table as CSV. ", " 12 kg, 345.\n",
                 "<image_placeholder>\nAnd in this image?"), llama()),
        one("vl-1.3b-variants", "four heads on two, rope_scaling linear, an aligner of depth 3, the tower's last layer "
            "left out, three images in one message", 32000, [(300, 4), (48, 48), (3, 250)],
            talk("<image_placeholder>is Figure 1.\n<image_placeholder>is Figure 2.\n<image_placeholder>is Figure 3.\n"
                 "Which image is brighter?"),
            llama(num_key_value_heads=2, rope_scaling={"type": "linear", "factor": 2.0}, rms_norm_eps=1e-5), depth=3,
            dtype="bfloat16", vision={"select_layer": -2}),
        two("vl-7b", "as DeepSeek-VL-7B chat: SAM-B with windows, relative positions, neck and high-resolution branch; "
            "SigLIP on the picture that the tower makes smaller; the split aligner", 33000, [(97, 131)],
            talk("<image_placeholder>Read the text.")),
    ]


def transformers():
    def one(name, about, seed, pictures, conversation, text):
        config = {"architectures": ["DeepseekVLForConditionalGeneration"], "model_type": "deepseek_vl",
                  "image_token_id": -1, "text_config": text,
                  "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 128,
                                    "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 48, "patch_size": 12,
                                    "hidden_act": "gelu", "vision_use_head": False}}
        image = {"size": {"height": 48, "width": 48}, "image_mean": MEAN, "image_std": STD}
        return {"name": name, "about": about, "seed": seed, "config": config, "image": image, "tokens": 16,
                "pictures": pictures, "conversation": conversation, "kind": "DeepseekVL"}

    def two(name, about, seed, pictures, conversation):
        case = one(name, about, seed, pictures, conversation, llama(num_hidden_layers=2))
        case["config"].update(architectures=["DeepseekVLHybridForConditionalGeneration"], model_type="deepseek_vl_hybrid")
        case["config"]["vision_config"].update(patch_size=2)
        case["config"]["high_res_vision_config"] = {
            "model_type": "sam_vision_model", "hidden_size": 24, "output_channels": 8, "num_hidden_layers": 4,
            "num_attention_heads": 2, "image_size": 128, "patch_size": 8, "global_attn_indexes": [1, 3], "mlp_dim": 96,
            "window_size": 14, "num_pos_feats": 4}
        case["image"] = {"size": {"height": 48, "width": 48}, "high_res_size": {"height": 128, "width": 128},
                         "image_mean": MEAN, "image_std": STD, "high_res_image_mean": CLIP_MEAN,
                         "high_res_image_std": CLIP_STD, "resample": 2}
        return dict(case, tokens=576, rows=8, kind="DeepseekVLHybrid")

    return [
        one("vl-1.3b-transformers", "as deepseek-community's 1.3B", 41000, [(60, 40), (31, 77)],
            talk("<image_placeholder>Extract the table as CSV. ", " 12 kg, 345.\n",
                 "<image_placeholder>\nAnd in this image?"), llama()),
        one("vl-1.3b-yarn", "transformers' layout with rope_scaling yarn", 42000, [(97, 131)],
            talk("<image_placeholder>Read the text."),
            llama(rope_scaling={"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64,
                                "beta_fast": 8.0, "beta_slow": 1.0}, max_position_embeddings=512, hidden_size=32)),
        two("vl-7b-transformers", "as deepseek-community's 7B: two pictures of a picture", 43000, [(97, 131)],
            talk("<image_placeholder>Read the text.")),
    ]


def images(case):
    return [drawn(w, h, case["seed"] + i) for i, (w, h) in enumerate(case["pictures"])]


def shapes(case):
    return [drawn(w, h, case["seed"] + 100 + i) for i, (w, h) in enumerate(SHAPES)]
