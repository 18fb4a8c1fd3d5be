# SPDX-License-Identifier: Apache-2.0
"""The manual pages and the README: every example runs as it stands there, --help has the manual's options, and the
exit statuses mean the same everywhere."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = sorted({p.stem for p in (ROOT / "cmd").glob("dsvl*.c")} | {"dsvl-run"})
# What a table of exit statuses must say of each, whatever else it says.
STATUSES = {0: "All|Done", 1: "failed|departs", 2: "command line", 3: "model folder cannot be used", 4: "read|malformed",
            5: "Output cannot be written", 6: "Out of memory", 7: "fault of dsvl's own: please report it"}
READ_STREAMS = [p for p in PROGRAMS if p != "dsvl-run" and "cli_input_new" in (ROOT / "cmd" / f"{p}.c").read_text()]
failures = []


def check(good, *what):
    if not good:
        failures.append(" ".join(map(str, what)))


def manual(name, section):
    """The source lines of one section of a manual page."""
    lines = (ROOT / "man" / name).read_text(encoding="utf-8").splitlines()
    out, inside = [], False
    for line in lines:
        if line.startswith(".Sh "):
            inside = line == f".Sh {section}"
        elif inside:
            out.append(line)
    return out


def plain(macros):
    """"Fl m , -model Ar DIR" as a reader sees it."""
    text, flag, glue = "", False, False
    for word in macros.split():
        if word in ("Fl", "Ar", "Cm"):
            flag = word == "Fl"
        elif word == "Ns":
            glue = True
        else:
            dash = "-" if flag and word not in (",", "|") else ""
            text += ("" if glue or word == "," or word == "|" or not text else " ") + dash + word
            glue = word == "|"
    return text


def options(program):
    """What --help lists, with its argument; of a program with verbs, what all of them list."""
    command, verbs = {"dsvl": ("dsvl", ["ask"]), "dsvl-run": ("dsvl", ["run"])}.get(program, (program, [None]))
    listed = []
    for verb in verbs:
        run = subprocess.run([command, *filter(None, [verb]), "--help"], capture_output=True, text=True)
        check(run.returncode == 0 and not run.stderr, program, "--help:", run.returncode, run.stderr)
        choice = re.match(rf"Usage: {program} (\w+(?:\|\w+)+) ", run.stdout)
        if choice:
            verbs += choice.group(1).split("|")
        found = [re.split(r"\s{2,}", line.strip())[0] for line in run.stdout.splitlines()
                 if re.match(r"  (?:    |-\S, )--\S", line)]
        check(found[-2:] == ["--help", "--version"], program, "--help ends with", found[-2:])
        listed += [o for o in found[:-2] if o not in listed]
    return listed if len(verbs) == 1 else sorted(listed)


def test_options():
    for program in PROGRAMS:
        listed = [plain(line[4:]) for line in manual(f"{program}.1", "OPTIONS") if line.startswith(".It Fl ")]
        helped = options(program)
        check(helped in (listed, sorted(listed)), program, "manual and --help differ:", listed, helped)


def test_statuses():
    for program in PROGRAMS:
        items = re.findall(r"^\.It (\d+)\n((?:[^.\n].*\n?)+)", "\n".join(manual(f"{program}.1", "EXIT STATUS")), re.M)
        numbers = [int(n) for n, _ in items]
        check(numbers == sorted(set(numbers)) and {0, 1, 2, 4, 5, 6, 7} <= set(numbers), program, "statuses", numbers)
        for n, text in items:
            check(re.search(STATUSES[int(n)], text), program, f"status {n}: {text!r} does not say {STATUSES[int(n)]!r}")
            check("cut short" in text or int(n) != 4 or program not in READ_STREAMS, program, "4 is a stream cut short")


def mdoc_examples(name):
    section = manual(name, "EXAMPLES") if name.endswith(".1") else manual(name, "DESCRIPTION")
    block = None
    for line in section:
        if line.startswith(".Dl "):
            yield line[4:]
        elif line.startswith(".Bd -literal"):
            block = []
        elif line == ".Ed":
            yield "\n".join(block)
            block = None
        elif block is not None:
            block.append(line.replace("\\e", "\\"))


def readme_examples():
    for block in re.findall(r"(?:^    .*\n)+", (ROOT / "README.md").read_text(encoding="utf-8"), re.M):
        yield "\n".join(line[4:] for line in block.splitlines())


def run_example(source, example, scratch):
    """In a folder that has what examples name: the test documents, a report.pdf, a model M."""
    home, nano = Path(scratch), ROOT / "models" / "nano"
    (home / "models").mkdir()
    for link, target in {"tests": ROOT / "tests", "bin": Path(shutil.which("dsvl")).parent, "M": nano,
                         "models/deepseek-vl2-tiny": nano, "report.pdf": ROOT / "tests" / "data" / "report.pdf"}.items():
        (home / link).symlink_to(target)
    script = "set -e\n" + example.replace("/tmp/", f"{scratch}/")
    run = subprocess.run(["bash", "-o", "pipefail", "-c", script], cwd=scratch, capture_output=True, text=True,
                         env={**os.environ, "HOME": scratch}, stdin=subprocess.DEVNULL)
    made = run.stdout or any(p.is_file() and not p.is_symlink() and p.stat().st_size for p in home.iterdir())
    check(run.returncode == 0 and made, f"{source}: exit status {run.returncode} of\n{example}\n{run.stderr}")


def test_examples():
    sources = [(p.name, e) for p in sorted((ROOT / "man").glob("*.[17]")) for e in mdoc_examples(p.name)]
    sources += [("README.md", e) for e in readme_examples()]
    seen = set()
    for source, example in sources:
        if example in seen or not re.search(r"^(bin/)?dsvl|\| *dsvl", example, re.M):
            continue  # a picture of the pipeline, or make
        seen.add(example)
        with tempfile.TemporaryDirectory() as scratch:
            run_example(source, example, scratch)
    check(len(seen) >= 12, "only", len(seen), "examples found")


test_options()
test_statuses()
test_examples()
sys.exit("\n".join(failures) or 0)
