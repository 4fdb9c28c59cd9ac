"""Operators between a sum of codes and its Q, each rounded to float32 by itself, as NumPy does it.

Scales of few bits make the sums exact; a constant a channel puts one pixel of each as near to a tie as floats can.
Every instruction set, convolutions of every kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import qdq
import zoo
from onnx import TensorProto, helper, numpy_helper, save

F = np.float32
CHANNELS, SIZE, ZERO = 192, 13, 119
X_SCALE, W_SCALE = F(1 / 16), F(1 / 64)
SIXTH = F(1 / 6)

Array = np.ndarray
# Name of an operator, its constant: a number, "factors" (one a channel), or "tie" (see above), and whether the
# constant is on the left.
Step = tuple[str, float | str, bool]


def hard_sigmoid(x: Array, alpha: Array, beta: Array) -> Array:
    return np.clip(alpha * x + beta, F(0), F(1))


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "HardSwish": lambda x: x * hard_sigmoid(x, SIXTH, F(0.5)),
    "HardSwish6": lambda x: (x * np.clip(x + F(3), F(0), F(6))) / F(6),
    "HardSigmoid": lambda x: hard_sigmoid(x, F(0.2), F(0.5)),
    "LeakyRelu": lambda x: np.where(x < 0, F(0.1) * x, x),
}
OPERATORS: dict[str, Callable[[Array, Array], Array]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
}


@dataclass
class Case:
    name: str
    function: str
    steps: tuple[Step, ...]
    scale: float = 1 / 8
    kernel: int = 1
    groups: int = 1


AFFINE: tuple[Step, ...] = (("Mul", 0.63296586, False), ("Add", "tie", False))
CASES = [
    *(
        Case(f"{f}-{kernel}-{groups}", f, AFFINE, kernel=kernel, groups=groups)
        for f in FUNCTIONS
        for kernel, groups in ((1, 1), (3, 1), (3, CHANNELS), (5, CHANNELS))
    ),
    Case("gain", "HardSwish6", (*AFFINE, ("Mul", 4.0, False)), scale=1.0),
    Case("factors", "HardSwish6", (("Mul", "factors", True), ("Add", "tie", True))),
    Case("thirds", "HardSwish6", AFFINE, scale=3 / 16),
    Case("thirds-plain", "HardSwish", (), scale=3 / 16),
    Case("difference", "HardSwish", (("Mul", "factors", False), ("Sub", "tie", True))),
    Case(
        "sum-first", "LeakyRelu", (("Sub", 0.37, False), ("Mul", 1.7, False), ("Add", "tie", False))
    ),
    Case("quotient", "HardSigmoid", (("Div", 0.3, False), ("Add", "tie", False)), scale=1 / 64),
]


def make(case: Case, path: Path) -> Array:
    """Writes the model and its sample; returns the codes."""
    rng = np.random.default_rng(sum(map(ord, case.name)))
    x = rng.integers(0, 256, (1, CHANNELS, SIZE, SIZE)).astype(np.uint8)
    inputs = CHANNELS // case.groups
    reach = max(1, 2048 // (inputs * case.kernel**2))
    w = rng.integers(
        -min(reach, 127), min(reach, 127) + 1, (CHANNELS, inputs, case.kernel, case.kernel)
    )
    attributes = {"pads": [case.kernel // 2] * 4, "group": case.groups}
    acc = qdq.conv(x.astype(np.int64) - ZERO, w.astype(np.int64), attributes)
    assert np.abs(acc).max() < 2**24
    y = FUNCTIONS[case.function](acc.astype(F) * (X_SCALE * W_SCALE))
    constants: dict[str, Array] = {
        "xs": X_SCALE,
        "xz": np.uint8(ZERO),
        "w": w.astype(np.int8),
        "ws": np.full(CHANNELS, W_SCALE, F),
        "ys": F(case.scale),
        "yz": np.uint8(97),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "xs", "xz"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["conv"], **attributes),
    ]
    if case.function == "HardSwish6":
        constants |= {"zero": F(0), "three": F(3), "six": F(6)}
        nodes += [
            helper.make_node("Add", ["conv", "three"], ["shifted"]),
            helper.make_node("Clip", ["shifted", "zero", "six"], ["gate"]),
            helper.make_node("Mul", ["conv", "gate"], ["product"]),
            helper.make_node("Div", ["product", "six"], ["f"]),
        ]
    else:
        alpha = {"alpha": 0.1} if case.function == "LeakyRelu" else {}
        nodes.append(helper.make_node(case.function, ["conv"], ["f"], **alpha))
    last = "f"
    for i, (op, what, left) in enumerate(case.steps):
        shape = (CHANNELS, 1, 1)
        if what == "factors":
            v = rng.uniform(0.3, 2, shape).astype(F)
        elif what == "tie":
            pixel = y[0, np.arange(CHANNELS), rng.integers(SIZE, size=CHANNELS), 5].reshape(shape)
            tie = (rng.integers(-40, 40, shape) + F(0.5)) * F(case.scale)
            v = tie + pixel if op == "Sub" else tie - pixel
        else:
            v = np.asarray(what)
        v = np.asarray(v, F)
        constants[f"v{i}"] = v
        y = OPERATORS[op](v, y) if left else OPERATORS[op](y, v)
        assert y.dtype == F
        nodes.append(helper.make_node(op, [f"v{i}", last] if left else [last, f"v{i}"], [f"y{i}"]))
        last = f"y{i}"
    nodes.append(helper.make_node("QuantizeLinear", [last, "ys", "yz"], ["y"]))
    shape_of = [1, CHANNELS, SIZE, SIZE]
    graph = helper.make_graph(
        nodes,
        case.name,
        [helper.make_tensor_value_info("x", TensorProto.UINT8, shape_of)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, shape_of)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(model, path / f"{case.name}.onnx")
    np.savez(path / f"{case.name}.npz", x=x)
    return np.asarray(np.clip(np.rint(y / F(case.scale)) + 97, 0, 255).astype(np.uint8))


def test_codes_are_those_of_numpy(tmp_path: Path) -> None:
    if not zoo.CLI.exists():
        pytest.fail(f"{zoo.CLI} is not built")
    want = {case.name: make(case, tmp_path) for case in CASES}
    for isa in zoo.isas():
        out = tmp_path / f"{isa}.result.npz"
        zoo.run_in_process(isa, tmp_path, tmp_path, out)
        with np.load(out) as z:
            for case in CASES:
                wrong = int((z[f"{case.name}/0"] != want[case.name]).sum())
                assert wrong == 0, f"{case.name} on {isa}: {wrong} codes"
