# SPDX-License-Identifier: Apache-2.0
"""dsvl-encode as a program: the same numbers as the published code, records in order, batches that change nothing,
identical tiles encoded once, and failures that stay with their page."""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from librecords import parse, read_safetensors, record, stream  # noqa: E402

MODEL = HERE.parent / "reference" / "fixtures" / "vl2-small"
EXPECTED = read_safetensors(MODEL / "expected.safetensors")
TILES = EXPECTED["tiles.0"]
SIZE = TILES.shape[1]
GRIDS = {6: (2, 3), 4: (2, 2), 2: (1, 2), 1: (1, 1), 3: (1, 3)}


def encode(data, *options, model=MODEL, status=0):
    run = subprocess.run(["dsvl-encode", "-m", str(model), *map(str, options)], input=data, capture_output=True)
    assert run.returncode == status, (run.returncode, status, run.stderr.decode())
    return parse(run.stdout), run.stderr.decode()


def page(tiles, number=1, grid=None, **facts):
    cols, rows = grid or GRIDS[len(tiles) - 1]
    facts = {"tiles_cols": cols, "tiles_rows": rows, "tile_size": tiles.shape[1], "document": "a.pdf", "page": number,
             **facts}
    return record("tiles", {"tiles": tiles}, **facts)


def random_pages(count, seed=1):
    rng = np.random.default_rng(seed)
    return [page(rng.integers(0, 256, (1 + c * r, SIZE, SIZE, 3), np.uint8), n + 1, (c, r))
            for n, (c, r) in enumerate(rng.integers(1, 4, (count, 2)).tolist())]


