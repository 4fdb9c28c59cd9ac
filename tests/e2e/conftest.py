"""End-to-end tests: real models through the command line and the Python package.

They need the zoo (../shared/zoo or $INTACT_ZOO) for all but the adversarial models, and skip with a plain
reason without it. The big models are marked slow and run only with INTACT_SLOW=1 or `-m slow`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zoo


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("INTACT_SLOW") == "1" or "slow" in (config.option.markexpr or ""):
        return
    here = Path(__file__).parent
    skip = pytest.mark.skip(reason="a big model: set INTACT_SLOW=1 to run it")
    for item in items:
        if "slow" in item.keywords and here in Path(item.path).parents:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Quantizes a zoo model with default flags and 100 samples, once a test run."""
    folder = tmp_path_factory.mktemp("quantized")

    def make(name: str) -> Path:
        zoo.need()
        out = folder / f"{name}.int8.onnx"
        if not out.exists():
            data = zoo.write_samples(name, "calib", 100, folder)
            zoo.intact("quantize", zoo.model(name), "--data", data, "-o", out)
        return out

    return make
