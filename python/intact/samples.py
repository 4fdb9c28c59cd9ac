"""What calls take as samples: any iterable of {input name: array}, or DATA of the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from intact import _core

Sample = Mapping[str, npt.ArrayLike]
Samples = Iterable[Sample] | str | os.PathLike[str]
MakeSamples = Callable[[], Iterator[dict[str, Any]]]
PathOrModel = str | os.PathLike[str] | bytes | Any


def open_core(
    model: PathOrModel, threads: int = 0, cache_dir: str = "", fast_float: bool = False
) -> _core.Session:
    """Opens a path, bytes or an ``onnx.ModelProto``."""
    data = model_bytes(model)
    if data is not None:
        return _core.Session.open_bytes(data, "", threads, cache_dir, fast_float)
    return _core.Session.open_path(path_of(model), threads, cache_dir, fast_float)


def path_of(path: str | os.PathLike[str] | Any) -> str:
    """Returns the path as text. Raises TypeError for what is no path."""
    return os.fsdecode(path)


def model_bytes(model: PathOrModel) -> bytes | None:
    """Returns the model's bytes, or None when it is a path."""
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model)
    if hasattr(model, "SerializeToString"):
        return bytes(model.SerializeToString())
    return None


def _as_arrays(sample: Any) -> dict[str, Any]:
    if not isinstance(sample, Mapping):
        raise ValueError(
            f"a sample is a {type(sample).__name__}; give a dict of input name to array"
        )
    return {
        str(name): value if isinstance(value, str) else np.asarray(value, order="C")
        for name, value in sample.items()
    }


def _read(data: _core.Data) -> Iterator[dict[str, Any]]:
    data.restart()
    while (sample := data.next()) is not None:
        yield sample


def source(
    samples: Samples,
    model: Callable[[], _core.Session],
    images: str = "",
    const: Sequence[str] = (),
) -> MakeSamples:
    """Returns what makes a fresh iterator. Samples are read more than once, so an iterator that ends
    (a generator) is kept as a list; anything that can be iterated again is not."""
    if isinstance(samples, (str, os.PathLike)):
        data = _core.Data(os.fspath(samples), model(), images, list(const))
        return lambda: _read(data)
    if images or const:
        raise ValueError("images and const belong to DATA, a path; these samples are an iterable")
    again = list(samples) if iter(samples) is samples else samples
    return lambda: map(_as_arrays, iter(again))
