"""`intact verify`: passes on a file as it was made, names a node once one bit of a weight has flipped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import zoo
from onnx import numpy_helper


@pytest.mark.parametrize("name", zoo.parameters([*zoo.SMALL, *zoo.BIG]))
def test_verify_passes_on_a_fresh_file(name: str, quantized: Callable[[str], Path]) -> None:
    result = zoo.run("verify", quantized(name), "--json", "-")
    assert result.returncode == 0, result.stdout + result.stderr
    answer = json.loads(result.stdout)
    assert answer["same"] and answer["expected"] == answer["actual"] != ""


@pytest.mark.parametrize("name", ["resnet20-cifar10", "kws-dscnn"])
@pytest.mark.parametrize("which", [0, -1])
def test_verify_names_the_node_of_a_flipped_bit(
    name: str, which: int, quantized: Callable[[str], Path], tmp_path: Path
) -> None:
    model = onnx.load(quantized(name))
    # The weights of the first or the last product, through their DequantizeLinear.
    producer = {o: n for n in model.graph.node for o in n.output}
    node = [n for n in model.graph.node if n.op_type in ("Conv", "Gemm", "MatMul")][which]
    tensors = {t.name: t for t in model.graph.initializer}
    tensor = tensors[producer[node.input[1]].input[0]]
    codes = numpy_helper.to_array(tensor).copy()
    codes.reshape(-1).view(np.uint8)[codes.size // 2] ^= 1
    tensor.CopyFrom(numpy_helper.from_array(codes, tensor.name))
    path = tmp_path / "flipped.onnx"
    onnx.save(model, path)
    result = zoo.run("verify", path, "--json", "-")
    assert result.returncode == 3, result.stdout + result.stderr
    answer = json.loads(result.stdout)
    assert not answer["same"]
    names = {n.name for n in model.graph.node} | {o for n in model.graph.node for o in n.output}
    print(f"flipped a weight of {node.name}; verify names {answer['first_node']}")
    assert answer["first_node"] in names
    # No node before the damaged one may be blamed.
    order = {n.name: i for i, n in enumerate(model.graph.node)}
    order |= {o: i for i, n in enumerate(model.graph.node) for o in n.output}
    assert order[answer["first_node"]] >= order[producer[node.input[1]].output[0]]
