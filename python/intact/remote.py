"""An engine in a process of its own, told over a pipe when it has its turn.

Engines disturb each other inside a process: they pin the caller to a core, whose later threads then inherit
that, keep a thread pool as it was first made, and leave workers spinning. Here each has a process, all run
the same loop, and a turn is over when its process sleeps again.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from intact.engines import Engine, Feeds, PathLike

# After a pause the first calls find cold caches: a steady load is what is measured.
WARM_S = 0.03
# A process sleeps when it uses next to no CPU time for a while. ONNX Runtime's workers spin for 40 ms.
QUIET_S = 0.003
QUIET_SHARE = 0.2
PATIENCE_S = 0.2


class RemoteEngine:
    """One model opened by one engine, its inputs in place."""

    def __init__(self, engine: type[Engine], path: PathLike, threads: int, feeds: Feeds) -> None:
        """Raises what the engine raises."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from intact.remote import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "OPENBLAS_NUM_THREADS": "1",
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        )
        self._ask((engine.__module__, engine.__qualname__, os.fspath(path), threads, dict(feeds)))

    def _ask(self, question: object) -> Any:
        assert self._process.stdin and self._process.stdout
        pickle.dump(question, self._process.stdin)
        self._process.stdin.flush()
        try:
            answer = pickle.load(self._process.stdout)
        except EOFError:
            raise RuntimeError(f"the engine's process ended ({self._process.wait()})") from None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def turn(self, calls: int) -> tuple[float, float]:
        """Returns the median time of so many calls, warmed up, and their mean CPU time, in ms."""
        ms, cpu_ms = self._ask(calls)
        return ms, cpu_ms

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def timed_turn(call: Callable[[], object], calls: int) -> tuple[float, float]:
    """What RemoteEngine.turn returns, in this process."""
    warm = time.perf_counter() + WARM_S
    call()
    while time.perf_counter() < warm:
        call()
    times = []
    cpu = time.process_time_ns()
    for _ in range(calls):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    cpu = time.process_time_ns() - cpu
    return float(np.median(times)) / 1e6, cpu / calls / 1e6


def settle() -> None:
    """Waits until the threads of this process sleep."""
    patience = time.perf_counter() + PATIENCE_S
    while time.perf_counter() < patience:
        start = time.process_time()
        time.sleep(QUIET_S)
        if time.process_time() - start < QUIET_SHARE * QUIET_S:
            return


def spread(cores: list[int], threads: int) -> None:
    """Gives every thread of this process a core, the caller the first. A worker that wakes on the caller's core
    may stay there for tens of milliseconds until the scheduler moves it, with some engines and not with
    others: no property of an engine that a comparison should show."""
    caller = os.getpid()
    os.sched_setaffinity(caller, {cores[0]})
    workers = [int(t) for t in os.listdir("/proc/self/task") if int(t) != caller]
    for i, worker in enumerate(sorted(workers)):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(worker, {cores[1 + i % (threads - 1)]})


def serve() -> None:
    """The other end: answers on what is standard output, which engines that print do not get."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    questions = sys.stdin.buffer
    cores = sorted(os.sched_getaffinity(0))
    try:
        module, name, path, threads, feeds = pickle.load(questions)
        engine: Engine = getattr(importlib.import_module(module), name)(path, threads, feeds)
        call = engine.bind(feeds)
        call()
        if 1 < threads <= len(cores):
            spread(cores, threads)
        _reply(replies, None)
        while True:
            try:
                calls = pickle.load(questions)
            except EOFError:
                return
            answer = timed_turn(call, calls)
            settle()
            _reply(replies, answer)
    except Exception as e:
        # Engines raise what cannot be pickled; what can must keep its type.
        known = isinstance(e, (ImportError, OSError, ValueError))
        _reply(replies, e if known else RuntimeError(f"{type(e).__name__}: {e}"))


def _reply(replies: BinaryIO, answer: object) -> None:
    pickle.dump(answer, replies)
    replies.flush()
