# SPDX-License-Identifier: Apache-2.0
"""Synthetic tiles as dsvl-read sets them: pieces of lines of print, one to a row of visual tokens.

Each sample carries its tile, the answer, and for every character of the answer the place in the tile that it is read from
(training-only supervision).
"""
import random

import cairo
import numpy as np
from PIL import Image

import fonts
import raster
from raster import Font, Page
from words import CHARSET, Words

TILE, PITCH = 256, 32  # pixels: of a tile, of a row
EM = (19., 31.)        # type sizes
CANDIDATES = [[a * TILE, b * TILE] for a in range(1, 7) for b in range(1, 9)]
PROMPT = "Read the text."
CELLS = ("word", "name", "number", "int", "grouped", "dec1", "dec2", "dec3", "percent", "amount", "date", "code", "flag",
         "random", "phrase")


class Answer:
    """A string and, for each of its characters, where it stands in the picture (or None)."""

    def __init__(self):
        self.s, self.at = "", []

    def add(self, s, at=None):
        self.s += s
        self.at += at if at is not None else [None] * len(s)


class Sample:
    def __init__(self, kind, answer, page):
        self.kind, self.answer, self.page = kind, answer.s, page
        self.at, self.chars = answer.at, page.chars
        self.tile = None  # [TILE, TILE]: both views of the image


