#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The resizes of dsvl-tile against Pillow's own, one thread each, in one run: bytes equal, then time.

Pillow gets an image that is decoded already, dsvl_resize a picture in memory; both make a new picture. The best of
several turns counts, taken in alternation so that both see the same machine.
"""
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "filters"))
import resize_binding  # noqa: E402

# What the published candidate list makes of common pages, and of pictures that grow.
CASES = [("A4 at 150 dpi, mosaic", (1240, 1754), (814, 1152)), ("A4 at 150 dpi, global view", (1240, 1754), (271, 384)),
         ("A4 at 300 dpi, mosaic", (2480, 3508), (814, 1152)), ("A4 at 300 dpi, global view", (2480, 3508), (271, 384)),
         ("screen, mosaic", (1920, 1080), (1365, 768)), ("letter at 100 dpi, mosaic", (850, 1100), (890, 1152)),
         ("small picture, mosaic", (640, 480), (768, 576)), ("thumbnail, mosaic", (200, 200), (384, 384)),
         ("receipt, mosaic", (600, 2400), (384, 1536))]
TURNS = 15


def best(calls):
    """Least seconds of each call."""
    least = [float("inf")] * len(calls)
    for _ in range(TURNS):
        for i, call in enumerate(calls):
            begun = time.perf_counter()
            call()
            least[i] = min(least[i], time.perf_counter() - begun)
    return least


def main():
    rng = np.random.default_rng(1)
    ratios, differing = [], 0
    print(f"bench_tile: bicubic resize, Pillow {PIL.__version__} / dsvl, one thread")
    with tempfile.TemporaryDirectory() as folder:
        resizer = resize_binding.Resizer(folder)
        for name, (w, h), (dw, dh) in CASES:
            pixels = rng.integers(0, 256, (h, w, 3), np.uint8)
            image = Image.fromarray(pixels)
            by_passes = image.resize((dw, h), Image.Resampling.BICUBIC).resize((dw, dh), Image.Resampling.BICUBIC)
            differing += not np.array_equal(np.asarray(by_passes), resizer.resize(resizer.fast, pixels, dw, dh))
            pillow, fast, scalar = best([lambda: image.resize((dw, dh), Image.Resampling.BICUBIC),
                                         lambda: resizer.resize(resizer.fast, pixels, dw, dh),
                                         lambda: resizer.resize(resizer.scalar, pixels, dw, dh)])
            ratios.append(pillow / fast)
            print(f"  {name:28} {w:4}x{h:<4} -> {dw:4}x{dh:<4}  {1e3 * pillow:7.2f} ms / {1e3 * fast:6.2f} ms"
                  f" = {pillow / fast:5.2f}   (scalar code {pillow / scalar:.2f})")
    print(f"  least ratio {min(ratios):.2f}, wanted 3" + (f"; {differing} pictures DIFFER" if differing else ""))
    sys.exit(differing > 0)


if __name__ == "__main__":
    main()
