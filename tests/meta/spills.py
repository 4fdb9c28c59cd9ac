"""Fails when a hot loop keeps one of its vectors on the stack.

    spills.py ROOT BUILD [TOOL_PREFIX]

A tile is chosen to fill the registers; one register too many and the compiler stores an accumulator to the
stack and loads it back in every step of the loop. That costs a factor, passes every other test, and
returns with any change of compiler. A hot loop is an innermost loop with at least MIN_OPS multiply-add
instructions, at least MIN_SHARE of it and at most MAX_INSTRUCTIONS long; a spill is a vector that it stores
to the stack. (A window that slides over an image is unrolled to hundreds of instructions; the few rows
that it parks in memory are its benchmark's business.) Constants of the loop that are read from the stack
are no spills: they cost the load that a table in memory would cost.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from isa_objects import isa_objects, run

MIN_OPS = 8
MIN_SHARE = 0.25
MAX_INSTRUCTIONS = 140
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^\s+([0-9a-f]+):\s+(?:\{e?vex\} )?(\S+)\s*(.*)$")
OPS = re.compile(
    r"^(vpdpbusds?|vpdpwssds?|vpdpb[su][su]ds?|vpmaddwd|vpmaddubsw|vfn?madd\d+[ps][sd]|vdpbf16ps"
    r"|[su]dot|usdot|[su]mmla|fmla|[su]mlal2?|bfmmla|bfdot)$"
)
BRANCH = re.compile(r"^(j\w+|b\.\w+|b|cbn?z|tbn?z)$")
VECTOR = re.compile(r"%[xyz]mm\d|\b[qvz]\d+\b")


@dataclass
class Loop:
    """An innermost loop: where it is and what it does."""

    function: str
    start: int
    instructions: int
    ops: int
    spills: list[str]


def functions(listing: str) -> list[tuple[str, list[tuple[int, str, str]]]]:
    """Name and instructions (address, mnemonic, operands) of each function of a disassembly."""
    found: list[tuple[str, list[tuple[int, str, str]]]] = []
    for line in listing.splitlines():
        if head := FUNCTION.match(line):
            found.append((head.group(1), []))
        elif found and (body := INSTRUCTION.match(line)):
            found[-1][1].append((int(body.group(1), 16), body.group(2), body.group(3)))
    return found


def hot_loops(listing: str) -> list[Loop]:
    """Every innermost loop with enough multiply-adds."""
    loops = []
    for name, code in functions(listing):
        index = {address: i for i, (address, _, _) in enumerate(code)}
        frame = any(m.startswith("mov") and o == "%rsp,%rbp" for _, m, o in code)
        # AT&T syntax puts the destination last; ARM's stores are a class of their own.
        store = re.compile(
            r"^(?!st).*\(%rsp[,\w%]*\)$"
            + (r"|^(?!st).*\(%rbp[,\w%]*\)$" if frame else "")
            + r"|^st.*\[(?:sp|x29)\b"
        )
        spans = []
        for i, (address, mnemonic, operands) in enumerate(code):
            target = re.search(r"\b([0-9a-f]+) <", operands) if BRANCH.match(mnemonic) else None
            if target and (to := int(target.group(1), 16)) <= address and to in index:
                spans.append((index[to], i))
        for start, end in spans:
            if any(start <= s and e <= end and (s, e) != (start, end) for s, e in spans):
                continue
            body = code[start : end + 1]
            ops = sum(bool(OPS.match(m)) for _, m, _ in body)
            if ops >= max(MIN_OPS, MIN_SHARE * len(body)) and len(body) <= MAX_INSTRUCTIONS:
                spills = [
                    f"{m} {o}" for _, m, o in body if VECTOR.search(o) and store.search(f"{m} {o}")
                ]
                loops.append(Loop(name, code[start][0], len(body), ops, spills))
    return loops


def main() -> int:
    """Checks every ISA object of a build tree."""
    root, build = Path(sys.argv[1]), Path(sys.argv[2])
    prefix = sys.argv[3] if len(sys.argv) > 3 else ""
    failed, total = False, 0
    for item in isa_objects(root, build):
        listing = run(f"{prefix}objdump", "-dC", "--no-show-raw-insn", str(item.path))
        loops = hot_loops(listing)
        total += len(loops)
        for loop in loops:
            if loop.spills:
                failed = True
                print(
                    f"{item.path.name}: {loop.function} at {loop.start:x}: {loop.ops} multiply-adds in "
                    f"{loop.instructions} instructions, {len(loop.spills)} vectors stored to the stack:"
                )
                for spill in loop.spills[:8]:
                    print(f"    {spill}")
    print(f"{total} hot loops checked")
    if total == 0 and isa_objects(root, build):
        print("no hot loop found: the test no longer recognizes the kernels")
        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
