"""OrtValue and IOBinding with ONNX Runtime's call shapes. There is one device, the CPU: values are numpy
arrays, and binding one costs nothing."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from intact.session import InferenceSession

_TENSOR_TYPES = {"float32": "tensor(float)", "float64": "tensor(double)"}


def tensor_type(dtype: str) -> str:
    """Returns ONNX Runtime's name of a tensor's type, e.g. "tensor(float)"."""
    return _TENSOR_TYPES.get(dtype, f"tensor({dtype})")


def _only_cpu(device_type: str) -> None:
    if device_type != "cpu":
        raise ValueError(f"device '{device_type}' is not known; intact runs on 'cpu'")


class OrtValue:
    """A tensor that calls pass on without a copy."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array

    @staticmethod
    def ortvalue_from_numpy(
        numpy_obj: npt.NDArray[Any], device_type: str = "cpu", device_id: int = 0
    ) -> OrtValue:
        """Wraps an array; it is copied only when it is not contiguous."""
        _only_cpu(device_type)
        return OrtValue(np.asarray(numpy_obj, order="C"))

    @staticmethod
    def ortvalue_from_shape_and_type(
        shape: Sequence[int],
        element_type: npt.DTypeLike,
        device_type: str = "cpu",
        device_id: int = 0,
    ) -> OrtValue:
        """Makes a tensor that is not yet filled."""
        _only_cpu(device_type)
        return OrtValue(np.empty(tuple(shape), element_type))

    def numpy(self) -> npt.NDArray[Any]:
        """Returns the tensor as an array, without a copy."""
        return self._array

    def update_inplace(self, np_arr: npt.NDArray[Any]) -> None:
        """Copies an array of the same shape and type into the tensor."""
        if np_arr.shape != self._array.shape or np_arr.dtype != self._array.dtype:
            raise ValueError(
                f"the value is {self._array.dtype} {list(self._array.shape)}, the array "
                f"{np_arr.dtype} {list(np_arr.shape)}; they must be the same"
            )
        self._array[...] = np_arr

    def shape(self) -> list[int]:
        """Returns the sizes."""
        return list(self._array.shape)

    def data_type(self) -> str:
        """Returns e.g. "tensor(float)"."""
        return tensor_type(self._array.dtype.name)

    def data_ptr(self) -> int:
        """Returns the address of the first element."""
        return int(self._array.ctypes.data)

    def device_name(self) -> str:
        """Returns "cpu"."""
        return "cpu"

    def has_value(self) -> bool:
        """Returns True."""
        return True

    def is_tensor(self) -> bool:
        """Returns True."""
        return True

    def is_sparse_tensor(self) -> bool:
        """Returns False."""
        return False

    def is_tensor_sequence(self) -> bool:
        """Returns False."""
        return False


def _at_address(
    address: int, element_type: npt.DTypeLike, shape: Sequence[int]
) -> npt.NDArray[Any]:
    dtype = np.dtype(element_type)
    count = int(np.prod(shape, dtype=np.int64))
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(address)
    return np.ndarray(tuple(shape), dtype, memoryview(memory))


class IOBinding:
    """Inputs and outputs of a run, bound to memory beforehand."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._inputs: dict[str, npt.NDArray[Any]] = {}
        self._outputs: dict[str, OrtValue | None] = {}
        self._results: list[OrtValue] = []

    def bind_cpu_input(self, name: str, arr_on_cpu: npt.NDArray[Any]) -> None:
        """Binds an array."""
        self._inputs[name] = arr_on_cpu

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """Binds a tensor."""
        self._inputs[name] = ortvalue.numpy()

    def bind_input(
        self,
        name: str,
        device_type: str,
        device_id: int,
        element_type: npt.DTypeLike,
        shape: Sequence[int],
        buffer_ptr: int,
    ) -> None:
        """Binds memory by its address; it must live until the run has ended."""
        _only_cpu(device_type)
        self._inputs[name] = _at_address(buffer_ptr, element_type, shape)

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: npt.DTypeLike | None = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Asks for an output; with an address, it is written there."""
        _only_cpu(device_type)
        if buffer_ptr is None:
            self._outputs[name] = None
            return
        if element_type is None or shape is None:
            raise ValueError(f"output '{name}' is bound to an address: give element_type and shape")
        self._outputs[name] = OrtValue(_at_address(buffer_ptr, element_type, shape))

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Asks for an output, written into this tensor."""
        self._outputs[name] = ortvalue

    def synchronize_inputs(self) -> None:
        """Nothing to wait for on a CPU."""

    def synchronize_outputs(self) -> None:
        """Nothing to wait for on a CPU."""

    def get_outputs(self) -> list[OrtValue]:
        """Returns the outputs of the last run, in the order in which they were bound."""
        return list(self._results)

    def copy_outputs_to_cpu(self) -> list[npt.NDArray[Any]]:
        """Returns the outputs of the last run as arrays."""
        return [value.numpy() for value in self._results]

    def clear_binding_inputs(self) -> None:
        """Forgets the inputs."""
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        """Forgets the outputs."""
        self._outputs.clear()

    def _run(self) -> None:
        if not self._outputs:
            raise ValueError("no output is bound; call bind_output first")
        names = list(self._outputs)
        results = self._session.run(names, self._inputs)
        self._results = []
        for name, result in zip(names, results, strict=True):
            bound = self._outputs[name]
            if bound is None:
                bound = OrtValue(result)
            else:
                bound.update_inplace(result)
            self._results.append(bound)
