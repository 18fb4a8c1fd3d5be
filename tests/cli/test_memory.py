# SPDX-License-Identifier: Apache-2.0
"""--max-memory of the programs that hold pages: what is too large fails by itself, in a record or at once."""
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from librecords import parse  # noqa: E402

REPORT = HERE.parent / "data" / "report.pdf"


def run(program, *args, data=None):
    done = subprocess.run([program, *map(str, args)], input=data, capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode()


def tensors(data):
    """What a stream holds, apart from times and settings."""
    return [(f["dsvl.kind"], {n: v.tobytes() for n, v in t.items()}) for f, t in parse(data)]


def main():
    status, small, said = run("dsvl-rasterize", "--max-memory", "40M", "--pages", 1, "--dpi", 60, REPORT)
    assert status == 0 and parse(small)[0][0]["dsvl.kind"] == "page", said
    assert tensors(small) == tensors(run("dsvl-rasterize", "--pages", 1, "--dpi", 60, REPORT)[1])
    status, out, said = run("dsvl-rasterize", "--max-memory", "12M", "--pages", 1, "--dpi", 300, REPORT)
    assert status == 1 and parse(out)[0][0]["dsvl.kind"] == "error" and "out of memory" in said, (status, said)
    status, large, _ = run("dsvl-rasterize", "--pages", 1, "--dpi", 300, REPORT)
    assert status == 0
    for program in ("dsvl-tile", "dsvl-regions", "dsvl-read"):
        status, out, said = run(program, "--max-memory", "200M", data=large)
        assert status == 0 and tensors(out) == tensors(run(program, data=large)[1]), (program, said)
        status, out, said = run(program, "--max-memory", "12M", data=large)  # not even the record can be read
        assert status == 6 and not out and "out of memory" in said and said.count("\n") == 1, (program, status, said)
        status, out, said = run(program, "--max-memory", "29M", data=large)  # read, and no room to work
        assert status == 1 and parse(out)[0][0]["dsvl.kind"] == "error" and "out of memory" in said, (program, status, said)


main()
