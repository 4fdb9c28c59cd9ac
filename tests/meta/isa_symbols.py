"""Fails when code compiled for one ISA level could be linked in place of code for another.

    isa_symbols.py ROOT BUILD [TOOL_PREFIX]

The linker keeps one definition of a weak symbol (an inline function, a template) and drops the others. If
an object compiled with AVX-512 flags defines `std::max<float>`, that copy may be the one that survives,
and the program dies on every machine without AVX-512. So each weak symbol of an ISA object must carry the
name of an ISA type: then no other object defines it differently. And an ISA object has no static
initialisers: they would run before anyone asked what the processor can do.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from isa_objects import isa_objects, run

WEAK = "WVu"


def leaks(symbols: str, types: tuple[str, ...]) -> list[str]:
    """The offending symbols in the output of `nm --defined-only --format=posix`."""
    carries = re.compile("|".join(f"{len(t)}{t}" for t in types) or r"(?!)")
    bad = []
    for line in symbols.splitlines():
        name, kind = line.split()[:2]
        if "_GLOBAL__sub_I_" in name or name.startswith("__cxx_global_var_init"):
            bad.append(f"static initialiser {name}")
        elif kind in WEAK and name != "DW.ref.__gxx_personality_v0" and not carries.search(name):
            bad.append(f"weak symbol {name}")
    return bad


def main() -> int:
    """Checks every ISA object of a build tree."""
    root, build = Path(sys.argv[1]), Path(sys.argv[2])
    prefix = sys.argv[3] if len(sys.argv) > 3 else ""
    failed = False
    objects = isa_objects(root, build)
    for item in objects:
        bad = leaks(
            run(f"{prefix}nm", "--defined-only", "--format=posix", str(item.path)), item.types
        )
        if ".init_array" in run(f"{prefix}objdump", "-h", str(item.path)):
            bad.append("section .init_array: a static initialiser")
        for line in bad:
            print(f"{item.path.name}: {line}")
        failed = failed or bool(bad)
    print(f"{len(objects)} objects checked")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
