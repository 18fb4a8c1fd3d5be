# SPDX-License-Identifier: Apache-2.0
"""dsvl-model: folders made, quantized, looked into and verified; interruptions, full disks and damage."""
import ctypes
import json
import mmap
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIXTURES = ROOT / "tests" / "reference" / "fixtures"
sys.path.insert(0, str(HERE))
from libmodel import dequantize, dequantize_folder, floats, read_file, read_folder, write_file  # noqa: E402
from librecords import parse, record, stream  # noqa: E402

# What the published code wrote, and how many files the weights are in (0: model.safetensors) with how many digits, their type.
RELEASES = {"deepseek-vl-1.3b": ("vl-1.3b", 0, 0, "F16"), "deepseek-vl-7b": ("vl-7b", 3, 5, "F16"),
            "deepseek-vl-1.3b-transformers": ("vl-1.3b-transformers", 0, 0, "F16"),
            "deepseek-vl-7b-transformers": ("vl-7b-transformers", 3, 5, "F16"),
            "deepseek-vl2-tiny": ("vl2-tiny", 1, 6, "BF16"), "deepseek-vl2-small": ("vl2-small", 4, 6, "BF16"),
            "deepseek-vl2": ("vl2-base", 6, 6, "BF16")}
SCRATCH = Path(tempfile.mkdtemp(prefix="dsvl-model-"))


def run(*args, status=0, **more):
    done = subprocess.run(["dsvl-model", *map(str, args)], capture_output=True, text=True, **more)
    assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
    return done


def synth(name, release="deepseek-vl2-small", *more):
    run("synth", "--release", release, "--scale", "tiny", *more, SCRATCH / name)
    return SCRATCH / name


def page(size):
    tiles = np.random.default_rng(5).integers(0, 256, (3, size, size, 3), np.uint8)
    return stream(record("tiles", {"tiles": tiles}, tiles_cols=2, tiles_rows=1, document="a.pdf", page=1))


def tiles(folder):
    """A picture as the folder's own processor cuts it."""
    pixels = np.random.default_rng(6).integers(0, 256, (90, 140, 3), np.uint8)
    source = stream(record("page", {"pixels": pixels}, document="a.pdf", page=1))
    return subprocess.run(["dsvl-tile", "-m", folder], input=source, capture_output=True, check=True).stdout


