"""Calibration in parts is calibration of the whole: `merge` on the command line and in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zoo
from onnx import TensorProto, helper, numpy_helper, save

import intact


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    w = [rng.normal(size=(16, 16)).astype(np.float32) for _ in range(2)]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w1"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "merge",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16])],
        [numpy_helper.from_array(t, f"w{i}") for i, t in enumerate(w)],
    )
    path = tmp_path / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


@pytest.mark.parametrize("method", ["mse", "minmax", "percentile=99"])
def test_parts_give_what_the_whole_gives(method: str, model: Path, tmp_path: Path) -> None:
    data = np.random.default_rng(1).normal(size=(30, 1, 16)).astype(np.float32)
    cuts = {"whole": data, "a": data[:7], "b": data[7:20], "c": data[20:]}
    for name, part in cuts.items():
        np.savez(tmp_path / f"{name}.npz", x=part)
        zoo.intact(
            *("calibrate", model, "--data", tmp_path / f"{name}.npz"),
            *("-o", tmp_path / f"{name}.cal", "--range", method),
        )
    parts = [tmp_path / f"{name}.cal" for name in "abc"]
    whole = (tmp_path / "whole.cal").read_text()
    zoo.intact("merge", *parts, "-o", tmp_path / "all.cal")
    assert (tmp_path / "all.cal").read_text() == whole
    intact.merge(parts[0], parts[1], tmp_path / "ab.cal")
    intact.merge(tmp_path / "ab.cal", parts[2], tmp_path / "abc.cal")
    assert (tmp_path / "abc.cal").read_text() == whole


def test_a_file_of_another_kind_is_named(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.ones((4, 1, 16), np.float32))
    zoo.intact("calibrate", model, "--data", tmp_path / "x.npz", "-o", tmp_path / "a.cal")
    other = tmp_path / "other.cal"
    other.write_text("no calibration\n")
    result = zoo.run("merge", str(tmp_path / "a.cal"), str(other), "-o", str(tmp_path / "b.cal"))
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1
    assert "other.cal" in result.stderr and "the second" in result.stderr
    assert not (tmp_path / "b.cal").exists()
