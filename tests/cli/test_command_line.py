# SPDX-License-Identifier: Apache-2.0
"""What all programs do alike on the command line: forms of options, mistakes, --quiet and --verbose, and what a stream
without its end record, a full disk and a reader that is gone do to each."""
import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from librecords import parse, record, stream  # noqa: E402

REPORT = str(HERE.parent / "data" / "report.pdf")
NANO = str(HERE.parent.parent / "models" / "nano")
PAPER = np.full((64, 64, 3), 255, np.uint8)
PAGE = stream(record("page", {"pixels": PAPER}, document="a.pdf", page=1, pixel_to_point="1 0 0 1 0 0"))


def run(*command, data=b"", status=0, says=""):
    out = subprocess.run(command, input=data, capture_output=True)
    error = out.stderr.decode()
    assert out.returncode == status, (command, out.returncode, status, error)
    assert says in error, (command, says, error)
    return out.stdout, error


TILES = run("dsvl-tile", data=PAGE)[0]
EMBEDDINGS = run("dsvl-encode", data=TILES)[0]
# Each program that reads a stream, a stream for it, and what else it needs.
FILTERS = [("dsvl-read", PAGE, []), ("dsvl-regions", PAGE, []), ("dsvl-tile", PAGE, []), ("dsvl-encode", TILES, []),
           ("dsvl-answer", EMBEDDINGS, ["-p", "Read.", "--max-tokens", "1"])]
PROGRAMS = [("dsvl-rasterize", b"", ["--dpi=20", REPORT]), *FILTERS]


def test_mistakes():
    for program, data, options in PROGRAMS:
        for wrong, says in ((["--no-such"], "no option --no-such"), (["--no-such=3"], "no option --no-such=3"),
                            (["-z"], "no option -z"), (["--quiet=1"], "--quiet takes no value")):
            out, error = run(program, *options, *wrong, data=data, status=2, says=says)
            assert out == b"" and f"Try '{program} --help'." in error and error.startswith(program + ": "), error
    run("dsvl-rasterize", "--dpi", status=2, says="--dpi needs a value: --dpi N")
    run("dsvl-answer", "-p", status=2, says="--prompt needs a value: --prompt PROMPT")
    run("dsvl-tile", "--version=2", status=2, says="--version")


def test_forms():
    want = run("dsvl-rasterize", "--dpi", "20", "--pages", "1", "--format", "ppm", REPORT)[0]
    for same in (["--dpi=20", "--pages=1", "--format=ppm", REPORT], [REPORT, "--pages=1", "--format=ppm", "--dpi", "20"],
                 ["-q", "--dpi=40", "--dpi=20", "--pages=1", "--format=ppm", "--", REPORT]):
        assert run("dsvl-rasterize", *same)[0] == want, same
    want = run("dsvl-answer", "--model", NANO, "--prompt", "Read.", "--max-tokens", "1", "--text", data=EMBEDDINGS)[0]
    for same in (["-m", NANO, "-p", "Read."], [f"-m{NANO}", "-pRead."], ["-qm", NANO, "-p", "Read."], ["-p", "Read.", "-"]):
        assert run("dsvl-answer", "--max-tokens=1", "--text", *same, data=EMBEDDINGS)[0] == want, same


def test_quiet_and_verbose():
    for program, data, options in PROGRAMS:
        assert run(program, *options, data=data)[1] == "", program  # no progress where there is no terminal
        assert run(program, "--quiet", *options, data=data)[1] == "", program
        said = run(program, "--verbose", *options, data=data)[1]
        assert all(line.startswith(program + ": ") for line in said.splitlines()), (program, said)
    assert "2 pages" in run("dsvl-rasterize", "-v", "--dpi=20", REPORT)[1]
    assert run("dsvl-rasterize", "-q", "nowhere.pdf", status=1, says="nowhere.pdf")  # errors are said all the same


def test_progress():
    """A program shows it on a terminal, unless another program or the terminal reads its output; records are not
    written to a terminal at all."""
    ours, terminal = pty.openpty()
    with open("/dev/null", "wb") as file:
        for program, data, options in PROGRAMS:
            for quiet, output in (([], file), (["-q"], file), ([], subprocess.PIPE), ([], terminal)):
                done = subprocess.run([program, *options, *quiet], input=data, stdout=output, stderr=terminal)
                assert done.returncode == (2 if output == terminal and program != "dsvl-answer" else 0), (program, done)
                shown = b""
                while select.select([ours], [], [], .05)[0]:  # the terminal passes it on in its own time
                    shown += os.read(ours, 1 << 16)
                drawn = re.search(rb"\r\x1b\[K" + program.encode() + rb": \d+(/\d+)? (pages|answers), [0-9.]+/s", shown)
                assert bool(drawn) == (output is file and not quiet), (program, quiet, output, shown[-300:])
                assert not drawn or shown.endswith(b"\r\x1b[K"), "and clears it"
    os.close(terminal)
    os.close(ours)