def encode(folder, data=None):
    done = subprocess.run(["dsvl-encode", "-m", folder], input=data or tiles(folder), capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode()


def answer(folder, data, *more):
    done = subprocess.run(["dsvl-answer", "-m", folder, "-p", "Read.", "--max-tokens", "24", *more], input=data,
                          capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode()


def leftovers(name):
    return list(SCRATCH.glob(name + ".tmp-*"))


# --- synth --------------------------------------------------------------------------------------------------------

def test_layout_is_the_release():
    for release, (fixture, files, digits, dtype) in RELEASES.items():
        folder = synth(release, release)
        ours, published = read_folder(folder), read_folder(FIXTURES / fixture)
        blank = lambda names: {re.sub(r"\d+", "#", n) for n in names}  # noqa: E731
        assert blank(ours) == blank(published), blank(ours) ^ blank(published)
        for name, (_, shape, _) in ours.items():
            like = [s for n, (_, s, _) in published.items() if blank([n]) == blank([name])]
            assert len(shape) in map(len, like), (name, shape, like)
        assert {d for d, _, _ in ours.values()} == {dtype}
        names = sorted(p.name for p in folder.glob("*.safetensors"))
        if files:
            assert names == [f"model-{i + 1:05d}-of-{files:0{digits}d}.safetensors" for i in range(files)], names
            index = json.loads((folder / "model.safetensors.index.json").read_text())
            assert index["weight_map"].keys() == ours.keys()
            assert index["metadata"]["total_size"] == sum(len(raw) for _, _, raw in ours.values())
        else:
            assert names == ["model.safetensors"] and not (folder / "model.safetensors.index.json").exists()
        report = json.loads(run("inspect", "--json", folder).stdout)
        assert report["tensors"]["missing"] == report["tensors"]["surplus"] == [] and report["context"] in (4096, 16384)
        assert not (folder.stat().st_mode & 0o700) ^ 0o700


def test_seed_decides():
    a, b, c = synth("seed-a", "deepseek-vl2", "--seed", "7"), synth("seed-b", "deepseek-vl2", "--seed", "7"), synth("seed-c")
    hashes = [(f / "dsvl-hashes.txt").read_text() for f in (a, b, c)]
    assert hashes[0] == hashes[1] != hashes[2]
    for bits, group in ((4, 64), (8, 128)):
        one, two = (synth(f"bits-{bits}-{k}", "deepseek-vl2", "--bits", bits, "--group", group) for k in (1, 2))
        assert (one / "dsvl-hashes.txt").read_text() == (two / "dsvl-hashes.txt").read_text()
        status, out, said = encode(one)
        assert status == 0 and answer(one, out)[0] == 0, said
        for name, rows, cols, known in (("language.lm_head.weight", 512, 128, 489), ("vision.blocks.1.mlp.fc2.weight", 64, 239, 64)):
            dtype, shape, raw = read_folder(one)[name]
            blocks = np.frombuffer(raw, np.uint8).reshape(shape)
            whole = dequantize(blocks, bits, group, shape[0] * 32, shape[1] * group)
            assert not whole[known:].any() and not whole[:, cols:].any(), name  # padding, and tokens without a text
            ratio = whole[:known, :cols].std() * cols ** 0.5 / (3 if "head" in name else 2)
            assert abs(ratio - 1) < 0.05 and abs(whole.mean()) < 0.01 and np.all(whole[:known, :cols].std(axis=1) > 0), (name, ratio)


def test_usage():
    source = synth("usage")
    for args, message in (
            ([], "a verb is missing"), (["bake"], "there is no verb bake"), (["inspect"], "takes 1 operand, not 0"),
            (["quantize", source, "x"], "--bits takes 8 or 4, not 0"), (["quantize", "--bits", "5", source, "x"], "not 5"),
            (["quantize", "--bits", "4", "--group", "48", source, "x"], "--group takes 32, 64 or 128, not 48"),
            (["quantize", "--bits", "4", source], "takes 2 operands, not 1"),
            (["synth", "x"], "needs --release"), (["synth", "--release", "gpt", "x"], "not \"gpt\""),
            (["synth", "--release", "deepseek-vl2", "--scale", "huge", "x"], "not \"huge\""),
            (["quantize", "--bits", "4", source, source], "exists already"),
            (["synth", "--release", "deepseek-vl2", "--scale", "tiny", source / "config.json"], "is not a folder")):
        said = run(*args, status=2).stderr
        assert message in said, (args, said)
    assert not leftovers("usage")


def test_force_replaces():
    folder = synth("force")
    (folder / "stray").write_text("x")
    before = (folder / "dsvl-hashes.txt").read_text()
    synth("force", "deepseek-vl2-tiny", "--force")
    assert (folder / "dsvl-hashes.txt").read_text() != before and not (folder / "stray").exists()
    assert not leftovers("force")
    run("verify", folder)


# --- quantize -----------------------------------------------------------------------------------------------------

def test_quantized_equals_dequantized():
    """The float path on the values that the page describes: same numbers but for the order of sums, same tokens."""
    for release, bits, group in (("deepseek-vl2", 4, 64), ("deepseek-vl2-tiny", 8, 128), ("deepseek-vl2-small", 4, 32),
                                 ("deepseek-vl-1.3b", 4, 128), ("deepseek-vl-7b", 8, 32)):
        source = synth(f"float-{release}", release)
        packed, plain = SCRATCH / f"packed-{release}", SCRATCH / f"plain-{release}"
        run("quantize", "--bits", bits, "--group", group, source, packed)
        original = read_folder(source)
        dequantize_folder(packed, original, plain)
        kept = re.compile(r"embed_tokens|norm|bias|mlp\.gate\.weight|kv_b_proj|patch_embed|pos_embed|newline|seperator|rel_pos|alpha|neck(_hd)?.[13]")
        for name, (dtype, shape, raw) in read_folder(packed).items():
            assert (dtype == "U8") != bool(kept.search(name)), name
            before = floats(*original[name])
            if dtype != "U8":
                assert raw == original[name][2], name
                continue
            got = dequantize(np.frombuffer(raw, np.uint8).reshape(shape), bits, group, *before.reshape(len(before), -1).shape)
            far = np.abs(got - before.reshape(got.shape)).max() / np.abs(before).max()
            assert far <= (0.006 if bits == 8 else 0.15), (name, far)  # half a step; at the far end of 4 bits, a whole one
        status, one, said = encode(packed)
        assert status == 0, said
        status, two, said = encode(plain)
        assert status == 0, said
        a, b = parse(one)[0][1]["embeddings"], parse(two)[0][1]["embeddings"]
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max(), np.abs(a - b).max() / np.abs(b).max()
        lines = []
        for folder, data in ((packed, one), (plain, two)):
            status, out, said = answer(folder, data)
            assert status == 0, said
            lines.append(json.loads(out))
        assert lines[0]["answer"] == lines[1]["answer"] and lines[0]["completion_tokens"] > 0, lines
        assert abs(lines[0]["mean_logprob"] - lines[1]["mean_logprob"]) < 1e-4, lines
        run("verify", packed)
        assert json.loads(run("inspect", "--json", packed).stdout)["quantization"]["bits"] == bits
        said = run("quantize", "--bits", 8, packed, SCRATCH / "again", status=2).stderr
        assert "is quantized already" in said


def settings(change):
    def edit(folder):
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))
    return edit


