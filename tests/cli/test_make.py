# SPDX-License-Identifier: Apache-2.0
"""The installed Makefile rules and the dataset that the manual's example makes with them: what comes out is what the
pipeline says, and only what changed is made again. And the script for cron, run as cron would."""
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from librun import DATA, ppm  # noqa: E402

ROOT = HERE.parent.parent
EXAMPLES = ROOT / "man" / "examples"
NANO = ROOT / "models" / "nano"
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}  # we may be inside make check
FLAGS = {"DSVL_RASTERIZE_FLAGS": "--dpi=72", "DSVL_ANSWER_FLAGS": "--grounded --max-tokens=6"}


def make(folder, *arguments, **flags):
    """What was made, as the rules print it."""
    settings = {"DSVL_MK": EXAMPLES / "dsvl.mk", "DSVL_MODEL": folder / "model", **FLAGS, **flags}
    r = subprocess.run(["make", "-s", *arguments, *(f"{k}={v}" for k, v in settings.items())], cwd=folder, capture_output=True,
                       text=True, env=CLEAN)
    assert r.returncode == 0, r.stdout + r.stderr
    return sorted(re.findall(r"^DSVL build/(.*)$", r.stdout, re.M))


def all_of(*names):
    return sorted(f"pdfs/{n}.{stage}" for n in names for stage in ("pages", "read", "regions", "tiles", "embeddings", "answers.jsonl"))


def test_dataset(folder):
    for name in ("Makefile", "questions.jsonl", "rows.py"):
        shutil.copy(EXAMPLES / "dataset" / name, folder / name)
    shutil.copytree(NANO, folder / "model")
    (folder / "pdfs").mkdir()
    for name in ("rotated.pdf", "hebrew.pdf"):
        shutil.copy(DATA / name, folder / "pdfs" / name)
    assert make(folder, "-j2") == all_of("hebrew.pdf", "rotated.pdf")
    assert not [p for stage in ("pages", "read", "regions", "tiles") for p in folder.rglob(f"*.{stage}")]  # they have served
    said = b""
    for stage in (["dsvl-rasterize", "--dpi=72", "pdfs/rotated.pdf"], ["dsvl-read"], ["dsvl-regions", "--if-needed"], ["dsvl-tile"],
                  ["dsvl-encode"], ["dsvl-answer", "--no-times", "--prompts", "questions.jsonl", "--grounded", "--max-tokens=6"]):
        said = subprocess.run([*stage, *(["-m", "model"] if len(stage[0]) < 13 else [])], cwd=folder, input=said,
                              capture_output=True, check=True).stdout
    assert (folder / "build/pdfs/rotated.pdf.answers.jsonl").read_bytes() == said
    assert make(folder) == []
    check_dataset(folder)
    # A document changes, one comes, one is only touched: what is not concerned stays.
    with open(folder / "pdfs/rotated.pdf", "ab") as f:
        f.write(b"\n%")
    assert make(folder) == all_of("rotated.pdf")
    shutil.copy(DATA / "locked.pdf", folder / "pdfs/locked.pdf")  # its pages fail: that is in its answers
    assert make(folder) == all_of("locked.pdf")
    assert b'"finish_reason":"error"' in (folder / "build/pdfs/locked.pdf.answers.jsonl").read_bytes()
    (folder / "pdfs/locked.pdf").unlink()
    assert make(folder) == []
    check_dataset(folder)
    # Questions concern answers, options their stage and what follows, the model what it is read for.
    answers = ["pdfs/hebrew.pdf.answers.jsonl", "pdfs/rotated.pdf.answers.jsonl"]
    (folder / "questions.jsonl").write_text('{"id": 1, "prompt": "Read."}\n')
    assert make(folder) == answers
    assert make(folder, DSVL_ANSWER_FLAGS="--grounded --max-tokens=3") == answers
    assert make(folder, DSVL_ANSWER_FLAGS="--grounded --max-tokens=3") == []
    assert make(folder) == answers
    assert make(folder, DSVL_RASTERIZE_FLAGS="--dpi=73") == all_of("hebrew.pdf", "rotated.pdf")
    assert make(folder) == all_of("hebrew.pdf", "rotated.pdf")
    time.sleep(0.01)
    os.utime(folder / "model/tokenizer.json")
    assert make(folder) == all_of("hebrew.pdf", "rotated.pdf")  # lines are read with it
    os.utime(folder / "model/model.safetensors")
    assert set(make(folder)) >= set(answers) | {"pdfs/hebrew.pdf.embeddings", "pdfs/rotated.pdf.embeddings"}
    assert make(folder) == []
    # A stage that breaks down leaves no target.
    (folder / "questions.jsonl").write_text("nonsense\n")
    r = subprocess.run(["make", "-s", f"DSVL_MK={EXAMPLES / 'dsvl.mk'}", f"DSVL_MODEL={folder / 'model'}"], cwd=folder,
                       capture_output=True, env=CLEAN)
    assert r.returncode == 2 and not (folder / answers[0]).exists()


