"""Times quantize against the float inference of the same samples and ONNX Runtime's static quantization.

    python bench/quantize.py MODEL.onnx SAMPLES.npz [--rounds 3] [--intact build/release/bin/intact]

Whole processes in interleaved rounds: the median time, and the least peak of resident memory. ONNX
Runtime (of the Python that runs this) is timed from behind its imports; its min and max, its defaults.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

PEER = """
import sys, time
import numpy as np
from onnxruntime.quantization import CalibrationDataReader, quantize_static

model, data, out = sys.argv[1:]
samples = dict(np.load(data))

class Reader(CalibrationDataReader):
    at = 0
    def get_next(self):
        n, self.at = self.at, self.at + 1
        feeds = {k: v[n : n + 1] for k, v in samples.items()}
        return feeds if all(map(len, feeds.values())) else None

start = time.perf_counter()
quantize_static(model, out, Reader())
print(time.perf_counter() - start)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("samples")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--intact", default="build/release/bin/intact")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = ["--data", options.samples, "--force", "-o"]
        quantize = [options.intact, "quantize", options.model, *data, f"{folder}/q.onnx"]
        commands = {"float inference": [options.intact, "run", options.model, *data, f"{folder}/y"]}
        for method in ("minmax", "kl", "mse"):
            commands[f"effort 0, {method}"] = [*quantize, "--effort", "0", "--range", method]
        commands["default effort"] = quantize
        peer = [sys.executable, "-c", PEER, options.model, options.samples, f"{folder}/peer.onnx"]
        commands["ONNX Runtime, min and max"] = peer
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                start = time.perf_counter()
                child = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
                assert child.stdout is not None
                told = child.stdout.read()
                _, status, usage = os.wait4(child.pid, 0)
                if status:
                    raise SystemExit(f"{name}: exit status {os.waitstatus_to_exitcode(status)}")
                seconds = time.perf_counter() - start
                if command is peer:
                    seconds = float(told.splitlines()[-1])
                found[name].append((seconds, usage.ru_maxrss / 1024))
    for name, runs in found.items():
        seconds = statistics.median(r[0] for r in runs)
        print(f"{name:26} {seconds:7.3f} s {min(r[1] for r in runs):7.1f} MiB")


if __name__ == "__main__":
    main()
