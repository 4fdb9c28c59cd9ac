"""The demo: an OCR recognizer from float to INT8, and whether it still reads.

Renders lines of known text, quantizes the model with default flags on some of them, reads the others
with both models, and prints what changed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from lines import as_input, rendered_lines

CALIBRATION_LINES = 100
EVALUATION_LINES = 1000  # So many that the difference is known to some 0.2 points.


def words_read(truth: list[str], read: list[str]) -> int:
    """Returns how many words of `truth` are read exactly and in order: their longest common subsequence."""
    best = [0] * (len(read) + 1)
    for word in truth:
        previous = 0
        for i, other in enumerate(read):
            previous, best[i + 1] = (
                best[i + 1],
                previous + 1 if word == other else max(best[i + 1], best[i]),
            )
    return best[-1]


class Reader:
    """A model with its character set."""

    def __init__(self, path: Path) -> None:
        import intact

        options = intact.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = intact.InferenceSession(path, options)
        self.input = self.session.get_inputs()[0].name
        characters = self.session.get_modelmeta().custom_metadata_map["character"].splitlines()
        self.characters = ["", *characters, " "]  # Class 0 is CTC's blank, the last one the space.

    def scores(self, x: Any) -> Any:
        return self.session.run(None, {self.input: x})[0]

    def read(self, x: Any) -> str:
        """Greedy CTC: the best class of each column, repetitions and blanks dropped."""
        classes = self.scores(x)[0].argmax(-1)
        kept = [
            c for c, before in zip(classes, [0, *classes[:-1]], strict=True) if c not in (0, before)
        ]
        return "".join(self.characters[c] for c in kept if c < len(self.characters))


def interval(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion, in percent."""
    z, p = 1.959964, hits / total
    centre, half = (
        p + z * z / (2 * total),
        z * np.sqrt(p * (1 - p) / total + z * z / (4 * total * total)),
    )
    return 100 * (centre - half) / (1 + z * z / total), 100 * (centre + half) / (1 + z * z / total)


def difference_interval(before: Any, after: Any, words: Any) -> tuple[float, float]:
    """95 % interval of the difference in points: bootstrap over lines, which both models read."""
    rng = np.random.default_rng(1)
    picks = rng.integers(0, len(words), (2000, len(words)))
    deltas = 100 * (after[picks] - before[picks]).sum(1) / words[picks].sum(1)
    low, high = np.percentile(deltas, [2.5, 97.5])
    return float(low), float(high)


