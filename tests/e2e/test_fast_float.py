"""--fast-float: BF16 products in sessions that ask for them, named, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zoo
from onnx import TensorProto, helper, numpy_helper

import intact

Array = npt.NDArray[np.float32]


def bf16(x: Array) -> npt.NDArray[np.float64]:
    """Rounds to bfloat16, ties to even."""
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def one_node(op: str, w: Array, shape: list[int], out: list[int], **attributes: Any) -> bytes:
    bias = np.linspace(-1, 1, out[1]).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w", "b"], ["y"], name="product", **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(w, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def session(model: bytes | Path, fast: bool, threads: int = 1) -> intact.InferenceSession:
    options = intact.SessionOptions()
    options.fast_float = fast
    options.intra_op_num_threads = threads
    return intact.InferenceSession(model, options)


def need_unit(s: intact.InferenceSession) -> None:
    if not s.fast_nodes():
        pytest.skip("this processor has no BF16 products")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("channels", "groups", "kernel", "stride"),
    [(9, 1, 3, 1), (16, 1, 3, 2), (32, 2, 3, 1), (24, 1, 1, 1)],
)
def test_a_convolution_is_that_of_rounded_operands(
    channels: int, groups: int, kernel: int, stride: int, threads: int
) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2, channels, 13, 11)).astype(np.float32)
    w = rng.normal(size=(40, channels // groups, kernel, kernel)).astype(np.float32)
    pad = kernel // 2
    h, v = (13 + 2 * pad - kernel) // stride + 1, (11 + 2 * pad - kernel) // stride + 1
    model = one_node(
        "Conv", w, list(x.shape), [2, 40, h, v], group=groups, pads=[pad] * 4, strides=[stride] * 2
    )
    fast = session(model, True, threads)
    need_unit(fast)
    assert fast.fast_nodes() == ["product"]
    y = fast.run(None, {"x": x})[0]
    padded = np.pad(bf16(x), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    exact, size = np.zeros(y.shape), np.zeros(y.shape)
    each = channels // groups
    for g in range(groups):
        out = slice(g * 40 // groups, (g + 1) * 40 // groups)
        for i in range(kernel):
            for j in range(kernel):
                part = padded[:, g * each : (g + 1) * each]
                part = part[:, :, i : i + h * stride : stride, j : j + v * stride : stride][
                    :, :, :h, :v
                ]
                exact[:, out] += np.einsum("nchw,oc->nohw", part, bf16(w)[out, :, i, j])
                size[:, out] += np.einsum(
                    "nchw,oc->nohw", np.abs(part), np.abs(bf16(w))[out, :, i, j]
                )
    exact += np.linspace(-1, 1, 40).astype(np.float32).reshape(1, 40, 1, 1)
    bound = (each * kernel**2 + 2) * 2.0**-23 * size + 2.0**-23 * np.abs(exact) + 1e-30
    assert (np.abs(y - exact) <= bound).all()


@pytest.mark.parametrize("k", [7, 64, 129])
def test_a_linear_layer_is_that_of_rounded_operands(k: int) -> None:
    rng = np.random.default_rng(6)
    x, w = rng.normal(size=(19, k)).astype(np.float32), rng.normal(size=(k, 35)).astype(np.float32)
    fast = session(one_node("Gemm", w, [19, k], [19, 35]), True)
    need_unit(fast)
    exact = bf16(x) @ bf16(w) + np.linspace(-1, 1, 35).astype(np.float32)
    bound = (k + 2) * 2.0**-23 * (np.abs(bf16(x)) @ np.abs(bf16(w))) + 2.0**-23 * np.abs(exact)
    assert (np.abs(fast.run(None, {"x": x})[0] - exact) <= bound + 1e-30).all()


@pytest.mark.parametrize("name", zoo.SMALL)
def test_networks_stay_close_and_other_sessions_the_same(name: str) -> None:
    zoo.need()
    feeds = zoo.samples(name, "test", 8)
    plain = session(zoo.model(name), False)
    before = [plain.run(None, f)[0] for f in feeds]
    fast = session(zoo.model(name), True)
    need_unit(fast)
    after = [fast.run(None, f)[0] for f in feeds]
    again = [session(zoo.model(name), False).run(None, f)[0] for f in feeds]
    assert all(np.array_equal(a, b) for a, b in zip(before, again, strict=True))
    a, b = np.concatenate(before).astype(np.float64), np.concatenate(after)
    assert 10 * np.log10((a**2).sum() / ((a - b) ** 2).sum()) > 30
    assert not np.array_equal(a, b)


def test_without_the_unit_it_changes_nothing_and_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    w = rng.normal(size=(16, 16, 3, 3)).astype(np.float32)
    model, data, report = tmp_path / "m.onnx", tmp_path / "d.npz", tmp_path / "report.json"
    model.write_bytes(one_node("Conv", w, [1, 16, 9, 9], [1, 16, 7, 7]))
    np.savez(data, x=rng.normal(size=(2, 16, 9, 9)).astype(np.float32))
    outputs = []
    for flags in ([], ["--fast-float", "--json", report]):
        out = tmp_path / f"y{len(outputs)}.npz"
        done = zoo.run(
            "run", model, "--data", data, "-o", out, *flags, env={"INTACT_ISA": "scalar"}
        )
        assert done.returncode == 0, done.stderr
        outputs.append(np.load(out)["y"])
    assert np.array_equal(*outputs)
    assert "--fast-float changes nothing" in done.stderr
    assert json.loads(report.read_text())["bf16_nodes"] == []
