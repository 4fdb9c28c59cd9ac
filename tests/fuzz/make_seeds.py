"""Writes the seeds of fuzz_onnx: small models of tests/golden/onnx/models.py, and damaged ones.

make_seeds.py [FOLDER]      default: tests/fuzz/corpus/onnx beside this file
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "golden/onnx"))

import onnx  # noqa: E402
from models import all_models, nested_if  # noqa: E402
from onnx import helper  # noqa: E402


def damaged() -> list[tuple[str, bytes]]:
    """Models that must be refused."""
    cycle = nested_if()
    cycle.graph.node[0].input[0] = cycle.graph.node[-1].output[0]
    missing = nested_if()
    missing.graph.node[0].input[0] = "gone"
    huge = nested_if()
    huge.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1 << 62
    outside = nested_if()
    weight = outside.graph.initializer[0]
    weight.ClearField("float_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, text in (("location", "../w.bin"), ("offset", "0"), ("length", "8")):
        entry = weight.external_data.add()
        entry.key, entry.value = key, text
    sparse = nested_if()
    sparse.graph.sparse_initializer.add().values.CopyFrom(
        helper.make_tensor("s", onnx.TensorProto.FLOAT, [1], [1.0])
    )
    models = {
        "cycle": cycle,
        "missing": missing,
        "huge": huge,
        "outside": outside,
        "sparse": sparse,
    }
    return [(f"bad_{name}", m.SerializeToString()) for name, m in models.items()]


def main() -> None:
    """Writes all seeds."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "corpus/onnx"
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [(name, m.SerializeToString()) for name, m in all_models() if name != "external"]
    for name, content in seeds + damaged():
        (folder / f"{name}.onnx").write_bytes(content)
        print(f"{name}.onnx: {len(content)} bytes")


if __name__ == "__main__":
    main()