def tensors(change):
    def edit(folder):
        value = read_file(folder / "model.safetensors")
        change(value)
        write_file(folder / "model.safetensors", value)
    return edit


def nan_scale(value):
    dtype, shape, raw = value["language.lm_head.weight"]
    value["language.lm_head.weight"] = (dtype, shape, b"\x00\x7e" + raw[2:])


def cut_block(value):
    dtype, shape, raw = value["vision.blocks.1.mlp.fc2.weight"]
    value["vision.blocks.1.mlp.fc2.weight"] = (dtype, [*shape[:2], shape[2] - 64], raw[:shape[0] * shape[1] * (shape[2] - 64)])


def test_bad_quantized_folders():
    source = synth("bad-source")
    run("quantize", "--bits", 4, "--group", 64, source, SCRATCH / "bad")
    plain = read_folder(source)["language.lm_head.weight"]
    other = lambda **k: settings(lambda c: c["quantization_config"].update(k))  # noqa: E731
    for change, message in (
            (other(group_size=128), "but 4 bits in groups of 128, as config.json says, give"),
            (other(bits=8), "but 8 bits in groups of 64"), (other(bits=6), "quantization_config.bits is 6, not 4 or 8"),
            (other(group_size=50), "group_size is 50, not 32, 64 or 128"), (other(version=2), "version is 2"),
            (other(quant_method="gptq"), "quant_method is \"gptq\""), (other(sym=False), "sym is false"),
            (settings(lambda c: c.update(quantization_config=4)), "quantization_config is 4, not an object"),
            (settings(lambda c: c.pop("quantization_config")), "does not say that this one is quantized"),
            (tensors(lambda t: t.update({"language.lm_head.weight": plain})), "mixes two conversions"),
            (tensors(lambda t: t.pop("language.lm_head.weight")), "\"language.lm_head.weight\" is missing"),
            (tensors(nan_scale), "holds a scale that is NaN or infinite"), (tensors(cut_block), "fc2.weight\" has shape")):
        folder = SCRATCH / "bad-copy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SCRATCH / "bad", folder)
        change(folder)
        vision = "vision." in message or "fc2" in message
        status, out, said = encode(folder) if vision else answer(folder, b"")
        assert status == 3 and not out and message in said, (status, said, message)
        assert run("verify", folder, status=3).stderr.count("dsvl-hashes") <= 1


