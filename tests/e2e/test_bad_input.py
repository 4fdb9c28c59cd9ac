"""Whatever the world gets wrong is one clear sentence and exit code 2, and leaves no file behind.

Each row breaks one thing. `says` are words that the sentence must hold: the thing, the limit, the remedy.
"""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import small
import zoo
from onnx import TensorProto, helper, numpy_helper

import intact

Arrange = Callable[[Path], Path]


def broken(kind: str) -> Arrange:
    return lambda where: small.save(where, kind)


def raw(data: bytes) -> Arrange:
    def arrange(where: Path) -> Path:
        (where / "m.onnx").write_bytes(data)
        return where / "m.onnx"

    return arrange


def truncated(where: Path) -> Path:
    data = small.network().SerializeToString()
    return raw(data[: len(data) // 2])(where)


MODELS: dict[str, tuple[Arrange, list[str]]] = {
    "truncated": (truncated, ["m.onnx"]),
    "empty": (raw(b""), ["m.onnx", "empty"]),
    "text": (raw(b"this is no model\n" * 40), ["m.onnx"]),
    "zeros": (raw(bytes(4096)), ["m.onnx"]),
    "missing": (lambda where: where / "nowhere.onnx", ["nowhere.onnx"]),
    "a folder": (lambda where: where, ["folder"]),
    "no external data": (broken("missing"), ["weights.bin"]),
    "external data outside": (broken("outside"), ["weights.bin", "folder"]),
    "cycle": (broken("cycle"), ["cycle"]),
    "types that do not fit": (broken("types"), ["mixed", "int64"]),
    "negative size": (broken("negative"), ["w1", "-8"]),
    "huge size": (broken("huge"), ["w1"]),
    "overflowing size": (broken("overflow"), ["w1"]),
    "unknown operator": (broken("unknown"), ["relu1", "org.example", "Sparkle", "opset 1"]),
}


def good(where: Path, x: np.ndarray | None = None, **arrays: np.ndarray) -> Path:
    path = where / "samples.npz"
    np.savez(path, **({"x": small.samples(12) if x is None else x} | arrays))
    return path


def only(**arrays: np.ndarray) -> Arrange:
    def arrange(where: Path) -> Path:
        np.savez(where / "samples.npz", **arrays)
        return where / "samples.npz"

    return arrange


def with_value(value: float) -> Arrange:
    def arrange(where: Path) -> Path:
        x = small.samples(12)
        x[7, 1, 2, 3] = value
        return good(where, x)

    return arrange


def python_file(text: str, name: str = "load") -> Arrange:
    def arrange(where: Path) -> Path:
        (where / "feed.py").write_text(text)
        return where / f"feed.py:{name}"

    return arrange


def no_samples_folder(where: Path) -> Path:
    (where / "none").mkdir()
    return where / "none"


DATA: dict[str, tuple[Arrange, list[str]]] = {
    "wrong name": (only(image=small.samples(4)), ["'x'", "'image'", "--const x=VALUE"]),
    "wrong shape": (only(x=small.samples(4)[:, :2]), ["'x'", "axis 1", "must be 3, not 2"]),
    "wrong rank": (only(x=small.samples(4)[:, 0, 0]), ["'x'", "dimensions"]),
    "wrong type": (only(x=small.samples(4).astype(np.float64)), ["'x'", "float32", "astype"]),
    "NaN": (with_value(np.nan), ["sample 7", "'x'", "NaN", "[0,1,2,3]"]),
    "infinity": (with_value(np.inf), ["sample 7", "'x'", "infinite"]),
    "no samples": (only(x=small.samples(0)), ["no samples", "samples.npz"]),
    "empty folder": (no_samples_folder, ["no samples", "none"]),
    "no such file": (lambda where: where / "gone.npz", ["gone.npz"]),
    "no data format": (lambda where: small.save(where), ["m.onnx", ".npz", ".npy"]),
    "no such name": (python_file("def other(): return []"), ["feed.py", "'load'", "other"]),
    "no such Python file": (lambda where: where / "gone.py:load", ["gone.py"]),
    "Python that raises": (
        python_file("def load():\n    raise KeyError('camera')"),
        ["KeyError", "camera", "feed.py, line 2"],
    ),
    "Python without samples": (python_file("load = []"), ["no samples", "feed.py"]),
    "Python that gives no iterable": (python_file("load = 3"), ["int", "iterable"]),
    "Python sample that does not fit": (
        python_file("import numpy\nload = [{'x': numpy.zeros((1, 3, 5, 5), 'f4')}]"),
        ["sample 0", "'x'", "must be 12, not 5"],
    ),
    "Python sample that is no dict": (python_file("load = ['a']"), ["str", "dict"]),
}


def refuse(where: Path, *arguments: object, says: list[str], **more: object) -> None:
    """Runs the command line, which must refuse in one sentence and leave `where` as it was."""
    before = sorted(where.rglob("*"))
    result = zoo.run(*arguments, **more)  # type: ignore[arg-type]
    assert result.returncode == 2, result
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("intact: "), result.stderr
    for words in says:
        assert words in lines[0], lines[0]
    assert sorted(p for p in where.rglob("*") if "__pycache__" not in p.parts) == before


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, tmp_path: Path) -> None:
    arrange, says = MODELS[name]
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (tmp_path / "weights.bin").write_bytes(bytes(1 << 16))
    data = good(tmp_path)
    model = arrange(folder)
    for verb, out in (("quantize", "q.onnx"), ("run", "q.npz")):
        refuse(tmp_path, verb, model, "--data", data, "-o", tmp_path / out, says=says)
    with pytest.raises((ValueError, OSError)) as caught:
        intact.InferenceSession(model)
    for words in says:
        assert words in str(caught.value)
    if name == "unknown operator":
        assert isinstance(caught.value, intact.UnsupportedError)


@pytest.mark.parametrize("kind", ["types", "unknown"])
def test_inspect_shows_what_no_session_opens(kind: str, tmp_path: Path) -> None:
    name = {"types": "types that do not fit", "unknown": "unknown operator"}[kind]
    result = zoo.run("inspect", small.save(tmp_path, kind))
    assert result.returncode == 0 and "Conv" in result.stdout
    assert len(result.stderr.splitlines()) == 1 and "warning" in result.stderr
    for words in MODELS[name][1]:
        assert words in result.stderr
    assert intact.inspect(tmp_path / "m.onnx").problem


def test_sizes_of_minus_one_are_unknown(tmp_path: Path) -> None:
    model = small.network()
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = -1
    r1 = onnx.helper.make_tensor_value_info("r1", onnx.TensorProto.FLOAT, [-1, 8, -1, -1])
    model.graph.value_info.append(r1)
    x = small.samples(3)
    y = intact.InferenceSession(model).run(None, {"x": x})[0]
    assert np.array_equal(y, intact.InferenceSession(small.network()).run(None, {"x": x})[0])


@pytest.mark.parametrize("name", DATA)
def test_samples(name: str, tmp_path: Path) -> None:
    arrange, says = DATA[name]
    data = arrange(tmp_path)
    model = small.save(tmp_path)
    refuse(tmp_path, "quantize", model, "--data", data, "-o", tmp_path / "q.onnx", says=says)
    with pytest.raises((ValueError, OSError)) as caught:
        intact.quantize(model, str(data), out=tmp_path / "q.onnx")
    for words in says:
        assert words in str(caught.value)
    assert not (tmp_path / "q.onnx").exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--range", "widest"], ["widest", "percentile"]),
        (["--keep-float", "nothing*"], ["nothing*"]),
        (["--scheme", "w2"], ["w2", "w8a8"]),
        (["--effort", "9"], ["effort"]),
        (["--images", "resize=8"], ["--images", "samples.npz"]),
        (["--const", "x=1"], ["constant"]),
        (["--const", "u=1"], ["'u'", "'x'"]),
        (["--calibration", "nowhere.cal"], ["nowhere.cal"]),
        (["--frobnicate"], ["--frobnicate"]),
        (["--json", "nowhere/r.json"], ["nowhere/r.json"]),
    ],
)
def test_options(flags: list[str], says: list[str], tmp_path: Path) -> None:
    model, data = small.save(tmp_path), good(tmp_path)
    out = tmp_path / "q.onnx"
    if flags[0] != "--json":
        refuse(tmp_path, "quantize", model, "--data", data, "-o", out, *flags, says=says)
        return
    result = zoo.run("quantize", model, "--data", data, "-o", out, "--effort", 0, *flags)
    assert result.returncode == 2 and says[0] in result.stderr


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    model, data = small.save(tmp_path), good(tmp_path)
    (tmp_path / "there.onnx").write_text("mine")
    quick = ["quantize", model, "--data", data, "--effort", 0, "-o"]
    refuse(tmp_path, *quick, tmp_path / "no/q.onnx", says=["no/q.onnx"])
    refuse(tmp_path, *quick, tmp_path / "there.onnx", says=["there.onnx", "--force"])
    refuse(tmp_path, *quick, model, "--force", says=["replace the model itself"])
    refuse(tmp_path, *quick, "/dev/full", "--force", says=["/dev/full"])
    for verb in (["run", model, "--data", data], ["calibrate", model, "--data", data]):
        refuse(tmp_path, *verb, "-o", tmp_path / "no/out", says=["no/out"])
    assert (tmp_path / "there.onnx").read_text() == "mine"


