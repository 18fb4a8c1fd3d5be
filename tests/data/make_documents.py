#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the small documents that the rasterizer's tests read. The results are committed, so this runs only to change
them. Needs pycairo, pikepdf (qpdf), tifffile, numpy and the DejaVu fonts."""
import io
import os

import cairo
import numpy as np
import pikepdf
import tifffile

HERE = os.path.dirname(os.path.abspath(__file__))
A4 = (595.276, 841.890)
WORDS = ('The quick brown fox jumps over the lazy dog while five wizards box and a jovial zephyr vexes bold '
         'quail in Tromsø naïve façade ½ 37 °C').split()


def path(name):
    return os.path.join(HERE, name)


def font(c, size, bold=False):
    c.select_font_face('DejaVu Sans', cairo.FONT_SLANT_NORMAL, cairo.FONT_WEIGHT_BOLD if bold else cairo.FONT_WEIGHT_NORMAL)
    c.set_font_size(size)


def text_page(c):
    """Two columns of running text under a heading in a larger face."""
    font(c, 22, True)
    c.move_to(60, 90)
    c.show_text('Words in two columns')
    font(c, 10)
    for column in range(2):
        for line in range(44):
            c.move_to(60 + 245 * column, 130 + 15 * line)
            first = (7 * line + 3 * column) % len(WORDS)
            c.show_text(' '.join((WORDS[first:] + WORDS)[:6]))


def table_page(c):
    """Cells set apart by space alone, and one vertical line of text; a landscape page."""
    font(c, 12)
    for row in range(8):
        for column in range(5):
            c.move_to(80 + 110 * column, 120 + 24 * row)
            c.show_text(f'{(row + 1) * 1000 + column}' if column else f'Row {row}')
    c.save()
    c.translate(40, 300)
    c.rotate(-np.pi / 2)
    c.show_text('Sideways label')
    c.restore()


def drawing_page(c):
    """Curves, hairlines, gradients and half-transparent shapes."""
    for i in range(300):
        c.set_source_rgba(i / 300, 0.3, 1 - i / 300, 0.4)
        c.arc(297 + 200 * np.cos(i / 9), 420 + 300 * np.sin(i / 13), 10 + i % 40, 0, 2 * np.pi)
        c.fill() if i % 3 else c.stroke()
    shade = cairo.LinearGradient(50, 0, 545, 0)
    shade.add_color_stop_rgb(0, 1, 0.9, 0.6)
    shade.add_color_stop_rgb(1, 0.2, 0.4, 0.3)
    c.rectangle(50, 760, 495, 40)
    c.set_source(shade)
    c.fill()


def picture_page(c):
    """A photograph, kept in the file as JPEG."""
    from PIL import Image
    y, x = np.mgrid[0:600, 0:420]
    rng = np.random.default_rng(5)
    a = np.stack([128 + 90 * np.sin(x / 31 + k) * np.cos(y / 47 - k) for k in range(3)], -1)
    a += rng.normal(0, 3, a.shape)
    data = io.BytesIO()
    Image.fromarray(a.clip(0, 255).astype(np.uint8)).save(data, 'JPEG', quality=70)
    surface = cairo.ImageSurface(cairo.FORMAT_RGB24, 420, 600)
    surface.set_mime_data('image/jpeg', data.getvalue())
    c.translate(45, 60)
    c.scale(505 / 420, 505 / 420)
    c.set_source_surface(surface)
    c.paint()


def make_pages():
    surface = cairo.PDFSurface(path('pages.pdf'), *A4)
    c = cairo.Context(surface)
    for draw, size, label in ((text_page, A4, 'i'), (table_page, A4[::-1], 'ii'), (drawing_page, A4, '1'),
                              (picture_page, A4, '2')):
        surface.set_size(*size)
        surface.set_page_label(label)
        c.save()
        draw(c)
        c.restore()
        c.show_page()
    surface.finish()


def make_rotated():
    """One asymmetric page four times, with /Rotate 0 to 270 and a crop box that does not begin at the origin."""
    data = io.BytesIO()
    surface = cairo.PDFSurface(data, 300, 200)
    c = cairo.Context(surface)
    c.set_source_rgb(1, 0, 0)
    c.rectangle(20, 20, 60, 30)  # red in the upper left
    c.fill()
    c.set_source_rgb(0, 0, 1)
    c.rectangle(220, 150, 60, 30)  # blue in the lower right
    c.fill()
    c.set_source_rgb(0, 0, 0)
    font(c, 14)
    c.move_to(100, 60)
    c.show_text('Upper left is red')
    surface.finish()
    pdf = pikepdf.open(data)
    for turn in (90, 180, 270):
        pdf.pages.append(pdf.pages[0])
        pdf.pages[-1].Rotate = turn
    for page in pdf.pages:
        page.CropBox = [10, 5, 290, 195]
    pdf.save(path('rotated.pdf'))


def make_encrypted():
    with pikepdf.open(path('rotated.pdf')) as pdf:
        pdf.save(path('locked.pdf'), encryption=pikepdf.Encryption(user='open sesame', owner='other', R=6))
        pdf.save(path('owner.pdf'), encryption=pikepdf.Encryption(user='', owner='other', R=4))


def make_hebrew():
    """Right-to-left words, placed by hand as a typesetter places them, and a Latin one."""
    surface = cairo.PDFSurface(path('hebrew.pdf'), 300, 100)
    c = cairo.Context(surface)
    font(c, 18)
    for x, word in ((200, 'שלום'), (120, 'עולם'), (40, 'hello')):
        c.move_to(x, 50)
        c.show_text(word[::-1] if ord(word[0]) > 0x500 else word)
    surface.finish()


def make_tiffs():
    y, x = np.mgrid[0:50, 0:70]
    rgb = np.stack([x * 930, y * 1300, (x + y) * 540], -1).astype(np.uint16)
    tifffile.imwrite(path('tiled16.tif'), rgb, tile=(16, 32), photometric='rgb', compression='zlib', resolution=(300, 300))
    tifffile.imwrite(path('float.tif'), (x / 70).astype(np.float32))
    with tifffile.TiffWriter(path('thumbnails.tif')) as t:
        for shade in (40, 200):
            t.write(np.full((60, 50), shade, np.uint8), photometric='minisblack')
            t.write(np.full((6, 5), shade, np.uint8), photometric='minisblack', subfiletype=1)


def make_pictures():
    """A turned JPEG and a half-transparent PNG."""
    from PIL import Image
    y, x = np.mgrid[0:20, 0:30]
    rgb = np.stack([x * 8, y * 12, 255 - x * 4 - y * 4], -1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(rgb).save(path('turned.jpg'), quality=90, exif=exif, dpi=(144, 144))
    alpha = np.full((20, 30, 1), 128, np.uint8)
    alpha[:, :15] = 0
    Image.fromarray(np.concatenate([rgb, alpha], -1)).save(path('alpha.png'))


make_pages()
make_rotated()
make_encrypted()
make_hebrew()
make_tiffs()
make_pictures()
