#!/usr/bin/env python3
"""Builds and checks the project in stages, and counts.

    check.py [STAGE ...]     default: every stage of `make test`

The last line is "N passed, N failed"; the exit status is 0 only when none failed. What each stage
printed is in build/logs/STAGE.log. A build that fails counts as one failed test, and the stages that do
not need it go on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "logs"
BIN = Path(sys.executable).parent
# The rooms that run under the sanitizers and on emulated ARM: arithmetic and readers of untrusted files.
CORE_ROOMS = "base;quant;ir;onnx;kernels"
READER_ROOMS = "base;ir;onnx;data"  # What fuzzing reads files with.
# One test that hangs must not take the whole run with it.
TEST_TIMEOUT_S = 900


@dataclass
class Tally:
    """What a stage counted."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    def one(self, name: str, ok: bool, detail: str = "") -> None:
        """Counts one test."""
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            self.failures.append(f"{name}\n{detail}".rstrip())

    def add(self, other: Tally) -> None:
        """Adds the counts of another stage."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures


@dataclass
class Options:
    """How to run."""

    jobs: int
    fuzz_seconds: int


class Stage:
    """One stage under way: its log, its commands, its counts."""

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self.options = options
        self.tally = Tally()
        self.log = (LOGS / f"{name}.log").open("w", encoding="utf-8")

    def run(
        self, command: list[str], env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the root; its output goes to the log and to the result's stdout."""
        result = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.log.write(f"$ {' '.join(command)}\n{result.stdout}\n")
        self.log.flush()
        return result

    def check(self, name: str, command: list[str]) -> bool:
        """Runs a command as one test. Returns whether it succeeded."""
        result = self.run(command)
        self.tally.one(f"{self.name}: {name}", result.returncode == 0, tail(result.stdout))
        return result.returncode == 0

    def must(self, name: str, command: list[str]) -> bool:
        """Runs a preparation: counted only when it fails."""
        result = self.run(command)
        if result.returncode != 0:
            self.tally.one(f"{self.name}: {name}", False, errors_of(result.stdout))
        return result.returncode == 0

    def build(self, preset: str, *definitions: str) -> bool:
        """Configures and builds a preset. Returns whether both succeeded."""
        return self.must(
            "configure", ["cmake", "--preset", preset, *(f"-D{d}" for d in definitions)]
        ) and self.must(
            "build", ["cmake", "--build", "--preset", preset, "-j", str(self.options.jobs)]
        )

    def pytest(self, *arguments: str) -> None:
        """Runs Python tests and counts them from the report."""
        report = LOGS / f"{self.name}-pytest.xml"
        report.unlink(missing_ok=True)
        result = self.run(
            [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
        )
        if result.returncode != 5:  # 5: there are no tests.
            self.count(report, result)

    def ctest(self, preset: str, *arguments: str, jobs: int | None = None) -> None:
        """Runs the tests of a preset and counts them from the report."""
        report = LOGS / f"{self.name}.xml"
        report.unlink(missing_ok=True)
        result = self.run(
            [
                "ctest",
                "--preset",
                preset,
                "-j",
                str(jobs or self.options.jobs),
                "--output-junit",
                str(report),
            ]
            + ["--timeout", str(TEST_TIMEOUT_S), "--no-tests=ignore", *arguments],
            env={"UBSAN_OPTIONS": "print_stacktrace=1", "CTEST_OUTPUT_ON_FAILURE": "1"},
        )
        self.count(report, result)

    def count(self, report: Path, result: subprocess.CompletedProcess[str]) -> None:
        """Adds a JUnit report; a run that failed without a failed test in it is itself a failure."""
        before = self.tally.failed
        if report.exists():
            for case in ElementTree.parse(report).iter("testcase"):
                bad = next((e for e in case if e.tag in ("failure", "error")), None)
                skipped = case.find("skipped")
                # To CTest a test that skipped itself did not run, nor did one whose program is missing.
                missing = case.get("status") == "notrun" and not (
                    skipped is not None and skipped.get("message", "").startswith("SKIP_")
                )
                if bad is not None or missing:
                    words = (bad.text or bad.get("message") or "") if bad is not None else "not run"
                    out = case.findtext("system-out") or words
                    self.tally.one(f"{self.name}: {case.get('name')}", False, tail(out))
                elif skipped is not None or case.get("status") == "disabled":
                    self.tally.skipped += 1
                else:
                    self.tally.passed += 1
        if result.returncode != 0 and self.tally.failed == before:
            self.tally.one(f"{self.name}: the test run", False, tail(result.stdout))


def tail(text: str, lines: int = 40) -> str:
    """The last lines of an output."""
    return "\n".join(text.rstrip().splitlines()[-lines:])


def errors_of(text: str) -> str:
    """The lines of a build's output that say what went wrong."""
    lines = text.splitlines()
    hits = [i for i, line in enumerate(lines) if re.search(r"error|FAILED|CMake Error", line)]
    return "\n".join(lines[hits[0] : hits[0] + 40]) if hits else tail(text)


def tracked(*patterns: str) -> list[str]:
    """Files of the tree: tracked, or new and not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        text=True,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout.split("\n")
    return sorted(name for name in set(listing) if name and (ROOT / name).exists())


def format_stage(stage: Stage) -> None:
    """clang-format on every C++ file."""
    files = tracked("*.cc", "*.h")
    if stage.check("clang-format", ["clang-format-14", "--dry-run", "-Werror", *files]):
        return
    stage.tally.failures.append("run `make format` to repair the formatting")


def python_lint_stage(stage: Stage) -> None:
    """ruff and mypy on every Python file."""
    files = tracked("*.py", "*.pyi")
    stage.check("ruff check", [str(BIN / "ruff"), "check", "--quiet", *files])
    stage.check("ruff format", [str(BIN / "ruff"), "format", "--check", *files])
    stage.check("mypy", [str(BIN / "mypy"), "python/intact", "scripts/check.py"])


def tidy_key(source: Path, arguments: str) -> str:
    """A hash of all that clang-tidy's answer for a file depends on: the file, our headers, the settings."""
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes() + arguments.encode())
    seen: set[Path] = set()
    queue = [source]
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        seen.add(path)
        text = path.read_bytes()
        digest.update(text)
        for name in re.findall(rb'^#include "([^"]+)"', text, re.MULTILINE):
            for folder in (path.parent, ROOT / "src/intact", ROOT / "include"):
                if (folder / name.decode()).is_file():
                    queue.append((folder / name.decode()).resolve())
                    break
    return digest.hexdigest()


