"""Random small float networks, each a function of its seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from drawn_steps import CHANNELS, Steps
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Feeds = dict[str, np.ndarray]


class Network(Steps):
    """The float graph. Shapes are without the batch."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        for i in range(self.one_of((1, 1, 1, 2))):
            self.draw_input(f"x{i}")
        for _ in range(int(self.rng.integers(2, 12))):
            self.draw_step()
        used = {v for n in self.nodes for v in n.input}
        values = [v for v in self.shapes if v not in self.bytes_in]
        self.outputs = [v for v in values if v not in used]
        self.outputs += [v for v in values if v in used and self.chance(0.08)]

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
