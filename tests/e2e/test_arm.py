"""Whole models give the same bytes on 64-bit ARM, emulated, as on this processor.

The aarch64 stage of scripts/check.py builds the program and runs this; elsewhere it skips.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zoo

PROGRAM = "tests/portable/intact_hash_outputs"
HERE = zoo.ROOT / "build/release" / PROGRAM
ARM = zoo.ROOT / "build/aarch64" / PROGRAM
EMULATOR = "qemu-aarch64-static"


def hash_of(*command: object, isa: str = "") -> str:
    done = subprocess.run(
        [str(c) for c in command],
        env={**os.environ, "INTACT_ISA": isa},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(
    not ARM.exists() or shutil.which(EMULATOR) is None, reason="not built: scripts/check.py aarch64"
)
@pytest.mark.parametrize("name", ["kws-dscnn", "resnet8-cifar10"])
def test_same_bytes_on_arm(name: str, quantized: Callable[[str], Path]) -> None:
    zoo.need()
    for model in (zoo.model(name), quantized(name)):
        want = hash_of(HERE, model, 1)
        assert hash_of(HERE, model, 2) == want
        for isa in ("neondot", "neon", "scalar"):
            for threads in (1, 2):
                got = hash_of(EMULATOR, "-cpu", "max", ARM, model, threads, isa=isa)
                assert got == want, f"{model.name}, {isa}, {threads} threads"
        print(f"{model.name}: {want} here and on ARM (neondot, neon, scalar; 1 and 2 threads)")
