# SPDX-License-Identifier: Apache-2.0
"""`make demo` prints the whole table of the shipped report, cell for cell as it was drawn."""
import ast
import csv
import io
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def drawn(name):
    """The list that make_report.py calls by this name."""
    tree = ast.parse((ROOT / "tests/data/make_report.py").read_text())
    return next(ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == name)


def demo():
    """The pipeline as the Makefile has it, with the programs of the tests."""
    said = subprocess.run(["make", "-s", "-n", "demo"], cwd=ROOT, check=True, capture_output=True, text=True,
                          env={k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}).stdout
    line = next(row for row in said.replace("\\\n", " ").splitlines() if row.startswith("PATH="))
    out = subprocess.run(["sh", "-c", line.split(";", 1)[1]], cwd=ROOT, check=True, capture_output=True, text=True)
    assert out.stderr == "", out.stderr
    return out.stdout


assert list(csv.reader(io.StringIO(demo()))) == drawn("TABLE")
