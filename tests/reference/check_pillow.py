#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare dsvl-tile's pixels with Pillow's, byte by byte.

    check_pillow.py [--tile bin/dsvl-tile] [--count N] [--seed S] [--goldens FILE [--write]]

Draws random pictures, sizes and model configurations, feeds them to dsvl-tile as concatenated PPM and compares every
tile with what the published processor's steps give when Pillow itself does them: ImageOps.pad with BICUBIC, then
crop. Every order of the resize passes that a Pillow has had is tried, and --cropping=off, the rule for more than two
images. --goldens checks (or with --write makes) the committed file of picture sizes and tile hashes, which needs no
Pillow on the C side: the picture of a golden is the byte sequence of `noise`, a few lines of C.
Needs Pillow 9.3 or later and numpy. Exit status 0 when all is equal, 1 when not, 2 when something is missing.
"""
import argparse
import json
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
from librecords import content_hash  # noqa: E402

HERE = Path(__file__).resolve().parent


def grid(size, most, count):
    return [[size * w, size * h] for w in range(1, most + 1) for h in range(1, most + 1) if w * h <= count]


# DeepSeek-VL2's own list, in its order, and others that it might have been.
VL2 = [[384 * w, 384 * h] for w, h in (
    (1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (1, 4), (4, 1), (2, 2), (1, 5), (5, 1), (1, 6), (6, 1), (2, 3), (3, 2),
    (1, 7), (7, 1), (1, 8), (8, 1), (2, 4), (4, 2), (1, 9), (9, 1), (3, 3))]
CONFIGS = {
    "vl2": dict(candidate_resolutions=VL2, patch_size=14),
    "nano": dict(candidate_resolutions=grid(256, 8, 48), patch_size=16),
    "odd": dict(candidate_resolutions=grid(45, 3, 6), patch_size=14),
    "clip": dict(candidate_resolutions=grid(224, 4, 9)[::-1][-1:] + grid(224, 4, 9)[::-1], patch_size=14,
                 image_mean=[0.48145466, 0.4578275, 0.40821073], image_std=[0.26862954, 0.26130258, 0.27577711]),
    "one": dict(candidate_resolutions=[[33, 33]], patch_size=11),
}


def processor_config(name):
    return dict({"processor_class": "DeepseekVLV2Processor", "downsample_ratio": 2, "image_mean": [0.5] * 3,
                 "image_std": [0.5] * 3, "normalize": True, "image_token": "<image>", "pad_token": "<｜▁pad▁｜>",
                 "add_special_token": False, "mask_prompt": False, "ignore_id": -100, "sft_format": "deepseek"},
                **CONFIGS[name])


# --- what should come out -----------------------------------------------------------------------------------------

def best_resolution(width, height, candidates):
    """The candidate that keeps most of the picture's pixels, then wastes fewest; the first of equals."""
    best, most, least = None, 0, float("inf")
    for w, h in candidates:
        scale = min(w / width, h / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        wasted = w * h - kept
        if kept > most or (kept == most and wasted < least):
            best, most, least = (w, h), kept, wasted
    return best


# Pillow resizes one axis, rounds to bytes, then the other; which comes first is its version's affair:
#   9.3 to 12.1: the horizontal pass, always; thus in every Pillow the published models were made and measured with;
#   12.2, 12.3: the vertical one for a picture more than 100 times as high as wide that gets less high;
#   13.0: the vertical one where the height shrinks by more than twice what the width does.
# The bytes differ. dsvl-tile follows the first unless told otherwise (--pillow). Whatever Pillow runs here, its two
# passes can be asked for one by one, so every order can be checked with every version from 9.3.
ORDERS = {"9.3": lambda w, h, width, height: False,
          "12.2": lambda w, h, width, height: h > 100 * w and height < h,
          "13.0": lambda w, h, width, height: h > height and h - height > 2 * (w - width)}
INSTALLED = tuple(int(v) for v in PIL.__version__.split(".")[:2])
NATIVE = "9.3" if (9, 3) <= INSTALLED < (12, 2) else "12.2" if INSTALLED < (13, 0) else "13.0"


def contain(image, size, order):
    """ImageOps.contain with the passes in the order of a Pillow version."""
    (width, height), (w, h) = size, image.size
    if w / h > width / height:
        height = round(h / w * width)
    elif w / h < width / height:
        width = round(w / h * height)
    middle = (w, height) if ORDERS[order](w, h, width, height) else (width, h)
    return image.resize(middle, Image.Resampling.BICUBIC).resize((width, height), Image.Resampling.BICUBIC)


def pad(image, size, color, order):
    """ImageOps.pad; a side that rounds to nothing leaves padding alone (as Pillow 13; earlier ones raise ValueError)."""
    try:
        if order == NATIVE:
            return ImageOps.pad(image, size, color=color)
        return ImageOps.pad(contain(image, size, order), size, color=color)
    except ValueError:
        return Image.new("RGB", size, color)


def expected(image, config, whole=False, order="9.3"):
    """u8 [T,S,S,3]: the global view, then the local tiles row by row."""
    size = config["candidate_resolutions"][0][0]
    color = tuple(int(m * 255) for m in config["image_mean"])
    best = (size, size) if whole else best_resolution(*image.size, config["candidate_resolutions"])
    tiles = [pad(image, (size, size), color, order)]
    page = pad(image, best, color, order)
    tiles += [page.crop((x, y, x + size, y + size)) for y in range(0, best[1], size) for x in range(0, best[0], size)]
    return np.stack([np.asarray(t) for t in tiles]), best


# --- pictures -----------------------------------------------------------------------------------------------------

def noise(width, height, seed):
    """width*height*3 bytes of a linear congruential sequence: s = s*1664525 + 1013904223 (mod 2^32), byte = s >> 24."""
    n = width * height * 3
    power = np.cumprod(np.concatenate(([1], np.full(n, 1664525))).astype(np.uint32), dtype=np.uint32)
    sums = np.cumsum(power[:-1], dtype=np.uint32)
    state = power[1:] * np.uint32(seed) + np.uint32(1013904223) * sums
    return Image.fromarray((state >> np.uint32(24)).astype(np.uint8).reshape(height, width, 3))


def smooth(width, height, rng):
    """A low-resolution picture blown up: what a photograph or a gradient does to the rounding."""
    small = np.frombuffer(rng.randbytes(5 * 7 * 3), np.uint8).reshape(5, 7, 3)
    return Image.fromarray(small.copy()).resize((width, height), Image.Resampling.BILINEAR)


def page(width, height, rng):
    """White paper with black strokes: saturates both ends of the range, where bicubic overshoots."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    for _ in range(40):
        x, y = rng.randrange(width), rng.randrange(height)
        pixels[y:y + rng.randrange(1, 9), x:x + rng.randrange(1, 40)] = rng.choice((0, 0, 64, 255))
    return Image.fromarray(pixels)


def sizes(rng, count, config):
    """Sizes where something happens: one pixel, exact fits, off by one, extreme ratios, scans, and random ones."""
    s = config["candidate_resolutions"][0][0]
    fixed = [(1, 1), (1, 2), (2, 1), (3, 1), (1, 50), (50, 1), (1, s), (s, 1), (1, 2000), (2000, 1), (2, 1999),
             (s, s), (s - 1, s), (s, s - 1), (s + 1, s), (s, s + 1), (2 * s, s), (s, 2 * s), (2 * s, 2 * s),
             (2 * s + 1, s), (2 * s - 1, 3 * s), (5, 7), (s // 2, s // 2), (1240, 1754), (827, 1169), (1275, 1650)]
    for w, h in fixed[:count]:
        yield w, h
    for _ in range(max(0, count - len(fixed))):
        kind = rng.random()
        if kind < 0.5:
            yield rng.randrange(1, 900), rng.randrange(1, 900)
        elif kind < 0.7:
            long, short = rng.randrange(1, 4000), rng.randrange(1, 12)
            yield (long, short) if rng.random() < 0.5 else (short, long)
        elif kind < 0.9:
            w, h = rng.choice(config["candidate_resolutions"])
            yield max(1, w + rng.randrange(-3, 4)), max(1, h + rng.randrange(-3, 4))
        else:
            yield rng.randrange(800, 2200), rng.randrange(800, 2200)


def draw(width, height, rng):
    kind = rng.random()
    if kind < 0.4:
        return noise(width, height, rng.randrange(1 << 32))
    return smooth(width, height, rng) if kind < 0.6 else page(width, height, rng)


# --- dsvl-tile ----------------------------------------------------------------------------------------------------

def records(data):
    """The records of a stream: (metadata, {name: array})."""
    types = {"U8": np.uint8, "F32": np.float32, "I64": np.int64, "I32": np.int32, "F16": np.float16}
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        header = json.loads(data[at + 8:at + 8 + length])
        at += 8 + length
        about, tensors, end = header.pop("__metadata__", {}), {}, 0
        for name, t in header.items():
            a, b = t["data_offsets"]
            tensors[name] = np.frombuffer(data, types.get(t["dtype"], np.uint8), offset=at + a,
                                          count=(b - a) // np.dtype(types.get(t["dtype"], np.uint8)).itemsize)
            tensors[name] = tensors[name].reshape(t["shape"]) if t["dtype"] in types else tensors[name]
            end = max(end, b)
        at += end
        yield about, tensors


def ppm(image):
    return b"P6\n%d %d\n255\n" % image.size + image.tobytes()


def run_tile(program, folder, images, extra=()):
    result = subprocess.run([program, "-m", folder, *extra, "-"], input=b"".join(ppm(i) for i in images),
                            capture_output=True)
    if result.returncode:
        raise SystemExit(f"{program}: status {result.returncode}: {result.stderr.decode(errors='replace')}")
    found = list(records(result.stdout))
    tiles = [t["tiles"] for about, t in found if about.get("dsvl.kind") == "tiles"]
    if not found or found[-1][0].get("dsvl.kind") != "end":
        raise SystemExit(f"{program}: the stream has no end record")
    if len(tiles) != len(images):
        raise SystemExit(f"{program}: {len(images)} pictures in, {len(tiles)} tiles records out")
    return tiles


def compare(got, want, what):
    if got.shape != want.shape or got.dtype != want.dtype:
        print(f"FAIL {what}: {got.dtype} {got.shape}, Pillow has {want.shape}")
        return 1
    if np.array_equal(got, want):
        return 0
    t, y, x, c = np.argwhere(got != want)[0]
    print(f"FAIL {what}: {int((got != want).sum())} bytes differ, at most by "
          f"{int(np.abs(got.astype(int) - want).max())}; first in tile {t} row {y} column {x} channel {c}: "
          f"{got[t, y, x, c]}, Pillow has {want[t, y, x, c]}")
    return 1


def live(args):
    rng = random.Random(args.seed)
    failed = done = 0
    with tempfile.TemporaryDirectory() as root:
        for name in CONFIGS:
            config = processor_config(name)
            folder = Path(root) / name
            folder.mkdir()
            (folder / "processor_config.json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
            count = max(8, args.count // len(CONFIGS))
            images = [draw(w, h, rng) for w, h in sizes(rng, count, config)]
            runs = [(False, order, ("--pillow=" + order,)) for order in ORDERS] + [(True, "9.3", ("--cropping=off",))]
            for whole, order, extra in runs:
                for start in range(0, len(images), 16):
                    batch = images[start:start + 16]
                    for image, got in zip(batch, run_tile(args.tile, str(folder), batch, extra)):
                        want, best = expected(image, config, whole, order)
                        done += 1
                        failed += compare(got, want, f"{name} {image.width}x{image.height} -> {best[0]}x{best[1]} "
                                          + " ".join(extra))
    print(f"{done - failed} of {done} pictures tiled as Pillow does")
    return failed


# --- goldens ------------------------------------------------------------------------------------------------------

GOLDEN_SIZES = {
    "vl2": [(1, 1), (1, 3), (3, 1), (1000, 1), (1, 1000), (384, 384), (383, 384), (385, 384), (384, 385), (768, 384),
            (300, 200), (640, 480), (800, 600), (827, 1169), (1240, 1754), (100, 777), (777, 100), (33, 1500), (7, 11)],
    "nano": [(1, 1), (256, 256), (257, 256), (512, 256), (511, 300), (90, 130), (1200, 37), (620, 877), (5, 900)],
    "odd": [(1, 1), (45, 45), (46, 45), (97, 131), (150, 90), (3, 200), (200, 3)],
    "clip": [(224, 224), (225, 300), (640, 427), (50, 80)],
    "one": [(33, 33), (10, 20), (100, 99), (500, 2)],
}


def goldens(path, write):
    lines, failed = [], 0
    for name, all_sizes in GOLDEN_SIZES.items():
        config = processor_config(name)
        for i, (w, h) in enumerate(all_sizes):
            for whole in (False, True):
                tiles, best = expected(noise(w, h, 7 + i), config, whole)
                lines.append({"config": name, "size": [w, h], "seed": 7 + i, "whole": whole, "best": list(best),
                              "tiles": len(tiles), "hash": content_hash(tiles)})
    if write:
        head = {"configs": {n: {k: c[k] for k in ("candidate_resolutions", "image_mean")} for n, c in
                            ((n, processor_config(n)) for n in CONFIGS)}}
        path.write_text("".join(json.dumps(v) + "\n" for v in [head] + lines), encoding="utf-8")
        print(f"{path}: {len(lines)} goldens")
        return 0
    have = [json.loads(v) for v in path.read_text(encoding="utf-8").splitlines()][1:]
    for a, b in zip(have, lines):
        if a != b:
            failed += 1
            print(f"FAIL golden {a['config']} {a['size']}: this Pillow gives {b['best']} {b['hash'][:12]}")
    print(f"{len(lines) - failed} of {len(lines)} goldens are what this Pillow gives")
    return failed + abs(len(have) - len(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tile", help="the dsvl-tile program")
    parser.add_argument("--count", type=int, default=250, help="pictures to draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--goldens", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if not args.tile and not args.goldens:
        parser.error("--tile or --goldens")
    failed = 0
    if args.goldens:
        failed += goldens(args.goldens, args.write)
    if args.tile:
        failed += live(args)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
