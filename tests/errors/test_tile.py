# SPDX-License-Identifier: Apache-2.0
"""dsvl-tile and bad input: streams that are cut or lie, pages without pixels, broken pictures, model folders without a
usable processor_config.json, output that cannot be written. Nothing is lost without a word."""
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
from librecords import parse, record, stream  # noqa: E402

MODEL = HERE.parent.parent / "models" / "nano"
ROOT = tempfile.TemporaryDirectory()
FOLDER = Path(ROOT.name)
PIXELS = np.full((30, 40, 3), 200, np.uint8)


def tile(data, *options, model=MODEL, **keywords):
    run = subprocess.run(["dsvl-tile", "-m", model, *map(str, options)], input=data, capture_output=True, **keywords)
    return run.returncode, run.stdout, run.stderr.decode()


def page(number=1, **facts):
    return record("page", {"pixels": PIXELS}, document="a.pdf", page=number, **facts)


def test_cut_streams():
    data, one = stream(page(1), page(2)), len(page(1))
    for cut in (len(data) - 1, 2 * one + 20, 2 * one, 2 * one - 1, one + 200, one + 5, one, 100, 8, 3, 0):
        for options in ([], ["--per=document"]):
            status, out, message = tile(data[:cut], *options)
            kinds = [f["dsvl.kind"] for f, _ in parse(out)]
            assert status == 4 and "end" not in kinds, (cut, status, kinds)
            assert kinds.count("tiles") == min(2, cut // one), (cut, kinds)
            assert "standard input" in message and message.startswith("dsvl-tile: ")


def test_lying_streams():
    huge = struct.pack("<Q", 1 << 31) + page(1)[8:]
    short = struct.pack("<Q", 40) + page(1)[8:]
    for data in (huge, short, stream(page(1)) + b"junk behind the end", page(1) + record("end", records=7)):
        status, out, message = tile(data)
        assert status == 4 and message, (status, message)
        assert "end" not in [f["dsvl.kind"] for f, _ in parse(out)]


def test_bad_pages():
    bad = [record("page", {}, document="a.pdf", page=2),
           record("page", {"pixels": PIXELS[:, :, 0].copy()}, document="a.pdf", page=3),
           record("page", {"pixels": PIXELS.astype(np.float32)}, document="a.pdf", page=4),
           record("page", {"pixels": np.zeros((5, 5, 4), np.uint8)}, document="a.pdf", page=5),
           record("page", {"pixels": np.zeros((0, 5, 3), np.uint8)}, document="a.pdf", page=6)]
    status, out, message = tile(stream(page(1), *bad, page(7)))
    records = parse(out)
    assert status == 1 and [f["dsvl.kind"] for f, _ in records] == ["tiles"] + ["error"] * 5 + ["tiles", "end"]
    for number, (facts, tensors) in enumerate(records[1:6], 2):
        assert facts["stage"] == "tile" and facts["cause"] == "input" and not tensors
        assert facts["page"] == str(number) and f"a.pdf, page {number}" in facts["message"], facts["message"]
        assert facts["message"] in message


def test_bad_pictures():
    files = {"empty.png": b"", "text.txt": b"not a picture at all", "cut.ppm": b"P6\n20 20\n255\n" + bytes(100),
             "huge.ppm": b"P6\n900000 900000\n255\n", "paper.pdf": b"%PDF-1.4\n%", "good.ppm": b"P6 1 1 255\n\1\2\3"}
    for name, data in files.items():
        (FOLDER / name).write_bytes(data)
    names = [FOLDER / n for n in ("good.ppm", "absent.png", *files)] + [FOLDER, FOLDER / "good.ppm"]
    status, out, message = tile(b"", *names)
    records = parse(out)
    assert status == 1
    assert [f["dsvl.kind"] for f, _ in records] == ["tiles"] + ["error"] * 6 + ["tiles", "error", "tiles", "end"]
    for (facts, _), path in zip(records, names):
        assert facts["document"] == str(path)
        if facts["dsvl.kind"] == "error":
            assert str(path) in facts["message"] and facts["message"] in message and facts["stage"] == "tile"
            assert facts["message"].count(str(path)) == 1, facts["message"]
    assert "dsvl-rasterize" in records[6][0]["message"]
    # What came before the damage is whole; the damage is reported behind it.
    status, out, message = tile(b"P6 1 1 255\n\1\2\3" + b"rubbish", "-", FOLDER / "good.ppm")
    records = parse(out)
    assert status == 1 and [f["dsvl.kind"] for f, _ in records] == ["tiles", "error", "tiles", "end"]
    assert "7 bytes" in records[1][0]["message"] and records[1][0]["document"] == "-" and "page" not in records[1][0]
    jpeg = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)).save(jpeg, "JPEG")
    status, out, message = tile(jpeg.getvalue()[:len(jpeg.getvalue()) // 2])
    records = parse(out)
    assert status == 1 and [f["dsvl.kind"] for f, _ in records] == ["error", "end"]
    assert records[0][0]["page"] == "1" and "cut short" in records[0][0]["message"]
    status, out, message = tile(b"P6\n30 30\n255\n" + bytes(2700), "--max-pixels=899")
    assert status == 1 and parse(out)[0][0]["cause"] == "limit"


def test_bad_models():
    good = json.loads((MODEL / "processor_config.json").read_text(encoding="utf-8"))
    broken = {"absent": None, "empty": "", "cut": '{"candidate_resolutions": [[3', "list": "[]",
              "sizes": json.dumps({**good, "candidate_resolutions": [[256, 256], [256, 300]]}),
              "none": json.dumps({**good, "candidate_resolutions": []}),
              "color": json.dumps({**good, "image_mean": [0.5, 3]})}
    for name, text in broken.items():
        folder = FOLDER / name
        folder.mkdir()
        if text is not None:
            (folder / "processor_config.json").write_text(text, encoding="utf-8")
        status, out, message = tile(stream(page()), model=folder)
        assert (status, out) == (3, b"") and "processor_config.json" in message, (name, status, message)
    status, out, message = tile(stream(page()), model=FOLDER / "nowhere")
    assert (status, out) == (3, b"") and "nowhere" in message


def test_output():
    data = stream(*(page(n) for n in range(20)))
    with open("/dev/full", "wb") as full:
        run = subprocess.run(["dsvl-tile"], input=data, stdout=full, stderr=subprocess.PIPE)
    assert run.returncode == 5 and b"standard output" in run.stderr
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(["dsvl-tile"], input=data, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert run.returncode == 5, run


if __name__ == "__main__":
    for test_name, test in list(globals().items()):
        if test_name.startswith("test_"):
            test()
