#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Feed a folder of documents, such as the malformed ones that PDF projects collect, to dsvl-rasterize and count.

    tests/bench/malformed.py FOLDER [--seconds N] [dsvl-rasterize OPTION...]

Exit status 1 when the program ended in another way than it documents, or a document left neither page nor error record.
--seconds: stop starting documents after so long, and say how far it came."""
import collections
import json
import os
import re
import struct
import subprocess
import sys
import time

BATCH = 50  # documents a run
CAUSES = (  # what a message says: the name it is counted under
    ('crashed', r'crashed \((SIG\w+)\)'), ('forbidden system call', r'forbidden system call \((\w+)\)'), ('memory', r'memory'),
    ('time limit of a page', r'--max-page-seconds'), ('time limit of a document', r'--max-document-seconds'), ('killed', r'SIGKILL'),
    ('gave up', r'gave up'), ('a part may be missing', r'a part of the page may be missing'), ('too many pages', r'--max-pages'),
    ('too many pixels', r'--max-pixels'), ('locked', r'encrypted|password'), ('cut short', r'cut short'),
    ('page not found', r'page cannot be found'), ('no such format', r'is not a|is empty'), ('cannot be read', r'cannot be (read|drawn)'))


def records(stream):
    """The facts of each record; pixels and words are passed over."""
    while head := stream.read(8):
        header = json.loads(stream.read(struct.unpack('<Q', head)[0]))
        yield header.pop('__metadata__')
        left = max((t['data_offsets'][1] for t in header.values()), default=0)
        while left:
            left -= len(stream.read(min(left, 1 << 20)))


def cause_of(message):
    for name, pattern in CAUSES:
        found = re.search(pattern, message)
        if found:
            return f'{name}: {found.group(1)}' if found.groups() and found.group(1) and name in ('crashed', 'forbidden system call') else name
    return 'other'


def run(batch, options, counts, examples):
    p = subprocess.Popen(['dsvl-rasterize', '-q', '--dpi=20', *options, '--null', '--files-from=-'], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdin.write(b''.join(os.fsencode(f) + b'\0' for f in batch))
    p.stdin.close()
    seen, ended = set(), False
    for facts in records(p.stdout):
        kind = facts['dsvl.kind']
        ended = kind == 'end'
        if ended:
            continue
        counts[kind] += 1
        seen.add(facts['document'])
        if kind == 'error':
            cause = cause_of(facts['message'])
            counts['  ' + cause] += 1
            examples.setdefault(cause, facts['message'])
    status = p.wait()
    counts['documents'] += len(batch)
    counts['documents without a record'] += sum(os.fsencode(f).decode('utf-8', 'replace') not in seen for f in batch)
    if status not in (0, 1) or not ended:
        counts['runs that ended badly'] += 1
        print('ended badly, status', status, 'after', len(seen), 'of', batch)


def main():
    folder, *options = sys.argv[1:]
    limit = float('inf')
    if options[:1] == ['--seconds']:
        limit = float(options[1])
        options = options[2:]
    files = sorted(os.path.join(d, f) for d, _, names in os.walk(folder) for f in names)
    counts, examples, begun = collections.Counter(), {}, time.monotonic()
    for i in range(0, len(files), BATCH):
        if time.monotonic() - begun > limit:
            print('stopped at', i, 'of', len(files))
            break
        run(files[i:i + BATCH], options, counts, examples)
    bad = counts["documents without a record"] or counts["runs that ended badly"]
    for name in ('documents', 'page', 'error', 'documents without a record', 'runs that ended badly'):
        print(f'{counts.pop(name, 0):8d}  {name}')
    for name, n in counts.most_common():
        print(f'{n:8d}  {name}   {examples[name.strip()][-110:]}')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
