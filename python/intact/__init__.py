"""intact: quantizes ONNX models and runs them with exact integer kernels."""

from intact._version import __version__

__all__ = ["__version__"]
