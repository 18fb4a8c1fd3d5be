#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ask the pipeline what tests/eval/truth.jsonl asks of tests/eval/pages, and print how right the answers are.

    tests/eval/run.py [--model DIR] [--only TEXT] [--modes grounded,pixels] [--jobs N]

With the text layer (dsvl-answer --grounded) and from pixels alone (--no-text-layer). Details of every answer go to
build/eval/MODE.jsonl. Counted are: cells that are exactly right, in rows aligned as well as they can be; edits to the text
with white space as one blank, over its length; pairs of label and value (of charts without printed values: within 3 % of
the largest); boxes with an intersection over union of at least one half; blank pages with an answer; and how well the
mean log-probability of a cell foretells that it is wrong."""
import argparse
import csv
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODES = {"grounded": ([], ["--grounded"]), "pixels": (["--no-text-layer"], [])}
PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-", "\xa0": " ",
                       "ﬁ": "fi", "ﬂ": "fl", "ﬀ": "ff", "ﬃ": "ffi", "ﬄ": "ffl"})


# ---- asking

def ask(question, mode, model):
    """dsvl ask's one answer, and the seconds that it took."""
    rasterize, answer = MODES[mode]
    command = [os.environ.get("TEST_BIN", str(ROOT / "bin")) + "/dsvl", "ask", "--threads", "1", *rasterize, *answer,
               *(["--model", model] if model else []), "--max-tokens", "3000", "-p", question["prompt"],
               str(HERE / "pages" / (question["document"] + ".pdf"))]
    begun = time.time()
    done = subprocess.run(command, capture_output=True, check=False)
    seconds = time.time() - begun
    lines = [json.loads(s) for s in done.stdout.decode().splitlines()]
    if done.returncode or len(lines) != 1:
        sys.stderr.write(f"{question['document']}: exit status {done.returncode}, {len(lines)} answers: "
                         f"{done.stderr.decode().strip()}\n")
    return {"answer": "", "finish_reason": "error", **(lines[0] if lines else {})}, seconds


# ---- judging

def plain(s):
    return " ".join(s.translate(PLAIN).split())


def distance(a, b):
    row = np.arange(len(b) + 1)
    codes = np.array([ord(c) for c in b], np.int64)
    for i, c in enumerate(a, 1):
        new = np.concatenate([[i], np.minimum(row[:-1] + (codes != ord(c)), row[1:] + 1)])
        row = np.minimum.accumulate(new - np.arange(len(new))) + np.arange(len(new))
    return int(row[-1])


