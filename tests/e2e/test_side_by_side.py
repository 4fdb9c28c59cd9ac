"""Sessions side by side: threads, forked children, the folder of packed weights."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zoo

import intact


def session_of(path: Path, threads: int, cache_dir: str = "") -> intact.InferenceSession:
    options = intact.SessionOptions()
    options.intra_op_num_threads = threads
    options.cache_dir = cache_dir
    return intact.InferenceSession(str(path), options)


def test_runs_and_sessions_may_be_concurrent(quantized: Callable[[str], Path]) -> None:
    path = quantized("kws-dscnn")
    feeds = zoo.samples("kws-dscnn", "test", 6)
    sessions = [session_of(path, threads) for threads in (1, 2, 3)]
    expected = [sessions[0].run(None, f) for f in feeds]
    wrong: list[int] = []

    def work(number: int) -> None:
        session = sessions[number % len(sessions)]
        for round_ in range(40):
            i = (number + round_) % len(feeds)
            got = session.run(None, feeds[i])
            if any(not np.array_equal(a, b) for a, b in zip(got, expected[i], strict=True)):
                wrong.append(number)

    callers = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=120)
        assert not caller.is_alive()
    assert not wrong


def test_a_forked_child_runs(quantized: Callable[[str], Path]) -> None:
    session = session_of(quantized("kws-dscnn"), 2)
    feeds = zoo.samples("kws-dscnn", "test", 1)[0]
    expected = session.run(None, feeds)
    for _ in range(3):
        child = os.fork()
        if child == 0:
            same = all(
                np.array_equal(a, b)
                for a, b in zip(session.run(None, feeds), expected, strict=True)
            )
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0
        session.run(None, feeds)


def pss_of_mapping(folder: str) -> tuple[int, int]:
    """Bytes of files in `folder` that this process maps: its own share, and what is in memory."""
    pss = rss = 0
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0]:
            inside = folder in line
        elif inside and line.startswith("Pss:"):
            pss += int(line.split()[1]) * 1024
        elif inside and line.startswith("Rss:"):
            rss += int(line.split()[1]) * 1024
    return pss, rss


def child_run(path: str, cache: str, barrier: object, queue: object) -> None:
    session = session_of(Path(path), 1, cache)
    result = session.run(None, zoo.samples("kws-dscnn", "test", 1)[0])
    barrier.wait()  # type: ignore[attr-defined]
    queue.put((pss_of_mapping(cache), result[0]))  # type: ignore[attr-defined]
    barrier.wait()  # type: ignore[attr-defined]


def test_packed_weights_are_kept_and_shared(
    quantized: Callable[[str], Path], tmp_path: Path
) -> None:
    path = quantized("kws-dscnn")
    feeds = zoo.samples("kws-dscnn", "test", 1)[0]
    expected = session_of(path, 1).run(None, feeds)
    cache = str(tmp_path / "cache")
    np.testing.assert_array_equal(session_of(path, 1, cache).run(None, feeds)[0], expected[0])
    files = list(Path(cache).iterdir())
    assert len(files) == 1
    written = files[0].stat()

    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(3), context.Queue()
    children = [
        context.Process(target=child_run, args=(str(path), cache, barrier, queue)) for _ in range(3)
    ]
    for child in children:
        child.start()
    results = [queue.get(timeout=120) for _ in children]
    for child in children:
        child.join(timeout=120)
    for (pss, rss), output in results:
        np.testing.assert_array_equal(output, expected[0])
        assert rss > 0 and pss <= rss / 2  # Three processes share each page.
    again = files[0].stat()
    assert (again.st_mtime_ns, again.st_ino) == (written.st_mtime_ns, written.st_ino)

    damaged = bytearray(files[0].read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    os.replace(tmp_path / "damaged", files[0])
    broken = files[0].stat()
    options = intact.SessionOptions()
    options.add_session_config_entry("session.cache_dir", cache)
    np.testing.assert_array_equal(
        intact.InferenceSession(str(path), options).run(None, feeds)[0], expected[0]
    )
    assert files[0].stat().st_ino != broken.st_ino
    assert files[0].read_bytes() != bytes(damaged)