def tidy_stage(stage: Stage) -> None:
    """clang-tidy on every file of the library and the tools; a file whose answer is known is not asked again."""
    known = BUILD / "tidy"
    known.mkdir(parents=True, exist_ok=True)
    database = BUILD / "release/compile_commands.json"
    if not database.exists() and not stage.build("release"):
        return
    entries = {
        Path(entry["file"]): entry["command"]
        for entry in json.loads(database.read_text())
        if Path(entry["file"]).is_relative_to(ROOT) and "/build/" not in entry["file"]
    }

    def one(source: Path) -> tuple[Path, bool, str]:
        stamp = known / tidy_key(source, entries[source])
        if stamp.exists():
            return source, True, ""
        result = stage.run(
            ["clang-tidy-14", "-p", str(database.parent), "--quiet", "--warnings-as-errors=*"]
            + ["--extra-arg=-Wno-error", str(source)]
        )
        if result.returncode == 0:
            stamp.touch()
        return source, result.returncode == 0, tail(result.stdout)

    with ThreadPoolExecutor(stage.options.jobs) as pool:
        for source, ok, words in pool.map(one, sorted(entries)):
            stage.tally.one(f"clang-tidy: {source.relative_to(ROOT)}", ok, words)


def release_stage(stage: Stage) -> None:
    """The optimized build with its unit, kernel, pass, meta and end-to-end tests, C++ and Python."""
    if not stage.build("release", "INTACT_PYTHON=ON", f"Python_EXECUTABLE={sys.executable}"):
        return
    stage.check("python -c 'import intact'", [sys.executable, "-c", "import intact"])
    stage.ctest("release")
    stage.pytest()


def sanitize_stage(stage: Stage) -> None:
    """Arithmetic and readers under the address and undefined-behaviour sanitizers."""
    if stage.build("dev", f"INTACT_ROOMS={CORE_ROOMS}"):
        stage.ctest("dev")


def sanitize_all_stage(stage: Stage) -> None:
    """Everything under the address and undefined-behaviour sanitizers."""
    if stage.build("dev", "INTACT_ROOMS="):
        stage.ctest("dev", "-LE", "e2e|meta")


