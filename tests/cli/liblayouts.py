# SPDX-License-Identifier: Apache-2.0
"""Pages of known layout, as PDFs written here byte by byte: columns of text, tables with and without rules, charts,
pictures, headers and footers, from a seed. Places are points from the top left corner of the page as displayed."""
import math
import random
import zlib

from PIL import ImageFont

FACES = {'Helvetica': 'LiberationSans', 'Times-Roman': 'LiberationSerif', 'Courier': 'LiberationMono'}
BOLD = {'Helvetica': 'Helvetica-Bold', 'Times-Roman': 'Times-Bold', 'Courier': 'Courier-Bold'}
FONTS = [*FACES, *BOLD.values()]
WORDS = ('the of and to in a is that it for on with as was at by an be this from river station market annual report growth '
         'while several regions between measured values during winter season considerable increase observed among those '
         'whose answers differ greatly from earlier surveys conducted under similar conditions').split()
NAMES = ('Amsterdam Berlin Copenhagen Dublin Edinburgh Florence Geneva Hamburg Istanbul Lisbon Madrid Naples Oslo Prague '
         'Quebec Riga Stockholm Turin Utrecht Vienna Warsaw Zurich').split()
HEADS = 'Opened Trains Late Revenue Share Change Total Index'.split()
_measures = {}


def measure(font, text, size):
    """Width of a text in points: the fonts that stand in for the standard ones have their metrics."""
    if font not in _measures:
        face, style = next((FACES[k], 'Bold' if v == font else 'Regular') for k, v in BOLD.items() if font in (k, v))
        _measures[font] = ImageFont.truetype(f'/usr/share/fonts/truetype/liberation/{face}-{style}.ttf', 1000)
    return _measures[font].getlength(text) * size / 1000


class Page:
    """Drawing operations, and what they draw: truth is a list of (kind, box, column) in reading order."""

    def __init__(self, width, height, rotate=0):
        self.width, self.height, self.rotate = width, height, rotate
        self.out, self.truth, self.images = [], [], []

    def text(self, x, baseline, text, size, font='Helvetica', align='l', grey=0):
        w = measure(font, text, size)
        x -= {'l': 0, 'c': w / 2, 'r': w}[align]
        safe = text.replace('\\', r'\\').replace('(', r'\(').replace(')', r'\)')
        self.out.append(f'{grey:.2f} g BT /F{FONTS.index(font)} {size:.2f} Tf {x:.2f} {self.height - baseline:.2f} Td '
                        f'({safe}) Tj ET')
        return x, baseline - .5 * size, x + w, baseline  # without what only some letters have

    def line(self, x0, y0, x1, y1, width=.6, grey=0):
        self.out.append(f'{grey:.2f} G {width:.2f} w {x0:.2f} {self.height - y0:.2f} m {x1:.2f} {self.height - y1:.2f} l S')

    def fill(self, x0, y0, x1, y1, grey):
        self.out.append(f'{grey:.2f} g {x0:.2f} {self.height - y1:.2f} {x1 - x0:.2f} {y1 - y0:.2f} re f')

    def picture(self, x0, y0, x1, y1, seed):
        """A photograph of a kind: soft blobs of grey."""
        r, n = random.Random(seed), 24
        blobs = [(r.random() * n, r.random() * n, r.uniform(2, 9), r.uniform(-90, 90)) for _ in range(9)]
        grey = bytes(int(min(255, max(0, 120 + sum(a / (1 + ((x - u) ** 2 + (y - v) ** 2) / s ** 2)
                                                   for u, v, s, a in blobs))))
                     for y in range(n) for x in range(n))
        self.images.append(grey)
        self.out.append(f'q {x1 - x0:.2f} 0 0 {y1 - y0:.2f} {x0:.2f} {self.height - y1:.2f} cm /I{len(self.images) - 1} Do Q')

    def note(self, kind, boxes, column=None):
        self.truth.append((kind, (min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes),
                                  max(b[3] for b in boxes)), column))


