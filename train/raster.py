# SPDX-License-Identifier: Apache-2.0
"""A page as a list of drawing operations, and the ways to turn it into grey pixels.

Text is set glyph by glyph at unhinted advances, so the place of every character is known exactly, whichever
rasterizer draws it: cairo (with or without hinting and supersampling) or a PDF through Poppler.
"""
import io
import math
import os
import subprocess
import tempfile

import cairo
import numpy as np
import uharfbuzz
from PIL import Image, ImageFilter

import fonts

MIDDLE = .28  # of an em: the height at which a character "is"


class Font:
    """One typeface at one size in pixels; shaped: with the kerning and ligatures of the typeface."""

    def __init__(self, family, size, bold=False, italic=False, shaped=False):
        self.size, self.have = size, fonts.families()[family]
        self.key = (family, bold, italic, shaped)
        self.face = cairo.ToyFontFace(family, cairo.FontSlant.ITALIC if italic else cairo.FontSlant.NORMAL,
                                      cairo.FontWeight.BOLD if bold else cairo.FontWeight.NORMAL)
        opt = cairo.FontOptions()
        opt.set_hint_style(cairo.HintStyle.NONE)
        opt.set_hint_metrics(cairo.HintMetrics.OFF)
        self.scaled = cairo.ScaledFont(self.face, cairo.Matrix(xx=size, yy=size), cairo.Matrix(), opt)
        self._glyph, self._run, self.shaper = {}, {}, None
        if shaped:
            face = fonts.shaping_face(family, bold, italic)
            if face:
                self.shaper = uharfbuzz.Font(face)
                self.shaper.scale = (round(size * 64), round(size * 64))
                if any(self.shaper.get_nominal_glyph(ord(c)) != self.glyph(c)[0] for c in "Ha0&"):
                    self.shaper = None  # not the file that cairo draws with

    def glyph(self, c):
        """(glyph index, advance)"""
        g = self._glyph.get(c)
        if g is None:
            g = self.scaled.text_to_glyphs(0, 0, c, False)
            g = self._glyph[c] = (g[0].index, self.scaled.text_extents(c).x_advance)
        return g

    def run(self, s):
        """[(glyph index, advance, x offset, y offset, number of characters)]"""
        if not self.shaper or not s:
            return [(*self.glyph(c), 0, 0, 1) for c in s]
        r = self._run.get(s)
        if r is None:
            b = uharfbuzz.Buffer()
            b.add_str(s)
            b.guess_segment_properties()
            uharfbuzz.shape(self.shaper, b)
            starts = [i.cluster for i in b.glyph_infos]
            r = []
            for i, p, at in zip(b.glyph_infos, b.glyph_positions, starts):
                end = min((t for t in starts if t > at), default=len(s))
                again = bool(r) and r[-1][5] == at
                r.append((i.codepoint, p.x_advance / 64, p.x_offset / 64, -p.y_offset / 64, 0 if again else end - at, at))
            r = self._run[s] = [q[:5] for q in r]
        return r

    def advance(self, s):
        return sum(g[1] for g in self.run(s))

    def variant(self, size=None, bold=None, italic=None, shaped=None):
        f, b, i, k = self.key
        return Font(f, size or self.size, b if bold is None else bold, i if italic is None else italic,
                    k if shaped is None else shaped)

    def can(self, s):
        return all(c in self.have or c == " " for c in s)


class Page:
    """Operations in pixels of the final image; chars: (x, y, character) of everything printed."""

    def __init__(self, width, height, ink=0, paper=255):
        self.w, self.h, self.ink, self.paper = width, height, ink, paper
        self.ops, self.chars = [], []

    def width(self, font, s, track=0.):
        return sum(g[1] + track for g in font.run(s))

    def text(self, font, x, y, s, track=0., ink=None):
        """Sets s with its baseline's left end at (x, y); returns the place of each character and the end."""
        glyphs, places = [], []
        cy = y - MIDDLE * font.size
        for i, a, dx, dy, n in font.run(s):
            glyphs.append((i, x + dx, y + dy))
            for k in range(n):
                places.append((x + a * (k + .5) / n, cy))
            x += a + track
        self.chars += [(*p, c) for p, c in zip(places, s) if c != " "]
        self.ops.append(("t", font, glyphs, self.ink if ink is None else ink))
        return places, x - track

    def rect(self, x, y, w, h, ink):
        self.ops.append(("r", x, y, w, h, ink))

    def line(self, x0, y0, x1, y1, width, ink, dash=None):
        self.ops.append(("l", x0, y0, x1, y1, width, ink, dash))

    def paint(self, c, options=None):
        def grey(v):
            c.set_source_rgb(v / 255, v / 255, v / 255)
        grey(self.paper)
        c.paint()
        if options:
            c.set_font_options(options)
        for o in self.ops:
            if o[0] == "t":
                grey(o[3])
                c.set_font_face(o[1].face)
                c.set_font_size(o[1].size)
                c.show_glyphs([cairo.Glyph(*g) for g in o[2]])
            elif o[0] == "r":
                grey(o[5])
                c.rectangle(*o[1:5])
                c.fill()
            else:
                grey(o[6])
                c.set_line_width(o[5])
                c.set_dash(o[7] or [])
                c.move_to(o[1], o[2])
                c.line_to(o[3], o[4])
                c.stroke()


