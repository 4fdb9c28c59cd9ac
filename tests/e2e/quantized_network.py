"""A random float network with Q and DQ nodes.

Ranges of the float network's values come from ONNX Runtime; then each value becomes codes or stays float, at
random. So the float network and the quantized one are the same network.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import qdq
from growing_graph import Drawing
from networks import Feeds, Network
from onnx import ModelProto, NodeProto, helper

# Operators that only move values, which may also stand between codes.
MOVING = ("Reshape", "Transpose", "Slice", "Concat", "Split", "MaxPool", "Flatten")


class Quantized(Drawing):
    """The network with Q and DQ nodes."""

    def __init__(self, net: Network) -> None:
        super().__init__((net.seed, 1))
        self.net = net
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