def test_names_that_are_commands(folder):
    """Make would hand them to the shell, or take them for rules: they are refused before anything runs."""
    (folder / "Makefile").write_text(f"DSVL_DOCUMENTS := $(wildcard *.pdf)\ninclude {EXAMPLES / 'dsvl.mk'}\nall: $(DSVL_ANSWERS)\n")
    (folder / "questions.jsonl").write_text('{"prompt": "Read."}\n')
    for name in ("a;touch${IFS}gotcha;.pdf", "`touch${IFS}gotcha`.pdf", "$(touch${IFS}gotcha).pdf", "a&touch${IFS}gotcha&.pdf", "'.pdf",
                 '".pdf', "a:b.pdf", "a#b.pdf", "a%b.pdf", "a\\b.pdf", "a|b.pdf", "a>gotcha.pdf", "a\n.pdf", "a*.pdf"):
        document = folder / name
        shutil.copy(DATA / "rotated.pdf", document)
        r = subprocess.run(["make", "all"], cwd=folder, capture_output=True, text=True, env=CLEAN)
        assert r.returncode == 2 and "dsvl run" in r.stderr and not (folder / "gotcha").exists(), (name, r.stdout, r.stderr)
        document.unlink()


def check_dataset(folder):
    rows = [(p.stem, json.loads(line)) for p in (folder / "dataset").glob("*.jsonl") for line in p.read_text().splitlines()]
    ended = [json.loads(line) for p in (folder / "build/pdfs").glob("*.answers.jsonl") if (folder / "pdfs" / p.name[:-14]).exists()
             for line in p.read_text().splitlines() if '"finish_reason":"stop"' in line]
    assert len(rows) == len(ended)
    for split, row in rows:
        name = hashlib.sha256((folder / row["document"]).read_bytes()).hexdigest()[:16]
        share = int(name[:8], 16) % 100
        assert row["split"] == split == ("train" if share < 80 else "validation" if share < 90 else "test")
        assert (folder / row["image"]).read_bytes().startswith(b"\x89PNG") and name in row["image"]
        drawn = subprocess.run(["dsvl-rasterize", "--format", "ppm", row["image"]], cwd=folder, capture_output=True, check=True)
        page = subprocess.run(["dsvl-rasterize", "--dpi=72", "--format", "ppm", "--pages", str(row["page"]), row["document"]],
                              cwd=folder, capture_output=True, check=True)
        assert drawn.stdout == page.stdout  # the PNG has the page's pixels


def test_cron(folder):
    """Silent when all is well, when there is nothing to do and when another run is at it; else it says what failed."""
    (folder / "in").mkdir()
    ppm(folder / "in" / "a.pdf", 1)
    conf = folder / "conf"
    settings = f"ARCHIVE={folder}/in\nOUT={folder}/out\nQUESTION='Read the text.'\nOPTIONS='--max-tokens 3'\nLOG_BYTES=300\nLOGS=2\n"
    conf.write_text(settings)
    log = folder / "out" / "dsvl.log"

    def night(status=0, *arguments):
        # cron's environment is bare
        r = subprocess.run([str(EXAMPLES / "dsvl-nightly"), str(conf), *arguments], capture_output=True, text=True, cwd="/",
                           env={"PATH": os.environ["PATH"], "HOME": str(folder), "SHELL": "/bin/sh"})
        assert r.returncode == status and not r.stderr, (r.returncode, r.stdout, r.stderr)
        return r.stdout

    def answered():
        return list((folder / "out").rglob("*.jsonl"))
    assert night() == "" and len(answered()) == 1 and "1 documents done" in log.read_text()
    assert night() == "" and "1 skipped" in log.read_text()
    (folder / "in" / "b.pdf").write_text("no document")
    mail = night(1)
    assert "status 1" in mail and "b.pdf" in mail and str(log) in mail and "1 documents done" not in mail, mail
    assert night() == ""  # told once
    assert "b.pdf" in night(1, "--retry-failed")
    for n in range(4):
        night()
    assert Path(f"{log}.1").exists() and Path(f"{log}.2").exists() and not Path(f"{log}.3").exists()
    with open(folder / "out/.lock", "w") as lock:  # another run is at it
        fcntl.flock(lock, fcntl.LOCK_EX)
        ppm(folder / "in" / "c.pdf", 3)
        assert night() == "" and len(answered()) == 2
    conf.write_text(settings + "HOURS=0.0000001\n")
    assert night() == ""  # out of time is no failure
    conf.write_text(settings)
    assert night() == "" and len(answered()) == 3
    # What failed before the time was up is told all the same.
    slow = folder / "slow"
    slow.write_text(f"#!/bin/sh\necho 'b.pdf: failed'\necho ' \"failed\": 1,' >{folder}/out/.dsvl/summary.json\nsleep 60\n")
    slow.chmod(0o755)
    conf.write_text(settings + f"HOURS=0.00003\nDSVL={slow}\n")
    assert "b.pdf: failed" in night(1)
    conf.write_text(settings + "OPTIONS='-m /nowhere'\n")
    assert "/nowhere" in night(3)
    # So is an archive that is not mounted, or not there.
    conf.write_text(settings + f"ARCHIVE={folder}/gone\n")
    assert "cannot be read" in night(4)
    (folder / "gone").mkdir()
    assert f"{folder}/gone: there is no" in night(4)


if __name__ == "__main__":
    for test_name, test in list(globals().items()):
        if test_name.startswith("test_"):
            with tempfile.TemporaryDirectory() as place:
                test(Path(place))
