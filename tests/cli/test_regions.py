#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dsvl-regions on the shipped report, with the text layer and from pixels alone: kinds, order and places; canvases that
dsvl-tile takes without scaling; words that stay with their region; blank pages; records that pass; lines set anew."""
import json
import shutil
import struct
import subprocess
import tempfile

import numpy as np


def run(*command, data=b''):
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def records(data):
    at = 0
    while at < len(data):
        size, = struct.unpack('<Q', data[at:at + 8])
        header = json.loads(data[at + 8:at + 8 + size])
        facts = header.pop('__metadata__')
        at += 8 + size
        tensors = {n: (t['shape'], data[at + t['data_offsets'][0]:at + t['data_offsets'][1]]) for n, t in header.items()}
        at += max((t['data_offsets'][1] for t in header.values()), default=0)
        yield facts, tensors


def overlap(a, b):
    x = min(a[2], b[2]) - max(a[0], b[0])
    y = min(a[3], b[3]) - max(a[1], b[1])
    both = max(x, 0) * max(y, 0)
    area = lambda c: (c[2] - c[0]) * (c[3] - c[1])
    return both / (area(a) + area(b) - both)


TABLE, CHART = (72, 190, 472, 370), (72, 110, 432, 323)  # as make_report.py draws them; the chart with its labels
def model(folder, pitch):
    """The embedded model's configuration, with or without a wish for lines set anew."""
    config = json.load(open('models/nano/config.json'))
    for key in ('dsvl_line_pitch_px', 'dsvl_region_tiles'):
        config.pop(key, None)
    json.dump({**config, **({'dsvl_line_pitch_px': pitch} if pitch else {})}, open(folder + '/config.json', 'w'))
    shutil.copy('models/nano/processor_config.json', folder)


plain = tempfile.TemporaryDirectory()
model(plain.name, 0)
candidates = {tuple(c) for c in json.load(open('models/nano/processor_config.json'))['candidate_resolutions']}
for layer in ([], ['--no-text-layer']):
    page = run('dsvl-rasterize', '--dpi', '216', *layer, 'tests/data/report.pdf')
    stream = run('dsvl-regions', '-m', plain.name, data=page)
    again = run('dsvl-regions', '-m', plain.name, data=page)
    timeless = [[({k: v for k, v in f.items() if k != 'seconds'}, t) for f, t in records(s)] for s in (stream, again)]
    assert timeless[0] == timeless[1], 'not deterministic'
    found = [(f, t) for f, t in records(stream) if f['dsvl.kind'] == 'region']
    for number in ('1', '2'):
        mine = [f for f, _ in found if f['page'] == number]
        assert [f['region'] for f in mine] == [str(k + 1) for k in range(len(mine))]
        assert all(f['regions'] == str(len(mine)) for f in mine)
        tops = [float(f['crop_pt'].split()[1]) for f in mine]
        assert tops == sorted(tops), 'one column is read from the top'
    box = {k: [list(map(float, f['crop_pt'].split())) for f, _ in found if f['region_kind'] == k]
           for k in ('table', 'figure', 'text')}
    assert len(box['table']) == 1 and overlap(box['table'][0], TABLE) > .9, box
    assert len(box['figure']) == 1 and overlap(box['figure'][0], CHART) > .8, box
    assert len(box['text']) >= 3, box
    for facts, tensors in found:
        height, width, _ = tensors['pixels'][0]
        assert (width, height) in candidates, (width, height)
        if layer:
            assert not any(n.startswith('words.') for n in tensors)
    if not layer:
        table = next(t for f, t in found if f['region_kind'] == 'table')
        text = table['words.text'][1].decode()
        assert text.startswith('StationOpenedTrains') and text.endswith('2760') and 'June' not in text, text

blank = b'P6\n600 800\n255\n' + b'\xff' * (600 * 800 * 3)
open('build/blank.ppm', 'wb').write(blank)
kinds = [(f['dsvl.kind'], f.get('region_kind')) for f, _ in
         records(run('dsvl-regions', data=run('dsvl-rasterize', 'build/blank.ppm')))]
assert kinds == [('region', 'blank'), ('end', None)], kinds
# What is no page passes untouched.
tiles = run('dsvl-tile', 'build/blank.ppm')
assert run('dsvl-regions', data=tiles) == tiles

# Sheets, where a model asks for them: each line in a row of its own, its ink in the middle of it, and as far to the left
# and right as poppler's own words of that line say.
PITCH = 32
with tempfile.TemporaryDirectory() as folder:
    model(folder, PITCH)
    page = run('dsvl-rasterize', '--dpi', '180', 'tests/data/report.pdf', 'tests/eval/pages/text-html-2.pdf')
    stream = run('dsvl-regions', '-m', folder, data=page)
    asked = [f for f, _ in records(run('dsvl-regions', '-m', folder, '--if-needed', data=page))]
    assert all(f['dsvl.kind'] in ('region', 'end') for f in asked), 'no page is read whole'
sheets = [(f, t) for f, t in records(stream) if 'line_pitch_px' in f]
figures = [f for f, t in records(stream) if f.get('region_kind') == 'figure']
assert len(figures) == 1 and 'line_pitch_px' not in figures[0]
table = [f['region_part'] for f, _ in sheets if f['region_kind'] == 'table']
assert table == ['1/2', '2/2'], table  # nine rows, eight to a sheet, and one of them twice
lines = 0
for facts, tensors in sheets:
    shape, data = tensors['pixels']
    assert shape[0] == 256 and facts['line_pitch_px'] == str(PITCH)
    dark = np.frombuffer(data, np.uint8).reshape(shape).min(2) < 128
    boxes = np.frombuffer(tensors['words.boxes'][1], np.float32).reshape(-1, 4)
    sizes = dict(zip(map(tuple, boxes.tolist()), np.frombuffer(tensors['words.font_size'][1], np.float32)))
    rows = []  # of words: those whose middles are next to each other
    for box in sorted(boxes.tolist(), key=lambda b: b[1] + b[3]):
        if rows and box[1] + box[3] - rows[-1][0][1] - rows[-1][0][3] < box[3] - box[1]:
            rows[-1].append(box)
        else:
            rows.append([box])
    zoom, left = float(facts['zoom']) * 180 / 72, float(facts['crop_pt'].split()[0])
    for k in range(8):
        band = dark[k * PITCH:(k + 1) * PITCH].copy()
        band[(band.sum(1) > .5 * shape[1])] = False  # rules
        if k >= len(rows):
            assert not band.any(), (facts['region'], k)
            continue
        y, x = np.nonzero(band[:, 4:] if facts['region_kind'] == 'text' else band[:, 12:])
        x += 4 if facts['region_kind'] == 'text' else 12
        assert abs((y.min() + y.max()) / 2 - PITCH / 2) < 5, (facts['region'], k, y.min(), y.max())
        if facts['region_kind'] == 'text' and max(sizes[tuple(b)] for b in rows[k]) * zoom < .85 * PITCH:  # else zoomed less
            for ink, edge in ((x.min(), min(b[0] for b in rows[k])), (x.max(), max(b[2] for b in rows[k]))):
                assert abs(ink - (8 + (edge - left) * zoom)) < 5, (facts['region'], k, ink, edge)
            lines += 1
assert lines > 50, lines
