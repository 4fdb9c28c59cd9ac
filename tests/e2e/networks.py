"""Random small networks, float or with Q and DQ nodes, each a function of its seed.

A seed draws a float graph first; ranges of its values come from ONNX Runtime; then each value becomes codes or
stays float, at random. So the float network and the quantized one are the same network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import qdq
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Feeds = dict[str, np.ndarray]
# Operators that only move values, which may also stand between codes.
MOVING = ("Reshape", "Transpose", "Slice", "Concat", "Split", "MaxPool", "Flatten")
CHANNELS = (1, 2, 3, 4, 5, 8, 12, 16, 17, 20, 24, 32, 33, 48)


class Network:
    """The float graph. Shapes are without the batch."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.opset = self.one_of((13, 14, 17, 17, 18, 20))
        self.nodes: list[NodeProto] = []
        self.tensors: dict[str, np.ndarray] = {}
        self.weights: set[str] = set()  # Constants that may become codes.
        self.biases: set[str] = set()
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.large = self.chance(0.1)
        self.bytes_in: dict[str, bool] = {}  # Inputs; whether they are bytes.
        for i in range(self.one_of((1, 1, 1, 2))):
            self.draw_input(f"x{i}")
        for _ in range(int(self.rng.integers(2, 12))):
            self.draw_step()
        used = {v for n in self.nodes for v in n.input}
        values = [v for v in self.shapes if v not in self.bytes_in]
        self.outputs = [v for v in values if v not in used]
        self.outputs += [v for v in values if v in used and self.chance(0.08)]

    # How things are drawn.

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def one_of(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def some(self, low: int, high: int) -> int:
        """An integer of [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def draw_input(self, name: str) -> None:
        kind = self.one_of(("image", "image", "image", "image", "rows", "row"))
        channels = self.one_of(CHANNELS)
        side = 40 if self.large else 13
        if kind == "image":
            shape: tuple[int, ...] = (channels, self.some(3, side), self.some(3, side))
        elif kind == "rows":
            shape = (self.some(1, side), channels)
        else:
            shape = (self.some(1, 130),)
        self.shapes[name] = shape
        self.bytes_in[name] = self.chance(0.2)
        if self.bytes_in[name]:
            real = self.add("Cast", [name], shape, to=TensorProto.FLOAT)
            if self.chance(0.7):
                real = self.add(
                    "Sub", [real, self.constant(np.float32(self.one_of((128, 127.5, 110))))], shape
                )
            self.add(
                "Mul",
                [real, self.constant(np.float32(self.one_of((1 / 64, 1 / 255, 0.02))))],
                shape,
            )

    # How the graph grows.

    def add(self, op: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> str:
        name = f"v{len(self.shapes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"{op}_{name}", **attributes))
        self.shapes[name] = shape
        return name

    def constant(self, value: Any) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors[name] = np.asarray(value)
        return name

    def reals(self, *shape: int, scale: float = 1.0) -> str:
        return self.constant(self.rng.normal(0, scale, shape).astype(np.float32))

    def weight(self, *shape: int, terms: int) -> str:
        name = self.reals(*shape, scale=1.2 / math.sqrt(terms))
        self.weights.add(name)
        return name

    def bias(self, channels: int) -> list[str]:
        if self.chance(0.3):
            return []
        name = self.reals(channels, scale=0.5)
        self.biases.add(name)
        return [name]

    def any_value(self, good: Callable[[tuple[int, ...]], bool]) -> str | None:
        """A value, recent ones more often."""
        names = [v for v, s in self.shapes.items() if not self.bytes_in.get(v) and good(s)]
        if not names:
            return None
        return names[-1] if self.chance(0.6) else str(self.one_of(names))

    def draw_step(self) -> None:
        x = self.any_value(lambda s: True)
        if x is None:
            return
        rank = len(self.shapes[x])
        steps: list[Callable[[str], Any]] = [
            self.activation,
            self.activation,
            self.binary,
            self.residual,
            self.sliced,
            self.split,
            self.joined,
        ]
        if rank == 3:
            steps += (
                [self.convolution] * 8
                + [self.depthwise] * 3
                + [
                    self.pool,
                    self.pool,
                    self.squeeze,
                    self.squeeze,
                    self.resize,
                    self.transposed,
                    self.mean,
                    self.to_rows,
                    self.pad,
                ]
            )
        if rank == 2:
            steps += [self.product] * 3 + [
                self.layer_norm,
                self.attention,
                self.attention,
                self.softmax,
                self.flatten,
                self.turned,
                self.signal,
            ]
        if rank == 1:
            steps += [self.gemm] * 4 + [self.softmax, self.product]
        self.one_of(steps)(x)

    def window(
        self, sizes: tuple[int, ...], kernel: list[int], strided: bool
    ) -> tuple[dict[str, Any], tuple[int, ...]]:
        """Attributes and result of a window over these sizes."""
        rank = len(sizes)
        dilations = (
            [self.one_of((1, 1, 1, 1, 1, 2, 3)) for _ in sizes] if self.chance(0.3) else [1] * rank
        )
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        strides = [self.one_of((1, 2, 2, 3)) for _ in sizes] if strided else [1] * rank
        if self.chance(0.6):
            pads = [s // 2 for s in spans] * 2
        else:
            pads = [self.some(0, spans[i % rank] - 1) for i in range(2 * rank)]
        for i in range(rank):
            while sizes[i] + pads[i] + pads[i + rank] < spans[i]:
                pads[i + rank] += 1
        out = tuple(
            (sizes[i] + pads[i] + pads[i + rank] - spans[i]) // strides[i] + 1 for i in range(rank)
        )
        a: dict[str, Any] = {"kernel_shape": kernel, "pads": pads, "strides": strides}
        if max(dilations) > 1:
            a["dilations"] = dilations
        return a, out

    def convolution(self, x: str, out: int | None = None) -> str:
        c, *sizes = self.shapes[x]
        kernel = self.one_of(
            ([1, 1], [1, 1], [1, 1], [3, 3], [3, 3], [3, 3], [5, 5], [1, 3], [3, 2], [7, 1], [2, 2])
        )
        m = out or self.one_of((*CHANNELS, 64, 96) if self.large else CHANNELS)
        groups = 1
        if self.chance(0.15):
            groups = self.one_of([g for g in range(1, c + 1) if c % g == 0])
            m = groups * max(1, m // groups)
        a, size = self.window(tuple(sizes), kernel, self.chance(0.3))
        w = self.weight(m, c // groups, *kernel, terms=c // groups * math.prod(kernel))
        y = self.add("Conv", [x, w, *self.bias(m)], (m, *size), group=groups, **a)
        return self.activation(y) if self.chance(0.5) else y

    def depthwise(self, x: str) -> str:
        c, *sizes = self.shapes[x]
        k = self.one_of((3, 3, 3, 5, 2, 1))
        times = self.one_of((1, 1, 1, 1, 2, 3))
        a, size = self.window(tuple(sizes), [k, k], self.chance(0.4))
        w = self.weight(c * times, 1, k, k, terms=k * k)
        y = self.add("Conv", [x, w, *self.bias(c * times)], (c * times, *size), group=c, **a)
        return self.activation(y) if self.chance(0.5) else y

    def signal(self, x: str) -> str:
        """A convolution over [channels, length]."""
        c, n = self.shapes[x]
        k, m = self.one_of((1, 3, 5)), self.one_of(CHANNELS)
        a, size = self.window((n,), [k], self.chance(0.3))
        return self.add(
            "Conv", [x, self.weight(m, c, k, terms=c * k), *self.bias(m)], (m, *size), **a
        )

    def transposed(self, x: str) -> str:
        c, h, w = self.shapes[x]
        if h * w > 400:
            return x
        k, m = self.one_of((1, 2, 3, 4)), self.one_of(CHANNELS[:9])
        strides = [self.some(1, 2), self.some(1, 3)]
        pads = [self.some(0, (k - 1) // 2) for _ in range(4)]
        more = [self.some(0, s - 1) if self.chance(0.2) else 0 for s in strides]
        size = [
            (n - 1) * s + k - pads[i] - pads[i + 2] + more[i]
            for i, (n, s) in enumerate(zip((h, w), strides, strict=True))
        ]
        if min(size) < 1:
            return x
        wt = self.weight(c, m, k, k, terms=c * k * k // math.prod(strides) + 1)
        return self.add(
            "ConvTranspose",
            [x, wt, *self.bias(m)],
            (m, *size),
            kernel_shape=[k, k],
            strides=strides,
            pads=pads,
            output_padding=more,
        )

    def activation(self, x: str) -> str:
        s = self.shapes[x]
        kind = self.one_of(
            (
                "Relu",
                "Relu",
                "Relu",
                "Relu6",
                "Clip",
                "Sigmoid",
                "HardSigmoid",
                "HardSwish",
                "SiLU",
                "SiLU",
                "LeakyRelu",
                "PRelu",
                "Gelu",
                "Tanh",
                "HardSwishMul",
                "GeluTanh",
                "Elu",
                "Square",
            )
        )
        if kind == "Relu6":
            return self.add(
                "Clip", [x, self.constant(np.float32(0)), self.constant(np.float32(6))], s
            )
        if kind == "Clip":
            low, high = sorted(self.rng.normal(0, 2, 2).astype(np.float32))
            given = [x, self.constant(low), self.constant(high)]
            return self.add("Clip", given[: self.some(2, 3)], s)
        if kind == "HardSigmoid":
            return self.add("HardSigmoid", [x], s, alpha=self.one_of((1 / 6, 0.2)), beta=0.5)
        if kind == "HardSwish":
            if self.opset >= 14:
                return self.add("HardSwish", [x], s)
            kind = "HardSwishMul"
        if kind == "HardSwishMul":
            return self.add("Mul", [x, self.add("HardSigmoid", [x], s, alpha=1 / 6, beta=0.5)], s)
        if kind == "SiLU":
            gate = self.add("Sigmoid", [x], s)
            return self.add("Mul", [x, gate] if self.chance(0.7) else [gate, x], s)
        if kind == "LeakyRelu":
            return self.add("LeakyRelu", [x], s, alpha=self.one_of((0.01, 0.125, 0.1)))
        if kind == "PRelu":
            shape = [s[0], *[1] * (len(s) - 1)] if len(s) > 1 and self.chance(0.7) else [1]
            return self.add(
                "PRelu", [x, self.constant(self.rng.uniform(0, 0.5, shape).astype(np.float32))], s
            )
        if kind in ("Gelu", "GeluTanh") and self.opset >= 20 and self.chance(0.5):
            return self.add("Gelu", [x], s, approximate="tanh" if kind == "GeluTanh" else "none")
        if kind == "Gelu":
            e = self.add(
                "Erf", [self.add("Div", [x, self.constant(np.float32(math.sqrt(2)))], s)], s
            )
            p = self.add("Add", [e, self.constant(np.float32(1))], s)
            half = self.constant(np.float32(0.5))
            if self.chance(0.5):
                return self.add("Mul", [self.add("Mul", [x, p], s), half], s)
            return self.add("Mul", [x, self.add("Mul", [p, half], s)], s)
        if kind == "GeluTanh":
            kind = "Tanh"
        if kind == "Square":
            return self.add("Mul", [x, x], s)
        return self.add(kind, [x], s)

    def binary(self, x: str) -> str:
        """With a constant of a shape that broadcasts."""
        s = self.shapes[x]
        shape = self.one_of((s, [s[0], *[1] * (len(s) - 1)], [], [1], s[-1:], [1, *s]))
        c = self.constant(self.rng.normal(0, 1, shape).astype(np.float32))
        if self.chance(0.3):
            self.weights.add(c)
        op = self.one_of(("Add", "Add", "Mul", "Mul", "Sub", "Max", "Min", "Div"))
        if op == "Div":
            self.weights.discard(c)
            self.tensors[c] = (np.abs(self.tensors[c]) + 0.5).astype(np.float32)
            return self.add(op, [x, c], s)
        return self.add(op, [x, c] if self.chance(0.7) else [c, x], s)

    def residual(self, x: str) -> str:
        """With another value of its shape, or one that broadcasts; made by a convolution if there is none."""
        s = self.shapes[x]
        fits = [
            v
            for v, t in self.shapes.items()
            if v != x
            and not self.bytes_in.get(v)
            and len(t) == len(s)
            and all(b in (1, a) for a, b in zip(s, t, strict=True))
        ]
        if fits and self.chance(0.8):
            y = str(self.one_of(fits))
        elif len(s) == 3:
            w = self.weight(s[0], s[0], 1, 1, terms=s[0])
            y = self.add("Conv", [x, w, *self.bias(s[0])], s)
            y = self.activation(y) if self.chance(0.4) else y
        else:
            y = self.activation(x)
        op = self.one_of(("Add", "Add", "Add", "Add", "Mul", "Sub", "Max", "Min"))
        z = self.add(op, [x, y] if self.chance(0.5) else [y, x], s)
        return self.activation(z) if self.chance(0.3) else z

    def joined(self, x: str) -> str:
        s = self.shapes[x]
        others = [
            v
            for v, t in self.shapes.items()
            if not self.bytes_in.get(v) and len(t) == len(s) and t[1:] == s[1:]
        ]
        parts = [x] + [str(self.one_of(others)) for _ in range(self.some(1, 2))]
        total = sum(self.shapes[p][0] for p in parts)
        return self.add("Concat", parts, (total, *s[1:]), axis=1) if total < 200 else x

    def split(self, x: str) -> str:
        c, *rest = self.shapes[x]
        if c < 2:
            return x
        a = c // 2 if self.chance(0.5) else self.some(1, c - 1)
        names = [f"v{len(self.shapes)}", f"v{len(self.shapes) + 1}"]
        sizes = self.constant(np.array([a, c - a], np.int64))
        self.nodes.append(
            helper.make_node("Split", [x, sizes], names, name=f"Split_{names[0]}", axis=1)
        )
        self.shapes |= {names[0]: (a, *rest), names[1]: (c - a, *rest)}
        if 2 * a == c and self.chance(0.5):  # A gate.
            gate = self.add("Sigmoid", [names[1]], (a, *rest))
            return self.add("Mul", [names[0], gate], (a, *rest))
        return names[self.some(0, 1)]

    def sliced(self, x: str) -> str:
        s = list(self.shapes[x])
        axis = self.some(0, len(s) - 1)
        start = self.some(0, s[axis] - 1)
        end, step = self.some(start + 1, s[axis]), self.one_of((1, 1, 2))
        s[axis] = -(-(end - start) // step)
        given = [self.constant(np.array([v], np.int64)) for v in (start, end, axis + 1, step)]
        return self.add("Slice", [x, *given], tuple(s))

    def pad(self, x: str) -> str:
        c, h, w = self.shapes[x]
        p = [self.some(0, 2) for _ in range(4)]
        pads = self.constant(np.array([0, 0, p[0], p[1], 0, 0, p[2], p[3]], np.int64))
        return self.add("Pad", [x, pads], (c, h + p[0] + p[2], w + p[1] + p[3]))

    def pool(self, x: str) -> str:
        c, h, w = self.shapes[x]
        op = self.one_of(("MaxPool", "AveragePool"))
        k = [min(self.one_of((1, 2, 2, 3, 3, 5)), n) for n in (h, w)]
        strides = [self.some(1, 3) for _ in k]
        pads = [self.some(0, k[i % 2] // 2) for i in range(4)]
        size = [(n + pads[i] + pads[i + 2] - k[i]) // strides[i] + 1 for i, n in enumerate((h, w))]
        more = {"count_include_pad": self.some(0, 1)} if op == "AveragePool" else {}
        return self.add(op, [x], (c, *size), kernel_shape=k, strides=strides, pads=pads, **more)

    def reduce(self, x: str, axes: list[int], shape: tuple[int, ...], keep: bool) -> str:
        if self.opset >= 18:
            return self.add(
                "ReduceMean",
                [x, self.constant(np.array(axes, np.int64))],
                shape,
                keepdims=int(keep),
            )
        return self.add("ReduceMean", [x], shape, axes=axes, keepdims=int(keep))

    def mean(self, x: str) -> str:
        c = self.shapes[x][0]
        if self.chance(0.5):
            y = self.add("GlobalAveragePool", [x], (c, 1, 1))
            return self.add("Flatten", [y], (c,)) if self.chance(0.5) else y
        keep = self.chance(0.5)
        return self.reduce(
            x, [2, 3] if self.chance(0.6) else [-2, -1], (c, 1, 1) if keep else (c,), keep
        )

    def squeeze(self, x: str) -> str:
        """A block of squeeze and excitation."""
        c = self.shapes[x][0]
        pooled = (
            self.add("GlobalAveragePool", [x], (c, 1, 1))
            if self.chance(0.6)
            else self.reduce(x, [2, 3], (c, 1, 1), True)
        )
        m = max(1, c // self.one_of((1, 2, 4)))
        a = self.add("Conv", [pooled, self.weight(m, c, 1, 1, terms=c), *self.bias(m)], (m, 1, 1))
        a = self.activation(a) if self.chance(0.3) else self.add("Relu", [a], (m, 1, 1))
        b = self.add("Conv", [a, self.weight(c, m, 1, 1, terms=m), *self.bias(c)], (c, 1, 1))
        gate = self.add(self.one_of(("Sigmoid", "HardSigmoid")), [b], (c, 1, 1))
        return self.add("Mul", [x, gate] if self.chance(0.6) else [gate, x], self.shapes[x])

    def resize(self, x: str) -> str:
        c, h, w = self.shapes[x]
        if h * w > 300:
            return x
        up = [self.some(1, 3), self.some(1, 2)]
        scales = self.constant(np.array([1, 1, *up], np.float32))
        how = (
            {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            if self.chance(0.6)
            else {}
        )
        mode = "linear" if self.chance(0.2) else "nearest"
        if mode == "linear":
            how = {
                "coordinate_transformation_mode": self.one_of(
                    ("half_pixel", "align_corners", "asymmetric")
                )
            }
        return self.add("Resize", [x, "", scales], (c, h * up[0], w * up[1]), mode=mode, **how)

    def to_rows(self, x: str) -> str:
        c, h, w = self.shapes[x]
        if self.chance(0.3):
            return self.flatten(x)
        y = self.add("Reshape", [x, self.constant(np.array([0, c, -1], np.int64))], (c, h * w))
        return self.turned(y) if self.chance(0.8) else y

    def turned(self, x: str) -> str:
        a, b = self.shapes[x]
        return self.add("Transpose", [x], (b, a), perm=[0, 2, 1])

    def flatten(self, x: str) -> str:
        n = math.prod(self.shapes[x])
        if self.chance(0.5):
            return self.add("Flatten", [x], (n,), axis=1)
        return self.add("Reshape", [x, self.constant(np.array([0, -1], np.int64))], (n,))

    def softmax(self, x: str) -> str:
        return self.add("Softmax", [x], self.shapes[x], axis=-1)

    def product(self, x: str) -> str:
        *rows, k = self.shapes[x]
        m = self.one_of(CHANNELS)
        y = self.add("MatMul", [x, self.weight(k, m, terms=k)], (*rows, m))
        if self.chance(0.6):
            b = self.reals(m, scale=0.5)
            y = self.add("Add", [y, b] if self.chance(0.5) else [b, y], (*rows, m))
        return self.activation(y) if self.chance(0.4) else y

    def gemm(self, x: str) -> str:
        (k,) = self.shapes[x]
        m, turned = self.one_of(CHANNELS), self.chance(0.6)
        w = self.weight(*((m, k) if turned else (k, m)), terms=k)
        y = self.add("Gemm", [x, w, *self.bias(m)], (m,), transB=int(turned))
        return self.activation(y) if self.chance(0.4) else y

    def layer_norm(self, x: str) -> str:
        s = self.shapes[x]
        d = s[-1]
        if self.opset >= 17 and self.chance(0.6):
            given = [x, self.reals(d), *([self.reals(d)] if self.chance(0.8) else [])]
            return self.add("LayerNormalization", given, s, axis=-1, epsilon=1e-5)
        one = (*s[:-1], 1)
        centred = self.add("Sub", [x, self.reduce(x, [-1], one, True)], s)
        power = self.add("Pow", [centred, self.constant(np.float32(2))], s)
        spread = self.add(
            "Add", [self.reduce(power, [-1], one, True), self.constant(np.float32(1e-5))], one
        )
        y = self.add("Div", [centred, self.add("Sqrt", [spread], one)], s)
        return self.add("Add", [self.add("Mul", [y, self.reals(d)], s), self.reals(d)], s)

    def attention(self, x: str) -> str:
        """Products of two values."""
        n, d = self.shapes[x]
        keys = self.any_value(lambda s: len(s) == 2 and s[1] == d) or x
        m = self.shapes[keys][0]
        if n * m > 3000:
            return x
        y = self.add("MatMul", [x, self.turned(keys)], (n, m))
        if self.chance(0.7):
            y = self.add("Mul", [y, self.constant(np.float32(1 / math.sqrt(d)))], (n, m))
        if self.chance(0.8):
            y = self.softmax(y)
        return self.add("MatMul", [y, keys], (n, d)) if self.chance(0.8) else y

    # The models.

    def feeds(self, batch: int, seed: int = 0) -> Feeds:
        rng = np.random.default_rng((self.seed, batch, seed))
        made = {}
        for name, is_bytes in self.bytes_in.items():
            shape = (batch, *self.shapes[name])
            made[name] = (
                rng.integers(0, 256, shape).astype(np.uint8)
                if is_bytes
                else rng.normal(0, 1, shape).astype(np.float32)
            )
        return made

    def model(
        self,
        nodes: list[NodeProto],
        tensors: dict[str, np.ndarray],
        outputs: dict[str, str],
        types: dict[str, int] | None = None,
    ) -> ModelProto:
        known = {n: TensorProto.UINT8 for n, b in self.bytes_in.items() if b} | (types or {})

        def info(name: str, value: str) -> Any:
            kind = known.get(name, TensorProto.FLOAT)
            return helper.make_tensor_value_info(name, kind, ["n", *self.shapes[value]])

        graph = helper.make_graph(
            nodes,
            f"seed{self.seed}",
            [info(n, n) for n in self.bytes_in],
            [info(n, v) for n, v in outputs.items()],
            [numpy_helper.from_array(v, k) for k, v in tensors.items()],
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8
        )

    def as_float(self) -> ModelProto:
        return self.model(self.nodes, self.tensors, {v: v for v in self.outputs})


class Quantized:
    """The network with Q and DQ nodes."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.rng = np.random.default_rng((net.seed, 1))
        self.nodes: list[NodeProto] = []
        self.tensors = dict(net.tensors)
        self.readers: dict[str, list[NodeProto]] = {}
        for n in net.nodes:
            for v in n.input:
                self.readers.setdefault(v, []).append(n)
        self.maps: dict[str, tuple[str, str]] = {}  # Of codes: the names of scale and zero point.
        self.codes: dict[str, str] = {}  # Of a value: the name of its codes.
        self.values: dict[str, str] = {}  # Of a value: its dequantized name.
        self.short = self.chance(0.5)  # Scales of few bits.
        self.signed = self.chance(0.3)
        self.density = float(self.one_of((0.6, 0.9, 1.0)))
        self.weight_kind = self.one_of(("int8", "int8", "channel", "channel", "channel", "uint8"))
        self.ranges: dict[str, tuple[float, float]] = {}
        self.coded_inputs: dict[str, np.dtype[Any]] = {}
        self.measure()
        self.proto = self.model()

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def one_of(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def scale(self, wanted: float) -> np.float32:
        wanted = max(wanted, 1e-6)
        if not self.short or self.chance(0.05):
            return np.float32(wanted)
        power = math.floor(math.log2(wanted))
        return np.float32(2.0**power * self.one_of((1, 1.5, 2)))

    def constant(self, name: str, value: Any) -> str:
        self.tensors[name] = np.asarray(value)
        return name

    def reals(self, name: str) -> str:
        """A value as float."""
        if name not in self.codes:
            return name
        if name not in self.values or self.chance(0.3):  # One DQ for all readers, or several.
            made = f"{name}_d{len(self.nodes)}"
            self.nodes.append(
                helper.make_node(
                    "DequantizeLinear",
                    [self.codes[name], *self.maps[name]],
                    [made],
                    name=f"DQ_{made}",
                )
            )
            self.values[name] = made
        return self.values[name]

    def map_of(self, name: str, inputs: list[str]) -> tuple[str, str]:
        """Scale and zero point of a value, often those of what it is made of."""
        given = [self.maps[v] for v in inputs if v in self.maps]
        if given and self.chance(0.4):
            return str(given[0][0]), str(given[0][1])
        low, high = self.ranges.get(name, (-2.0, 2.0))
        low, high = min(low, 0.0), max(high, 0.0)
        if self.chance(0.1):  # Saturated.
            low, high = low / 2, high / 2
        kind, lo, hi = (
            (np.int8, -128, 127) if self.signed != self.chance(0.05) else (np.uint8, 0, 255)
        )
        if self.chance(0.2):
            s, z = self.scale(max(-low, high) / 127), (lo + hi + 1) // 2
        else:
            s = self.scale((high - low) / 255)
            z = int(np.clip(np.rint(lo - low / s), lo, hi))
        return self.constant(f"{name}_s", np.float32(s)), self.constant(f"{name}_z", kind(z))

    def quantize(self, name: str, inputs: list[str]) -> None:
        self.maps[name] = self.map_of(name, inputs)
        self.codes[name] = f"{name}_q"
        self.nodes.append(
            helper.make_node(
                "QuantizeLinear", [name, *self.maps[name]], [self.codes[name]], name=f"Q_{name}"
            )
        )

    def wants_codes(self, name: str) -> bool:
        readers = self.readers.get(name, [])
        small = not self.net.shapes[name]
        inside = bool(readers) and all(
            r.op_type
            in (
                "Relu",
                "Clip",
                "Sigmoid",
                "HardSigmoid",
                "HardSwish",
                "LeakyRelu",
                "PRelu",
                "Erf",
                "Tanh",
                "Gelu",
                "Elu",
                "Div",
                "Pow",
                "Sqrt",
            )
            or (r.op_type in ("Mul", "Add") and len(readers) > 1)
            for r in readers
        )
        return not small and self.chance(0.15 if inside else self.density)

    def weight(self, name: str, node: NodeProto) -> str:
        """A weight as dequantized codes."""
        w = self.tensors[name].astype(np.float64)
        kind = self.weight_kind if w.ndim > 1 else "int8"
        axis = 0
        if (
            node.op_type == "ConvTranspose"
            or (node.op_type == "Gemm" and not qdq.attributes(node).get("transB"))
            or node.op_type == "MatMul"
        ):
            axis = 1
        made, given = f"{name}_d", f"{name}_q"
        if kind == "channel" and node.op_type in qdq.MACS:
            others = tuple(i for i in range(w.ndim) if i != axis)
            s = np.array([self.scale(v / 127) for v in np.abs(w).max(others)], np.float32)
            shape = [-1 if i == axis else 1 for i in range(w.ndim)]
            codes = np.clip(np.rint(w / s.reshape(shape)), -127, 127).astype(np.int8)
            zero = np.zeros(s.shape, np.int8)
        elif kind == "uint8":
            s = np.asarray(self.scale((max(w.max(), 0) - min(w.min(), 0)) / 255))
            zero = np.asarray(np.clip(np.rint(-min(w.min(), 0) / s), 0, 255).astype(np.uint8))
            codes = np.clip(np.rint(w / s) + zero, 0, 255).astype(np.uint8)
        else:
            s, zero = (
                np.asarray(self.scale(np.abs(w).max() / 127)),
                np.asarray(np.int8(self.one_of((0, 0, 0, 5, -128)))),
            )
            codes = np.clip(np.rint(w / s) + zero, -128, 127).astype(np.int8)
        more: dict[str, Any] = {"axis": axis} if s.ndim else {}
        names = [self.constant(f"{name}_s", s), self.constant(f"{name}_z", zero)]
        if self.chance(0.1):  # Folded when the file is read.
            self.nodes.append(
                helper.make_node(
                    "QuantizeLinear", [name, *names], [given], name=f"Q_{name}", **more
                )
            )
        else:
            del self.tensors[name]
            self.constant(given, codes)
        self.nodes.append(
            helper.make_node("DequantizeLinear", [given, *names], [made], name=f"DQ_{name}", **more)
        )
        return made

    def bias(self, name: str, node: NodeProto, x: str, w: str) -> str:
        """A bias as int32 at the scale of the product."""
        scale = self.tensors[self.maps[x][0]].astype(np.float64) * self.tensors[f"{w}_s"].astype(
            np.float64
        )
        s = np.asarray(scale.astype(np.float32))
        codes = np.rint(self.tensors.pop(name).astype(np.float64) / s).astype(np.int32)
        given = [self.constant(f"{name}_q", codes), self.constant(f"{name}_s", s)]
        if self.chance(0.5):
            given.append(self.constant(f"{name}_z", np.zeros(s.shape, np.int32)))
        made = f"{name}_d"
        more: dict[str, Any] = {"axis": 0} if s.ndim else {}
        self.nodes.append(
            helper.make_node(
                "DequantizeLinear",
                given,
                [made],
                name=f"DQ_{name}",
                **more,
            )
        )
        return made

    def measure(self) -> None:
        """Ranges of all values of the float network, at one batch."""
        net = self.net
        file = net.model(
            net.nodes, net.tensors, {v: v for v in net.shapes if v not in net.bytes_in}
        )
        session = qdq.unoptimized(file.SerializeToString())
        names = [o.name for o in session.get_outputs()]
        feeds = net.feeds(2, 99)
        values = dict(zip(names, session.run(None, feeds), strict=True)) | feeds
        self.ranges = {k: (float(v.min()), float(v.max())) for k, v in values.items()}

    def moved_codes(self, n: NodeProto) -> bool:
        """Moves codes instead of reals, if all inputs have the same map."""
        data = list(n.input) if n.op_type == "Concat" else [n.input[0]]
        if (
            n.op_type not in MOVING
            or not all(v in self.codes for v in data)
            or not self.chance(0.25)
        ):
            return False
        if len({self.maps[v] for v in data}) > 1:
            return False
        copy = NodeProto()
        copy.CopyFrom(n)
        for i, v in enumerate(data):
            copy.input[i] = self.codes[v]
        for i, v in enumerate(n.output):
            self.codes[v], self.maps[v] = f"{v}_q", self.maps[data[0]]
            copy.output[i] = self.codes[v]
        self.nodes.append(copy)
        return True

    def feeds(self, batch: int, seed: int = 0) -> Feeds:
        made = self.net.feeds(batch, seed)
        rng = np.random.default_rng((self.net.seed, batch, seed, 1))
        for name, kind in self.coded_inputs.items():
            limits = np.iinfo(kind)
            made[name] = rng.integers(limits.min, limits.max + 1, made[name].shape).astype(kind)
            if rng.random() < 0.2:
                made[name] = rng.choice(np.array([limits.min, limits.max], kind), made[name].shape)
        return made

    def model(self) -> ModelProto:
        net = self.net
        for name, is_bytes in net.bytes_in.items():
            if is_bytes or not self.chance(self.density):
                continue
            if self.chance(0.25):
                self.maps[name], self.codes[name] = self.map_of(name, []), name
                self.coded_inputs[name] = self.tensors[self.maps[name][1]].dtype
            else:
                self.quantize(name, [])
        for n in net.nodes:
            if self.moved_codes(n):
                continue
            copy = NodeProto()
            copy.CopyFrom(n)
            for i, v in enumerate(n.input):
                if v in net.weights and self.chance(0.97):
                    copy.input[i] = self.weight(v, n)
                elif (
                    v in net.biases
                    and i == 2
                    and n.input[0] in self.codes
                    and f"{n.input[1]}_s" in self.tensors
                    and self.chance(0.7)
                ):
                    copy.input[i] = self.bias(v, n, n.input[0], n.input[1])
                elif v:
                    copy.input[i] = self.reals(v)
            self.nodes.append(copy)
            for v in n.output:
                if self.wants_codes(v):
                    data = (
                        [d for d in n.input if d in self.maps]
                        if n.op_type in (*MOVING, "Resize", "AveragePool", "Relu", "Max", "Clip")
                        else []
                    )
                    self.quantize(v, data)
        outputs: dict[str, str] = {}
        coded: dict[str, int] = {
            n: helper.np_dtype_to_tensor_dtype(t) for n, t in self.coded_inputs.items()
        }
        for v in net.outputs:
            if v in self.codes and self.chance(0.5):
                zero = self.tensors[self.maps[v][1]].dtype
                outputs[self.codes[v]] = v
                coded[self.codes[v]] = helper.np_dtype_to_tensor_dtype(zero)
            else:
                outputs[self.reals(v)] = v
        used = {v for n in self.nodes for v in n.input}
        return net.model(
            self.nodes,
            {k: v for k, v in self.tensors.items() if k in used},
            outputs,
            coded,
        )