def test_a_full_disk(tmp_path: Path) -> None:
    model, data = small.save(tmp_path), good(tmp_path)
    before = sorted(tmp_path.iterdir())

    def few_bytes() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    for arguments in (
        ["quantize", model, "--data", data, "--effort", 0, "-o", tmp_path / "q.onnx"],
        ["run", model, "--data", data, "-o", tmp_path / "q.npz"],
        ["calibrate", model, "--data", data, "-o", tmp_path / "q.cal"],
    ):
        result = subprocess.run(
            [str(zoo.CLI), *map(str, arguments)],
            capture_output=True,
            text=True,
            preexec_fn=few_bytes,
        )
        assert result.returncode == 2, result
        assert len(result.stderr.splitlines()) == 1 and "q." in result.stderr, result.stderr
        assert sorted(tmp_path.iterdir()) == before


def test_no_python_and_no_numpy(tmp_path: Path) -> None:
    model = small.save(tmp_path)
    data = python_file("load = []")(tmp_path)
    verb = ["quantize", model, "--data", data]
    refuse(
        tmp_path,
        *verb,
        says=["feed.py:load", "no-such-python", "INTACT_PYTHON"],
        env={"INTACT_PYTHON": "no-such-python"},
    )
    # A Python that sees no packages.
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {shutil.which("python3")} -S -E "$@"\n')
    bare.chmod(0o755)
    refuse(tmp_path, *verb, says=["no numpy", "INTACT_PYTHON"], env={"INTACT_PYTHON": str(bare)})


