# SPDX-License-Identifier: Apache-2.0
"""dsvl-answer as a program: the published code's greedy answers, prompts and conversations and documents, the shape of
its lines, and what must not change an answer."""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from librecords import parse, read_safetensors, record, stream  # noqa: E402

ROOT = HERE.parent.parent
FIXTURES = ROOT / "tests" / "reference" / "fixtures"
NANO = ROOT / "models" / "nano"
KEYS = ["document", "page", "page_label", "prompt_id", "prompt", "answer", "finish_reason", "prompt_tokens",
        "completion_tokens", "mean_logprob", "seconds", "model", "model_hash"]
hashes = {}


def expected(case):
    return read_safetensors(FIXTURES / case / "expected.safetensors")


def facts_of(case):
    with open(FIXTURES / case / "expected.safetensors", "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        return json.loads(f.read(size))["__metadata__"]


def model_hash(model):
    """As dsvl-encode stamps it."""
    if model not in hashes:
        size = json.loads((model / "processor_config.json").read_text())["candidate_resolutions"][0][0]
        tiles = record("tiles", {"tiles": np.zeros((2, size, size, 3), np.uint8)}, tiles_cols=1, tiles_rows=1)
        run = subprocess.run(["dsvl-encode", "-m", str(model)], input=stream(tiles), capture_output=True, check=True)
        hashes[model] = parse(run.stdout)[0][0]["model_hash"]
    return hashes[model]


def page(embeddings, model=NANO, number=1, document="a.pdf", **facts):
    facts = {"document": document, "page": number, "page_label": f"p{number}", "model": model.name,
             "model_hash": model_hash(model), "seconds": "rasterize=0.5000 tile=0.0250 encode=1.2500", **facts}
    return record("embeddings", {"embeddings": embeddings}, **facts)


def run(data, *options, model=NANO, status=0):
    out = subprocess.run(["dsvl-answer", "-m", str(model), *map(str, options)], input=data, capture_output=True)
    assert out.returncode == status, (out.returncode, status, out.stderr.decode())
    return out.stdout, out.stderr.decode()


def answers(data, *options, **more):
    return [json.loads(line) for line in run(data, *options, **more)[0].splitlines()]


def without_seconds(lines):
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def greedy_text(case, model):
    """The fixture's greedy tokens up to the end token, as text."""
    eos = json.loads((model / "config.json").read_text())["language_config"]["eos_token_id"]
    ids = greedy_ids(case).tolist()
    ended = eos in ids
    ids = ids[:ids.index(eos)] if ended else ids
    return Tokenizer.from_file(str(model / "tokenizer.json")).decode(ids, skip_special_tokens=False), len(ids), ended


def greedy_ids(case):
    """read_safetensors leaves I64 out."""
    with open(FIXTURES / case / "expected.safetensors", "rb") as f:
        data = f.read()
    size = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:8 + size])["greedy"]
    return np.frombuffer(data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]], np.int64)


def conversation_file(folder, case):
    """The fixture's conversation as OpenAI-style parts."""
    talk = []
    for message in json.loads(facts_of(case)["conversation"]):
        parts = []
        for i, text in enumerate(message["content"].split("<image>")):
            parts += ([{"type": "image"}] if i else []) + ([{"type": "text", "text": text}] if text else [])
        plain = message["role"] in ("system", "<|Assistant|>")
        talk.append({"role": message["role"], "content": message["content"] if plain else parts})
    path = Path(folder) / "talk.json"
    path.write_text(json.dumps({"messages": talk}))
    return path


def images(case, model, count):
    return [page(expected(case)[f"embeddings.{n}"], model, n + 1) for n in range(count)]


def test_published_answers():
    for case in ("nano-text", "nano-table"):
        line, = answers(stream(*images(case, NANO, 1)), "-p", facts_of(case)["prompt"], "--max-tokens", 64)
        text, count, ended = greedy_text(case, NANO)
        assert line["answer"] == text and line["completion_tokens"] == count, (case, line["answer"], text)
        assert line["finish_reason"] == ("stop" if ended else "length")
        assert line["prompt_tokens"] == len(expected(case)["embeddings.0"]) + line_tokens(facts_of(case)["prompt"])


def line_tokens(prompt):
    """Tokens around the image for the embedded model, whose tokens are bytes."""
    return len(["bos", "user", "assistant"]) + len(": ") + len("\n" + "\n\n") + len(":") + len(prompt.encode())


