"""Sessions with ONNX Runtime's call shapes.

What changes a result has its meaning here (intra_op_num_threads, the model, the feeds); what only
tunes ONNX Runtime (providers, optimization levels, memory patterns, ...) is accepted and ignored:
precision and results are properties of the file, never of the session.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from intact import _core
from intact.binding import IOBinding, OrtValue, tensor_type
from intact.samples import open_core

_PROVIDER = "CPUExecutionProvider"


class GraphOptimizationLevel(enum.IntEnum):
    """Accepted for compatibility; every session is compiled in full."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    """Accepted for compatibility."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class SessionOptions:
    """Options of a session.

    ``intra_op_num_threads`` is honoured (0: the machine's own number), and so is ``cache_dir``, also as
    the config entry "session.cache_dir": a folder that keeps packed weights, so that later openings pack
    nothing and all processes hold one copy. ``fast_float`` computes float products with constant weights
    in BF16 where the processor has it, and changes nothing elsewhere; ``fast_nodes()`` of the session names
    them.
    """

    def __init__(self) -> None:
        self.intra_op_num_threads = 0
        self.inter_op_num_threads = 0
        self.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
        self.execution_mode = ExecutionMode.ORT_SEQUENTIAL
        self.log_severity_level = 2
        self.log_verbosity_level = 0
        self.logid = ""
        self.enable_profiling = False
        self.enable_cpu_mem_arena = True
        self.enable_mem_pattern = True
        self.enable_mem_reuse = True
        self.use_deterministic_compute = True
        self.optimized_model_filepath = ""
        self.profile_file_prefix = "onnxruntime_profile_"
        self.execution_order = 0
        self.use_per_session_threads = True
        self.cache_dir = ""
        self.fast_float = False
        self._entries: dict[str, str] = {}

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Keeps the entry; none changes a result."""
        self._entries[key] = value
        if key == "session.cache_dir":
            self.cache_dir = value

    def get_session_config_entry(self, key: str) -> str:
        """Returns what add_session_config_entry kept. Raises KeyError."""
        return self._entries[key]

    def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
        """Accepted for compatibility: plans are made for the shapes that runs bring."""

    def add_free_dimension_override_by_denotation(self, denotation: str, value: int) -> None:
        """Accepted for compatibility: plans are made for the shapes that runs bring."""

    def register_custom_ops_library(self, path: str) -> None:
        """Raises UnsupportedError: operators of others are not run."""
        raise _core.UnsupportedError(f"{path}: intact runs no custom operators")


class RunOptions:
    """Options of one run; accepted for compatibility."""

    def __init__(self) -> None:
        self.log_severity_level = 2
        self.log_verbosity_level = 0
        self.logid = ""
        self.terminate = False
        self.only_execute_path_to_fetches = False

        self._entries: dict[str, str] = {}

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Keeps the entry; none changes a result."""
        self._entries[key] = value

    def get_run_config_entry(self, key: str) -> str:
        """Returns what add_run_config_entry kept. Raises KeyError."""
        return self._entries[key]


class NodeArg:
    """One input or output: ``name``, ``type`` ("tensor(float)"), ``shape`` (numbers, names, None)."""

    def __init__(self, name: str, dtype: str, shape: list[int | str | None]) -> None:
        self.name = name
        self.type = tensor_type(dtype)
        self.shape = shape
        self._dtype = dtype

    def __repr__(self) -> str:
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self.shape!r})"


class ModelMetadata:
    """What the model says about itself."""

    def __init__(self, core: _core.Session) -> None:
        self.producer_name = core.producer()
        self.graph_name = core.graph_name()
        self.domain = ""
        self.description = ""
        self.graph_description = ""
        self.version = 0
        self.custom_metadata_map = dict(core.metadata())


def get_available_providers() -> list[str]:
    """Returns ["CPUExecutionProvider"]."""
    return [_PROVIDER]


def get_all_providers() -> list[str]:
    """Returns ["CPUExecutionProvider"]."""
    return [_PROVIDER]


def get_device() -> str:
    """Returns "CPU"."""
    return "CPU"


def set_default_logger_severity(severity: int) -> None:
    """Accepted for compatibility: the library prints nothing."""


def set_default_logger_verbosity(verbosity: int) -> None:
    """Accepted for compatibility: the library prints nothing."""


def set_seed(seed: int) -> None:
    """Accepted for compatibility: nothing is drawn at random."""


