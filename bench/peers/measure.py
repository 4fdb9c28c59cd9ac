"""Interleaved timing, and the SQNR that says whether two INT8 files are comparable at all."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from typing import Any

import engines as engine_table
import files
import numpy as np
from cases import Case

# What one engine's threads do after its turn (spinning, mostly) must not fall into the next one's.
SETTLE_S = 0.004
# A turn: one call to warm the caches again, then calls for at least this long, one at least.
TURN_S = 0.010

Row = dict[str, Any]


def turn(call: Any, calls: int) -> float:
    """The median time of a call in ms, after one that is not counted."""
    call()
    times = []
    for _ in range(calls):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return float(np.median(times)) / 1e6


def rounds(
    case: Case, engines: list[str], precisions: list[str], threads: int, count: int
) -> dict[str, Row]:
    """Returns, for each "engine precision", the times of all rounds, or why it is missing."""
    feeds = case.inputs()
    rows: dict[str, Row] = {}
    sessions, calls = {}, {}
    for precision, engine in itertools.product(precisions, engines):
        key = f"{engine} {precision}"
        try:
            path = files.model_file(engine, case, precision)
        except files.MissingError as e:
            rows[key] = {"missing": str(e)}
            continue
        sessions[key] = engine_table.ENGINES[engine](path, threads, precision, feeds)
        calls[key] = sessions[key].bind(feeds)
        turn(calls[key], 2)
        rows[key] = {"ms": []}
    repeats = {k: max(1, min(50, round(TURN_S * 1e3 / turn(call, 1)))) for k, call in calls.items()}
    order = list(calls)
    for i in range(count):
        for key in order[i % len(order) :] + order[: i % len(order)]:
            time.sleep(SETTLE_S)
            rows[key]["ms"].append(turn(calls[key], repeats[key]))
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
                reference = engine_table.OnnxRuntime(case.path, 2, "fp32", None)
                wanted = [reference.run(x) for x in inputs]
            session = engine_table.ENGINES[engine](path, 2, "int8", None)
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
