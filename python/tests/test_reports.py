"""evaluate, compare and inspect against NumPy and ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from test_quantize import samples, sqnr_db, two_layers

import intact

CPU = ["CPUExecutionProvider"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    where = tmp_path_factory.mktemp("pair")
    onnx.save(two_layers(), where / "m.onnx")
    intact.quantize(where / "m.onnx", samples(1, 12), out=where / "q.onnx", effort=0)
    return where / "m.onnx", where / "q.onnx"


def outputs_of(model: Any, names: list[str], feeds: dict[str, Any]) -> list[np.ndarray]:
    """Any values of a model, by ONNX Runtime without its optimizations."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {o.name for o in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(copy.SerializeToString(), options, providers=CPU)
    return list(session.run(names, feeds))


def test_local_and_cumulative_sqnr_are_those_of_onnxruntime(pair: tuple[Path, Path]) -> None:
    floats, quantized = onnx.load(pair[0]), onnx.load(pair[1])
    data = samples(7, 3)
    result = intact.compare(*pair, data)
    assert result.samples == 3
    layers = {layer.node: layer for layer in result.layers}
    producers = {o: n for n in quantized.graph.node for o in n.output}
    for node, value, source in (("conv1", "c1", "x"), ("conv2", "y", "r1")):
        twin = next(n for n in quantized.graph.node if n.name == node)
        # The layer alone: what makes its value, fed with the float network's own input.
        names, needed, queue = {twin.output[0]}, [], [twin]
        dq = producers[twin.input[0]]
        q = producers[dq.input[0]]
        queue += [dq, q, producers[twin.input[1]], producers[twin.input[2]]]
        needed = [n for n in quantized.graph.node if any(n is m for m in queue)]
        alone = helper.make_model(
            helper.make_graph(
                needed,
                "alone",
                [helper.make_tensor_value_info(q.input[0], 1, None)],
                [onnx.ValueInfoProto(name=twin.output[0])],
                quantized.graph.initializer,
            ),
            opset_imports=quantized.opset_import,
        )
        alone.ir_version = 8
        exact, local, running = [], [], []
        for feeds in data:
            given, wanted = (
                outputs_of(floats, [source, value], feeds)
                if source != "x"
                else (
                    feeds["x"],
                    outputs_of(floats, [value], feeds)[0],
                )
            )
            exact.append(wanted)
            local += outputs_of(alone, list(names), {q.input[0]: given})
            running += outputs_of(quantized, [twin.output[0]], feeds)
        layer = layers[node]
        assert layer.op == "Conv"
        stack = np.concatenate(exact)
        assert layer.local_sqnr_db == pytest.approx(sqnr_db(stack, np.concatenate(local)), abs=0.05)
        assert layer.cumulative_sqnr_db == pytest.approx(
            sqnr_db(stack, np.concatenate(running)), abs=0.05
        )
        assert layer.weight_sqnr_db > layer.local_sqnr_db
    assert result.outputs["y"] == pytest.approx(layers["conv2"].cumulative_sqnr_db, abs=1e-6)
    assert [x.local_sqnr_db for x in result.layers] == sorted(
        x.local_sqnr_db for x in result.layers
    )


def test_a_clipped_range_is_found_and_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    # Calibrated on quiet samples, compared on loud ones.
    quiet = [{"x": s["x"] * 0.1} for s in samples(1, 12)]
    intact.quantize(pair[0], quiet, out=tmp_path / "q.onnx", effort=0, range="minmax")
    result = intact.compare(pair[0], tmp_path / "q.onnx", samples(7, 2))
    worst = next(layer for layer in result.layers if layer.node == "conv1")
    assert worst.local_sqnr_db < 10
    assert "'x' clipped" in worst.cause and worst.fix == "--range minmax"
    figures = worst.inputs[0]
    assert figures.name == "x" and figures.clipped_error > 0.9 and figures.clipped_values > 0.3


def test_a_peak_leaves_few_bits(pair: tuple[Path, Path], tmp_path: Path) -> None:
    peaks = samples(1, 12)
    for s in peaks:
        s["x"][0, 0, 0, 0] = 3000
    intact.quantize(pair[0], peaks, out=tmp_path / "q.onnx", effort=0, range="minmax")
    result = intact.compare(pair[0], tmp_path / "q.onnx", samples(7, 2))
    worst = next(layer for layer in result.layers if layer.node == "conv1")
    assert "few effective bits" in worst.cause
    assert worst.fix == "--keep-float 'conv1'"


