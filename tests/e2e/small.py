"""Small models and samples for tests of the command line, which need no zoo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SHAPE = (3, 12, 12)


def network(classes: int = 4, bad: str | None = None) -> Any:
    """Two convolutions, a pool and a Gemm: x [n,3,12,12] -> y [n,classes]. `bad` breaks it."""
    rng = np.random.default_rng(3)
    tensors = {
        "w1": rng.normal(0, 0.3, (8, 3, 3, 3)),
        "w2": rng.normal(0, 0.2, (16, 8, 3, 3)),
        "w3": rng.normal(0, 0.4, (classes, 16)),
        "b3": rng.normal(0, 0.1, classes),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], name="conv2"),
        helper.make_node("Relu", ["c2"], ["r2"], name="relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["y"], name="fc", transB=1),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *SHAPE])]
    initializers = [numpy_helper.from_array(t.astype(np.float32), n) for n, t in tensors.items()]
    if bad == "cycle":
        nodes[1].input[0] = "r2"
    if bad == "types":
        nodes.insert(1, helper.make_node("Add", ["c1", "number"], ["c1n"], name="mixed"))
        nodes[2].input[0] = "c1n"
        initializers.append(numpy_helper.from_array(np.array([1], np.int64), "number"))
    if bad == "unknown":
        nodes[1] = helper.make_node("Sparkle", ["c1"], ["r1"], name="relu1", domain="org.example")
    if bad == "negative":
        initializers[0].dims[0] = -8
    if bad == "huge":
        initializers[0].dims[0] = 1 << 50
    if bad == "overflow":
        initializers[0].dims[:] = [1 << 40, 1 << 40, 3, 3]
    if bad in ("missing", "outside"):
        where = "weights.bin" if bad == "missing" else "../../weights.bin"
        initializers[1].ClearField("raw_data")
        initializers[1].data_location = TensorProto.EXTERNAL
        entry = initializers[1].external_data.add()
        entry.key, entry.value = "location", where
    graph = helper.make_graph(
        nodes,
        "small",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", classes])],
        initializers,
    )
    opsets = [helper.make_opsetid("", 17)]
    if bad == "unknown":
        opsets.append(helper.make_opsetid("org.example", 1))
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    return model


def save(where: Path, bad: str | None = None) -> Path:
    """Writes the network as where/m.onnx."""
    path = where / "m.onnx"
    path.write_bytes(network(bad=bad).SerializeToString())
    return path


def samples(count: int, seed: int = 1) -> np.ndarray:
    """Samples of the network, [count, 3, 12, 12]."""
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(np.float32)


def labels(model: Path, x: np.ndarray) -> np.ndarray:
    """What ONNX Runtime says the classes are."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0]).argmax(1)


__all__ = ["SHAPE", "labels", "network", "samples", "save"]
