"""intact.quantize on a small model: a valid file, close to the float model in ONNX Runtime too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import intact

Array = npt.NDArray[np.float32]


def two_layers() -> Any:
    rng = np.random.default_rng(5)
    tensors = {
        "w1": rng.normal(0, 0.2, (16, 3, 3, 3)),
        "b1": rng.normal(0, 0.1, 16),
        "w2": rng.normal(0, 0.2, (10, 16, 1, 1)),
        "b2": rng.normal(0, 0.1, 10),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
            helper.make_node("Conv", ["r1", "w2", "b2"], ["y"], name="conv2"),
        ],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10, 16, 16])],
        [numpy_helper.from_array(t.astype(np.float32), n) for n, t in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def samples(seed: int, count: int) -> list[dict[str, Array]]:
    rng = np.random.default_rng(seed)
    return [{"x": rng.normal(size=(1, 3, 16, 16)).astype(np.float32)} for _ in range(count)]


def sqnr_db(reference: Array, other: Array) -> float:
    noise = ((reference.astype(np.float64) - other) ** 2).sum()
    return float(10 * np.log10((reference.astype(np.float64) ** 2).sum() / noise))


def test_the_file_is_valid_and_close_in_two_engines(tmp_path: Path) -> None:
    model = two_layers()
    result = intact.quantize(model, samples(1, 20), out=tmp_path / "q.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "q.onnx"), full_check=True)
    assert result.integer_share == 1.0
    assert all(node.integer for node in result.nodes)
    x = samples(2, 1)[0]
    providers = ["CPUExecutionProvider"]
    exact = onnxruntime.InferenceSession(model.SerializeToString(), providers=providers).run(
        None, x
    )[0]
    ours = intact.InferenceSession(tmp_path / "q.onnx").run(None, x)[0]
    theirs = onnxruntime.InferenceSession(str(tmp_path / "q.onnx"), providers=providers).run(
        None, x
    )[0]
    # 8 bits over about +-4 standard deviations leave 30 dB; two layers, half of it to spare.
    assert sqnr_db(exact, ours) > 25
    assert sqnr_db(ours, theirs) > 35


def test_the_same_inputs_give_the_same_bytes_for_any_number_of_threads() -> None:
    model = two_layers().SerializeToString()
    files = {intact.quantize(model, samples(1, 12), threads=threads).model for threads in (1, 2)}
    assert len(files) == 1


def test_takes_generators_and_passes_their_exceptions_on() -> None:
    def good() -> Iterator[dict[str, Array]]:
        yield from samples(1, 6)

    def bad() -> Iterator[dict[str, Array]]:
        yield samples(1, 1)[0]
        raise RuntimeError("the camera is unplugged")

    class Restartable:
        def __iter__(self) -> Iterator[dict[str, Array]]:
            return bad()

    assert intact.quantize(two_layers(), good()).verdict in ("INTACT", "DEGRADED", "BROKEN")
    with pytest.raises(RuntimeError, match="unplugged"):
        intact.quantize(two_layers(), Restartable())


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        ({"u": np.ones((1, 3, 16, 16), np.float32)}, "x"),
        ({"x": np.ones((1, 4, 16, 16), np.float32)}, "x"),
        ({"x": np.full((1, 3, 16, 16), np.nan, np.float32)}, "x"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, sample: dict[str, Array], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        intact.quantize(two_layers(), [sample], out=tmp_path / "q.onnx")
    assert not list(tmp_path.iterdir())


def test_verify_recognizes_its_own_file_and_a_changed_weight(tmp_path: Path) -> None:
    path = tmp_path / "q.onnx"
    intact.quantize(two_layers(), samples(1, 8), out=path)
    assert intact.verify(path).same
    model = onnx.load(path)
    weight = next(
        t for t in model.graph.initializer if t.data_type == TensorProto.INT8 and len(t.dims) == 4
    )
    data = bytearray(weight.raw_data)
    data[0] ^= 0x40
    weight.raw_data = bytes(data)
    onnx.save(model, path)
    changed = intact.verify(path)
    assert not changed.same and changed.first_node


def labelled(model: Any, count: int) -> list[dict[str, Any]]:
    """Samples whose target is the float model's first channel."""
    session = intact.InferenceSession(model)
    return [{**s, "wanted": session.run(None, s)[0][:, 0]} for s in samples(4, count)]


def closeness(outputs: dict[str, Array], wanted: Array) -> float:
    return float(-np.abs(outputs["y"][:, 0] - wanted).mean())


def test_a_metric_may_drop_so_far_and_no_further(tmp_path: Path) -> None:
    model, out = two_layers(), tmp_path / "q.onnx"
    data = labelled(model, 12)
    result = intact.quantize(model, data, out=out, effort=0, metric=closeness, max_drop=0.5)
    assert result.metric is not None and result.metric.name == "closeness" and out.exists()
    # Recomputed from the file: the mean over all samples, and the float model loses nothing.
    session = intact.InferenceSession(out)
    by_hand = np.mean(
        [closeness({"y": session.run(None, {"x": s["x"]})[0]}, s["wanted"]) for s in data]
    )
    assert result.metric.before.value == 0 and result.metric.before.samples == 12
    assert result.metric.drop == pytest.approx(-by_hand) and 0 < result.metric.drop < 0.5
    out.unlink()
    with pytest.raises(intact.AccuracyError, match="closeness drops by") as missed:
        intact.quantize(
            model,
            samples(1, 12),
            out=out,
            effort=0,
            metric=closeness,
            max_drop="1%",
            eval_data=iter(data),
        )
    best = Path(f"{out}.best")
    assert not out.exists() and best.read_bytes() == missed.value.result.model
    with pytest.raises(intact.AccuracyError, match="min_sqnr 90"):
        intact.quantize(model, data, effort=0, min_sqnr=90)


def test_what_a_metric_raises_passes_through() -> None:
    def broken(outputs: dict[str, Array], wanted: Array) -> float:
        raise RuntimeError("no ruler")

    model = two_layers()
    with pytest.raises(RuntimeError, match="no ruler"):
        intact.quantize(model, labelled(model, 10), effort=0, metric=broken, max_drop=1)
    for words in ({"metric": broken}, {"max_drop": 1}, {"metric": "top1", "max_drop": "much"}):
        with pytest.raises(ValueError, match="drop"):
            intact.quantize(model, samples(1, 10), **words)
