"""Keeps results, one JSON file a model, and shows them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from cases import CASES, WORK, Case
from engines import PEERS
from intact.benchmark import ratio_of

THREADS = (1, 2)
MARK_DB = 1.0


def keep(case: Case, part: str, value: Any) -> None:
    """Rows that are measured again replace their like."""
    known = load(case)
    known.setdefault(part, {}).update(value)
    path = WORK / "results" / f"{case.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known))


def load(case: Case) -> dict[str, Any]:
    path = WORK / "results" / f"{case.name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def load_all() -> dict[str, Any]:
    return {c.name: load(c) for c in CASES}


def median_ms(rows: dict[str, Any], key: str) -> float | None:
    times = rows.get(key, {}).get("ms")
    return float(np.median(times)) if times else None


def best_peer(rows: dict[str, Any], precision: str) -> str | None:
    known = {p: median_ms(rows, f"{p} {precision}") for p in PEERS}
    timed = {p: ms for p, ms in known.items() if ms is not None}
    return min(timed, key=timed.__getitem__) if timed else None


def ratio(rows: dict[str, Any], slower: str, faster: str) -> tuple[float, float, float]:
    """How many times as fast `faster` is, with its interval."""
    a, b = (np.array(rows[k]["ms"]) for k in (slower, faster))
    n = min(len(a), len(b))
    return ratio_of(a[-n:], b[-n:])


# What is compared: heading, ours, precision of the peers.
COMPARISONS = [
    ("INT8 against the best INT8", "intact int8", "int8"),
    ("INT8 against the best FP32", "intact int8", "fp32"),
    ("FP32 against the best FP32", "intact fp32", "fp32"),
]


def text(cases: list[Case]) -> str:
    lines = []
    for threads in THREADS:
        for heading, ours, precision in COMPARISONS:
            rows = []
            ratios = []
            for case in cases:
                known = load(case)
                timed = known.get(f"threads_{threads}", {})
                peer = best_peer(timed, precision)
                if peer is None or median_ms(timed, ours) is None:
                    continue
                middle, low, high = ratio(timed, f"{peer} {precision}", ours)
                ratios.append(middle)
                rows.append(
                    f"{case.title:<32}{median_ms(timed, ours):>9.3f}"
                    + "".join(cell(timed, known, p, precision) for p in PEERS)
                    + f"{middle:>7.2f}x [{low:.2f}, {high:.2f}]"
                    + ("" if middle >= 1 else "  LOSES")
                )
            if not rows:
                continue
            lines.append(f"{heading}, {threads} thread{'s' if threads > 1 else ''}: ms, median")
            lines.append(
                f"{'':<32}{'intact':>9}" + "".join(f"{p:>13} " for p in PEERS) + "  ratio [95 %]"
            )
            lines += rows
            mean = float(np.exp(np.mean(np.log(ratios))))
            lines += [f"{'geometric mean':<32}{'':>51}{mean:>7.2f}x", ""]
    lines.append(
        f"+ and -: this INT8 file's SQNR is more than {MARK_DB:g} dB better or worse than ours"
    )
    missing = [
        f"{case.title}: {engine}: {row['missing']}"
        for case in cases
        for engine, row in load(case).get("threads_1", {}).items()
        if "missing" in row
    ]
    return "\n".join(lines + missing)


def cell(timed: dict[str, Any], known: dict[str, Any], peer: str, precision: str) -> str:
    ms = median_ms(timed, f"{peer} {precision}")
    if ms is None:
        return f"{'':>14}"
    return f"{ms:>13.3f}{mark(known, peer) if precision == 'int8' else ' '}"


def mark(known: dict[str, Any], peer: str) -> str:
    """Whether the peer's INT8 file is of another quality than ours."""
    quality = known.get("sqnr_db", {})
    if peer not in quality or "intact" not in quality:
        return " "
    difference = quality[peer] - quality["intact"]
    return "+" if difference > MARK_DB else "-" if difference < -MARK_DB else " "


def memory_text(cases: list[Case]) -> str:
    lines = [
        f"{'1 thread':<32}{'engine':<18}{'open ms':>9}{'+ run ms':>10}{'growth MiB':>12}{'anonymous':>11}"
    ]
    for case in cases:
        for engine, row in load(case).get("memory", {}).items():
            lines.append(
                f"{case.title:<32}{engine:<18}{row['open_ms']:>9.1f}{row['open_and_run_ms']:>10.1f}"
                f"{row['rss_bytes'] / 2**20:>12.1f}{row['anonymous_bytes'] / 2**20:>11.1f}"
            )
    return "\n".join(lines)
