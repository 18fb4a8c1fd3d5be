#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dsvl-answer --grounded: whatever the model would like to say, every cell stands on the page, and its evidence names
the words that poppler's own pdftotext finds there, with their boxes. Without a text layer it says so."""
import csv
import io
import json
import re
import subprocess

PAGE = 'tests/data/report.pdf'


def pipeline(rasterize, answer):
    stages = [['dsvl-rasterize', *rasterize, PAGE], ['dsvl-tile'], ['dsvl-encode'], ['dsvl-answer', *answer]]
    data = b''
    for stage in stages:
        done = subprocess.run(stage, input=data, capture_output=True, check=True)
        data = done.stdout
    return json.loads(data), done.stderr.decode()


bbox = subprocess.run(['pdftotext', '-f', '1', '-l', '1', '-bbox', PAGE, '-'], capture_output=True, check=True, text=True)
truth = [(m[5], [float(x) for x in m.groups()[:4]]) for m in re.finditer(
    r'<word xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)" yMax="([\d.]+)">(.*?)</word>', bbox.stdout)]
words = [w for w, _ in truth]
spellings = {' '.join(words[i:j]) for i in range(len(words)) for j in range(i + 1, min(i + 20, len(words)) + 1)}
spellings |= {s.rstrip(',.;:!?') for s in spellings}

for prompt in ('Extract the table as CSV.', 'Read the text.', 'What is this?'):
    for crop in ('60,180,480,380', '60,60,540,400'):
        answer, _ = pipeline(['--pages', '1', '--dpi', '110', '--crop', crop],
                             ['--grounded', '--max-tokens', '300', '-p', prompt])
        assert answer['grounded'] is True
        assert answer['finish_reason'] in ('stop', 'length')
        whole = answer['answer'] if answer['finish_reason'] == 'stop' else answer['answer'].rpartition('\n')[0]
        used = []
        for cell in answer['cells']:
            joined = ' '.join(cell['words'])
            assert cell['text'] in (joined, joined.strip('(),.;:!?"\'[]'), joined.rstrip(',.;:!?')), cell
            for word, box in zip(cell['words'], cell['boxes']):
                near = [k for k, (w, b) in enumerate(truth)
                        if w == word and max(abs(p - q) for p, q in zip(b, box)) < 0.5]
                assert near, (word, box)
                used.append(near[0])
        assert len(used) == len(set(used)), 'a word of the page served twice'
        texts = [c['text'] for c in answer['cells']]
        for row in csv.reader(io.StringIO(whole.replace('|', ','))):
            for cell in filter(None, map(str.strip, row)):
                assert cell in texts or cell in spellings, (cell, answer['answer'])

answer, said = pipeline(['--pages', '1', '--dpi', '60', '--no-text-layer'], ['--grounded', '--max-tokens', '9', '-p', 'x'])
assert answer['grounded'] is False and 'cells' not in answer
assert 'report.pdf, page 1: there is no text layer' in said, said

# Places are those of the words: on the page, and in a region of it; nothing for what is not there.
width, height = 595.28, 841.89
for regions in (False, True):
    stages = [['dsvl-rasterize', '--pages', '1', PAGE], *([['dsvl-regions']] if regions else []), ['dsvl-tile'],
              ['dsvl-encode'], ['dsvl-answer', '--grounded', '-p']]
    for text in ('%s %s' % (words[0], words[1]), words[-1], 'Nowhere'):
        data = b''
        for stage in stages:
            stage = [*stage, f'Locate {text}.'] if stage[-1] == '-p' else stage
            data = subprocess.run(stage, input=data, capture_output=True, check=True).stdout
        answer = json.loads(data)
        assert answer['grounded'] is True
        parts = text.split()
        places = [i for i in range(len(words)) if [w.rstrip(',.;:') for w in words[i:i + len(parts)]] == parts]
        boxes = [[float(x) for x in b.split(',')] for b in re.findall(r'\[(\d+, \d+, \d+, \d+)\]', answer['answer'])]
        assert len(boxes) == len(places), (text, answer['answer'], places)
        assert bool(places) == answer['answer'].startswith(f'<|ref|>{text}<|/ref|><|det|>[[')
        for i, box in zip(places, boxes):
            want = [f(truth[k][1][side] for k in range(i, i + len(parts))) / (height if side % 2 else width) * 999
                    for side, f in enumerate((min, min, max, max))]
            assert max(abs(a - b) for a, b in zip(want, box)) < 1.5, (text, want, box)
        assert [c['text'] for c in answer['cells']] == [text] * len(places)
