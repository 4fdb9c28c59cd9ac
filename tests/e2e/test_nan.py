"""NaN becomes the zero point (docs/maths/numerics.md): of floats, behind operators, and in tables of codes."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import intact

NAMES = {"Div": ["x", "x"], "Log": ["x"], "Sqrt": ["x"]}
FUNCTIONS = {"Div": lambda x: x / x, "Log": np.log, "Sqrt": np.sqrt}
SCALE, ZERO = np.float32(0.05), np.uint8(100)


@pytest.mark.parametrize("op", ["", *NAMES])
@pytest.mark.parametrize("codes_in", [False, True])
def test_nan_becomes_the_zero_point(op: str, codes_in: bool) -> None:
    if not op and codes_in:
        pytest.skip("codes are never NaN")
    values: np.ndarray = np.tile(
        np.array([0, 1, -1, np.inf, -np.inf, np.nan, 2, -3], np.float32), 9
    )
    codes = np.arange(72, dtype=np.uint8)
    tensors = {"s": SCALE, "z": ZERO, "s_in": np.float32(0.1), "z_in": np.uint8(10)}
    nodes = [helper.make_node("QuantizeLinear", ["y" if op else "x", "s", "z"], ["q"])]
    if op:
        nodes.insert(0, helper.make_node(op, NAMES[op], ["y"]))
    name, kind = ("c", TensorProto.UINT8) if codes_in else ("x", TensorProto.FLOAT)
    if codes_in:
        nodes.insert(0, helper.make_node("DequantizeLinear", ["c", "s_in", "z_in"], ["x"]))
    graph = helper.make_graph(
        nodes,
        "nan",
        [helper.make_tensor_value_info(name, kind, [1, 72])],
        [helper.make_tensor_value_info("q", TensorProto.UINT8, [1, 72])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = intact.InferenceSession(model.SerializeToString())
    got = session.run(None, {name: codes[None] if codes_in else values[None]})[0][0]
    x = (codes.astype(np.float32) - 10) * np.float32(0.1) if codes_in else values
    with np.errstate(all="ignore"):
        y = FUNCTIONS[op](x) if op else x
        wanted = np.clip(np.rint(y / SCALE) + ZERO, 0, 255)
    nan = np.isnan(y)
    assert nan.any()
    assert (got[nan] == ZERO).all()
    assert np.abs(got[~nan] - wanted[~nan]).max() <= 1  # A logarithm may round otherwise.