def thread_stage(stage: Stage) -> None:
    """Everything under the thread sanitizer."""
    if stage.build("tsan", "INTACT_ROOMS="):
        stage.ctest("tsan", "-LE", "e2e|meta")


def aarch64_stage(stage: Stage) -> None:
    """Arithmetic and readers on 64-bit ARM, emulated."""
    if not stage.must("the arm64 libraries", ["scripts/sysroot"]):
        return
    libraries = "INTACT_ROOM_LIBRARIES=passes;runtime"  # For whole models.
    if stage.build("aarch64", f"INTACT_ROOMS={CORE_ROOMS}", libraries):
        stage.ctest("aarch64")
        stage.pytest("tests/e2e/test_arm.py")
        # Not spills: the emulator checks bits, and no speed is claimed on Arm before it is measured there.
        script = [sys.executable, "tests/meta/isa_symbols.py", ".", "build/aarch64"]
        stage.check("isa_symbols", [*script, "aarch64-linux-gnu-"])


def fuzz_stage(stage: Stage) -> None:
    """Every libFuzzer target for a while, from its seeds and from what earlier runs found interesting."""
    targets = sorted(
        Path(name).stem.removesuffix("_fuzz")
        for name in tracked("src/*_fuzz.cc")
        if name.endswith("_fuzz.cc")
    )
    if not targets or not stage.build("fuzz", f"INTACT_ROOMS={READER_ROOMS}"):
        return

    def one(target: str) -> tuple[str, bool, str]:
        work = BUILD / "fuzz/corpus" / target
        findings = BUILD / "fuzz/findings" / target
        work.mkdir(parents=True, exist_ok=True)
        findings.mkdir(parents=True, exist_ok=True)
        seeds = ROOT / "tests/fuzz/corpus" / target
        result = stage.run(
            [str(BUILD / f"fuzz/fuzz_{target}"), f"-max_total_time={stage.options.fuzz_seconds}"]
            + ["-timeout=10", "-rss_limit_mb=2048", "-max_len=65536", "-print_final_stats=1"]
            + [f"-artifact_prefix={findings}/", str(work)]
            + ([str(seeds)] if seeds.is_dir() else [])
        )
        return target, result.returncode == 0, tail(result.stdout)

    with ThreadPoolExecutor(stage.options.jobs) as pool:
        for target, ok, words in pool.map(one, targets):
            stage.tally.one(f"fuzz: {target}", ok, words)


STAGES: dict[str, Callable[[Stage], None]] = {
    "format": format_stage,
    "python-lint": python_lint_stage,
    "release": release_stage,
    "sanitize": sanitize_stage,
    "aarch64": aarch64_stage,
    "fuzz": fuzz_stage,
    "tidy": tidy_stage,
    "sanitize-all": sanitize_all_stage,
    "thread": thread_stage,
}
DEFAULT = ["format", "python-lint", "release", "sanitize", "aarch64", "fuzz"]


def main() -> int:
    """Runs the stages named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(STAGES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--fuzz-seconds", type=int, default=60)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.stages if name not in STAGES]
    if unknown:
        parser.error(f"no stage '{unknown[0]}'; there are {', '.join(STAGES)}")

    LOGS.mkdir(parents=True, exist_ok=True)
    options = Options(arguments.jobs, arguments.fuzz_seconds)
    total = Tally()
    start = time.monotonic()
    for name in arguments.stages or DEFAULT:
        begin = time.monotonic()
        stage = Stage(name, options)
        STAGES[name](stage)
        stage.log.close()
        tally = stage.tally
        print(
            f"{name:12} {tally.passed:6} passed {tally.failed:4} failed {tally.skipped:4} skipped "
            f"{time.monotonic() - begin:7.0f} s",
            flush=True,
        )
        for failure in tally.failures:
            print(f"--- FAILED {failure}\n", flush=True)
        total.add(tally)
    if total.skipped:
        print(f"{total.skipped} tests were skipped: they say why in build/logs")
    print(f"{(time.monotonic() - start) / 60:.1f} minutes; logs are in build/logs")
    summary = f"{total.passed} passed, {total.failed} failed"
    (LOGS / "summary").write_text(summary + "\n")
    print(summary)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
