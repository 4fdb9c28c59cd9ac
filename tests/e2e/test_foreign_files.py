"""Quantized files that others wrote: the codes are those that the file asks for, whatever its habits.

ONNX Runtime's static quantizer on models of the zoo, and by hand what exporters are known to write. Two
judges: ONNX Runtime without optimizations, which runs Q and DQ as they are written, and region by region the
exact arithmetic of qdq.py, fed with our own codes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import qdq
import zoo
from onnx import TensorProto, helper, numpy_helper

import intact

# What ONNX Runtime's quantizer is asked for: activations, weights, and how.
WAYS = {
    "u8 s8": ("QUInt8", "QInt8", {}),
    "u8 s8 per channel, 7 bits": ("QUInt8", "QInt8", {"per_channel": True, "reduce_range": True}),
    "u8 u8": ("QUInt8", "QUInt8", {}),
    "s8 s8 per channel": ("QInt8", "QInt8", {"per_channel": True}),
    "s8 s8 symmetric": ("QInt8", "QInt8", {"extra_options": {"ActivationSymmetric": True}}),
    "u8 s8, a pair for each reader": (
        "QUInt8",
        "QInt8",
        {"per_channel": True, "extra_options": {"DedicatedQDQPair": True}},
    ),
}


def check_codes(path: Path, feeds: dict[str, np.ndarray]) -> int:
    """Every code of every region that qdq.py knows is the exact one. Returns how many there were."""
    file = qdq.File(path)
    quantizers = [n for n in file.model.graph.node if n.op_type == "QuantizeLinear"]
    regions = [r for r in (qdq.Region(file, q) for q in quantizers) if r.is_exact]
    regions = [r for r in regions if r.q.input[0] not in file.constants]
    session = intact.InferenceSession(
        file.with_outputs([v for r in regions for v in (*r.leaves, r.q.output[0])])
    )
    names = [o.name for o in session.get_outputs()]
    values = dict(zip(names, session.run(None, feeds), strict=True)) | feeds
    total = 0
    for region in regions:
        try:
            wrong, count = region.unexplained(values)
        except qdq.Unsupported:
            continue
        assert wrong == 0, f"{region.q.output[0]}: {wrong} of {count} codes"
        total += count
    return total


def statically_quantized(name: str, way: str, where: Path, form: str = "QDQ") -> Path:
    """A model of the zoo as ONNX Runtime's static quantizer writes it."""
    quantization = pytest.importorskip("onnxruntime.quantization")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.rest = iter(zoo.samples(name, "calib", 16))

        def get_next(self) -> zoo.Feeds | None:
            return next(self.rest, None)

    model = onnx.load(zoo.model(name))
    if model.opset_import[0].version < 13:
        model = onnx.version_converter.convert_version(model, 13)
    onnx.save(model, where / "modern.onnx")
    quantization.quant_pre_process(
        where / "modern.onnx", where / "ready.onnx", skip_symbolic_shape=True
    )
    activations, weights, more = WAYS[way]
    quantization.quantize_static(
        where / "ready.onnx",
        where / "quantized.onnx",
        Reader(),
        quant_format=quantization.QuantFormat[form],
        activation_type=quantization.QuantType[activations],
        weight_type=quantization.QuantType[weights],
        **more,
    )
    return where / "quantized.onnx"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["resnet8-cifar10", "kws-dscnn", "mnist-cnn"])
def test_files_of_onnx_runtime(name: str, way: str, tmp_path: Path) -> None:
    zoo.need()
    path = statically_quantized(name, way, tmp_path)
    judge = qdq.unoptimized(path.read_bytes())
    session = intact.InferenceSession(str(path))
    feeds = zoo.samples(name, "test", 2)
    for x in feeds:
        for ours, theirs in zip(session.run(None, x), judge.run(None, x), strict=True):
            error = float(np.square(ours - theirs, dtype=np.float64).sum())
            assert error <= 1e-2 * float(np.square(theirs, dtype=np.float64).sum())
    assert check_codes(path, feeds[0]) > 1000


def test_the_operator_form_is_refused_by_name(tmp_path: Path) -> None:
    zoo.need()
    path = statically_quantized("kws-dscnn", "u8 s8", tmp_path, "QOperator")
    with pytest.raises(
        intact.UnsupportedError, match=r"'QLinear\w+' of domain .* is not supported"
    ):
        intact.InferenceSession(str(path))