def memory_mib(path: Path, out: Path) -> float:
    """Memory that a process grows by when it opens the model and runs it ten times."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import numpy as np, ocr\n"
        "def rss():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * 4096 / 2**20\n"
        "import intact; before = rss()\n"
        "from pathlib import Path\n"
        "r = ocr.Reader(Path(sys.argv[2])); x = np.zeros((1, 3, 48, 320), np.float32)\n"
        "for _ in range(10): r.scores(x)\n"
        "print(rss() - before)\n"
    )
    here = str(Path(__file__).resolve().parent)
    done = subprocess.run(
        [sys.executable, "-c", script, here, str(path)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def quantize(model: Path, out: Path, intact: Path) -> tuple[Path, dict[str, Any]]:
    """Runs the command line with default flags, unless the same was done before."""
    folder, quantized, report = (
        out / "calibration",
        out / "recognizer.int8.onnx",
        out / "quantize.json",
    )
    newest = max(model.stat().st_mtime, intact.stat().st_mtime)
    if quantized.exists() and report.exists() and quantized.stat().st_mtime > newest:
        print("quantized before, with this build; delete build/demo to do it again")
        return quantized, json.loads(report.read_text())
    folder.mkdir(exist_ok=True)
    for i, (picture, _) in enumerate(rendered_lines("calibration", CALIBRATION_LINES)):
        np.savez(folder / f"line{i:03d}.npz", x=as_input(picture))
    command = [
        str(intact),
        "quantize",
        str(model),
        "--data",
        str(folder),
        "-o",
        str(quantized),
        "--force",
    ]
    print(
        "$ " + " ".join(os.path.relpath(part) if os.path.sep in part else part for part in command),
        flush=True,
    )
    start = time.monotonic()
    subprocess.run([*command, "--json", str(report)], check=True)
    print(f"took        {time.monotonic() - start:.1f} s\n", flush=True)
    return quantized, json.loads(report.read_text())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--intact", type=Path, required=True)
    flags = parser.parse_args()
    model = flags.out / "recognizer.onnx"
    quantized, report = quantize(model, flags.out, flags.intact)

    readers = {"FP32": Reader(model), "INT8": Reader(quantized)}
    hits: dict[str, list[int]] = {name: [] for name in readers}
    words: list[int] = []
    latency: dict[str, list[float]] = {name: [] for name in readers}
    same_lines = 0
    for picture, text in rendered_lines("evaluation", EVALUATION_LINES):
        x, read = as_input(picture), {}
        words.append(len(text.split()))
        for (
            name,
            reader,
        ) in readers.items():  # Side by side, so that a noisy machine disturbs both alike.
            start = time.perf_counter()
            read[name] = reader.read(x)
            latency[name].append(time.perf_counter() - start)
            hits[name].append(words_read(text.split(), read[name].split()))
        same_lines += read["FP32"] == read["INT8"]

    total = sum(words)
    result: dict[str, Any] = {
        "words": total,
        "lines": EVALUATION_LINES,
        "verdict": report["verdict"],
    }
    print(
        f"{EVALUATION_LINES} rendered lines, {total} words, one thread{'':<14}{'FP32':>16}{'INT8':>16}"
    )
    accuracy = {name: 100 * sum(h) / total for name, h in hits.items()}
    spans = {name: interval(sum(h), total) for name, h in hits.items()}
    row = "{:<46}{:>16}{:>16}"
    print(row.format("words read exactly", *(f"{accuracy[n]:.2f} %" for n in readers)))
    print(row.format("  95 % interval", *(f"{lo:.1f} to {hi:.1f}" for lo, hi in spans.values())))
    median = {n: 1e3 * float(np.median(t)) for n, t in latency.items()}
    print(row.format("latency, median of a line", *(f"{median[n]:.2f} ms" for n in readers)))
    size = {"FP32": model.stat().st_size / 2**20, "INT8": quantized.stat().st_size / 2**20}
    print(row.format("file", *(f"{size[n]:.2f} MiB" for n in readers)))
    memory = {"FP32": memory_mib(model, flags.out), "INT8": memory_mib(quantized, flags.out)}
    print(row.format("memory, growth of the process", *(f"{memory[n]:.0f} MiB" for n in readers)))
    change = accuracy["INT8"] - accuracy["FP32"]
    low, high = difference_interval(np.array(hits["FP32"]), np.array(hits["INT8"]), np.array(words))
    print(
        f"\ndifference {change:+.2f} points (95 % interval {low:+.2f} to {high:+.2f}); "
        f"{100 * same_lines / EVALUATION_LINES:.1f} % of the lines read the same"
    )
    speed = float(np.median(np.array(latency["FP32"]) / np.array(latency["INT8"])))
    print(
        f"INT8 is {speed:.2f} times as fast and {size['INT8'] / size['FP32']:.2f} times the size; "
        f"verdict of quantize: {report['verdict']}"
    )
    result |= {
        "accuracy": accuracy,
        "difference": change,
        "difference_interval": [low, high],
        "median_ms": median,
        "speedup": speed,
        "file_mib": size,
        "memory_mib": memory,
    }
    (flags.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"\nleft behind: {quantized}, {flags.out / 'quantize.json'}, {flags.out / 'result.json'}")
    print("on a model of your own: build/release/bin/intact quantize model.onnx --data samples/")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
