"""What a convolution makes, plus codes, becomes codes: every activation before the sum, every kind of scale."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import qdq
from onnx import TensorProto, helper, numpy_helper

import intact

CHANNELS, SIZE = 24, 9
X_SCALE, X_ZERO, R_SCALE, R_ZERO, W_SCALE, Y_ZERO = 0.0625, 7, 0.09375, 130, 2.0**-9, 96


def nodes_of(activation: str) -> tuple[list[onnx.NodeProto], str]:
    """The activation of "conv", and the name of its result."""
    if activation == "none":
        return [], "conv"
    if activation == "SiLU":
        return [
            helper.make_node("Sigmoid", ["conv"], ["gate"]),
            helper.make_node("Mul", ["conv", "gate"], ["act"]),
        ], "act"
    return [helper.make_node(activation, ["conv"], ["act"])], "act"


def apply(activation: str, x: np.ndarray) -> np.ndarray:
    if activation == "SiLU":
        return np.asarray(x / (1 + np.exp(-x)))
    if activation == "HardSwish":
        return np.asarray(x * np.clip(x / 6 + 0.5, 0, 1))
    return np.asarray(np.maximum(x, 0)) if activation == "Relu" else x


@pytest.mark.parametrize("y_scale", [0.09375, 0.125, 0.1171875, 0.1037])
@pytest.mark.parametrize("activation", ["none", "Relu", "SiLU", "HardSwish"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_codes_of_a_sum(kernel: int, activation: str, y_scale: float) -> None:
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (1, CHANNELS, SIZE, SIZE)).astype(np.uint8)
    r = rng.integers(0, 256, (1, CHANNELS, SIZE, SIZE)).astype(np.uint8)
    w = rng.integers(-127, 128, (CHANNELS, CHANNELS, kernel, kernel)).astype(np.int8)
    constants = {
        "w": w,
        "ws": np.full(CHANNELS, W_SCALE, np.float32),
        "xs": np.float32(X_SCALE),
        "xz": np.uint8(X_ZERO),
        "rs": np.float32(R_SCALE),
        "rz": np.uint8(R_ZERO),
        "ys": np.float32(y_scale),
        "yz": np.uint8(Y_ZERO),
    }
    middle, made = nodes_of(activation)
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "xs", "xz"], ["xd"]),
        helper.make_node("DequantizeLinear", ["r", "rs", "rz"], ["rd"]),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["conv"], pads=[kernel // 2] * 4),
        *middle,
        helper.make_node("Add", [made, "rd"], ["sum"]),
        helper.make_node("QuantizeLinear", ["sum", "ys", "yz"], ["y"]),
    ]
    shape = [1, CHANNELS, SIZE, SIZE]
    graph = helper.make_graph(
        nodes,
        "sum",
        [helper.make_tensor_value_info(n, TensorProto.UINT8, shape) for n in ("x", "r")],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, shape)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    opset = 14 if activation == "HardSwish" else 13
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    got = intact.InferenceSession(model.SerializeToString()).run(None, {"x": x, "r": r})[0]

    acc = qdq.conv(x.astype(np.int64) - X_ZERO, w.astype(np.int64), {"pads": [kernel // 2] * 4})
    real = apply(activation, acc * (X_SCALE * W_SCALE)) + (r.astype(np.int64) - R_ZERO) * R_SCALE
    steps = real / np.float64(np.float32(y_scale))
    want = np.clip(np.rint(steps) + Y_ZERO, 0, 255)
    if activation in ("none", "Relu") and y_scale in (0.09375, 0.125):
        assert np.array_equal(got, want)  # Scales of few bits: ties too.
        return
    near = np.abs(np.abs(steps - np.floor(steps)) - 0.5) < 2**-14
    assert np.array_equal(got[~near], want[~near])
    assert np.abs(got.astype(int) - want)[near].max(initial=0) <= 1
