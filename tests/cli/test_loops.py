# SPDX-License-Identifier: Apache-2.0
"""Answers that repeat themselves or take too long end with a finish reason that says so, and never as a success."""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from libmarkov import END, markov_model  # noqa: E402
from librecords import stream  # noqa: E402
from test_answer import page  # noqa: E402

ROWS = np.zeros((4, 256), np.float32)


def ask(choices, *options, status=0, prompt="x"):
    with tempfile.TemporaryDirectory() as folder:
        model = markov_model(Path(folder) / "m", choices)
        data = stream(page(ROWS, model=model))
        prompts = ["-p", prompt] if isinstance(prompt, str) else ["--prompts", Path(folder) / "q"]
        if not isinstance(prompt, str):
            (Path(folder) / "q").write_text("".join(json.dumps({"prompt": p}) + "\n" for p in prompt))
        out = subprocess.run(["dsvl-answer", "-m", model, *map(str, [*prompts, *options])], input=data, capture_output=True)
    assert out.returncode == status, (out.returncode, out.stderr.decode())
    text = out.stdout.decode()
    return text if "--text" in options else [json.loads(line) for line in text.splitlines()], out.stderr.decode()


CHAIN = {":": ["a"], "a": ["b"], "b": ["c"], "c": ["a", "d"]}


def test_a_second_try_that_ends():
    (line,), messages = ask({**CHAIN, "d": ["e"], "e": [END]})
    assert (line["answer"], line["finish_reason"], line["retried"]) == ("abcde", "stop", True), line
    assert line["completion_tokens"] == 5 and messages == ""


def test_a_second_loop_ends_the_answer():
    (line,), messages = ask({**CHAIN, "d": ["e"], "e": ["d"]}, status=1)
    assert (line["answer"], line["finish_reason"], line["retried"]) == ("abcde", "loop", True), line
    assert "a.pdf, page 1" in messages and "repeats itself" in messages
    # The same with sampling: the order of the choices is drawn, the end is a loop all the same.
    (line,), _ = ask({":": ["a"], "a": ["b"], "b": ["a"]}, "--temperature", 0.1, "--seed", 3, status=1)
    assert line["finish_reason"] == "loop"


def test_the_answer_goes_on_behind_the_second_try():
    """What is fed again leaves the cache as it was: a long answer behind a retry is the one expected."""
    tail = "defghijklmnopqrstuvwxyz"
    choices = {**CHAIN, **{x: [y] for x, y in zip(tail, tail[1:])}, "z": [END]}
    (line,), _ = ask(choices)
    assert line["answer"] == "abc" + tail and line["finish_reason"] == "stop"


def test_what_may_repeat():
    for part, tokens in ((",", 1400), ("-", 500), ("0", 690)):
        (line,), _ = ask({":": [part], part: [part]}, "--max-tokens", tokens)
        assert line["answer"] == part * tokens and line["finish_reason"] == "length" and "retried" not in line
        (line,), _ = ask({":": [part], part: [part]}, status=1)
        assert line["finish_reason"] == "loop"


def test_keep_loops():
    (line,), _ = ask({**CHAIN, "d": [END]}, "--keep-loops", "--max-tokens", 900)
    assert line["answer"] == "abc" * 300 and line["finish_reason"] == "length" and "retried" not in line


def test_streamed_answers_end_at_the_first_loop():
    text, messages = ask({**CHAIN, "d": [END]}, "--stream", "--text", status=1)
    assert text == "abc" * 80 + "\n" and "repeats itself" in messages


def test_timeout():
    (line,), messages = ask(CHAIN, "--keep-loops", "--timeout", 0.2, status=1)
    assert line["finish_reason"] == "timeout" and line["answer"] == ("abc" * 3000)[:line["completion_tokens"]]
    assert "out of time" in messages
    lines, _ = ask(CHAIN, "--keep-loops", "--timeout", 0.4, status=1, prompt=["a", "b", "c"])
    assert [x["finish_reason"] for x in lines] == ["timeout"] * 3
    assert all(x["completion_tokens"] for x in lines)  # each question has its share
    (line,), _ = ask({":": ["a"], "a": [END]}, "--timeout", 1000)
    assert line["finish_reason"] == "stop"


def test_no_times():
    lines, _ = ask({":": ["a"], "a": [END]}, "--no-times")
    assert "seconds" not in lines[0]


if __name__ == "__main__":
    for test_name, test in list(globals().items()):
        if test_name.startswith("test_"):
            test()
