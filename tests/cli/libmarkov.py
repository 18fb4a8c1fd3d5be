# SPDX-License-Identifier: Apache-2.0
"""A model folder whose decoder says what a table tells it to: the next token depends on the last one alone."""
import json
import shutil
from pathlib import Path

import numpy as np

NANO = Path(__file__).resolve().parent.parent.parent / "models" / "nano"
END = "\0end"


def markov_model(folder, choices):
    """choices: {character: its successors, best first}; END ends the answer. An answer begins behind ":"."""
    folder = Path(folder)
    folder.mkdir()
    for name in ("config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(NANO / name, folder / name)
    vocab = json.loads((NANO / "tokenizer.json").read_text())["model"]["vocab"]
    eos = json.loads((NANO / "config.json").read_text())["language_config"]["eos_token_id"]

    def number(c):
        return eos if c == END else vocab["Ċ" if c == "\n" else "Ġ" if c == " " else c]
    data = bytearray((NANO / "model.safetensors").read_bytes())
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])

    def array(name):
        begin, end = header[name]["data_offsets"]
        assert header[name]["dtype"] == "F16"
        return np.frombuffer(data, np.float16, (end - begin) // 2, 8 + size + begin).reshape(header[name]["shape"])
    for name in header:
        if name.endswith(("o_proj.weight", "down_proj.weight")) and name.startswith("language."):
            array(name)[:] = 0  # the layers add nothing to the last token's embedding
    array("language.model.norm.weight")[:] = 1
    embed, head = array("language.model.embed_tokens.weight"), array("language.lm_head.weight")
    embed[:] = head[:] = 0
    for i in range(len(embed)):
        embed[i, i % embed.shape[1]] = 1
    for c, successors in choices.items():
        for rank, successor in enumerate(successors):
            head[number(successor), number(c) % embed.shape[1]] = 1 / (1 + rank)
    (folder / "model.safetensors").write_bytes(data)
    return folder
