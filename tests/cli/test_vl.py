# SPDX-License-Identifier: Apache-2.0
"""DeepSeek-VL through the programs, both layouts, one tower and two: pictures to tiles to embeddings to the published
tokens; a region's picture is squared like a page; and folders that mix releases are refused."""
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from librecords import parse, read_safetensors, record, stream  # noqa: E402

FIXTURES = HERE.parent / "reference" / "fixtures"


def run(program, *options, data=b"", status=0):
    done = subprocess.run([program, *map(str, options)], input=data, capture_output=True)
    assert done.returncode == status, (program, done.returncode, done.stderr.decode())
    return done.stdout, done.stderr.decode()


def pages(expected):
    count = sum(name.startswith("image.") for name in expected)
    return stream(*[record("page", {"pixels": expected[f"image.{n}"]}, document="a", page=n + 1) for n in range(count)])


def test_pipeline():
    for name in ("vl-1.3b", "vl-7b", "vl-1.3b-transformers", "vl-7b-transformers"):
        model = FIXTURES / name
        expected = read_safetensors(model / "expected.safetensors")
        tiles, _ = run("dsvl-tile", "-m", model, data=pages(expected))
        for n, (facts, tensors) in enumerate(parse(tiles)[:-1]):
            assert np.array_equal(tensors["tiles"], expected[f"tiles.{n}"]), (name, n)
            low = expected.get(f"tiles_low.{n}")
            assert (low is None) == ("tiles_low" not in tensors)
            assert low is None or np.array_equal(tensors["tiles_low"], low), (name, n)
            assert facts["tiles_cols"] == facts["tiles_rows"] == "0" and facts["tile_size"] == str(tensors["tiles"].shape[1])
        embeddings, _ = run("dsvl-encode", "-m", model, data=tiles)
        for n, (facts, tensors) in enumerate(parse(embeddings)[:-1]):
            want, got = expected[f"embeddings.{n}"], tensors["embeddings"]
            assert facts["dsvl.kind"] == "embeddings" and "tiles" not in tensors and "tiles_low" not in tensors
            assert np.abs(got - want).max() <= 2e-4 * np.abs(want).max(), name
        one, _ = run("dsvl-encode", "-m", model, "--threads", 1, "--batch", 1, data=tiles)
        assert all(np.array_equal(a["embeddings"], b["embeddings"])
                   for (_, a), (_, b) in zip(parse(embeddings)[:-1], parse(one)[:-1]))
        answer, _ = run("dsvl-answer", "-m", model, "-p", "Read the text.", "--max-tokens", 8, data=embeddings)
        lines = [json.loads(line) for line in answer.splitlines()]
        assert [line["page"] for line in lines] == list(range(1, len(lines) + 1))
        for n, line in enumerate(lines):
            assert line["finish_reason"] in ("stop", "length"), line
            tokens = parse(embeddings)[n][1]["embeddings"].shape[0]
            assert tokens == (576 if "7b" in name else 16) and line["prompt_tokens"] > tokens, line


def test_mixed_folders():
    """A file of another release, whichever, is an error before any work."""
    swaps = [
        ("vl-1.3b", "vl2-small", ["processor_config.json"], "the files mix releases"),
        ("vl2-small", "vl-1.3b", ["config.json"], "the files mix releases"),
        ("vl-1.3b", "vl-1.3b-transformers", ["preprocessor_config.json"], "of another release than config.json"),
        ("vl-1.3b", "vl-7b", ["preprocessor_config.json"], "is 128 pixels, but config.json: image_size of the vision tower is 48"),
        ("vl-7b-transformers", "vl-7b", ["preprocessor_config.json", "processor_config.json"], "of another release than config.json"),
        ("vl-1.3b", "vl-1.3b-transformers", ["model.safetensors"], "tensor \"vision_model.vision_tower.patch_embed.proj.weight\" is missing"),
        ("vl-7b", "vl-1.3b", ["model.safetensors"], "is missing"),
        ("vl-1.3b-transformers", "vl-7b-transformers", ["model.safetensors"], "has shape"),
        ("vl-1.3b", "vl-7b", ["processor_config.json"], "num_image_tokens is 576, but the model of config.json makes 16"),
    ]
    for name, other, files, message in swaps:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            shutil.copytree(FIXTURES / name, folder)
            for file in files:
                shutil.copy(FIXTURES / other / file, folder / file)
            if other == "vl2-small":
                (folder / "preprocessor_config.json").unlink()
            out, said = run("dsvl-encode", "-m", folder, status=3)
            assert not out and message in said, (name, other, files, said)


def test_a_shard_of_another_model():
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        shutil.copytree(FIXTURES / "vl2-base", folder)
        shutil.copy(FIXTURES / "vl-1.3b" / "model.safetensors", folder / "model-00002-of-00003.safetensors")
        out, said = run("dsvl-encode", "-m", folder, status=3)
        assert not out and "model-00002-of-00003.safetensors" in said, said


def test_the_smaller_picture_is_needed():
    model = FIXTURES / "vl-7b-transformers"
    expected = read_safetensors(model / "expected.safetensors")
    page = {"tiles": expected["tiles.0"]}
    facts = {"tiles_cols": 0, "tiles_rows": 0, "tile_size": 128, "document": "a", "page": 1}
    out, said = run("dsvl-encode", "-m", model, data=stream(record("tiles", page, **facts)), status=1)
    assert parse(out)[0][0]["dsvl.kind"] == "error" and "tiles_low" in said, said
    page["tiles_low"] = np.zeros((1, 40, 40, 3), np.uint8)
    out, said = run("dsvl-encode", "-m", model, data=stream(record("tiles", page, **facts)), status=1)
    assert parse(out)[0][0]["dsvl.kind"] == "error" and "tiles_low of 40 x 40 pixels does not fit" in said, said


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