def test_bad_sources():
    source = synth("nan-source")
    for name in ("language.model.layers.1.mlp.experts.3.up_proj.weight", "vision.blocks.0.attn.qkv.weight"):
        for path in source.glob("*.safetensors"):
            value = read_file(path)
            if name in value:
                dtype, shape, raw = value[name]
                value[name] = (dtype, shape, raw[:200] + b"\x80\x7f" + raw[202:])
                write_file(path, value)
                break
        said = run("quantize", "--bits", 4, source, SCRATCH / "nan-out", status=3).stderr
        assert f"tensor \"{name}\" holds a NaN or infinity" in said, said
        value[name] = (dtype, shape, raw)
        write_file(path, value)
    run("quantize", "--bits", 4, SCRATCH / "nowhere", SCRATCH / "nan-out", status=3)
    assert not leftovers("nan-out") and not (SCRATCH / "nan-out").exists()


# --- interruptions ------------------------------------------------------------------------------------------------

def test_killed_at_any_moment():
    source, out = synth("kill-source"), SCRATCH / "kill"
    begun = time.monotonic()
    run("quantize", "--bits", 4, source, out)
    whole = time.monotonic() - begun
    shutil.rmtree(out)
    dice, unfinished = random.Random(3), 0
    for _ in range(25):
        process = subprocess.Popen(["dsvl-model", "quantize", "--bits", "4", source, out], stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0, whole))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if out.exists():
            run("verify", out)
            shutil.rmtree(out)
        for folder in leftovers("kill"):  # even under its own name the unfinished one is refused, or whole
            unfinished += 1
            done = subprocess.run(["dsvl-model", "verify", folder], capture_output=True, text=True)
            names = {p.name for p in folder.iterdir()}
            assert done.returncode == 3 or {"config.json", "tokenizer.json", "model.safetensors"} <= names, (names, done)
            assert done.returncode == 3 or encode(folder)[0] == 0
            shutil.rmtree(folder)
    run("quantize", "--bits", 4, source, out)
    run("verify", out)
    assert unfinished > 0


def limited():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600000, 600000))


def test_full_disk():
    source = synth("disk-source")
    for args, name in ((["quantize", "--bits", "8", source], "disk"),
                       (["synth", "--release", "deepseek-vl2-tiny", "--scale", "tiny"], "disk")):
        said = run(*args, SCRATCH / name, status=5, preexec_fn=limited).stderr
        assert "cannot write" in said and said.count("\n") == 1, said
        assert not leftovers(name) and not (SCRATCH / name).exists()
    # A disk that is too small is found before anything is written, where this test may mount one.
    disk = SCRATCH / "small"
    disk.mkdir()
    script = f"mount -t tmpfs -o size=1m none '{disk}' && dsvl-model quantize --bits 8 '{source}' '{disk}/out'; s=$?; ls '{disk}'; exit $s"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True)
    if "mount" not in done.stderr and "unshare" not in done.stderr:
        assert done.returncode == 5 and "do not fit: the disk has" in done.stderr and done.stdout == "", done


# --- verify -------------------------------------------------------------------------------------------------------

def test_verify_finds_what_changed():
    folder = synth("changed")
    assert "have the hashes" in run("verify", folder).stdout
    path = folder / "model-00002-of-000004.safetensors"
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    said = run("verify", folder, status=3).stderr
    assert "model-00002-of-000004.safetensors: is not the file that was written" in said, said
    path.unlink()
    assert "missing, and dsvl-hashes.txt lists it" in run("verify", folder, status=3).stderr
    (folder / "dsvl-hashes.txt").write_text("0123 ../../etc/passwd\n")
    assert "is not a hash and a name" in run("verify", folder, status=3).stderr


