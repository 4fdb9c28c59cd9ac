"""Compares the kernels' benchmarks with a stored baseline; run `make bench` first.

    python bench/compare.py [--update] [--baseline bench/baselines/LEVEL.json] [build/bench]

The cost of a kernel call is counted in multiply-adds that the reference loop of its level (peak_u8s8/LEVEL,
peak_f32/LEVEL) does in the same time, measured in the same run: a slower clock or machine cancels out. A row
of the same name that costs more than it did is listed; the exit status is 1 when one row is worse than
ROW_LIMIT, or the geometric mean of all worse than MEAN_LIMIT.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROW_LIMIT = 1.25
MEAN_LIMIT = 1.05

Costs = dict[str, float]


def reference_of(name: str) -> str:
    """gemm_u8s8/avx2 conv h=56 ... -> peak_u8s8/avx2; gemm_f32/avx512/m=49/... -> peak_f32/avx512"""
    kernel, level = name.split()[0].split("/")[:2]
    kind = "f32" if kernel.endswith("f32") else "u8s8"
    return f"peak_{kind}/{level}"


def read(folder: Path) -> Costs:
    """Cost by benchmark name, in thousands of reference multiply-adds; rows of levels without a reference
    are left out."""
    rows = [
        row
        for path in sorted(folder.glob("*.json"))
        for row in json.loads(path.read_text())["benchmarks"]
    ]
    rows = [row for row in rows if "error_occurred" not in row]
    rate = {row["name"]: row["GMAC/s"] for row in rows if row["name"].startswith("peak_")}
    scale = {"ns": 1.0, "us": 1e3, "ms": 1e6}
    return {
        row["name"]: row["real_time"]
        * scale[row["time_unit"]]
        * rate[reference_of(row["name"])]
        / 1e3
        for row in rows
        if not row["name"].startswith("peak_") and reference_of(row["name"]) in rate
    }


def compare(old: Costs, new: Costs) -> tuple[list[tuple[float, str]], float]:
    """Every row of both with its ratio of costs, worst first, and their geometric mean."""
    rows = sorted(((new[k] / old[k], k) for k in old.keys() & new.keys()), reverse=True)
    mean = math.exp(sum(math.log(r) for r, _ in rows) / len(rows)) if rows else 1.0
    return rows, mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path, nargs="?", default=ROOT / "build/bench")
    parser.add_argument("--baseline", type=Path, default=ROOT / "bench/baselines/avx512vnni.json")
    parser.add_argument("--update", action="store_true", help="make this run the baseline")
    args = parser.parse_args()
    new = read(args.results)
    if not new:
        sys.exit(f"compare: no benchmarks in {args.results}; run make bench")
    if args.update:
        args.baseline.parent.mkdir(exist_ok=True)
        rounded = {k: float(f"{v:.3g}") for k, v in sorted(new.items())}
        args.baseline.write_text(json.dumps(rounded, indent=0) + "\n")
        print(f"{args.baseline}: {len(new)} rows")
        return
    rows, mean = compare(json.loads(args.baseline.read_text()), new)
    for ratio, name in [r for r in rows if r[0] > ROW_LIMIT] or rows[:5]:
        print(f"{ratio:6.2f}x the cost  {name}")
    print(f"{len(rows)} rows, geometric mean {mean:.3f} of the baseline's cost")
    if mean > MEAN_LIMIT or (rows and rows[0][0] > ROW_LIMIT):
        sys.exit(1)


if __name__ == "__main__":
    main()