def test_published_documents_and_conversations():
    with tempfile.TemporaryDirectory() as folder:
        model = FIXTURES / "vl2-tiny"  # two images, and a tokenizer that lacks the special tokens
        data = stream(*images("vl2-tiny", model, 2))
        line, = answers(data, "-p", "Compare the two images.", "--per", "document", "--max-tokens", 64, model=model)
        text, count, ended = greedy_text("vl2-tiny", model)
        assert (line["completion_tokens"], line["finish_reason"]) == (count, "stop" if ended else "length")
        assert line["answer"] == text
        for case, count in (("three-images", 3), ("chat", 2), ("text-only", 0)):
            model = FIXTURES / case
            talk = conversation_file(folder, case)
            data = stream(*images(case, model, count)) if count else b"not even read"
            line, = answers(data, "--chat", talk, "--max-tokens", 64, model=model)
            text, tokens, ended = greedy_text(case, model)
            assert line["answer"] == text and line["completion_tokens"] == tokens, (case, line["answer"], text)
            if count:
                twice = answers(stream(*images(case, model, count), *images(case, model, count)), "--chat", talk,
                                "--max-tokens", 64, model=model)
                assert without_seconds(twice) == without_seconds([line, line])


def test_lines():
    data = stream(*images("nano-text", NANO, 1))
    out, messages = run(data, "-p", "Read the text.", "--max-tokens", 8)
    line = json.loads(out)
    assert list(line) == KEYS and out.count(b"\n") == 1 and messages == ""
    assert (line["document"], line["page"], line["page_label"], line["prompt_id"]) == ("a.pdf", 1, "p1", None)
    assert line["prompt"] == "Read the text." and line["model"] == "nano" and line["model_hash"] == model_hash(NANO)
    assert list(line["seconds"]) == ["rasterize", "tile", "encode", "prefill", "decode"]
    assert (line["seconds"]["rasterize"], line["seconds"]["tile"], line["seconds"]["encode"]) == (0.5, 0.025, 1.25)
    assert line["seconds"]["prefill"] >= 0 and line["finish_reason"] == "length" and line["completion_tokens"] == 8
    assert -20 < line["mean_logprob"] <= 0
    bare = record("embeddings", {"embeddings": expected("nano-text")["embeddings.0"]}, model_hash=model_hash(NANO))
    line, = answers(stream(bare), "-p", "x", "--max-tokens", 1)
    assert list(line) == KEYS and line["document"] is None and line["page"] is None and line["page_label"] is None
    assert list(line["seconds"]) == ["prefill", "decode"]


def test_embedded_model_is_the_default():
    out = subprocess.run(["dsvl-answer", "-p", "Read the text.", "--max-tokens", "4"],
                         input=stream(*images("nano-text", NANO, 1)), capture_output=True)
    assert out.returncode == 0, out.stderr
    assert json.loads(out.stdout)["model_hash"] == model_hash(NANO)


def test_prompts_are_asked_of_every_page():
    text, table = expected("nano-text")["embeddings.0"], expected("nano-table")["embeddings.0"]
    data = stream(page(text), page(table, number=2))
    with tempfile.TemporaryDirectory() as folder:
        questions = Path(folder) / "q"
        questions.write_text('{"id": "a", "prompt": "Read the text."}\n\n{"prompt": "Extract the table as CSV."}\n'
                             '{"id": 7.5, "prompt": "Read the text!"}\n{"id": "a", "prompt": "Read the text."}')
        lines = answers(data, "--prompts", questions, "--max-tokens", 24)
    assert [(x["page"], x["prompt_id"]) for x in lines] == [(p, i) for p in (1, 2) for i in ("a", 3, 7.5, "a")]
    for n, embeddings in ((0, text), (4, table)):
        assert without_seconds([lines[n]]) == without_seconds([lines[n + 3]])
        for k in range(4):  # alone, with nothing computed before, the answer is the same to the last digit
            alone, = answers(stream(page(embeddings, number=lines[n]["page"])), "-p", lines[n + k]["prompt"], "--max-tokens",
                             24, "--threads", 1 + k)
            alone["prompt_id"] = lines[n + k]["prompt_id"]
            assert without_seconds([alone]) == without_seconds([lines[n + k]])


