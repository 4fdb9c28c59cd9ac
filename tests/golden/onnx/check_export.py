"""What intact writes is judged by onnx.checker and ONNX Runtime.

    check_export.py ROUND_TRIP_PROGRAM [ZOO]

Each model (models.py, and those of the zoo where it is) is read and written by intact. The result must
pass onnx.checker with full_check, give the same bytes as the original in ONNX Runtime with its graph
optimizations off, and keep names, doc strings and metadata.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from models import all_models
except ImportError as missing:
    print(f"[  SKIPPED ] {missing}: the packages of scripts/requirements.txt are needed")
    sys.exit(SKIPPED)

SIZES = {"height": 320, "width": 320, "S": 16}


def feeds(session: ort.InferenceSession) -> dict[str, np.ndarray]:
    """Seeded inputs of the shapes that a session asks for."""
    rng = np.random.default_rng(7)
    made = {}
    for i in session.get_inputs():
        batch = [2] + [64] * (len(i.shape) - 1)
        shape = [d if isinstance(d, int) else SIZES.get(d, batch[k]) for k, d in enumerate(i.shape)]
        if "int64" in i.type:
            made[i.name] = rng.integers(0, 2, shape)
        elif "bool" in i.type:
            made[i.name] = rng.integers(0, 2, shape).astype(bool)
        else:
            made[i.name] = rng.standard_normal(shape).astype(np.float32)
    return made


def run(path: Path, inputs: dict[str, np.ndarray] | None) -> tuple[dict, list[np.ndarray]]:
    """The inputs and outputs of a model as it stands in the file."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    chosen = feeds(session) if inputs is None else inputs
    return chosen, session.run(None, chosen)


def described(m: onnx.ModelProto) -> dict[str, object]:
    """What must survive."""
    initializers = {t.name for t in m.graph.initializer}
    constants = {n.output[0] for n in m.graph.node if n.op_type == "Constant"}
    return {
        "producer": (m.producer_name, m.producer_version, m.domain, m.model_version, m.doc_string),
        "graph": (m.graph.name, m.graph.doc_string),
        "metadata": {p.key: p.value for p in m.metadata_props},
        "opsets": {o.domain: o.version for o in m.opset_import},
        "constants": initializers | constants,
        "inputs": [i.SerializeToString() for i in m.graph.input if i.name not in initializers],
        "outputs": [o.SerializeToString() for o in m.graph.output],
        "nodes": [
            (n.name, n.doc_string, n.op_type, list(n.input), list(n.output))
            for n in m.graph.node
            if n.op_type != "Constant"
        ],
    }


def check(program: str, source: Path, folder: Path, *, external: bool) -> list[str]:
    """What is wrong with intact's version of one model."""
    target = folder / ("external.onnx" if external else "whole.onnx")
    options = ["--external"] if external else []
    result = subprocess.run(
        [program, str(source), str(target), *options], text=True, capture_output=True
    )
    if result.returncode != 0:
        return [result.stderr.strip()]
    wrong = []
    try:
        onnx.checker.check_model(str(target), full_check=True)
    except Exception as error:  # Whatever the checker says is the finding.
        wrong.append(f"onnx.checker: {error}")
    inputs, wanted = run(source, None)
    _, given = run(target, inputs)
    wrong += [
        f"output {i} differs"
        for i, (a, b) in enumerate(zip(wanted, given, strict=True))
        if a.dtype != b.dtype or a.tobytes() != b.tobytes()
    ]
    before = onnx.load(str(source))
    after = onnx.load(str(target))
    if not before.functions:  # Functions are inlined: other nodes, other names.
        a, b = described(before), described(after)
        wrong += [f"{key}: {a[key]!r} became {b[key]!r}"[:500] for key in a if a[key] != b[key]]
    return wrong


def main() -> int:
    """Checks all models; 1 when something is wrong."""
    program = sys.argv[1]
    zoo = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = []
        for title, m in all_models():
            sources.append(folder / f"{title}.onnx")
            path = str(sources[-1])
            if title == "external":
                onnx.save(m, path, save_as_external_data=True, location="w.bin", size_threshold=0)
            else:
                onnx.save(m, path)
        if zoo is not None and (zoo / "models").is_dir():
            sources += sorted((zoo / "models").glob("*.onnx"))
        else:
            print("the models of the zoo are skipped: it is not there")
        for source in sources:
            for external in (False, True):
                wrong = check(program, source, folder, external=external)
                failures += len(wrong)
                how = " with external data" if external else ""
                print(f"{source.stem}{how}: {'; '.join(wrong) or 'the same'}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
