"""Quantized files of the zoo: do others load them, do they mean the same there, how good and how integer are they?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import qdq
import zoo

import intact

Quantize = Callable[[str], Path]

# The least share of integer multiply-adds, by issue; and what the better peer's output SQNR is (zoo README).
LEAST_SHARE = {"nanodet-m-320": 0.90, "minilm-l6-v2": 0.99}
PEER_DB = {
    "resnet20-cifar10": 31.1,
    "resnet8-cifar10": 28.0,
    "efficientnet-lite0": 21.1,
    "kws-dscnn": 21.4,
    "vww-mobilenetv1-0.25-96": 33.2,
    "nanodet-m-320": 15.7,
    "nudenet-yolov8n-320": 28.6,
    "ppocrv4-det": 3.7,
    "mnist-cnn": 40.5,
    "minilm-l6-v2": 20.5,
}
# Models whose first output is a score a class.
CLASSIFIERS = [*zoo.SMALL, "efficientnet-lite0"]
# Models of short samples: many take no longer, and one code that differs spoils its sample only.
SENTENCES = ["minilm-l6-v2"]
PROVIDERS = ["CPUExecutionProvider"]
ALL = zoo.parameters([*zoo.SMALL, *zoo.BIG])


def sqnr(reference: object, other: object, feeds: list[zoo.Feeds]) -> float:
    """Output SQNR in dB of one session against another, the worst output."""
    signal = noise = 0.0
    for f in feeds:
        a = [y.astype(np.float64) for y in reference.run(None, f)]  # type: ignore[attr-defined]
        b = other.run(None, f)  # type: ignore[attr-defined]
        signal = signal + np.array([(y**2).sum() for y in a])
        noise = noise + np.array([((x - y) ** 2).sum() for x, y in zip(b, a, strict=True)])
    return float((10 * np.log10(signal / np.maximum(noise, 1e-30))).min())


def feeds_of(session: intact.InferenceSession, name: str, count: int) -> list[zoo.Feeds]:
    known = {i.name for i in session.get_inputs()}
    return [{k: v for k, v in f.items() if k in known} for f in zoo.samples(name, "test", count)]


@pytest.mark.parametrize("name", ALL)
def test_file_is_valid_and_loads_in_other_engines(name: str, quantized: Quantize) -> None:
    path = quantized(name)
    onnx.checker.check_model(str(path), full_check=True)
    qdq.unoptimized(path)
    onnxruntime.InferenceSession(str(path), providers=PROVIDERS)
    openvino = pytest.importorskip("openvino")
    openvino.Core().compile_model(str(path), "CPU")


@pytest.mark.parametrize("name", ALL)
def test_answers_are_those_of_onnxruntime(name: str, quantized: Quantize) -> None:
    path = quantized(name)
    ours, theirs = intact.InferenceSession(str(path)), qdq.unoptimized(path)
    feeds = feeds_of(ours, name, 200 if name in CLASSIFIERS or name in SENTENCES else 12)
    decibels = sqnr(theirs, ours, feeds)
    agree = sum(
        int(theirs.run(None, f)[0].argmax() == ours.run(None, f)[0].argmax()) for f in feeds
    )
    exact = onnxruntime.InferenceSession(str(zoo.model(name)), providers=PROVIDERS)
    noise = sqnr(exact, theirs, feeds)
    print(
        f"{name}: {decibels:.1f} dB against ONNX Runtime, whose answers are {noise:.1f} dB from the float "
        f"model's; agreement {agree}/{len(feeds)}"
    )
    enough = decibels >= 35 and (name not in CLASSIFIERS or agree >= 0.99 * len(feeds))
    assert enough


@pytest.mark.parametrize("name", ALL)
def test_multiply_adds_are_integer(name: str, quantized: Quantize) -> None:
    path = quantized(name)
    feeds = feeds_of(intact.InferenceSession(str(path)), name, 1)[0]
    share = qdq.integer_share(path, feeds)
    print(f"{name}: integer share {100 * share:.1f} %")
    assert share >= LEAST_SHARE.get(name, 0.95)


@pytest.mark.parametrize("name", ALL)
def test_no_conversion_stands_alone_without_a_border(name: str, quantized: Quantize) -> None:
    path = quantized(name)
    feeds = feeds_of(intact.InferenceSession(str(path)), name, 1)[0]
    shapes = [f"--shape={k}={'x'.join(map(str, v.shape))}" for k, v in feeds.items()]
    report = zoo.intact("bench", path, "--profile", "--json", "-", *shapes)
    profile = json.loads(report)["profile"]
    steps = next(iter(profile.values()))
    alone = sum(s["op"] in ("QuantizeLinear", "DequantizeLinear") for s in steps)
    borders = qdq.borders(qdq.File(path))
    print(f"{name}: {alone} conversions stand alone, {borders} borders of codes and float")
    assert alone <= borders


@pytest.mark.parametrize("name", ALL)
def test_file_is_small(name: str, quantized: Quantize) -> None:
    path = quantized(name)
    ratio = path.stat().st_size / zoo.model(name).stat().st_size
    print(f"{name}: {ratio:.3f} of the float file")
    assert ratio <= 0.30


@pytest.mark.parametrize("name", ALL)
def test_output_is_at_least_as_good_as_peers(name: str, quantized: Quantize) -> None:
    path = quantized(name)
    decibels = zoo.tool("sqnr").sqnr(name, str(path), "intact")
    print(f"{name}: {decibels:.1f} dB, the better peer {PEER_DB[name]}")
    assert decibels >= PEER_DB[name]
