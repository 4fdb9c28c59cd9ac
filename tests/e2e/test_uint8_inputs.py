"""Inputs that take image bytes: is the normalization in the file exactly the one that the float model was fed?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import qdq
import zoo
from onnx import TensorProto, helper, numpy_helper

import intact

SIDE = 17
PROVIDERS = ["CPUExecutionProvider"]
Array = npt.NDArray[Any]

# name -> (words, scale, mean, std)
RECIPES: dict[str, tuple[str, float, list[float], list[float]]] = {
    "raw": ("", 1.0, [0.0] * 3, [1.0] * 3),
    "unit": (",scale=1/255", 1 / 255, [0.0] * 3, [1.0] * 3),
    "centred": (",mean=127.5,std=127.5", 1.0, [127.5] * 3, [127.5] * 3),
    "imagenet": (
        ",scale=1/255,mean=0.485/0.456/0.406,std=0.229/0.224/0.225",
        1 / 255,
        [0.485, 0.456, 0.406],
        [0.229, 0.224, 0.225],
    ),
    # Real 0 is a byte of its channel: padding is exact too.
    "whole": (",mean=104/116/124,std=57/58/59", 1.0, [104.0, 116.0, 124.0], [57.0, 58.0, 59.0]),
}


def network(inside: bool = False, channels_last: bool = False) -> onnx.ModelProto:
    """x [n,3,SIDE,SIDE] -> two convolutions and a Gemm. `inside`: the model normalizes bytes itself."""
    rng = np.random.default_rng(11)
    tensors = {
        "w1": rng.normal(0, 0.3, (8, 3, 3, 3)),
        "b1": rng.normal(0, 0.2, 8),
        "w2": rng.normal(0, 0.2, (12, 8, 3, 3)),
        "w3": rng.normal(0, 0.4, (5, 12)),
        "b3": rng.normal(0, 0.1, 5),
    }
    nodes = []
    x = "x"
    shape: list[str | int] = ["n", SIDE, SIDE, 3] if channels_last else ["n", 3, SIDE, SIDE]
    if inside:
        axes = (3,) if channels_last else (3, 1, 1)
        tensors |= {"m": np.reshape([104, 116, 124], axes), "d": np.reshape([57, 58, 59], axes)}
        nodes += [
            helper.make_node("Sub", [x, "m"], ["xm"]),
            helper.make_node("Div", ["xm", "d"], ["xd"]),
        ]
        x = "xd"
    if channels_last:
        nodes.append(helper.make_node("Transpose", [x], ["xt"], perm=[0, 3, 1, 2]))
        x = "xt"
    nodes += [
        helper.make_node(
            "Conv", [x, "w1", "b1"], ["c1"], name="conv1", pads=[1] * 4, strides=[2, 2]
        ),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], name="conv2"),
        helper.make_node("Relu", ["c2"], ["r2"], name="relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["y"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "bytes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(t.astype(np.float32), n) for n, t in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def images(seed: int, count: int) -> list[Array]:
    """[1,SIDE,SIDE,3] bytes, smooth as pictures are and with both ends."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 40, (count, 1, SIDE, SIDE, 3)).cumsum(2) + rng.integers(0, 256)
    return list(np.clip(np.rint(steps), 0, 255).astype(np.uint8))


def normalized(image: Array, recipe: str) -> Array:
    """What the float model is fed: [1,3,SIDE,SIDE]."""
    _, scale, mean, std = RECIPES[recipe]
    x = (image.astype(np.float64) * scale - np.array(mean)) / np.array(std)
    return np.ascontiguousarray(x.astype(np.float32).transpose(0, 3, 1, 2))


def as_input(image: Array, layout: str) -> Array:
    """The bytes as the file takes them."""
    return image if layout == ",nhwc" else np.ascontiguousarray(image.transpose(0, 3, 1, 2))


def sqnr(exact: list[Array], other: list[Array]) -> float:
    a, b = np.concatenate(exact).astype(np.float64), np.concatenate(other)
    return float(10 * np.log10((a**2).sum() / max(((a - b) ** 2).sum(), 1e-30)))


