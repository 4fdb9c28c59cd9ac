"""compare, inspect, eval and quantize as a person at a terminal meets them, on a small model."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import zoo
from PIL import Image


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """m.onnx, q.onnx, samples.npz with labels, and feed.py with the same samples and a score."""
    folder = tmp_path_factory.mktemp("cli")
    model = small.save(folder)
    x = small.samples(40)
    y = small.labels(model, x)
    y[::7] = (y[::7] + 1) % 4
    np.savez(folder / "samples.npz", x=x, label=y)
    (folder / "feed.py").write_text(
        "import numpy\n"
        f"data = numpy.load({str(folder / 'samples.npz')!r})\n"
        "def load():\n"
        "    print('from the user')\n"
        "    for x, label in zip(data['x'], data['label']):\n"
        "        yield {'x': x, 'label': label}\n"
        "def right(outputs, target):\n"
        "    return 100.0 * (outputs['y'].argmax() == target)\n"
    )
    zoo.intact("quantize", model, "--data", folder / "samples.npz", "-o", folder / "q.onnx")
    return folder


def as_json(*arguments: object) -> dict[str, Any]:
    """The object that --json - prints, which must be all of stdout."""
    value = json.loads(zoo.intact(*arguments, "--json", "-"))
    assert value["schema"] == f"intact.{arguments[0]}/1"
    return dict(value)


def test_compare_lists_every_layer_worst_first(where: Path) -> None:
    pair = [where / "m.onnx", where / "q.onnx", "--data", where / "samples.npz"]
    result = as_json("compare", *pair)
    layers = {row["node"]: row for row in result["layers"]}
    assert {"conv1", "conv2", "fc"} <= set(layers) and result["samples"] == 40
    local = [row["local_sqnr_db"] for row in result["layers"]]
    assert local == sorted(local)
    # The first layer has nothing before it.
    assert layers["conv1"]["local_sqnr_db"] == pytest.approx(
        layers["conv1"]["cumulative_sqnr_db"], abs=0.01
    )
    text = zoo.intact("compare", *pair, "--top", 1)
    assert "conv1" in text or "conv2" in text or "fc" in text
    assert "better ones" in text and text.splitlines()[-1].startswith("next ")


def test_python_gives_the_same_samples(where: Path) -> None:
    out = [where / "a.onnx", where / "b.onnx"]
    for path, data in zip(out, (where / "samples.npz", f"{where}/feed.py:load"), strict=True):
        zoo.intact("quantize", where / "m.onnx", "--data", data, "-o", path)
    assert out[0].read_bytes() == out[1].read_bytes()


def test_a_score_in_python_counts_as_the_built_in_one(where: Path) -> None:
    models = [where / "m.onnx", where / "q.onnx"]
    built_in = as_json("eval", *models, "--data", where / "samples.npz")
    own = as_json(
        "eval", *models, "--data", f"{where}/feed.py:load", "--metric", f"{where}/feed.py:right"
    )
    for a, b in zip(built_in["models"], own["models"], strict=True):
        assert (a["value"], a["samples"]) == (pytest.approx(b["value"]), b["samples"])
        assert a.get("worse") == b.get("worse")
    result = zoo.run("eval", *models, "--data", where / "samples.npz", "--metric", "feed.py:none")
    assert result.returncode == 2 and "feed.py" in result.stderr


def test_inspect_shows_what_arrives(where: Path) -> None:
    sheet = where / "sheet.png"
    seen = as_json(
        "inspect", where / "m.onnx", "--data", where / "samples.npz", "--contact-sheet", sheet
    )
    x = small.samples(40).astype(np.float64)
    channels = seen["data"][0]["channels"]
    assert len(channels) == 3
    for c, row in enumerate(channels):
        assert row["mean"] == pytest.approx(x[:, c].mean()) and row["max"] == x[:, c].max()
        assert row["std"] == pytest.approx(x[:, c].std())
    assert {p["name"]: p["integer"] for p in seen["products"]} == {
        "conv1": True,
        "conv2": True,
        "fc": True,
    }
    picture = np.asarray(Image.open(sheet).convert("RGB")).astype(np.int64)
    # The first thumbnail, at its gap of 4, is the first sample between the extremes of the sheet.
    wanted = (x[0] - x.min()) / (x.max() - x.min()) * 255
    assert np.abs(picture[4:16, 4:16].transpose(2, 0, 1) - wanted).max() <= 1


def test_inspect_says_why_not(where: Path) -> None:
    kept = as_json("inspect", where / "q.onnx")
    assert kept["quantized"] and all(p["integer"] for p in kept["products"])
    result = zoo.run("inspect", where / "m.onnx", "--contact-sheet", where / "none.png")
    assert result.returncode == 2 and "--data" in result.stderr


def test_a_missed_limit_is_exit_code_3_and_keeps_the_best(where: Path) -> None:
    quantize = [
        "quantize",
        where / "m.onnx",
        "--data",
        where / "samples.npz",
        "-o",
        where / "l.onnx",
    ]
    result = zoo.run(*quantize, "--min-sqnr", 150)
    assert result.returncode == 3 and "--min-sqnr 150" in result.stderr
    assert (where / "l.onnx.best").exists() and not (where / "l.onnx").exists()
    assert zoo.run(*quantize, "--min-sqnr", 1).returncode == 0
    assert (where / "l.onnx").read_bytes() == (where / "l.onnx.best").read_bytes()


def test_a_drop_beyond_the_limit_is_exit_code_3(where: Path) -> None:
    flags = [
        "quantize",
        where / "m.onnx",
        "--data",
        where / "samples.npz",
        "--effort",
        0,
        "--force",
    ]
    out = where / "dropped.onnx"
    judged = ["--metric", "top1", "--eval-data", where / "samples.npz"]
    fine = as_json(*flags, "-o", out, *judged, "--max-drop", "100%")
    assert fine["metric"]["name"] == "top1" and fine["metric"]["samples"] > 0
    # The labels of the samples do where there are no others.
    assert as_json(*flags, "-o", out, *judged[:2], "--max-drop", "100%")["metric"] == fine["metric"]
    assert fine["metric"]["drop"] <= fine["metric"]["limit"] == fine["metric"]["float"]
    out.unlink()
    # Two bits of noise cannot be hidden: the mean square error grows from nothing.
    result = zoo.run(
        *flags,
        "-o",
        out,
        "--metric",
        "min:mse",
        "--eval-data",
        where / "samples.npz",
        "--max-drop",
        0,
    )
    assert result.returncode == 3 and "drop" in result.stderr and "limit 0.000" in result.stdout
    assert not out.exists() and Path(f"{out}.best").exists()
    for lacking in (["--max-drop", 1], judged, [*judged, "--max-drop", "much"]):
        assert zoo.run(*flags, "-o", out, *lacking).returncode == 2


def test_a_calibration_file_stands_where_samples_do(where: Path) -> None:
    zoo.intact(
        "calibrate", where / "m.onnx", "--data", where / "samples.npz", "-o", where / "r.cal"
    )
    one, two = where / "one.onnx", where / "two.onnx"
    zoo.intact("quantize", where / "m.onnx", "--data", where / "r.cal", "-o", one)
    zoo.intact("quantize", where / "m.onnx", "--calibration", where / "r.cal", "-o", two)
    assert one.read_bytes() == two.read_bytes()


def test_inspect_knows_what_follows_from_a_shape(where: Path) -> None:
    open_ended = as_json("inspect", where / "m.onnx")
    assert open_ended["products"][0]["multiply_adds"] == 0
    fixed = as_json("inspect", where / "m.onnx", "--shape", "x=2x3x12x12")
    assert [p["multiply_adds"] for p in fixed["products"]] == [
        2 * 8 * 12 * 12 * 27,
        2 * 16 * 10 * 10 * 72,
        2 * 4 * 16,
    ]
    assert "2,4" in fixed["outputs"][0]
    for wrong in ("x=2x3x12", "y=1", "x=2x5x12x12", "x"):
        assert zoo.run("inspect", where / "m.onnx", "--shape", wrong).returncode == 2


def test_progress_is_for_terminals_only(where: Path) -> None:
    compare = [where / "m.onnx", where / "q.onnx", "--data", where / "samples.npz"]
    quiet = zoo.run("compare", *compare)
    assert quiet.stderr == ""
    ours, theirs = pty.openpty()
    subprocess.run(
        [str(zoo.CLI), "compare", *map(str, compare)],
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # A terminal that nobody writes to any more.
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    assert b"compare [" in shown and shown.endswith(b"\r\x1b[K")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "a verb is missing; the verbs are quantize, calibrate"),
        (["frob"], "'frob' is no verb; the verbs are quantize, calibrate"),
        (["quantise", "m.onnx"], "'quantise' is no verb; did you mean quantize?"),
        (["-v"], "-v is no option of intact; see intact --help"),
        (["quantize", "m.onnx", "--efort", "1"], "no option --efort; did you mean --effort?"),
        (["quantize", "m.onnx", "--efort=1"], "no option --efort; did you mean --effort?"),
        (["quantize", "m.onnx", "--zzz"], "no option --zzz; see intact quantize --help"),
        (["quantize", "m.onnx", "--data", "-o", "q.onnx"], "--data needs a value; see intact"),
        (["verify", "m.onnx", "n.onnx"], "'n.onnx' is one argument too many; see intact verify"),
        (["quantize"], "MODEL is required; see intact quantize --help"),
    ],
)
def test_a_wrong_command_line_says_what_was_meant(arguments: list[str], says: str) -> None:
    result = zoo.run(*arguments)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("intact: ") and len(result.stderr.splitlines()) == 1
    assert says in result.stderr


def test_help_may_be_asked_for_like_a_verb() -> None:
    assert zoo.run("help", "host").stdout == zoo.run("host", "--help").stdout
    assert zoo.run("help").stdout == zoo.run("--help").stdout