def interrupt(
    arguments: list[object], ready: Callable[[], bool]
) -> subprocess.CompletedProcess[str]:
    # A shell's background jobs ignore SIGINT, and so would what a test run there starts.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            [str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    until = time.monotonic() + 60
    while not ready() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def test_an_interrupt_ends_the_work_and_leaves_nothing(tmp_path: Path) -> None:
    model = small.save(tmp_path)
    # Samples without end: only the interrupt can stop this. The first one says that it has begun.
    data = python_file(
        "import numpy, pathlib\n"
        "def load():\n"
        "    for i in range(10**9):\n"
        f"        if i == 20: pathlib.Path({str(tmp_path / 'begun')!r}).touch()\n"
        "        yield {'x': numpy.ones((1, 3, 12, 12), 'f4')}\n"
    )(tmp_path)
    begun = tmp_path / "begun"
    quantize = [zoo.CLI, "quantize", model, "--data", data, "-o", tmp_path / "q.onnx"]
    result = interrupt(quantize, begun.exists)
    assert result.returncode == 130, result
    assert result.stderr == "intact: interrupted\n" and result.stdout == ""
    begun.unlink()
    code = (
        "import intact, sys\n"
        "try:\n"
        "    intact.quantize(*sys.argv[1:3], out=sys.argv[3])\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(77)\n"
    )
    python = [sys.executable, "-c", code]
    result = interrupt([*python, model, data, tmp_path / "q.onnx"], begun.exists)
    assert result.returncode == 77, result
    assert {p.name for p in tmp_path.iterdir()} <= {"m.onnx", "feed.py", "begun", "__pycache__"}


def test_an_interrupt_ends_a_long_run_of_a_session_whose_runs_were_brief(tmp_path: Path) -> None:
    layers = 4000
    weights = numpy_helper.from_array(np.eye(16, dtype=np.float32), "w")
    names = ["x"] + [f"v{i}" for i in range(2 * layers)]
    nodes = []
    for i in range(0, 2 * layers, 2):
        nodes.append(helper.make_node("MatMul", [names[i], "w"], [names[i + 1]]))
        nodes.append(helper.make_node("Relu", [names[i + 1]], [names[i + 2]]))
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 16])
        for name in (names[0], names[-1])
    ]
    graph = helper.make_graph(nodes, "deep", values[:1], values[1:], [weights])
    model = tmp_path / "deep.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), model)
    # The second run would take minutes.
    code = (
        "import intact, numpy, pathlib, sys\n"
        "session = intact.InferenceSession(sys.argv[1])\n"
        "for _ in range(3): session.run(None, {'x': numpy.ones((1, 16), 'f4')})\n"
        "x = numpy.ones((1000000, 16), 'f4')\n"
        "pathlib.Path(sys.argv[2]).touch()\n"
        "try:\n"
        "    session.run(None, {'x': x})\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(77)\n"
    )
    begun = tmp_path / "begun"
    result = interrupt([sys.executable, "-c", code, model, begun], begun.exists)
    assert result.returncode == 77, result