@pytest.mark.parametrize("layout", ["", ",nhwc"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_normalization_is_in_the_first_layer(recipe: str, layout: str) -> None:
    """With nothing quantized, the file is the same function of the bytes, to float32's rounding; the padding of a
    channel whose real 0 is no whole byte may differ by half a byte's share."""
    model = network()
    samples = [{"x": normalized(i, recipe)} for i in images(1, 12)]
    result = intact.quantize(
        model.SerializeToString(),
        samples,
        effort=0,
        keep_float=["*"],
        input_types={"x": "uint8" + layout + RECIPES[recipe][0]},
    )
    file = onnx.load_from_string(result.model)
    assert [
        n.op_type for n in file.graph.node if n.op_type in ("Cast", "Mul", "Add", "QuantizeLinear")
    ] == []
    exact, bytes_file = qdq.unoptimized(model.SerializeToString()), qdq.unoptimized(result.model)
    exact_answers, answers = [], []
    for image in images(2, 8):
        exact_answers.append(exact.run(None, {"x": normalized(image, recipe)})[0])
        answers.append(bytes_file.run(None, {"x": as_input(image, layout)})[0])
    whole = recipe in ("raw", "unit", "whole")
    assert sqnr(exact_answers, answers) > (110 if whole else 45)


@pytest.mark.parametrize("layout", ["", ",nhwc"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_codes_equal_onnx_runtime_and_the_float_input_file(
    recipe: str, layout: str, tmp_path: Path
) -> None:
    model = network()
    samples = [{"x": normalized(i, recipe)} for i in images(1, 20)]
    float_input = intact.quantize(model, samples)
    result = intact.quantize(
        model,
        samples,
        out=tmp_path / "q.onnx",
        input_types={"x": "uint8" + layout + RECIPES[recipe][0]},
    )
    onnx.checker.check_model(onnx.load(tmp_path / "q.onnx"), full_check=True)
    assert result.verdict == "INTACT"
    assert result.integer_share == 1.0
    ours = intact.InferenceSession(tmp_path / "q.onnx")
    assert ours.get_inputs()[0].type == "tensor(uint8)"
    theirs = [
        qdq.unoptimized(tmp_path / "q.onnx"),
        onnxruntime.InferenceSession(str(tmp_path / "q.onnx"), providers=PROVIDERS),
    ]
    before = intact.InferenceSession(float_input.model)
    exact = qdq.unoptimized(model.SerializeToString())
    out: dict[str, list[Array]] = {
        "ours": [],
        "node by node": [],
        "fused": [],
        "floats": [],
        "exact": [],
    }
    for image in images(2, 16):
        feeds = {"x": as_input(image, layout)}
        out["ours"].append(ours.run(None, feeds)[0])
        out["node by node"].append(theirs[0].run(None, feeds)[0])
        out["fused"].append(theirs[1].run(None, feeds)[0])
        out["floats"].append(before.run(None, {"x": normalized(image, recipe)})[0])
        out["exact"].append(exact.run(None, {"x": normalized(image, recipe)})[0])
    # Codes differ where a value lies within float32's rounding of a tie, if at all.
    assert sqnr(out["node by node"], out["ours"]) > 50
    assert sqnr(out["fused"], out["ours"]) > 50
    # Nothing is lost: the bytes are codes without a rounding.
    assert sqnr(out["exact"], out["ours"]) > sqnr(out["exact"], out["floats"]) - 2


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_normalization_of_the_model_itself_is_folded_too(channels_last: bool) -> None:
    model = network(inside=True, channels_last=channels_last)
    turn = (0, 1, 2, 3) if channels_last else (0, 3, 1, 2)
    samples = [{"x": i.transpose(turn).astype(np.float32)} for i in images(1, 12)]
    result = intact.quantize(
        model.SerializeToString(), samples, effort=0, keep_float=["*"], input_types={"x": "uint8"}
    )
    file = onnx.load_from_string(result.model)
    assert not {"Cast", "Sub", "Div"} & {n.op_type for n in file.graph.node}
    zero = {t.name: numpy_helper.to_array(t) for t in file.graph.initializer}[
        next(n for n in file.graph.node if n.op_type == "DequantizeLinear").input[2]
    ]
    assert zero.tolist() == [104, 116, 124]
    exact, bytes_file = qdq.unoptimized(model.SerializeToString()), qdq.unoptimized(result.model)
    answers = [
        (
            exact.run(None, {"x": i.transpose(turn).astype(np.float32)})[0],
            bytes_file.run(None, {"x": np.ascontiguousarray(i.transpose(turn))})[0],
        )
        for i in images(2, 8)
    ]
    assert sqnr([a for a, _ in answers], [b for _, b in answers]) > 110


def test_what_cannot_be_folded_is_computed_and_said() -> None:
    model = network()
    model.graph.node.append(helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("mean", TensorProto.FLOAT, []))
    samples = [{"x": normalized(i, "imagenet")} for i in images(1, 12)]
    result = intact.quantize(
        model, samples, input_types={"x": "uint8,nhwc" + RECIPES["imagenet"][0]}
    )
    assert any("computed in float" in note for note in result.notes)
    assert result.verdict == "INTACT"


def test_samples_may_be_floats_or_bytes() -> None:
    types = {"x": "uint8,nhwc" + RECIPES["imagenet"][0]}
    a = intact.quantize(
        network(), [{"x": normalized(i, "imagenet")} for i in images(1, 12)], input_types=types
    )
    b = intact.quantize(network(), [{"x": i} for i in images(1, 12)], input_types=types)
    assert a.model == b.model


@pytest.mark.parametrize("layout", ["", ",nhwc"])
def test_the_first_layer_reads_the_bytes_themselves(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [{"x": normalized(i, "imagenet")} for i in images(1, 20)]
    out = tmp_path / "q.onnx"
    intact.quantize(
        network(),
        samples,
        out=out,
        input_types={"x": "uint8" + layout + RECIPES["imagenet"][0]},
    )
    zoo.intact("bench", out, "--rounds", "1", "--profile", "--json", tmp_path / "b.json")
    steps = json.loads((tmp_path / "b.json").read_text())["profile"][str(out)]
    assert [(s["node"], s["op"]) for s in steps][:2] == [
        ("conv1", "intact.QConv"),
        ("conv2", "intact.QConv"),
    ]
    monkeypatch.setenv("INTACT_ISA", "scalar")
    zoo.intact("verify", out)


def test_normalized_samples_are_not_taken_for_bytes() -> None:
    samples = [{"x": normalized(i, "unit")} for i in images(1, 12)]
    with pytest.raises(ValueError, match="scale, mean and std"):
        intact.quantize(network(), samples, input_types={"x": "uint8,nhwc"})


def test_the_command_line_feeds_each_model_its_own_form(tmp_path: Path) -> None:
    model, out, again = tmp_path / "m.onnx", tmp_path / "q.onnx", tmp_path / "again.onnx"
    onnx.save(network(), model)
    reals, pixels = tmp_path / "reals.npz", tmp_path / "bytes.npz"
    np.savez(reals, x=np.concatenate([normalized(i, "imagenet") for i in images(1, 20)]))
    np.savez(pixels, x=np.concatenate(images(1, 20)))
    words = "x=uint8,nhwc" + RECIPES["imagenet"][0]
    zoo.intact("quantize", model, "--data", reals, "-o", out, "--input-type", words)
    zoo.intact("quantize", model, "--data", pixels, "-o", again, "--input-type", words)
    assert out.read_bytes() == again.read_bytes()
    report = tmp_path / "report.json"
    for first, second, data in [(model, out, reals), (out, model, pixels), (out, model, reals)]:
        zoo.intact("eval", first, second, "--metric", "agreement", "--data", data, "--json", report)
        assert json.loads(report.read_text())["models"][1]["value"] >= 90
    zoo.intact("compare", model, out, "--data", reals, "--json", report)
    layers = json.loads(report.read_text())["layers"]
    assert {layer["node"] for layer in layers} >= {"conv1", "conv2", "fc"}
    zoo.intact("verify", out)


def test_pictures_keep_their_recipe(tmp_path: Path) -> None:
    """The words of --images say what the bytes are; the file then takes the pixels of the same folder."""
    image = pytest.importorskip("PIL.Image")
    photos = tmp_path / "photos"
    photos.mkdir()
    for i, pixels in enumerate(images(1, 12)):
        image.fromarray(pixels[0]).save(photos / f"{i:02}.png")
    model, out, report = tmp_path / "m.onnx", tmp_path / "q.onnx", tmp_path / "report.json"
    onnx.save(network(), model)
    recipe = "scale=1/255 mean=0.485/0.456/0.406 std=0.229/0.224/0.225"
    pictures = ["--data", photos, "--images", recipe]
    zoo.intact("quantize", model, *pictures, "-o", out, "--input-type", "x=uint8,nhwc")
    for models in [(model, out), (out, model)]:
        zoo.intact("eval", *models, *pictures, "--metric", "agreement", "--json", report)
        assert json.loads(report.read_text())["models"][1]["value"] >= 90
    zoo.intact("run", out, "--data", photos, "--images", "layout=nhwc", "-o", tmp_path / "y.npz")
    session = intact.InferenceSession(out)
    expected = [session.run(None, {"x": pixels})[0] for pixels in images(1, 12)]
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["y"], np.concatenate(expected))


@pytest.mark.parametrize(
    ("types", "target", "sentence"),
    [
        ({"y": "uint8"}, "any", "has no such input; it has 'x'"),
        ({"x": "int8"}, "any", "'int8' is not known"),
        ({"x": "uint8,ncwh"}, "any", "'ncwh' is not known"),
        ({"x": "uint8,mean=1/2"}, "any", "three as 1/2/3"),
        ({"x": "uint8,std=0"}, "any", "none of them 0"),
        ({"x": "uint8"}, "tensorrt", "int8 codes only"),
        ({"x": "uint8"}, "any", "outside of 0 to 255"),
    ],
)
def test_mistakes_get_a_sentence(types: dict[str, str], target: str, sentence: str) -> None:
    samples = [{"x": normalized(i, "imagenet")} for i in images(1, 4)]
    with pytest.raises(ValueError, match=sentence):
        intact.quantize(network(), samples, input_types=types, target=target)


def test_image_layout_twice_is_refused() -> None:
    samples = [{"x": i.astype(np.float32)} for i in images(1, 4)]
    with pytest.raises(ValueError, match="drop nhwc"):
        intact.quantize(network(channels_last=True), samples, input_types={"x": "uint8,nhwc"})
