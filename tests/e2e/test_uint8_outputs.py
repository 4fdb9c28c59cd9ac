"""Outputs that become codes: --output-type NAME=uint8."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import qdq
import zoo
from onnx import TensorProto, helper, numpy_helper

import intact

SIZE, CLASSES = 12, 7


def network() -> onnx.ModelProto:
    """x [n,3,SIZE,SIZE] -> "scores" [n,CLASSES] behind a Softmax, and "map" [n,4,SIZE,SIZE], which the head reads too."""
    rng = np.random.default_rng(3)
    tensors = {
        "w1": rng.normal(0, 0.3, (4, 3, 3, 3)),
        "w2": rng.normal(0, 0.8, (CLASSES, 4)),
        "b2": rng.normal(0, 0.1, CLASSES),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w1"], ["map"], name="conv", pads=[1] * 4),
            helper.make_node("Relu", ["map"], ["r"], name="relu"),
            helper.make_node("GlobalAveragePool", ["r"], ["p"], name="pool"),
            helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
            helper.make_node("Gemm", ["f", "w2", "b2"], ["logits"], name="fc", transB=1),
            helper.make_node("Softmax", ["logits"], ["scores"], name="softmax", axis=1),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", CLASSES]),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, ["n", 4, SIZE, SIZE]),
        ],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def samples(seed: int, count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [{"x": rng.normal(0, 1, (1, 3, SIZE, SIZE)).astype(np.float32)} for _ in range(count)]


def words(file: onnx.ModelProto, name: str) -> tuple[np.float32, int]:
    """Scale and zero point, as the metadata says them."""
    text = next(p.value for p in file.metadata_props if p.key == f"intact.output.{name}")
    kind, scale, zero = text.split(",")
    assert kind == "uint8"
    return np.float32(scale.removeprefix("scale=")), int(zero.removeprefix("zero_point="))


TYPES = {"scores": "uint8", "map": "uint8"}


def test_codes_stand_for_what_the_float_output_was() -> None:
    plain = intact.quantize(network(), samples(1, 20))
    coded = intact.quantize(network(), samples(1, 20), output_types=TYPES)
    file = onnx.load_from_string(coded.model)
    onnx.checker.check_model(file, full_check=True)
    assert [o.type.tensor_type.elem_type for o in file.graph.output] == [TensorProto.UINT8] * 2
    assert sum("is uint8: real = " in note for note in coded.notes) == 2
    assert words(file, "scores") == (np.float32(1 / 255), 0)  # A Softmax, whatever the samples.
    ours, theirs = intact.InferenceSession(coded.model), qdq.unoptimized(coded.model)
    reals = intact.InferenceSession(plain.model)
    assert [o.type for o in ours.get_outputs()] == ["tensor(uint8)"] * 2
    for feeds in samples(2, 8):
        got = ours.run(None, feeds)
        for name, a, b, real in zip(
            TYPES, got, theirs.run(None, feeds), reals.run(None, feeds), strict=True
        ):
            assert a.dtype == np.uint8 and a.shape == real.shape
            assert np.abs(a.astype(int) - b).max() <= 1 and (a != b).mean() < 0.01
            scale, zero = words(file, name)
            steps = real.astype(np.float64) / np.float64(scale)
            want = np.clip(np.rint(steps) + zero, 0, 255)
            near = np.abs(np.abs(steps - np.floor(steps)) - 0.5) < 1e-3
            assert np.array_equal(a[~near], want[~near])


def test_the_verdict_and_metrics_see_reals(tmp_path: Path) -> None:
    plain = intact.quantize(network(), samples(1, 40))
    coded = intact.quantize(network(), samples(1, 40), output_types=TYPES)
    assert coded.verdict == plain.verdict == "INTACT"
    assert 20 < coded.sqnr_db <= plain.sqnr_db + 0.5
    value = intact.evaluate([network(), coded.model], samples(2, 20), metric="sqnr")[1].value
    assert abs(value - coded.sqnr_db) < 3
    onnx.save(network(), tmp_path / "m.onnx")
    coded.save(tmp_path / "q.onnx")
    compared = intact.compare(tmp_path / "m.onnx", tmp_path / "q.onnx", samples(2, 20))
    assert min(compared.outputs.values()) > 20


def test_a_calibration_file_has_the_outputs_too(tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "m.onnx")
    np.savez(tmp_path / "data.npz", x=np.concatenate([s["x"] for s in samples(1, 20)]))
    model, data, cal = tmp_path / "m.onnx", tmp_path / "data.npz", tmp_path / "r.cal"
    wanted = ("--output-type", "scores=uint8", "--output-type", "map=uint8", "--effort", "0")
    zoo.intact("calibrate", model, "--data", data, "-o", cal)
    zoo.intact("quantize", model, "--calibration", cal, "-o", tmp_path / "a.onnx", *wanted)
    file = onnx.load(tmp_path / "a.onnx")
    assert words(file, "scores") == (np.float32(1 / 255), 0)
    out = intact.InferenceSession(tmp_path / "a.onnx").run(["map"], samples(2, 1)[0])[0]
    assert out.dtype == np.uint8 and out.min() < 20 and out.max() > 235
    lines = [t for t in cal.read_text().splitlines() if '"map"' not in t]
    cal.write_text("\n".join(lines) + "\n")
    failed = zoo.run("quantize", model, "--calibration", cal, "-o", tmp_path / "b.onnx", *wanted)
    assert failed.returncode == 2 and "no line for output 'map'" in failed.stderr
    assert not (tmp_path / "b.onnx").exists()


def test_the_command_line_says_what_codes_stand_for(tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "m.onnx")
    np.savez(tmp_path / "data.npz", x=np.concatenate([s["x"] for s in samples(1, 20)]))
    said = zoo.intact(
        "quantize", tmp_path / "m.onnx", "--data", tmp_path / "data.npz", "-o", tmp_path / "q.onnx",
        "--output-type", "map=uint8", "--json", tmp_path / "r.json",
    )  # fmt: skip
    scale, zero = words(onnx.load(tmp_path / "q.onnx"), "map")
    note = f"output 'map' is uint8: real = {scale!s} (code - {zero})"
    assert note in said
    assert note in json.loads((tmp_path / "r.json").read_text())["notes"]
    zoo.intact("verify", tmp_path / "q.onnx")


@pytest.mark.parametrize(
    ("types", "target", "message"),
    [
        ({"nothing": "uint8"}, "any", "no such output; it has 'scores', 'map'"),
        ({"map": "int4"}, "any", "'int4' is not known; a type is uint8"),
        ({"map": "uint8"}, "tensorrt", "outputs are for target any"),
    ],
)
def test_mistakes_get_a_sentence(types: dict[str, str], target: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        intact.quantize(network(), samples(1, 12), output_types=types, target=target)
