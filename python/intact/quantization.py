"""quantize, calibrate, merge and verify: the command line's words, defaults and errors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intact import _core
from intact.samples import PathOrModel, Samples, model_bytes, open_core, path_of, source


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
class QuantizeResult:
    """The quantized model and what is known of it. ``verdict``: INTACT, DEGRADED or BROKEN."""

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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model, whole or not at all."""
        _write_whole(Path(path), self.model)


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
    effort: int = 1,
    keep_float: Sequence[str] = (),
    require_int8: Sequence[str] = (),
    threads: int = 0,
) -> QuantizeResult:
    """Turns a float model into an INT8 one (static PTQ).

    model: a path, bytes or an ``onnx.ModelProto``. samples: any iterable of {input name: array}, batch axis
    included, or DATA as the command line takes it, with ``images`` and ``const``. out: where to write the result, whole or not at all. The other arguments are those of
    ``intact quantize``. Raises ValueError (model, options, a sample that does not fit), OSError,
    UnsupportedError; an exception of ``samples`` passes through.
    """
    options = _options(
        target=target,
        range=range,
        weight_range=weight_range,
        effort=effort,
        keep_float=list(keep_float),
        require_int8=list(require_int8),
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
    if out is not None:
        result.save(out)
    return result


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