class InferenceSession:
    """Loads a model, float or quantized, and runs it.

    ``path_or_bytes`` is a path, the bytes of a model, or an ``onnx.ModelProto``. Raises OSError when
    the file cannot be read, ValueError when it is no valid model, UnsupportedError (a ValueError) when it
    holds what intact does not run.
    """

    def __init__(
        self,
        path_or_bytes: str | os.PathLike[str] | bytes | Any,
        sess_options: SessionOptions | None = None,
        providers: Sequence[Any] | None = None,
        provider_options: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._options = sess_options if sess_options is not None else SessionOptions()
        threads = int(self._options.intra_op_num_threads)
        if threads < 0:
            raise ValueError(
                f"intra_op_num_threads is {threads}; give 0 for the machine's own number, or more"
            )
        cache = os.fspath(self._options.cache_dir)
        self._core = open_core(path_or_bytes, threads, cache, bool(self._options.fast_float))
        self._inputs = [NodeArg(*described) for described in self._core.inputs()]
        self._outputs = [NodeArg(*described) for described in self._core.outputs()]
        self._output_index = {output.name: i for i, output in enumerate(self._outputs)}
        self._dtypes = {value.name: value._dtype for value in self._inputs}

    def fast_nodes(self) -> list[str]:
        """Returns the nodes that are computed in BF16 because of ``SessionOptions.fast_float``."""
        return self._core.fast_nodes()

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, npt.ArrayLike],
        run_options: RunOptions | None = None,
    ) -> list[npt.NDArray[Any]]:
        """Runs the model on one array an input and returns the outputs, all or those named.

        Raises ValueError naming the input when one is missing, unknown, or of another type or shape.
        """
        feeds: dict[str, Any] = dict(input_feed)
        for name, value in feeds.items():
            if not isinstance(value, np.ndarray) or not value.flags.c_contiguous:
                feeds = {name: self._array(name, value) for name, value in feeds.items()}
                break
        results = self._core.run(feeds)
        if not output_names:
            return results
        unknown = [name for name in output_names if name not in self._output_index]
        if unknown:
            known = ", ".join(f"'{name}'" for name in self._output_index)
            raise ValueError(f"the model has no output '{unknown[0]}'; its outputs are {known}")
        return [results[self._output_index[name]] for name in output_names]

    def _array(self, name: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
        """Returns the value as a C-contiguous array; lists and scalars take the input's type."""
        array = np.asarray(value)
        if not isinstance(value, np.ndarray):
            array = array.astype(self._dtypes.get(name, array.dtype.name), copy=False)
        return np.ascontiguousarray(array).reshape(array.shape)

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, OrtValue],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:
        """The same with OrtValues."""
        feeds = {name: value.numpy() for name, value in input_dict_ort_values.items()}
        return [OrtValue(result) for result in self.run(output_names, feeds, run_options)]

    def io_binding(self) -> IOBinding:
        """Returns a binding of this session."""
        return IOBinding(self)

    def run_with_iobinding(
        self, iobinding: IOBinding, run_options: RunOptions | None = None
    ) -> None:
        """Runs on the bound inputs and fills the bound outputs."""
        iobinding._run()

    def get_overridable_initializers(self) -> list[NodeArg]:
        """Returns []: initializers are part of the model."""
        return []

    def enable_fallback(self) -> None:
        """Accepted for compatibility: there is one provider."""

    def disable_fallback(self) -> None:
        """Accepted for compatibility: there is one provider."""

    def end_profiling(self) -> str:
        """Returns "": time a model with ``intact bench --profile``."""
        return ""

    def get_inputs(self) -> list[NodeArg]:
        """Returns the inputs in the model's order."""
        return list(self._inputs)

    def get_outputs(self) -> list[NodeArg]:
        """Returns the outputs in the model's order."""
        return list(self._outputs)

    def get_modelmeta(self) -> ModelMetadata:
        """Returns what the model says about itself, metadata_props among it."""
        return ModelMetadata(self._core)

    def get_session_options(self) -> SessionOptions:
        """Returns the options that the session was opened with."""
        return self._options

    def get_providers(self) -> list[str]:
        """Returns ["CPUExecutionProvider"]."""
        return [_PROVIDER]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """Returns {"CPUExecutionProvider": {}}."""
        return {_PROVIDER: {}}

    def set_providers(
        self, providers: Sequence[Any] | None = None, provider_options: Any = None
    ) -> None:
        """Accepted for compatibility: there is one provider."""
