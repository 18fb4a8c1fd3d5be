# SPDX-License-Identifier: Apache-2.0
"""Synthetic reading regions: paragraphs, tables, bar charts and blanks, as the region filter cuts them from pages.

Each sample carries its picture, a prompt, the answer, and for every byte of the answer the place in the picture it
is read from (training-only supervision). Conventions of the answers are in README.md.
"""
import math
import random

import cairo
import numpy as np
from PIL import Image, ImageOps

import fonts
import raster
from raster import Font, Page
from words import CHARSET, DAYS, MONTHS, Words

TILE = 256
GRIDS = [(a, b) for b in range(1, 13) for a in range(1, 9) if a * b <= 12]  # tiles across, tiles down
CANDIDATES = [[a * TILE, b * TILE] for a, b in GRIDS]
PREFERRED_EM = 28
EM = (20., 38.)
PITCH, SHEET_EM = 32, (19., 31.)  # of sheets: lines set anew, each on its own row of visual tokens
CELLS = ("word", "name", "number", "int", "grouped", "dec1", "dec2", "dec3", "percent", "amount", "date", "code", "flag",
         "random", "phrase")
P_TEXT, P_CSV, P_MD, P_CHART = ("Read the text.", "Extract the table as CSV.", "Extract the table as Markdown.",
                                "Extract the chart as CSV.")


def best_resolution(w, h):
    """The published select_best_resolution."""
    best, fit, waste = None, 0, math.inf
    for cw, ch in CANDIDATES:
        s = min(cw / w, ch / h)
        effective = min(int(w * s) * int(h * s), w * h)
        if effective > fit or (effective == fit and cw * ch - effective < waste):
            best, fit, waste = (cw, ch), effective, cw * ch - effective
    return best


class Answer:
    """A string and, for each of its characters, where it stands in the picture (or None)."""

    def __init__(self):
        self.s, self.at = "", []

    def add(self, s, at=None):
        self.s += s
        self.at += at if at is not None else [None] * len(s)

    def field(self, s, at, csv=True):
        """A cell: quoted for CSV where CSV needs it, bars escaped for Markdown."""
        if csv and not any(c in s for c in ',"\n'):
            return self.add(s, at)
        if csv:
            self.add('"')
        for c, p in zip(s, at):
            if c == ('"' if csv else "|"):
                self.add('"' if csv else "\\", [p])
            self.add(c, [p])
        if csv:
            self.add('"')


class Sample:
    def __init__(self, kind, prompt, answer, page):
        self.kind, self.prompt, self.answer, self.page = kind, prompt, answer.s, page
        self.at, self.chars = answer.at, page.chars
        self.image = None

    def to_tiles(self):
        """What the published processor makes of the picture: the global view, then the local tiles; places follow."""
        im = Image.fromarray(self.image)
        h, w = self.image.shape
        bw, bh = best_resolution(w, h)
        z = min(bw / w, bh / h)
        local = np.asarray(ImageOps.pad(im, (bw, bh), Image.BICUBIC, color=127))
        whole = np.asarray(ImageOps.pad(im, (TILE, TILE), Image.BICUBIC, color=127))
        dx, dy = round((bw - round(w * z)) * .5), round((bh - round(h * z)) * .5)
        self.grid = bw // TILE, bh // TILE
        parts = [local[y:y + TILE, x:x + TILE] for y in range(0, bh, TILE) for x in range(0, bw, TILE)]
        self.tiles = np.stack(parts if self.grid == (1, 1) else [whole] + parts)  # one tile: both views are the same
        self.chars = [(x * z + dx, y * z + dy, c) for x, y, c in self.chars]
        self.at = [p and (p[0] * z + dx, p[1] * z + dy) for p in self.at]


