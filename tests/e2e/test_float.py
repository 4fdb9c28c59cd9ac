"""Float models of the zoo against ONNX Runtime: max|a - b| <= 1e-4 max|b| for every output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import zoo

import intact

LIMIT = 1e-4
Run = Callable[[zoo.Feeds], list[np.ndarray]]


def reference(path: Path) -> Run:
    """ONNX Runtime, except that an output that is a Sigmoid is the exact one of ONNX Runtime's logits.

    ONNX Runtime's own Sigmoid is an approximation with an absolute error near 6e-8: on an image of the
    zoo where ppocrv4-det sees no text its largest output is 1.3e-6, so that error alone is 5 % of the maximum.
    """
    model = onnx.load(path)
    names = [o.name for o in model.graph.output]
    sigmoids = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Sigmoid"}
    fetches = [sigmoids.get(name, name) for name in names]
    for name in fetches:
        if name not in names:
            model.graph.output.append(
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )

    def run(feeds: zoo.Feeds) -> list[np.ndarray]:
        values = session.run(fetches, feeds)
        return [
            v if name == fetch else 1 / (1 + np.exp(-v.astype(np.float64)))
            for v, name, fetch in zip(values, names, fetches, strict=True)
        ]

    return run


def batch_of(feeds: list[zoo.Feeds]) -> zoo.Feeds:
    """Several samples as one; token sequences are cut to the shortest."""
    shapes = [np.array([f[k].shape for f in feeds]).min(axis=0) for k in feeds[0]]
    cut = [tuple(slice(int(n)) for n in shape) for shape in shapes]
    return {k: np.concatenate([f[k][c] for f in feeds]) for k, c in zip(feeds[0], cut, strict=True)}


# Other sizes, cut from a sample, of the models whose sizes are symbolic.
SIZES = {
    "nudenet-yolov8n-320": [(1, 3, 256, 320), (1, 3, 160, 96)],
    "ppocrv4-det": [(1, 3, 320, 480), (1, 3, 96, 64)],
    "minilm-l6-v2": [(1, 5), (2, 7)],
}


def worst(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest error of an output in units of that output's largest magnitude."""
    worst = 0.0
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and np.isfinite(a).all()
        worst = max(worst, float(np.abs(a.astype(np.float64) - b).max() / np.abs(b).max()))
    return worst


@pytest.mark.parametrize("name", [*zoo.SMALL, "ad-autoencoder", *zoo.BIG])
def test_float_model_answers_like_onnxruntime(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    zoo.need()
    ours, theirs = intact.InferenceSession(str(zoo.model(name))), reference(zoo.model(name))
    known = {i.name for i in ours.get_inputs()}
    feeds = [{k: v for k, v in f.items() if k in known} for f in zoo.samples(name, "test", 8)]
    cases = list(feeds)
    if not isinstance(ours.get_inputs()[0].shape[0], int):
        cases.append(batch_of(feeds[:3]))
    for shape in SIZES.get(name, []):
        both = batch_of(feeds[: shape[0]])
        cut = tuple(slice(n) for n in shape)
        cases.append({k: np.ascontiguousarray(v[cut]) for k, v in both.items()})
    errors = [worst(ours.run(None, f), theirs(f)) for f in cases]
    record_property("error", max(errors))
    print(name, "errors", [f"{e:.1e}" for e in errors])
    assert max(errors) <= LIMIT