def test_models_that_do_not_belong_together_are_refused(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="no quantized layer in common"):
        intact.compare(pair[0], pair[0], samples(7, 1))
    other = two_layers()
    other.graph.input[0].name = "image"
    other.graph.node[0].input[0] = "image"
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match="no input 'image'"):
        intact.compare(tmp_path / "other.onnx", pair[1], [{"image": samples(7, 1)[0]["x"]}])


def labelled(pair: tuple[Path, Path], count: int) -> list[dict[str, Any]]:
    session = intact.InferenceSession(pair[0])
    rng = np.random.default_rng(0)
    out = []
    for s in samples(9, count):
        y = session.run(None, s)[0]
        label = y.argmax(1)
        wrong = rng.random(label.shape) < 0.2
        out.append({**s, "label": np.where(wrong, (label + 1) % 10, label).astype(np.int64)})
    return out


def test_evaluate_is_what_numpy_counts(pair: tuple[Path, Path]) -> None:
    data = labelled(pair, 6)
    ours = intact.evaluate(
        list(pair), data, metric=lambda outputs, target: np.mean(outputs["y"].argmax(1) == target)
    )
    wanted = []
    for path in pair:
        session = intact.InferenceSession(path)
        wanted.append(
            [np.mean(session.run(None, {"x": s["x"]})[0].argmax(1) == s["label"]) for s in data]
        )
    assert [e.value for e in ours] == pytest.approx([np.mean(w) for w in wanted])
    assert ours[1].difference == pytest.approx(np.mean(wanted[1]) - np.mean(wanted[0]))
    low, high = ours[1].difference_interval
    assert low <= ours[1].difference <= high
    worse = [i for i in range(len(data)) if wanted[1][i] < wanted[0][i]]
    assert sorted(ours[1].worse) == worse
    # Named metrics, sessions instead of paths, and fidelity to the first model.
    session = intact.InferenceSession(pair[0])
    fidelity = intact.evaluate([session, pair[1]], samples(9, 4), "sqnr")
    assert fidelity[1].unit == "dB" and 20 < fidelity[1].value < 60


def test_evaluate_passes_exceptions_on(pair: tuple[Path, Path]) -> None:
    def score(outputs: Any, target: Any) -> float:
        raise LookupError("no such label")

    with pytest.raises(LookupError, match="no such label"):
        intact.evaluate(pair[0], samples(1, 2), score)
    with pytest.raises(ValueError, match="no metric 'top9'"):
        intact.evaluate(pair[0], samples(1, 2), "top9")
    with pytest.raises(ValueError, match="no samples"):
        intact.evaluate(pair[0], [], "sqnr")


def test_inspect_tells_what_a_model_receives(pair: tuple[Path, Path], tmp_path: Path) -> None:
    data = samples(3, 5)
    seen = intact.inspect(pair[0], data, contact_sheet=tmp_path / "sheet.png")
    assert [p.name for p in seen.products] == ["conv1", "conv2"]
    assert all(p.integer for p in seen.products) and not seen.quantized
    x = np.concatenate([s["x"] for s in data]).astype(np.float64)
    received = seen.data[0]
    assert seen.samples == 5 and received.name == "x" and received.shapes == [[1, 3, 16, 16]]
    for figures, values in [(received.all, x), *zip(received.channels, x.transpose(1, 0, 2, 3))]:
        wanted = [values.min(), values.mean(), values.max(), values.std()]
        assert [figures.min, figures.mean, figures.max, figures.std] == pytest.approx(wanted)
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    after = intact.inspect(pair[1])
    assert after.quantized and all(p.integer for p in after.products)


def test_data_of_the_command_line_is_data_here(pair: tuple[Path, Path], tmp_path: Path) -> None:
    x = np.concatenate([s["x"] for s in samples(1, 12)])
    np.savez(tmp_path / "s.npz", x=x)
    (tmp_path / "feed.py").write_text(
        f"import numpy\ndef load():\n    for row in numpy.load({str(tmp_path / 's.npz')!r})['x']:\n"
        "        print('noise on stdout')\n        yield row[None]\n"
    )
    results = [
        intact.quantize(pair[0], given, effort=0).model
        for given in (samples(1, 12), tmp_path / "s.npz", f"{tmp_path}/feed.py:load")
    ]
    assert results[0] == results[1] == results[2]
    with pytest.raises(ValueError, match="belong to DATA"):
        intact.quantize(pair[0], samples(1, 12), images="resize=16")
