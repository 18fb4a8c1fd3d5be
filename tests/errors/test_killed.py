# SPDX-License-Identifier: Apache-2.0
"""Runs that are killed, whose disk is full, whose readers are slow or gone: nothing lost, nothing double, and in the end
the same bytes. DSVL_KILLS and DSVL_FULL say how often (make check: a few times; 200 and 50 for the whole proof), DSVL_FIRST
the number of the first: each number has a moment of its own, so that 0 to 49 and 50 to 99 are a hundred moments."""
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
from librecords import parse  # noqa: E402
from librun import ASK, DATA, archive, entries, outputs, run  # noqa: E402

KILLS, FULL, FIRST = (int(os.environ.get(f"DSVL_{name}", n)) for name, n in (("KILLS", 14), ("FULL", 10), ("FIRST", 0)))
PROGRAMS = ("dsvl run", "dsvl ask", "dsvl-rasterize", "dsvl-read", "dsvl-regions", "dsvl-tile", "dsvl-encode", "dsvl-answer")


def tree(root):
    """Processes below root: {pid: name}."""
    parents, names = {}, {}
    for p in Path("/proc").iterdir():
        try:
            if p.name.isdigit():
                stat = (p / "stat").read_text()
                parents[int(p.name)] = int(stat.rsplit(")", 1)[1].split()[1])
                words = (p / "cmdline").read_bytes().split(b"\0")
                first = words[0].decode().rsplit("/", 1)[-1]
                names[int(p.name)] = f"dsvl {words[1].decode()}" if first == "dsvl" and len(words) > 1 else first
        except OSError:
            continue
    out, todo = {}, [root]
    while todo:
        pid = todo.pop()
        out[pid] = names.get(pid, "")
        todo += [p for p, parent in parents.items() if parent == pid]
    return out


