# SPDX-License-Identifier: Apache-2.0
"""Rows of a dataset: rows.py DOCUMENT ANSWERS IMAGES <pages.ppm: writes each page as a PNG into IMAGES and prints a JSON
line for each answer about it that the model ended. All pages of a document are in the same split, which the hash of its
bytes decides: 80 % train, 10 % validation, 10 % test, whatever else is in the folder."""
import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path


def pages(stream):
    """The P6 pictures of a stream."""
    while magic := stream.readline():
        assert magic == b"P6\n", magic
        width, height = map(int, stream.readline().split())
        stream.readline()
        yield width, height, stream.read(width * height * 3)


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
paths = []
for width, height, pixels in pages(sys.stdin.buffer):
    paths.append(images / name / f"{len(paths) + 1:05}.png")
    paths[-1].write_bytes(png(width, height, pixels))
for line in answers.read_text(encoding="utf-8").splitlines():
    a = json.loads(line)
    if a["finish_reason"] == "stop":
        row = {"split": split, "image": str(paths[a["page"] - 1]), "document": a["document"], "page": a["page"],
               "question": a["prompt"], "answer": a["answer"], "mean_logprob": a["mean_logprob"], "model": a["model_hash"]}
        print(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
