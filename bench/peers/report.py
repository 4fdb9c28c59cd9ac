"""Writes docs/benchmarks.md and docs/benchmarks.svg from the results that are kept."""

from __future__ import annotations

import datetime
import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
import table
from cases import CASES, Case, named
from engines import PEERS

from intact import __version__

TITLES = {
    "intact": "intact",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "litert": "LiteRT",
}
PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "litert": "ai-edge-litert"}
QUANTIZERS = {"NNCF": "nncf", "ai-edge-quantizer": "ai-edge-quantizer"}


def timed(case: Case, threads: int) -> dict[str, Any]:
    rows: dict[str, Any] = table.load(case).get(f"threads_{threads}", {})
    return rows


def against(
    case: Case, threads: int, ours: str, precision: str
) -> tuple[float, float, float, str] | None:
    """Ratio, its interval, and which peer is the best of that precision."""
    rows = timed(case, threads)
    peer = table.best_peer(rows, precision)
    if peer is None or table.median_ms(rows, ours) is None:
        return None
    return *table.ratio(rows, f"{peer} {precision}", ours), peer


def geometric_mean(ratios: list[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))


def memory(case: Case, key: str) -> dict[str, float]:
    row: dict[str, float] = table.load(case).get("memory", {}).get(key, {})
    return row


def opening() -> list[str]:
    """The three sentences: what those systems do for their users, and what this one does."""
    lite, mobile, yolo = named("efficientnet"), named("mobilenetv2"), named("yolov8n")
    said = []
    speed = against(lite, 1, "intact int8", "fp32")
    if speed:
        said.append(
            f"EfficientNet-lite0 in INT8 runs {speed[0]:.2f} times as fast as the best FP32 engine "
            f"({TITLES[speed[3]]}) at one thread, where TensorFlow Lite promises 2 times."
        )
    int8, fp32 = memory(mobile, "intact int8"), memory(mobile, "onnxruntime fp32")
    if int8 and fp32:
        saved = 100 * (1 - int8["rss_bytes"] / fp32["rss_bytes"])
        said.append(
            f"MobileNetV2 in INT8 takes {int8['rss_bytes'] / 2**20:.1f} MiB of memory, "
            f"{saved:.0f} % less than in FP32 with ONNX Runtime ({fp32['rss_bytes'] / 2**20:.1f} MiB), "
            "where PyTorch Mobile promises 40 % less."
        )
    speed = against(yolo, 1, "intact int8", "fp32")
    if speed:
        said.append(
            f"YOLOv8n in INT8 is {100 * (speed[0] - 1):.0f} % faster than the best FP32 engine "
            f"({TITLES[speed[3]]}), where TensorRT promises 30 %."
        )
    return said


def summary() -> list[str]:
    lines = [
        "| geometric mean over the models, ours against | 1 thread | models behind | 2 threads | models behind |",
        "| --- | --- | --- | --- | --- |",
    ]
    for heading, ours, precision in table.COMPARISONS:
        cells = []
        for threads in table.THREADS:
            found = [against(case, threads, ours, precision) for case in CASES]
            ratios = [f[0] for f in found if f]
            behind = sum(r < 1 for r in ratios)
            cells += [f"**{geometric_mean(ratios):.2f}x**", f"{behind} of {len(ratios)}"]
        lines.append(f"| {heading} | {' | '.join(cells)} |")
    return lines


def times(heading: str, ours: str, precision: str, threads: int) -> list[str]:
    lines = [
        f"### {heading}, {threads} thread{'s' if threads > 1 else ''}",
        "",
        f"| model | intact | {' | '.join(TITLES[p] for p in PEERS)} | times as fast as the best |",
        "| --- | ---: | " + "---: | " * len(PEERS) + "--- |",
    ]
    for case in CASES:
        rows, known = timed(case, threads), table.load(case)
        found = against(case, threads, ours, precision)
        if found is None:
            continue
        middle, low, high, best = found
        cells = []
        for peer in PEERS:
            ms = table.median_ms(rows, f"{peer} {precision}")
            mark = table.mark(known, peer).strip() if precision == "int8" else ""
            cell = "" if ms is None else f"{ms:.3g}{mark and ' ' + mark}"
            cells.append(f"**{cell}**" if peer == best else cell)
        verdict = f"{middle:.2f} [{low:.2f}, {high:.2f}]" + ("" if middle >= 1 else " **behind**")
        lines.append(
            f"| {case.title} | {table.median_ms(rows, ours):.3g} | {' | '.join(cells)} | {verdict} |"
        )
    return [*lines, ""]


def qualities() -> list[str]:
    lines = [
        "| SQNR of the INT8 file, dB | intact | " + " | ".join(TITLES[p] for p in PEERS) + " |",
        "| --- | ---: | " + "---: | " * len(PEERS),
    ]
    for case in CASES:
        known = table.load(case).get("sqnr_db", {})
        cells = [f"{known[e]:.1f}" if e in known else "" for e in ("intact", *PEERS)]
        lines.append(f"| {case.title} | {' | '.join(cells)} |")
    return lines


