#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dsvl-read: the words of pages read from their pixels against those that Poppler finds in the same documents, and where
they stand; the same from any number of threads; what has a text layer passes untouched; blank pages; other models."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

import numpy as np

from librecords import parse, record, stream


def run(*command, data=b'', status=0):
    done = subprocess.run(command, input=data, capture_output=True)
    assert done.returncode == status, (command, done.returncode, done.stderr)
    return done.stdout if status == 0 else done.stderr.decode()


def words_of(tensors):
    text, at = tensors['words.text'].tobytes(), tensors['words.offsets']
    return [(text[a:b].decode(), tuple(box)) for a, b, box in zip(at, at[1:], tensors['words.boxes'].tolist())]


def poppler(path, page):
    html = run('pdftotext', '-bbox', '-f', str(page), '-l', str(page), path, '-').decode()
    found = re.findall(r'<word xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)" yMax="([\d.]+)">(.*?)</word>', html)
    return [(w.replace('&amp;', '&').replace('&lt;', '<'), tuple(map(float, b))) for *b, w in found]


def middle_in(a, b):
    return b[0] <= (a[0] + a[2]) / 2 <= b[2] and b[1] <= (a[1] + a[3]) / 2 <= b[3]


REPORT = 'tests/data/report.pdf'
pages = run('dsvl-rasterize', '--no-text-layer', '--dpi', '200', REPORT, 'tests/eval/pages/text-html-2.pdf')
one, two = (run('dsvl-read', '--threads', n, data=pages) for n in '12')
timeless = [[({k: v for k, v in f.items() if k != 'seconds'}, {n: t.tobytes() for n, t in w.items()}) for f, w in parse(s)]
            for s in (one, two)]
assert timeless[0] == timeless[1]

# From the cache come the same words, and a damaged entry is read again.
with tempfile.TemporaryDirectory() as cache:
    for damage in (False, False, True):
        for entry in pathlib.Path(cache).rglob('*'):
            if damage and entry.is_file():
                entry.write_bytes(entry.read_bytes()[:-40])
        again = run('dsvl-read', '--cache', cache, data=pages)
        assert [{n: t.tobytes() for n, t in w.items()} for _, w in parse(again)] == [w for _, w in timeless[0]]
    assert sum(e.is_file() for e in pathlib.Path(cache).rglob('*')) >= 3

placed = right = total = 0
for facts, tensors in parse(one):
    if facts['dsvl.kind'] != 'page':
        continue
    assert facts['text_layer'] == 'read' and 'dsvl-read' in facts['made_by']
    mine, theirs = words_of(tensors), poppler(facts['document'], facts['page'])
    assert len(tensors['words.logprob']) == len(mine) and (tensors['words.logprob'] <= 0).all()
    for word, box in theirs:
        there = [w for w, b in mine if middle_in(b, box)]
        total += 1
        placed += len(there) == 1
        right += there == [word]
assert total > 250 and placed >= .9 * total, (placed, total)
assert right >= .8 * total, (right, total)

# What has words keeps them, to the byte; a page without print has a layer without words, and an empty answer.
own = run('dsvl-rasterize', REPORT)
assert run('dsvl-read', data=own) == own
# But for a stamp on a scan: one word on a page full of lines.
first = parse(pages)[0]
stamp = {'words.text': np.frombuffer(b'Copy', np.uint8), 'words.offsets': np.array([0, 4], np.int32),
         'words.boxes': np.array([[10, 10, 40, 20]], np.float32), 'words.font_size': np.array([9], np.float32),
         'words.flags': np.array([2], np.uint8)}
facts = {k: v for k, v in first[0].items() if not k.startswith('dsvl.')}
again = run('dsvl-read', data=stream(record('page', {**first[1], **stamp}, **facts)))
assert words_of(parse(again)[0][1]) == words_of(parse(one)[0][1])
open('build/blank.ppm', 'wb').write(b'P6\n600 800\n255\n' + b'\xff' * (600 * 800 * 3))
blank = run('dsvl-read', data=run('dsvl-rasterize', 'build/blank.ppm'))
assert words_of(parse(blank)[0][1]) == [] and parse(blank)[0][0]['text_layer'] == 'read'
line, = run('dsvl', 'ask', 'build/blank.ppm', 'Read the text.').splitlines()
assert json.loads(line)['answer'] == ''

# From end to end: the answer says that its words were read, and where they stand.
line = json.loads(run('dsvl', 'ask', '--no-text-layer', '--pages', '1', REPORT, 'Extract the table as CSV.'))
assert line['grounded'] and line['text_layer'] == 'read', line
cells = {c['text']: c for c in line['cells']}
assert {'Hazel Road', '1956', '4095'} <= set(cells), line['answer']
assert middle_in(cells['4095']['boxes'][0], next(b for w, b in poppler(REPORT, 1) if w == '4095'))
line = json.loads(run('dsvl', 'ask', '--pages', '1', REPORT, 'Extract the table as CSV.'))
assert line['grounded'] and 'text_layer' not in line, line

# A model that has not learned this says so.
with tempfile.TemporaryDirectory() as folder:
    shutil.copytree('models/nano', folder, dirs_exist_ok=True)
    config = json.load(open(folder + '/config.json'))
    del config['dsvl_line_pitch_px']
    json.dump(config, open(folder + '/config.json', 'w'))
    message = run('dsvl-read', '-m', folder, data=own, status=3)
    assert 'dsvl_line_pitch_px' in message, message
