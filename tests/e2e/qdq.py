"""A quantized file, read without the help of our own library: what is integer in it, and what it should compute."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

MACS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
# The rounding of one float32 operation, relative.
EPS = 2.0**-24


class Unsupported(Exception):
    """A region holds an operator that the reference does not know."""


class File:
    """The graph's values, constants and producers."""

    def __init__(self, path: Path | onnx.ModelProto) -> None:
        self.model = onnx.load(path) if isinstance(path, Path) else path
        graph = self.model.graph
        self.producer = {o: n for n in graph.node for o in n.output if o}
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        for n in graph.node:
            if n.op_type == "Constant" and n.attribute[0].name == "value":
                self.constants[n.output[0]] = numpy_helper.to_array(n.attribute[0].t)

    def is_dequantized(self, name: str) -> bool:
        """Whether a value is codes, dequantized."""
        return name in self.producer and self.producer[name].op_type == "DequantizeLinear"

    def element_type(self, name: str) -> int:
        """The element type of a value: codes keep that of their zero point through what only moves them."""
        for v in [*self.model.graph.input, *self.model.graph.value_info]:
            if v.name == name and v.type.tensor_type.elem_type:
                return int(v.type.tensor_type.elem_type)
        node = self.producer.get(name)
        if node is not None and node.op_type == "QuantizeLinear":
            dtype = self.constants[node.input[2]].dtype if len(node.input) > 2 else np.uint8
            return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
        if node is not None and node.op_type == "Shape":
            return int(onnx.TensorProto.INT64)
        if name in self.constants:
            return int(onnx.helper.np_dtype_to_tensor_dtype(self.constants[name].dtype))
        if node is not None and node.op_type in (
            "MaxPool",
            "Reshape",
            "Transpose",
            "Flatten",
            "Slice",
            "Split",
            "Concat",
            "Gather",
            "Unsqueeze",
        ):
            return self.element_type(node.input[0])
        return int(onnx.TensorProto.FLOAT)

    def with_outputs(self, names: list[str]) -> bytes:
        """The model with more values to look at as outputs."""
        copy = onnx.ModelProto()
        copy.CopyFrom(self.model)
        known = {o.name for o in copy.graph.output}
        for name in dict.fromkeys(names):
            if name in known or name in self.constants:
                continue
            kind = self.element_type(name)
            copy.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
        return copy.SerializeToString()


def attributes(node: onnx.NodeProto) -> dict[str, object]:
    """The attributes of a node as Python values."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def unoptimized(model: bytes | Path) -> onnxruntime.InferenceSession:
    """ONNX Runtime as the standard reads a file, node by node."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    data = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def integer_share(path: Path, feeds: dict[str, np.ndarray]) -> float:
    """The share of multiply-adds, at these feeds, in products of two dequantized values."""
    file = File(path)
    nodes = [n for n in file.model.graph.node if n.op_type in MACS]
    wanted = [v for n in nodes for v in (n.output[0], n.input[0], n.input[1])]
    session = unoptimized(file.with_outputs(wanted))
    names = [o.name for o in session.get_outputs()]
    shapes = {k: v.shape for k, v in zip(names, session.run(None, feeds), strict=True)}
    shapes |= {k: v.shape for k, v in file.constants.items()} | {
        k: v.shape for k, v in feeds.items()
    }
    integer = total = 0
    for n in nodes:
        x, w, y = shapes[n.input[0]], shapes[n.input[1]], shapes[n.output[0]]
        if n.op_type == "Conv":
            macs = int(np.prod(y)) * int(np.prod(w[1:]))
        elif n.op_type == "ConvTranspose":
            macs = int(np.prod(x)) * int(np.prod(w[1:]))
        else:
            macs = int(np.prod(y)) * (x[0] if attributes(n).get("transA") else x[-1])
        total += macs
        integer += macs * all(file.is_dequantized(v) for v in n.input[:2])
    return integer / total


# Operators that one step computes together with the product before them.
FUSED = (
    "Relu",
    "LeakyRelu",
    "Clip",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Erf",
    "Tanh",
    "Add",
    "Sub",
    "Mul",
    "Div",
)