def memories() -> list[str]:
    lines = [
        "| one thread | open, ms | open and first run, ms | memory, MiB | share of ONNX Runtime's INT8 |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for case in CASES:
        base = memory(case, "onnxruntime int8")
        for key, row in table.load(case).get("memory", {}).items():
            engine, precision = key.split()
            share = row["rss_bytes"] / base["rss_bytes"] if base else float("nan")
            lines.append(
                f"| {case.title}, {TITLES[engine]} {precision.upper()} | {row['open_ms']:.1f} | "
                f"{row['open_and_run_ms']:.1f} | {row['rss_bytes'] / 2**20:.1f} | {share:.2f} |"
            )
    return lines


def missing() -> list[str]:
    found: dict[str, str] = {}
    for case in CASES:
        for key, row in timed(case, 1).items():
            if "missing" in row:
                found[f"{case.title}, {TITLES[key.split()[0]]}"] = row["missing"]
    return [f"- {what}: {why}." for what, why in found.items()]


def processor() -> str:
    fields = dict(
        (part.strip() for part in line.split(":", 1))
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if ":" in line
    )
    words = set(fields.get("flags", "").split())
    isa = "AVX512-VNNI" if "avx512_vnni" in words else "AVX2" if "avx2" in words else "no AVX2"
    return f"{fields.get('model name', 'unknown processor')}, {isa}, 2 cores of a virtual machine"


def chart(path: Path) -> None:
    """Bars of INT8 against the best INT8 and the best FP32 of the others, on a logarithmic scale."""
    bars = [
        (1, "int8", "#1f6f8b", "best INT8, 1 thread"),
        (2, "int8", "#7fb7c9", "best INT8, 2 threads"),
        (1, "fp32", "#b5651d", "best FP32, 1 thread"),
        (2, "fp32", "#e2b48a", "best FP32, 2 threads"),
    ]
    left, width, bar, gap = 240, 600, 11, 12
    low, high = 0.1, 5.0
    row = len(bars) * bar + gap
    height = 90 + row * len(CASES)

    def x_of(ratio: float) -> float:
        position = np.log(np.clip(ratio, low, high) / low) / np.log(high / low)
        return float(left + width * position)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 70} {height}" '
        'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12">',
        "<title>INT8 in intact: times as fast as the best of the others</title>",
        f'<rect width="{left + width + 70}" height="{height}" fill="#ffffff"/>',
        '<text x="12" y="22" font-size="15" font-weight="bold">INT8 in intact: times as fast as the best '
        "of ONNX Runtime, OpenVINO and LiteRT</text>",
    ]
    for i, (_, _, colour, label) in enumerate(bars):
        x = 12 + i * 215
        out.append(f'<rect x="{x}" y="36" width="12" height="12" fill="{colour}"/>')
        out.append(f'<text x="{x + 18}" y="47">against the {label}</text>')
    for tick in (0.1, 0.2, 0.5, 1, 2, 4):
        x = x_of(tick)
        strong = "#333" if tick == 1 else "#ddd"
        out.append(
            f'<line x1="{x:.1f}" y1="58" x2="{x:.1f}" y2="{height - 24}" stroke="{strong}"/>'
        )
        out.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{tick:g}x</text>')
    for i, case in enumerate(CASES):
        y = 62 + i * row
        out.append(
            f'<text x="{left - 8}" y="{y + row / 2 - 2:.1f}" text-anchor="end">{case.title}</text>'
        )
        for j, (threads, precision, colour, _) in enumerate(bars):
            found = against(case, threads, "intact int8", precision)
            if found is None:
                continue
            a, b = sorted((x_of(1), x_of(found[0])))
            out.append(
                f'<rect x="{a:.1f}" y="{y + j * bar}" width="{b - a:.1f}" height="{bar - 1}" fill="{colour}"/>'
                f'<text x="{b + 4:.1f}" y="{y + j * bar + 9}" font-size="10">{found[0]:.2f}</text>'
            )
    path.write_text("\n".join([*out, "</svg>", ""]), encoding="utf-8")


def versions() -> str:
    parts = [f"intact {__version__}"]
    for name, package in [*((TITLES[p], PACKAGES[p]) for p in PEERS), *QUANTIZERS.items()]:
        try:
            parts.append(f"{name} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            parts.append(f"{name} not installed")
    return ", ".join(parts)


def write(docs: Path) -> None:
    chart(docs / "benchmarks.svg")
    parts = [
        "# How fast, how large, against whom",
        "",
        " ".join(opening()),
        "",
        "![INT8 in intact against the best of the others](benchmarks.svg)",
        "",
        *summary(),
        "",
        '"Best" is the fastest of the three others on that model. Batch 1, float input and output, milliseconds, median',
        "of 20 interleaved rounds; ratios are medians of the ratio inside a round, with their 95 % interval. Rows where",
        "intact is behind say so. `+` and `-`: this INT8 file's output SQNR is more than 1 dB better or worse than ours.",
        "",
        f"{processor()}; {datetime.date.today().isoformat()}; {versions()}.",
        "",
        "## Latency",
        "",
    ]
    for heading, ours, precision in table.COMPARISONS:
        for threads in table.THREADS:
            parts += times(heading, ours, precision, threads)
    parts += [
        "## Quality of the INT8 files",
        "",
        "The worst output on 24 samples that calibration never saw, against the float model in ONNX Runtime.",
        "",
        *qualities(),
        "",
        "## Opening and memory",
        "",
        "Memory: growth of the resident process from just before opening to after the tenth run, the engine imported",
        "beforehand; each engine in a process of its own, the least of five.",
        "",
        *memories(),
        "",
        "## Missing",
        "",
        *missing(),
        "",
        "## How it is measured",
        "",
        "`make bench-peers`, or `build/venv/bin/python bench/peers MODEL`; [bench/README.md](../bench/README.md) says what",
        "makes it fair. Each engine has its fastest documented settings and its cheapest call, and its project's own",
        "quantizer with documented defaults on the same 100 samples. An engine has a process; at two threads each of its",
        "threads has a core. OpenVINO's FP32 is FP32: left alone it would compute in BF16. ResNet-50 and MobileNetV2 have",
        "seeded weights (bench/models.py); ONNX Runtime's MiniLM is quantized dynamically, as its documentation",
        "recommends for transformers.",
        "",
    ]
    (docs / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")
