# SPDX-License-Identifier: Apache-2.0
"""Two tiny byte-level BPE tokenizers in the exact layout of DeepSeek's tokenizer.json.

style "vl2": as DeepSeek-VL2 (tiny, base): beginning, end and pad are ids 0, 1, 2; the digits in groups of three.
style "vl1": as DeepSeek-VL and DeepSeek-VL2-small: they follow the vocabulary; each digit alone.
The pre-tokenizer expressions are those of the published tokenizer files; the merges are learnt from TEXT.
"""
import json

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
CHAT = ["<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<|User|>", "<|Assistant|>"]

TEXT = """Extract the table as CSV. Read the text. What is in the picture? Describe the image. Extract the chart as CSV.
The quick brown fox jumps over the lazy dog. The table has three columns and four rows: item, price, total.
In the first image there is a house; in the second image there is a tree. Compare the two images, please.
Der Preis der Tabelle ist in Euro. Le tableau contient trois lignes. La tabla tiene dos columnas.
1 234 567.89 and 2024-12-31, 100 %, 42.5 kg, 3.14159 m, 12:30
提取表格内容。这是一张图片。请读出文字。表格中的数字。
int main(void) { return 0; }  for (i = 0; i < n; i++) sum += a[i];
"""

SPLITS = {  # ASCII escapes, because several of these letters change under Unicode normalization
    "vl1": [
        "[\r\n]",
        "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
        "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
        "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba"
        "\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45"
        "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-"
        "\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107"
        "\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f"
        "\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d"
        "\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17"
        "\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb"
        "\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943]+",
        "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
        "\\s+$",
        "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
    ],
    "vl2": [
        "\\p{N}{1,3}",
        "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
        " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    ],
}


def _pre_tokenizer(style):
    steps = [{"type": "Split", "pattern": {"Regex": r}, "behavior": "Isolated", "invert": False} for r in SPLITS[style]]
    if style == "vl1":
        steps.append({"type": "Digits", "individual_digits": True})
    steps.append({"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False})
    return {"type": "Sequence", "pretokenizers": steps}


def _added(ident, content, special=True, normalized=False):
    return {"id": ident, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": normalized, "special": special}


def build(style, merges=96, bare=False, chat=CHAT):
    """tokenizer.json as a dict, and the ids {bos, eos, pad, image, size}.

    chat: the tokens behind the padding, the image's first.
    bare: without the tokens that the published processor adds itself, as the released files are; the ids it then gives
    them are those they have otherwise.
    """
    blank = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
             "normalizer": {"type": "Sequence", "normalizers": []}, "pre_tokenizer": _pre_tokenizer(style),
             "post_processor": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
             "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
             "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                       "end_of_word_suffix": None, "fuse_unk": False, "vocab": {}, "merges": []}}
    trained = Tokenizer.from_str(json.dumps(blank))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trained.train_from_iterator(TEXT.splitlines(keepends=True), trainers.BpeTrainer(
        vocab_size=256 + merges, initial_alphabet=alphabet, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    pairs = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    words = alphabet + [p.replace(" ", "") for p in pairs]
    words = list(dict.fromkeys(words))
    head = [BOS, EOS, PAD] if style == "vl2" else []
    blank["model"]["vocab"] = {w: i for i, w in enumerate(head + words)}
    blank["model"]["merges"] = pairs
    tail = len(head + words)
    if style == "vl2":
        added = [_added(i, w) for i, w in enumerate(head)]
        special = chat
    else:
        # As published: bos and eos normalized, and the rest appended behind them.
        added = [_added(tail, BOS, normalized=True), _added(tail + 1, EOS, normalized=True)]
        tail += 2
        special = [PAD] + chat
    blank["added_tokens"] = added
    ids = {a["content"]: a["id"] for a in added}
    ids.update({w: tail + i for i, w in enumerate(special)})
    if not bare:
        added += [_added(tail + i, w) for i, w in enumerate(special)]
    return blank, {"bos": ids[BOS], "eos": ids[EOS], "pad": ids[PAD], "image": ids[chat[0]],
                   "size": tail + len(special)}


def config(bare_vl1=False, model_max_length=4096):
    """tokenizer_config.json as published (LlamaTokenizerFast without an unknown token)."""
    def token(content):
        return {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": True, "rstrip": False,
                "single_word": False}
    return {"add_bos_token": False, "add_eos_token": False, "bos_token": token(BOS), "clean_up_tokenization_spaces": False,
            "eos_token": token(EOS), "legacy": True, "model_max_length": model_max_length, "pad_token": None if bare_vl1 else token(PAD),
            "sp_model_kwargs": {}, "unk_token": None, "tokenizer_class": "LlamaTokenizerFast"}
