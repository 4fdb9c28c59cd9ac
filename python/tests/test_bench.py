"""bench, from Python and from the command line: every engine computes the same, and what is reported adds up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from intact.benchmark import interleave, ratio_of
from intact.engines import ENGINES
from intact.remote import RemoteEngine
from onnx import TensorProto, helper, numpy_helper

import intact

CLI = Path(
    os.environ.get("INTACT_CLI", Path(__file__).resolve().parents[2] / "build/release/bin/intact")
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 3x3 convolution of symbolic size: 8 * 27 multiply-adds a pixel."""
    weights = np.random.default_rng(7).normal(size=(8, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8, "h", "w"])],
        [numpy_helper.from_array(weights, "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path_factory.mktemp("bench") / "conv.onnx"
    onnx.save(made, path)
    return path


@pytest.fixture(scope="module")
def feeds() -> dict[str, Any]:
    return {"x": np.random.default_rng(1).normal(size=(1, 3, 16, 16)).astype(np.float32)}


@pytest.mark.parametrize("name", list(ENGINES))
@pytest.mark.parametrize("fixed", [True, False])
def test_every_engine_runs_the_same_model(
    model: Path, feeds: dict[str, Any], name: str, fixed: bool
) -> None:
    expected = ENGINES["onnxruntime"](model, 1, None).run(feeds)[0]
    engine = ENGINES[name](model, 1, feeds if fixed else None)
    engine.bind(feeds)()
    # Float32 everywhere: an engine that chose bfloat16 would be off by 1e-2.
    np.testing.assert_allclose(engine.run(feeds)[0], expected, rtol=0, atol=1e-4)


def test_bench_compares_engines_with_the_first_row(model: Path, feeds: dict[str, Any]) -> None:
    rows = intact.bench(model, feeds, against=["onnxruntime", "openvino"], rounds=3, threads=1)
    assert [row.engine for row in rows] == ["intact", "onnxruntime", "openvino"]
    assert rows[0].ratio == 1 and rows[0].ratio_interval == (1, 1)
    for row in rows:
        assert 0 < row.min_ms <= row.median_ms <= row.p99_ms
    with pytest.raises(ValueError, match="'caffe' is no engine; known are intact"):
        intact.bench(model, feeds, against=["caffe"])


def test_what_an_engine_refuses_reaches_the_caller(feeds: dict[str, Any]) -> None:
    with pytest.raises(OSError, match="nowhere.onnx"):
        RemoteEngine(ENGINES["intact"], "nowhere.onnx", 1, feeds)


def test_rounds_are_interleaved_and_ratios_taken_inside_a_round() -> None:
    order: list[int] = []

    def turn_of(which: int) -> Callable[[int], tuple[float, float]]:
        def turn(calls: int) -> tuple[float, float]:
            order.append(which)
            return 6.0 + which, 1.0

        return turn

    times, cpu = interleave([turn_of(0), turn_of(1), turn_of(2)], 4)
    # Two turns each to find out how long a call takes, then rounds in rotating order.
    assert order == [0, 0, 1, 1, 2, 2, 0, 1, 2, 1, 2, 0, 2, 0, 1, 0, 1, 2]
    assert times.tolist() == [[6, 7, 8]] * 4 and (cpu == 1).all()
    # A machine that is twice as slow in one round changes no ratio.
    assert ratio_of(np.array([2.0, 4.0, 2.0]), np.array([1.0, 2.0, 1.0])) == (2, 2, 2)


def run_cli(*words: object, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CLI), *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "INTACT_PYTHON": python},
    )


def test_the_command_line_reports_work_memory_and_energy_or_says_why_not(model: Path) -> None:
    done = run_cli(
        "bench", model, "--shape", "x=1x3x16x16", "--rounds", 3, "--profile", "--json", "-"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == "intact.bench/1"
    (row,) = report["models"]
    assert row["multiply_adds"] == 8 * 27 * 16 * 16 and row["integer_multiply_adds"] == 0
    assert 0 < row["min_ms"] <= row["median_ms"] <= row["p99_ms"]
    assert row["gmac_per_s"] == pytest.approx(row["multiply_adds"] / row["median_ms"] * 1e-6)
    assert (row["joules"] is None) == ("not measurable" in (report["energy"] or ""))
    steps = report["profile"][str(model)]
    assert sum(step["multiply_adds"] for step in steps) == row["multiply_adds"]


def test_the_command_line_times_other_engines_through_python(model: Path) -> None:
    words = ["bench", model, "--shape", "x=1x3x16x16", "--rounds", 2, "--against", "onnxruntime"]
    done = run_cli(*words, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert [row["engine"] for row in json.loads(done.stdout)["against"]] == [
        "intact",
        "onnxruntime",
    ]
    lacking = run_cli(*words, python="/bin/false")
    assert lacking.returncode == 2
    assert "pip install intact and onnxruntime, or set INTACT_PYTHON" in lacking.stderr
    unknown = run_cli(*words[:-1], "caffe")
    assert unknown.returncode == 2
    assert "'caffe' is no engine" in unknown.stderr


def test_the_kernel_list_names_one_choice_a_kernel() -> None:
    report = json.loads(run_cli("bench", "--list", "--json", "-").stdout)
    chosen = [row["name"].split("/")[0] for row in report["kernels"] if row["chosen"]]
    assert sorted(chosen) == sorted({row["name"].split("/")[0] for row in report["kernels"]})


def test_host_measures_peaks(tmp_path: Path) -> None:
    board = tmp_path / "board.json"
    done = run_cli("host", "--measure", "-o", board)
    assert done.returncode == 0, done.stderr
    report = json.loads(board.read_text())
    assert report["schema"] == "intact.host/1"
    assert all(peak["gmac_per_s"] > 0 for peak in report.get("peaks", []))
