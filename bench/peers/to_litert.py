"""ONNX to .tflite: ONNX Runtime simplifies, PyTorch carries, litert-torch converts, ai-edge-quantizer quantizes.

There is no converter from ONNX by LiteRT's own project; from PyTorch there is. ONNX Runtime's basic level
folds constants and shapes, so what is left of an image network is a handful of operators, each of which
is a line of PyTorch. A network with other operators is reported as missing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litert_torch
import numpy as np
import onnx
import onnxruntime as ort
import torch
import torch.nn.functional as fn
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.qtyping import TFLOperationName

Feeds = dict[str, np.ndarray]
Attributes = dict[str, Any]
SIGNATURE = "serving_default"


class UnsupportedError(Exception):
    pass


def simplified(path: Path, feeds: Feeds) -> onnx.ModelProto:
    """Constants and shapes folded for these inputs."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    fixed = onnx.load(path)
    for value in fixed.graph.input:
        for dim, size in zip(
            value.type.tensor_type.shape.dim, feeds.get(value.name, np.empty(0)).shape
        ):
            dim.dim_value = size
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "simplified.onnx")
        ort.InferenceSession(fixed.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def padded(x: torch.Tensor, pads: list[int], value: float = 0.0) -> torch.Tensor:
    """ONNX counts pads from the first axis, all begins before all ends."""
    half = len(pads) // 2
    pairs = [p for i in reversed(range(half)) for p in (pads[i], pads[half + i])]
    return fn.pad(x, pairs, value=value) if any(pairs) else x


def conv(
    a: Attributes, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None
) -> torch.Tensor:
    pads = a.get("pads", [0, 0, 0, 0])
    symmetric = pads[:2] == pads[2:]
    x = x if symmetric else padded(x, pads)
    return fn.conv2d(
        x,
        w,
        b,
        stride=a.get("strides", [1, 1]),
        padding=pads[:2] if symmetric else 0,
        dilation=a.get("dilations", [1, 1]),
        groups=a.get("group", 1),
    )


def gemm(a: Attributes, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return fn.linear(x, w if a.get("transB") else w.T, b)


def clip(a: Attributes, x: torch.Tensor, low: Any = None, high: Any = None) -> torch.Tensor:
    return torch.clamp(x, *(None if v is None else float(v) for v in (low, high)))


def max_pool(a: Attributes, x: torch.Tensor) -> torch.Tensor:
    x = padded(x, a.get("pads", [0] * 4), float("-inf"))
    return fn.max_pool2d(x, a["kernel_shape"], a["strides"], ceil_mode=bool(a.get("ceil_mode")))


def average_pool(a: Attributes, x: torch.Tensor) -> torch.Tensor:
    if any(a.get("pads", [])):
        raise UnsupportedError("no conversion of AveragePool with pads")
    return fn.avg_pool2d(x, a["kernel_shape"], a.get("strides", a["kernel_shape"]))


OPERATORS: dict[str, Callable[..., torch.Tensor]] = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": average_pool,
    "Clip": clip,
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "Conv": conv,
    "Flatten": lambda a, x: torch.flatten(x, a.get("axis", 1)),
    "Gemm": gemm,
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "MatMul": lambda a, x, y: x @ y,
    "MaxPool": max_pool,
    "Pad": lambda a, x, pads, value=0: padded(x, [int(p) for p in pads], float(value)),
    "Relu": lambda a, x: fn.relu(x),
    "ReduceMean": lambda a, x, axes=None: x.mean(
        tuple(a.get("axes") or [int(i) for i in axes]), keepdim=bool(a.get("keepdims", 1))
    ),
    "Reshape": lambda a, x, shape: x.reshape([int(n) for n in shape]),
    "Softmax": lambda a, x: torch.softmax(x, a.get("axis", -1)),
    "Squeeze": lambda a, x, axes: x.squeeze(tuple(int(i) for i in axes)),
}


class Network(torch.nn.Module):
    """Interprets the nodes of a simplified model of one input."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        super().__init__()
        unknown = sorted({n.op_type for n in graph.node} - set(OPERATORS) - {"Constant", "Slice"})
        if unknown:
            raise UnsupportedError(f"no conversion of {', '.join(unknown)}")
        self.graph = graph
        self.constants = {w.name: self.constant(w) for w in graph.initializer}

    @staticmethod
    def constant(tensor: onnx.TensorProto) -> Any:
        values = onnx.numpy_helper.to_array(tensor)
        # Integers say how to reshape, pad or slice: Python numbers, known when the network is traced.
        return torch.from_numpy(values.copy()) if values.dtype.kind == "f" else values.tolist()

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        known = {**self.constants, "": None, self.graph.input[0].name: image}
        for node in self.graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                known[node.output[0]] = self.constant(attributes["value"])
                continue
            inputs = [known[name] for name in node.input]
            run = sliced if node.op_type == "Slice" else OPERATORS[node.op_type]
            known[node.output[0]] = run(attributes, *inputs)
        return tuple(known[o.name] for o in self.graph.output)


def sliced(
    a: Attributes,
    x: torch.Tensor,
    starts: list[int],
    ends: list[int],
    axes: list[int],
    steps: list[int],
) -> torch.Tensor:
    where = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps):
        where[axis] = slice(start, min(end, x.shape[axis]), step)
    return x[tuple(where)]


def convert(path: Path, feeds: Feeds, out: Path) -> None:
    """Images come in channels last, as LiteRT wants them."""
    if len(feeds) != 1:
        raise UnsupportedError("no conversion of networks with several inputs")
    (image,) = feeds.values()
    if image.ndim != 4:
        raise UnsupportedError("no conversion of networks without an image")
    network = litert_torch.to_channel_last_io(
        Network(simplified(path, feeds).graph), args=[0]
    ).eval()
    sample = (torch.from_numpy(image.transpose(0, 2, 3, 1).copy()),)
    litert_torch.convert(network, sample).export(str(out))


def quantize(path: Path, samples: list[Feeds], out: Path) -> None:
    """Static int8: asymmetric activations, symmetric weights per channel; float input and output."""
    made = quantizer.Quantizer(str(path), recipe.static_wi8_ai8())
    for border in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        made.update_quantization_recipe(".*", border, algorithm_key=AlgorithmName.NO_QUANTIZE)
    interpreter = Interpreter(str(path))
    name = next(iter(interpreter.get_signature_runner(SIGNATURE).get_input_details()))
    images = [{name: next(iter(s.values())).transpose(0, 2, 3, 1).copy()} for s in samples]
    ranges = made.calibrate({SIGNATURE: images})
    made.quantize(ranges).export_model(str(out), overwrite=True)