def write(pages, path):
    """Pages as a PDF."""
    objects = ['<< /Type /Catalog /Pages 2 0 R >>', None]
    for name in FONTS:
        objects.append(f'<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>')
    fonts = ' '.join(f'/F{i} {3 + i} 0 R' for i in range(len(FONTS)))
    kids = []
    for p in pages:
        images = []
        for grey in p.images:
            objects.append((b'<< /Type /XObject /Subtype /Image /Width 24 /Height 24 /ColorSpace /DeviceGray '
                            b'/BitsPerComponent 8 /Interpolate true /Length %d >>\nstream\n' % len(grey)) + grey + b'\nendstream')
            images.append(len(objects))
        w, h = (p.width, p.height) if p.rotate % 180 == 0 else (p.height, p.width)
        turn = {0: '1 0 0 1 0 0', 90: f'0 1 -1 0 {w} 0', 180: f'-1 0 0 -1 {w} {h}', 270: f'0 -1 1 0 0 {h}'}[p.rotate]
        data = zlib.compress('\n'.join([turn + ' cm'] + p.out).encode('cp1252'))
        objects.append(b'<< /Length %d /Filter /FlateDecode >>\nstream\n' % len(data) + data + b'\nendstream')
        named = ' '.join(f'/I{i} {n} 0 R' for i, n in enumerate(images))
        objects.append(f'<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {w} {h}] /Rotate {p.rotate} /Contents {len(objects)} 0 R '
                       f'/Resources << /Font << {fonts} >> /XObject << {named} >> >> >>')
        kids.append(f'{len(objects)} 0 R')
    objects[1] = f'<< /Type /Pages /Count {len(kids)} /Kids [{" ".join(kids)}] >>'
    data, places = b'%PDF-1.5\n', []
    for i, o in enumerate(objects, 1):
        places.append(len(data))
        data += b'%d 0 obj\n' % i + (o if isinstance(o, bytes) else o.encode()) + b'\nendobj\n'
    xref = ''.join(f'{x:010} 00000 n \n' for x in places)
    data += (f'xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{xref}trailer << /Size {len(objects) + 1} /Root 1 0 R >>\n'
             f'startxref\n{len(data)}\n%%EOF\n').encode()
    with open(path, 'wb') as f:
        f.write(data)


