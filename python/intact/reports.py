"""evaluate, compare and inspect: the command line's words, defaults and errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from intact import _core
from intact.samples import PathOrModel, Samples, open_core, source
from intact.session import InferenceSession

Outputs = Mapping[str, npt.NDArray[Any]]
Score = Callable[[Outputs, Any], float]


@dataclass(frozen=True)
class Evaluation:
    """One model's figure. ``difference`` and what follows compare it with the first model."""

    value: float
    unit: str
    samples: int
    difference: float
    difference_interval: tuple[float, float]
    method: str
    worse: list[int]
    better: list[int]


@dataclass(frozen=True)
class InputFigures:
    """One quantized activation that a layer reads."""

    name: str
    sqnr_db: float
    effective_bits: float
    clipped_error: float
    clipped_values: float
    peak_to_rms: float
    range_error: float
    parts_ratio: float


@dataclass(frozen=True)
class LayerComparison:
    """What a layer loses by itself, what has been lost up to there, why, and what to try."""

    node: str
    op: str
    value: str
    local_sqnr_db: float
    cumulative_sqnr_db: float
    weight_sqnr_db: float
    inputs: list[InputFigures]
    cause: str
    fix: str


@dataclass(frozen=True)
class Comparison:
    """``layers``: worst local SQNR first. ``outputs``: SQNR in dB by name."""

    samples: int
    layers: list[LayerComparison]
    outputs: dict[str, float]


@dataclass(frozen=True)
class ValueFigures:
    """Of all values over all samples."""

    min: float
    mean: float
    max: float
    std: float


@dataclass(frozen=True)
class InputData:
    """What an input really receives; ``channels`` of pictures only."""

    name: str
    dtype: str
    shapes: list[list[int]]
    all: ValueFigures
    channels: list[ValueFigures]


@dataclass(frozen=True)
class Product:
    """A Conv, ConvTranspose, Gemm or MatMul: integer or, with the reason, float."""

    name: str
    op: str
    integer: bool
    reason: str


@dataclass(frozen=True)
class Inspection:
    """What is in a model, what of it would be quantized and, with samples, what it receives."""

    opset: int
    producer: str
    nodes: int
    parameters: int
    constant_bytes: dict[str, int]
    operators: dict[str, int]
    inputs: list[tuple[str, str, list[int | str | None]]]
    outputs: list[tuple[str, str, list[int | str | None]]]
    metadata: dict[str, str]
    quantized: bool
    products: list[Product]
    problem: str = ""  # Why a session would refuse the model; empty when it opens.
    samples: int = 0
    data: list[InputData] = field(default_factory=list)


def _session(model: PathOrModel | InferenceSession, threads: int) -> _core.Session:
    return model._core if isinstance(model, InferenceSession) else open_core(model, threads)


def _only(targets: dict[str, Any]) -> Any:
    """The target where there is one, a dict of several, or None."""
    return next(iter(targets.values())) if len(targets) == 1 else targets or None


def named_score(
    metric: str | Score,
) -> tuple[str, Callable[[dict[str, Any], dict[str, Any]], float] | None]:
    """A metric's name, and what computes it where the caller gives that."""
    if isinstance(metric, str):
        return metric, None
    return getattr(metric, "__name__", "score"), lambda outputs, targets: float(
        np.asarray(metric(outputs, _only(targets)))
    )


def evaluate(
    models: PathOrModel | InferenceSession | Sequence[PathOrModel | InferenceSession],
    samples: Samples,
    metric: str | Score = "top1",
    *,
    output: str = "",
    target: str = "",
    images: str = "",
    const: Sequence[str] = (),
    threads: int = 0,
) -> list[Evaluation]:
    """Runs models over labelled samples: each one's figure, and the paired difference from the first.

    models: a path, bytes, ``onnx.ModelProto`` or InferenceSession, or several. samples: an iterable of
    {name: array} in which what is no input is the target, or DATA as ``intact eval`` takes it. metric: a name
    of ``intact eval``, or ``score(outputs, target)`` for one sample, whose mean is the figure: outputs by
    name, target the one array or text of the sample, or a dict of several. Raises ValueError, OSError,
    UnsupportedError; an exception of ``samples`` or of the score passes through.
    """
    several = models if isinstance(models, (list, tuple)) else [models]
    sessions = [_session(model, threads) for model in several]
    if not sessions:
        raise ValueError("there is no model to evaluate")
    make = source(samples, lambda: sessions[0], images, const)
    name, score = named_score(metric)
    rows = _core.evaluate_sessions(sessions, make, name, score, output, target)
    return [Evaluation(**row) for row in rows]


def compare(
    float_model: str | os.PathLike[str],
    quantized_model: str | os.PathLike[str],
    samples: Samples,
    *,
    images: str = "",
    const: Sequence[str] = (),
    threads: int = 0,
) -> Comparison:
    """Where a quantized model loses what, layer by layer, with the probable cause and a fix to try."""
    make = source(samples, lambda: open_core(float_model, threads), images, const)
    raw = _core.compare_paths(os.fspath(float_model), os.fspath(quantized_model), make, threads)
    layers = [
        LayerComparison(**{**row, "inputs": [InputFigures(**x) for x in row["inputs"]]})
        for row in raw["layers"]
    ]
    return Comparison(raw["samples"], layers, raw["outputs"])


def inspect(
    model: str | os.PathLike[str],
    samples: Samples | None = None,
    *,
    target: str = "any",
    contact_sheet: str | os.PathLike[str] | None = None,
    images: str = "",
    const: Sequence[str] = (),
    threads: int = 0,
) -> Inspection:
    """What is in a model, and what of it would be quantized or not, and why.

    With samples, also what the model really receives, as numbers and, with ``contact_sheet``, as a PNG.
    """
    raw = _core.inspect_path(os.fspath(model), target)
    raw["products"] = [Product(**row) for row in raw["products"]]
    if samples is None:
        if contact_sheet is not None:
            raise ValueError("a contact sheet shows samples: give them")
        return Inspection(**raw)
    session = open_core(model, threads)
    make = source(samples, lambda: session, images, const)
    sheet = "" if contact_sheet is None else os.fspath(contact_sheet)
    count, inputs = _core.inspect_data(session, make, sheet)
    data = [
        InputData(
            row["name"],
            row["dtype"],
            row["shapes"],
            ValueFigures(**row["all"]),
            [ValueFigures(**c) for c in row["channels"]],
        )
        for row in inputs
    ]
    return Inspection(**raw, samples=count, data=data)