def test_log_format():
    for program, data, options in PROGRAMS:
        _, error = run(program, "--log-format=json", *options, "no \"such\" \\ \xff file", data=data,
                       status=4 if program in ("dsvl-read", "dsvl-regions", "dsvl-encode", "dsvl-answer") else 1)
        for line in error.splitlines():
            entry = json.loads(line)
            assert list(entry) == ["time", "level", "program", "message"] and entry["program"] == program, entry
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"]), entry
        assert entry["level"] == "error" and 'no "such" \\' in entry["message"], entry
        run(program, *options, "--log-format=xml", status=2, says="--log-format takes text or json")
    _, error = run("dsvl-encode", "--stats", "--log-format", "json", data=TILES)
    assert json.loads(error)["level"] == "info" and "2 tiles" in error
    _, error = run("dsvl", "ask", "--log-format=json", "--max-tokens=1", "--dpi=20", "--pages=9", REPORT, "Read.", status=1)
    assert {json.loads(line)["program"] for line in error.splitlines()} == {"dsvl-rasterize", "dsvl-answer"}, error
    _, error = run("dsvl", "ask", "--log-format=json", "--dpi=x", REPORT, "Read.", status=2)
    assert json.loads(error.splitlines()[-1])["program"] == "dsvl ask", error


def test_metrics():
    with tempfile.TemporaryDirectory() as folder:
        for program, data, options in PROGRAMS:
            path = Path(folder) / f"{program[5:]}-\"1\".prom"
            broken = [] if program in ("dsvl-read", "dsvl-regions", "dsvl-encode", "dsvl-answer") else ["nowhere"]
            run(program, "--metrics", str(path), *options, *broken, *(["-"] if broken and data else []), data=data,
                status=len(broken))
            values, types, own = {}, {}, f'program="{program}",run="{program[5:]}-\\"1\\""'
            for line in path.read_text().splitlines():
                if line.startswith("# TYPE "):
                    name, kind = line.split()[2:]
                    assert name not in types, "one block a metric"
                    types[name] = kind
                else:
                    name, labels, value = re.fullmatch(r'(\w+)\{(.*)\} ([0-9.e+-]+)', line).groups()
                    assert name == list(types)[-1] and labels.startswith(own), line
                    values[name + labels[len(own):]] = float(value)
            pages = "dsvl_answers_total" if program == "dsvl-answer" else "dsvl_pages_total"
            assert values[pages] >= 1 and types[pages] == "counter", (program, values)
            assert values["dsvl_failures_total"] == len(broken), (program, values)
            assert values["dsvl_running"] == 0 and values["dsvl_exit_status"] == len(broken), values
            assert values["dsvl_peak_memory_bytes"] > 1e6 and values["dsvl_run_seconds"] > 0, values
            assert values["dsvl_start_time_seconds"] <= values["dsvl_update_time_seconds"], values
        assert sum(v for k, v in values.items() if k.startswith("dsvl_tokens_total")) > 2, values
        assert len(list(Path(folder).iterdir())) == len(PROGRAMS), "nothing is left behind"
        run("dsvl-tile", "--metrics", folder + "/no/where", status=5, says="cannot write the metrics")
        run("dsvl", "ask", "--metrics", folder + "/ask.prom", "--max-tokens=1", "--dpi=20", "--pages=1", REPORT, "Read.")
        assert 'dsvl_answers_total{program="dsvl-answer",run="ask"} 1' in (Path(folder) / "ask.prom").read_text()


def test_streams_without_their_end():
    for program, data, options in FILTERS:
        run(program, *options, data=b"", status=4, says="cut short")
        whole = parse(data)
        assert len(whole) == 2
        for cut in (len(data) - 1, 200, 9, 3):
            out, _ = run(program, *options, data=data[:cut], status=4, says="standard input")
            assert b'"dsvl.kind":"end"' not in out, program
        run(program, *options, data=data + b"behind the end", status=4)
        if program != "dsvl-tile":  # which takes pictures too
            run(program, *options, REPORT, status=4, says="report.pdf: not a record stream; one begins with dsvl-rasterize")
        run(program, *options, "/nowhere/stream", status=4 if program != "dsvl-tile" else 1, says="/nowhere/stream")


def test_output():
    for program, data, options in PROGRAMS:
        for flag in ([], ["--help"], ["--version"]):
            with open("/dev/full", "wb") as full:
                out = subprocess.run([program, *options, *flag], input=data, stdout=full, stderr=subprocess.PIPE)
            assert out.returncode == 5 and (flag or b"No space left" in out.stderr), (program, flag, out)
        read, write = os.pipe()
        os.close(read)
        out = subprocess.run([program, *options], input=data, stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        assert out.returncode == 5 and b"Broken pipe" in out.stderr, (program, out)


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
