"""Float convolutions and transposed convolutions of drawn geometry against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import intact

RNG = np.random.default_rng(20)


def draw(*choices: Any) -> Any:
    return choices[int(RNG.integers(len(choices)))]


def model(
    op: str, x: np.ndarray, weights: np.ndarray, channels: int, tail: str, **attributes: Any
) -> bytes:
    """One product with a bias, and what its epilogue absorbs."""
    constants = {"w": weights, "b": RNG.standard_normal(channels).astype(np.float32)}
    if tail == "Mul":
        constants["c"] = RNG.standard_normal((1, channels, 1, 1)).astype(np.float32)
    nodes = [helper.make_node(op, ["x", "w", "b"], ["p"], **attributes)]
    nodes.append(helper.make_node(tail, ["p", "c"] if tail == "Mul" else ["p"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def check(data: bytes, x: np.ndarray, what: str) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    (want,) = onnxruntime.InferenceSession(data, options).run(None, {"x": x})
    (got,) = intact.InferenceSession(data).run(None, {"x": x})
    assert got.shape == want.shape, what
    assert np.abs(got - want).max() <= 1e-5 * max(1.0, float(np.abs(want).max())), what


@pytest.mark.parametrize("case", range(40))
def test_convolution(case: int) -> None:
    channels = draw(1, 3, 20)
    depthwise = draw(False, False, True)
    out = channels if depthwise else draw(3, 8, 24, 40)
    kernel, stride, dilation = (
        draw((1, 1), (3, 3), (5, 5), (5, 2), (1, 7)),
        draw(1, 2, 3),
        draw((1, 1), (2, 1), (1, 2)),
    )
    pad = draw(0, 1, 3)
    x = RNG.standard_normal((2, channels, 14, 16)).astype(np.float32)
    weights = RNG.standard_normal((out, 1 if depthwise else channels, *kernel)).astype(np.float32)
    data = model(
        "Conv", x, weights, out, draw("Relu", "Sigmoid", "Mul"), strides=[stride] * 2, pads=[pad] * 4,
        dilations=dilation, group=channels if depthwise else 1,
    )  # fmt: skip
    check(data, x, f"{channels} {out} {kernel} {stride} {dilation} {pad} {depthwise}")


@pytest.mark.parametrize("case", range(30))
def test_transposed_convolution(case: int) -> None:
    channels, out = draw(3, 24), draw(1, 5, 16)
    kernel, stride = draw(
        ((2, 2), (2, 2)), ((3, 3), (3, 3)), ((4, 4), (2, 2)), ((1, 2), (1, 2)), ((3, 2), (2, 2))
    )
    pad = draw(0, 0, 1) if min(kernel) > 1 else 0
    x = RNG.standard_normal((2, channels, *draw((5, 7), (3, 9)))).astype(np.float32)
    weights = RNG.standard_normal((channels, out, *kernel)).astype(np.float32)
    tail = draw("Relu", "Sigmoid", "Mul")
    data = model("ConvTranspose", x, weights, out, tail, strides=stride, pads=[pad] * 4)
    check(data, x, f"{channels} {out} {kernel} {stride} {pad} {x.shape}")
