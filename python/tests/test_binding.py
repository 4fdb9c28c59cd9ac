"""OrtValue and IOBinding answer as ONNX Runtime's do."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from test_session import conv_model

import intact

X = np.random.default_rng(4).normal(size=(2, 3, 6, 5)).astype(np.float32)


def bound(ort: Any) -> list[np.ndarray]:
    """One binding of each kind, through either package."""
    session = ort.InferenceSession(
        conv_model().SerializeToString(), providers=["CPUExecutionProvider"]
    )
    results: list[np.ndarray] = []
    binding = session.io_binding()
    binding.bind_cpu_input("x", X)
    binding.bind_output("y")
    binding.bind_output("r", "cpu")
    session.run_with_iobinding(binding)
    results += binding.copy_outputs_to_cpu()
    value = ort.OrtValue.ortvalue_from_numpy(X)
    room = ort.OrtValue.ortvalue_from_shape_and_type([2, 8, 1, 1], np.float32)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", value)
    binding.bind_ortvalue_output("y", room)
    session.run_with_iobinding(binding, ort.RunOptions())
    results.append(room.numpy())
    target = np.zeros((2, 8, 1, 1), np.float32)
    binding = session.io_binding()
    binding.bind_input("x", "cpu", 0, np.float32, X.shape, value.data_ptr())
    binding.bind_output("y", "cpu", 0, np.float32, target.shape, target.ctypes.data)
    binding.synchronize_inputs()
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()
    results.append(target)
    results += [v.numpy() for v in session.run_with_ort_values(["y"], {"x": value})]
    return results


def test_bindings_give_what_onnxruntime_gives() -> None:
    ours, theirs = bound(intact), bound(onnxruntime)
    assert len(ours) == len(theirs) == 5
    for a, b in zip(ours, theirs, strict=True):
        # As in test_session: sums of 27 products in another order.
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("array", [X, np.arange(6, dtype=np.int64), np.array(True)])
def test_values_describe_themselves_as_onnxruntime_does(array: np.ndarray) -> None:
    ours = intact.OrtValue.ortvalue_from_numpy(array)
    theirs = onnxruntime.OrtValue.ortvalue_from_numpy(array)
    for question in (
        "shape",
        "data_type",
        "device_name",
        "has_value",
        "is_tensor",
        "is_sparse_tensor",
    ):
        assert getattr(ours, question)() == getattr(theirs, question)(), question


def test_what_does_not_fit_is_refused() -> None:
    session = intact.InferenceSession(conv_model())
    binding = session.io_binding()
    with pytest.raises(ValueError, match="no output is bound"):
        session.run_with_iobinding(binding)
    with pytest.raises(ValueError, match="cuda"):
        binding.bind_output("y", "cuda")
    binding.bind_cpu_input("x", X)
    binding.bind_ortvalue_output("y", intact.OrtValue(np.zeros((1, 8), np.float32)))
    with pytest.raises(ValueError, match="must be the same"):
        session.run_with_iobinding(binding)


def test_everything_that_onnxruntime_users_set_is_accepted() -> None:
    ours, theirs = intact.SessionOptions(), onnxruntime.SessionOptions()
    for name in dir(theirs):
        if name.startswith("_") or callable(getattr(theirs, name)):
            continue
        setattr(ours, name, getattr(theirs, name))
    ours.add_session_config_entry("session.intra_op.allow_spinning", "0")
    assert ours.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    ours.intra_op_num_threads = 2
    run = intact.RunOptions()
    run.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    session = intact.InferenceSession(
        conv_model(),
        ours,
        providers=[("CPUExecutionProvider", {"arena": "1"})],
        provider_options=[{}],
    )
    assert session.get_session_options() is ours
    assert session.run(["y"], {"x": X}, run)[0].shape == (2, 8, 1, 1)
