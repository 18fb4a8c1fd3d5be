#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw tests/data/report.pdf: the report that `make demo` and the README read. Needs python3-cairo and the
Liberation fonts; the result is committed, so this runs only to change it."""
import os
import cairo

A4 = (595.276, 841.890)
TABLE = [
    ['Station', 'Opened', 'Trains', 'Late %', 'Revenue'],
    ['Alder Bridge', '1874', '212', '3.1', '18450'],
    ['Birch Hill', '1902', '148', '5.6', '9875'],
    ['Cedar Quay', '1931', '96', '2.4', '7310'],
    ['Elm Park', '1888', '301', '7.9', '26120'],
    ['Hazel Road', '1956', '64', '1.8', '4095'],
    ['Maple Cross', '1919', '187', '4.2', '15640'],
    ['Oak Market', '1867', '355', '6.5', '31280'],
    ['Willow End', '1974', '52', '0.9', '2760'],
]
TEXT = [
    'The northern line carried more passengers than in any year since it was opened.',
    'Eight stations are in use, and each has been counted by hand in the first week',
    'of June. The table below gives the trains of one week, the share of them that',
    'came late, and what was taken at the counter.',
]
CHART = [('Mon', 412), ('Tue', 388), ('Wed', 405), ('Thu', 431), ('Fri', 520), ('Sat', 296)]


def font(c, size, bold=False):
    c.select_font_face('Liberation Sans', cairo.FONT_SLANT_NORMAL,
                       cairo.FONT_WEIGHT_BOLD if bold else cairo.FONT_WEIGHT_NORMAL)
    c.set_font_size(size)


def say(c, x, y, text, right=False, middle=False):
    width = c.text_extents(text).x_advance
    c.move_to(x - width if right else x - width / 2 if middle else x, y)
    c.show_text(text)


def table(c, x, y, widths, height):
    for i, row in enumerate(TABLE):
        font(c, 10, bold=i == 0)
        left = x
        for j, (cell, width) in enumerate(zip(row, widths)):
            baseline = y + i * height + height * .5 + 3.5
            say(c, left + width - 6 if j else left + 6, baseline, cell, right=j > 0)
            left += width
    c.set_line_width(.7)
    for i in range(len(TABLE) + 1):
        c.move_to(x, y + i * height)
        c.line_to(x + sum(widths), y + i * height)
    for j in range(len(widths) + 1):
        c.move_to(x + sum(widths[:j]), y)
        c.line_to(x + sum(widths[:j]), y + len(TABLE) * height)
    c.stroke()


def chart(c, x, y, width, height):
    top = max(v for _, v in CHART)
    step = width / len(CHART)
    for i, (label, value) in enumerate(CHART):
        bar = (height - 30) * value / top
        c.set_source_rgb(.35, .5, .7)
        c.rectangle(x + i * step + step * .2, y + height - bar, step * .6, bar)
        c.fill()
        c.set_source_rgb(0, 0, 0)
        font(c, 10)
        say(c, x + (i + .5) * step, y + height + 13, label, middle=True)
        say(c, x + (i + .5) * step, y + height - bar - 4, str(value), middle=True)
    c.set_line_width(.8)
    c.move_to(x, y + height)
    c.line_to(x + width, y + height)
    c.stroke()


surface = cairo.PDFSurface(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'report.pdf'), *A4)
surface.set_metadata(cairo.PDFMetadata.TITLE, 'Stations of the northern line')
surface.set_metadata(cairo.PDFMetadata.CREATE_DATE, '2026-01-01T00:00:00Z')
c = cairo.Context(surface)
font(c, 16, bold=True)
say(c, 72, 90, 'Stations of the northern line')
font(c, 10)
for k, line in enumerate(TEXT):
    say(c, 72, 118 + 15 * k, line)
table(c, 72, 190, [110, 70, 70, 70, 80], 20)
font(c, 8)
say(c, A4[0] / 2, 810, '1', middle=True)
c.show_page()
font(c, 16, bold=True)
say(c, 72, 90, 'Passengers of one week')
chart(c, 72, 110, 360, 200)
font(c, 8)
say(c, A4[0] / 2, 810, '2', middle=True)
c.show_page()
surface.finish()