def test_per_document():
    rows = expected("nano-text")["embeddings.0"]
    failed = record("error", document="b.pdf", page=2, stage="rasterize", message="broken", cause="input")
    data = stream(page(rows), page(rows, number=2), page(rows, document="b.pdf"), failed,
                  page(rows, document="b.pdf", number=3), page(rows, document="c.pdf"))
    lines = answers(data, "-p", "Read.", "--per", "document", "--max-tokens", 2, status=1)
    assert [x["finish_reason"] for x in lines] == ["length", "error", "length", "length"]
    assert [x["document"] for x in lines] == ["a.pdf", "b.pdf", "b.pdf", "c.pdf"]
    assert [[i["page"] for i in x["images"]] for x in lines if "images" in x] == [[1, 2], [1, 3], [1]]
    first = lines[0]
    assert list(first) == KEYS[:3] + ["images"] + KEYS[3:] and first["page"] is None
    assert first["seconds"]["tile"] == 0.05 and first["images"][1] == {"document": "a.pdf", "page": 2, "page_label": "p2"}


def region(embeddings, k, of, kind, kinds, **facts):
    return page(embeddings, region=k, regions=of, region_kind=kind, page_kinds=kinds, crop_pt="10 20 30 40", **facts)


def test_pages_in_parts():
    """One line a page and question: the answers about the parts that the question is about."""
    text, table = expected("nano-text")["embeddings.0"], expected("nano-table")["embeddings.0"]
    ask = ["-p", "Read the text.", "--max-tokens", 12]
    alone = [answers(stream(page(e)), *ask)[0] for e in (text, table)]
    parts = [region(text, 1, 2, "text", "text,table"), region(table, 2, 2, "table", "text,table")]
    failed = record("error", document="a.pdf", page=1, stage="tile", message="bad", region=2, regions=3,
                    region_kind="text", page_kinds="text,table")
    joined, other = answers(stream(*parts, page(text, number=2)), *ask)
    assert list(joined) == KEYS[:3] + ["regions"] + KEYS[3:] and list(other) == KEYS
    assert joined["answer"] == alone[0]["answer"] + "\n" + alone[1]["answer"]
    for key in ("prompt_tokens", "completion_tokens"):
        assert joined[key] == alone[0][key] + alone[1][key]
    assert joined["seconds"]["rasterize"] == 1 and joined["finish_reason"] == "length"
    assert [r["kind"] for r in joined["regions"]] == ["text", "table"] and joined["regions"][1]["region"] == 2
    assert joined["regions"][0]["crop_pt"] == [10, 20, 30, 40]
    assert [r["mean_logprob"] for r in joined["regions"]] == [a["mean_logprob"] for a in alone]
    for way in ([], ["--stream"]):
        out, _ = run(stream(*parts), *ask, "--text", *way)
        assert out.decode() == joined["answer"] + "\n", way
    # Each question of the parts that it is about; of all, where the page has none such.
    with tempfile.TemporaryDirectory() as folder:
        questions = Path(folder) / "q"
        questions.write_text("".join(json.dumps({"prompt": p}) + "\n" for p in (
            "Extract the table as CSV.", "Extract the chart as CSV.", "Read the text.")))
        lines = answers(stream(*parts), "--prompts", questions, "--max-tokens", 4)
    assert [[r["region"] for r in x["regions"]] for x in lines] == [[2], [1, 2], [1, 2]]
    # A part that failed has its line, and the page its answer; so has a page whose last part is missing.
    lines = answers(stream(region(text, 1, 3, "text", "text,table"), failed,
                           region(table, 3, 3, "table", "text,table"), region(text, 1, 2, "text", "text", number=2)),
                    *ask, status=1)
    assert [x["finish_reason"] for x in lines] == ["error", "length", "length"]
    assert lines[0]["region"] == {"region": 2, "kind": "text"} and lines[1]["answer"] == joined["answer"]
    assert [x["page"] for x in lines] == [1, 1, 2]
    # A stream that was cut short is no answer about the page.
    lines = answers(parts[0], *ask, status=4)
    assert [x["finish_reason"] for x in lines] == ["error"] and "cut short" in lines[0]["error"]
    # Nothing is asked about a blank page.
    blank, = answers(stream(region(text, 1, 1, "blank", "blank")), "-p", "What is this?")
    assert (blank["answer"], blank["finish_reason"], blank["completion_tokens"]) == ("", "stop", 0)
    # Images of a document or a conversation are not joined.
    line, = answers(stream(*parts), *ask, "--per", "document")
    assert len(line["images"]) == 2 and "regions" not in line