class Layout:
    """One page from a seed."""

    def __init__(self, seed, columns=None, rotate=None, size=None, contents=None):
        r = self.r = random.Random(seed)
        w, h = r.choice([(595, 842), (612, 792)])
        if r.random() < .12:
            w, h = h, w
        self.columns = columns or r.choice([1, 1, 1, 2, 2, 3, 4])
        self.page = Page(w, h, rotate if rotate is not None else r.choice([0] * 7 + [90, 180, 270]))
        self.font = r.choice(list(FACES)[:2] if r.random() < .9 else list(FACES))
        self.size = size or r.choice([7, 8, 9, 9.5, 10, 10, 10.5, 11, 12] if self.columns < 3 else [7, 7.5, 8, 8.5, 9])
        self.lead = self.size * r.uniform(1.12, 1.45)
        self.margin = r.uniform(40, 80) if self.columns < 3 else r.uniform(30, 50)
        self.gutter = max(r.uniform(14, 30), 1.6 * self.size)
        self.justify = r.random() < .6
        self.contents = contents
        self.draw()

    def words(self, n):
        return ' '.join(self.r.choice(WORDS) for _ in range(n))

    def number(self):
        r = self.r
        return r.choice([f'{r.randint(1, 99999):,}', f'{r.uniform(0, 100):.1f}', f'{r.uniform(0, 999):.2f}',
                         f'{r.randint(0, 100)}%', str(r.randint(1900, 2030))])

    # ---- blocks: each draws from (x, y) down within a width and returns where it ends

    def lines(self, text, width, size, font):
        out = ['']
        for word in text.split():
            longer = (out[-1] + ' ' + word).strip()
            if measure(font, longer, size) > width:
                out.append(word)
            else:
                out[-1] = longer
        return out

    def paragraph(self, x, y, width, column, room, size=None, font=None, text=None):
        size, font, r = size or self.size, font or self.font, self.r
        lead = self.lead * size / self.size
        lines = self.lines(text or self.words(r.randint(25, 110)).capitalize() + '.', width, size, font)
        lines = lines[:max(1, int(room / lead))]
        boxes = []
        for i, line in enumerate(lines):
            base = y + .8 * size + i * lead
            words = line.split()
            if self.justify and i + 1 < len(lines) and len(words) > 3:
                space = (width - sum(measure(font, v, size) for v in words)) / (len(words) - 1)
                at = x
                for v in words:
                    boxes.append(self.page.text(at, base, v, size, font))
                    at += measure(font, v, size) + space
            else:
                boxes.append(self.page.text(x, base, line, size, font))
        self.page.note('text', boxes, column)
        return y + len(lines) * lead

    def heading(self, x, y, width, column, room):
        size = self.size * self.r.choice([1, 1.2, 1.4])
        return self.paragraph(x, y, width, column, 3 * size, size, BOLD[self.font], self.words(self.r.randint(1, 5)).title())

    def table(self, x, y, width, column, room, rows=None):
        r, p, size = self.r, self.page, self.size * self.r.choice([1, 1, .9])
        style = r.choice(['grid', 'grid', 'rows', 'booktabs', 'booktabs', 'none', 'none', 'zebra', 'frame'])
        most = max(2, min(7, int(width / (6.2 * size))))
        n = r.randint(2, most)
        pitch = size * r.uniform(1.35, 2.2)
        rows = rows or r.randint(4, 12)
        rows = max(3, min(rows, int(room / pitch)))
        first = max(measure(BOLD[self.font], v, size) for v in NAMES) + 2 * size
        full = r.random() < .5
        each = (width - first) / (n - 1) if full else min((width - first) / (n - 1), r.uniform(5.2, 7.5) * size)
        xs = [x, *(x + first + each * k for k in range(n))]
        if not full and style != 'none' and r.random() < .5:
            shift = (x + width - xs[-1]) / 2
            xs = [v + shift for v in xs]
        pad, boxes = .5 * size, []
        double = r.random() < .2 and each > 5 * size  # some cells have two lines
        heads = ['City'] + r.sample(HEADS, min(n - 1, len(HEADS)))
        at = y
        bounds = [y]
        for i in range(rows):
            two = double and i > 0 and r.random() < .3
            high = pitch + (size * 1.15 if two else 0)
            if i and style == 'zebra' and i % 2:
                p.fill(xs[0], at, xs[-1], at + high, .88)
            if i == 0 and style in ('zebra', 'frame', 'grid') and r.random() < .5:
                p.fill(xs[0], at, xs[-1], at + high, .8)
            base = at + (pitch - size) / 2 + .8 * size
            font = BOLD[self.font] if i == 0 and r.random() < .7 else self.font
            cells = heads if i == 0 else [r.choice(NAMES)] + [self.number() if r.random() < .95 else '' for _ in range(n - 1)]
            for k, cell in enumerate(cells):
                place = (xs[k] + pad, 'l') if k == 0 else (xs[k + 1] - pad, 'r')
                if cell:
                    boxes.append(p.text(place[0], base, cell, size, font, place[1]))
            if two:
                boxes.append(p.text(xs[0] + pad, base + size * 1.15, 'central', size, self.font))
            at += high
            bounds.append(at)
        if style == 'grid':
            for v in bounds:
                p.line(xs[0], v, xs[-1], v)
            for v in xs:
                p.line(v, bounds[0], v, bounds[-1])
        elif style == 'frame':
            for v in (bounds[0], bounds[1], bounds[-1]):
                p.line(xs[0], v, xs[-1], v)
            for v in (xs[0], xs[-1]):
                p.line(v, bounds[0], v, bounds[-1])
        elif style in ('rows', 'booktabs'):
            for k, v in enumerate(bounds):
                if style == 'rows' or k in (0, 1, rows):
                    p.line(xs[0], v, xs[-1], v, .9 if k in (0, rows) else .5)
        if style not in ('none',):
            boxes += [(xs[0], bounds[0], xs[-1], bounds[-1])]
        p.note('table', boxes, column)
        return at

    def chart(self, x, y, width, column, room):
        r, p, size = self.r, self.page, self.size * .85
        width, height = min(width, r.uniform(180, 380)), min(room - 2 * size, r.uniform(90, 200))
        left, right, top, bottom = x + 3 * size, x + width, y + size, y + height
        boxes = [(left, top, right, bottom)]
        n = r.randint(4, 8)
        kind = r.choice(['bars', 'bars', 'lines'])
        steps = r.randint(3, 6)
        for k in range(steps + 1):
            v = bottom - (bottom - top) * k / steps
            boxes.append(p.text(left - .4 * size, v + .3 * size, str(k * 20), size, self.font, 'r'))
            if r.random() < .7 and k:
                p.line(left, v, right, v, .4, .7)
        pitch = (right - left) / n
        tops = [r.uniform(.15, .95) for _ in range(n)]
        for k, t in enumerate(tops):
            mid, v = left + pitch * (k + .5), bottom - (bottom - top) * t
            if kind == 'bars':
                p.fill(mid - .3 * pitch, v, mid + .3 * pitch, bottom, .45)
                if r.random() < .8:
                    boxes.append(p.text(mid, v - .3 * size, str(int(100 * t)), size, self.font, 'c'))
            elif k:
                p.line(mid - pitch, bottom - (bottom - top) * tops[k - 1], mid, v, 1.5, .2)
            boxes.append(p.text(mid, bottom + 1.1 * size, NAMES[k][:max(2, int(pitch / size * 1.5))], size, self.font, 'c'))
        p.line(left, bottom, right, bottom, .8)
        p.line(left, top, left, bottom, .8)
        p.note('figure', boxes, column)
        return max(b[3] for b in boxes)

    def photo(self, x, y, width, column, room):
        height = min(room, width * self.r.uniform(.4, .8), 220)
        self.page.picture(x, y, x + width, y + height, self.r.random())
        self.page.note('figure', [(x, y, x + width, y + height)], column)
        return y + height

    def caption(self, x, y, width, column, room):
        return self.paragraph(x, y, width, column, 2.2 * self.lead, self.size * .9, None,
                              f'{self.r.choice(["Figure", "Table"])} {self.r.randint(1, 9)}: ' + self.words(self.r.randint(4, 14)))

    # ---- pages

    def stack(self, x, y, width, column, bottom):
        """Blocks below each other as far as there is room."""
        r = self.r
        gap = self.lead * r.uniform(.9, 1.6)
        narrow = width < 17 * self.size
        kinds = self.contents or (['paragraph'] * 6 + ['heading'] * 2 + ([] if narrow else ['table'] * 2 + ['chart', 'photo']))
        before = None
        while bottom - y > 6 * self.lead:
            kind = r.choice(kinds)
            if kind == before != 'paragraph' or (kind == 'table' and before == 'heading' and r.random() < .5):
                continue
            if kind in ('chart', 'photo') and bottom - y < 130:
                kind = 'paragraph'
            if kind == 'table' and bottom - y < 14 * self.lead:
                kind = 'paragraph'
            y = getattr(self, kind)(x, y, width, column, bottom - y - (4 * self.lead if kind != 'paragraph' else 0)) + gap
            if kind in ('chart', 'photo', 'table') and r.random() < .6:
                y = self.caption(x, y - .3 * gap, width, column, 3 * self.lead) + gap
            before = kind

    def draw(self):
        r, p, m = self.r, self.page, self.margin
        top, bottom, width = m, p.height - m, p.width - 2 * m
        foot = None
        if r.random() < .5:  # a running title
            base = top - .2 * self.size
            left = p.text(m, base, self.words(4).title(), self.size * .85, self.font)
            p.note('text', [left])
            if r.random() < .5:
                p.note('text', [p.text(p.width - m, base, f'Vol. {r.randint(1, 9)}', self.size * .85, self.font, 'r')])
            if r.random() < .4:
                p.line(m, base + .6 * self.size, p.width - m, base + .6 * self.size, .5)
            top += 2.6 * self.size
        if r.random() < .6:
            foot = (p.width / 2, 'c') if r.random() < .6 else (p.width - m, 'r')
            bottom -= 2.6 * self.size
        if r.random() < .5 and not self.contents:
            top = self.paragraph(m, top, width, None, 3 * self.lead * 2, self.size * r.uniform(1.6, 2.2), BOLD[self.font],
                                 self.words(r.randint(2, 7)).title()) + 1.8 * self.lead
        if self.columns > 1 and r.random() < .35:  # something across all columns
            kind = r.choice(['table', 'chart', 'photo', 'paragraph'])
            top = getattr(self, kind)(m, top, width, None, (bottom - top) * .4) + 2.2 * self.lead
        each = (width - self.gutter * (self.columns - 1)) / self.columns
        for k in range(self.columns):
            self.stack(m + k * (each + self.gutter), top, each, k, bottom)
        if foot:
            p.note('text', [p.text(foot[0], p.height - m + .8 * self.size, str(r.randint(1, 300)), self.size * .9, self.font,
                                   foot[1])])


