#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dsvl ask and the parts of pages: which prompts are asked of which parts, what happens where a page has none of them,
and when pages stay whole."""
import json
import subprocess

import librecords

REPORT = 'tests/data/report.pdf'  # page 1: text and a table; page 2: text and a chart


def ask(*arguments):
    done = subprocess.run(['dsvl', 'ask', '-v', '--max-tokens', '3', *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def stream(*command, data=b''):
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


lines, notes = ask(REPORT, 'Extract the table as CSV.')
assert 'cut up' in notes and '--kinds' not in notes, notes
assert [(line['page'], {r['kind'] for r in line['regions']}) for line in lines] == \
    [(1, {'table'}), (2, {'text', 'figure'})], 'a page without a table is asked about as a whole, in parts'

# What the prompt is not known to be about, models without a preferred type size and documents stay whole.
for arguments, why in ([[REPORT, 'What is on this page?'], 'prompt'],
                       [['--per', 'document', REPORT, 'Read the text.'], 'documents']):
    lines, notes = ask(*arguments)
    assert 'whole' in notes and why in notes and not any('regions' in line for line in lines), notes

# A page of one small picture with large type is left whole; records say so.
page = stream('dsvl-rasterize', '--dpi', '216', '--pages', '1', '--crop', '72,77,150,93', REPORT)
assert stream('dsvl-regions', '--if-needed', data=page) == page
assert b'region_kind' in stream('dsvl-regions', data=page)
assert subprocess.run(['dsvl-regions', '--kinds', 'table,chart'], capture_output=True).returncode == 2

# The answer about a blank page is empty, and costs no model's time.
open('build/blank.ppm', 'wb').write(b'P6\n600 800\n255\n' + b'\xff' * (600 * 800 * 3))
(line,), _ = ask('build/blank.ppm', 'Read the text.')
assert line['answer'] == '' and line['completion_tokens'] == 0 and line['regions'][0]['kind'] == 'blank'

# Boxes are of the page: the region's corner, at 0 0 of its picture, is at its place on the page.
facts = next(f for f, _ in librecords.parse(stream('dsvl-tile', data=stream('dsvl-regions', '--kinds', 'table', data=stream(
    'dsvl-rasterize', '--pages', '1', REPORT)))) if f['dsvl.kind'] == 'tiles')
assert facts['page_crop_pt'].split() == ['0', '0', facts['page_width_pt'], facts['page_height_pt']]
