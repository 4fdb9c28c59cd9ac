"""The models that are compared, their inputs, and the samples that every quantizer gets alike."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
# Packages, quantized files and results; several work trees may share one.
WORK = Path(os.environ.get("INTACT_PEERS", ROOT / "build/peers"))

CALIBRATION_SAMPLES = 100
SQNR_SAMPLES = 24

Feeds = dict[str, np.ndarray]


def zoo() -> Path:
    """The folder of models and data: $INTACT_ZOO, else beside the work tree."""
    places = [
        os.environ.get("INTACT_ZOO"),
        ROOT.parent / "shared/zoo",
        ROOT.parents[1] / "shared/zoo",
    ]
    for place in places:
        if place and (Path(place) / "models").is_dir():
            return Path(place)
    raise SystemExit("peers: no zoo of models found; set INTACT_ZOO to its folder")


def zoo_samples(name: str, part: str, count: int) -> Iterator[Feeds]:
    os.environ.setdefault("INTACT_ZOO", str(zoo()))
    where = str(zoo().parent / "tools")
    if where not in sys.path:
        sys.path.append(where)
    return importlib.import_module("samples").samples(name, part, count)


def first_of(name: str) -> Feeds:
    return next(zoo_samples(name, "test", 1))


def page(name: str) -> Feeds:
    """The zoo's detector samples are 480 wide; a page is 640."""
    edges = ((0, 0), (0, 0), (80, 80), (80, 80))
    return {k: np.pad(v, edges, mode="reflect") for k, v in first_of(name).items()}


def paragraph(name: str, tokens: int = 128) -> Feeds:
    """Sentences one after the other until the sequence is full."""
    start, end = 101, 102
    words = (s["input_ids"][0, 1:-1] for s in zoo_samples(name, "test", 100))
    ids = list(itertools.islice(itertools.chain.from_iterable(words), tokens - 2))
    row = np.array([[start, *ids, end]], np.int64)
    return {
        "input_ids": row,
        "attention_mask": np.ones_like(row),
        "token_type_ids": np.zeros_like(row),
    }


@dataclass(frozen=True)
class Case:
    """One model at one input size."""

    name: str
    title: str
    samples_of: str  # The zoo model whose samples fit.
    timed: Callable[[str], Feeds] = first_of
    made: bool = False  # By bench/models.py, not from the zoo.
    transformer: bool = False

    @property
    def path(self) -> Path:
        return (WORK / "models" if self.made else zoo() / "models") / f"{self.name}.onnx"

    def inputs(self) -> Feeds:
        """What is timed: contiguous arrays, in memory before the clock starts."""
        return {k: np.ascontiguousarray(v) for k, v in self.timed(self.samples_of).items()}

    def calibration(self) -> list[Feeds]:
        return list(zoo_samples(self.samples_of, "calib", CALIBRATION_SAMPLES))

    def unseen(self) -> list[Feeds]:
        return list(zoo_samples(self.samples_of, "test", SQNR_SAMPLES))


CASES = [
    Case("efficientnet-lite0", "EfficientNet-lite0 224", "efficientnet-lite0"),
    Case("mobilenetv2", "MobileNetV2 224 (seeded weights)", "efficientnet-lite0", made=True),
    Case("resnet50", "ResNet-50 224 (seeded weights)", "efficientnet-lite0", made=True),
    Case("minilm-l6-v2", "MiniLM-L6, 128 tokens", "minilm-l6-v2", paragraph, transformer=True),
    Case("nudenet-yolov8n-320", "YOLOv8n 320", "nudenet-yolov8n-320"),
    Case("ppocrv4-det", "PP-OCRv4 det 640", "ppocrv4-det", page),
    Case("nanodet-m-320", "NanoDet-m 320", "nanodet-m-320"),
    Case("vww-mobilenetv1-0.25-96", "VWW MobileNetV1-0.25 96", "vww-mobilenetv1-0.25-96"),
    Case("resnet20-cifar10", "ResNet-20 32", "resnet20-cifar10"),
    Case("kws-dscnn", "KWS DS-CNN", "kws-dscnn"),
]


def named(word: str) -> Case:
    """The case whose name contains the word."""
    found = [c for c in CASES if word in c.name]
    if len(found) != 1:
        names = ", ".join(c.name for c in found or CASES)
        raise SystemExit(f"peers: '{word}' names {len(found)} models; choose among {names}")
    return found[0]
