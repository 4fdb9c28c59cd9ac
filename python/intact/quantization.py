"""quantize, calibrate, merge and verify: the command line's words, defaults and errors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from intact import _core
from intact.reports import Evaluation, Score, named_score
from intact.samples import (
    MakeSamples,
    PathOrModel,
    Samples,
    model_bytes,
    open_core,
    path_of,
    source,
)


@dataclass(frozen=True)
class NodeReport:
    """What became of one Conv, ConvTranspose, Gemm or MatMul."""

    name: str
    op: str
    multiply_adds: float
    integer: bool
    reason: str
    fit: str
    local_sqnr_db: float


@dataclass(frozen=True)
class MetricDrop:
    """A metric of the float model and of the quantized one; ``drop``, in its own unit: positive is worse."""

    name: str
    before: Evaluation
    after: Evaluation
    drop: float
    limit: float


@dataclass(frozen=True)
class QuantizeResult:
    """The quantized model and what is known of it. ``verdict``: INTACT, DEGRADED or BROKEN.
    ``metric``: what ``max_drop`` limits."""

    model: bytes
    verdict: str
    sqnr_db: float
    sqnr_interval_db: tuple[float, float]
    noisiest_samples: list[tuple[int, float]]
    agreement: float | None
    agreement_interval: tuple[float, float]
    integer_share: float
    float_bytes: int
    quantized_bytes: int
    calibration_samples: int
    held_back_samples: int
    fingerprint: str
    worst_nodes: list[str]
    notes: list[str]
    nodes: list[NodeReport]
    metric: MetricDrop | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model, whole or not at all."""
        _write_whole(Path(path), self.model)


class AccuracyError(RuntimeError):
    """A limit of the accuracy was missed; ``result`` is the best that was found."""

    def __init__(self, message: str, result: QuantizeResult) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True)
class VerifyResult:
    """Whether this machine computes what was computed where the file was made."""

    same: bool
    expected: str
    actual: str
    first_node: str


def _write_whole(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _options(**given: Any) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


def quantize(
    model: PathOrModel,
    samples: Samples,
    out: str | os.PathLike[str] | None = None,
    *,
    images: str = "",
    const: Sequence[str] = (),
    target: str = "any",
    range: str | None = None,
    weight_range: str = "minmax",
    scales: str = "short",
    effort: int = 1,
    keep_float: Sequence[str] = (),
    require_int8: Sequence[str] = (),
    input_types: Mapping[str, str] | None = None,
    output_types: Mapping[str, str] | None = None,
    min_sqnr: float | None = None,
    metric: str | Score | None = None,
    max_drop: float | str | None = None,
    eval_data: Samples | None = None,
    threads: int = 0,
) -> QuantizeResult:
    """Turns a float model into an INT8 one (static PTQ).

    model: a path, bytes or an ``onnx.ModelProto``. samples: any iterable of {input name: array}, batch axis
    included, or DATA as the command line takes it, with ``images`` and ``const``. out: where to write the
    result, whole or not at all. metric, max_drop: as ``evaluate`` takes a metric, and how much it may drop on
    ``eval_data`` (default: ``samples``), in its own unit or as a share (``"1%"``). input_types: of inputs
    that take image bytes, as ``{"input": "uint8,nhwc,scale=1/255"}``; samples may hold the floats that the
    model takes, or the bytes. output_types: of outputs that become codes, as ``{"scores": "uint8"}``; ``notes``
    says what a code stands for. The other arguments are
    those of ``intact quantize``. Raises ValueError (model, options, a sample that does not fit), OSError,
    UnsupportedError; AccuracyError when ``max_drop`` or ``min_sqnr`` is missed, the result then being in
    ``out`` with ``.best`` behind; an exception of ``samples`` or of the metric passes through.
    """
    if (metric is None) != (max_drop is None) or (metric is None and eval_data is not None):
        raise ValueError("metric and max_drop go together: what may drop, and by how much")
    if max_drop is not None:
        _core.check_max_drop(str(max_drop))
    options = _options(
        target=target,
        range=range,
        weight_range=weight_range,
        scales=scales,
        effort=effort,
        keep_float=list(keep_float),
        require_int8=list(require_int8),
        input_types={
            name: _core.input_type_of(type, images) for name, type in (input_types or {}).items()
        },
        output_types=dict(output_types or {}),
        threads=threads,
    )
    make = source(samples, lambda: open_core(model, threads), images, const)
    data = model_bytes(model)
    if data is not None:
        raw = _core.quantize_bytes(data, make, options)
    else:
        raw = _core.quantize_path(path_of(model), make, options)
    raw["nodes"] = [NodeReport(**node) for node in raw["nodes"]]
    result = QuantizeResult(**raw)
    if metric is not None:
        judges = make
        if eval_data is not None:
            judges = source(eval_data, lambda: open_core(model, threads), images, const)
        result = replace(
            result, metric=_drop_of(model, result, judges, metric, str(max_drop), threads)
        )
    missed = _missed(result, min_sqnr)
    if out is not None:
        result.save(f"{os.fspath(out)}.best" if missed else out)
    if missed:
        raise AccuracyError(missed, result)
    return result


def _drop_of(
    model: PathOrModel,
    result: QuantizeResult,
    samples: MakeSamples,
    metric: str | Score,
    max_drop: str,
    threads: int,
) -> MetricDrop:
    name, score = named_score(metric)
    sessions = (open_core(model, threads), open_core(result.model, threads))
    raw = _core.measure_drop(*sessions, samples, max_drop, name, score)
    before, after = Evaluation(**raw["before"]), Evaluation(**raw["after"])
    return MetricDrop(name, before, after, raw["drop"], raw["limit"])


def _missed(result: QuantizeResult, min_sqnr: float | None) -> str:
    """Returns which limit was missed, or nothing."""
    if min_sqnr is not None and result.sqnr_db < min_sqnr:
        return f"SQNR {result.sqnr_db:.1f} dB is below min_sqnr {min_sqnr:g}"
    m = result.metric
    if m is not None and m.drop > m.limit:
        return f"{m.name} drops by {m.drop:.3f}, more than {m.limit:.3f}"
    return ""


def calibrate(
    model: str | os.PathLike[str],
    samples: Samples,
    out: str | os.PathLike[str] | None = None,
    *,
    images: str = "",
    const: Sequence[str] = (),
    range: str | None = None,
    threads: int = 0,
) -> str:
    """Returns, and writes to `out`, the text of the calibration file of these samples."""
    options = _options(range=range, threads=threads)
    make = source(samples, lambda: open_core(model, threads), images, const)
    text = _core.calibrate_path(os.fspath(model), make, options)
    if out is not None:
        _write_whole(Path(out), text.encode())
    return text


def merge(a: str | os.PathLike[str], b: str | os.PathLike[str], out: str | os.PathLike[str]) -> str:
    """Joins two calibration files into `out`, as if one process had seen the samples of both."""
    text = _core.merge_texts(Path(a).read_text(), Path(b).read_text())
    _write_whole(Path(out), text.encode())
    return text


def verify(model: str | os.PathLike[str], threads: int = 0) -> VerifyResult:
    """Recomputes the fingerprint that a quantized file carries."""
    return VerifyResult(**_core.verify_path(os.fspath(model), threads))
