"""Calibration streams: the peak memory of quantize does not grow with the number of samples."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import zoo

NAME = "resnet20-cifar10"


def peak(data: Path, out: Path, method: str) -> int:
    """The peak resident memory of one quantize, in KiB, as the kernel counted it."""
    command = [str(zoo.CLI), "quantize", str(zoo.model(NAME)), "--data", str(data), "-o", str(out)]
    command += ["--effort", "0", "--range", method, "--threads", "1", "--force"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return usage.ru_maxrss


@pytest.mark.parametrize("method", ["minmax", "mse", "kl", "percentile=99.99"])
def test_peak_memory_is_that_of_few_samples(method: str, tmp_path: Path) -> None:
    zoo.need()
    out = tmp_path / "out.onnx"
    few, many = (zoo.write_samples(NAME, "calib", n, tmp_path) for n in (8, 400))
    # The lesser of two: where a page of a shared library or the allocator's arenas fall is chance.
    small = min(peak(few, out, method) for _ in range(2))
    large = min(peak(many, out, method) for _ in range(2))
    print(f"{method}: {small / 1024:.1f} MiB at 8 samples, {large / 1024:.1f} MiB at 400")
    assert large <= 1.02 * small
