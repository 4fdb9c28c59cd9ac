"""Runs models in a process of its own: runner.py MODEL FEEDS.npz OUT.npz THREADS [hostile]

MODEL and FEEDS may be folders: then NAME.onnx is run on NAME.npz, and OUT holds NAME/0, NAME/1, ...
hostile: the caller rounds upward and flushes subnormals; the engine must neither obey nor forget it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
import struct
import sys
from pathlib import Path

import numpy as np

import intact

FE_UPWARD = 0x800  # fenv.h on x86.
FTZ_DAZ = 0x8040  # MXCSR: flush to zero, denormals are zero.
MXCSR_AT = 28  # glibc's fenv_t: the x87 environment of 28 bytes, then MXCSR.


def libm() -> ctypes.CDLL:
    return ctypes.CDLL(ctypes.util.find_library("m"))


def mxcsr() -> int:
    env = ctypes.create_string_buffer(32)
    libm().fegetenv(env)
    return int(struct.unpack_from("<I", env, MXCSR_AT)[0])


def set_hostile() -> int:
    """Rounds upward and flushes subnormals in this thread. Returns the state."""
    m = libm()
    assert m.fesetround(FE_UPWARD) == 0
    env = ctypes.create_string_buffer(32)
    m.fegetenv(env)
    struct.pack_into("<I", env, MXCSR_AT, struct.unpack_from("<I", env, MXCSR_AT)[0] | FTZ_DAZ)
    m.fesetenv(env)
    return mxcsr()


def main() -> None:
    model, feeds, out, threads = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    hostile = "hostile" in sys.argv[5:]
    if hostile and platform.machine() != "x86_64":
        raise SystemExit("hostile: only on x86-64")
    options = intact.SessionOptions()
    options.intra_op_num_threads = threads
    pairs = [(model, feeds)]
    if model.is_dir():
        pairs = [(m, feeds / f"{m.stem}.npz") for m in sorted(model.glob("*.onnx"))]
    results: dict[str, np.ndarray] = {}
    for path, data in pairs:
        with np.load(data) as z:
            arrays = {k: z[k] for k in z.files}
        libm().fesetround(0)
        state = set_hostile() if hostile else mxcsr() if platform.machine() == "x86_64" else 0
        # The session opens under the hostile state too: packing and folding compute as well.
        outputs = intact.InferenceSession(str(path), options).run(None, arrays)
        if platform.machine() == "x86_64":
            # Bits 0 to 5 say which exceptions happened; they are the thread's history, not its mode.
            assert mxcsr() & ~0x3F == state & ~0x3F, "the caller's floating-point state has changed"
        for i, output in enumerate(outputs):
            results[f"{path.stem}/{i}"] = output
    np.savez(out, **results)


main()
