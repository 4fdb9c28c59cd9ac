"""The worst codes there are, through the public session, on every instruction set, against int64 arithmetic.

Activations 0 and 255, weights of both extremes, zero points at both ends and in the middle, sums of up to
8192 products, groups, strides, dilations, depthwise, weights of type uint8.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import qdq
import zoo
from onnx import TensorProto, helper, numpy_helper, save

# How activations are drawn: every code an extreme, all of one, or any.
FILLS = ("extremes", "low", "high", "any")


def codes(
    rng: np.random.Generator, shape: tuple[int, ...], low: int, high: int, fill: str
) -> np.ndarray:
    if fill == "low":
        return np.full(shape, low)
    if fill == "high":
        return np.full(shape, high)
    if fill == "extremes":
        return rng.choice([low, high], size=shape)
    return rng.integers(low, high + 1, size=shape)


class Case:
    """One layer between codes: DequantizeLinear, a product, QuantizeLinear."""

    def __init__(
        self,
        name: str,
        kind: str,
        x_shape: tuple[int, ...],
        w_shape: tuple[int, ...],
        x_zero: int,
        *,
        fill: str = "extremes",
        w_fill: str = "extremes",
        w_type: type = np.int8,
        w_low: int = -128,
        w_zero: int = 0,
        y_zero: int = 128,
        **attributes: object,
    ) -> None:
        rng = np.random.default_rng(sum(map(ord, name)))
        self.name, self.kind, self.attributes = name, kind, attributes
        self.x_zero, self.y_zero, self.w_zero = x_zero, y_zero, w_zero
        limits = np.iinfo(w_type)
        self.x = codes(rng, x_shape, 0, 255, fill).astype(np.uint8)
        low = max(int(limits.min), w_low)
        self.w = codes(rng, w_shape, low, int(limits.max), w_fill).astype(w_type)
        channels = w_shape[0] if kind == "Conv" else w_shape[1]
        self.x_scale = np.float32(0.0173)
        self.w_scale = rng.uniform(0.001, 0.02, size=channels if w_zero == 0 else 1).astype(
            np.float32
        )
        self.bias = rng.integers(-(2**20), 2**20, size=channels).astype(np.int32)
        acc = self.accumulate()
        # About 250 codes for the range of this layer's sums: neither all saturated nor all in one code.
        spread = max(float(np.abs(self.real(acc)).max()), 1e-3)
        self.y_scale = np.float32(spread / 127)

    def accumulate(self) -> np.ndarray:
        """The sums, in int64, with the bias."""
        x = self.x.astype(np.int64) - self.x_zero
        w = self.w.astype(np.int64) - self.w_zero
        if self.kind == "Conv":
            return qdq.conv(x, w, self.attributes) + self.bias.reshape(1, -1, 1, 1)
        return x @ w + (self.bias if self.kind == "Gemm" else 0)

    def real(self, acc: np.ndarray) -> np.ndarray:
        """The real values of the sums, in double precision."""
        scale = np.float64(self.x_scale) * self.w_scale.astype(np.float64)
        return acc * (scale.reshape(1, -1, 1, 1) if self.kind == "Conv" else scale)

    def expected(self) -> tuple[np.ndarray, np.ndarray]:
        """The exact output codes, and where their real values lie within 2^-14 of a tie."""
        t = self.real(self.accumulate()) / np.float64(self.y_scale)
        tie = np.abs(t - np.floor(t) - 0.5) <= 2.0**-14
        return np.clip(np.rint(t) + self.y_zero, 0, 255), tie

    def write(self, folder: Path) -> None:
        """NAME.onnx and its codes as NAME.npz."""
        f32, u8 = TensorProto.FLOAT, TensorProto.UINT8
        tensors = {
            "xs": self.x_scale,
            "xz": np.uint8(self.x_zero),
            "w": self.w,
            "ws": self.w_scale if self.w_scale.size > 1 else self.w_scale.reshape(()),
            "wz": np.full(
                self.w_scale.shape if self.w_scale.size > 1 else (), self.w_zero, self.w.dtype
            ),
            "ys": self.y_scale,
            "yz": np.uint8(self.y_zero),
        }
        axis = 0 if self.kind == "Conv" else 1
        nodes = [
            helper.make_node("DequantizeLinear", ["x", "xs", "xz"], ["xf"]),
            helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wf"], axis=axis),
        ]
        inputs = ["xf", "wf"]
        if self.kind != "MatMul":
            scale = (np.float64(self.x_scale) * self.w_scale.astype(np.float64)).astype(np.float32)
            scale = np.broadcast_to(scale, self.bias.shape)
            tensors |= {"b": self.bias, "bs": scale}
            nodes.append(helper.make_node("DequantizeLinear", ["b", "bs"], ["bf"], axis=0))
            inputs.append("bf")
        nodes += [
            helper.make_node(self.kind, inputs, ["yf"], name="product", **self.attributes),
            helper.make_node("QuantizeLinear", ["yf", "ys", "yz"], ["y"]),
        ]
        graph = helper.make_graph(
            nodes,
            self.name,
            [helper.make_tensor_value_info("x", u8, self.x.shape)],
            [helper.make_tensor_value_info("y", u8, None)],
            [numpy_helper.from_array(np.asarray(v), k) for k, v in tensors.items()],
            value_info=[helper.make_tensor_value_info("yf", f32, None)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        save(model, folder / f"{self.name}.onnx")
        np.savez(folder / f"{self.name}.npz", x=self.x)


def cases() -> list[Case]:
    all_cases = []
    for zero in (0, 128, 255):
        for fill in FILLS:
            tag = f"z{zero}-{fill}"
            all_cases += [
                Case(
                    f"conv3x3-{tag}",
                    "Conv",
                    (2, 19, 9, 7),
                    (21, 19, 3, 3),
                    zero,
                    fill=fill,
                    pads=[1, 1, 1, 1],
                ),
                Case(
                    f"depthwise-{tag}",
                    "Conv",
                    (1, 37, 9, 11),
                    (37, 1, 3, 3),
                    zero,
                    fill=fill,
                    group=37,
                    pads=[1, 1, 1, 1],
                ),
                Case(f"gemm-{tag}", "Gemm", (5, 130), (130, 33), zero, fill=fill),
            ]
        tag = f"z{zero}"
        all_cases += [
            Case(f"k8192-{tag}", "Gemm", (3, 8192), (8192, 17), zero),
            Case(
                f"k8192-same-sign-{tag}",
                "Gemm",
                (2, 8192),
                (8192, 5),
                zero,
                fill="high",
                w_fill="low",
            ),
            Case(f"conv-k8192-{tag}", "Conv", (1, 512, 4, 4), (9, 512, 4, 4), zero),
            Case(
                f"groups-{tag}",
                "Conv",
                (1, 24, 8, 8),
                (12, 6, 3, 3),
                zero,
                group=4,
                pads=[1, 0, 0, 2],
            ),
            # Winograd's shape: with a proof that it is exact, and one for which there is none.
            Case(
                f"winograd-{tag}",
                "Conv",
                (2, 64, 17, 14),
                (50, 64, 3, 3),
                zero,
                pads=[1, 1, 0, 2],
            ),
            Case(
                f"winograd-unproven-{tag}",
                "Conv",
                (1, 300, 13, 13),
                (35, 300, 3, 3),
                zero,
                fill="high",
                w_fill="low",
                pads=[1, 1, 1, 1],
            ),
            Case(
                f"strided-{tag}",
                "Conv",
                (1, 16, 15, 13),
                (20, 16, 5, 3),
                zero,
                strides=[2, 3],
                pads=[2, 1, 2, 1],
            ),
            Case(
                f"dilated-{tag}",
                "Conv",
                (1, 8, 14, 14),
                (16, 8, 3, 3),
                zero,
                dilations=[2, 3],
                pads=[2, 3, 2, 3],
            ),
            Case(
                f"depthwise-strided-{tag}",
                "Conv",
                (1, 64, 13, 13),
                (64, 1, 5, 5),
                zero,
                group=64,
                strides=[2, 2],
                pads=[2, 2, 2, 2],
            ),
            Case(f"pointwise-{tag}", "Conv", (2, 65, 5, 5), (67, 65, 1, 1), zero, w_low=-127),
            Case(f"matmul-{tag}", "MatMul", (7, 65), (65, 31), zero),
            Case(f"saturated-{tag}", "Gemm", (4, 64), (64, 16), zero, fill="high", y_zero=0),
            Case(f"output-zero-255-{tag}", "Conv", (1, 8, 6, 6), (8, 8, 3, 3), zero, y_zero=255),
            Case(
                f"u8-weights-{tag}", "Gemm", (4, 100), (100, 18), zero, w_type=np.uint8, w_zero=128
            ),
            Case(
                f"u8-weights-zero-{tag}",
                "Conv",
                (1, 12, 6, 6),
                (10, 12, 3, 3),
                zero,
                w_type=np.uint8,
                w_zero=255,
                pads=[1, 1, 1, 1],
            ),
            Case(
                f"u8-depthwise-{tag}",
                "Conv",
                (1, 20, 6, 6),
                (20, 1, 3, 3),
                zero,
                w_type=np.uint8,
                w_zero=3,
                group=20,
            ),
        ]
    return all_cases


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Case]]:
    folder = tmp_path_factory.mktemp("adversarial")
    all_cases = cases()
    for case in all_cases:
        case.write(folder)
    return folder, all_cases


@pytest.mark.parametrize("isa", zoo.isas())
@pytest.mark.parametrize("threads", [1, 2])
def test_extreme_codes_are_exact(isa: str, threads: int, written: tuple[Path, list[Case]]) -> None:
    folder, all_cases = written
    out = folder.parent / f"{folder.name}.{isa}.{threads}.npz"
    zoo.run_in_process(isa, folder, folder, out, threads)
    wrong = {}
    with np.load(out) as results:
        for case in all_cases:
            y = results[f"{case.name}/0"].astype(np.int64)
            expected, tie = case.expected()
            assert y.shape == expected.shape, case.name
            far = np.abs(y - expected) > np.where(tie, 1, 0)
            if far.any():
                wrong[case.name] = int(far.sum())
    print(f"{isa}: {len(all_cases)} models, wrong {wrong}")
    assert not wrong
