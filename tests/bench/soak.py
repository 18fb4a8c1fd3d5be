# SPDX-License-Identifier: Apache-2.0
"""A soak: PAGES pages (default 2000), each another picture, through one pipeline with the embedded model. Prints the
resident memory of each program along the way, and fails when it has grown after the first quarter by more than 2 %
and 4 MB. Run as: PATH=$PWD/bin:$PATH python3 tests/bench/soak.py [PAGES]"""
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PAGES = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
STAGES = [["dsvl-rasterize", "--files-from", "list"], ["dsvl-read", "--threads=1"], ["dsvl-tile"], ["dsvl-encode", "--threads=1", "--batch=4"],
          ["dsvl-answer", "--threads=1", "--no-times", "--max-tokens=8", "-p", "Read the text."]]


def resident(pid):
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None


with tempfile.TemporaryDirectory() as place:
    folder, dice = Path(place), random.Random(1)
    for n in range(PAGES):
        (folder / f"{n}.ppm").write_bytes(b"P6 96 64 255\n" + dice.randbytes(96 * 64 * 3))
    (folder / "list").write_text("".join(f"{n}.ppm\n" for n in range(PAGES)))
    running, source = [], None
    for command in STAGES:
        running.append(subprocess.Popen(command, cwd=folder, stdin=source, stdout=subprocess.PIPE))
        if source:
            source.close()
        source = running[-1].stdout
    samples, answered, begun = [], 0, time.monotonic()

    def watch():
        while running[-1].poll() is None:
            samples.append((answered, [resident(p.pid) for p in running]))
            time.sleep(0.5)
    threading.Thread(target=watch, daemon=True).start()
    for line in source:
        assert json.loads(line)["finish_reason"] in ("stop", "length"), line
        answered += 1
    assert [p.wait() for p in running] == [0] * len(running) and answered == PAGES, answered
    seconds = time.monotonic() - begun
    print(f"{PAGES} pages in {seconds:.0f} s; resident memory, MB:\n{'page':>6}" + "".join(f"{c[0]:>16}" for c in STAGES))
    for k in range(9):
        page, sizes = samples[min(len(samples) * k // 8, len(samples) - 1)]
        print(f"{page:>6}" + "".join(f"{s:>16.1f}" if s else f"{'ended':>16}" for s in sizes))
    grown = []
    for i, command in enumerate(STAGES):
        sizes = [(page, s[i]) for page, s in samples if s[i]]
        early = max(s for page, s in sizes if page <= max(PAGES / 4, sizes[0][0]))
        late = max(s for page, s in sizes)
        if late > early * 1.02 + 4:
            grown.append(f"{command[0]} grew from {early:.1f} to {late:.1f} MB")
    sys.exit("\n".join(grown) or 0)