class Generator:
    def __init__(self, seed, held=False):
        self.r = random.Random(seed)
        self.nr = np.random.default_rng(seed)
        self.w = Words(self.r, held)
        self.families, self.weights = fonts.split(held)
        self.lo, self.hi = EM
        self.sheet = False

    # ---- choices common to all layouts

    def em(self):
        r = self.r
        if self.sheet:
            return r.triangular(*SHEET_EM, SHEET_EM[1] - 4) if r.random() < .8 else r.uniform(*SHEET_EM)
        return (r.triangular(self.lo, self.hi, PREFERRED_EM) if r.random() < .6 else r.uniform(self.lo, self.hi)) / self.zoom

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

    def region(self, tw, th):
        """An empty page of tw x th tiles: usually exactly so large, else to be zoomed and padded by the processor."""
        r = self.r
        w, h, self.zoom = TILE * tw, TILE * th, 1.
        if not self.sheet and r.random() < .3:
            for _ in range(20):
                a, b = round(TILE * (tw - r.uniform(0, .45))), round(TILE * (th - r.uniform(0, .45)))
                z = min(TILE * tw / a, TILE * th / b)
                if z < 1.5 and best_resolution(a, b) == (TILE * tw, TILE * th):
                    w, h, self.zoom = a, b, z
                    break
        return Page(w, h, *self.shades())

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
        """Of a sheet's line, below the top of its row: capitals and descenders in its middle, nearly."""
        return min(max(PITCH / 2 + .27 * em + self.r.triangular(-4, 5), .76 * em), PITCH - .2 * em)

    # ---- text

    def line(self, page, ans, fonts_, x, y, words, gap, track=0., marks=False):
        """Sets words, one font each, gap apart; adds the line to the answer."""
        if ans.s:
            ans.add("\n")
        first = x
        for k, (f, w) in enumerate(zip(fonts_, words)):
            if k:
                ans.add(" ", [(x - gap / 2, y - raster.MIDDLE * f.size)])
            at, end = page.text(f, x, y, w, track)
            page.span(w, x, end, y, f.size)
            ans.add(w, at)
            if marks and self.r.random() < .04:  # the mark of a note
                g, mark = f.variant(f.size * .62, shaped=False), str(self.r.randint(1, 30))
                at, end = page.text(g, end, y - .36 * f.size, mark)
                ans.add(mark, at)
            x = end + gap
        if words:
            page.span(" ".join(words), first, x - gap, y, fonts_[0].size)
        return x - gap

    def text(self, tw, th, kind=None):
        r = self.r
        page, ans = self.region(tw, th), Answer()
        w, h = page.w, page.h
        f = self.font()
        em = f.size
        kind = kind or r.choices(["words", "mixed", "number", "random"], [6, 2, 1, 2])[0]
        space = max(.18 * em, f.glyph(" ")[1])
        track = 0. if f.shaper or r.random() < .6 else r.uniform(-.015, .05) * em
        lead = PITCH / em if self.sheet else r.triangular(1.05, 1.9, 1.25)
        x0 = r.uniform(2, 22) if r.random() < .75 else r.uniform(2, w * .3)
        x1 = w - (r.uniform(2, 20) if r.random() < .75 else r.uniform(2, w * .35))
        y = r.uniform(.9, 1.7) * em if r.random() < .8 else r.uniform(.9, max(1., h / em * .6)) * em
        if self.sheet:
            y, x0 = self.baseline(em), r.uniform(2, 14)
        align = r.choices("ljcr", [6, 5, 1, .5])[0]
        style = r.choices(["plain", "indent", "spaced", "bullets", "numbered", "pairs", "lines"], [5, 3, 3, 1.5, 1, 1, 2])[0]
        last = r.randint(1, 8 * th) if r.random() < .25 else 999
        hyphens, dots = r.random() < .35, r.random() < .12
        emphasis, marks = r.random() < .12, r.random() < .06
        bullet = r.choice([b for b in "•-–*·" if f.can(b)])
        count, first_of_par, left, limit, n_item = 0, True, 0, x1, 0
        heading = r.random() < .3
        rest = ""
        while y + .25 * em < h and count < last:
            g = f
            if first_of_par:
                left = r.randint(1, 6) if style != "lines" else 1
                limit = x1 if r.random() < .8 or style != "lines" else r.uniform(x0 + 3 * em, max(x0 + 4 * em, x1))
                n_item += 1
                if heading:
                    g = f.variant(em * (1 if self.sheet else r.choice([1, 1.1, 1.2, 1.4, 1.7])),
                                  bold=True if r.random() < .8 else None)
                    y += g.size - em
                    left = 1
            x = x0
            lim = limit
            lead_in = []
            if first_of_par and not heading:
                if style == "indent":
                    x += em * 1.5
                elif style == "bullets":
                    lead_in = [bullet]
                elif style == "numbered":
                    lead_in = [r.choice([f"{n_item}.", f"{n_item})", f"({n_item})", f"{n_item}"])]
                elif style == "pairs":
                    lead_in = [self.strip(g, self.w.word().capitalize()) + ":"]
            elif style in ("bullets", "numbered"):
                x += 1.2 * em
            words, faces, used = list(lead_in), [g] * len(lead_in), 0.
            used = sum(page.width(g, t, track) + space for t in words)
            short = first_of_par and heading and r.random() < .7
            n_max = r.randint(1, 5) if short else 60
            while len(words) < n_max:
                t = rest or self.strip(g, self.w.token(kind))
                rest = ""
                if not t:
                    continue
                e = g.variant(bold=True) if emphasis and r.random() < .1 else g
                d = page.width(e, t, track)
                if x + used + d > lim:
                    k = r.randint(2, 6)
                    if hyphens and t.isalpha() and len(t) > k + 2 and x + used + page.width(e, t[:k] + "-", track) <= lim:
                        words.append(t[:k] + "-")
                        faces.append(e)
                        used += page.width(e, words[-1], track) + space
                        rest = t[k:]
                    else:
                        rest = t if len(t) * em * .6 < x1 - x0 else ""
                    break
                words.append(t)
                faces.append(e)
                used += d + space
            if not words:
                t = self.strip(f, self.w.random_string(1)) or "x"
                words, faces, used = [t], [f], page.width(f, t) + space
                rest = ""
            used -= space
            left -= 1
            gap, ends = space, left <= 0 or short
            if align == "j" and not ends and len(words) > 1:
                gap = min(space + (lim - x - used) / (len(words) - 1), 3 * space)
            elif align == "c" and style in ("plain", "lines"):
                x += max(0, lim - x - used) / 2
            elif align == "r" and style in ("plain", "lines"):
                x += max(0, lim - x - used)
            end = self.line(page, ans, faces, x, y, words, gap, track, marks and lead > 1.15 and gap > .3 * em)
            if style == "lines" and dots and end < x1 - 4 * em:  # a line of a table of contents
                s, k = str(r.randint(1, 400)), int((x1 - end - 2.5 * em) / page.width(f, "."))
                if k > 3:
                    at, e = page.text(f, end + .3 * em, y, "." * k)
                    ans.add(" " + "." * k, [None] + at)
                    at, end = page.text(f, e + .3 * em, y, s)
                    ans.add(" " + s, [None] + at)
            if r.random() < .02:
                page.line(x, y + .12 * em, end, y + .12 * em, max(1, em * .05), page.ink)
            count += 1
            y += em * lead
            if self.sheet:
                y = round(y / PITCH - .7) * PITCH + self.baseline(em)
            if ends:
                rest = ""
                if not self.sheet and (style == "spaced" or (heading and r.random() < .5)):
                    y += em * r.uniform(.3, .8)
                heading = style not in ("lines", "pairs") and r.random() < .12
            first_of_par = ends
        if r.random() < .06:
            q = min(h - 2, y - .6 * em)
            page.line(x0, q, x1, q, r.choice([1, 1, 2]), page.ink)
        return Sample("sheet" if self.sheet else "text", P_TEXT, ans, page)

    # ---- pieces of lines, one to a row of tokens, as dsvl-read sets them

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

    def lines(self, tw, th):
        r = self.r
        page, ans = Page(TILE * tw, TILE * th, *self.shades()), Answer()
        self.zoom, self.sheet = 1., True
        first = self.font()
        style = r.choices(["words", "cell", "mixed", "random", "number"], [40, 34, 14, 6, 6])[0]
        rows = page.h // PITCH
        count = rows if r.random() < .85 else r.randint(1, rows)
        vary, ruled, gap = r.random() < .3, r.random() < .12, r.random() < .25
        for row in range(count):
            f = first
            if vary and r.random() < .5:
                f = self.font() if r.random() < .4 else f.variant(r.uniform(*SHEET_EM), bold=r.random() < .4, italic=r.random() < .2)
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
        return Sample("lines", P_TEXT, ans, page)

    # ---- tables

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

    def fold(self, page, font, s, width):
        """s broken into lines no wider than width (a single word may be)."""
        lines = []
        for t in s.split():
            if lines and page.width(font, lines[-1] + " " + t) <= width:
                lines[-1] += " " + t
            else:
                lines.append(t)
        return lines or [""]

    def table(self, tw, th, markdown=False):
        r = self.r
        page, ans = self.region(tw, th), Answer()
        w, h = page.w, page.h
        f = self.font(self.em() * (1 if r.random() < .7 else .9))
        em = f.size
        head = f.variant(bold=True) if r.random() < .6 else f
        header = r.random() < .88
        nc, nr = r.randint(2, 2 + round(1.6 * tw)), r.randint(2, 3 + round(4.5 * th))
        kinds = [r.choice(CELLS) for _ in range(nc)]
        if r.random() < .7:
            kinds[0] = r.choice(["word", "name", "name", "phrase", "int", "code", "date"])
        rules = r.choices(["grid", "rows", "booktabs", "head", "none", "zebra", "box", "columns"],
                          [5, 3, 4, 2, 3, 2, 1, 1])[0]
        padx = r.uniform(.15, .6) * em if rules in ("grid", "columns") else r.uniform(.3, 1.) * em
        lead = r.uniform(1.05, 1.3)
        pady = r.uniform(.1, .55) * em
        if self.sheet:  # dsvl-regions leaves 1.3 em between columns, and cuts tables after eight rows
            lead, pady, padx = PITCH / em, 0, r.uniform(.3, .7) * em
            header = header and r.random() < .7
        total = r.random() < .1
        years = r.random() < .15
        y0 = r.randint(1950, 2030)
        rows = []
        for i in range(nr):
            if i == 0 and header:
                row = [self.w.name() if r.random() < .5 else self.w.word().capitalize() for _ in range(nc)]
                row = [c + (" " + self.w.word().lower() if r.random() < .25 else "") + (" (%)" if r.random() < .05 else "")
                       for c in row]
                if years:
                    row = [row[0]] + [str(y0 + k) for k in range(1, nc)]
                if r.random() < .08:
                    row[0] = ""
            else:
                row = ["" if r.random() < .025 else self.cell(k) for k in kinds]
            rows.append([" ".join(self.strip(f, c).split()) for c in row])
        if total:
            rows[-1][0] = r.choice(["Total", "Sum", "Average", "TOTAL", "All"])
        # widths: fold what may be folded, then drop columns until the table fits
        room = w - 2 * r.uniform(1, 8)
        fold_at = r.uniform(4, 11) * em if r.random() < .45 and not self.sheet else 1e9
        while True:
            cells = [[self.fold(page, head if header and i == 0 else f, c, max(fold_at, 2 * em)) for c in row]
                     for i, row in enumerate(rows)]
            cw = [max(page.width(head if header and i == 0 else f, s) for i in range(nr) for s in cells[i][j]) + 2 * padx
                  for j in range(nc)]
            if sum(cw) <= room:
                break
            if fold_at > 1e8 and r.random() < .5 and not self.sheet:
                fold_at = 6 * em
            elif nc > 2 or (nc == 2 and r.random() < .3):
                nc -= 1
                rows = [row[:nc] for row in rows]
            else:
                rows = [[c[:max(2, int(len(c) * .7))].strip() for c in row] for row in rows]
                padx = max(.15 * em, padx * .8)
        spare = room - sum(cw)
        if self.sheet and r.random() < .85:
            pass
        elif r.random() < .5:
            cw = [c + spare * r.uniform(.3, 1) / nc for c in cw]
        elif r.random() < .3:
            cw[r.randrange(nc)] += spare * r.random()
        wide = sum(cw)
        x0 = (w - room) / 2 + (w - (w - room) - wide) * (0 if r.random() < .6 else r.random())
        xs = [x0]
        for c in cw:
            xs.append(xs[-1] + c)
        y = 0 if self.sheet else r.uniform(1, 12)
        if not self.sheet and rules not in ("none", "zebra") and r.random() < .08:  # a caption, which is not part of the table
            f2 = f.variant(italic=r.random() < .3)
            s = self.strip(f2, f"Table {r.randint(1, 20)}" + r.choice([". ", ": "]) + self.w.word() + " " + self.w.word())
            if page.width(f2, s) < w - x0 - 2:
                page.text(f2, x0, y + em, s)
                y += 1.7 * em
        heights = [max(len(c) for c in row) * em * lead + 2 * pady for row in cells]
        keep = 0
        for i in range(nr):
            if y + sum(heights[:i + 1]) > h - (0 if self.sheet else 2):
                break
            keep = i + 1
        keep = max(keep, 1)
        align = ["l" if k in ("word", "name", "phrase", "code", "random", "flag") else r.choice("rrrlc") for k in kinds]
        if r.random() < .15:
            align = [r.choice("lcr")] * nc
        valign = r.choice(["top", "middle", "middle", "bottom"])
        thick, faint = r.choice([.7, 1, 1, 1.5, 2]) / self.zoom, r.choice([page.ink, page.ink, page.ink, 120, 160, 200])
        shade = r.randint(200, 245) if page.paper > 128 else page.paper
        dark = header and page.paper > 128 and r.random() < .08
        ys = [y]
        for k in heights[:keep]:
            ys.append(ys[-1] + k)
        if dark:
            page.rect(x0, ys[0], wide, heights[0], r.randint(0, 110))
        elif header and r.random() < .15:
            page.rect(x0, ys[0], wide, heights[0], shade)
        if rules == "zebra":
            for i in range(1, keep, 2):
                page.rect(x0, ys[i], wide, heights[i], shade)
        sep, csv = ("," if not markdown else " | "), not markdown
        for i in range(keep):
            g = head if header and i == 0 else f
            if total and i == nr - 1:
                g = head
            if i:
                ans.add("\n")
            if markdown:
                ans.add("| ")
            for j in range(nc):
                if j:
                    ans.add(sep)
                lines = cells[i][j]
                block = len(lines) * em * lead
                top = ys[i] + pady + {"top": 0, "middle": (heights[i] - 2 * pady - block) / 2,
                                      "bottom": heights[i] - 2 * pady - block}[valign]
                at = []
                for k, s in enumerate(lines):
                    d = page.width(g, s)
                    a = align[j] if not (header and i == 0) else r.choice("lc" + align[j] * 4)
                    x = xs[j] + padx if a == "l" else xs[j + 1] - padx - d if a == "r" else (xs[j] + xs[j + 1] - d) / 2
                    b = top + (self.baseline(em) if self.sheet else k * em * lead + em * (lead - 1) / 2 + .78 * em)
                    if k:
                        at.append(None)
                    p, end = page.text(g, x, b, s, ink=255 if dark and i == 0 else None)
                    at += p
                    if s:
                        page.span(s, x, end, b, em)
                ans.field(" ".join(lines), at, csv)
            if markdown:
                ans.add(" |")
                if i == 0:
                    ans.add("\n|" + "---|" * nc)
        bottom = ys[-1]
        if rules in ("grid", "rows"):
            for q in ys:
                page.line(x0, q, xs[-1], q, thick, faint)
        if rules in ("booktabs", "head", "zebra"):
            if rules == "booktabs":
                page.line(x0, ys[0], xs[-1], ys[0], 1.6 * thick, faint)
                page.line(x0, bottom, xs[-1], bottom, 1.6 * thick, faint)
            if header and keep > 1:
                page.line(x0, ys[1], xs[-1], ys[1], thick, faint)
        if rules in ("grid", "columns"):
            for k, q in enumerate(xs):
                if rules == "grid" or 0 < k < nc:
                    page.line(q, ys[0], q, bottom, thick, faint)
        if rules == "box":
            for a in ((x0, ys[0], xs[-1], ys[0]), (x0, bottom, xs[-1], bottom), (x0, ys[0], x0, bottom),
                      (xs[-1], ys[0], xs[-1], bottom)):
                page.line(*a, thick, faint)
        return Sample("rows" if self.sheet else "markdown" if markdown else "table", P_MD if markdown else P_CSV, ans, page)

    # ---- charts

    def chart(self, tw, th):
        r = self.r
        page, ans = self.region(tw, th), Answer()
        w, h = page.w, page.h
        f = self.font(self.em() * r.uniform(.85, 1))
        em = f.size
        y0, x1 = r.uniform(2, 10), w - r.uniform(3, 12)
        if r.random() < .5:
            g = f.variant(em * r.choice([1, 1, 1.2]), bold=r.random() < .6)
            s = self.strip(g, self.w.name() + "".join(" " + self.w.word().lower() for _ in range(r.randint(0, 3))))
            d = page.width(g, s)
            if d < w - 12:
                page.text(g, r.choice([(w - d) / 2, 6]), y0 + g.size, s)
                y0 += 1.6 * g.size
        side = 0.
        if r.random() < .15:  # the upright axis has a title
            g = f.variant(bold=False)
            s = self.strip(g, self.w.name() + r.choice(["", " (%)", " in " + self.w.word().lower()]))
            d = page.width(g, s)
            if d < h - y0 - 4:
                side = 1.3 * em
                page.upright_text(g, 4 + em, (y0 + h + d) / 2, s)
        if r.random() < .1:  # a key, or a note
            s = self.strip(f, self.w.name() + " " + self.w.word().lower())
            d = page.width(f, s) + 1.3 * em
            if d < w - 12:
                q = w - 6 - d if r.random() < .6 else (w - d) / 2
                page.rect(q, y0 + .3 * em, .7 * em, .7 * em, r.randint(50, 200))
                page.text(f, q + 1.1 * em, y0 + .95 * em, s)
                y0 += 1.5 * em
        inside = r.random() < .1  # values printed within the bars
        labelled = r.random() < .75  # values printed at the bars; otherwise read against the axis
        axis = not labelled or r.random() < .35
        n = r.randint(2, 4 + 2 * max(tw, th))
        step = r.choice([1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000])
        ticks = r.randint(3, 6)
        top = step * ticks
        fine = r.choice([1, 2, 4, 5] if step % 20 == 0 else [1, 2] if step % 2 == 0 else [1])
        form = r.choice(["int", "int", "dec", "percent", "grouped"])
        values = []
        for _ in range(n):
            if labelled:
                v = r.uniform(.03, 1) * top
                v = round(v, 1) if form == "dec" or top < 12 else round(v)
            else:
                v = step / fine * r.randint(1, ticks * fine)
            s = f"{v:,.0f}" if form == "grouped" and v == int(v) else f"{v:g}"
            values.append((v, s + ("%" if form == "percent" else "")))
        kind = r.choice(["word", "name", "year", "month", "day", "quarter", "random", "letter"])
        base, m0 = r.randint(1950, 2030), r.randint(0, 11)

        def label(i):
            if kind == "year":
                return str(base + i)
            if kind == "month":
                return MONTHS[(m0 + i) % 12][:3]
            if kind == "day":
                return DAYS[(m0 + i) % 7][:3]
            if kind == "quarter":
                return f"Q{i % 4 + 1}" + (f" {base + i // 4}" if n > 4 else "")
            if kind == "random":
                return self.strip(f, self.w.random_string(3)) or "x"
            if kind == "letter":
                return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i % 26]
            s = self.w.name() if kind == "name" else self.w.word()
            return self.strip(f, s[:12]) or "x"
        labels = [label(i) for i in range(n)]
        fill, edge = r.randint(50, 200), r.random() < .3
        own = r.random() < .15
        fills = [r.randint(50, 200) if own else fill for _ in range(n)]
        grid = axis and r.random() < .6
        thin = max(1., .04 * em)
        tick_text = [f"{step * k:,.0f}" if form == "grouped" else f"{step * k:g}" for k in range(ticks + 1)]
        if form == "percent" and r.random() < .7:
            tick_text = [s + "%" for s in tick_text]
        bars = []
        if r.random() < .55:  # upright bars
            left = 6 + side + (max(page.width(f, s) for s in tick_text) + .5 * em if axis else 0)
            need = [max(page.width(f, a), page.width(f, v[1]) if labelled else 0) + .35 * em for a, v in zip(labels, values)]
            while n > 1 and max(need[:n]) * n > x1 - left:
                n -= 1
            step_x = min((x1 - left) / n, max(need[:n]) * r.uniform(1, 2.5))
            floor = h - 1.6 * em - (r.uniform(0, .3) * h if r.random() < .3 else r.uniform(0, 8))
            ceil = y0 + 1.5 * em
            if floor - ceil < 2 * em:
                return self.chart(tw, th)
            bw = r.uniform(.35, .9)
            if axis:
                for k, s in enumerate(tick_text):
                    q = floor - (floor - ceil) * k / ticks
                    page.text(f, left - .4 * em - page.width(f, s), q + .33 * em, s)
                    page.line(left - (.2 * em if not grid else 0), q, x1 if grid else left, q, thin, 170 if grid else page.ink)
            for i in range(n):
                c = left + step_x * (i + .5)
                q = (floor - ceil) * values[i][0] / top
                page.rect(c - bw * step_x / 2, floor - q, bw * step_x, q, fills[i])
                if edge:
                    for a in ((-1, 0, -1, q), (1, 0, 1, q), (-1, q, 1, q)):
                        page.line(c + a[0] * bw * step_x / 2, floor - a[1], c + a[2] * bw * step_x / 2, floor - a[3], thin,
                                  page.ink)
                a, _ = page.text(f, c - page.width(f, labels[i]) / 2, floor + 1.1 * em, labels[i])
                v = None
                if labelled:
                    d = page.width(f, values[i][1])
                    within = inside and q > 1.3 * em and d < bw * step_x and not 110 < fills[i] < 150
                    v, _ = page.text(f, c - d / 2, floor - q + (em if within else -.22 * em), values[i][1],
                                     ink=(255 if fills[i] < 130 else 0) if within else None)
                bars.append((labels[i], a, values[i][1], v or [(c, floor - q)] * len(values[i][1])))
            page.line(left, floor, max(x1, left + n * step_x), floor, thin, page.ink)
            if r.random() < .2:  # a frame
                for a in ((left, ceil, x1, ceil), (left, ceil, left, floor), (x1, ceil, x1, floor)):
                    page.line(*a, thin, page.ink)
            if axis and r.random() < .7:
                page.line(left, floor, left, ceil, thin, page.ink)
        else:
            low = h - 4 - (1.6 * em if axis else 0)
            rows = em * r.uniform(1.25, 2.2)
            n = max(1, min(n, int((low - y0) / rows)))
            left = 6 + side + max(page.width(f, s) for s in labels[:n]) + .4 * em
            room = x1 - left - (max(page.width(f, v[1]) for v in values[:n]) + .6 * em if labelled else .5 * em)
            if room < 2 * em or low - y0 < rows:
                return self.chart(tw, th)
            if axis:
                every = max(1, math.ceil(max(page.width(f, s) for s in tick_text) * 1.3 * ticks / room))
                for k, s in enumerate(tick_text):
                    q = left + room * k / ticks
                    if grid:
                        page.line(q, y0, q, y0 + n * rows, thin, 170)
                    if k % every == 0:
                        page.text(f, q - page.width(f, s) / 2, y0 + n * rows + 1.15 * em, s)
            bw = r.uniform(.4, .9)
            for i in range(n):
                c = y0 + rows * (i + .5)
                q = room * values[i][0] / top
                page.rect(left, c - bw * rows / 2, q, bw * rows, fills[i])
                a, _ = page.text(f, left - .35 * em - page.width(f, labels[i]), c + .33 * em, labels[i])
                v = None
                if labelled:
                    d = page.width(f, values[i][1])
                    within = inside and q > d + .5 * em and bw * rows > em and not 110 < fills[i] < 150
                    v, _ = page.text(f, left + q + (-d - .25 * em if within else .25 * em), c + .33 * em, values[i][1],
                                     ink=(255 if fills[i] < 130 else 0) if within else None)
                bars.append((labels[i], a, values[i][1], v or [(left + q, c)] * len(values[i][1])))
            page.line(left, y0, left, y0 + n * rows, thin, page.ink)
            if axis:
                page.line(left, y0 + n * rows, left + room, y0 + n * rows, thin, page.ink)
        for i, (a, pa, v, pv) in enumerate(bars):
            if i:
                ans.add("\n")
            ans.field(a, pa)
            ans.add(",")
            ans.field(v, pv)
        return Sample("chart", P_CHART, ans, page)

    # ---- nothing to read

    def blank(self, tw, th):
        r = self.r
        page = self.region(tw, th)
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
        return Sample("blank", r.choice([P_TEXT, P_CSV, P_MD, P_CHART]), Answer(), page)

    # ---- where is it

    def locate(self, tw, th):
        """Asks for the box of a word, line or cell that stands on the page exactly once."""
        r = self.r
        while True:
            s = self.text(tw, th) if r.random() < .6 else self.table(tw, th)
            page = s.page
            ok = [p for p in page.spans if 1 < len(p[0]) <= 60 and s.answer.count(p[0]) == 1 and p[3] > p[1]]
            if ok:
                break
        t, x0, y0, x1, y1 = r.choice(ok)
        s.kind, s.prompt, s.box = "locate", f"Locate {t}.", (x0, y0, x1, y1)
        s.target = t
        return s

    def finish_box(self, s, skew):
        x0, y0, x1, y1 = s.box
        if skew:
            p = [raster.rotated(x, y, s.page, skew) for x in (x0, x1) for y in (y0, y1)]
            x0, x1 = min(q[0] for q in p), max(q[0] for q in p)
            y0, y1 = min(q[1] for q in p), max(q[1] for q in p)

        def unit(v, size):
            return str(min(999, max(0, round(v / size * 999))))
        a = Answer()
        w, h = s.page.w, s.page.h
        a.add("\ue000" + s.target + "\ue001\ue002[[")
        for i, (v, size, at) in enumerate(((x0, w, (x0, (y0 + y1) / 2)), (y0, h, (x0, (y0 + y1) / 2)),
                                           (x1, w, (x1, (y0 + y1) / 2)), (y1, h, (x1, (y0 + y1) / 2)))):
            if i:
                a.add(",")
            q = unit(v, size)
            a.add(q, [at] * len(q))
        a.add("]]\ue003")
        s.answer, s.at = a.s, a.at

    # ---- many at once

    MIX = {"text": 50, "table": 22, "markdown": 5, "chart": 13, "blank": 3, "locate": 7}

    def make(self, kind, tw, th):
        self.sheet = kind in ("sheet", "rows")
        if kind == "lines":
            return self.lines(tw, th)
        if self.sheet:
            return self.text(tw, th) if kind == "sheet" else self.table(tw, th, self.r.random() < .1)
        return self.table(tw, th, True) if kind == "markdown" else getattr(self, kind)(tw, th)

    def samples(self, n, grids=((1, 1),), mix=None, poppler=.25, clean=False):
        """n finished samples; about the given part of them rasterized by Poppler."""
        r = self.r
        mix = mix or self.MIX
        todo = []
        for _ in range(n):
            s = self.make(r.choices(list(mix), list(mix.values()))[0], *r.choice(list(grids)))
            skew = r.uniform(-1, 1) * (1 if r.random() < .5 else .3) if not (clean or self.sheet) and r.random() < .2 else 0.
            if s.kind == "lines" and r.random() < .12:
                skew = r.uniform(-.3, .3)
            if s.kind == "locate":
                self.finish_box(s, skew)
            elif skew and s.kind != "lines":
                s.at = [p and raster.rotated(*p, s.page, skew) for p in s.at]
            if skew and s.kind != "lines":
                s.chars = [raster.rotated(x, y, s.page, skew) + (c,) for x, y, c in s.page.chars]
            else:
                s.chars = s.page.chars
            todo.append((s, skew, r.random() < poppler))
        via = [(s, k) for s, k, p in todo if p]
        if via:
            for (s, _), a in zip(via, raster.by_poppler([s.page for s, _ in via], [k for _, k in via])):
                s.image = a
        for s, k, p in todo:
            if not p:
                how = r.random()
                if how < .5:
                    s.image = raster.by_cairo(s.page, 1, k)
                elif how < .75:
                    s.image = raster.by_cairo(s.page, 1, k, r.choice([cairo.HintStyle.SLIGHT, cairo.HintStyle.MEDIUM,
                                                                      cairo.HintStyle.FULL]))
                elif how < .97:
                    s.image = raster.by_cairo(s.page, r.choice([2, 3]), k)
                else:
                    s.image = raster.by_cairo(s.page, 1, k, cairo.HintStyle.FULL, False)
            if not clean and r.random() < .5:
                s.image = raster.degrade(s.image, r, self.nr)
            s.page = None
            s.to_tiles()
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


if __name__ == "__main__":  # python gen.py FOLDER: a look at some samples, and how fast they come
    import os
    import sys
    import time
    out = sys.argv[1] if len(sys.argv) > 1 else "runs/samples"
    os.makedirs(out, exist_ok=True)
    g = Generator(1)
    for kind in Generator.MIX:
        for grid in ((1, 1), (3, 2)):
            t = time.process_time()
            some = g.samples(16, [grid], {kind: 1})
            t = (time.process_time() - t) / 16
            print(kind, grid, f"{1000 * t:.0f} ms")
            for i, s in enumerate(some[:4]):
                assert len(s.at) == len(s.answer)
                Image.fromarray(s.image).save(f"{out}/{kind}{grid[0]}{grid[1]}-{i}.png")
                with open(f"{out}/{kind}{grid[0]}{grid[1]}-{i}.txt", "w", encoding="utf-8") as fh:
                    fh.write(s.prompt + "\n" + s.answer + "\n")
