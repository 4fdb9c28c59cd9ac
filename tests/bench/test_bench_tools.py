"""bench/: the guard against slower kernels, and the networks that a script builds."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_compare(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        BENCH / "compare.py",
        folder,
        "--baseline",
        folder / "base.txt",
        *words,
    ]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def write_results(folder: Path, gmacs: float, **us: float) -> None:
    """As Google Benchmark writes them: a reference loop of that rate, and kernels with their times."""
    rows = [{"name": "peak_u8s8/avx2", "GMAC/s": gmacs, "real_time": 1, "time_unit": "ns"}]
    rows += [
        {"name": f"gemm_u8s8/avx2 {name}", "real_time": t, "time_unit": "us"}
        for name, t in us.items()
    ]
    (folder / "kernels.json").write_text(json.dumps({"benchmarks": rows}))


def test_a_slower_machine_is_no_slower_kernel(tmp_path: Path) -> None:
    write_results(tmp_path, 100, a=10, b=20)
    assert run_compare(tmp_path, "--update").returncode == 0
    write_results(tmp_path, 50, a=20, b=40)
    same = run_compare(tmp_path)
    assert same.returncode == 0, same.stdout
    assert "2 rows, geometric mean 1.000" in same.stdout


def test_a_slower_kernel_is_named(tmp_path: Path) -> None:
    write_results(tmp_path, 100, a=10, b=20)
    run_compare(tmp_path, "--update")
    write_results(tmp_path, 100, a=10, b=30)
    slower = run_compare(tmp_path)
    assert slower.returncode == 1
    assert "1.50x the cost  gemm_u8s8/avx2 b" in slower.stdout
    assert "avx2 a" not in slower.stdout


def test_no_results_is_said(tmp_path: Path) -> None:
    none = run_compare(tmp_path)
    assert none.returncode == 1 and "run make bench" in none.stderr


@pytest.mark.parametrize(("name", "gmac"), [("mobilenetv2", 0.30), ("resnet50", 4.09)])
def test_networks_are_those_of_the_papers(name: str, gmac: float) -> None:
    model = load("models").MODELS[name]()
    weights = {w.name: w.dims for w in model.graph.initializer}
    size = {"input": 224}
    macs = 0.0
    for node in model.graph.node:
        attributes = {a.name: list(a.ints) for a in node.attribute}
        stride = attributes.get("strides", [1])[0]
        size[node.output[0]] = -(-size[node.input[0]] // stride)
        if node.op_type in ("GlobalAveragePool", "Flatten", "Gemm"):
            size[node.output[0]] = 1
        if node.op_type in ("Conv", "Gemm"):
            macs += np.prod(weights[node.input[1]]) * size[node.output[0]] ** 2
    assert macs * 1e-9 == pytest.approx(gmac, abs=0.006)
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)


def test_networks_are_the_same_bytes_every_time() -> None:
    build = load("models").MODELS["mobilenetv2"]
    assert build().SerializeToString(deterministic=True) == build().SerializeToString(
        deterministic=True
    )