def kill_one(dice, folder, names, out, program, length):
    """Kill a process of this name at some moment: when, in seconds, or None; how long the run was; what the cache held."""
    begun = time.monotonic()
    p = subprocess.Popen(["dsvl", "run", "--out", out, *ASK, "--retry-failed", *names], cwd=folder,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        p.wait(dice.uniform(0, length))
    except subprocess.TimeoutExpired:
        pass
    kept, hit = entries(folder / out), None
    while hit is None and p.poll() is None:
        # dsvl-rasterize is several: the program, its launcher and the process in the jail.
        found = [pid for pid, name in tree(p.pid).items() if name == program]
        try:
            if found:
                os.kill(dice.choice(found), signal.SIGKILL)
                hit = time.monotonic() - begun
        except ProcessLookupError:
            pass
        time.sleep(0.001)
    p.wait()
    return hit, time.monotonic() - begun, kept


def test_kills(folder):
    names = archive(folder, pictures=2, reports=1)
    begun = time.monotonic()
    run(folder, "want", *names)
    length = time.monotonic() - begun
    want = outputs(folder / "want")
    moments = {program: [] for program in PROGRAMS}
    for n in range(FIRST, FIRST + KILLS):
        out, program = f"out{n}", PROGRAMS[n % len(PROGRAMS)]
        hit, lasted, kept = kill_one(random.Random(f"kill {n}"), folder, names, out, program, length * 0.8)
        if hit is not None:
            moments[program].append(hit)
        else:
            length = min(length, lasted)  # the machine was busy when it was measured
        # What is there is whole: a document's answers, or, where a stage was killed, the answers and a line that says so.
        for name, data in outputs_of_killed(folder / out).items():
            assert data == want[name] or b'"finish_reason":"error"' in data.splitlines()[-1], (program, name)
        run(folder, out, "--retry-failed", *names)
        assert outputs(folder / out) == want, (program, n)
        now = entries(folder / out)
        again = [k for k, inode in kept.items() if now.get(k) != inode]
        assert not again, (program, again)  # finished pages are not computed again: at most the one in each process
        subprocess.run(["rm", "-r", folder / out], check=True)
    hits = {program: len(m) for program, m in moments.items()}
    print(f"{sum(hits.values())} kills in {KILLS} runs of {length:.2f} s: {hits}")
    for program, m in moments.items():
        print(f"  {program} after {' '.join(f'{t:.2f}' for t in sorted(m))} s")
    assert sum(hits.values()) >= KILLS * 3 // 5 and (all(hits.values()) or KILLS < 5 * len(PROGRAMS)), hits


def outputs_of_killed(out):
    """A killed dsvl run leaves its unfinished files behind."""
    if not out.exists():
        return {}
    for p in out.rglob("*.part"):
        p.unlink()
    return outputs(out)


def test_full_disk(folder):
    shim = folder / "full.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", shim, HERE / "full_disk.c", "-ldl"], check=True)
    names = archive(folder, pictures=3, reports=1)
    run(folder, "want", *names)
    want = outputs(folder / "want")
    seen = {}
    for n in range(FIRST, FIRST + FULL):
        out, program = f"out{n}", ("dsvl", "dsvl-encode", "dsvl-answer")[n % 3]
        # dsvl writes a few times a document, the stages twice or thrice an entry of the cache.
        at = random.Random(f"full {n}").randrange(1, 11 if program == "dsvl" else 6)
        environment = {**os.environ, "LD_PRELOAD": str(shim), "FULL_DISK_IN": program, "FULL_DISK_AT": str(at),
                       "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        r = subprocess.run(["dsvl", "run", "--out", out, *ASK, *names], cwd=folder, env=environment, capture_output=True)
        messages = r.stderr.decode()
        if program == "dsvl":
            full = "No space" in messages
            assert r.returncode == (5 if full else 0), (r.returncode, messages)
            assert all(want[k] == v for k, v in outputs(folder / out).items())
        else:
            full = messages.count("going on without it")
            assert r.returncode == 0 and outputs(folder / out) == want, (program, r.returncode, messages)
            assert full <= len(names)
        seen.setdefault(program, []).append((at, int(full)))
        run(folder, out, *names)
        assert outputs(folder / out) == want
        subprocess.run(["rm", "-r", folder / out], check=True)
    print(f"{FULL} full disks, (from which write on, how often it was met): {seen}")
    for program, met in seen.items():
        assert FULL < 5 * len(seen) or sum(full > 0 for _, full in met) * 2 >= len(met), (program, met)


def stages():
    """Each program with its input and how to read its output."""
    def without_times(data):
        return [({k: v for k, v in facts.items() if k != "seconds"}, {k: v.tobytes() for k, v in tensors.items()})
                for facts, tensors in parse(data)]
    data = b""
    for command, read in ((["dsvl-rasterize", "--dpi", "40", str(DATA / "pages.pdf")], without_times),
                          (["dsvl-read"], without_times), (["dsvl-regions"], without_times), (["dsvl-tile"], without_times), (["dsvl-encode"], without_times),
                          (["dsvl-answer", "-p", "Read.", "--max-tokens", "2", "--no-times"], bytes)):
        out = subprocess.run(command, input=data, capture_output=True, check=True).stdout
        yield command, data, out, read
        data = out


def test_readers(folder):
    for command, data, want, read in stages():
        (folder / "input").write_bytes(data)
        with open(folder / "input", "rb") as source:
            p = subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE)
            got = b""
            step = max(len(want) // 40, 1)
            while chunk := os.read(p.stdout.fileno(), step):  # slow: it waits for us
                got += chunk
                time.sleep(0.002)
            assert p.wait() == 0 and read(got) == read(want), command
        for taken in (0, 1, min(len(want) // 2, 40000)):  # gone, at once or after a while
            with open(folder / "input", "rb") as source:
                p = subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                if taken:
                    os.read(p.stdout.fileno(), taken)
                p.stdout.close()
                messages = p.stderr.read().decode()
                status = p.wait()
                # A short output may fit the pipe before its reader goes.
                assert status == 5 and "cannot write" in messages or (status == 0 and len(want) < 65536), \
                    (command, taken, status, messages)


if __name__ == "__main__":
    for test_name, test in list(globals().items()):
        if test_name.startswith("test_"):
            with tempfile.TemporaryDirectory() as place:
                test(Path(place))
