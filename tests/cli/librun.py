# SPDX-License-Identifier: Apache-2.0
"""Small archives for the tests of dsvl run, and a look at what it left."""
import json
import random
import subprocess
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data"
ASK = ["-p", "Read the text.", "--max-tokens", "5", "--dpi", "24", "--threads", "1"]


def ppm(path, seed, width=120, height=90):
    """A picture of one page, different for each seed."""
    path.write_bytes(b"P6 %d %d 255\n" % (width, height) + random.Random(seed).randbytes(width * height * 3))


def archive(folder, pictures=3, reports=1):
    """Documents in folders, some of several pages; a list of their names as they are given."""
    folder = Path(folder)
    names = []
    for n in range(reports):
        name = folder / f"year{n}" / "report.pdf"
        name.parent.mkdir(parents=True)
        name.write_bytes((DATA / ("pages.pdf" if n % 2 else "report.pdf")).read_bytes() + b"\n%%" * n)
        names.append(name)
    for n in range(pictures):
        name = folder / f"scan {n}.ppm"
        ppm(name, n)
        names.append(name)
    return [str(n.relative_to(folder)) for n in names]


def run(folder, out, *arguments, status=0, ask=ASK):
    r = subprocess.run(["dsvl", "run", "--out", str(out), *ask, *map(str, arguments)], cwd=folder, capture_output=True)
    assert status is None or r.returncode == status, (r.returncode, r.stderr.decode())
    return r.stderr.decode()


def outputs(out):
    """Names and bytes of the answers; nothing unfinished may lie beside them."""
    files = {str(p.relative_to(out)): p.read_bytes() for p in sorted(Path(out).rglob("*"))
             if p.is_file() and ".dsvl" not in p.relative_to(out).parts}
    assert all(name.endswith(".jsonl") for name in files), list(files)
    return files


def summary(out, name="summary.json"):
    return json.loads((Path(out) / ".dsvl" / name).read_text())


def entries(out):
    """What the cache holds: {name: inode}; an entry that is made again gets another inode."""
    return {p.name: p.stat().st_ino for p in (Path(out) / ".dsvl" / "cache").glob("??/*") if not p.name.startswith("tmp.")}
