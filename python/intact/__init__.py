"""intact: quantizes ONNX models and runs them with exact integer kernels.

``InferenceSession`` has ONNX Runtime's call shapes, so one import line migrates::

    import intact as ort
    session = ort.InferenceSession("model.onnx")
    outputs = session.run(None, {"input": array})
"""

from intact._core import InternalError, UnsupportedError
from intact._version import __version__
from intact.benchmark import BenchRow, bench
from intact.quantization import (
    NodeReport,
    QuantizeResult,
    VerifyResult,
    calibrate,
    merge,
    quantize,
    verify,
)
from intact.session import (
    GraphOptimizationLevel,
    InferenceSession,
    ModelMetadata,
    NodeArg,
    RunOptions,
    SessionOptions,
    get_available_providers,
)

__all__ = [
    "BenchRow",
    "GraphOptimizationLevel",
    "InferenceSession",
    "InternalError",
    "ModelMetadata",
    "NodeArg",
    "NodeReport",
    "QuantizeResult",
    "RunOptions",
    "SessionOptions",
    "UnsupportedError",
    "VerifyResult",
    "__version__",
    "bench",
    "calibrate",
    "get_available_providers",
    "merge",
    "quantize",
    "verify",
]
