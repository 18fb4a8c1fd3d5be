# SPDX-License-Identifier: Apache-2.0
"""dsvl-tile as a program: what its records say, what passes through, the rule for more than two images, pictures and
streams in any mixture. The pixels themselves are compared with Pillow's in tests/reference."""
import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "reference"))
import check_pillow as oracle  # noqa: E402
from librecords import content_hash, parse, record, stream  # noqa: E402

CONFIG = oracle.processor_config("odd")  # tiles of 45 pixels, up to 3 x 2 or 2 x 3
SIZE = 45
RNG = np.random.default_rng(5)
ROOT = tempfile.TemporaryDirectory()
MODEL = Path(ROOT.name) / "odd"
MODEL.mkdir()
(MODEL / "processor_config.json").write_text(json.dumps(CONFIG, ensure_ascii=False), encoding="utf-8")


def tile(data, *options, status=0):
    run = subprocess.run(["dsvl-tile", "-m", MODEL, *map(str, options)], input=data, capture_output=True)
    assert run.returncode == status, (run.returncode, status, run.stderr.decode())
    return parse(run.stdout), run.stderr.decode()


def picture(width=120, height=80):
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


def page(pixels=None, number=1, kind="page", document="a.pdf", **facts):
    return record(kind, {"pixels": picture() if pixels is None else pixels}, document=document, page=number, **facts)


def expected(pixels, cropping=True):
    return oracle.expected(Image.fromarray(pixels), CONFIG, not cropping)[0]


def grids(out):
    """(page, columns, rows) of the tiles records."""
    return [(f["page"], int(f["tiles_cols"]), int(f["tiles_rows"])) for f, _ in out if f["dsvl.kind"] == "tiles"]


def test_record():
    pixels = picture(120, 70)
    words = {"words.text": np.frombuffer("zwei Wörter".encode(), np.uint8), "words.offsets": np.array([0, 4, 11], np.int32),
             "words.boxes": np.arange(8, dtype=np.float32).reshape(2, 4)}
    data = record("page", {"pixels": pixels, **words}, document="a.pdf", page=3, pages=9, page_label="iii", dpi=150,
                  crop_pt="0 0 1 1", unheard_of="kept", made_by="dsvl-rasterize 0.1.0", seconds="rasterize=0.1000")
    out, _ = tile(stream(data))
    (facts, tensors), (end, _) = out
    assert facts["dsvl.kind"] == "tiles" and "pixels" not in tensors
    assert np.array_equal(tensors["tiles"], expected(pixels)) and tensors["tiles"].shape == (7, SIZE, SIZE, 3)
    for name, value in words.items():
        assert np.array_equal(tensors[name], value) and tensors[name].dtype == value.dtype
    want = {"document": "a.pdf", "page": "3", "pages": "9", "page_label": "iii", "dpi": "150", "crop_pt": "0 0 1 1",
            "unheard_of": "kept", "tiles_cols": "3", "tiles_rows": "2", "tile_size": "45", "content_box": "0 6 135 79",
            "image_width": "120", "image_height": "70"}
    # The mosaic that the table in check_pillow.py chooses; the box is what ImageOps.contain makes of it.
    best = oracle.best_resolution(120, 70, CONFIG["candidate_resolutions"])
    want["tiles_cols"], want["tiles_rows"] = str(best[0] // SIZE), str(best[1] // SIZE)
    height = round(70 / 120 * best[0])
    want["content_box"] = f"0 {round((best[1] - height) / 2)} {best[0]} {height}"
    for key, value in want.items():
        assert facts[key] == value, (key, facts[key], value)
    assert facts["tiles_hash"] == content_hash(tensors["tiles"])
    assert re.fullmatch(r"dsvl-rasterize 0\.1\.0; dsvl-tile \S+ --per=page --cropping=auto --pillow=9\.3", facts["made_by"])
    assert re.fullmatch(r"rasterize=0\.1000 tile=\d+\.\d{4}", facts["seconds"])
    assert end["dsvl.kind"] == "end" and end["records"] == "1" and end["count.tiles"] == "1"


def test_content_box_is_where_the_page_stands():
    for width, height in ((120, 70), (40, 200), (50, 50), (300, 20)):
        black = np.zeros((height, width, 3), np.uint8)
        facts, tensors = tile(stream(page(black)))[0][0]
        cols, rows = int(facts["tiles_cols"]), int(facts["tiles_rows"])
        local = tensors["tiles"][1:].reshape(rows, cols, SIZE, SIZE, 3).swapaxes(1, 2).reshape(rows * SIZE, cols * SIZE, 3)
        x, y, w, h = map(int, facts["content_box"].split())
        assert not local[y:y + h, x:x + w].any()
        local = local.copy()
        local[y:y + h, x:x + w] = 127
        assert (local == 127).all()


def test_other_records_pass():
    other = record("weather", {"rain": np.arange(4, dtype=np.float32)}, where="outside")
    failed = record("error", stage="rasterize", message="broken", document="b.pdf", cause="input")
    done = record("tiles", {"tiles": np.zeros((2, 9, 9, 3), np.uint8)}, tiles_cols=1, tiles_rows=1)
    out, _ = tile(stream(other, page(kind="region", region="2"), failed, done, page(number=2)), status=1)
    assert [f["dsvl.kind"] for f, _ in out] == ["weather", "tiles", "error", "tiles", "tiles", "end"]
    assert out[0][0]["where"] == "outside" and np.array_equal(out[0][1]["rain"], np.arange(4, dtype=np.float32))
    assert out[1][0]["region"] == "2" and out[2][0]["stage"] == "rasterize"
    assert out[3][1]["tiles"].shape == (2, 9, 9, 3)


def test_per_document():
    def pages(name, count):
        return [page(number=n + 1, document=name, pages=50) for n in range(count)]

    data = stream(*pages("one", 1), *pages("two", 2), *pages("three", 3), *pages("again two", 2), *pages("five", 5))
    cropped = oracle.best_resolution(120, 80, CONFIG["candidate_resolutions"])
    cropped = (cropped[0] // SIZE, cropped[1] // SIZE)
    assert cropped != (1, 1)
    out, _ = tile(data, "--per=document")
    assert grids(out) == [(str(n + 1), *(cropped if count <= 2 else (1, 1)))
                          for count in (1, 2, 3, 2, 5) for n in range(count)]
    assert "--per=document" in out[0][0]["made_by"]
    # Two tiles even then: the global view and a local one that equals it.
    assert out[3][1]["tiles"].shape[0] == 2 and np.array_equal(out[3][1]["tiles"][0], out[3][1]["tiles"][1])
    for option, grid in (("--per=page", cropped), ("--cropping=off", (1, 1)), ("--cropping=on", cropped)):
        options = [option] if option == "--per=page" else ["--per=document", option]
        assert {g[1:] for g in grids(tile(data, *options)[0])} == {grid}
    # What is no image does not count, and overtakes the images that wait.
    failed = record("error", stage="rasterize", message="broken", document="two", page=2, cause="input")
    out, _ = tile(stream(*pages("two", 2)[:1], failed, failed, *pages("two", 2)[1:]), "--per=document", status=1)
    assert [f["dsvl.kind"] for f, _ in out] == ["error", "error", "tiles", "tiles", "end"]
    assert {g[1:] for g in grids(out)} == {cropped}


def encoded(pixels, format_, **options):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format_, **options)
    return data.getvalue()


def test_pictures():
    a, b, c = picture(), picture(30, 200), picture(64, 64)
    folder = Path(ROOT.name)
    tiff = io.BytesIO()
    Image.fromarray(a).save(tiff, "TIFF", save_all=True, append_images=[Image.fromarray(b)])
    files = {"a.png": encoded(a, "PNG"), "ab.tif": tiff.getvalue(), "c.stream": stream(page(c)),
             "bc.ppm": oracle.ppm(Image.fromarray(b)) + oracle.ppm(Image.fromarray(c))}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    out, _ = tile(oracle.ppm(Image.fromarray(c)), *(folder / name for name in files), "-")
    want = [("a.png", "1", "1", a), ("ab.tif", "1", "2", a), ("ab.tif", "2", "2", b), ("a.pdf", "1", None, c),
            ("bc.ppm", "1", "2", b), ("bc.ppm", "2", "2", c), ("-", "1", "1", c)]
    assert out[-1][0]["dsvl.kind"] == "end" and len(out) == len(want) + 1
    for (facts, tensors), (document, number, pages, pixels) in zip(out, want):
        assert (Path(facts["document"]).name, facts["page"], facts.get("pages")) == (document, number, pages)
        assert np.array_equal(tensors["tiles"], expected(pixels))
        if pages:
            assert facts["pixels_hash"] == content_hash(pixels)
    jpeg = encoded(a, "JPEG", quality=90)
    assert np.array_equal(tile(jpeg)[0][0][1]["tiles"],
                          expected(np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))))


