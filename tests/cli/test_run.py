# SPDX-License-Identifier: Apache-2.0
"""dsvl run: one file a document, nothing twice, and what it says of it."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from librun import ASK, archive, entries, outputs, ppm, run, summary  # noqa: E402

ROOT = HERE.parent.parent


def test_a_run_is_what_ask_says(folder):
    names = archive(folder)
    messages = run(folder, "out", *names)
    assert "4 documents done, 0 failed, 0 skipped" in messages and "pages per hour" in messages, messages
    files = outputs(folder / "out")
    assert sorted(files) == sorted(n + ".jsonl" for n in names)
    for name in names:
        said = subprocess.run(["dsvl", "ask", *ASK, "--no-times", name], cwd=folder, capture_output=True, check=True).stdout
        assert said == files[name + ".jsonl"] and said
    s = summary(folder / "out")
    assert s["documents"] == s["done"] == 4 and s["pages"] == 5 and s["pages_per_hour"] > 0 and not s["interrupted"], s
    # Again: nothing is done; the list may come from a file, in any order, with doubles.
    (folder / "list").write_text("\n".join([*reversed(names), names[0], "./" + names[1]]) + "\n")
    (folder / "list0").write_bytes(b"\0".join(n.encode() for n in names))
    before = entries(folder / "out")
    assert "0 documents done, 0 failed, 6 skipped" in run(folder, "out", "--files-from", "list")
    assert "0 documents done, 0 failed, 4 skipped" in run(folder, "out", "--files-from", "list0", "-0")
    assert outputs(folder / "out") == files and entries(folder / "out") == before
    # Several at a time, or in shards, and merged: the same bytes.
    run(folder, "jobs", "--jobs", 3, *names)
    for k in (2, 1):
        run(folder, "shards", "--shard", f"{k}/2", *names)
        assert summary(folder / "shards", f"summary-{k}-of-2.json")["done"] == 2
        if k == 2:
            assert "not done yet" in run(folder, "shards", "--shard", "2/2", "--merge", "all", *names, status=4)
            assert not (folder / "all").exists() and not (folder / "all.part").exists()
    assert outputs(folder / "jobs") == outputs(folder / "shards") == files
    run(folder, "shards", "--merge", "all", *names)
    assert (folder / "all").read_bytes() == b"".join(files[n + ".jsonl"] for n in names)


def test_what_is_done_again(folder):
    names = archive(folder, pictures=3, reports=0)
    run(folder, "out", *names)
    files = outputs(folder / "out")
    os.utime(folder / names[0])  # touched, but the same
    assert "3 skipped" in run(folder, "out", *names)
    ppm(folder / names[0], 77)  # changed
    assert "1 documents done, 0 failed, 2 skipped" in run(folder, "out", *names)
    assert outputs(folder / "out") != files
    ppm(folder / names[0], 0)  # and back
    assert "1 documents done, 0 failed, 2 skipped" in run(folder, "out", *names)
    assert outputs(folder / "out") == files
    (folder / "out" / (names[1] + ".jsonl")).unlink()
    assert "1 documents done, 0 failed, 2 skipped" in run(folder, "out", *names)
    with open(folder / "out" / (names[1] + ".jsonl"), "r+b") as f:
        f.truncate(10)
    assert "1 documents done" in run(folder, "out", *names)
    assert outputs(folder / "out") == files
    # Another question is another run; what does not change answers is not.
    assert "3 skipped" in run(folder, "out", *names, ask=[*ASK, "--max-memory", "1G", "-v", "--no-jail"])
    assert "3 documents done" in run(folder, "out", *names, ask=["-p", "Other.", *ASK[2:]])
    assert outputs(folder / "out") != files
    (folder / "q").write_text('{"prompt": "Read the text."}\n')
    ask = ["--prompts", "q", *ASK[2:]]
    assert "3 documents done" in run(folder, "out", *names, ask=ask)
    assert "3 skipped" in run(folder, "out", *names, ask=ask)
    (folder / "q").write_text('{"prompt": "Other."}\n')
    assert "3 documents done" in run(folder, "out", *names, ask=ask)


def test_failures(folder):
    names = archive(folder, pictures=2, reports=0)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing else")
    (folder / "text.txt").write_text("no picture")
    names[1:1] = ["broken.pdf", "gone.pdf", "text.txt"]
    messages = run(folder, "out", *names, status=1)
    assert "2 documents done, 3 failed (rasterize 3), 0 skipped" in messages, messages
    files = outputs(folder / "out")
    for name in names[1:4]:
        line, = files[name + ".jsonl"].splitlines()
        line = json.loads(line)
        assert line["finish_reason"] == "error" and line["document"] == name and line["stage"] == "rasterize", line
    assert summary(folder / "out")["causes"] == {"rasterize": 3}
    # The runbook's command finds these, and answers that are not whole.
    command, = re.findall(r"^find OUT .*", (ROOT / "man" / "dsvl-archive.7").read_text(), re.M)
    found = subprocess.run(["sh", "-c", command.replace("OUT", "out")], cwd=folder, capture_output=True, check=True).stdout
    lines = [json.loads(line) for data in files.values() for line in data.splitlines()]
    assert len(found.splitlines()) == sum(line["finish_reason"] != "stop" for line in lines) >= 3, found
    assert "5 skipped (some of them failed before" in run(folder, "out", *names)
    assert summary(folder / "out")["failed_before"] == 3
    ppm(folder / "gone.pdf", 9)
    assert "1 documents done, 0 failed, 4 skipped" in run(folder, "out", *names)  # it has changed
    assert "0 documents done, 2 failed (rasterize 2), 3 skipped" in run(folder, "out", "--retry-failed", *names, status=1)
    # What no document can do without stops the run.
    assert "no-such-model" in run(folder, "out", *names, "-m", "no-such-model", status=3)
    # Time that is up is a failure of the document, with what was answered so far.
    messages = run(folder, "late", names[0], "--timeout", "0.000001", status=1)
    assert "1 failed (timeout 1)" in messages, messages


def test_names(folder):
    folder = folder / "a"
    names = ["../b/x.ppm", "x.ppm", "./y/./x.ppm", "y//x.ppm", "%2E%2E/b/x.ppm", "x.ppm.jsonl/x.ppm", ".dsvl/x.ppm",
             str(folder / "x.ppm"), "l" * 240 + ".ppm", "l" * 241 + ".ppm", "-x.ppm", "new\nline.ppm"]
    for n, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        ppm(folder / name, n, 8, 8)
    (folder / "z").write_bytes(b"\0".join(n.encode() for n in names))
    messages = run(folder, "out", "-0", "--files-from", "z")
    assert f"{len(names) - 1} documents done, 0 failed, 1 skipped" in messages, messages  # y/x.ppm is named twice
    files = outputs(folder / "out")
    assert len(files) == len(names) - 1
    documents = [json.loads(v.splitlines()[0])["document"] for v in files.values()]
    assert sorted(documents) == sorted(set(names) - {"y//x.ppm"})
    assert not [p for p in folder.parent.iterdir() if p.name not in ("a", "b")]


def test_stopping(folder):
    names = archive(folder, pictures=8, reports=2)
    run(folder, "want", *names)
    want = outputs(folder / "want")
    for kind in (signal.SIGTERM, signal.SIGINT):
        out = f"out{kind}"
        p = subprocess.Popen(["dsvl", "run", "--out", out, *ASK, *names], cwd=folder, stderr=subprocess.PIPE)
        while len(entries(folder / out)) < 3:
            time.sleep(0.01)
        p.send_signal(kind)
        messages = p.communicate()[1].decode()
        assert p.returncode == 1 and "the same command goes on" in messages, messages
        assert summary(folder / out)["interrupted"] is True
        kept, done = entries(folder / out), outputs(folder / out)
        assert kept and all(want[k] == v for k, v in done.items()) and len(done) < len(want)
        run(folder, out, *names)
        assert outputs(folder / out) == want
        now = entries(folder / out)
        assert all(now[k] == v for k, v in kept.items())  # no finished page was done again


def test_two_runs_at_once(folder):
    names = archive(folder, pictures=5, reports=1)
    run(folder, "want", *names)
    both = [subprocess.Popen(["dsvl", "run", "--out", "out", *ASK, *names], cwd=folder, stderr=subprocess.PIPE)
            for _ in range(2)]
    for p in both:
        assert p.wait() == 0, p.stderr.read()
    run(folder, "out", *names)
    assert outputs(folder / "out") == outputs(folder / "want")


def test_usage(folder):
    ppm(folder / "x.ppm", 1)
    for arguments, word in ((["x.ppm", "-p", "x"], "--out"), (["--out", "o", "-p", "x"], "no document"),
                            (["--out", "o", "x.ppm"], "--prompt"), (["--out", "o", "-p", "x", "x.ppm", "--shard", "3/2"], "K/N"),
                            (["--out", "o", "-p", "x", "x.ppm", "--shard", "1"], "K/N"),
                            (["--out", "o", "-p", "x", "x.ppm", "--text"], "--text"),
                            (["--out", "o", "-p", "x", "x.ppm", "--jobs", "0"], "--jobs"),
                            (["--out", "o", "-p", "x", "x.ppm", "--wat"], "--wat"),
                            (["--out", "o", "x.ppm", "-p"], "needs a value")):
        r = subprocess.run(["dsvl", "run", *arguments], cwd=folder, capture_output=True)
        assert r.returncode == 2 and word in r.stderr.decode(), (arguments, r)
    r = subprocess.run(["dsvl", "run", "--out", "o", "-p", "x", "--files-from", "/nowhere"], cwd=folder, capture_output=True)
    assert r.returncode == 4 and b"/nowhere" in r.stderr
    (folder / "file").write_text("")
    r = subprocess.run(["dsvl", "run", "--out", "file", "-p", "x", "x.ppm"], cwd=folder, capture_output=True)
    assert r.returncode == 5, r
    r = subprocess.run(["dsvl", "run", "--out", "o", "-p", "x", "x.ppm", "--max-tokens", "no"], cwd=folder, capture_output=True)
    assert r.returncode == 2 and not outputs(folder / "o"), r


def test_help_and_manual(folder):
    text = subprocess.run(["dsvl", "run", "--help"], capture_output=True, check=True, text=True).stdout
    manual = (ROOT / "man" / "dsvl-run.1").read_text()
    for option in set(re.findall(r"--([a-z][a-z-]*)", text)) - {"help", "version"}:
        assert re.search(rf"^\.It Fl (?:[a-z0-9] , )?-{option}\b", manual, re.M), option


if __name__ == "__main__":
    for test_name, test in list(globals().items()):
        if test_name.startswith("test_"):
            with tempfile.TemporaryDirectory() as place:
                (Path(place) / "a").mkdir()
                test(Path(place) if test_name == "test_names" else Path(place) / "a")