def table(text, markdown):
    if markdown:
        lines = [s for s in text.split("\n") if s.strip() and not re.fullmatch(r"[|:\- ]+", s)]
        return [[c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", re.sub(r"^\||\|$", "", s.strip()))] for s in lines]
    return [row for row in csv.reader(io.StringIO(text)) if row] if text else []


def align(true, got):
    """Pairs of rows (i, j), in order, that make the most cells right."""
    same = np.array([[sum(a == b for a, b in zip(t, g)) for g in got] for t in true]).reshape(len(true), len(got))
    best = np.zeros((len(true) + 1, len(got) + 1), int)
    for i in range(len(true) - 1, -1, -1):
        for j in range(len(got) - 1, -1, -1):
            best[i, j] = max(best[i + 1, j], best[i, j + 1], best[i + 1, j + 1] + same[i, j])
    pairs, i, j = [], 0, 0
    while i < len(true) and j < len(got):
        if best[i, j] == best[i + 1, j + 1] + same[i, j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            i += 1
        else:
            j += 1
    return pairs


def judge_table(q, a):
    markdown = q["kind"] == "markdown"
    true, got = table(plain_lines(q["answer"]), markdown), table(plain_lines(a["answer"]), markdown)
    right, wrong, cells = 0, [], []
    paired = dict(align(true, got))
    right_of = {j: true[i] for i, j in paired.items()}
    for i, row in enumerate(true):
        other = got[paired[i]] if i in paired else []
        for k, c in enumerate(row):
            ok = k < len(other) and other[k] == c
            right += ok
            if not ok:
                wrong.append([c, other[k] if k < len(other) else None])
    for j, row in enumerate(got):
        t = right_of.get(j, [])
        cells += [(c, k < len(t) and t[k] == c) for k, c in enumerate(row) if c]
    total = max(sum(map(len, true)), sum(map(len, got)))
    return {"right": right, "of": total, "wrong": wrong, "surplus": max(0, sum(map(len, got)) - sum(map(len, true))),
            "sure": certainty(a, cells)}


def plain_lines(s):
    return "\n".join(plain(x) for x in s.split("\n"))


def certainty(a, cells):
    """(mean log-probability, wrong) of each cell: of the cell where the answer has them, else of the answer."""
    own = {}
    for c in a.get("cells") or []:
        if "mean_logprob" in c:
            own.setdefault(plain(c["text"]), []).append(c["mean_logprob"])
    return [(own[c].pop(0) if own.get(c) else a.get("mean_logprob", 0), not ok) for c, ok in cells]


def number(s):
    try:
        return float(s.replace(",", ""))
    except ValueError:
        return None


def judge_chart(q, a):
    true = [tuple(r) for r in table(plain_lines(q["answer"]), False)]
    got = [tuple(r) for r in table(plain_lines(a["answer"]), False)]
    near = 0
    if q["kind"] == "chart-axis":
        near = .03 * max(number(v) for _, v in true)
    left, wrong = got[:], []
    for label, value in true:
        hit = next((g for g in left if len(g) == 2 and g[0] == label and (
            g[1] == value or (near and number(g[1]) is not None and abs(number(g[1]) - number(value)) <= near))), None)
        if hit:
            left.remove(hit)
        else:
            wrong.append([label, value])
    return {"right": len(true) - len(wrong), "of": max(len(true), len(got)), "wrong": wrong, "surplus": left}


def judge_text(q, a):
    true, got = plain(q["answer"]), plain(a["answer"])
    return {"right": distance(true, got), "of": len(true)}


def judge_box(q, a):
    m = re.search(r"\[\[(\d+), ?(\d+), ?(\d+), ?(\d+)\]\]", a["answer"])
    if not m:
        return {"right": 0, "of": 1, "iou": 0}
    p, t = [int(x) for x in m.groups()], q["box"]
    w, h = min(p[2], t[2]) - max(p[0], t[0]), min(p[3], t[3]) - max(p[1], t[1])
    both = max(0, w) * max(0, h)
    union = (p[2] - p[0]) * (p[3] - p[1]) + (t[2] - t[0]) * (t[3] - t[1]) - both
    return {"right": int(both >= .5 * union), "of": 1, "iou": round(both / max(union, 1e-9), 3)}


def judge_blank(q, a):
    return {"right": int(bool(a["answer"].strip())), "of": 1}


JUDGES = {"text": judge_text, "table": judge_table, "markdown": judge_table, "chart": judge_chart, "chart-axis": judge_chart,
          "locate": judge_box, "blank": judge_blank}
NAMES = {"table": "table, cells exact", "markdown": "table as Markdown, cells exact", "text": "text, character errors",
         "chart": "chart, pairs exact", "chart-axis": "chart without values, pairs within 3 %",
         "locate": "boxes with IoU >= 0.5", "blank": "blank pages answered"}


def area(points):
    """Under the curve of true positives (wrong cells found) over false ones; None without both sorts."""
    bad, good = [p for p, w in points if w], [p for p, w in points if not w]
    if not bad or not good:
        return None
    order = np.sort(np.array(good))
    above = sum(len(good) - (np.searchsorted(order, b, "left") + np.searchsorted(order, b, "right")) / 2 for b in bad)
    return above / (len(bad) * len(good))


# ---- the table

def report(results, modes):
    print(f"\n{'':46}" + "".join(f"{m:>24}" for m in modes))
    for kind, name in NAMES.items():
        makers = sorted({r["maker"] for m in modes for r in results[m] if r["kind"] == kind})
        for maker in [None] + (makers if len(makers) > 1 else []):
            line = f"{name if maker is None else '    ' + maker:46}"
            for m in modes:
                rows = [r for r in results[m] if r["kind"] == kind and maker in (None, r["maker"])]
                right, of = sum(r["right"] for r in rows), sum(r["of"] for r in rows)
                line += f"{100 * right / of:10.1f} % ({right}/{of})".rjust(24) if of else f"{'-':>24}"
            if makers:
                print(line)
    line = f"{'AUC, log-probability against a wrong cell':46}"
    for m in modes:
        a = area([p for r in results[m] for p in r.get("sure", [])])
        line += f"{'-' if a is None else f'{a:.3f}':>24}"
    print(line)
    print(f"{'seconds a question':46}" + "".join(f"{np.mean([r['seconds'] for r in results[m]]):24.1f}" for m in modes))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", default=os.environ.get("MODEL"), help="model folder (default: the embedded model)")
    p.add_argument("--only", default=os.environ.get("EVAL", ""), help="documents or kinds whose name contains this")
    p.add_argument("--modes", default=os.environ.get("MODES", "grounded,pixels"))
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    args = p.parse_args()
    with open(HERE / "truth.jsonl", encoding="utf-8") as f:
        questions = [json.loads(s) for s in f]
    questions = [q for q in questions if args.only in q["document"] or args.only == q["kind"]]
    modes = args.modes.split(",")
    results = {m: [] for m in modes}
    out = ROOT / "build" / "eval"
    out.mkdir(parents=True, exist_ok=True)
    for m in modes:
        with ThreadPoolExecutor(args.jobs) as pool, open(out / (m + ".jsonl"), "w", encoding="utf-8") as f:
            for q, (a, seconds) in zip(questions, pool.map(lambda q, m=m: ask(q, m, args.model), questions)):
                r = {**q, "got": a["answer"], "finish_reason": a["finish_reason"], "mean_logprob": a.get("mean_logprob"),
                     "seconds": round(seconds, 3), **JUDGES[q["kind"]](q, a)}
                results[m].append(r)
                f.write(json.dumps(r, ensure_ascii=False) + "\n")
    report(results, modes)


if __name__ == "__main__":
    main()