def test_stages():
    for case in ("vl2-small", "vl2-tiny", "vl2-base", "three-images", "rope-dynamic-long", "text-only", "quantized-4", "quantized-8"):
        out = run("verify", "--fixture", FIXTURES / case / "expected.safetensors", FIXTURES / case).stdout
        assert "DEPARTS" not in out and "greedy         agrees" in out, out
    out = run("verify", "--fixture", FIXTURES / "nano-table" / "expected.safetensors", ROOT / "models" / "nano").stdout
    assert "DEPARTS" not in out and "embeddings.0" in out
    # One number of one stage is wrong: that stage is the first to depart.
    for tensor, stage in (("vision.blocks.1.attn.proj.bias", "tower.0"), ("projector.layers.2.bias", "projector.0"),
                          ("view_seperator", "embeddings.0"), ("language.model.layers.1.input_layernorm.weight", "layer.1"),
                          ("language.model.norm.weight", "logits")):
        folder = SCRATCH / "departs"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(FIXTURES / "vl2-small", folder)
        value = read_file(folder / "model.safetensors")
        dtype, shape, raw = value[tensor]
        value[tensor] = (dtype, shape, struct.pack("<H", 0x4080) + raw[2:])  # bf16: 4
        write_file(folder / "model.safetensors", value)
        done = run("verify", "--fixture", FIXTURES / "vl2-small" / "expected.safetensors", folder, status=1)
        assert f"first at stage {stage}" in done.stderr, (tensor, done.stdout, done.stderr)
        assert done.stdout.splitlines()[-1].split()[:2] == [stage, "DEPARTS"]
        run("verify", "--tolerance", 1, "--fixture", FIXTURES / "vl2-small" / "expected.safetensors", folder, status=1)
    wrong = run("verify", "--fixture", FIXTURES / "vl2-tiny" / "config.json", FIXTURES / "vl2-tiny", status=4).stderr
    assert "no safetensors file" in wrong


# --- inspect ------------------------------------------------------------------------------------------------------

def test_inspect_names_what_is_wrong():
    folder = SCRATCH / "inspected"
    shutil.copytree(FIXTURES / "vl2-small", folder)
    value = read_file(folder / "model.safetensors")
    dtype, shape, raw = value.pop("language.lm_head.weight")
    value["language.lm_head.wait"] = (dtype, shape, raw)
    dtype, shape, raw = value["vision.pos_embed"]
    value["vision.pos_embed"] = (dtype, [shape[0], shape[2], shape[1]], raw)
    value["vision.norm.weight"] = (dtype, [5], raw[:10])
    write_file(folder / "model.safetensors", value)
    done = run("inspect", "--json", folder, status=3)
    found = json.loads(done.stdout)["tensors"]
    assert [t["name"] for t in found["missing"]] == ["language.lm_head.weight"] and found["surplus"] == ["language.lm_head.wait"]
    assert "vision.norm.weight" in [t["name"] for t in found["misshapen"]], found
    text = run("inspect", folder, status=3).stdout
    assert "missing: language.lm_head.weight" in text and "surplus: language.lm_head.wait" in text
    (folder / "model.safetensors").unlink()
    done = run("inspect", "--json", folder, status=3)
    report = json.loads(done.stdout)
    assert report["tensors"]["present"] == 0 and "no weights" in report["weights_unreadable"]
    run("inspect", SCRATCH / "nowhere", status=3)


# --- memory -------------------------------------------------------------------------------------------------------

