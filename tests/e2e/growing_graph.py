"""A float graph that grows at random: what is drawn of a seed, and what it has so far."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import NodeProto, helper


class Drawing:
    """Choices that are a function of a seed."""

    def __init__(self, seed: Any) -> None:
        self.rng = np.random.default_rng(seed)

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def one_of(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def some(self, low: int, high: int) -> int:
        """An integer of [low, high]."""
        return int(self.rng.integers(low, high + 1))


class GrowingGraph(Drawing):
    """Shapes are without the batch."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.seed = seed
        self.opset = self.one_of((13, 14, 17, 17, 18, 20))
        self.nodes: list[NodeProto] = []
        self.tensors: dict[str, np.ndarray] = {}
        self.weights: set[str] = set()  # Constants that may become codes.
        self.biases: set[str] = set()
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.bytes_in: dict[str, bool] = {}  # Inputs; whether they are bytes.
        self.large = self.chance(0.1)

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
