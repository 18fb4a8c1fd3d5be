# SPDX-License-Identifier: Apache-2.0
"""dsvl, the front door: `dsvl ask` gives what the pipeline of programs gives, from files and from standard input; it
says which stage failed first and ends with its status; `dsvl STAGE` is the stage."""
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
REPORT = ROOT / "tests" / "data" / "report.pdf"
STAGES = ["rasterize", "regions", "tile", "encode", "answer"]
LIMIT = ["--max-tokens", "8"]


def run(*command, status=0, data=b"", says="", **more):
    out = subprocess.run([str(c) for c in command], input=data, capture_output=True, **more)
    error = out.stderr.decode()
    assert out.returncode == status, (command, out.returncode, status, error)
    assert says in error, (command, says, error)
    return out.stdout


def lines(data):
    """Answers without what differs from run to run, and without the name of the document."""
    answers = [json.loads(line) for line in data.splitlines()]
    return [{k: v for k, v in a.items() if k not in ("seconds", "document")} for a in answers]


def test_same_as_the_pipes(folder):
    stream = run("dsvl-rasterize", "--dpi=60", REPORT)
    for stage in ("dsvl-tile", "dsvl-encode"):
        stream = run(stage, data=stream)
    want = lines(run("dsvl-answer", "-p", "What is -5?", *LIMIT, data=stream))
    assert len(want) == 2 and [a["page"] for a in want] == [1, 2]
    spaced = folder / "a name with spaces, 'quotes' and \n a line.pdf"
    shutil.copy(REPORT, spaced)
    for command in (["--dpi=60", spaced, "What is -5?"], ["--dpi", "60", "-p", "What is -5?", "--", spaced],
                    [spaced, "--prompt=What is -5?", "--dpi=60"]):
        assert lines(run("dsvl", "ask", *LIMIT, *command)) == want, command
    assert lines(run("dsvl", "ask", *LIMIT, "--dpi=60", "-", "What is -5?", data=REPORT.read_bytes())) == want
    (folder / "-dash.pdf").symlink_to(REPORT)
    assert lines(run("dsvl", "ask", *LIMIT, "--dpi=60", "-pWhat is -5?", "--", "-dash.pdf", cwd=folder)) == want
    both = lines(run("dsvl", "ask", *LIMIT, "--dpi=60", spaced, REPORT, "What is -5?"))
    assert both == want + want
    text = run("dsvl", "ask", *LIMIT, "--dpi=60", "--text", "--pages=2", REPORT, "What is -5?").decode()
    assert text == want[1]["answer"] + "\n"


def test_failures(folder):
    (folder / "broken.pdf").write_bytes(REPORT.read_bytes()[:3000])
    out = run("dsvl", "ask", *LIMIT, "--dpi=40", "--pages=1", folder / "broken.pdf", folder / "missing.pdf", REPORT, "Hello?",
              status=1, says="missing.pdf")
    failed = [json.loads(line) for line in out.splitlines()]
    assert [a["finish_reason"] == "error" for a in failed] == [True, True, False], failed
    # A model that cannot be used stops every stage that reads it; the first of them is named.
    run("dsvl", "ask", "-m", folder / "none", REPORT, "Hello?", status=3, says="dsvl-tile failed first, with exit status 3")
    with open("/dev/full", "wb") as full:
        out = subprocess.run(["dsvl", "ask", *LIMIT, "--dpi=40", REPORT, "Hello?"], stdout=full, stderr=subprocess.PIPE)
    assert out.returncode == 5 and b"dsvl-answer failed first, with exit status 5" in out.stderr, out
    for wrong, says in (((), "files are needed, and, last, a prompt"), ((REPORT,), "files are needed, and, last, a prompt"),
                        (("-p", "Hello?"), "no file is named"), (("--dots=3", REPORT, "x"), "no option --dots=3"),
                        ((REPORT, "-p"), "--prompt needs a value: --prompt PROMPT"),
                        (("--dpi=wide", REPORT, "x"), "dsvl-rasterize failed first, with exit status 2")):
        run("dsvl", "ask", *wrong, status=2, says=says)
    # Limits of the jail, and doing without it, are for the stage that has one.
    for limits, says in ((["--no-jail"], "--no-jail: documents are read in this process"), (["--max-pages=1"], "only the first 1 pages"),
                         (["--max-pixels=100"], "more than --max-pixels (100)"),
                         (["--max-page-seconds=0"], "--max-page-seconds"), (["--max-document-seconds=0"], "--max-document-seconds")):
        status = 2 if limits[0].endswith("=0") else "=" in limits[0]
        run("dsvl", "ask", *LIMIT, "--dpi=40", *limits, REPORT, "Hello?", status=int(status), says=says)
    run("dsvl", status=2, says="nothing to do")
    run("dsvl", "paint", status=2, says='there is no stage "paint"')
    run("dsvl", "../bin/dsvl-tile", status=2, says="there is no stage")


def test_first_failure(folder):
    """With programs beside it that end as they are told, dsvl names the stage that failed first."""
    cases = [  # statuses of the five stages; the stage named; dsvl's own status
        ((0, 0, 0, 0, 0), None, 0), ((1, 0, 1, 1, 1), None, 1), ((0, 0, 4, 4, 4), "tile", 4),
        ((5, 5, 5, 6, 4), "encode", 6), ((5, 5, 5, 5, 3), "answer", 3), ((5, 0, 0, 0, 0), "rasterize", 5),
        ((5, 5, 5, 5, 5), "answer", 5), ((1, 0, 0, "KILL", 4), "encode", 7), ((1, 0, 7, 4, 4), "tile", 7)]
    (folder / "bin").mkdir()
    (folder / "lib").symlink_to(Path(shutil.which("dsvl")).resolve().parent.parent / "lib")
    folder = folder / "bin"
    shutil.copy(shutil.which("dsvl"), folder / "dsvl")
    for stage in STAGES:
        script = folder / f"dsvl-{stage}"
        script.write_text(f'#!/bin/sh\ncase $END_{stage} in KILL) kill -KILL $$ ;; *) exit $END_{stage} ;; esac\n')
        script.chmod(0o755)
    for ends, named, status in cases:
        env = {**os.environ, **{f"END_{s}": str(e) for s, e in zip(STAGES, ends)}}
        out = subprocess.run([folder / "dsvl", "ask", "file", "Read the text."], env=env, capture_output=True, text=True)
        assert out.returncode == status, (ends, out)
        said = [line for line in out.stderr.splitlines() if "failed first" in line or "ended by signal" in line]
        assert len(said) == (named is not None) and all(f"dsvl-{named} " in line for line in said), (ends, out.stderr)


def test_stages():
    for stage in STAGES:
        assert run("dsvl", stage, "--help") == run(f"dsvl-{stage}", "--help")
        assert run("dsvl", stage, "--version") == run(f"dsvl-{stage}", "--version")
    page = ("--pages=1", "--dpi=30", "--format=ppm", REPORT)
    assert run("dsvl", "rasterize", *page) == run("dsvl-rasterize", *page)
    run("dsvl", "tile", "--per=week", status=2, says="--per takes page or document")


with tempfile.TemporaryDirectory() as name:
    test_same_as_the_pipes(Path(name))
with tempfile.TemporaryDirectory() as name:
    test_failures(Path(name))
with tempfile.TemporaryDirectory() as name:
    test_first_failure(Path(name))
test_stages()