def test_parity():
    want = EXPECTED["embeddings.0"]
    for grid in [(c, (len(TILES) - 1) // c) for c in range(1, len(TILES)) if (len(TILES) - 1) % c == 0]:
        out, _ = encode(stream(page(TILES, grid=grid)))
        (facts, tensors), (end, _) = out
        if tensors["embeddings"].shape == want.shape:
            break
    got = tensors["embeddings"]
    assert got.dtype == np.float32
    assert np.abs(got - want).max() <= 2e-4 * np.abs(want).max()
    assert facts["dsvl.kind"] == "embeddings" and facts["model"] == MODEL.name and re.fullmatch("[0-9a-f]{64}", facts["model_hash"])
    assert re.fullmatch(r"dsvl-encode \d+\.\d+\.\d+", facts["made_by"]) and re.fullmatch(r"encode=\d+\.\d+", facts["seconds"])
    assert facts["document"] == "a.pdf" and facts["page"] == "1" and "tiles" not in tensors
    assert end["dsvl.kind"] == "end" and end["records"] == "1"


def test_order_and_passing_through():
    words = np.frombuffer(b"two words", np.uint8)
    boxes = np.arange(8, dtype=np.float32).reshape(2, 4)
    first = record("tiles", {"tiles": TILES[:2], "words.text": words, "words.boxes": boxes}, tiles_cols=1, tiles_rows=1,
                   made_by="dsvl-tile 0.1.0", seconds="tile=0.1000", unheard_of="kept")
    other = record("weather", {"rain": boxes}, where="outside")
    failed = record("error", stage="rasterize", message="broken", document="b.pdf", cause="input")
    pages = random_pages(3)
    out, _ = encode(stream(other, first, failed, *pages, other), "--batch", 4, status=1)
    assert [f["dsvl.kind"] for f, _ in out] == ["weather", "embeddings", "error"] + ["embeddings"] * 3 + ["weather", "end"]
    for facts, tensors in (out[0], out[6]):
        assert facts["where"] == "outside" and np.array_equal(tensors["rain"], boxes)
    facts, tensors = out[1]
    assert facts["unheard_of"] == "kept" and facts["made_by"].startswith("dsvl-tile 0.1.0; dsvl-encode ")
    assert facts["seconds"].startswith("tile=0.1000 encode=")
    assert np.array_equal(tensors["words.text"], words) and np.array_equal(tensors["words.boxes"], boxes)
    assert out[2][0]["message"] == "broken" and out[2][0]["stage"] == "rasterize"
    assert [f["page"] for f, _ in out[3:6]] == ["1", "2", "3"]


def test_batches_and_threads_change_nothing():
    data = stream(*random_pages(7), *random_pages(3), *random_pages(2, seed=2))
    whole = [t["embeddings"].tobytes() for f, t in encode(data)[0][:-1]]
    for options in (["--batch", 1], ["--batch", 3], ["--batch", 1000], ["--threads", 1], ["--threads", 3],
                    ["--max-memory", "1M", "--batch", 1000], ["--threads", 2, "--batch", 5]):
        assert [t["embeddings"].tobytes() for f, t in encode(data, *options)[0][:-1]] == whole, options


def test_identical_tiles_are_encoded_once():
    blank = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
    almost = blank.copy()
    almost[0, 30, 40, 1] = 254
    data = stream(page(np.concatenate([blank] * 5), grid=(2, 2)), page(np.concatenate([TILES[:1], blank, almost]), grid=(1, 2)),
                  page(np.concatenate([blank, almost]), grid=(1, 1)))
    for batch in (1, 100):  # within a batch, and remembered from one to the next
        out, said = encode(data, "--stats", "--batch", batch)
        assert "3 pages, 10 tiles, 3 encoded, 7 (70.0 %) equal" in said, said
    alone = encode(stream(page(np.concatenate([almost, blank]), grid=(1, 1))))[0][0][1]["embeddings"]
    side = 2  # 3 patches a side, padded to 4, halved
    local = out[2][1]["embeddings"][side * (side + 1) + 1:]
    assert np.array_equal(alone[:side * (side + 1)], local)
    assert not np.array_equal(alone[:side * (side + 1)], out[2][1]["embeddings"][:side * (side + 1)])
    assert encode(data)[1] == ""


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


def test_activations_of_8_bits():
    """The embedded model quantized, on a drawn page: near the float one, other bits, the same for any batch."""
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "nano"
        nano = HERE.parents[1] / "models" / "nano"
        subprocess.run(["dsvl-model", "quantize", "--quiet", "--bits", "8", nano, packed], check=True)
        pages = subprocess.run(["dsvl-rasterize", "--pages", "1", "--dpi", "60", HERE.parent / "data" / "report.pdf"],
                               stdout=subprocess.PIPE, check=True).stdout
        data = subprocess.run(["dsvl-tile", "-m", packed], input=pages, stdout=subprocess.PIPE, check=True).stdout
        wide = encode(data, model=packed)[0][0][1]["embeddings"]
        (facts, tensors), *_ = encode(data, "--activations", "int8", model=packed)[0]
        assert "--activations=int8" in facts["made_by"]
        near = cosine(wide, tensors["embeddings"])
        assert 0.999 <= near < 1 - 1e-9, near
        for options in (["--batch", 1, "--threads", 1], ["--batch", 3, "--threads", 3]):
            again = encode(data, "--activations=int8", *options, model=packed)[0][0][1]["embeddings"]
            assert again.tobytes() == tensors["embeddings"].tobytes(), options
        cache = ["--cache", Path(folder) / "cache"]
        for options, want in (([], wide), (["--activations", "int8"], tensors["embeddings"])) * 2:
            got = encode(data, *options, *cache, model=packed)[0][0][1]["embeddings"]
            assert got.tobytes() == want.tobytes(), options
        page_ = subprocess.run(["dsvl-encode", "-m", packed], input=data, stdout=subprocess.PIPE, check=True).stdout
        odds = [json.loads(subprocess.run(["dsvl-answer", "-m", packed, "-p", "Read the text.", "--max-tokens", "4",
                                           f"--activations={kind}"], input=page_, stdout=subprocess.PIPE,
                                          check=True).stdout)["mean_logprob"] for kind in ("f32", "int8")]
        assert 0 < abs(odds[0] - odds[1]) < 0.1, odds
    assert "need weights of 8 or 4 bits" in encode(b"", "--activations", "int8", status=2)[1]
    assert "f32 or int8" in encode(b"", "--activations", "int4", status=2)[1]


def test_bf16():
    data = stream(*random_pages(2))
    wide, narrow = encode(data)[0], encode(data, "--dtype", "bf16")[0]
    for (_, a), (facts, b) in zip(wide[:-1], narrow[:-1]):
        bits = a["embeddings"].view(np.uint32)
        rounded = ((bits + 0x7fff + (bits >> 16 & 1)) >> 16).astype(np.uint16)
        assert np.array_equal(rounded, b["embeddings"]) and "--dtype=bf16" in facts["made_by"]


def test_a_page_that_does_not_fit_fails_alone():
    big = np.zeros((2, SIZE + 1, SIZE + 1, 3), np.uint8)
    good = random_pages(2)
    cases = [(page(big, 9, (1, 1)), f"a.pdf, page 9: tiles of {SIZE + 1} x {SIZE + 1} pixels do not fit model vl2-small"),
             (page(TILES[:2], 9, (2, 1)), "2 tiles are not a global view and a grid of 2 x 1"),
             (page(TILES[:2], 9, (1, 1), tiles_cols="many"), "tiles_cols"),
             (page(TILES[:2], 9, (10 ** 6, 10 ** 6)), "tiles_cols"),
             (record("tiles", {}, tiles_cols=1, tiles_rows=1, page=9, document="a.pdf"), 'has no tensor "tiles"'),
             (record("tiles", {"tiles": TILES[:2].astype(np.float32)}, tiles_cols=1, tiles_rows=1, page=9), "F32"),
             (page(TILES[:2], 9, (1, 1), model="another"), "for model another do not fit model vl2-small")]
    for bad, message in cases:
        out, said = encode(stream(good[0], bad, good[1]), status=1)
        assert [f["dsvl.kind"] for f, _ in out] == ["embeddings", "error", "embeddings", "end"]
        facts, tensors = out[1]
        assert message in facts["message"] and facts["stage"] == "encode" and facts["cause"] == "input", facts
        assert facts["page"] == "9" and not tensors and message in said


def test_a_cut_stream_is_not_taken_for_a_whole_one():
    pages = random_pages(3)
    whole = stream(*pages)
    for cut in (len(pages[0]) + 100, len(pages[0]) + len(pages[1]), len(pages[0]) + len(pages[1]) + 4, len(whole) - 1):
        out, said = encode(whole[:cut], status=4)
        assert "cut short" in said and not any(f["dsvl.kind"] == "end" for f, _ in out)
        assert len(out) == (1 if cut < len(pages[0]) + len(pages[1]) else 2 if cut < len(whole) - 1 else 3)
    assert "cut short" in encode(b"", status=4)[1]


def test_output_that_cannot_be_written():
    with open("/dev/full", "wb") as full:
        run = subprocess.run(["dsvl-encode", "-m", MODEL], input=stream(*random_pages(2)), stdout=full, stderr=subprocess.PIPE)
    assert run.returncode == 5 and b"No space left" in run.stderr
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(["dsvl-encode", "-m", MODEL], input=stream(*random_pages(2)), stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert run.returncode == 5, run


def test_models_and_options_that_cannot_be():
    data = stream(*random_pages(1))
    assert "no such model folder" in encode(data, model="/nowhere", status=3)[1]
    assert "f32 or bf16" in encode(data, "--dtype", "f16", status=2)[1]
    assert "--max-memory" in encode(data, "--max-memory", "100", status=1)[1]


def test_a_page_does_not_wait_for_the_next():
    pages = random_pages(2)
    run = subprocess.Popen(["dsvl-encode", "-m", MODEL, "--batch", "1000"], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    os.set_blocking(run.stdout.fileno(), False)
    run.stdin.write(pages[0])
    run.stdin.flush()
    got, until = b"", time.monotonic() + 60
    while time.monotonic() < until:
        got += run.stdout.read() or b""
        try:
            if len(got) > 8 and parse(got):
                break
        except (AssertionError, ValueError):
            pass
        time.sleep(0.01)
    assert parse(got)[0][0]["dsvl.kind"] == "embeddings"
    run.stdin.close()
    assert run.wait() == 4  # no end record came


def test_files_as_operands(tmp=Path(os.environ.get("TMPDIR", "/tmp")) / f"dsvl-encode-{os.getpid()}"):
    tmp.mkdir()
    try:
        (tmp / "a").write_bytes(stream(*random_pages(1)))
        (tmp / "b").write_bytes(stream(*random_pages(2)))
        out, _ = encode(b"", tmp / "a", tmp / "b")
        assert [f["dsvl.kind"] for f, _ in out] == ["embeddings"] * 3 + ["end"]
    finally:
        for f in tmp.iterdir():
            f.unlink()
        tmp.rmdir()


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
