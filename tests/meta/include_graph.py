"""Fails when a file includes a room that its own room does not declare.

The rooms and their dependencies are the intact_room(...) lines of CMakeLists.txt: the same lines that
link the libraries. Checked are src/intact (a room may include itself, its DEPS, and the public face),
include/intact (the public face: itself and the standard library only, besides tl/expected.hpp), and its
users: for python and the installed consumer every room's header is private, the command line may take
from the rooms that tools/intact/CMakeLists.txt names (INTACT_TOOL_ROOMS).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
ROOM = re.compile(r"^intact_room\((\w+)(?:\s+DEPS\s+([\w\s]+))?\)", re.MULTILINE)
SOURCES = (".h", ".cc", ".inl")
TOOL_ROOMS = re.compile(r"^set\(INTACT_TOOL_ROOMS ([\w ]+)\)", re.MULTILINE)
FACE_LIBRARIES = {"tl/expected.hpp"}


def rooms_of(cmake: str) -> dict[str, set[str]]:
    """The declared rooms and what each may include."""
    return {name: set(deps.split()) for name, deps in ROOM.findall(cmake)}


def includes(path: Path) -> list[tuple[int, str, str]]:
    """Line, bracket and name of every include of a file."""
    text = path.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, m.start()) + 1, m.group(1), m.group(2)) for m in INCLUDE.finditer(text)
    ]


def check(root: Path) -> list[str]:
    """Every edge of the tree that is not declared, as sentences."""
    rooms = rooms_of((root / "CMakeLists.txt").read_text(encoding="utf-8"))
    bad: list[str] = []

    def files(*folders: str) -> list[Path]:
        return sorted(
            p for f in folders for p in (root / f).rglob("*") if p.suffix in SOURCES and p.is_file()
        )

    for path in files("src/intact"):
        here = path.relative_to(root / "src/intact").parts[0]
        name = path.relative_to(root)
        if here not in rooms:
            bad.append(f"{name}: the folder '{here}' is no declared room")
            continue
        for line, bracket, header in includes(path):
            target = header.split("/")[0]
            if bracket == "<" or target == "intact":
                continue
            generated = header.removesuffix(".pb.h") + ".proto"
            if header.endswith(".pb.h") and (root / "src/intact" / here / generated).is_file():
                continue  # Compiled from the room's own description.
            generated = header.removesuffix(".pb.h") + ".proto"
            if header.endswith(".pb.h") and (root / "src/intact" / here / generated).is_file():
                continue  # Compiled from the room's own description.
            if (path.parent / header).is_file() and "/" not in header:
                continue
            if target not in rooms:
                bad.append(f"{name}:{line}: '{header}' names no room; write \"room/file.h\"")
            elif target != here and target not in rooms[here]:
                bad.append(f"{name}:{line}: {here} may not include {target} ({header})")
    for path in files("include"):
        for line, bracket, header in includes(path):
            own = header.startswith("intact/") and (root / "include" / header).is_file()
            standard = bracket == "<" and ("/" not in header or header in FACE_LIBRARIES)
            if not own and not standard:
                bad.append(
                    f"{path.relative_to(root)}:{line}: the public face may not include {header}"
                )
    tool = root / "tools/intact/CMakeLists.txt"
    named = TOOL_ROOMS.search(tool.read_text(encoding="utf-8")) if tool.exists() else None
    below = set(named.group(1).split()) if named else set()
    for path in files("tools", "python", "tests/consumer"):
        open_rooms = below if path.is_relative_to(root / "tools") else set()
        for line, bracket, header in includes(path):
            target = header.split("/")[0]
            if bracket == '"' and target in rooms and target not in open_rooms:
                bad.append(f"{path.relative_to(root)}:{line}: {header} is private to the library")
    return bad


def main() -> int:
    """Checks the tree given as the only argument."""
    root = Path(sys.argv[1])
    bad = check(root)
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
