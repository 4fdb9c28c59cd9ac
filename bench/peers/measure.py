"""Interleaved timing, and the SQNR that says whether two INT8 files are comparable at all."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

import files
import numpy as np
from cases import Case
from engines import ENGINES
from intact.benchmark import time_engines

Row = dict[str, Any]


def rounds(
    case: Case, engines: list[str], precisions: list[str], threads: int, count: int
) -> dict[str, Row]:
    """Returns, for each "engine precision", the times of all rounds, or why it is missing."""
    rows: dict[str, Row] = {}
    chosen = {}
    for precision, engine in itertools.product(precisions, engines):
        try:
            path = files.model_file(engine, case, precision)
            chosen[f"{engine} {precision}"] = (ENGINES[engine], path)
        except files.MissingError as e:
            rows[f"{engine} {precision}"] = {"missing": str(e)}
    times, cpu = time_engines(list(chosen.values()), threads, case.inputs(), count)
    for j, key in enumerate(chosen):
        rows[key] = {"ms": times[:, j].tolist(), "cpu_ms": cpu[:, j].tolist()}
    return rows


def sqnr(case: Case, engines: list[str]) -> dict[str, float]:
    """Output SQNR in dB (the worst output) of each engine's INT8 file on samples that calibration never saw,
    against the float model in ONNX Runtime. Kept beside the file until that changes."""
    found, inputs, wanted = {}, None, None
    for engine in engines:
        try:
            path = files.model_file(engine, case, "int8")
        except files.MissingError:
            continue
        content = path.read_bytes()
        if path.suffix == ".xml":
            content += path.with_suffix(".bin").read_bytes()
        kept = path.with_suffix(".sqnr.json")
        key = hashlib.sha256(content).hexdigest()
        known = json.loads(kept.read_text()) if kept.exists() else {}
        if key not in known:
            if inputs is None or wanted is None:
                inputs = case.unseen()
                reference = ENGINES["onnxruntime"](case.path, 2, None)
                wanted = [reference.run(x) for x in inputs]
            session = ENGINES[engine](path, 2, None)
            known = {key: worst_output_db(wanted, [session.run(x) for x in inputs])}
            kept.write_text(json.dumps(known))
        found[engine] = known[key]
    return found


def worst_output_db(wanted: list[list[np.ndarray]], got: list[list[np.ndarray]]) -> float:
    signal = noise = 0.0
    for a, b in zip(wanted, got):
        signal = signal + np.array([np.sum(np.square(x, dtype=np.float64)) for x in a])
        noise = noise + np.array(
            [np.sum(np.square(x.astype(np.float64) - y.reshape(x.shape))) for x, y in zip(a, b)]
        )
    return float(np.min(10 * np.log10(signal / np.maximum(noise, 1e-30))))
