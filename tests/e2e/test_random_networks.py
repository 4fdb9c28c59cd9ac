"""Random small networks (networks.py): exact codes, the same bytes everywhere, floats of ONNX Runtime.

INTACT_RANDOM_SEEDS=FIRST:COUNT runs other seeds than the fixed ones.
"""

from __future__ import annotations

import os
from pathlib import Path

import networks
import numpy as np
import onnx
import pytest
import qdq
import quantized_network
import zoo
from onnx import helper, save

import intact


def seeds(count: int) -> list[int]:
    first, _, more = os.environ.get("INTACT_RANDOM_SEEDS", f"0:{count}").partition(":")
    return list(range(int(first), int(first) + int(more or count)))


def drawn(count: int) -> list[networks.Network]:
    every = [networks.Network(seed) for seed in seeds(count)]
    return [net for net in every if net.outputs]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
        for x, y in zip(a, b, strict=True)
    )


def close(a: np.ndarray, b: np.ndarray) -> bool:
    largest = max(float(np.abs(b).max(initial=0)), 1e-6)
    return bool(a.shape == b.shape and np.all(np.abs(a - b) <= 1e-4 * largest))


def from_given_codes(file: qdq.File, names: list[str]) -> bytes:
    """The model cut at its codes: what a Q makes is an output, what follows reads an input in its place."""
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    cut = set()
    for n in model.graph.node:
        if n.op_type == "QuantizeLinear" and n.input[0] not in file.constants:
            name = n.output[0]
            cut.add(name)
            n.output[0] = f"{name}_made"
            kind = file.element_type(name)
            model.graph.input.append(helper.make_tensor_value_info(name, kind, None))
    del model.graph.output[:]
    for name in names:
        kind = file.element_type(name)
        made = f"{name}_made" if name in cut else name
        model.graph.output.append(helper.make_tensor_value_info(made, kind, None))
    return bytes(model.SerializeToString())


class Checked:
    """One quantized network in a session, and in one that shows its codes."""

    def __init__(self, net: quantized_network.Quantized) -> None:
        self.net = net
        self.file = qdq.File(net.proto)
        self.regions = [
            qdq.Region(self.file, n)
            for n in net.proto.graph.node
            if n.op_type == "QuantizeLinear" and n.input[0] not in self.file.constants
        ]
        given = {i.name for i in net.proto.graph.input}
        names = [o.name for o in net.proto.graph.output]
        self.count = len(names)
        for r in self.regions:
            names += [v for v in (*r.leaves, r.q.output[0]) if v not in given]
        self.names = list(dict.fromkeys(names))
        self.theirs = qdq.unoptimized(from_given_codes(self.file, self.names))
        self.ours = intact.InferenceSession(net.proto.SerializeToString())
        self.watched = intact.InferenceSession(self.file.with_outputs(self.names))
        self.wrong: list[str] = []
        self.near = self.codes = 0

    def check(self, batch: int) -> list[np.ndarray]:
        feeds = self.net.feeds(batch)
        got = self.ours.run(None, feeds)
        seen = self.watched.run(None, feeds)
        if not same(seen[: self.count], got):
            self.wrong.append("other numbers when more outputs are wanted")
        values = dict(zip(self.names, seen, strict=True)) | feeds
        fed = {i.name: values[i.name] for i in self.theirs.get_inputs()}
        theirs = dict(zip(self.names, self.theirs.run(None, fed), strict=True))
        for name, y in theirs.items():
            if values[name].dtype != y.dtype or values[name].shape != y.shape:
                self.wrong.append(f"{name}: {values[name].dtype}{values[name].shape}")
            elif y.dtype == np.float32 and not close(values[name], y):
                self.wrong.append(f"{name}: other reals than ONNX Runtime's")
        if not self.wrong:
            for r in self.regions:
                self.compare(r, values, theirs[r.q.output[0]])
        return got

    def compare(self, r: qdq.Region, values: networks.Feeds, y: np.ndarray) -> None:
        """The codes of a region with the exact ones, or else with ONNX Runtime's."""
        what = f"{r.q.output[0]} = {'-'.join(n.op_type for n in r.nodes)}"
        with np.errstate(divide="ignore", invalid="ignore"):
            finite = "Div" not in what  # 0 / 0 has no exact code.
            try:
                if r.is_exact and finite:
                    bad, _ = r.unexplained(values)
                    if bad:
                        self.wrong.append(f"{bad} codes of {what}")
                    return
            except qdq.Unsupported:
                pass
        apart = np.abs(values[r.q.output[0]].astype(int) - y)
        if apart.max(initial=0) > 1:
            self.wrong.append(f"{what}: {apart.max()} steps from ONNX Runtime's")
        self.near += int((apart > 0).sum())
        self.codes += apart.size


def test_codes_are_exact_whatever_ran_before() -> None:
    wrong: dict[int, list[str]] = {}
    near = codes = 0
    for net in drawn(100):
        checked = Checked(quantized_network.Quantized(net))
        first = checked.check(2)
        checked.check(1)
        if not same(checked.ours.run(None, checked.net.feeds(2)), first):
            checked.wrong.append("other numbers in a second run")
        near, codes = near + checked.near, codes + checked.codes
        if checked.wrong:
            wrong[net.seed] = checked.wrong
    assert not wrong
    # Where only ONNX Runtime can tell, ties may fall to the other side, rarely.
    assert near <= 0.02 * codes + 2


def test_codes_are_the_same_bytes_on_every_processor(tmp_path: Path) -> None:
    for net in drawn(100):
        quantized = quantized_network.Quantized(net)
        save(quantized.proto, tmp_path / f"{net.seed}.onnx")
        np.savez(tmp_path / f"{net.seed}.npz", **quantized.feeds(3))
    first: dict[str, np.ndarray] = {}
    for i, isa in enumerate(zoo.isas()):
        out = tmp_path / "out" / f"{isa}.npz"
        out.parent.mkdir(exist_ok=True)
        zoo.run_in_process(isa, tmp_path, tmp_path, out, 1 + i % 2)
        with np.load(out) as z:
            got = {k: z[k] for k in z.files}
        first = first or got
        differ = [k for k in first if not same([first[k]], [got[k]])]
        assert got.keys() == first.keys() and not differ, isa


def test_reals_are_those_of_onnx_runtime() -> None:
    wrong = []
    for net in drawn(100):
        model = net.as_float().SerializeToString()
        ours, theirs = intact.InferenceSession(model), qdq.unoptimized(model)
        for batch in (1, 3):
            feeds = net.feeds(batch)
            pairs = zip(ours.run(None, feeds), theirs.run(None, feeds), strict=True)
            wrong += [(net.seed, batch) for a, b in pairs if not close(a, b)]
    assert not wrong


@pytest.mark.parametrize("effort", [0, 1])
def test_quantized_files_are_valid(effort: int, tmp_path: Path) -> None:
    for net in drawn(25):
        result = intact.quantize(
            net.as_float(), [net.feeds(1, i) for i in range(12)], effort=effort
        )
        onnx.checker.check_model(onnx.load_from_string(result.model), full_check=True)
        path = tmp_path / f"{net.seed}.onnx"
        result.save(path)
        assert intact.verify(path).same, net.seed
        feeds = net.feeds(2, 50)
        ours, theirs = intact.InferenceSession(path), qdq.unoptimized(path)
        for a, b in zip(ours.run(None, feeds), theirs.run(None, feeds), strict=True):
            assert np.square(a - b).sum() <= 1e-2 * np.square(b).sum() + 1e-12, net.seed
