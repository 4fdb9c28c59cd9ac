"""InferenceSession against ONNX Runtime: the same calls, the same answers, the same kinds of refusal."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import intact


def conv_model() -> Any:
    rng = np.random.default_rng(7)
    weights = rng.normal(size=(8, 3, 3, 3)).astype(np.float32)
    bias = rng.normal(size=8).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"], name="relu"),
            helper.make_node("GlobalAveragePool", ["r"], ["y"], name="pool"),
        ],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "h", "w"])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8, 1, 1]),
            helper.make_tensor_value_info("r", TensorProto.FLOAT, ["batch", 8, "h", "w"]),
        ],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="tests"
    )
    model.ir_version = 8
    helper.set_model_props(model, {"key": "value"})
    return model


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    data = conv_model().SerializeToString()
    return intact.InferenceSession(data), onnxruntime.InferenceSession(
        data, providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (3, 3, 5, 7), (2, 3, 1, 1)])
def test_answers_are_those_of_onnxruntime(pair: tuple[Any, Any], shape: tuple[int, ...]) -> None:
    ours, theirs = pair
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    for a, b in zip(ours.run(None, {"x": x}), theirs.run(None, {"x": x}), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        # A sum of 27 products in another order: 27 eps of the largest term, with room for the pool.
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


def test_describes_the_model_as_onnxruntime_does(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    for a, b in zip(
        ours.get_inputs() + ours.get_outputs(),
        theirs.get_inputs() + theirs.get_outputs(),
        strict=True,
    ):
        assert (a.name, a.type, a.shape) == (b.name, b.type, b.shape)
    assert ours.get_providers() == theirs.get_providers()
    assert ours.get_modelmeta().custom_metadata_map == theirs.get_modelmeta().custom_metadata_map
    assert ours.get_modelmeta().producer_name == theirs.get_modelmeta().producer_name
    assert ours.get_modelmeta().graph_name == theirs.get_modelmeta().graph_name


def test_returns_the_outputs_asked_for(pair: tuple[Any, Any]) -> None:
    ours, _ = pair
    x = np.ones((1, 3, 4, 4), np.float32)
    r, y = ours.run(["r", "y"], {"x": x})
    assert r.shape == (1, 8, 4, 4) and y.shape == (1, 8, 1, 1)
    with pytest.raises(ValueError, match="no output 'z'"):
        ours.run(["z"], {"x": x})


def test_takes_views_that_are_not_contiguous(pair: tuple[Any, Any]) -> None:
    ours, _ = pair
    x = np.random.default_rng(2).normal(size=(1, 4, 6, 3)).astype(np.float32)
    view = x.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(
        ours.run(None, {"x": view})[0], ours.run(None, {"x": view.copy()})[0]
    )


@pytest.mark.parametrize(
    ("feeds", "says"),
    [
        ({}, "input 'x' is missing"),
        ({"x": np.ones((1, 3, 4, 4), np.float64)}, "is float64; the model expects float32"),
        ({"x": np.ones((1, 4, 4, 4), np.float32)}, "has shape"),
        ({"x": np.ones((3, 4, 4), np.float32)}, "has shape"),
        ({"x": np.ones((1, 3, 4, 4), np.float32), "u": np.ones(1)}, "no input 'u'"),
    ],
)
def test_refuses_wrong_feeds_by_name(
    pair: tuple[Any, Any], feeds: dict[str, Any], says: str
) -> None:
    ours, _ = pair
    with pytest.raises(ValueError, match=says):
        ours.run(None, feeds)


def test_opens_paths_bytes_and_protos(tmp_path: Path) -> None:
    model = conv_model()
    onnx.save(model, tmp_path / "m.onnx")
    x = {"x": np.ones((1, 3, 4, 4), np.float32)}
    results = [
        intact.InferenceSession(source).run(None, x)[0]
        for source in (
            str(tmp_path / "m.onnx"),
            tmp_path / "m.onnx",
            model.SerializeToString(),
            model,
        )
    ]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_bad_files_are_errors_of_the_right_kind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"nowhere\.onnx"):
        intact.InferenceSession(str(tmp_path / "nowhere.onnx"))
    with pytest.raises(ValueError):
        intact.InferenceSession(b"this is no model")


def test_results_do_not_depend_on_threads() -> None:
    data = conv_model().SerializeToString()
    x = {"x": np.random.default_rng(3).normal(size=(2, 3, 33, 31)).astype(np.float32)}
    results = []
    for threads in (1, 2, 3):
        options = intact.SessionOptions()
        options.intra_op_num_threads = threads
        results.append(intact.InferenceSession(data, options).run(None, x))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", ["int4", "datetime64[s]", "S3", "object"])
def test_arrays_of_other_types_get_a_sentence(pair: tuple[Any, Any], name: str) -> None:
    ours, _ = pair
    dtype = pytest.importorskip("ml_dtypes").int4 if name == "int4" else np.dtype(name)
    with pytest.raises(ValueError, match=r"input 'x': an array of .* is not read; give one of"):
        ours.run(None, {"x": np.zeros((1, 3, 4, 4), dtype)})


def long_model(layers: int) -> bytes:
    """A chain of large products by the input itself."""
    n = 2048
    nodes = [
        helper.make_node("MatMul", [f"x{i}", "x0"], [f"x{i + 1}"], name=f"product{i}")
        for i in range(layers)
    ]
    graph = helper.make_graph(
        nodes,
        "long",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, [n, n])],
        [helper.make_tensor_value_info(f"x{layers}", TensorProto.FLOAT, [n, n])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_control_c_ends_a_run_between_steps() -> None:
    options = intact.SessionOptions()
    options.intra_op_num_threads = 1
    layers = 400  # Half a minute or more of one core.
    session = intact.InferenceSession(long_model(layers), options)
    x = np.zeros((2048, 2048), np.float32)
    begin = time.process_time()
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    # Whoever runs the tests in the background may have had the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            session.run(None, {"x0": x})
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.process_time() - begin < 8


def test_a_handler_that_goes_on_does_not_lose_the_run() -> None:
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        session = intact.InferenceSession(long_model(12))
        x = np.eye(2048, dtype=np.float32)
        timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
        timer.start()
        y = session.run(None, {"x0": x})[0]
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen
    np.testing.assert_array_equal(y, x)
