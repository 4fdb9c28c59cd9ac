"""Operators whose output shape depends on data, and weights that are computed, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import intact

F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def model(
    nodes: list[tuple[str, str, str, dict[str, object]]],
    inputs: dict[str, tuple[int, list[object]]],
    outputs: dict[str, int],
    constants: dict[str, np.ndarray] | None = None,
) -> ModelProto:
    """A model from (operator, inputs, outputs, attributes), names separated by blanks."""
    graph = helper.make_graph(
        [helper.make_node(op, i.split(), o.split(), name=o, **a) for op, i, o, a in nodes],
        "data_dependent",
        [helper.make_tensor_value_info(n, t, s) for n, (t, s) in inputs.items()],
        [helper.make_tensor_value_info(n, t, None) for n, t in outputs.items()],
        [numpy_helper.from_array(v, n) for n, v in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


RNG = np.random.default_rng(7)
ONE = np.array([1], np.int64)


def noise(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


CASES = {
    "nonzero-gather": (
        model(
            [
                ("Greater", "x zero", "m", {}),
                ("NonZero", "m", "i", {}),
                ("Squeeze", "i first", "s", {}),
                ("Gather", "x s", "v", {}),
                ("Exp", "v", "y", {}),
            ],
            {"x": (F, ["n"])},
            {"y": F},
            {"zero": np.float32(0), "first": ints(0)},
        ),
        [{"x": noise(9)}, {"x": -np.ones(3, np.float32)}, {"x": np.ones(3, np.float32)}],
    ),
    "compress": (
        model(
            [
                ("Compress", "x c", "y", {"axis": 1}),
                ("Compress", "x c", "z", {}),
                ("Relu", "y", "r", {}),
            ],
            {"x": (F, ["a", "b", "c"]), "c": (B, ["n"])},
            {"r": F, "z": F},
        ),
        [
            {"x": noise(2, 3, 4), "c": np.array([True, False, True])},
            {"x": noise(2, 3, 4), "c": np.array([False, True])},
        ],
    ),
    "computed-shapes": (
        model(
            [
                ("Add", "s one", "t", {}),
                ("Reshape", "x s", "r", {}),
                ("Expand", "r e", "y", {}),
                ("Slice", "x b t zero", "z", {}),
                ("Tile", "x k", "w", {}),
                ("Range", "p q p", "u", {}),
            ],
            {
                "x": (F, [6]),
                "s": (I, [1]),
                "e": (I, [2]),
                "b": (I, [1]),
                "k": (I, [1]),
                "p": (I, []),
                "q": (I, []),
            },
            {"y": F, "z": F, "w": F, "u": I},
            {"one": ONE, "zero": ints(0)},
        ),
        [
            {
                "x": noise(6),
                "s": ints(6),
                "e": ints(n, 6),
                "b": ints(n % 3),
                "k": ints(n),
                "p": np.array(n, np.int64),
                "q": np.array(10, np.int64),
            }
            for n in (1, 2, 3, 2)
        ],
    ),
    "computed-weights": (
        model(
            [
                ("Mul", "w scale", "v", {}),
                ("Conv", "x v b", "c", {"pads": [1, 1, 1, 1]}),
                ("Relu", "c", "r", {}),
                ("Conv", "r u", "d", {"group": 4}),
                ("ConvTranspose", "d v", "y", {"strides": [2, 2]}),
            ],
            {
                "x": (F, [1, 3, "h", "w"]),
                "w": (F, [4, 3, 3, 3]),
                "b": (F, [4]),
                "u": (F, [4, 1, 3, 3]),
            },
            {"y": F},
            {"scale": np.float32(0.5)},
        ),
        [
            {"x": noise(1, 3, n, 8), "w": noise(4, 3, 3, 3), "b": noise(4), "u": noise(4, 1, 3, 3)}
            for n in (8, 5, 8)
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_answers_like_onnxruntime(name: str) -> None:
    proto, feeds = CASES[name]
    ours = intact.InferenceSession(proto.SerializeToString())
    theirs = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for feed in feeds:
        for a, b in zip(ours.run(None, feed), theirs.run(None, feed), strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
