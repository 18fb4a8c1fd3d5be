# SPDX-License-Identifier: Apache-2.0
"""--cache: the same bytes with and without, at the second time without the work, and never in the way."""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from librecords import parse  # noqa: E402

ROOT = HERE.parent.parent
REPORT = ROOT / "tests" / "data" / "report.pdf"
ASK = ["-p", "Read the text.", "--max-tokens", "24", "--no-times"]


def run(program, *options, data=b"", status=0):
    out = subprocess.run([program, *map(str, options)], input=data, capture_output=True)
    assert out.returncode == status, (program, out.returncode, out.stderr.decode())
    return out.stdout, out.stderr.decode()


def entries(folder):
    return sorted(p for p in Path(folder).glob("??/*"))


def results(stream):
    """Records without the times and with the tensors' bytes."""
    return [({k: v for k, v in facts.items() if k != "seconds"}, {k: v.tobytes() for k, v in tensors.items()})
            for facts, tensors in parse(stream)]


def stages():
    pages = run("dsvl-rasterize", "--pages", "1-2", "--dpi", 60, REPORT)[0]
    tiles = run("dsvl-tile", "--cropping=off", data=pages)[0]  # few tokens: dsvl-answer runs many times
    return pages, tiles, run("dsvl-encode", data=tiles)[0]


def test_every_stage(pages, tiles, embeddings):
    with tempfile.TemporaryDirectory() as folder:
        for stage, data, options in (("dsvl-tile", pages, []), ("dsvl-encode", tiles, []),
                                     ("dsvl-encode", tiles, ["--dtype", "bf16"]), ("dsvl-answer", embeddings, ASK),
                                     ("dsvl-answer", embeddings, [*ASK, "--grounded"])):
            cache = ["--cache", Path(folder) / stage]
            read = (lambda x: x) if stage == "dsvl-answer" else results
            plain = read(run(stage, *options, data=data)[0])
            before = len(entries(cache[1]))
            assert read(run(stage, *options, *cache, data=data)[0]) == plain, stage
            assert len(entries(cache[1])) == before + 2, stage
            times = [p.stat().st_ino for p in entries(cache[1])]
            assert read(run(stage, *options, *cache, data=data)[0]) == plain, stage
            assert [p.stat().st_ino for p in entries(cache[1])] == times  # nothing was written again
        stats = run("dsvl-encode", "--cache", Path(folder) / "dsvl-encode", "--stats", data=tiles)[1]
        assert " 0 encoded" in stats, stats


def test_damaged_entries(pages, tiles, embeddings):
    with tempfile.TemporaryDirectory() as folder:
        for stage, data, options in (("dsvl-tile", pages, []), ("dsvl-encode", tiles, []), ("dsvl-answer", embeddings, ASK)):
            cache = ["--cache", Path(folder) / stage]
            read = (lambda x: x) if stage == "dsvl-answer" else results
            want = read(run(stage, *options, *cache, data=data)[0])
            for n, path in enumerate(entries(cache[1])):
                raw = bytearray(path.read_bytes())
                raw[-3] ^= 1
                path.write_bytes(raw if n else raw[:40])
            assert read(run(stage, *options, *cache, data=data)[0]) == want, stage
            assert read(run(stage, *options, *cache, data=data)[0]) == want, stage


def test_what_is_another_answer(embeddings):
    with tempfile.TemporaryDirectory() as folder:
        count = 0
        for options in (["-p", "Read the text."], ["-p", "Read the text"], ["-p", "Read the text.", "--max-tokens", 9],
                        ["-p", "Read the text.", "--temperature", 1], ["-p", "Read the text.", "--temperature", 1, "--seed", 2],
                        ["-p", "Read the text.", "--repetition-penalty", 1.5], ["-p", "Read the text.", "--grounded"],
                        ["-p", "Read the text.", "--per", "document"]):
            options = options if "--max-tokens" in options else [*options, "--max-tokens", 5]
            plain = run("dsvl-answer", *options, "--no-times", data=embeddings)[0]
            cached = run("dsvl-answer", *options, "--no-times", "--cache", folder, data=embeddings)[0]
            assert cached == plain, options
            count += len(plain.splitlines())
            assert len(entries(folder)) == count, options
        # What time cut short is not an answer, and what --stream shows is not kept.
        run("dsvl-answer", "-p", "Other.", "--timeout", "0.000001", "--cache", folder, data=embeddings, status=1)
        run("dsvl-answer", "-p", "Other.", "--max-tokens", 5, "--stream", "--cache", folder, data=embeddings)
        assert len(entries(folder)) == count


def test_a_cache_that_cannot_be_written(tiles, embeddings):
    plain = run("dsvl-answer", *ASK, data=embeddings)[0]
    for folder in ("/proc/nowhere", "/dev/null"):
        out, messages = run("dsvl-answer", *ASK, "--cache", folder, data=embeddings)
        assert out == plain and messages.count("going on without it") == 1, messages
    with tempfile.TemporaryDirectory() as folder:
        # A full disk: no file may grow past 4 KiB, which embeddings do.
        out = subprocess.run(["sh", "-c", f"trap '' XFSZ; ulimit -f 8; dsvl-encode --cache {folder} | cat"], input=tiles,
                             capture_output=True)
        assert results(out.stdout) == results(run("dsvl-encode", data=tiles)[0])
        assert out.stderr.decode().count("going on without it") == 1, out.stderr
        assert not entries(folder)


def test_size(embeddings):
    with tempfile.TemporaryDirectory() as folder:
        for n in range(12):
            run("dsvl-answer", "-p", f"Question {n}", "--max-tokens", 3, "--cache", folder, "--cache-size", 1000,
                data=embeddings)
            size = sum(p.stat().st_size for p in entries(folder))
            assert 0 < size <= 1000, size


def test_help_and_manual():
    for stage in ("tile", "encode", "answer"):
        text = run(f"dsvl-{stage}", "--help")[0].decode()
        manual = (ROOT / "man" / f"dsvl-{stage}.1").read_text()
        for option in ("cache", "cache-size"):
            assert f"--{option} " in text and re.search(rf"^\.It Fl -{option} ", manual, re.M)


if __name__ == "__main__":
    made = dict(zip(("pages", "tiles", "embeddings"), stages()))
    for test_name, test in list(globals().items()):
        if test_name.startswith("test_"):
            names = test.__code__.co_varnames[:test.__code__.co_argcount]
            test(*(made[n] for n in names))
