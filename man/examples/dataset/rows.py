# SPDX-License-Identifier: Apache-2.0
"""Rows of a dataset: rows.py DOCUMENT ANSWERS IMAGES [OPTION of dsvl-rasterize ...]: prints a JSON line for each answer
that the model ended, and writes the page that it is about as a PNG into IMAGES. All pages of a document are in the same
split, which the hash of its bytes decides: 80 % train, 10 % validation, 10 % test, whatever else is in the folder."""
import hashlib
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path


def draw(document, page, options):
    """Width, height and RGB bytes of a page."""
    command = ["dsvl-rasterize", *options, "--format", "ppm", "--pages", str(page), "--", str(document)]
    magic, size, depth, pixels = subprocess.run(command, stdout=subprocess.PIPE).stdout.split(b"\n", 3)
    assert (magic, depth) == (b"P6", b"255")
    return *map(int, size.split()), pixels


def png(width, height, pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + pixels[y * width * 3:(y + 1) * width * 3] for y in range(height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + \
        chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")


document, answers, images = map(Path, sys.argv[1:4])
name = hashlib.sha256(document.read_bytes()).hexdigest()[:16]
share = int(name[:8], 16) % 100
split = "train" if share < 80 else "validation" if share < 90 else "test"
(images / name).mkdir(parents=True, exist_ok=True)
drawn = set()
for line in answers.read_text(encoding="utf-8").splitlines():
    a = json.loads(line)
    if a["finish_reason"] == "stop":
        image = images / name / f"{a['page']:05}.png"
        if image not in drawn:
            drawn.add(image)
            image.write_bytes(png(*draw(document, a["page"], sys.argv[4:])))
        row = {"split": split, "image": str(image), "document": a["document"], "page": a["page"],
               "question": a["prompt"], "answer": a["answer"], "mean_logprob": a["mean_logprob"], "model": a["model_hash"]}
        print(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
