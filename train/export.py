# SPDX-License-Identifier: Apache-2.0
"""python export.py CHECKPOINT FOLDER: the averaged weights as a DeepSeek-VL2 checkpoint folder in float16.

Also: python export.py --state CHECKPOINT FILE, everything a later machine needs to train on, but for the moments of
the optimizer, in bfloat16."""
import json
import os
import sys

import torch
from safetensors.torch import save_file

import gen
from model import BOS, EOS, PAD, VL2, Config, Heads
from train import load

SPECIAL = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>", "<image>", "<|ref|>", "<|/ref|>", "<|det|>",
           "<|/det|>", "<|grounding|>", "<|User|>", "<|Assistant|>"]


def config(c):
    vision = dict(model_type="vision", model_name="siglip_nano_patch16_256", image_size=c.tile, patch_size=c.patch,
                  width=c.vision_width, layers=c.vision_layers, heads=c.vision_heads, mlp_ratio=4, class_token=False,
                  global_pool="", ignore_head=True, num_classes=0, weight_init="skip", deterministic=False,
                  num_recomputing_layers=0)
    projector = dict(model_type="mlp_projector", projector_type="downsample_mlp_gelu", input_dim=c.vision_width,
                     n_embed=c.width, depth=2, mlp_ratio=c.projector_ratio, downsample_ratio=2, token_pooling=False)
    language = dict(architectures=["DeepseekV2ForCausalLM"], model_type="deepseek_v2", vocab_size=c.vocab,
                    hidden_size=c.width, intermediate_size=c.dense_mlp, moe_intermediate_size=c.expert_mlp,
                    num_hidden_layers=c.layers, num_attention_heads=c.heads, num_key_value_heads=c.heads,
                    n_shared_experts=c.shared, n_routed_experts=c.experts, num_experts_per_tok=c.active, moe_layer_freq=1,
                    first_k_dense_replace=1, topk_method="greedy", n_group=1, topk_group=1, norm_topk_prob=False,
                    scoring_func="softmax", routed_scaling_factor=1.0, aux_loss_alpha=.001, seq_aux=True,
                    kv_lora_rank=c.latent, q_lora_rank=None, qk_nope_head_dim=c.nope, qk_rope_head_dim=c.rope,
                    v_head_dim=c.value, use_mla=True, hidden_act="silu", rms_norm_eps=c.eps, rope_theta=c.theta,
                    rope_scaling=None, max_position_embeddings=8192, attention_bias=False, attention_dropout=0.0,
                    tie_word_embeddings=False, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, initializer_range=.02,
                    ep_size=1, pretraining_tp=1, use_cache=True, torch_dtype="float16")
    return dict(architectures=["DeepseekVLV2ForCausalLM"], model_type="deepseek_vl_v2", torch_dtype="float16",
                tile_tag="2D", global_view_pos="head", candidate_resolutions=gen.CANDIDATES,
                dsvl_preferred_em_px=28, dsvl_line_pitch_px=gen.PITCH, dsvl_region_tiles=8, vision_config=vision,
                projector_config=projector, language_config=language)


def tokenizer():
    """Byte b is token b, in the byte-level alphabet."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in plain]
    char = {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(other)}
    added = [dict(id=256 + i, content=s, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
             for i, s in enumerate(SPECIAL)]
    level = dict(type="ByteLevel", trim_offsets=True)
    return dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None,
                pre_tokenizer=level | dict(add_prefix_space=False, use_regex=False), post_processor=None,
                decoder=level | dict(add_prefix_space=True, use_regex=True),
                model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None,
                           end_of_word_suffix=None, fuse_unk=False, byte_fallback=False,
                           vocab={char[b]: b for b in range(256)}, merges=[]))


def write(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, indent=1)
        f.write("\n")


def export(source, folder):
    c = Config()
    model = VL2(c)
    d = load(source, model, Heads(c), averaged=True)
    state = {}
    for k, v in model.state_dict().items():
        if k == "vision.patch_embed.proj.weight":  # trained on grey: give the channels their shares of luminance
            v = torch.cat([v.sum(1, keepdim=True) * s for s in (.299, .587, .114)], 1)
        state[k] = v.to(torch.float16).contiguous()
    os.makedirs(folder, exist_ok=True)
    save_file(state, os.path.join(folder, "model.safetensors"),
              metadata={"format": "pt", "stage": d["stage"], "step": str(d["step"])})
    write(folder, "config.json", config(c))
    write(folder, "tokenizer.json", tokenizer())
    write(folder, "tokenizer_config.json",
          dict(bos_token=SPECIAL[0], eos_token=SPECIAL[1], pad_token=SPECIAL[2], add_bos_token=False, add_eos_token=False,
               clean_up_tokenization_spaces=False, model_max_length=8192, tokenizer_class="PreTrainedTokenizerFast",
               additional_special_tokens=SPECIAL[3:]))
    write(folder, "processor_config.json",
          dict(processor_class="DeepseekVLV2Processor", patch_size=c.patch, downsample_ratio=2,
               candidate_resolutions=gen.CANDIDATES, image_mean=[.5] * 3, image_std=[.5] * 3, normalize=True,
               image_token="<image>", pad_token=SPECIAL[2], add_special_token=False, mask_prompt=True, ignore_id=-100,
               sft_format="deepseek"))
    print(folder, d["stage"], d["step"], f"{sum(v.numel() for v in state.values()):,} parameters")


def export_state(source, target):
    c = Config()
    model, heads = VL2(c), Heads(c)
    d = load(source, model, heads, averaged=True)
    state = dict(model.state_dict()) | {"heads." + k: v for k, v in heads.state_dict().items()}
    if d["stage"] in ("encoder", "import"):
        state = {k: v for k, v in state.items() if k.startswith(("vision.", "heads.dense."))}
    save_file({k: v.to(torch.bfloat16).contiguous() for k, v in state.items()}, target,
              metadata={"stage": d["stage"], "step": str(d["step"])})
    print(target, f"{os.path.getsize(target):,} bytes")


if __name__ == "__main__":
    if sys.argv[1] == "--state":
        export_state(*sys.argv[2:4])
    else:
        export(*sys.argv[1:3])
