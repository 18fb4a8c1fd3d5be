#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write tests/data/chat.json: conversations as the published processor tokenizes them with the embedded model's
tokenizer. Needs the published code and the environment of tests/reference (see the README there).

    make_chat.py --vl2 DIR
"""
import argparse
import contextlib
import io
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "reference"))
import published  # noqa: E402

from PIL import Image  # noqa: E402

USER, ASSISTANT = "<|User|>", "<|Assistant|>"
END = {"role": ASSISTANT, "content": ""}


def user(text):
    return {"role": USER, "content": text}


def assistant(text):
    return {"role": ASSISTANT, "content": text}


CONVERSATIONS = [
    [user("<image>\nExtract the table as CSV."), END],
    [user("Only text."), END],
    [user("  \n\t stripped \u00a0\u3000\n"), END],
    [user("\u2003\u2028\x1c\x85inner\u2009space stays\u205f\ufeff"), END],
    [user("\u200bzero width is no space\u200b"), END],
    [user(""), END],
    [user("   "), END],
    [user("<image>"), END],
    [user("<image>\n<image>\nCompare the two."), END],
    [user("First: <image>\nsecond: <image>\nand third: <image>\nWhat changed?"), END],
    [{"role": "system", "content": " You read documents. \n"}, user("<image>\nRead."), END],
    [{"role": "user", "content": "lower case role"}, {"role": "assistant", "content": " ok \n"}, user("again"), END],
    [user("<image>\nWhat is this?"), assistant(" A table. "), user("How many rows?"), END],
    [user("a"), assistant("b"), user("<image>\nc"), assistant("d"), user("e"), END],
    [user("Go on."), assistant("The answer begins")],
    [user("r\u00e9sum\u00e9 \u4f60\u597d \U0001f600 e\u0301\r\nline"), END],
]
# Here the published code finds tokens in the text, which dsvl does when the prompt's author asks for it.
SPECIALS = [
    [user("<image>\n<|grounding|>Describe the image."), END],
    [user("<image>\n<|ref|>The giraffe at the back.<|/ref|>."), END],
    [user("<|det|>[[1,2,3,4]]<|/det|> <|ref|><|/ref|>"), END],
    [user("<|grounding|>"), END],
    [user("<|ground|><|ref|"), END],
]


def tokens(processor, conversation):
    count = sum(m["content"].count("<image>") for m in conversation)
    pictures = [Image.new("RGB", (8, 8))] * count
    batch = processor(conversations=conversation, images=pictures, force_batchify=False, system_prompt="")
    ids, mask, sizes, out, image = batch.input_ids.tolist(), batch.images_seq_mask.tolist(), batch.num_image_tokens, [], 0
    at = 0
    while at < len(ids):
        if mask[at]:
            out.append(-1 - image)
            at += sizes[image]
            image += 1
        else:
            out.append(ids[at])
            at += 1
    assert image == count
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vl2", type=Path, required=True, help="checkout of the published DeepSeek-VL2 code")
    parser.add_argument("--model", type=Path, default=ROOT.parent / "models" / "nano")
    args = parser.parse_args()
    models = published.load(args.vl2)
    with contextlib.redirect_stdout(io.StringIO()):
        processor = models.DeepseekVLV2Processor.from_pretrained(str(args.model))
    cases = [{"messages": c, "specials": special, "ids": tokens(processor, c)}
             for special, group in ((False, CONVERSATIONS), (True, SPECIALS)) for c in group]
    lines = ",\n".join(json.dumps(c) for c in cases)
    (ROOT / "data" / "chat.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
