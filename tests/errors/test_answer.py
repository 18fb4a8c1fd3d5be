# SPDX-License-Identifier: Apache-2.0
"""What dsvl-answer does with bad input: a line for each page that failed, its own exit status for each kind of fault,
nothing lost and nothing invented."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
from librecords import record, stream  # noqa: E402
from test_answer import NANO, expected, model_hash, page  # noqa: E402

ROWS = expected("nano-text")["embeddings.0"]
ASK = ["-p", "Read.", "--max-tokens", "2"]


def run(data, *options, status):
    out = subprocess.run(["dsvl-answer", "-m", str(NANO), *map(str, options)], input=data, capture_output=True)
    assert out.returncode == status, (options, out.returncode, status, out.stderr.decode())
    return [json.loads(line) for line in out.stdout.splitlines()], out.stderr.decode()


def fails(bad, *words, stage="answer", options=ASK):
    """Between two good pages: its line says what is wrong, and the good pages are answered."""
    lines, messages = run(stream(page(ROWS), bad, page(ROWS, number=3)), *options, status=1)
    assert [x["finish_reason"] for x in lines] == ["length", "error", "length"], lines
    line = lines[1]
    assert list(line) == ["document", "page", "finish_reason", "stage", "error"], line
    assert line["stage"] == stage and all(w in line["error"] for w in words), line
    assert line["error"] in messages and "page 2" in messages
    return line


def test_pages_that_failed_before():
    line = fails(record("error", document="a.pdf", page=2, stage="rasterize", message="no such page", cause="input"),
                 "no such page", stage="rasterize")
    assert (line["document"], line["page"]) == ("a.pdf", 2)
    lines, _ = run(stream(record("error")), *ASK, status=1)
    assert lines == [{"document": None, "page": None, "finish_reason": "error", "stage": "?",
                      "error": "failed without a message"}]


def test_records_that_do_not_fit():
    wrong = {"document": "a.pdf", "page": 2, "model_hash": model_hash(NANO)}
    fails(page(ROWS, number=2, model_hash="0" * 64), "0000000000000000", model_hash(NANO)[:16], "-m")
    fails(record("embeddings", {"embeddings": ROWS}, document="a.pdf", page=2), "none", model_hash(NANO)[:16])
    fails(record("embeddings", {"other": ROWS}, **wrong), "embeddings")
    fails(record("embeddings", {"embeddings": ROWS.reshape(-1)}, **wrong), "[tokens, width]")
    fails(record("embeddings", {"embeddings": ROWS[:0]}, **wrong), "[tokens, width]")
    fails(record("embeddings", {"embeddings": np.zeros((3, 256), np.uint8)}, **wrong), "F32")
    fails(record("embeddings", {"embeddings": ROWS[:, :100]}, **wrong), "100", "256")
    for kind in ("page", "region", "tiles"):
        fails(record(kind, {"pixels": np.zeros((2, 2, 3), np.uint8)}, document="a.pdf", page=2), "dsvl-encode")


def test_unknown_kinds_are_passed_over():
    data = stream(record("weather", {"rain": ROWS}), page(ROWS))
    lines, messages = run(data, *ASK, status=0)
    assert len(lines) == 1 and messages == ""
    assert "weather" in run(data, *ASK, "-v", status=0)[1]


def test_numbers_that_are_none():
    for value in (np.nan, np.inf):
        bad = ROWS.copy()
        bad[7, 9] = value
        lines, _ = run(stream(page(ROWS), page(bad, number=2), page(ROWS, number=3)), *ASK, status=1)
        assert [x["finish_reason"] for x in lines] == ["length", "error", "length"]
        assert lines[0]["answer"] == lines[2]["answer"] and "N" in lines[1]["error"]
        assert lines[0]["mean_logprob"] == lines[2]["mean_logprob"]  # nothing of the bad page is left in the cache


def test_prompts_that_do_not_fit():
    config = json.loads((NANO / "config.json").read_text())
    context = config["language_config"]["max_position_embeddings"]
    with tempfile.TemporaryDirectory() as folder:
        questions = Path(folder) / "q"
        questions.write_text("".join(json.dumps({"id": i, "prompt": p}) + "\n"
                                     for i, p in (("short", "Read."), ("long", "x" * context), ("again", "Read."))))
        lines, _ = run(stream(page(ROWS)), "--prompts", questions, "--max-tokens", 2, status=1)
    assert [x["finish_reason"] for x in lines] == ["length", "error", "length"]
    assert lines[1]["prompt_id"] == "long" and lines[0]["answer"] == lines[2]["answer"]
    assert str(context) in lines[1]["error"] and str(context + len(ROWS) + 10 - 1) in lines[1]["error"], lines[1]
    big = np.tile(ROWS, (context // len(ROWS) + 1, 1))
    lines, _ = run(stream(page(big), page(ROWS, number=2)), *ASK, status=1)
    assert [x["finish_reason"] for x in lines] == ["error", "length"] and str(context) in lines[0]["error"]
    many = [page(ROWS, number=n + 1) for n in range(context // len(ROWS) + 3)]  # more than the context, page by page
    lines, _ = run(stream(*many, page(ROWS, document="b.pdf")), *ASK, "--per", "document", status=1)
    assert [x["finish_reason"] for x in lines] == ["error", "length"] and lines[0]["document"] == "a.pdf"
    assert lines[0]["page"] is None and str(context) in lines[0]["error"]


def test_the_context_ends_the_answer():
    context = json.loads((NANO / "config.json").read_text())["language_config"]["max_position_embeddings"]
    fill = np.tile(ROWS, (context // len(ROWS) + 1, 1))[:context - 40]
    lines, _ = run(stream(page(fill)), "-p", "Read.", "--temperature", "3", "--seed", "1", status=0)
    assert lines[0]["prompt_tokens"] + lines[0]["completion_tokens"] <= context
    assert lines[0]["finish_reason"] == ("length" if lines[0]["prompt_tokens"] + lines[0]["completion_tokens"] == context
                                         else "stop")


def test_memory():
    lines, _ = run(stream(page(ROWS)), *ASK, "--max-memory", "100K", status=1)
    assert lines[0]["finish_reason"] == "error" and "memory" in lines[0]["error"]
    small, _ = run(stream(page(ROWS)), *ASK, "--max-memory", "3M", status=0)
    large, _ = run(stream(page(ROWS)), *ASK, status=0)
    assert small[0]["answer"] == large[0]["answer"] and small[0]["mean_logprob"] == large[0]["mean_logprob"]


def test_streams():
    whole = stream(page(ROWS), page(ROWS, number=2))
    for cut in (len(whole) - 5, len(whole) - 400, len(page(ROWS)) + 9, len(page(ROWS))):
        lines, messages = run(whole[:cut], *ASK, status=4)
        assert [x["page"] for x in lines][:1] == [1] and "standard input" in messages, (cut, messages)
    for data in (b"", b"\0", b"%PDF-1.7 not a stream", whole + b"junk", whole[len(page(ROWS)):]):
        run(data, *ASK, status=4)
    # What a cut document or conversation had is told of, not asked about.
    lines, _ = run(whole[:-5], *ASK, "--per", "document", status=4)
    assert [(x["page"], x["finish_reason"]) for x in lines] == [(1, "error"), (2, "error")]
    out = subprocess.run(["dsvl-answer", "-m", NANO, *ASK, "/nonexistent"], capture_output=True)
    assert out.returncode == 4 and b"/nonexistent" in out.stderr


def test_conversations():
    talk = [{"role": "user", "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "Compare."}]}]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "talk"

        def chat(data, status, value=talk):
            path.write_text(value if isinstance(value, str) else json.dumps(value))
            return run(data, "--chat", path, "--max-tokens", 2, status=status)
        failed = record("error", document="a.pdf", page=2, stage="tile", message="bad")
        lines, _ = chat(stream(page(ROWS), failed, page(ROWS, number=3), page(ROWS, number=4), page(ROWS, number=5)), 1)
        assert [(x["page"], x["finish_reason"]) for x in lines] == \
            [(2, "error"), (1, "error"), (None, "length"), (5, "error")], lines
        assert [i["page"] for i in lines[2]["images"]] == [3, 4]
        assert "another image" in lines[1]["error"] and "ended" in lines[3]["error"]
        good = stream(page(ROWS))
        for bad in ("", "{", "[]", "{}", "3", "[3]", '[{"role": "user"}]', '[{"content": "x"}]',
                    '[{"role": "user", "content": 3}]', '[{"role": "user", "content": [{"type": "image_url"}]}]',
                    '[{"role": "user", "content": [{"type": "text"}]}]', '[{"role": "user", "role": "user", "content": "x"}]'):
            lines, messages = chat(good, 2, bad)
            assert lines == [] and str(path) in messages, bad
        for bad in ('[{"role": "robot", "content": "x"}]', '[{"role": "system", "content": "x"}]'):
            lines, messages = chat(good, 1, bad)
            assert lines[0]["finish_reason"] == "error" and "role" in messages or "system" in messages


def test_prompts_files():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "q"
        for bad in (b"", b"\n \n", b"{", b'{"id": 1}', b'{"prompt": 3}', b'{"prompt": "x", "id": []}', b'["x"]',
                    b'{"prompt": "x"}\n{"prompt": "\xff"}', b'{"prompt": "a\\u0000b"}'):
            path.write_bytes(bad)
            lines, messages = run(stream(page(ROWS)), "--prompts", path, status=2)
            assert lines == [] and str(path) in messages, bad
        assert "line 2" in run(b"", "--prompts", write(path, b'{"prompt": "x"}\nnonsense'), status=2)[1]
        run(b"", "--prompts", Path(folder) / "nowhere", status=2)
        run(b"", "--prompts", folder, status=2)


def write(path, data):
    path.write_bytes(data)
    return path


def test_usage():
    for options in ([], ["-p", "x", "--prompts", "f"], ["-p", "x", "--per", "book"], ["--chat", "f", "--per", "document"],
                    ["-p", "x", "--temperature", "-1"], ["-p", "x", "--temperature", "nan"], ["-p", "x", "--top-p", "0"],
                    ["-p", "x", "--top-p", "1.1"], ["-p", "x", "--repetition-penalty", "0"], ["-p", "x", "--max-tokens", "0"],
                    ["-p", "x", "--seed", "-1"], ["-p", "x", "--max-memory", "lots"], ["-p"], ["--unheard-of"]):
        lines, messages = run(b"", *options, status=2)
        assert lines == [] and messages, options
    out = subprocess.run(["dsvl-answer", "-m", "/nowhere", "-p", "x"], input=b"", capture_output=True)
    assert out.returncode == 3 and b"/nowhere" in out.stderr


def test_output():
    data = stream(*(page(ROWS, number=n + 1) for n in range(3)))
    for options in (ASK, [*ASK, "--text"], [*ASK, "--text", "--stream"]):
        with open("/dev/full", "wb") as full:
            out = subprocess.run(["dsvl-answer", "-m", NANO, *options], input=data, stdout=full, stderr=subprocess.PIPE)
        assert out.returncode == 5 and b"standard output" in out.stderr, (options, out)
        read, write_end = os.pipe()
        os.close(read)
        out = subprocess.run(["dsvl-answer", "-m", NANO, *options], input=data, stdout=write_end, stderr=subprocess.PIPE)
        os.close(write_end)
        assert out.returncode == 5, (options, out)


if __name__ == "__main__":
    for test_name, test in list(globals().items()):
        if test_name.startswith("test_"):
            test()