def sparse_model(name, change):
    """A folder whose weights are all zero and take no room on the disk."""
    folder = SCRATCH / name
    shutil.copytree(FIXTURES / "vl2-tiny", folder)
    for path in folder.glob("model*"):
        path.unlink()
    settings(change)(folder)
    report = json.loads(subprocess.run(["dsvl-model", "inspect", "--json", folder], capture_output=True).stdout)
    header, at = {}, 0
    for tensor in report["tensors"]["missing"]:
        size = 2 * int(np.prod(tensor["shape"]))
        header[tensor["name"]] = {"dtype": "BF16", "shape": tensor["shape"], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    return folder, header, 8 + len(text)


def test_more_memory_than_there_is():
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    wide = 2 * 3 * 2048 * 65536  # bytes of a layer

    def change(config):
        config["language_config"].update(hidden_size=2048, num_attention_heads=4, num_key_value_heads=4, n_routed_experts=None,
                                         intermediate_size=65536, num_hidden_layers=int(2 * there / wide))
        config["projector_config"].update(n_embed=2048)

    folder, _, _ = sparse_model("huge", change)
    begun = time.monotonic()
    status, out, said = answer(folder, b"")
    assert status == 6 and not out, said
    assert "it would fit in 4 bits: see dsvl-model quantize" in said, said
    assert encode(folder, page(42))[0] == 0  # its tower is small
    assert time.monotonic() - begun < 60
    assert "4 bits: " in run("inspect", folder).stdout


def test_experts_that_are_not_used_are_not_read():
    """All scores are equal, so the first experts are taken for every token; the pages of the others stay on the disk."""
    def change(config):
        config["language_config"].update(hidden_size=512, num_attention_heads=4, num_key_value_heads=4, n_routed_experts=64,
                                         num_experts_per_tok=3, moe_intermediate_size=2048, num_hidden_layers=2)
        config["projector_config"].update(n_embed=512)

    folder, header, base = sparse_model("experts", change)
    assert (folder / "model.safetensors").stat().st_size > 256 << 20  # a small model is read whole, to look for NaN
    status, out, said = encode(folder, page(42))
    assert status == 0, said
    status, out, said = answer(folder, out)
    assert status == 0, said
    used, unused = [], []
    with open(folder / "model.safetensors", "rb") as file:
        whole = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
        size = len(whole)
        pages = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        resident = np.zeros(pages, np.uint8)
        libc = ctypes.CDLL(None, use_errno=True)
        address = np.frombuffer(whole, np.uint8).ctypes.data
        assert libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), ctypes.c_void_p(resident.ctypes.data)) == 0
    for name, about in header.items():
        expert = re.search(r"layers\.1\.mlp\.experts\.(\d+)\.", name)
        if expert:
            a, b = ((base + at) // mmap.PAGESIZE for at in about["data_offsets"])
            part = resident[a + 1:b] & 1
            (used if int(expert[1]) < 3 else unused).append(part.mean() if int(expert[1]) != 3 else 0)
    assert min(used) > 0.9, used
    assert np.mean(unused) < 0.05, np.mean(unused)


def test_help_and_manual():
    manual = (ROOT / "man" / "dsvl-model.1").read_text()
    told = set(re.findall(r"^\.It Fl (?:[a-z] , )?-([a-z][a-z-]*)", manual, re.M))
    shown = set()
    for verb in ("inspect", "synth", "quantize", "verify"):
        shown |= set(re.findall(r"--([a-z][a-z-]*) ", run(verb, "--help").stdout)) - {"help", "version"}
    assert shown - {"release", "bits"} == told - {"release", "bits"} and {"release", "bits"} <= told, shown ^ told
    example = manual[manual.index(".Sh EXAMPLES"):]
    lines = re.search(r"^\.Bd.*?\n(.*?)^\.Ed", example, re.M | re.S)[1]
    subprocess.run(["sh", "-e", "-c", lines.replace("/tmp", str(SCRATCH))], check=True, capture_output=True)
    page5 = (ROOT / "man" / "dsvl-quantized.5").read_text()
    lines = re.search(r"^\.Bd.*?\n(import.*?)^\.Ed", page5, re.M | re.S)[1]
    folder = SCRATCH / "dsvl-tiny-4"
    blocks = read_file(folder / "model.safetensors")["language.lm_head.weight"]
    whole = dequantize(np.frombuffer(blocks[2], np.uint8).reshape(blocks[1]), 4, 64, 512, 128)
    lines = lines.replace("load_file(\"model.safetensors\")[name]", "blocks")
    for r, k in ((0, 0), (3, 5), (100, 71), (479, 127), (31, 66)):
        printed = []
        values = {"blocks": np.frombuffer(blocks[2], np.uint8).reshape(blocks[1]), "r": r, "k": k, "group": 64,
                  "print": printed.append}
        exec(lines.replace("from safetensors.numpy import load_file\n", ""), values)
        assert printed[0] == whole[r, k], (r, k, printed, whole[r, k])


if __name__ == "__main__":
    try:
        for test_name, test in list(globals().items()):
            if test_name.startswith("test_") and sys.argv[1:] in ([], [test_name]):
                test()
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)
