"""Compares intact with ONNX Runtime, OpenVINO and LiteRT: same models, inputs, threads and caller.

    python bench/peers [MODEL ...] [--rounds 20] [--threads 1,2] [--precision int8,fp32]

Each engine's session of a model has a process; all run one loop. A round lets each run once, in an order
that rotates, so that whatever disturbs the machine disturbs all of them; what is compared are ratios
inside a round. Results are kept, one JSON file a model, and the table shows all there are.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def in_peers_venv() -> None:
    """Goes on in the interpreter that has the peers, making it when there is none."""
    if importlib.util.find_spec("nncf") and importlib.util.find_spec("openvino"):
        return
    root = HERE.parents[1]
    work = Path(os.environ.get("INTACT_PEERS", root / "build/peers"))
    subprocess.run([HERE / "venv", work], check=True)
    package = root / "build/release/python"
    path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    python = work / "venv/bin/python"
    os.execve(python, [python, HERE, *sys.argv[1:]], {**os.environ, "PYTHONPATH": path})


def main() -> None:
    parser = argparse.ArgumentParser(prog="peers", description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", help="part of a name; all without one")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--precision", default="int8,fp32")
    parser.add_argument("--engines", default="intact,onnxruntime,openvino,litert")
    parser.add_argument("--make", action="store_true", help="only make the quantized files")
    parser.add_argument("--fresh", action="store_true", help="quantize with intact again first")
    parser.add_argument("--memory", action="store_true", help="memory and opening times instead")
    parser.add_argument("--report", action="store_true", help="write docs/benchmarks.md and .svg")
    parser.add_argument("--table", action="store_true", help="only show what is there")
    args = parser.parse_args()
    in_peers_venv()

    import files
    import measure
    import memory
    import report
    import table
    from cases import CASES, WORK, named

    cases = [named(word) for word in args.models] or CASES
    engines = args.engines.split(",")
    precisions = args.precision.split(",")
    if args.report:
        report.write(HERE.parents[1] / "docs")
        return
    for case in cases if not args.table else []:
        if args.fresh:
            files.forget("intact", case)
        if args.make:
            for engine in engines:
                for precision in precisions:
                    try:
                        print(files.model_file(engine, case, precision))
                    except files.MissingError as e:
                        print(f"{engine} {case.name} {precision}: {e}")
        elif args.memory:
            table.keep(case, "memory", memory.measure(case, engines, precisions))
        else:
            table.keep(case, "sqnr_db", measure.sqnr(case, engines))
            for threads in map(int, args.threads.split(",")):
                rows = measure.rounds(case, engines, precisions, threads, args.rounds)
                table.keep(case, f"threads_{threads}", rows)
    if not args.make:
        print(table.memory_text(cases) if args.memory else table.text(cases))
        (WORK / "results.json").write_text(json.dumps(table.load_all(), indent=1))


if __name__ == "__main__":
    main()