def by_cairo(page, scale=1, skew=0., hint=None, antialias=True):
    """Grey pixels [h, w]; drawn scale times larger and averaged."""
    w, h = page.w * scale, page.h * scale
    s = cairo.ImageSurface(cairo.FORMAT_RGB24, w, h)
    c = cairo.Context(s)
    o = cairo.FontOptions()
    o.set_antialias(cairo.ANTIALIAS_GRAY if antialias else cairo.ANTIALIAS_NONE)
    o.set_hint_style(hint if hint is not None else cairo.HintStyle.NONE)
    o.set_hint_metrics(cairo.HintMetrics.OFF)
    if not antialias:
        c.set_antialias(cairo.ANTIALIAS_NONE)
    c.scale(scale, scale)
    if skew:
        c.set_source_rgb(*[page.paper / 255] * 3)
        c.paint()
        _rotate(c, page, skew)
    page.paint(c, o)
    a = np.ndarray((h, s.get_stride() // 4, 4), np.uint8, s.get_data())[:, :w, 1]
    if scale > 1:
        a = a.reshape(page.h, scale, page.w, scale).mean((1, 3)).round().astype(np.uint8)
    return a.copy()


def by_poppler(pages, skews):
    """Grey pixels of each page, through one PDF and one run of pdftoppm."""
    with tempfile.TemporaryDirectory() as d:
        pdf = os.path.join(d, "a.pdf")
        s = cairo.PDFSurface(pdf, 10, 10)
        for p, k in zip(pages, skews):
            s.set_size(p.w * .75, p.h * .75)
            c = cairo.Context(s)
            c.scale(.75, .75)
            if k:
                c.set_source_rgb(*[p.paper / 255] * 3)
                c.paint()
                _rotate(c, p, k)
            p.paint(c)
            s.show_page()
        s.finish()
        subprocess.run(["pdftoppm", "-r", "96", "-gray", pdf, os.path.join(d, "p")], check=True)
        out = []
        for f, p in zip(sorted(n for n in os.listdir(d) if n.endswith(".pgm")), pages):
            with open(os.path.join(d, f), "rb") as fh:
                a = np.asarray(Image.open(io.BytesIO(fh.read())).convert("L"))
            b = np.full((p.h, p.w), p.paper, np.uint8)
            b[:min(p.h, a.shape[0]), :min(p.w, a.shape[1])] = a[:p.h, :p.w]
            out.append(b)
    return out


def _rotate(c, page, degrees):
    c.translate(page.w / 2, page.h / 2)
    c.rotate(math.radians(degrees))
    c.translate(-page.w / 2, -page.h / 2)


def degrade(a, r, nr):
    """What printers, scanners and screens do, lightly; about half of the pages stay clean."""
    h, w = a.shape
    if r.random() < .22:  # rasterized smaller, zoomed by the caller
        f = r.uniform(.45, .85)
        im = Image.fromarray(a)
        small = im.resize((max(8, int(w * f)), max(8, int(h * f))), r.choice([Image.BOX, Image.BILINEAR, Image.BICUBIC]))
        a = np.asarray(small.resize((w, h), r.choice([Image.BICUBIC, Image.BILINEAR, Image.LANCZOS])))
    elif r.random() < .15:
        a = np.asarray(Image.fromarray(a).filter(ImageFilter.GaussianBlur(r.uniform(.2, .9))))
    if r.random() < .06:
        k = r.choice([ImageFilter.MinFilter(3), ImageFilter.MaxFilter(3), ImageFilter.SHARPEN])
        b = np.asarray(Image.fromarray(a).filter(k))
        t = r.uniform(.2, .7)
        a = (a * (1 - t) + b * t).astype(np.uint8)
    if r.random() < .12:  # uneven light
        g = np.add.outer(np.linspace(r.uniform(-1, 1), r.uniform(-1, 1), h), np.linspace(r.uniform(-1, 1), r.uniform(-1, 1), w))
        a = np.clip(a + (g * r.uniform(2, 14)).astype(np.float32), 0, 255)
    if r.random() < .2:
        a = np.clip(a + nr.standard_normal(a.shape, np.float32) * r.uniform(1, 9), 0, 255)
    if r.random() < .05:  # specks
        a = np.array(a)
        n = r.randint(1, 40)
        a[nr.integers(0, h, n), nr.integers(0, w, n)] = nr.integers(0, 256, n)
    a = a.astype(np.uint8)
    if r.random() < .08:
        f = io.BytesIO()
        Image.fromarray(a).save(f, "JPEG", quality=r.randint(35, 90))
        a = np.asarray(Image.open(f).convert("L"))
    if r.random() < .03:  # a bilevel scan
        a = np.where(a > r.randint(110, 190), np.uint8(255), np.uint8(0))
    return a
