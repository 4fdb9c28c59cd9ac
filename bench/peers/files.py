"""The file that each engine runs, made once with that project's own tools and documented defaults.

Everybody gets the same float model and the same 100 calibration samples.
    intact        quantize with default flags
    onnxruntime   pre-process, static QDQ, uint8 x int8 per channel, min-max; dynamic for transformers,
                  as its documentation recommends
    openvino      NNCF with its defaults
    litert        torch -> litert-torch -> ai-edge-quantizer, static int8
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
from cases import WORK, Case, Feeds


class MissingError(Exception):
    """This engine has no such file; the text says why."""


def whole(path: Path, make: Callable[[Path], object]) -> Path:
    """The file, made when missing; it appears when it is complete. What cannot be made is not tried again."""
    why = path.with_suffix(".missing")
    if why.exists():
        raise MissingError(why.read_text())
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name("part-" + path.name)
        print(f"peers: making {path}", flush=True)
        try:
            make(part)
        except MissingError as e:
            why.write_text(str(e))
            raise
        part.rename(path)
    return path


def model_file(engine: str, case: Case, precision: str) -> Path:
    """Errors: MissingError."""
    if case.made and not case.path.exists():
        make_models(case.path.parent)
    folder = WORK / "files" / engine
    if engine == "litert":
        return whole(
            folder / f"{case.name}.{precision}.tflite", lambda p: litert(case, precision, p)
        )
    if precision == "fp32":
        return case.path
    if engine == "openvino":
        return whole(folder / f"{case.name}.int8.xml", lambda p: nncf_int8(case, p))
    make = intact_int8 if engine == "intact" else onnxruntime_int8
    return whole(folder / f"{case.name}.int8.onnx", lambda p: make(case, p))


def make_models(folder: Path) -> None:
    import sys

    sys.path.append(str(Path(__file__).resolve().parents[1]))
    import models

    models.write(folder)


def intact_int8(case: Case, out: Path) -> None:
    import intact

    intact.quantize(case.path, case.calibration(), out)


def modern(path: Path, out: Path) -> Path:
    """The model at opset 13 or later: what per-channel needs, and what these tools do not do themselves."""
    model = onnx.load(path)
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if opset >= 13:
        return path
    onnx.save(onnx.version_converter.convert_version(model, 13), out)
    return out


def onnxruntime_int8(case: Case, out: Path) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(case.calibration())

        def get_next(self) -> Feeds | None:
            return next(self.rest, None)

    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(
            modern(case.path, Path(folder) / "modern.onnx"), ready, skip_symbolic_shape=True
        )
        if case.transformer:
            quantize_dynamic(ready, out, per_channel=True, weight_type=QuantType.QInt8)
        else:
            quantize_static(
                ready,
                out,
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )


def nncf_int8(case: Case, out: Path) -> None:
    import nncf
    import openvino as ov

    kind = nncf.ModelType.TRANSFORMER if case.transformer else None
    samples = case.calibration()
    model = ov.Core().read_model(case.path)
    quantized = nncf.quantize(
        model,
        nncf.Dataset(samples),
        model_type=kind,
        subset_size=len(samples),
    )
    weights = out.with_name(out.name.removeprefix("part-")).with_suffix(".bin")
    ov.save_model(quantized, out, compress_to_fp16=False)
    out.with_suffix(".bin").rename(weights)


def litert(case: Case, precision: str, out: Path) -> None:
    try:
        import to_litert
    except ImportError as e:
        raise MissingError(f"conversion needs requirements-litert.txt ({e})") from None
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stderr(nowhere),
        contextlib.redirect_stdout(nowhere),
    ):
        try:
            if precision == "fp32":
                to_litert.convert(case.path, case.inputs(), out)
            else:
                to_litert.quantize(model_file("litert", case, "fp32"), case.calibration(), out)
        except to_litert.UnsupportedError as e:
            raise MissingError(str(e)) from None


def forget(engine: str, case: Case) -> None:
    """The next model_file makes it again."""
    for path in (WORK / "files" / engine).glob(f"{case.name}.*"):
        path.unlink()
