"""Attention whose products are of codes, on every instruction set, against float64 arithmetic.

Codes at both ends, zero points at both ends and in the middle, sizes around the tiles, batches and heads, masks
of every shape that broadcasts, factors before and behind them; either product alone in codes, or both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qdq
import zoo
from onnx import TensorProto, helper, numpy_helper, save


@dataclass
class Case:
    """q, k, v: [batch, length, heads, width]; y = Transpose(softmax(f(q k)) v), codes or reals.

    factors: y is [batch, length, heads * width], and each column has a factor before the Q.
    """

    name: str
    length: int
    width: int
    batch: int = 1
    heads: int = 2
    zeros: tuple[int, int, int] = (128, 128, 128)  # Of q, k, v.
    p_scale: float = 1 / 255
    p_zero: int = 0
    fill: str = "any"
    # f: operators with a factor, or with a mask of this shape (B, H, S stand for the sizes).
    chain: tuple[tuple[str, float | str], ...] = (("Div", 5.656854), ("Add", "B11S"))
    codes: str = "both"  # Or "first", "second".
    y_codes: bool = True
    factors: bool = False
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(sum(map(ord, self.name)))
        shape = (self.batch, self.length, self.heads, self.width)
        self.scales = [np.float32(s) for s in (0.031, 0.017, 0.023)]
        self.x = [self.draw(shape) for _ in range(3)]
        sizes = {"B": self.batch, "H": self.heads, "S": self.length, "1": 1}
        self.operands: list[np.ndarray] = []
        for _, operand in self.chain:
            if isinstance(operand, str):
                mask = self.rng.normal(size=[sizes[c] for c in operand]).astype(np.float32)
                mask[self.rng.random(mask.shape) < 0.3] = -10000
                mask[..., 0] = 1  # Nothing is masked altogether.
                self.operands.append(mask)
            else:
                self.operands.append(np.float32(operand))
        columns = self.heads * self.width
        self.factor = np.ones(columns, np.float32)
        if self.factors:
            self.factor = self.rng.uniform(0.1, 3, columns).astype(np.float32)
        self.p_exact, self.p_doubt = self.weights()
        self.y_scale = np.float32(max(float(np.abs(self.product()).max()), 1e-3) / 127)

    def is_codes(self, i: int) -> bool:
        """Whether q, k or v is codes."""
        return self.codes == "both" or self.codes == ("second" if i == 2 else "first")

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        if self.fill == "extremes":
            return self.rng.choice([0, 255], size=shape).astype(np.uint8)
        if self.fill in ("low", "high"):
            return np.full(shape, 255 * (self.fill == "high"), np.uint8)
        return self.rng.integers(0, 256, size=shape).astype(np.uint8)

    def real(self, i: int) -> np.ndarray:
        """[batch, heads, length, width] in float64."""
        x = (self.x[i].astype(np.float64) - self.zeros[i]) * np.float64(self.scales[i])
        return np.moveaxis(x if self.is_codes(i) else x.astype(np.float32).astype(np.float64), 2, 1)

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """What multiplies v, as codes or reals; and by how much float arithmetic may miss it."""
        q, k = self.real(0), np.swapaxes(self.real(1), -1, -2)
        s = q @ k
        e = (3 if self.is_codes(0) else self.width + 3) * qdq.EPS * (np.abs(q) @ np.abs(k))
        if self.is_codes(0):
            e = 3 * qdq.EPS * np.abs(s)  # The sum of codes is exact.
        for (op, _), operand in zip(self.chain, self.operands, strict=True):
            c = operand.astype(np.float64)
            if op == "Add":
                s = s + c
            else:
                s, e = (s * c, e * np.abs(c)) if op == "Mul" else (s / c, e / np.abs(c))
            e = e + 2 * qdq.EPS * np.abs(s)
        p = np.exp(s - s.max(-1, keepdims=True))
        p = p / p.sum(-1, keepdims=True)
        e = e + qdq.EPS * (s.max(-1, keepdims=True) - s)
        e = p * (e + (p * e).sum(-1, keepdims=True) + (self.length / 16 + 16) * qdq.EPS)
        if not self.is_codes(2):
            return p, e
        t, near = p / np.float32(self.p_scale), e / np.float32(self.p_scale)
        low, code, high = (
            np.clip(np.rint(v) + self.p_zero, 0, 255) - self.p_zero for v in (t - near, t, t + near)
        )
        return code, high - low

    def product(self) -> np.ndarray:
        """y as reals, [batch, length, heads, width]."""
        p = self.p_exact * (np.float64(np.float32(self.p_scale)) if self.is_codes(2) else 1)
        return np.moveaxis(p @ self.real(2), 1, 2) * self.column_factors()

    def column_factors(self) -> np.ndarray:
        """What each column of y is multiplied by, [heads, width]."""
        return self.factor.astype(np.float64).reshape(self.heads, -1)

    def check(self, y: np.ndarray) -> None:
        """Exact where the weights are beyond doubt, and near elsewhere."""
        want = self.product()
        if self.factors:
            assert y.shape == (*want.shape[:2], self.heads * self.width)
        y = y.reshape(want.shape)
        v = np.abs(self.real(2))
        doubt = self.p_doubt * (np.float64(np.float32(self.p_scale)) if self.is_codes(2) else 1)
        room = np.moveaxis(doubt @ v, 1, 2)
        if not self.is_codes(2):  # A float product.
            room = room + np.moveaxis((self.length + 4) * qdq.EPS * (self.p_exact @ v), 1, 2)
        room = room * self.column_factors()
        if not self.y_codes:
            assert np.all(np.abs(y - want) <= room + 3 * qdq.EPS * np.abs(want) + 1e-30)
            return
        t = want / np.float64(self.y_scale)
        near = np.maximum(room / np.float64(self.y_scale) + 3 * qdq.EPS * np.abs(t), 2.0**-14)
        low, high = (np.clip(np.rint(v) + 128, 0, 255) for v in (t - near, t + near))
        assert np.all((y >= low) & (y <= high)), self.name
        if self.codes == "both":
            assert np.mean(low == high) > 0.5, f"{self.name} proves too little"

    def write(self, folder: Path) -> None:
        """NAME.onnx and its inputs as NAME.npz."""
        f32, u8 = TensorProto.FLOAT, TensorProto.UINT8
        nodes: list[Any] = []
        inputs: list[Any] = []
        tensors: dict[str, Any] = {}
        feeds: dict[str, Any] = {}

        def add(op: str, given: list[str], made: str, **attributes: Any) -> str:
            nodes.append(helper.make_node(op, given, [made], **attributes))
            return made

        def coded(op: str, x: str, y: str, scale: np.float32, zero: int) -> str:
            tensors.update({f"{y}_s": np.float32(scale), f"{y}_z": np.uint8(zero)})
            return add(op, [x, f"{y}_s", f"{y}_z"], y)

        sides = []
        for i, (letter, perm) in enumerate(
            zip("qkv", ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
        ):
            codes = self.is_codes(i)
            shape = ["b", self.length, self.heads, self.width]
            inputs.append(helper.make_tensor_value_info(letter, u8 if codes else f32, shape))
            feeds[letter] = (
                self.x[i] if codes else np.moveaxis(self.real(i), 1, 2).astype(np.float32)
            )
            x = (
                coded("DequantizeLinear", letter, f"{letter}f", self.scales[i], self.zeros[i])
                if codes
                else letter
            )
            sides.append(add("Transpose", [x], f"{letter}t", perm=perm))
        x = add("MatMul", sides[:2], "scores")
        for i, ((op, given), operand) in enumerate(zip(self.chain, self.operands, strict=True)):
            if isinstance(given, str):
                inputs.append(helper.make_tensor_value_info(f"m{i}", f32, list(operand.shape)))
                feeds[f"m{i}"] = operand
            else:
                tensors[f"m{i}"] = operand
            x = add(op, [x, f"m{i}"], f"f{i}")
        x = add("Softmax", [x], "p", axis=-1)
        if self.is_codes(2):
            x = coded("QuantizeLinear", x, "pq", np.float32(self.p_scale), self.p_zero)
            x = coded("DequantizeLinear", x, "pf", np.float32(self.p_scale), self.p_zero)
        x = add("MatMul", [x, sides[2]], "o")
        x = add("Transpose", [x], "ot", perm=[0, 2, 1, 3])
        if self.factors:
            tensors["joined"] = np.array([0, self.length, self.heads * self.width], np.int64)
            tensors["factor"] = self.factor
            x = add("Mul", [add("Reshape", [x, "joined"], "oj"), "factor"], "om")
        if self.y_codes:
            x = coded("QuantizeLinear", x, "y", self.y_scale, 128)
        output = helper.make_tensor_value_info(x, u8 if self.y_codes else f32, None)
        initializers = [numpy_helper.from_array(np.asarray(t), n) for n, t in tensors.items()]
        graph = helper.make_graph(nodes, "attention", inputs, [output], initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        save(model, folder / f"{self.name}.onnx")
        np.savez(folder / f"{self.name}.npz", **feeds)


def cases() -> list[Case]:
    found = [
        Case(f"size-{n}-{d}", n, d, heads=h)
        for n, d, h in (
            (1, 1, 1),
            (7, 3, 2),
            (16, 4, 3),
            (17, 5, 1),
            (33, 16, 2),
            (64, 33, 2),
            (128, 32, 12),
            (130, 64, 2),
        )
    ]
    found += [
        Case(f"zero-{q}-{k}-{v}", 33, 20, zeros=(q, k, v))
        for q, k, v in ((0, 0, 0), (255, 255, 255), (0, 255, 128), (37, 128, 0), (128, 100, 200))
    ]
    found += [
        Case(f"fill-{f}", 35, 24, zeros=(3, 128, 250), fill=f) for f in ("low", "high", "extremes")
    ]
    masks = ("B11S", "BHSS", "SS", "11SS", "1111", "B1S1", "H11")
    found += [Case(f"mask-{m}", 19, 8, batch=3, chain=(("Mul", 0.25), ("Add", m))) for m in masks]
    found += [
        Case("bare", 19, 8, chain=()),
        Case("factor", 19, 8, chain=(("Div", 3.0),)),
        Case("sum", 19, 8, chain=(("Add", "B11S"),)),
        Case("sum-then-factor", 19, 8, chain=(("Add", "B11S"), ("Mul", 0.5))),
        Case("two-sums", 19, 8, chain=(("Mul", 0.5), ("Div", 2.0), ("Add", "B11S"), ("Add", "SS"))),
        Case("wide-weights", 19, 8, p_scale=0.01, p_zero=10),
        Case("weights-saturate", 5, 8, p_scale=0.001, p_zero=255),
        Case("one-head-long", 300, 16, heads=1),
        Case("reals-out", 33, 20, y_codes=False),
        Case("factors", 33, 20, batch=2, heads=3, factors=True),
        Case("factors-one-head", 60, 16, heads=1, factors=True),
        Case("factors-reals", 21, 8, codes="first", factors=True),
    ]
    for codes in ("first", "second"):
        found += [
            Case(f"{codes}-{'codes' if y else 'reals'}", 37, 20, batch=2, codes=codes, y_codes=y)
            for y in (True, False)
        ]
    return found


@pytest.mark.parametrize("threads", [1, 2])
def test_attention_of_codes_is_exact(threads: int, tmp_path: Path) -> None:
    if not zoo.CLI.exists():
        pytest.fail(f"{zoo.CLI} is not built")
    every = cases()
    for case in every:
        case.write(tmp_path)
    first: dict[str, np.ndarray] = {}
    for isa in zoo.isas():
        out = tmp_path / f"{isa}.npz"
        zoo.run_in_process(isa, tmp_path, tmp_path, out, threads)
        with np.load(out) as z:
            got = {k: z[k] for k in z.files}
        for case in every:
            y = got[f"{case.name}/0"]
            if case.name not in first:
                first[case.name] = y
                case.check(y)
            assert np.array_equal(first[case.name], y), f"{case.name} on {isa}"
