"""The engines under one interface: each with its fastest documented settings and its cheapest call.

    session = ENGINES[name](path, threads, precision, feeds)     shapes are fixed to those of feeds
    call = session.bind(feeds)      inputs are in place before the clock starts
    call()                          one inference, outputs readable afterwards
    session.run(feeds)              the outputs as arrays, in the model's order

A session that was opened with feeds None takes any shape that the model takes.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from pathlib import Path

import numpy as np

Feeds = dict[str, np.ndarray]


class Session(abc.ABC):
    @abc.abstractmethod
    def __init__(self, path: Path, threads: int, precision: str, feeds: Feeds | None) -> None: ...

    @abc.abstractmethod
    def bind(self, feeds: Feeds) -> Callable[[], object]: ...

    @abc.abstractmethod
    def run(self, feeds: Feeds) -> list[np.ndarray]: ...


class Intact(Session):
    def __init__(self, path: Path, threads: int, precision: str, feeds: Feeds | None) -> None:
        import intact

        options = intact.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = intact.InferenceSession(path, options)

    def bind(self, feeds: Feeds) -> Callable[[], object]:
        return lambda: self.session.run(None, feeds)

    def run(self, feeds: Feeds) -> list[np.ndarray]:
        return self.session.run(None, feeds)


class OnnxRuntime(Session):
    """All optimizations, fixed dimensions, inputs and outputs bound to memory (I/O binding)."""

    def __init__(self, path: Path, threads: int, precision: str, feeds: Feeds | None) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        if feeds is not None:
            for name, size in symbols_of(path, feeds).items():
                options.add_free_dimension_override_by_name(name, size)
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def bind(self, feeds: Feeds) -> Callable[[], object]:
        import onnxruntime as ort

        binding = self.session.io_binding()
        self.inputs = {k: ort.OrtValue.ortvalue_from_numpy(v) for k, v in feeds.items()}
        for name, value in self.inputs.items():
            binding.bind_ortvalue_input(name, value)
        results = self.session.run(None, feeds)
        self.outputs = [ort.OrtValue.ortvalue_from_numpy(r) for r in results]
        for described, value in zip(self.session.get_outputs(), self.outputs):
            binding.bind_ortvalue_output(described.name, value)
        return lambda: self.session.run_with_iobinding(binding)

    def run(self, feeds: Feeds) -> list[np.ndarray]:
        return self.session.run(None, feeds)


def symbols_of(path: Path, feeds: Feeds) -> dict[str, int]:
    """What the model's named dimensions are for these inputs."""
    import onnx

    found = {}
    for value in onnx.load(path, load_external_data=False).graph.input:
        if value.name in feeds:
            dims = value.type.tensor_type.shape.dim
            for dim, size in zip(dims, feeds[value.name].shape):
                if dim.dim_param:
                    found[dim.dim_param] = size
    return found


class OpenVino(Session):
    """Latency hint, static shapes, an inference request over preset tensors that shares its outputs.

    FP32 rows stay FP32: without the hint this engine computes them in BF16 where the CPU has it.
    """

    def __init__(self, path: Path, threads: int, precision: str, feeds: Feeds | None) -> None:
        import openvino as ov

        core = ov.Core()
        model = core.read_model(path)
        if feeds is not None:
            model.reshape({k: list(v.shape) for k, v in feeds.items()})
        config: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        }
        if precision == "fp32":
            config["INFERENCE_PRECISION_HINT"] = "f32"
        self.compiled = core.compile_model(model, "CPU", config)
        self.request = self.compiled.create_infer_request()

    def bind(self, feeds: Feeds) -> Callable[[], object]:
        import openvino as ov

        self.inputs = {k: ov.Tensor(v, shared_memory=True) for k, v in feeds.items()}
        for name, tensor in self.inputs.items():
            self.request.set_tensor(name, tensor)
        return lambda: self.request.infer(share_outputs=True)

    def run(self, feeds: Feeds) -> list[np.ndarray]:
        result = self.request.infer(feeds)
        return [np.array(result[port]) for port in self.compiled.outputs]


class LiteRt(Session):
    """XNNPACK with its threads; images go in as the file wants them (channels last)."""

    def __init__(self, path: Path, threads: int, precision: str, feeds: Feeds | None) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(path), num_threads=threads)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]["index"]
        self.outputs = [d["index"] for d in self.interpreter.get_output_details()]

    def bind(self, feeds: Feeds) -> Callable[[], object]:
        (image,) = feeds.values()
        self.interpreter.tensor(self.input)()[...] = image.transpose(0, 2, 3, 1)
        return self.interpreter.invoke

    def run(self, feeds: Feeds) -> list[np.ndarray]:
        self.bind(feeds)()
        return [self.interpreter.get_tensor(i) for i in self.outputs]


ENGINES: dict[str, type[Session]] = {
    "intact": Intact,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
    "litert": LiteRt,
}
PEERS = [name for name in ENGINES if name != "intact"]
