"""What a session costs to open and to keep, each engine in a process of its own.

    python memory.py ENGINE PATH CASE THREADS      prints one JSON object

Growth is from just before opening, with the engine imported and the inputs in memory, to after the tenth
run. Opening ends when the session can be run; the first run is reported too, because some engines leave
work to it.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case, named

MODULES = {
    "intact": "intact",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "litert": "ai_edge_litert.interpreter",
}
# Opening is timed this often, the least counts: files are in the page cache.
OPENINGS = 5


def resident_bytes() -> dict[str, int]:
    """Resident memory of this process: all of it, and what no file stands behind."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    )
    kib = {k: int(v.split()[0]) for k, v in fields.items()}
    return {"rss": kib["Rss"] * 1024, "anonymous": kib["Anonymous"] * 1024}


def child(engine: str, path: str, case_name: str, threads: int) -> dict[str, Any]:
    import importlib

    import engines

    feeds = named(case_name).inputs()
    importlib.import_module(MODULES[engine])
    # Fixing ONNX Runtime's dimensions takes a second opening, to learn their names.
    fixed = None if engine == "onnxruntime" else feeds
    before = resident_bytes()
    start = time.perf_counter()
    session = engines.ENGINES[engine](path, threads, fixed)
    opened = time.perf_counter()
    session.run(feeds)
    first = time.perf_counter()
    for _ in range(9):
        session.run(feeds)
    after = resident_bytes()
    return {
        "open_ms": 1e3 * (opened - start),
        "open_and_run_ms": 1e3 * (first - start),
        **{f"{k}_bytes": after[k] - before[k] for k in after},
    }


def measure(
    case: Case, engines: list[str], precisions: list[str], threads: int = 1
) -> dict[str, Any]:
    """Returns, for each "engine precision", the least of each figure: what disturbs only adds."""
    import files

    found: dict[str, Any] = {}
    for precision, engine in itertools.product(precisions, engines):
        try:
            path = files.model_file(engine, case, precision)
        except files.MissingError:
            continue
        command = [sys.executable, __file__, engine, str(path), case.name, str(threads)]
        runs = []
        for _ in range(OPENINGS):
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, env=os.environ
            )
            runs.append(json.loads(done.stdout.splitlines()[-1]))
        found[f"{engine} {precision}"] = {k: float(np.min([r[k] for r in runs])) for k in runs[0]}
    return found


if __name__ == "__main__":
    print(json.dumps(child(*sys.argv[1:4], int(sys.argv[4]))))
