"""Tasks of steps write what operators say, read no more than they say, and do not depend on how a step is cut.

Lanes (docs/architecture.md) wait for nothing that these promises allow.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import quantized_network
import zoo
from onnx import TensorProto, helper, save
from test_random_networks import drawn

PROGRAM = zoo.ROOT / "build/release/tests/tasks/intact_check_tasks"
SIZES = {"nudenet-yolov8n-320": "images=1x3x64x64", "ppocrv4-det": "x=1x3x64x64"}


def complaints(model: Path, *sizes: str) -> str:
    """What the program has to say of the model; nothing when all is well."""
    done = subprocess.run([PROGRAM, model, *sizes], text=True, capture_output=True)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout if done.returncode else ""


@pytest.mark.parametrize("name", zoo.parameters(zoo.SMALL + zoo.BIG))
def test_tasks_of_real_networks(name: str, quantized: Callable[[str], Path]) -> None:
    sizes = [SIZES[name]] if name in SIZES else []
    assert complaints(quantized(name), *sizes) == ""
    assert complaints(zoo.model(name), *sizes) == ""


def test_tasks_of_random_networks(tmp_path: Path) -> None:
    wrong = {}
    for net in drawn(100):
        for kind, model in (
            ("quantized", quantized_network.Quantized(net).proto),
            ("float", net.as_float()),
        ):
            path = tmp_path / f"{net.seed}.{kind}.onnx"
            save(model, path)
            if said := complaints(path):
                wrong[path.name] = said
    assert not wrong


def test_tasks_of_a_slice_whose_rows_begin_within_those_of_the_matrix_before(
    tmp_path: Path,
) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 7, 48])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4, 48])
    at = [
        helper.make_tensor(name, TensorProto.INT64, [1], [value])
        for name, value in (("starts", 0), ("ends", 7), ("axes", 1), ("steps", 2))
    ]
    node = helper.make_node("Slice", ["x", "starts", "ends", "axes", "steps"], ["y"])
    graph = helper.make_graph([node], "slice", [x], [y], initializer=at)
    path = tmp_path / "slice.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    assert complaints(path) == ""
