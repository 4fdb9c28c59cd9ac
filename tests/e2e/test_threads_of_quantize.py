"""A quantized file does not depend on the number of threads, also where sizes vary between samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zoo
from onnx import TensorProto, helper, numpy_helper, save


def test_samples_of_varying_sizes(tmp_path: Path) -> None:
    """Channels behind a Transpose, and a join along the axis that varies; the first sample is empty."""
    rng = np.random.default_rng(0)
    tensors = {"w": (16, 24), "b": (24,), "v": (24, 32)}
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["t", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["s"]),
        helper.make_node("Concat", ["a", "s"], ["c"], axis=1),
        helper.make_node("MatMul", ["c", "v"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "varying",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 16, "s"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "m", 32])],
        [
            numpy_helper.from_array(rng.normal(size=s).astype(np.float32), k)
            for k, s in tensors.items()
        ],
    )
    model = tmp_path / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), model)
    data = tmp_path / "data"
    data.mkdir()
    for i in range(13):
        shape = (min(i, 1), 16, 5 + 7 * i % 4)
        np.savez(data / f"{i:03}.npz", x=rng.normal(size=shape).astype(np.float32) * (1 + i % 3))
    files = []
    for threads in (1, 2, 3):
        out = tmp_path / f"{threads}.onnx"
        zoo.intact("quantize", model, "--data", data, "-o", out, "--threads", threads)
        files.append(out.read_bytes())
    assert files[0] == files[1] == files[2]
