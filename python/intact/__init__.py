"""intact: quantizes ONNX models and runs them with exact integer kernels.

``InferenceSession`` has ONNX Runtime's call shapes, so one import line migrates::

    import intact as ort
    session = ort.InferenceSession("model.onnx")
    outputs = session.run(None, {"input": array})
"""

from intact._core import InternalError, UnsupportedError
from intact._version import __version__
from intact.benchmark import BenchRow, bench
from intact.binding import IOBinding, OrtValue
from intact.quantization import (
    AccuracyError,
    MetricDrop,
    NodeReport,
    QuantizeResult,
    VerifyResult,
    calibrate,
    merge,
    quantize,
    verify,
)
from intact.reports import (
    Comparison,
    Evaluation,
    Inspection,
    LayerComparison,
    compare,
    evaluate,
    inspect,
)
from intact.session import (
    ExecutionMode,
    GraphOptimizationLevel,
    InferenceSession,
    ModelMetadata,
    NodeArg,
    RunOptions,
    SessionOptions,
    get_all_providers,
    get_available_providers,
    get_device,
    set_default_logger_severity,
    set_default_logger_verbosity,
    set_seed,
)

__all__ = [
    "AccuracyError",
    "BenchRow",
    "Comparison",
    "Evaluation",
    "ExecutionMode",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "Inspection",
    "InternalError",
    "LayerComparison",
    "MetricDrop",
    "ModelMetadata",
    "NodeArg",
    "NodeReport",
    "OrtValue",
    "QuantizeResult",
    "RunOptions",
    "SessionOptions",
    "UnsupportedError",
    "VerifyResult",
    "__version__",
    "bench",
    "calibrate",
    "compare",
    "evaluate",
    "get_all_providers",
    "get_available_providers",
    "get_device",
    "inspect",
    "merge",
    "quantize",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_seed",
    "verify",
]