# ---- judging

def area(b):
    return max(b[2] - b[0], 0) * max(b[3] - b[1], 0)


def common(a, b):
    return (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))


def iou(a, b):
    both = area(common(a, b))
    return both / (area(a) + area(b) - both)


def turned(box, degrees, width, height):
    """A box of a page that Pillow has turned about its middle: where its own middle went."""
    a = math.radians(degrees)
    x, y = (box[0] + box[2]) / 2 - width / 2, (box[1] + box[3]) / 2 - height / 2
    dx, dy = x * math.cos(a) + y * math.sin(a) - x, y * math.cos(a) - x * math.sin(a) - y
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy


def judge(truth, regions):
    """What is wrong with the regions of a page, [(kind, part, box)] in order: a list of words."""
    wrong = []
    boxes = {kind: [] for kind in ('text', 'table', 'figure')}
    for kind, part, box in regions:
        if kind not in boxes:
            continue
        if part and not part.startswith('1/'):
            last = boxes[kind].pop()
            box = (min(last[0], box[0]), last[1], max(last[2], box[2]), max(last[3], box[3]))
        boxes[kind].append(box)
    for kind in ('table', 'figure'):
        wants = [box for k, box, _ in truth if k == kind]
        if len(wants) != len(boxes[kind]):
            wrong.append(f'{len(boxes[kind])} {kind}s, not {len(wants)}')
        for want in wants:
            best = max((iou(want, box) for box in boxes[kind]), default=0)
            if best < .75:
                wrong.append(f'{kind} at {[round(v) for v in want]}: overlap {best:.2f}')
    first = []
    for kind, box, column in truth:
        shares = [area(common(box, b)) / area(box) for k, _, b in regions if k == kind]
        at = [i for i, (k, _, b) in enumerate(regions) if k == kind and area(common(box, b)) > .5 * area(box)]
        if kind == 'text' and sum(shares) < .8:
            wrong.append(f'text at {[round(v) for v in box]}: {sum(shares):.2f} of it is in text')
        first.append(at[0] if at else None)
    order = [i for i in first if i is not None]
    if order != sorted(order):
        wrong.append(f'order {first}')
    for k, _, b in regions:
        columns = {c for kind, box, c in truth if c is not None and kind == 'text' == k and area(common(box, b)) > .3 * area(box)}
        if len(columns) > 1:
            wrong.append(f'columns {sorted(columns)} in one region')
    return wrong
