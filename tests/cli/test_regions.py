#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dsvl-regions on the shipped report, with the text layer and from pixels alone: kinds, order and places; canvases that
dsvl-tile takes without scaling; words that stay with their region; blank pages; records that pass."""
import json
import struct
import subprocess


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
candidates = {tuple(c) for c in json.load(open('models/nano/processor_config.json'))['candidate_resolutions']}
for layer in ([], ['--no-text-layer']):
    page = run('dsvl-rasterize', '--dpi', '216', *layer, 'tests/data/report.pdf')
    stream = run('dsvl-regions', data=page)
    again = run('dsvl-regions', data=page)
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
