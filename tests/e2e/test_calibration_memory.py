"""Calibration streams: the peak memory of quantize does not grow with the number of samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import zoo

# A process's peak counts what it was before exec: a fork of whoever started it. Hence a starter that
# is smaller than what it measures. Where shared libraries fall decides how many of their pages come
# in with a fault: they fall in one place where the system allows it (personality's
# ADDR_NO_RANDOMIZE).
STARTER = """
import ctypes, os, sys
ctypes.CDLL(None).personality(0x0040000)
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[
    (os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)])
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


def peak(model: Path, data: Path, out: Path, *flags: str) -> int:
    """The peak resident memory of one quantize, in KiB, as the kernel counted it."""
    command = [str(zoo.CLI), "quantize", str(model), "--data", str(data), "-o", str(out)]
    command += [*flags, "--force"]
    starter = [sys.executable, "-I", "-S", "-c", STARTER, *command]
    told = subprocess.run(starter, capture_output=True, text=True, check=True).stdout
    code, kib = map(int, told.split())
    assert code == 0
    return kib


def expect_constant(name: str, many: int, folder: Path, runs: int, *flags: str) -> None:
    zoo.need()
    out = folder / "out.onnx"
    data = {n: zoo.write_samples(name, "calib", n, folder) for n in (8, many)}
    # The least of some runs: which of two threads makes what, each in a heap of its own, is chance.
    peaks = {n: min(peak(zoo.model(name), data[n], out, *flags) for _ in range(runs)) for n in data}
    print(", ".join(f"{peaks[n] / 1024:.1f} MiB at {n} samples" for n in peaks))
    assert peaks[many] <= 1.02 * peaks[8]


@pytest.mark.parametrize("method", ["minmax", "mse", "kl", "percentile=99.99"])
def test_peak_memory_is_that_of_few_samples(method: str, tmp_path: Path) -> None:
    flags = ("--threads", "1", "--effort", "0", "--range", method)
    expect_constant("resnet20-cifar10", 400, tmp_path, 5, *flags)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("many", [100, 800])
def test_so_is_that_of_a_fit(many: int, threads: int, tmp_path: Path) -> None:
    expect_constant("resnet8-cifar10", many, tmp_path, 10, "--threads", str(threads))
