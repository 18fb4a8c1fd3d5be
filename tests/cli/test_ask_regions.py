#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dsvl ask and the parts of pages: which prompts are asked of which parts, what happens where a page has none of them,
and when pages stay whole."""
import json
import subprocess

REPORT = 'tests/data/report.pdf'  # page 1: text and a table; page 2: text and a chart


def ask(*arguments):
    done = subprocess.run(['dsvl', 'ask', '-v', '--max-tokens', '3', *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def stream(*command, data=b''):
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


lines, notes = ask(REPORT, 'Extract the table as CSV.')
assert 'cut up' in notes and '--kinds' not in notes, notes
assert {line['page'] for line in lines} == {1, 2}, 'a page without a table is not passed over in silence'

# What the prompt is not known to be about, models without a preferred type size and documents stay whole.
for arguments, why in ([[REPORT, 'What is on this page?'], 'prompt'],
                       [['--per', 'document', REPORT, 'Read the text.'], 'documents']):
    lines, notes = ask(*arguments)
    assert 'whole' in notes and why in notes and not any('region' in line for line in lines), notes

# A page of one small picture with large type is left whole; records say so.
page = stream('dsvl-rasterize', '--dpi', '216', '--pages', '1', '--crop', '72,77,150,93', REPORT)
assert stream('dsvl-regions', '--if-needed', data=page) == page
assert b'region_kind' in stream('dsvl-regions', data=page)
assert subprocess.run(['dsvl-regions', '--kinds', 'table,chart'], capture_output=True).returncode == 2
