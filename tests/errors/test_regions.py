# SPDX-License-Identifier: Apache-2.0
"""dsvl-regions and pages that lie: each becomes an error record that says what is wrong and the others go on; its
options do what they say and refuse what they cannot do."""
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
from librecords import parse, record, stream  # noqa: E402

PAPER = np.full((200, 300, 3), 255, np.uint8)
PAPER[40:60, 50:250:3] = 0
WORDS = {"words.text": np.frombuffer(b"ab", np.uint8), "words.offsets": np.array([0, 1, 2], np.int32),
         "words.boxes": np.array([[50, 40, 100, 60], [100, 40, 150, 60]], np.float32),
         "words.font_size": np.array([9, 9], np.float32), "words.flags": np.array([1, 2], np.uint8)}


def regions(data, *options, status=0):
    run = subprocess.run(["dsvl-regions", *map(str, options)], input=data, capture_output=True)
    assert run.returncode == status, (options, run.returncode, run.stderr.decode())
    return parse(run.stdout), run.stderr.decode()


def page(number, tensors=None, **facts):
    tensors = {"pixels": PAPER, **(tensors or {})}
    return record("page", {k: v for k, v in tensors.items() if v is not None}, document="a.pdf", page=number, **facts)


def test_bad_pages():
    text = dict(WORDS)
    bad = [(page(9, {"pixels": None}), "pixels"), (page(9, {"pixels": PAPER[:, :, 0].copy()}), "pixels"),
           (page(9, {"pixels": PAPER.astype(np.float32)}), "pixels"), (page(9, {"pixels": PAPER[:0]}), "pixels"),
           (page(9, pixel_to_point="1 0 0 1"), "pixel_to_point"), (page(9, pixel_to_point="nan 0 0 1 0 0"), "pixel_to_point"),
           (page(9, pixel_to_point="0 1 -1 0 0 0"), "pixel_to_point"), (page(9, {**text, "words.flags": None}), "words.flags"),
           (page(9, {**text, "words.offsets": np.array([0, 2], np.int32)}), "how many words"),
           (page(9, {**text, "words.offsets": np.array([0, 5, 2], np.int32)}), "words.offsets"),
           (page(9, {**text, "words.offsets": np.array([0, 1, 99], np.int32)}), "words.offsets"),
           (page(9, {**text, "words.boxes": WORDS["words.boxes"] * np.float32(np.nan)}), "words.boxes")]
    for data, says in bad:
        out, said = regions(stream(page(1), data, page(2)), status=1)
        around = [f["page"] for f, _ in out[:-1] if f["dsvl.kind"] == "region"]
        errors = [f for f, _ in out if f["dsvl.kind"] == "error"]
        assert set(around) == {"1", "2"} and len(errors) == 1, (says, around, errors)
        facts = errors[0]
        assert facts["stage"] == "regions" and facts["cause"] == "input" and facts["page"] == "9", facts
        assert says in facts["message"] and "a.pdf, page 9" in said, (says, facts["message"], said)


def test_options():
    data = stream(page(1, WORDS))
    small, large = ([(f, t) for f, t in regions(data, "--em", em)[0] if f["dsvl.kind"] == "region"] for em in (12, 40))
    assert float(large[0][0]["zoom"]) > float(small[0][0]["zoom"]), "--em is the type size to reach"
    rng = np.random.default_rng(1)
    text = np.full((1600, 1200, 3), 255, np.uint8)
    for top in range(100, 1500, 24):
        text[top:top + 12, 100:1100] = np.where(rng.random((12, 1000, 1)) < .4, 0, 255)
    data = stream(record("page", {"pixels": text}, pixel_to_point="0.5 0 0 0.5 0 0"))
    for most in (2, 12):
        out = [t["pixels"].shape for f, t in regions(data, "--em=20", "--max-tiles", most)[0] if f["dsvl.kind"] == "region"]
        assert out and all(h // 256 * (w // 256) <= most for h, w, _ in out), (most, out)
    for wrong, says in ((["--em=1"], "--em takes"), (["--em=big"], "--em takes"), (["--max-tiles=0"], "--max-tiles takes"),
                        (["--kinds=table,poem"], "poem"), (["--kinds="], "--kinds takes")):
        assert says in regions(b"", *wrong, status=2)[1], wrong
    assert "/nowhere" in regions(data, "-m", "/nowhere", status=3)[1]


test_bad_pages()
test_options()