class Generator:
    def __init__(self, seed, held=False):
        self.r = random.Random(seed)
        self.nr = np.random.default_rng(seed)
        self.w = Words(self.r, held)
        self.families, self.weights = fonts.split(held)

    # ---- choices

    def em(self):
        return self.r.triangular(*EM, EM[1] - 4) if self.r.random() < .8 else self.r.uniform(*EM)

    def font(self, size=None, bold=None, italic=None):
        r = self.r
        while True:
            f = r.choices(self.families, self.weights)[0] if r.random() < .4 else r.choice(self.families)
            b = r.random() < .13 if bold is None else bold
            i = r.random() < .09 if italic is None else italic
            try:
                return Font(f, size or self.em(), b, i, r.random() < .5)
            except cairo.Error:
                continue

    def shades(self):
        """(ink, paper)"""
        r = self.r
        ink = 0 if r.random() < .6 else r.randint(0, 100)
        paper = 255 if r.random() < .65 else r.randint(215, 255)
        return (paper, r.randint(0, 60)) if r.random() < .02 else (ink, paper)

    def strip(self, font, s):
        """s without what the font cannot print"""
        return s if font.can(s) else "".join(c for c in s if font.can(c))

    def baseline(self, em):
        """Of a line, below the top of its row: capitals and descenders in its middle, nearly."""
        return min(max(PITCH / 2 + .27 * em + self.r.triangular(-4, 5), .76 * em), PITCH - .2 * em)

    # ---- rows

    def line(self, page, ans, fonts_, x, y, words, gap, track=0.):
        """Sets words, one font each, gap apart; adds the line to the answer."""
        if ans.s:
            ans.add("\n")
        for k, (f, w) in enumerate(zip(fonts_, words)):
            if k:
                ans.add(" ", [(x - gap / 2, y - raster.MIDDLE * f.size)])
            at, end = page.text(f, x, y, w, track)
            ans.add(w, at)
            x = end + gap
        return x - gap

    def cell(self, t):
        r, w = self.r, self.w
        if t == "word":
            return w.word() if r.random() < .7 else w.word() + " " + w.word().lower()
        if t == "name":
            return w.name() if r.random() < .7 else w.name() + " " + w.name()
        if t == "phrase":
            return " ".join(w.token("words") for _ in range(r.randint(2, 7)))
        if t == "number":
            return w.number()
        if t == "int":
            return str(r.randint(0, 10 ** r.randint(1, 5)))
        if t == "grouped":
            return w.grouped(r.randint(100, 10 ** r.randint(3, 7)))
        if t.startswith("dec"):
            return f"{r.random() * 10 ** r.randint(0, 4) * r.choice([1, 1, 1, -1]):.{t[3:]}f}"
        if t == "percent":
            return f"{r.random() * 100:.1f}%"
        if t == "amount":
            return w.amount()
        if t == "date":
            return w.date()
        if t == "code":
            return w.code()
        if t == "flag":
            return r.choice(["yes", "no", "Yes", "No", "–", "-", "n/a", "N/A", "x", "OK", "true", "false", "A", "B"])
        return w.random_string(r.randint(2, 7))

    def piece(self, font, style, room):
        """What stands in one row: words up to room, or what a cell of a table holds."""
        r, kind = self.r, style
        if style == "mixed":
            kind = r.choice(["words", "cell", "random", "number", "mixed"])
        if kind == "cell":
            t = self.strip(font, self.cell(r.choice(CELLS)))
            t = " ".join(t.split())
            while len(t) > 1 and font.advance(t) > room:
                t = t[:-1].strip()
            return t or "x"
        full = room * (1 if r.random() < .75 else r.uniform(.1, 1))
        s, rest = "", r.random() < .04
        while True:
            t = self.strip(font, self.w.token(kind))
            if rest and len(t) > 4:  # the second half of a word
                t, rest = t[r.randint(1, len(t) - 2):], False
            if not t:
                continue
            if font.advance(s + " " * bool(s) + t) > full:
                if not s or r.random() < .06:  # a word without room goes on in the next row, with a hyphen or without
                    cut = "-" if r.random() < .5 and s else ""
                    while t and font.advance(s + " " * bool(s) + t + cut) > full:
                        t = t[:-1]
                    s += (" " * bool(s) + t + cut) if len(t) > 1 else ""
                return s or self.strip(font, "1a")
            s += " " * bool(s) + t

    def lines(self):
        r = self.r
        page, ans = Page(TILE, TILE, *self.shades()), Answer()
        first = self.font()
        style = r.choices(["words", "cell", "mixed", "random", "number"], [40, 36, 14, 4, 6])[0]
        rows = page.h // PITCH
        count = rows if r.random() < .85 else r.randint(1, rows)
        vary, ruled, gap = r.random() < .3, r.random() < .12, r.random() < .25
        for row in range(count):
            f = first
            if vary and r.random() < .5:
                f = self.font() if r.random() < .4 else f.variant(r.uniform(*EM), bold=r.random() < .4,
                                                                           italic=r.random() < .2)
            em = f.size
            track = 0. if f.shaper or r.random() < .8 else r.uniform(-.015, .06) * em
            x, y = r.uniform(1, 10), row * PITCH + self.baseline(em)
            words = self.piece(f, style, page.w - 14 - x).split(" ")
            space = max(.18 * em, f.glyph(" ")[1]) * (r.uniform(.8, 1.6) if gap else 1)
            used = sum(page.width(f, t, track) for t in words)
            if len(words) > 1:
                space = min(space, max(.16 * em, (page.w - 3 - x - used) / (len(words) - 1)))
            begun = len(page.chars)
            end = self.line(page, ans, [f] * len(words), x, y, words, space, track)
            middle = row * PITCH + PITCH * .75  # one place for all heights of a row
            page.chars[begun:] = [(a, middle, c) for a, _, c in page.chars[begun:]]
            if r.random() < .02:
                page.line(x, y + .12 * em, end, y + .12 * em, max(1, em * .05), page.ink)
            if ruled and r.random() < .4:
                q = row * PITCH + r.choice([r.uniform(0, 2), PITCH - r.uniform(0, 2)])
                page.line(r.uniform(0, 4), q, r.choice([page.w, end + 4]), q, r.uniform(.6, 2), r.choice([page.ink, 120, 180]))
            if ruled and r.random() < .15:
                q = r.choice([x - .3 * em, end + .4 * em])
                page.line(q, row * PITCH, q, row * PITCH + PITCH, r.uniform(.6, 2), r.choice([page.ink, 120, 180]))
        ans.at = [p and (p[0], p[1] // PITCH * PITCH + PITCH * .75) for p in ans.at]
        return Sample("lines", ans, page)

    # ---- nothing to read

    def blank(self):
        r = self.r
        page = Page(TILE, TILE, *self.shades())
        w, h = page.w, page.h
        k = r.random()
        if k < .35:
            pass
        elif k < .6:
            for _ in range(r.randint(1, 6)):
                if r.random() < .5:
                    y = r.uniform(0, h)
                    page.line(r.uniform(0, w / 2), y, r.uniform(w / 2, w), y, r.uniform(.5, 3), page.ink)
                else:
                    x = r.uniform(0, w)
                    page.line(x, r.uniform(0, h / 2), x, r.uniform(h / 2, h), r.uniform(.5, 3), page.ink)
        elif k < .8:
            for _ in range(r.randint(1, 5)):
                page.rect(r.uniform(0, w), r.uniform(0, h), r.uniform(5, w), r.uniform(5, h), r.randint(0, 255))
        else:  # an empty form
            n, m, x, y = r.randint(1, 5), r.randint(1, 8), r.uniform(2, 20), r.uniform(2, 20)
            dx, dy = (w - 2 * x) / n, (h - 2 * y) / m
            for i in range(n + 1):
                page.line(x + i * dx, y, x + i * dx, y + m * dy, 1, page.ink)
            for i in range(m + 1):
                page.line(x, y + i * dy, x + n * dx, y + i * dy, 1, page.ink)
        return Sample("blank", Answer(), page)

    # ---- many at once

    def samples(self, n, mix=None, poppler=.25, clean=False):
        """n finished samples; about the given part of them rasterized by Poppler."""
        r, todo = self.r, []
        mix = mix or {"lines": 97, "blank": 3}
        for _ in range(n):
            s = getattr(self, r.choices(list(mix), list(mix.values()))[0])()
            todo.append((s, r.uniform(-.3, .3) if r.random() < .12 and not clean else 0., r.random() < poppler))
        via = [(s, skew) for s, skew, p in todo if p]
        if via:
            for (s, _), a in zip(via, raster.by_poppler([s.page for s, _ in via], [k for _, k in via])):
                s.tile = a
        for s, skew, p in todo:
            if not p:
                how = r.random()
                if how < .5:
                    s.tile = raster.by_cairo(s.page, 1, skew)
                elif how < .75:
                    s.tile = raster.by_cairo(s.page, 1, skew, r.choice([cairo.HintStyle.SLIGHT, cairo.HintStyle.MEDIUM,
                                                                        cairo.HintStyle.FULL]))
                elif how < .97:
                    s.tile = raster.by_cairo(s.page, r.choice([2, 3]), skew)
                else:
                    s.tile = raster.by_cairo(s.page, 1, skew, cairo.HintStyle.FULL, False)
            if not clean and r.random() < .5:
                s.tile = raster.degrade(s.tile, r, self.nr)
            s.page = None
        return [s for s, _, _ in todo]


SLOTS = 3
CLASS = {c: i + 1 for i, c in enumerate(CHARSET)}
IGNORE = 255


def dense_labels(chars, w, h, patch=16, tolerance=1.):
    """[h/patch, w/patch, SLOTS]: which character stands in each third of each patch; 0 is none.

    A character within the tolerance of a border may be named on either side of it: the other side is IGNOREd.
    """
    rows, cols, sw = h // patch, w // patch * SLOTS, patch / SLOTS
    lab = np.zeros((rows, cols), np.uint8)
    either = np.zeros((rows, cols), bool)
    for x, y, c in chars:
        if not (0 <= x < w and 0 <= y < h) or c not in CLASS:
            continue
        i, j = int(y / patch), int(x / sw)
        for q in (j, j + 1, j - 1):
            if 0 <= q < cols and lab[i, q] == 0:
                lab[i, q] = CLASS[c]
                break
        a0, a1 = i - (y - patch * i < tolerance), i + (patch * i + patch - y < tolerance)
        b0, b1 = j - (x - sw * j < tolerance), j + (sw * j + sw - x < tolerance)
        either[max(a0, 0):a1 + 1, max(b0, 0):b1 + 1] = True
    lab[either & (lab == 0)] = IGNORE
    return lab.reshape(rows, w // patch, SLOTS)


if __name__ == "__main__":  # python gen.py FILE: a look at some samples, and how fast they come
    import sys
    import time
    g = Generator(1)
    t = time.process_time()
    some = g.samples(24)
    print(f"{1000 * (time.process_time() - t) / len(some):.1f} ms a tile")
    Image.fromarray(np.vstack([np.hstack([s.tile for s in some[i:i + 6]]) for i in range(0, 24, 6)])).save(sys.argv[1])
    for s in some[:6]:
        assert len(s.at) == len(s.answer)
        print(repr(s.answer))
