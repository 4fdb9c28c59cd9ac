"""bench: times models, in intact and in other engines, in interleaved rounds.

``intact bench --against`` runs main() of this module.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intact.engines import ENGINES, Feeds, PathLike
from intact.session import InferenceSession

# What one engine's threads do after its turn (spinning, mostly) must not fall into the next one's.
SETTLE_S = 0.004
# A turn: one call to warm the caches again, then calls for about this long, one at least.
TURN_MS = 10.0


@dataclass(frozen=True)
class BenchRow:
    """One model in one engine. ``ratio``: how many times as fast as the first row, the median over rounds
    of the ratio inside a round, with the 95 % interval of that median."""

    engine: str
    model: str
    min_ms: float
    median_ms: float
    p99_ms: float
    cpu_ms: float
    ratio: float
    ratio_interval: tuple[float, float]


def turn(call: Callable[[], object], calls: int) -> float:
    """Returns the median time of a call in ms, after one that is not counted."""
    call()
    times = []
    for _ in range(calls):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return float(np.median(times)) / 1e6


def interleave(
    calls: Sequence[Callable[[], object]], rounds: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns times and CPU times in ms, [round, call]. Each round lets every call have its turn, in an order
    that rotates: what disturbs the machine disturbs all of them alike."""
    repeats = []
    for call in calls:
        turn(call, 1)
        repeats.append(int(np.clip(round(TURN_MS / turn(call, 1)), 1, 50)))
    times, cpu = np.empty((rounds, len(calls))), np.empty((rounds, len(calls)))
    for i in range(rounds):
        for j in ((i + k) % len(calls) for k in range(len(calls))):
            time.sleep(SETTLE_S)
            start = time.process_time_ns()
            times[i, j] = turn(calls[j], repeats[j])
            cpu[i, j] = (time.process_time_ns() - start) / 1e6 / (repeats[j] + 1)
    return times, cpu


def ratio_of(
    slower: npt.NDArray[np.float64], faster: npt.NDArray[np.float64]
) -> tuple[float, float, float]:
    """How many times as fast: the median over rounds of the ratio inside a round, and its 95 % interval
    (bootstrap, seeded)."""
    ratios = np.asarray(slower) / np.asarray(faster)
    random = np.random.default_rng(0)
    medians = np.median(random.choice(ratios, (2000, len(ratios))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(np.median(ratios)), float(low), float(high)


def bench(
    models: PathLike | Sequence[PathLike],
    inputs: Feeds,
    *,
    against: Sequence[str] = (),
    rounds: int = 30,
    threads: int = 0,
) -> list[BenchRow]:
    """Times models in intact, and the same files in the engines named by ``against``.

    models: a path or several; ratios refer to the first in intact. inputs: {input name: array} that all
    of them take. threads: 0 is the engine's own choice. Returns one row a model and engine.
    Raises ImportError when an engine is not installed, ValueError for one that is not known.
    """
    paths = [models] if isinstance(models, (str, os.PathLike)) else list(models)
    unknown = [name for name in against if name not in ENGINES]
    if unknown:
        raise ValueError(f"'{unknown[0]}' is no engine; known are {', '.join(ENGINES)}")
    feeds = {k: np.ascontiguousarray(v) for k, v in inputs.items()}
    named = [(engine, os.fspath(path)) for engine in ["intact", *against] for path in paths]
    opened = [ENGINES[engine](path, threads, feeds) for engine, path in named]
    times, cpu = interleave([engine.bind(feeds) for engine in opened], rounds)
    rows = []
    for j, (engine, path) in enumerate(named):
        ratio, low, high = ratio_of(times[:, 0], times[:, j])
        rows.append(
            BenchRow(
                engine,
                path,
                min_ms=float(times[:, j].min()),
                median_ms=float(np.median(times[:, j])),
                p99_ms=float(np.quantile(times[:, j], 0.99)),
                cpu_ms=float(np.median(cpu[:, j])),
                ratio=ratio,
                ratio_interval=(low, high),
            )
        )
    return rows


def _named(path: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Feeds:
    """The arrays that the model has inputs for."""
    return {i.name: arrays[i.name] for i in InferenceSession(path).get_inputs()}


def main() -> None:
    """The same as a program, on one .npz of inputs; prints a table."""
    parser = argparse.ArgumentParser(prog="intact.benchmark")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--inputs", required=True)
    parser.add_argument("--against", default="")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json")
    args = parser.parse_args()
    against = [name for name in args.against.split(",") if name]
    with np.load(args.inputs) as arrays:
        inputs = _named(args.models[0], arrays)
    try:
        rows = bench(args.models, inputs, against=against, rounds=args.rounds, threads=args.threads)
    except ImportError as e:
        sys.exit(f"intact: {e.name} is not installed in {sys.executable}: pip install {e.name}")
    except (ValueError, OSError, RuntimeError) as e:
        sys.exit(f"intact: {e}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump([dataclasses.asdict(row) for row in rows], file)
    print(f"{'engine':<13}{'model':<36}{'min ms':>9}{'median':>9}{'p99':>9}{'CPU ms':>9}   ratio")
    for row in rows:
        low, high = row.ratio_interval
        print(
            f"{row.engine:<13}{row.model[-35:]:<36}{row.min_ms:>9.3f}{row.median_ms:>9.3f}{row.p99_ms:>9.3f}"
            f"{row.cpu_ms:>9.3f}{row.ratio:>7.2f}x [{low:.2f}, {high:.2f}]"
        )
    print(f"{args.rounds} interleaved rounds, one caller; ratio: times as fast as the first row")
