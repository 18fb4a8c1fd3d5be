#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole pipeline on one A4 page with the embedded model, against the limits that the project sets itself; and
dsvl-rasterize against pdftoppm, in turn. Medians."""
import os
import statistics
import subprocess
import tempfile
import time

RUNS = 7
PAGE = 'tests/data/report.pdf'
LIMIT_SECONDS, LIMIT_MB, LIMIT_START = 3.0, 400, 0.3


def run(commands, stdin=None):
    """Run a pipeline; returns wall seconds and the peak resident megabytes of all its processes together."""
    start = time.perf_counter()
    processes, source = [], stdin or subprocess.DEVNULL
    for i, command in enumerate(commands):
        last = i + 1 == len(commands)
        p = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL if last else subprocess.PIPE)
        if source not in (stdin, subprocess.DEVNULL):
            source.close()
        source = p.stdout
        processes.append(p)
    peak = 0
    for p in processes:
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        if p.returncode:
            raise SystemExit(f'{p.args[0]} failed with {p.returncode}')
        peak += usage.ru_maxrss / 1024
    return time.perf_counter() - start, peak


def in_turn(*candidates):
    """Run the candidates in turn; medians of each."""
    results = [[] for _ in candidates]
    for k in range(RUNS + 1):
        for r, c in zip(results, candidates):
            value = c()
            if k:  # the first round warms the caches
                r.append(value)
    return [tuple(map(statistics.median, zip(*r))) for r in results]


answer = ['dsvl-answer', '--text', '-p', 'Extract the table as CSV.']
(seconds, peak), = in_turn(lambda: run([['dsvl-rasterize', '--pages', '1', PAGE], ['dsvl-tile'], ['dsvl-encode'], answer]))
print(f'A4 page to CSV, embedded model: {seconds:.2f} s wall = {seconds / LIMIT_SECONDS:.2f} of {LIMIT_SECONDS} s; '
      f'{peak:.0f} MB in all processes = {peak / LIMIT_MB:.2f} of {LIMIT_MB} MB')

with tempfile.TemporaryFile() as empty:
    subprocess.run(['dsvl-tile'], input=b'', stdout=empty, check=False, stderr=subprocess.DEVNULL)
    # A stream without pages: what remains is the start.
    empty.truncate(0)
    empty.seek(0)
    header = (b'{"__metadata__":{"dsvl.kind":"end","dsvl.version":"1","records":"0"}}')
    header += b' ' * (-len(header) % 8)
    empty.write(len(header).to_bytes(8, 'little') + header)

    def start(program):
        empty.seek(0)
        return run([program], empty)

    for program in (['dsvl-encode'], ['dsvl-answer', '-p', 'x']):
        (seconds, _), = in_turn(lambda: start(program))
        print(f'{program[0]}: start-up {seconds:.3f} s = {seconds / LIMIT_START:.2f} of {LIMIT_START} s')

for name in ('report.pdf', 'pages.pdf'):
    path = f'tests/data/{name}'
    (ours, _), (ppm, _), (peer, _) = in_turn(
        lambda: run([['dsvl-rasterize', path]]), lambda: run([['dsvl-rasterize', '--format', 'ppm', path]]),
        lambda: run([['pdftoppm', '-r', '150', path]]))
    print(f'{name}: dsvl-rasterize takes {ours / peer:.2f} of the time of pdftoppm (--format ppm: {ppm / peer:.2f})')
