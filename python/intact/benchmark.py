"""bench: times models, in intact and in other engines, in interleaved rounds.

``intact bench --against`` runs main() of this module.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intact.engines import ENGINES, Engine, Feeds, PathLike
from intact.remote import RemoteEngine
from intact.session import InferenceSession

# A turn takes about so long, one call at least.
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


def interleave(
    turns: Sequence[Callable[[int], tuple[float, float]]], rounds: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns times and CPU times in ms, [round, turn]. A round gives each its turn, in an order that rotates:
    what disturbs the machine disturbs all of them alike."""
    repeats = []
    for turn in turns:
        turn(1)
        repeats.append(int(np.clip(round(TURN_MS / turn(1)[0]), 1, 50)))
    times, cpu = np.empty((rounds, len(turns))), np.empty((rounds, len(turns)))
    for i in range(rounds):
        for j in ((i + k) % len(turns) for k in range(len(turns))):
            times[i, j], cpu[i, j] = turns[j](repeats[j])
    return times, cpu


def time_engines(
    chosen: Sequence[tuple[type[Engine], PathLike]], threads: int, feeds: Feeds, rounds: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Opens each in a process of its own and returns what interleave does."""
    opened: list[RemoteEngine] = []
    try:
        for engine, path in chosen:
            opened.append(RemoteEngine(engine, path, threads, feeds))
        return interleave([engine.turn for engine in opened], rounds)
    finally:
        for remote in opened:
            remote.close()


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
    times, cpu = time_engines(
        [(ENGINES[engine], path) for engine, path in named], threads, feeds, rounds
    )
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
    print(
        f"{args.rounds} interleaved rounds, a process an engine; ratio: times as fast as the first row"
    )