class Writer:
    """Writes a model node by node, naming values as it goes; constants where arrays are given."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.rng = np.random.default_rng(7)
        self.shape: tuple[int, ...] | None = shape
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def __call__(self, op: str, *inputs: str | np.ndarray, **attributes: object) -> str:
        names = [v if isinstance(v, str) else self.constant(v) for v in inputs]
        out = f"v{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op, names, [out], name=f"n{len(self.nodes)}", **attributes)
        )
        return out

    def many(self, op: str, count: int, *inputs: str) -> list[str]:
        """A node with several outputs."""
        first = self(op, *inputs)
        self.nodes[-1].output.extend(f"{first}.{i}" for i in range(1, count))
        return list(self.nodes[-1].output)

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def q(self, x: str | np.ndarray, scale: float = 0.03, zero: int | None = 128) -> str:
        """Codes: uint8 unless the zero point is not positive."""
        s = np.float32(scale)
        if zero is None:
            return self("QuantizeLinear", x, s)
        return self("QuantizeLinear", x, s, (np.int8 if zero <= 0 else np.uint8)(zero))

    def dq(self, codes: str, scale: float = 0.03, zero: int | None = 128) -> str:
        s = np.float32(scale)
        if zero is None:
            return self("DequantizeLinear", codes, s)
        return self("DequantizeLinear", codes, s, (np.int8 if zero <= 0 else np.uint8)(zero))

    def qdq(self, x: str, scale: float = 0.03, zero: int | None = 128) -> str:
        return self.dq(self.q(x, scale, zero), scale, zero)

    def weights(self, *shape: int, axis: int = 0, **more: object) -> str:
        """int8 weights with a scale for each index of the axis."""
        codes = self.rng.integers(-127, 128, size=shape).astype(np.int8)
        scale = self.rng.uniform(0.001, 0.01, size=shape[axis]).astype(np.float32)
        scale[0] = more.get("first_scale", scale[0])
        zero = np.zeros(shape[axis], np.int8)
        if more.get("zeros"):
            zero = self.rng.integers(-9, 9, size=shape[axis]).astype(np.int8)
        return self("DequantizeLinear", codes, scale, zero, axis=axis)

    def model(self, outputs: list[str]) -> bytes:
        graph = helper.make_graph(
            self.nodes,
            "foreign",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(v, self.kind(v), None) for v in outputs],
            [numpy_helper.from_array(np.asarray(v), k) for k, v in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return bytes(model.SerializeToString())

    def kind(self, value: str) -> int:
        node = next(n for n in self.nodes if value in n.output)
        if node.op_type in ("ConvInteger", "MatMulInteger"):
            return int(TensorProto.INT32)
        if node.op_type == "DynamicQuantizeLinear":
            return int(TensorProto.FLOAT if value.endswith(".1") else TensorProto.UINT8)
        if node.op_type != "QuantizeLinear":
            return int(TensorProto.FLOAT)
        zero = self.constants[node.input[2]] if len(node.input) > 2 else np.uint8(0)
        return int(helper.np_dtype_to_tensor_dtype(zero.dtype))


IMAGE = (2, 8, 12, 12)
Habit = Callable[[Writer], list[str]]
HABITS: dict[str, tuple[tuple[int, ...], Habit]] = {}


def habit(shape: tuple[int, ...]) -> Callable[[Habit], Habit]:
    def keep(f: Habit) -> Habit:
        HABITS[f.__name__] = (shape, f)
        return f

    return keep


@habit(IMAGE)
def one_scale_for_everything(w: Writer) -> list[str]:
    s, z = w.constant(np.float32(0.03)), w.constant(np.uint8(128))

    def qdq(x: str) -> str:
        return w("DequantizeLinear", w("QuantizeLinear", x, s, z), s, z)

    a = qdq(w("Relu", w("Conv", qdq("x"), w.weights(8, 8, 3, 3), pads=[1, 1, 1, 1])))
    b = qdq(w("Conv", a, w.weights(8, 8, 1, 1)))
    return [qdq(w("Add", a, b))]


@habit(IMAGE)
def weights_quantized_in_the_file(w: Writer) -> list[str]:
    codes = w(
        "QuantizeLinear",
        w.rng.normal(0, 0.1, (8, 8, 3, 3)).astype(np.float32),
        np.float32(0.002),
        np.int8(0),
    )
    weights = w("DequantizeLinear", codes, np.float32(0.002), np.int8(0))
    bias = w(
        "DequantizeLinear", w.rng.integers(-999, 999, 8).astype(np.int32), np.float32(0.03 * 0.002)
    )
    return [w.qdq(w("Conv", w.qdq("x"), weights, bias))]


@habit(IMAGE)
def bias_of_another_scale(w: Writer) -> list[str]:
    bias = w(
        "DequantizeLinear", w.rng.integers(-99, 99, 8).astype(np.int8), np.float32(0.01), np.int8(0)
    )
    return [w.qdq(w("Conv", w.qdq("x"), w.weights(8, 8, 3, 3), bias))]


@habit(IMAGE)
def codes_around_what_only_moves_them(w: Writer) -> list[str]:
    x = w.qdq(w("MaxPool", w.qdq("x"), kernel_shape=[2, 2], strides=[2, 2]))
    x = w.qdq(w("Conv", x, w.weights(8, 8, 3, 3)), 0.05)
    x = w.qdq(w("Transpose", x, perm=[0, 2, 3, 1]), 0.05)
    x = w.qdq(w("Reshape", x, np.array([0, -1], np.int64)), 0.05)
    return [w.qdq(w("MatMul", x, w.weights(128, 10, axis=1)), 0.2)]


@habit(IMAGE)
def pairs_behind_pairs(w: Writer) -> list[str]:
    x = w.qdq(w.qdq(w.qdq("x")), 0.05, 100)
    y = w.qdq(w("Conv", x, w.weights(8, 8, 1, 1)))
    return [w.q(y), w.qdq(w("Conv", w.qdq(y), w.weights(4, 8, 1, 1)))]


@habit(IMAGE)
def relu_before_the_convolution(w: Writer) -> list[str]:
    x = w("Relu", w.qdq("x"))
    return [w.qdq(w("Conv", x, w.weights(8, 8, 3, 3), strides=[2, 2]))]


@habit(IMAGE)
def no_zero_points(w: Writer) -> list[str]:
    x = w.qdq(w("Relu", "x"), 0.02, None)
    return [w.q(w("Relu", w("Conv", x, w.weights(8, 8, 3, 3))), 0.05, None)]


@habit(IMAGE)
def signed_activations(w: Writer) -> list[str]:
    x = w.qdq("x", 0.03, 0)
    y = w.qdq(w("Conv", x, w.weights(8, 8, 3, 3, zeros=True), group=1, pads=[1, 1, 1, 1]), 0.05, -7)
    z = w.qdq(w("Conv", y, w.weights(8, 1, 3, 3), group=8), 0.05, 0)
    return [w.q(w("AveragePool", z, kernel_shape=[2, 2]), 0.0437, 0)]


@habit(IMAGE)
def codes_read_with_another_map(w: Writer) -> list[str]:
    codes = w.q(w("Conv", w.qdq("x"), w.weights(8, 8, 1, 1)), 0.04)
    once = w("Conv", w.dq(codes, 0.09, 7), w.weights(8, 8, 1, 1))
    again = w("Conv", w.dq(codes, 0.04), w.weights(8, 8, 1, 1))
    return [w.q(once, 0.2), w.q(again, 0.2)]


@habit((2, 3, 8, 8))
def product_of_codes_with_themselves(w: Writer) -> list[str]:
    codes = w.q("x")
    return [w.q(w("MatMul", w.dq(codes), w.dq(codes, 0.01, 3)), 0.3)]


@habit((2, 1, 8, 8))
def product_of_batches(w: Writer) -> list[str]:
    right = w("Transpose", w.q("x"), perm=[1, 0, 2, 3])
    return [w.q(w("MatMul", w.qdq("x"), w.dq(right)), 0.3)]


@habit((8,))
def product_of_a_vector(w: Writer) -> list[str]:
    return [w.q(w("MatMul", w.qdq("x"), w.weights(8, 6, axis=1)), 0.1)]


@habit((6, 8))
def bias_along_the_rows(w: Writer) -> list[str]:
    bias = w.rng.normal(0, 1, (6, 1)).astype(np.float32)
    return [w.q(w("Gemm", w.qdq("x"), w.weights(6, 8), bias, transB=1), 0.1)]


@habit(IMAGE)
def channel_without_a_scale(w: Writer) -> list[str]:
    return [w.q(w("Conv", w.qdq("x"), w.weights(8, 8, 3, 3, first_scale=0.0)), 0.05)]


@habit((2, 8, 20))
def signals(w: Writer) -> list[str]:
    return [w.q(w("Relu", w("Conv", w.qdq("x"), w.weights(8, 8, 3))), 0.05)]


@habit(IMAGE)
def ranges_found_while_it_runs(w: Writer) -> list[str]:
    codes, scale, zero = w.many("DynamicQuantizeLinear", 3, "x")
    weights = w.rng.integers(-127, 128, size=(8, 4, 3, 3)).astype(np.int8)
    sums = w("ConvInteger", codes, weights, zero, np.int8(3), group=2, pads=[1, 0, 1, 2])
    reals = w("Mul", w("Cast", sums, to=int(TensorProto.FLOAT)), w("Mul", scale, np.float32(0.01)))
    return [w("Relu", reals), sums]


@habit((2, 5, 33))
def products_with_ranges_found(w: Writer) -> list[str]:
    codes, scale, zero = w.many("DynamicQuantizeLinear", 3, "x")
    weights = w.rng.integers(-127, 128, size=(33, 21)).astype(np.int8)
    zeros = w.rng.integers(-9, 9, size=21).astype(np.int8)
    sums = w("MatMulInteger", codes, weights, zero, zeros)
    turned = w("Transpose", codes, perm=[0, 2, 1])
    return [sums, w("MatMulInteger", codes, turned, zero, zero), scale, codes]


@habit(IMAGE)
def transposed_in_groups(w: Writer) -> list[str]:
    x = w.qdq("x")
    a = w("ConvTranspose", x, w.weights(8, 4, 2, 2, axis=1), group=2, strides=[2, 2])
    b = w("ConvTranspose", x, w.weights(8, 4, 2, 2, axis=1), strides=[2, 2])
    return [w.q(a, 0.1), w.q(b, 0.1)]


@habit(IMAGE)
def inputs_of_different_scales_joined(w: Writer) -> list[str]:
    a = w.qdq(w("Conv", w.qdq("x"), w.weights(8, 8, 1, 1)), 0.05, 120)
    b = w.qdq(w("Sigmoid", w.qdq("x")), 1 / 255, None)
    return [
        w.q(w("Concat", a, b, axis=1), 0.0437),
        w.q(w("Mul", a, b), 0.0311),
        w.q(w("Add", b, a), 0.0531),
    ]


@pytest.mark.parametrize("name", HABITS)
def test_habits_of_exporters(name: str, tmp_path: Path) -> None:
    shape, write = HABITS[name]
    writer = Writer(shape)
    model = writer.model(write(writer))
    path = tmp_path / "m.onnx"
    path.write_bytes(model)
    x = {"x": np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)}
    ours, theirs = intact.InferenceSession(model).run(None, x), qdq.unoptimized(model).run(None, x)
    for node, a, b in zip(
        onnx.load_model_from_string(model).graph.output, ours, theirs, strict=True
    ):
        assert a.dtype == b.dtype and a.shape == b.shape, node.name
        # A tie rounded the other way is one code; more than a few would be no ties.
        step = 1 if a.dtype != np.float32 else 0.21
        difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
        assert difference.max() <= step and np.count_nonzero(difference) <= 0.002 * a.size + 1
    check_codes(path, x)


def test_a_rank_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    writer = Writer(IMAGE)
    out = writer.q(writer("Conv", writer.qdq("x"), writer.weights(8, 8, 1, 1)), 0.05)
    writer.shape = None
    session = intact.InferenceSession(writer.model([out]))
    with pytest.raises(intact.UnsupportedError, match=r"Conv.*declare the model's input shapes"):
        session.run(None, {"x": np.zeros(IMAGE, np.float32)})
