"""Engines under one interface, each with its fastest documented settings and its cheapest call.

    session = ENGINES[name](path, threads, feeds)     shapes are fixed to those of feeds
    call = session.bind(feeds)                        inputs are in place before the clock starts
    call()                                            one inference
    session.run(feeds)                                the outputs as arrays, in the model's order

A session that was opened with feeds None takes any shape that the model takes. The other engines are
imported when they are asked for.
"""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Feeds = Mapping[str, npt.NDArray[Any]]
Outputs = list[npt.NDArray[Any]]
PathLike = str | os.PathLike[str]


class Engine(abc.ABC):
    """One model opened by one engine."""

    @abc.abstractmethod
    def __init__(self, path: PathLike, threads: int, feeds: Feeds | None) -> None: ...

    @abc.abstractmethod
    def bind(self, feeds: Feeds) -> Callable[[], object]:
        """Returns what runs the model on these inputs, which must stay alive."""

    @abc.abstractmethod
    def run(self, feeds: Feeds) -> Outputs:
        """Returns the outputs in the model's order."""


class Intact(Engine):
    """This package."""

    def __init__(self, path: PathLike, threads: int, feeds: Feeds | None) -> None:
        from intact.session import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = threads
        self.session = InferenceSession(path, options)

    def bind(self, feeds: Feeds) -> Callable[[], object]:
        return lambda: self.session.run(None, feeds)

    def run(self, feeds: Feeds) -> Outputs:
        return self.session.run(None, feeds)


class OnnxRuntime(Engine):
    """All optimizations, fixed dimensions, inputs and outputs bound to memory (I/O binding)."""

    def __init__(self, path: PathLike, threads: int, feeds: Feeds | None) -> None:
        import onnxruntime as ort

        def open_session(fixed: Mapping[str, int]) -> Any:
            options = ort.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
            options.log_severity_level = 3
            for name, size in fixed.items():
                options.add_free_dimension_override_by_name(name, size)
            return ort.InferenceSession(os.fspath(path), options, ["CPUExecutionProvider"])

        self.session = open_session({})
        if feeds is not None:
            sizes = {
                dim: size
                for value in self.session.get_inputs()
                for dim, size in zip(value.shape, feeds[value.name].shape)
                if isinstance(dim, str)
            }
            if sizes:
                self.session = open_session(sizes)

    def bind(self, feeds: Feeds) -> Callable[[], object]:
        import onnxruntime as ort

        binding = self.session.io_binding()
        self.inputs = {k: ort.OrtValue.ortvalue_from_numpy(v) for k, v in feeds.items()}
        for name, value in self.inputs.items():
            binding.bind_ortvalue_input(name, value)
        self.outputs = [ort.OrtValue.ortvalue_from_numpy(r) for r in self.run(feeds)]
        for described, value in zip(self.session.get_outputs(), self.outputs):
            binding.bind_ortvalue_output(described.name, value)
        return lambda: self.session.run_with_iobinding(binding)

    def run(self, feeds: Feeds) -> Outputs:
        outputs: Outputs = self.session.run(None, feeds)
        return outputs


class OpenVino(Engine):
    """Latency hint, static shapes, an inference request over preset tensors that shares its outputs.

    A float model is computed in float32: left alone, this engine takes bfloat16 where the CPU has it. What an
    INT8 model leaves float may be whatever the engine likes.
    """

    def __init__(self, path: PathLike, threads: int, feeds: Feeds | None) -> None:
        import openvino as ov

        core = ov.Core()
        model = core.read_model(os.fspath(path))
        if feeds is not None:
            model.reshape({k: list(v.shape) for k, v in feeds.items()})
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads > 0:
            config["INFERENCE_NUM_THREADS"] = threads
        if not any(op.get_type_name() == "FakeQuantize" for op in model.get_ops()):
            config["INFERENCE_PRECISION_HINT"] = "f32"
        self.compiled = core.compile_model(model, "CPU", config)
        self.request = self.compiled.create_infer_request()

    def bind(self, feeds: Feeds) -> Callable[[], object]:
        import openvino as ov

        self.inputs = {k: ov.Tensor(v, shared_memory=True) for k, v in feeds.items()}
        for name, tensor in self.inputs.items():
            self.request.set_tensor(name, tensor)
        return lambda: self.request.infer(share_outputs=True)

    def run(self, feeds: Feeds) -> Outputs:
        result = self.request.infer(dict(feeds))
        return [np.array(result[port]) for port in self.compiled.outputs]


ENGINES: dict[str, type[Engine]] = {
    "intact": Intact,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
}
