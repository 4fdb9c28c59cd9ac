"""What the meta tests of object files share: which objects hold ISA code, and the tools that read them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

STRUCT = re.compile(r"^struct (\w+)", re.MULTILINE)
LEVEL_LISTS = re.compile(r"^set\(INTACT_ISA_(?:X86|ARM) ([\w ]+)\)", re.MULTILINE)


@dataclass(frozen=True)
class IsaObject:
    """One object file that was compiled with the flags of an ISA level."""

    path: Path
    level: str
    types: tuple[str, ...]  # The ISA types of src/intact/kernels/isa/LEVEL.h.


def levels(root: Path) -> list[str]:
    """The levels that cmake/isa.cmake knows."""
    text = (root / "cmake/isa.cmake").read_text(encoding="utf-8")
    return [level for group in LEVEL_LISTS.findall(text) for level in group.split()]


def isa_types(root: Path) -> tuple[str, ...]:
    """The names of all types declared in isa/*.h: one is enough to tie a symbol to its level."""
    headers = sorted((root / "src/intact/kernels/isa").glob("*.h"))
    return tuple(n for h in headers for n in STRUCT.findall(h.read_text(encoding="utf-8")))


def isa_objects(root: Path, build: Path) -> list[IsaObject]:
    """Every ISA object of the libraries in a build tree (not of the test programs)."""
    found = []
    types = isa_types(root)
    known = levels(root)
    for path in sorted(build.glob("CMakeFiles/intact_*.dir/**/*.cc.o")):
        if path.relative_to(build).parts[1].endswith(("_test.dir", "_bench.dir")):
            continue
        stem = path.name.removesuffix(".cc.o")
        for level in known:
            if stem.endswith(f"_{level}"):
                found.append(IsaObject(path, level, types))
    return found


def run(*command: str) -> str:
    """Runs a tool and returns what it printed."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
