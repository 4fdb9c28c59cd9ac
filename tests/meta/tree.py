"""Fails when a file of the tree holds what no file of it should.

Absolute paths of somebody's machine, markers of unfinished work, the marks of a merge conflict, carriage
returns, or more than a mebibyte.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

MAX_BYTES = 1 << 20
# Spelled in groups, so that this file passes its own test.
RULES = {
    "an absolute path of one machine": re.compile(
        rb"(?<![\w.$}~>-])/(?:"
        + b"|".join([b"work", b"root", b"home", b"Users", b"mnt", b"tmp"])
        + rb")/\w"
    ),
    "a marker of unfinished work": re.compile(rb"\b(?:TO(?:DO)|FIX(?:ME)|XX(?:X))\b"),
    "a merge conflict": re.compile(rb"^(?:<{7}|>{7}) ", re.MULTILINE),
    "a carriage return": re.compile(rb"\r\n"),
}


def check_file(name: str, content: bytes) -> list[str]:
    """What is wrong with one file, as sentences."""
    if len(content) > MAX_BYTES:
        return [f"{name}: {len(content)} bytes; the limit is {MAX_BYTES}"]
    if b"\0" in content:  # Binary: a golden array, a picture.
        return []
    return [
        f"{name}:{content.count(10, 0, hit.start()) + 1}: {what}: {hit.group().decode(errors='replace')}"
        for what, rule in RULES.items()
        if (hit := rule.search(content))
    ]


def check(root: Path) -> list[str]:
    """What is wrong with the tracked files of a tree."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, check=True, stdout=subprocess.PIPE
    )
    names = [name for name in listing.stdout.decode().split("\0") if name]
    return [
        line
        for name in names
        if (root / name).is_file()
        for line in check_file(name, (root / name).read_bytes())
    ]


def main() -> int:
    """Checks the tree given as the only argument."""
    root = Path(sys.argv[1])
    if not (root / ".git").exists():
        print("[  SKIPPED ] not a git checkout")
        return 0
    bad = check(root)
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
