"""The pipeline of `quantize` changes no answer: each zoo model before and after it, in ONNX Runtime.

    zoo_equivalence.py BUILD_FOLDER

Every model of the zoo (../shared/zoo beside the repository, or $INTACT_ZOO) goes through
intact_pass_tool; the result must pass onnx.checker, load, have no more nodes than before, and give
outputs within 1e-4 of the largest, for two batch sizes where the batch is symbolic. The pipeline of
a session must run through. Exit code 77: nothing could be tested, and the text says why.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TOLERANCE = 1e-4  # Of the largest output; folding rounds each weight once more.


def skip(why: str) -> int:
    print(f"skipped: {why}")
    return 77


def feeds(session, batch: int, seed: int) -> dict:
    """Random inputs; symbolic sizes: the batch first, 192 for images, 16 for token sequences."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    rng = np.random.default_rng(seed)
    out = {}
    for x in session.get_inputs():
        other = 192 if len(x.shape) == 4 else 16
        shape = [
            d if isinstance(d, int) else batch if i == 0 else other for i, d in enumerate(x.shape)
        ]
        if "int64" in x.type:
            high = 2 if "mask" in x.name or "type" in x.name else 1000
            out[x.name] = rng.integers(1 if "mask" in x.name else 0, high, shape)
        elif len(x.shape) == 4:
            # A detector of text that sees none answers with values so small that they are nothing but
            # rounding.
            page = Image.new("L", (shape[3], shape[2]), 255)
            for row in range(0, shape[2], 28):
                text = "".join(rng.choice(list("ABCDEFGHKLMNPRSTUVXYZ"), 9))
                ImageDraw.Draw(page).text((2, row), text, fill=0, font=ImageFont.load_default(22))
            picture = np.broadcast_to(np.asarray(page, np.float32) / 127.5 - 1, shape)
            out[x.name] = (picture + 0.05 * rng.standard_normal(shape)).astype(np.float32)
        else:
            out[x.name] = rng.standard_normal(shape).astype(np.float32)
    return out


def open_session(path: str):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check(model: Path, tool: Path, work: Path) -> list[str]:
    import numpy as np
    import onnx

    after = work / model.name
    for mode in (["session"], ["quantize", str(after)]):
        done = subprocess.run([str(tool), str(model), *mode], capture_output=True, text=True)
        if done.returncode != 0:
            return [f"pass_tool {mode[0]}: {done.stderr.strip()}"]
    onnx.checker.check_model(str(after), full_check=True)
    before_nodes = sum(n.op_type != "Constant" for n in onnx.load(model).graph.node)
    after_nodes = len(onnx.load(after).graph.node)
    faults = [] if after_nodes <= before_nodes else [f"{before_nodes} nodes became {after_nodes}"]
    a, b = open_session(str(model)), open_session(str(after))
    if [o.name for o in a.get_outputs()] != [o.name for o in b.get_outputs()]:
        faults.append("the outputs have other names")
    worst = 0.0
    symbolic = any(not isinstance(x.shape[0], int) for x in a.get_inputs())
    for batch in (1, 3) if symbolic else (1,):
        x = feeds(a, batch, seed=batch)
        for name, p, q in zip((o.name for o in a.get_outputs()), a.run(None, x), b.run(None, x)):
            if not np.abs(p).max() > 1e-3:
                faults.append(f"output {name}, batch {batch}: no answer to compare")
            error = float(np.abs(p - q).max() / max(float(np.abs(p).max()), 1e-30))
            worst = max(worst, error)
            if p.shape != q.shape or not error <= TOLERANCE:
                faults.append(f"output {name}, batch {batch}: {error:.2g} of the largest")
    print(f"{model.stem}: {before_nodes} -> {after_nodes} nodes, error {worst:.1e}")
    return faults


def main() -> int:
    tool = Path(sys.argv[1]) / "intact_pass_tool"
    root = Path(__file__).resolve().parents[2]
    zoo = Path(os.environ.get("INTACT_ZOO", root.parent / "shared" / "zoo"))
    models = sorted((zoo / "models").glob("*.onnx"))
    if not models:
        return skip(f"no zoo at {zoo}")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import PIL  # noqa: F401
    except ImportError as error:
        return skip(f"{error}")
    failed = False
    with tempfile.TemporaryDirectory() as work:
        for model in models:
            for fault in check(model, tool, Path(work)):
                failed = True
                print(f"{model.stem}: {fault}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
