"""Writes the real problems of a network, one a line: what benchmarks and tests of kernels read.

    python bench/shapes.py MODEL.onnx [--shape NAME=1x3x320x320]... >bench/shapes/NAME.txt

A line is an operation and its numbers, in the words of the kernels' headers; the last one is how often it
occurs. Shapes are those of a run in ONNX Runtime, so nothing is guessed:

    conv h=56 w=56 c=64 n=64 kh=3 kw=3 sh=1 sw=1 dh=1 dw=1 pt=1 pl=1 oh=56 ow=56 count=3
    dwconv h=112 w=112 c=32 kh=3 ... oh=112 ow=112 count=1
    gemm m=128 k=384 n=1536 count=6
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort


def observe(
    model: onnx.ModelProto, sizes: dict[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a run on zeros."""
    initial = {x.name for x in model.graph.initializer}
    names = sorted({o for n in model.graph.node for o in n.output if o})
    model.graph.ClearField("output")
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options)
    feeds = {}
    for x in session.get_inputs():
        if x.name in initial:
            continue
        shape = sizes.get(x.name) or tuple(d if isinstance(d, int) else 1 for d in x.shape)
        feeds[x.name] = np.zeros(shape, np.int64 if "int64" in x.type else np.float32)
    shapes = {n: np.shape(v) for n, v in zip(names, session.run(names, feeds), strict=True)}
    shapes.update({n: v.shape for n, v in feeds.items()})
    shapes.update({x.name: tuple(x.dims) for x in model.graph.initializer})
    return shapes


def problem(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> str | None:
    """The line of one node, without its count; None for what is no product."""
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Conv":
        x, w, y = (shapes[name] for name in (node.input[0], node.input[1], node.output[0]))
        group = given.get("group", 1)
        if len(x) != 4:
            return None
        stride, dilation = given.get("strides", [1, 1]), given.get("dilations", [1, 1])
        need = [
            (y[2 + i] - 1) * stride[i] + (w[2 + i] - 1) * dilation[i] + 1 - x[2 + i] for i in (0, 1)
        ]
        pad = given.get("pads", [0, 0, 0, 0])
        if given.get("auto_pad", b"NOTSET") == b"SAME_UPPER":
            pad = [max(0, n) // 2 for n in need]
        window = (
            f"kh={w[2]} kw={w[3]} sh={stride[0]} sw={stride[1]} dh={dilation[0]} dw={dilation[1]} "
            f"pt={pad[0]} pl={pad[1]} oh={y[2]} ow={y[3]}"
        )
        if group == x[1] and group == w[0] and group > 1:
            return f"dwconv h={x[2]} w={x[3]} c={x[1]} {window}"
        return f"conv h={x[2]} w={x[3]} c={x[1] // group} n={w[0] // group} {window}"
    if node.op_type in ("MatMul", "Gemm"):
        a, b = shapes[node.input[0]], shapes[node.input[1]]
        k, n = (b[1], b[0]) if given.get("transB", 0) else b[-2:]
        m = int(np.prod(a)) // k if len(b) == 2 else a[-2]
        return f"gemm m={m} k={k} n={n}"
    return None


def main() -> None:
    """Reads a model, prints its problems."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model")
    parser.add_argument("--shape", action="append", default=[], metavar="NAME=1x3x320x320")
    args = parser.parse_args()
    sizes = {}
    for item in args.shape:
        name, _, dims = item.rpartition("=")
        sizes[name] = tuple(int(d) for d in dims.split("x"))
    model = onnx.load(args.model)
    shapes = observe(model, sizes)
    lines = Counter(line for node in model.graph.node if (line := problem(node, shapes)))
    sys.stdout.writelines(f"{line} count={count}\n" for line, count in lines.items())


if __name__ == "__main__":
    main()