def test_streams_in_parts():
    records = [page(picture(*RNG.integers(1, 200, 2)), n + 1) for n in range(9)]
    whole = [t["tiles"].tobytes() for f, t in tile(stream(*records))[0][:-1]]
    parts = [stream(*records[:4]), stream(), stream(*records[4:])]
    assert [t["tiles"].tobytes() for f, t in tile(b"".join(parts))[0][:-1]] == whole
    names = []
    for i, part in enumerate(parts):
        names.append(Path(ROOT.name) / f"part{i}")
        names[-1].write_bytes(part)
    assert [t["tiles"].tobytes() for f, t in tile(b"", *names)[0][:-1]] == whole


def test_first_tiles_come_before_the_last_page():
    """Pages are not gathered: each is written before the next one has to come."""
    run = subprocess.Popen(["dsvl-tile", "-m", MODEL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    one = page()
    run.stdin.write(one)
    head = run.stdout.read(9)
    assert len(head) == 9 and head[8:] == b"{"
    rest = run.communicate(stream(one)[len(one):])[0]
    assert len(parse(head + rest)) == 2 and run.returncode == 0


def test_embedded_model():
    run = subprocess.run(["dsvl-tile"], input=stream(page(picture(700, 900))), capture_output=True, check=True)
    facts, tensors = parse(run.stdout)[0]
    config = json.loads((HERE.parent.parent / "models" / "nano" / "processor_config.json").read_text(encoding="utf-8"))
    assert int(facts["tile_size"]) == config["candidate_resolutions"][0][0] == tensors["tiles"].shape[1]


def test_options():
    for options in (["--per=chapter"], ["--cropping=maybe"], ["--pillow=8"], ["--max-pixels=0"], ["--nonsense"]):
        out, message = tile(b"", *options, status=2)
        assert out == [] and options[0].split("=")[0] in message
    run = subprocess.run(["dsvl-tile", "--help"], capture_output=True, check=True, text=True)
    assert "--cropping" in run.stdout and run.stderr == ""


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
