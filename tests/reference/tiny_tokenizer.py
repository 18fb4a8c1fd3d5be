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

LETTERS_VL1 = (
    "[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄ"
    "ῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ"
    "𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]"
)
SPLITS = {
    "vl1": ["[\r\n]", "\\s?" + LETTERS_VL1 + "+", "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", "[一-龥ࠀ-一가-퟿]+"],
    "vl2": ["\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
            "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"],
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


def build(style, merges=96):
    """tokenizer.json as a dict, and the ids {bos, eos, pad, size}."""
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
        special = CHAT
    else:
        # As published: bos and eos normalized, and the rest appended behind them.
        added = [_added(tail, BOS, normalized=True), _added(tail + 1, EOS, normalized=True)]
        tail += 2
        special = [PAD] + CHAT
    added += [_added(tail + i, w) for i, w in enumerate(special)]
    blank["added_tokens"] = added
    ids = {a["content"]: a["id"] for a in added}
    return blank, {"bos": ids[BOS], "eos": ids[EOS], "pad": ids[PAD], "image": ids["<image>"],
                   "size": tail + len(special)}


def config(model_max_length=4096):
    """tokenizer_config.json as published (LlamaTokenizerFast without an unknown token)."""
    def token(content):
        return {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": True, "rstrip": False,
                "single_word": False}
    return {"add_bos_token": False, "add_eos_token": False, "bos_token": token(BOS), "clean_up_tokenization_spaces": False,
            "eos_token": token(EOS), "legacy": True, "model_max_length": model_max_length, "pad_token": token(PAD),
            "sp_model_kwargs": {}, "unk_token": None, "tokenizer_class": "LlamaTokenizerFast"}
