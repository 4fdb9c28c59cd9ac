"""intact: quantizes ONNX models and runs them with exact integer kernels.

``InferenceSession`` has ONNX Runtime's call shapes, so one import line migrates::

    import intact as ort
    session = ort.InferenceSession("model.onnx")
    outputs = session.run(None, {"input": array})
"""

from intact._core import InternalError, UnsupportedError
from intact._version import __version__
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
    "GraphOptimizationLevel",
    "InferenceSession",
    "InternalError",
    "ModelMetadata",
    "NodeArg",
    "RunOptions",
    "SessionOptions",
    "UnsupportedError",
    "__version__",
    "get_available_providers",
]
