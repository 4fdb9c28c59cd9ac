"""Where the zoo's models and samples are, and how to run the command line on them."""

from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
CLI = Path(os.environ.get("INTACT_CLI", ROOT / "build/release/bin/intact"))
RUNNER = Path(__file__).with_name("runner.py")

Feeds = dict[str, np.ndarray]

SMALL = ["resnet20-cifar10", "resnet8-cifar10", "mnist-cnn", "kws-dscnn", "vww-mobilenetv1-0.25-96"]
BIG = ["efficientnet-lite0", "nanodet-m-320", "nudenet-yolov8n-320", "ppocrv4-det", "minilm-l6-v2"]


def parameters(names: list[str]) -> list[object]:
    """Parameters of a test: the big models marked slow."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in BIG else n for n in names]


def folder() -> Path:
    """The zoo's folder, whether it is there or not. Work trees may lie one folder deeper."""
    chosen = os.environ.get("INTACT_ZOO")
    places = (
        [Path(chosen)] if chosen else [ROOT.parent / "shared/zoo", ROOT.parents[1] / "shared/zoo"]
    )
    return next((place for place in places if place.is_dir()), places[0])


def need() -> None:
    """Skips the test when there is no zoo."""
    if not (folder() / "models").is_dir() or not (folder().parent / "tools/samples.py").is_file():
        pytest.skip(f"no zoo of models at {folder()}: set INTACT_ZOO")
    if not CLI.exists():
        pytest.fail(f"{CLI} is not built")


def model(name: str) -> Path:
    """The float model."""
    return folder() / "models" / f"{name}.onnx"


def tool(name: str) -> ModuleType:
    """A module of the zoo's tools: samples, sqnr."""
    need()
    os.environ.setdefault("INTACT_ZOO", str(folder()))
    where = str(folder().parent / "tools")
    if where not in sys.path:
        sys.path.append(where)
    return importlib.import_module(name)


@functools.cache
def samples(name: str, part: str, count: int) -> list[Feeds]:
    """Real samples, batch 1; seeded noise for the autoencoder, for which the zoo has no data."""
    if name == "ad-autoencoder":
        rng = np.random.default_rng(11)
        return [{"input": rng.normal(size=(1, 640)).astype(np.float32)} for _ in range(count)]
    return list(tool("samples").samples(name, part, count))


def write_samples(name: str, part: str, count: int, where: Path) -> Path:
    """Writes samples for --data: one .npz, or a folder of them when their sizes differ."""
    feeds = samples(name, part, count)
    if len({tuple(a.shape for a in f.values()) for f in feeds}) == 1:
        path = where / f"{name}.{part}{count}.npz"
        np.savez(path, **{k: np.concatenate([f[k] for f in feeds]) for k in feeds[0]})
        return path
    path = where / f"{name}.{part}{count}"
    path.mkdir(exist_ok=True)
    for i, f in enumerate(feeds):
        np.savez(path / f"{i:05}.npz", **f)
    return path


def run(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command line."""
    return subprocess.run(
        [str(CLI), *map(str, arguments)],
        env={**os.environ, **(env or {})},
        text=True,
        capture_output=True,
    )


def intact(*arguments: object) -> str:
    """Runs the command line, which must succeed."""
    result = run(*arguments)
    assert result.returncode == 0, f"intact {arguments}: {result.returncode}\n{result.stderr}"
    return result.stdout


@functools.cache
def isas() -> list[str]:
    """The instruction sets to compare: those of this processor, scalar first."""
    if not CLI.exists():  # Asked while tests are collected: they fail for themselves.
        return ["scalar"]
    wanted = ["scalar", "avx2", "avxvnni", "avx512dot", "avx512vnni", "neon", "neondot"]
    return [i for i in wanted if run("host", env={"INTACT_ISA": i}).returncode == 0]


def run_in_process(
    isa: str, model: Path, feeds: Path, out: Path, threads: int = 1, hostile: bool = False
) -> None:
    """Runs a model, or each of a folder, in a process of its own; see runner.py."""
    result = subprocess.run(
        [sys.executable, str(RUNNER), str(model), str(feeds), str(out), str(threads)]
        + (["hostile"] if hostile else []),
        env={**os.environ, "INTACT_ISA": isa},
        text=True,
        capture_output=True,
    )
    assert result.returncode == 0, f"{isa}, {threads} threads: {result.stderr}"
