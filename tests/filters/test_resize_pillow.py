#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dsvl_resize against Pillow's Image.resize: filters, boxes, gray and RGB, rows apart, vector code and scalar code.

Both passes are asked of Pillow one by one, horizontal first, because Pillow 12.2 and later sometimes turn them round;
with a box that stands for its part of each axis, so the result is that of one call.
"""
import random
import sys
import tempfile

import numpy as np
from PIL import Image

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import resize_binding  # noqa: E402

FILTERS = {resize_binding.BOX: Image.Resampling.BOX, resize_binding.BILINEAR: Image.Resampling.BILINEAR,
           resize_binding.BICUBIC: Image.Resampling.BICUBIC}
COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 500


def by_pillow(pixels, width, height, box, filter_):
    image = Image.fromarray(pixels)
    x0, y0, x1, y1 = box or (0, 0, image.width, image.height)
    image = image.resize((width, image.height), filter_, box=(x0, 0, x1, image.height))
    return np.asarray(image.resize((width, height), filter_, box=(0, y0, width, y1)))


def draw_size(rng):
    kind = rng.random()
    if kind < 0.2:
        return rng.randrange(1, 4), rng.randrange(1, 900)
    if kind < 0.4:
        return rng.randrange(1, 900), rng.randrange(1, 4)
    if kind < 0.9:
        return rng.randrange(1, 120), rng.randrange(1, 120)
    return rng.randrange(300, 900), rng.randrange(300, 900)


def draw_box(rng, width, height):
    def side(n):
        a, b = sorted((rng.uniform(0, n), rng.uniform(0, n)))
        if rng.random() < 0.3:
            a, b = int(a), min(n, int(b) + 1)
        # As the C code gets them: rounded to float, and still inside.
        a, b = float(np.float32(a)), float(np.float32(b))
        return (a, b) if 0 <= a < b <= n else (0, n)
    (x0, x1), (y0, y1) = side(width), side(height)
    return x0, y0, x1, y1


def draw_pixels(rng, width, height, channels):
    """Noise, or black and white only: there the sums over- and undershoot most. Rows lie up to 40 bytes apart."""
    values = np.frombuffer(rng.randbytes(height * (width * channels + 40)), np.uint8)
    if rng.random() < 0.5:
        values = (values // 128) * 255
    rows = values.reshape(height, -1)[:, :width * channels + rng.choice((0, 1, 40))]
    rows = np.ascontiguousarray(rows)[:, :width * channels]
    shape, strides = (height, width), (rows.strides[0], channels)
    if channels == 3:
        shape, strides = (*shape, 3), (*strides, 1)
    return np.lib.stride_tricks.as_strided(rows, shape, strides)


def main():
    rng = random.Random(3)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        resizer = resize_binding.Resizer(folder)
        for i in range(COUNT):
            width, height = draw_size(rng)
            pixels = draw_pixels(rng, width, height, 3 if rng.random() < 0.7 else 1)
            to = draw_size(rng) if rng.random() < 0.8 else rng.choice(((width, 7), (9, height), (width, height)))
            box = draw_box(rng, width, height) if rng.random() < 0.5 else None
            filter_ = rng.choice(list(FILTERS))
            want = by_pillow(np.ascontiguousarray(pixels), *to, box, FILTERS[filter_])
            for name, entry in (("vector", resizer.fast), ("scalar", resizer.scalar)):
                got = resizer.resize(entry, pixels, *to, box, filter_)
                if not np.array_equal(got, want):
                    failed += 1
                    print(f"FAIL {i} {name}: {pixels.shape} -> {to}, box {box}, filter {filter_}: "
                          f"{int((got != want).sum())} of {want.size} bytes differ")
        for box in ((-1, 0, 4, 4), (0, 0, 5, 4), (0, 0, 4, float("nan")), (3, 0, 2, 4)):
            try:
                resizer.resize(resizer.fast, np.zeros((4, 4, 3), np.uint8), 2, 2, box)
                failed += 1
                print(f"FAIL: box {box} was taken")
            except ValueError:
                pass
    print(f"{COUNT} pictures resized, {failed} failures")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
