"""The steps that random networks are made of: each adds operators behind a value and returns another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from growing_graph import GrowingGraph
from onnx import helper

CHANNELS = (1, 2, 3, 4, 5, 8, 12, 16, 17, 20, 24, 32, 33, 48)


class Steps(GrowingGraph):
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
