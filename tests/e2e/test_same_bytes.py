"""One hash: the outputs are the same bytes on every instruction set, thread count and caller's state."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zoo


def digest(path: Path) -> str:
    """A hash of all arrays of an .npz: types, shapes and bytes."""
    h = hashlib.sha256()
    with np.load(path) as z:
        for key in sorted(z.files):
            h.update(f"{key}{z[key].dtype}{z[key].shape}".encode() + z[key].tobytes())
    return h.hexdigest()


def digests(model: Path, name: str, folder: Path) -> dict[str, str]:
    """The hash of the outputs in every setting."""
    feeds = folder / "feeds.npz"
    np.savez(feeds, **zoo.samples(name, "test", 1)[0])
    # Every instruction set once, each with another thread count in turn, then the caller's state.
    runs = [(isa, 1 + i % 2, False) for i, isa in enumerate(zoo.isas())]
    runs.append((zoo.isas()[-1], 1, False))
    runs.append((zoo.isas()[0], 2, False))
    if platform.machine() == "x86_64":
        runs += [(zoo.isas()[-1], 2, True), (zoo.isas()[0], 1, True)]
    found = {}
    for isa, threads, hostile in runs:
        out = folder / "out.npz"
        zoo.run_in_process(isa, model, feeds, out, threads, hostile)
        found[f"{isa}, {threads} threads{', hostile' if hostile else ''}"] = digest(out)
    return found


@pytest.mark.parametrize("name", zoo.parameters([*zoo.SMALL, "ad-autoencoder", *zoo.BIG]))
def test_float_outputs_are_the_same_bytes(name: str, tmp_path: Path) -> None:
    zoo.need()
    found = digests(zoo.model(name), name, tmp_path)
    assert len(found) >= 4 and len(set(found.values())) == 1, found


@pytest.mark.parametrize("name", zoo.parameters([*zoo.SMALL, *zoo.BIG]))
def test_integer_outputs_are_the_same_bytes(
    name: str, quantized: Callable[[str], Path], tmp_path: Path
) -> None:
    found = digests(quantized(name), name, tmp_path)
    assert len(found) >= 4 and len(set(found.values())) == 1, found