def test_sampling():
    data = stream(*images("nano-text", NANO, 1))
    hot = ["-p", "Read the text.", "--max-tokens", 32, "--temperature", 2.5]

    def texts(*options):
        return [x["answer"] for x in answers(data, *options)]
    assert texts(*hot, "--seed", 3) == texts(*hot, "--seed", 3, "--threads", 1)
    assert len({texts(*hot, "--seed", s)[0] for s in range(4)}) == 4
    greedy = texts("-p", "Read the text.", "--max-tokens", 32)
    assert texts(*hot, "--top-p", 1e-6) == greedy
    assert texts("-p", "Read the text.", "--max-tokens", 32, "--repetition-penalty", 5) != greedy
    # Every answer starts from the seed: the same page twice gives the same text.
    twice = answers(stream(*images("nano-text", NANO, 1) * 2), *hot, "--seed", 3)
    assert twice[0]["answer"] == twice[1]["answer"] == texts(*hot, "--seed", 3)[0]


def test_text_and_stream():
    data = stream(*images("nano-text", NANO, 1), record("error", document="b", page=1, stage="tile", message="bad"))
    options = ["-p", "Read the text.", "--max-tokens", 40]
    want = answers(data, *options, status=1)[0]["answer"]
    out, messages = run(data, *options, "--text", status=1)
    assert out.decode() == want + "\n" and "b, page 1: tile: bad" in messages
    assert run(data, *options, "--text", "--stream", status=1)[0] == out
    out, messages = run(data, *options, "--stream", status=1)
    assert json.loads(out.splitlines()[0])["answer"] == want and messages.startswith(want + "\n")


def test_bf16_embeddings():
    rows = expected("nano-text")["embeddings.0"]
    halves = (rows.view(np.uint32) + 0x8000 >> 16).astype(np.uint16)
    header = {"__metadata__": {"dsvl.kind": "embeddings", "dsvl.version": "1", "model_hash": model_hash(NANO)},
              "embeddings": {"dtype": "BF16", "shape": list(halves.shape), "data_offsets": [0, halves.nbytes]}}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    narrow = len(text).to_bytes(8, "little") + text + halves.tobytes()
    widened = (halves.astype(np.uint32) << 16).view(np.float32)
    options = ["-p", "Read the text.", "--max-tokens", 16]
    assert without_seconds(answers(stream(narrow), *options)) == \
        without_seconds(answers(stream(record("embeddings", {"embeddings": widened}, model_hash=model_hash(NANO))), *options))


def test_special_tokens():
    data = stream(*images("nano-text", NANO, 1))

    def tokens(prompt, *options):
        return answers(data, "-p", prompt, "--max-tokens", 1, *options)[0]["prompt_tokens"]
    base = tokens("x")
    for text in ("<|User|>", "<|Assistant|>", "<image>", "<｜end▁of▁sentence｜>", "<|ref|>"):
        assert tokens("x" + text) == base + len(text.encode()), text
    assert tokens("x<|grounding|><|ref|>a<|/ref|>", "--prompt-specials") == base + 4
    for text in ("<|User|>", "<image>", "<｜end▁of▁sentence｜>"):
        assert tokens("x" + text, "--prompt-specials") == base + len(text.encode()), text


def test_answers_come_as_they_are_ready():
    """The first answer is there before the second page is sent."""
    rows = expected("nano-text")["embeddings.0"]
    program = subprocess.Popen(["dsvl-answer", "-m", NANO, "-p", "Read.", "--max-tokens", "2"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    first, both = page(rows), stream(page(rows), page(rows, number=2))
    program.stdin.write(first)
    program.stdin.flush()
    assert json.loads(program.stdout.readline())["page"] == 1
    program.stdin.write(both[len(first):])
    program.stdin.close()
    assert json.loads(program.stdout.readline())["page"] == 2
    assert program.wait() == 0


def test_help_and_manual():
    text = subprocess.run(["dsvl-answer", "--help"], capture_output=True, check=True, text=True).stdout
    manual = (ROOT / "man" / "dsvl-answer.1").read_text()
    shown = set(re.findall(r"--([a-z][a-z-]*)", text)) - {"help", "version"}
    told = set(re.findall(r"^\.It Fl (?:[a-z] , )?-([a-z][a-z-]*)", manual, re.M))
    assert shown == told, shown ^ told


if __name__ == "__main__":
    for test_name, test in list(globals().items()):
        if test_name.startswith("test_"):
            test()