def borders(file: File) -> int:
    """How often the file changes between codes and float: where a Q reads what no product and no operator
    fused with one made, and where other operators than products read codes as float."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for n in file.model.graph.node:
        for v in n.input:
            readers.setdefault(v, []).append(n)

    def made_by_product(name: str, seen: set[str]) -> bool:
        node = file.producer.get(name)
        if node is None or name in seen:
            return False
        seen.add(name)
        if node.op_type in MACS:
            return all(file.is_dequantized(v) for v in node.input[:2])
        return node.op_type in FUSED and any(made_by_product(v, seen) for v in node.input)

    count = 0
    for n in file.model.graph.node:
        if n.op_type == "QuantizeLinear":
            count += not made_by_product(n.input[0], set())
        if n.op_type == "DequantizeLinear" and n.input[0] not in file.constants:
            inside = [r.op_type in MACS for r in readers.get(n.output[0], [])]
            count += not inside or not all(inside)
    return count


def windows(x: np.ndarray, kernel: list[int], a: dict[str, object]) -> np.ndarray:
    """(N, C, H', W', kh, kw): the windows of a padded image; a row of length one for 1-D signals."""
    strides, dilations = list(a.get("strides", [1, 1])), list(a.get("dilations", [1, 1]))  # type: ignore[call-overload]
    pads = list(a.get("pads", [0, 0, 0, 0]))  # type: ignore[call-overload]
    if a.get("auto_pad", b"NOTSET") != b"NOTSET" or a.get("ceil_mode", 0) or x.ndim != 4:
        raise Unsupported("a window with auto_pad, ceil_mode or another rank")
    x = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    v = np.lib.stride_tricks.sliding_window_view(x, spans, axis=(2, 3))
    return v[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]


def conv(x: np.ndarray, w: np.ndarray, a: dict[str, object]) -> np.ndarray:
    """The sums of a convolution, in the type of x and w: exact for integers, and for float64 that hold integers."""
    groups = int(a.get("group", 1))  # type: ignore[call-overload]
    v = windows(x, list(w.shape[2:]), a)
    n, c, oh, ow = v.shape[:4]
    v = v.reshape(n, groups, c // groups, oh, ow, *w.shape[2:])
    k = v.transpose(1, 0, 3, 4, 2, 5, 6).reshape(groups, n * oh * ow, -1)
    m = w.reshape(groups, w.shape[0] // groups, -1).transpose(0, 2, 1)
    y = np.matmul(k, m).reshape(groups, n, oh, ow, -1)
    return y.transpose(1, 0, 4, 2, 3).reshape(n, w.shape[0], oh, ow)


def conv_transposed(x: np.ndarray, w: np.ndarray, a: dict[str, object]) -> np.ndarray:
    """The sums of a ConvTranspose: a convolution of the image with zeros between its pixels."""
    if (
        a.get("group", 1) != 1
        or a.get("auto_pad", b"NOTSET") != b"NOTSET"
        or any(a.get("output_padding", []))  # type: ignore[arg-type]
        or "output_shape" in a
        or x.ndim != 4
    ):
        raise Unsupported("ConvTranspose with groups, chosen outputs or another rank")
    strides, dilations = list(a.get("strides", [1, 1])), list(a.get("dilations", [1, 1]))  # type: ignore[call-overload]
    pads = list(a.get("pads", [0, 0, 0, 0]))  # type: ignore[call-overload]
    n, c, h, v = x.shape
    wide = np.zeros((n, c, (h - 1) * strides[0] + 1, (v - 1) * strides[1] + 1))
    wide[:, :, :: strides[0], :: strides[1]] = x
    around = [(w.shape[2 + i % 2] - 1) * dilations[i % 2] - pads[i] for i in range(4)]
    if min(around) < 0:
        raise Unsupported("ConvTranspose that cuts off its own kernel")
    flipped = w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    return conv(wide, flipped, {"pads": around, "dilations": dilations})


def erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def resize_weights(size: int, scale: float, a: dict[str, object]) -> np.ndarray:
    """The matrix [out, size] of a Resize along one axis."""
    mode = a.get("mode", b"nearest")
    kind = a.get("coordinate_transformation_mode", b"half_pixel")
    out = math.floor(size * scale)
    i = np.arange(out, dtype=np.float64)
    if kind in (b"half_pixel", b"pytorch_half_pixel"):
        at = (i + 0.5) / scale - 0.5
        if kind == b"pytorch_half_pixel" and out == 1:
            at = np.zeros(1)
    elif kind == b"asymmetric":
        at = i / scale
    elif kind == b"align_corners":
        at = i * (size - 1) / max(out - 1, 1)
    else:
        raise Unsupported(f"Resize with {kind!r}")
    m = np.zeros((out, size))
    if mode == b"nearest":
        rules = {
            b"floor": np.floor,
            b"ceil": np.ceil,
            b"round_prefer_floor": lambda t: np.ceil(t - 0.5),
            b"round_prefer_ceil": lambda t: np.floor(t + 0.5),
        }
        chosen = rules[a.get("nearest_mode", b"round_prefer_floor")](at)  # type: ignore[index]
        m[np.arange(out), np.clip(chosen, 0, size - 1).astype(int)] = 1
        return m
    if mode != b"linear":
        raise Unsupported(f"Resize with {mode!r}")
    at = np.clip(at, 0, size - 1)
    low = np.floor(at).astype(int)
    np.add.at(m, (np.arange(out), low), 1 - (at - low))
    np.add.at(m, (np.arange(out), np.minimum(low + 1, size - 1)), at - low)
    return m


class Region:
    """What stands between dequantized codes and one QuantizeLinear, evaluated in float64.

    Every value carries a bound of what a float32 evaluation may be off: an integer accumulator is exact,
    its conversion to float, the multiplication and the addition of (6) round once each, and each float
    operation after it rounds once and passes on the errors of its operands by its derivative. Functions
    (exp, tanh) are allowed 4 units in the last place.
    """

    def __init__(self, file: File, q: onnx.NodeProto) -> None:
        self.file, self.q = file, q
        self.leaves: list[str] = []
        self.codes: set[str] = set()
        self.shapes: list[str] = []  # Computed numbers that say how values move.
        self.values: dict[str, np.ndarray] = {}
        self.nodes: list[onnx.NodeProto] = []
        self._walk(q.input[0], set())

    def _walk(self, name: str, seen: set[str]) -> None:
        if name in seen or name in self.file.constants or not name:
            return
        seen.add(name)
        node = self.file.producer.get(name)
        if node is None or node.op_type == "DequantizeLinear":
            leaf = name if node is None else node.input[0]
            if leaf not in self.file.constants:
                self.leaves.append(leaf)
                if node is not None:
                    self.codes.add(leaf)
            return
        moved = node.input[:1] if node.op_type == "Reshape" else node.input
        for value in moved:
            self._walk(value, seen)
        self.shapes += [v for v in node.input[len(moved) :] if v not in self.file.constants]
        self.nodes.append(node)

    @property
    def is_integer(self) -> bool:
        """Whether it multiplies codes with codes and touches no value that is not codes."""
        products = [n for n in self.nodes if n.op_type in MACS]
        return (
            bool(products)
            and all(self.file.is_dequantized(v) for n in products for v in n.input[:2])
            and all(leaf in self.codes for leaf in self.leaves)
        )

    @property
    def is_exact(self) -> bool:
        """Whether it reads codes and inputs of the model only, and multiplies codes only."""
        given = {i.name for i in self.file.model.graph.input}
        products = [n for n in self.nodes if n.op_type in MACS]
        return all(leaf in self.codes or leaf in given for leaf in self.leaves) and all(
            self.file.is_dequantized(v) for n in products for v in n.input[:2]
        )

    @property
    def is_direct(self) -> bool:
        """Whether only Relu and Clip stand between one accumulator and the Q: equation (6)."""
        kinds = [n.op_type for n in self.nodes]
        biases = [
            n.input[2] for n in self.nodes if n.op_type in ("Conv", "Gemm") and len(n.input) > 2
        ]
        return (
            sum(k in MACS for k in kinds) == 1
            and all(k in (*MACS, "Relu", "Clip") for k in kinds)
            and all(self.file.is_dequantized(b) for b in biases)
        )

    def unexplained(self, values: dict[str, np.ndarray]) -> tuple[int, int]:
        """Compares the output codes with the exact ones. Returns (how many are wrong, how many there are)."""
        self.values = {v: values[v] for v in self.shapes if v in values}
        codes = values[self.q.output[0]]
        real, error = self._evaluate(values)
        scale = self._constant(self.q.input[1]).astype(np.float64)
        zero = np.int64(0)
        if len(self.q.input) > 2:
            zero = self._constant(self.q.input[2]).astype(np.int64)
        limits = np.iinfo(codes.dtype)
        if scale.size > 1:
            raise Unsupported("per-channel activations")
        t = real / scale.reshape(())
        z = int(zero.reshape(()))
        expected = np.clip(np.rint(t) + z, limits.min, limits.max)
        wrong = codes.astype(np.int64) != expected
        # The division by the scale rounds once more. An accumulator's own error is within 2^-14 codes.
        near = np.full_like(t, 2.0**-14)
        if not self.is_direct:
            near = np.maximum(near, error / float(scale.reshape(())) + np.abs(t) * EPS)
        low, high = np.rint(t - near) + z, np.rint(t + near) + z
        fits = (codes >= np.clip(low, limits.min, limits.max)) & (
            codes <= np.clip(high, limits.min, limits.max)
        )
        return int((wrong & ~fits).sum()), int(codes.size)

    def _constant(self, name: str) -> np.ndarray:
        return self.file.constants[name]

    def _evaluate(self, values: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        known: dict[str, tuple[np.ndarray, np.ndarray]] = {}

        def codes(name: str) -> tuple[np.ndarray, np.ndarray]:
            """(codes minus zero point, scale shaped to multiply them), float64."""
            dq = self.file.producer[name]
            q = dq.input[0]
            x = (self.file.constants[q] if q in self.file.constants else values[q]).astype(
                np.float64
            )
            s = self._constant(dq.input[1]).astype(np.float64)
            z = self._constant(dq.input[2]).astype(np.float64) if len(dq.input) > 2 else np.zeros(1)
            if s.size > 1:
                axis = int(attributes(dq).get("axis", 1)) % x.ndim  # type: ignore[call-overload]
                shape = [-1 if i == axis else 1 for i in range(x.ndim)]
                s, z = s.reshape(shape), (z.reshape(shape) if z.size > 1 else z.reshape(()))
            else:
                s, z = s.reshape(()), z.reshape(())
            return x - z, s

        def get(name: str) -> tuple[np.ndarray, np.ndarray]:
            if name in known:
                return known[name]
            if self.file.is_dequantized(name):
                x, s = codes(name)
                value = x * s
                return value, np.abs(value) * EPS
            if name in self.file.constants:
                value = self.file.constants[name].astype(np.float64)
            else:
                value = values[name].astype(np.float64)
            return value, np.zeros_like(value)

        for n in self.nodes:
            if n.op_type == "Split":
                for name, part in zip(n.output, self._split(n, get), strict=True):
                    known[name] = part
                continue
            known[n.output[0]] = self._node(n, get, codes)
        return known[self.q.input[0]] if self.nodes else get(self.q.input[0])

    def _node(self, n: onnx.NodeProto, get, codes) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
        a, kind = attributes(n), n.op_type
        if kind in MACS:
            x, sx = codes(n.input[0])
            w, sw = codes(n.input[1])
            if sx.size > 1:
                raise Unsupported("per-channel activations")
            # Codes in float64: every product and partial sum is an integer below 2^53, so this is exact.
            if kind in ("Conv", "ConvTranspose"):
                sums = conv(x, w, a) if kind == "Conv" else conv_transposed(x, w, a)
                real = sums * (sx * sw.reshape(-1)).reshape(1, -1, 1, 1)
                bias_shape = (1, -1, 1, 1)
            else:
                if kind == "Gemm":
                    assert a.get("alpha", 1.0) == 1.0 and a.get("beta", 1.0) == 1.0
                    x, w = (x.T if a.get("transA") else x), (w.T if a.get("transB") else w)
                    sw = sw.T if sw.ndim == 2 and a.get("transB") else sw
                real, bias_shape = np.matmul(x, w) * (sx * sw), None
            error = 2 * np.abs(real)
            if len(n.input) > 2 and n.input[2]:
                bias = get(n.input[2])[0]
                bias = bias if bias_shape is None else bias.reshape(bias_shape)
                real = real + bias
                error = error + 2 * np.abs(bias) + np.abs(real)
            return real, error * EPS
        if kind == "Concat":
            axis = int(a["axis"])  # type: ignore[call-overload]
            parts = [get(v) for v in n.input]
            return (
                np.concatenate([v for v, _ in parts], axis),
                np.concatenate([np.broadcast_to(f, v.shape) for v, f in parts], axis),
            )
        x, e = get(n.input[0])
        if kind == "Relu":
            return np.maximum(x, 0), e
        if kind == "Clip":
            low = get(n.input[1])[0] if len(n.input) > 1 and n.input[1] else -np.inf
            high = get(n.input[2])[0] if len(n.input) > 2 and n.input[2] else np.inf
            return np.clip(x, low, high), e
        if kind in ("Add", "Sub"):
            y, f = get(n.input[1])
            v = x + y if kind == "Add" else x - y
            return v, e + f + np.abs(v) * EPS
        if kind == "Mul":
            y, f = get(n.input[1])
            v = x * y
            return v, np.abs(x) * f + np.abs(y) * e + e * f + np.abs(v) * EPS
        if kind == "Div":
            y, f = get(n.input[1])
            v = x / y
            return v, (e + np.abs(v) * f) / np.abs(y) + np.abs(v) * EPS
        if kind == "Erf":
            v = erf(x)
            slope = 2 / math.sqrt(math.pi) * np.exp(-np.square(np.maximum(np.abs(x) - e, 0)))
            return v, slope * e + 8 * EPS * np.abs(v)
        if kind == "Softmax":
            axis = int(a.get("axis", -1))  # type: ignore[call-overload]
            v = np.exp(x - x.max(axis, keepdims=True))
            v = v / v.sum(axis, keepdims=True)
            worst = np.broadcast_to(e, x.shape).max(axis, keepdims=True)
            return v, v * (2 * worst + (x.shape[axis] / 16 + 16) * EPS)
        if kind == "Resize":
            scales = self.file.constants.get(n.input[2]) if len(n.input) > 2 else None
            if scales is None or scales.size != x.ndim or np.any(scales[:2] != 1):
                raise Unsupported("Resize by computed scales, or of channels")
            bound = np.broadcast_to(e, x.shape) + 8 * EPS * np.abs(x)
            for axis in range(2, x.ndim):
                m = resize_weights(x.shape[axis], float(scales[axis]), a)
                x = np.moveaxis(np.tensordot(m, x, (1, axis)), 0, axis)
                bound = np.moveaxis(np.tensordot(m, bound, (1, axis)), 0, axis)
            return x, bound
        if kind == "Sigmoid":
            v = 1 / (1 + np.exp(-x))
            return v, v * (1 - v) * e + 8 * EPS * v
        if kind == "HardSigmoid":
            alpha, beta = float(a.get("alpha", 0.2)), float(a.get("beta", 0.5))  # type: ignore[arg-type]
            return np.clip(alpha * x + beta, 0, 1), alpha * e + EPS * (np.abs(alpha * x) + 1)
        if kind == "HardSwish":
            h = np.clip(x / 6 + 0.5, 0, 1)
            return x * h, e * 1.5 + 4 * EPS * (np.abs(x) + 1)
        if kind == "LeakyRelu":
            slope = float(a.get("alpha", 0.01))  # type: ignore[arg-type]
            return np.where(x < 0, slope * x, x), e + np.abs(x) * EPS
        if kind == "MaxPool":
            padded = {**a, "pads": [0, 0, 0, 0]}
            p = list(a.get("pads", [0, 0, 0, 0]))  # type: ignore[call-overload]
            around = ((0, 0), (0, 0), (p[0], p[2]), (p[1], p[3]))
            kernel = list(a["kernel_shape"])  # type: ignore[call-overload]
            high = np.pad(x, around, constant_values=-np.inf)
            v = windows(high, kernel, padded).max(axis=(4, 5))
            bound = windows(np.pad(e, around), kernel, padded).max(axis=(4, 5))
            return v, bound
        if kind in ("Slice", "Pad", "Reshape", "Transpose"):
            return self._moved(n, x), self._moved(n, np.broadcast_to(e, x.shape))
        if kind == "AveragePool":
            kernel = list(a["kernel_shape"])  # type: ignore[call-overload]
            count = windows(np.ones_like(x), kernel, a).sum(axis=(4, 5))
            if a.get("count_include_pad", 0):
                count = np.full_like(count, np.prod(kernel))
            # Sixteen lanes and a tree: a sum of n terms rounds at most n / 16 + 4 times, the quotient once.
            size = windows(np.abs(x), kernel, a).sum(axis=(4, 5)) / count
            bound = windows(np.broadcast_to(e, x.shape), kernel, a).sum(axis=(4, 5)) / count
            return windows(x, kernel, a).sum(axis=(4, 5)) / count, bound + size * EPS * (
                np.prod(kernel) / 16 + 6
            )
        if kind in ("GlobalAveragePool", "ReduceMean") and x.ndim == 4:
            if kind == "ReduceMean" and sorted(v % 4 for v in a.get("axes", [])) != [2, 3]:  # type: ignore[attr-defined]
                raise Unsupported(kind)
            keep = bool(a.get("keepdims", 1))
            count = x.shape[2] * x.shape[3]
            size = np.abs(x).mean(axis=(2, 3), keepdims=keep)
            bound = e.mean(axis=(2, 3), keepdims=keep) + size * EPS * (count / 16 + 6)
            return x.mean(axis=(2, 3), keepdims=keep), bound
        if kind == "Flatten":
            axis = int(a.get("axis", 1))  # type: ignore[call-overload]
            shape = (int(np.prod(x.shape[:axis])), -1)
            return x.reshape(shape), np.broadcast_to(e, x.shape).reshape(shape)
        raise Unsupported(kind)

    def _split(self, n: onnx.NodeProto, get) -> list[tuple[np.ndarray, np.ndarray]]:  # type: ignore[no-untyped-def]
        a = attributes(n)
        x, e = get(n.input[0])
        axis = int(a.get("axis", 0))  # type: ignore[call-overload]
        sizes = a.get("split")
        if len(n.input) > 1 and n.input[1]:
            sizes = self.file.constants.get(n.input[1])
            if sizes is None:
                raise Unsupported("Split by computed sizes")
        if sizes is None:
            sizes = [x.shape[axis] // len(n.output)] * len(n.output)
        cuts = np.cumsum(np.asarray(sizes))[:-1]
        bounds = np.split(np.broadcast_to(e, x.shape), cuts, axis)
        return list(zip(np.split(x, cuts, axis), bounds, strict=True))

    def _moved(self, n: onnx.NodeProto, x: np.ndarray) -> np.ndarray:
        """Operators that only move values, and pad with zeros."""
        known = self.file.constants | self.values
        given = [known.get(v) if v else None for v in n.input[1:]]
        if any(v is None and name for v, name in zip(given, n.input[1:], strict=True)):
            raise Unsupported(f"{n.op_type} by computed numbers")
        a = attributes(n)
        if n.op_type == "Transpose":
            return x.transpose(a.get("perm"))
        if n.op_type == "Reshape":
            shape = [x.shape[i] if d == 0 else int(d) for i, d in enumerate(given[0])]
            return x.reshape(shape)
        if n.op_type == "Pad":
            fill = given[1] if len(given) > 1 else None
            pads = given[0]
            if a.get("mode", b"constant") != b"constant" or (fill is not None and fill.any()):
                raise Unsupported("Pad with other than zeros")
            if (len(given) > 2 and given[2] is not None) or (pads < 0).any():
                raise Unsupported("Pad of some axes, or negative")
            half = len(pads) // 2
            return np.pad(x, [(int(pads[i]), int(pads[i + half])) for i in range(half)])
        starts, ends = given[0], given[1]
        axes = given[2] if len(given) > 2 and given[2] is not None else np.arange(len(starts))
        steps = given[3] if len(given) > 3 and given[3] is not None else np.ones_like(starts)
        cut = [slice(None)] * x.ndim
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            if step < 0:
                raise Unsupported("Slice backwards")
            cut[int(axis)] = slice(int(start), int(end), int(step))
        return x[tuple(cut)]
