"""Processes that open one model with a cache folder hold its weights once.

Counted is what the session adds to a process, from before opening to after the tenth run, every page
divided by the processes that have it (the kernel's PSS).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zoo
from onnx import TensorProto, helper, numpy_helper, save

HOLDER = """
import sys
import numpy as np
import intact

def pss_kib():
    for line in open("/proc/self/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1])

def step(told):
    print(told, flush=True)
    sys.stdin.readline()

model, feeds, cache = sys.argv[1:]
feeds = dict(np.load(feeds))
step("ready")
before = pss_kib()
step("counted")
options = intact.SessionOptions()
options.intra_op_num_threads = 1
options.cache_dir = cache
session = intact.InferenceSession(model, options)
for _ in range(10):
    session.run(None, feeds)
step("ran")
growth = pss_kib() - before
step(growth)
"""


def growth_kib(processes: int, model: Path, feeds: Path, cache: Path) -> int:
    """What sessions in so many processes add to the machine's memory; they walk in step."""
    command = [sys.executable, "-c", HOLDER, str(model), str(feeds), str(cache)]
    held = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    told: list[str] = []
    for _ in range(4):
        told = []
        for p in held:
            assert p.stdout is not None
            told.append(p.stdout.readline().strip())
        for p in held:
            assert p.stdin is not None
            p.stdin.write("\n")
            p.stdin.flush()
    assert all(p.wait() == 0 for p in held)
    return sum(map(int, told))


def expect_shared(model: Path, feeds: zoo.Feeds, folder: Path) -> None:
    path = folder / "feeds.npz"
    np.savez(path, **feeds)
    cache = folder / "cache"
    growth_kib(1, model, path, cache)  # Makes the file.
    assert len(list(cache.iterdir())) == 1
    one, four = (min(growth_kib(n, model, path, cache) for _ in range(3)) for n in (1, 4))
    print(f"one process: {one / 1024:.1f} MiB; four: {four / 1024:.1f} MiB, {four / one:.2f} times")
    assert four <= 1.3 * one


@pytest.mark.parametrize("shift", [0, 1])
def test_float_table_and_products(shift: int, tmp_path: Path) -> None:
    """A table that rows are read of, and weights that are packed. The shift of a name by a byte
    moves tensors in the file to where floats may not lie."""
    rng = np.random.default_rng(1)
    tensors = {"t" * (5 + shift): rng.normal(size=(20000, 128)), "w": rng.normal(size=(128, 32768))}
    table, w = tensors
    nodes = [
        helper.make_node("Gather", [table, "i"], ["x"]),
        helper.make_node("MatMul", ["x", w], ["y"]),
        helper.make_node("ReduceMean", ["y"], ["z"], axes=[1]),
    ]
    graph = helper.make_graph(
        nodes,
        "shared",
        [helper.make_tensor_value_info("i", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(t.astype(np.float32), n) for n, t in tensors.items()],
    )
    path = tmp_path / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    expect_shared(path, {"i": np.arange(0, 20000, 5000)}, tmp_path)


@pytest.mark.slow
def test_minilm(tmp_path: Path) -> None:
    zoo.need()
    name = "minilm-l6-v2"
    data = zoo.write_samples(name, "calib", 4, tmp_path)
    out = tmp_path / "int8.onnx"
    zoo.intact("quantize", zoo.model(name), "--data", data, "-o", out, "--effort", "0")
    rng = np.random.default_rng(0)
    ids = rng.integers(1000, 20000, (1, 128))
    ones = np.ones_like(ids)
    feeds = {"input_ids": ids, "attention_mask": ones, "token_type_ids": 0 * ones}
    expect_shared(out, feeds, tmp_path)
