"""The meta tests themselves must be able to fail."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import include_graph
import isa_symbols
import spills
import tree as tree_rules

CMAKE = "intact_room(base)\nintact_room(quant DEPS base)\nintact_room(ir DEPS base)\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    """Writes a small project."""
    for name, text in {"CMakeLists.txt": CMAKE, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_include_graph_accepts_declared_edges(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "src/intact/quant/affine.cc": '#include "quant/affine.h"\n#include "base/round.h"\n#include <vector>\n',
            "tools/intact/main.cc": '#include "intact/model.h"\n',
        },
    )
    assert include_graph.check(root) == []


def test_include_graph_refuses_an_undeclared_edge(tmp_path: Path) -> None:
    root = tree(tmp_path, {"src/intact/quant/affine.cc": '#include "ir/graph.h"\n'})
    assert include_graph.check(root) == [
        "src/intact/quant/affine.cc:1: quant may not include ir (ir/graph.h)"
    ]


def test_include_graph_refuses_an_edge_upwards(tmp_path: Path) -> None:
    root = tree(tmp_path, {"src/intact/base/round.h": '#include "quant/affine.h"\n'})
    assert len(include_graph.check(root)) == 1


def test_include_graph_refuses_private_headers_in_the_binding_and_in_the_face(
    tmp_path: Path,
) -> None:
    root = tree(
        tmp_path,
        {
            "python/src/bind.cc": '#include "ir/graph.h"\n',
            "include/intact/model.h": "#include <fmt/format.h>\n",
        },
    )
    assert len(include_graph.check(root)) == 2


def test_tree_refuses_paths_and_markers() -> None:
    assert tree_rules.check_file("a.cc", b"int x;  // a/b and https://example.org/home/x\n") == []
    assert len(tree_rules.check_file("a.cc", b'"/%s/someone/x"' % b"home")) == 1
    assert len(tree_rules.check_file("a.cc", b"// %s: later" % b"".join([b"TO", b"DO"]))) == 1
    assert len(tree_rules.check_file("a.bin", b"x" * (tree_rules.MAX_BYTES + 1))) == 1


def test_isa_symbols_refuses_weak_symbols_without_the_type() -> None:
    types = ("Avx2",)
    own = "_ZN6intact9gemm_u8s8INS_4Avx2EEEvv W 0 10\n_ZL5local t 0 8\n"
    assert isa_symbols.leaks(own, types) == []
    assert isa_symbols.leaks("_ZSt3maxIfERKT_S2_S2_ W 0 10\n", types) != []
    assert isa_symbols.leaks("_GLOBAL__sub_I_x t 0 10\n", types) != []


LOOP = """
0000000000000000 <hot>:
       0:\tmov    %rsp,%rbp
       3:\tvmovaps (%rdi),%zmm0
{body}
      80:\tjne    3 <hot+0x3>
      86:\tret
"""


def test_spills_sees_a_vector_stored_and_not_a_constant_read() -> None:
    ops = "\n".join(f"      {16 + i:x}:\tvpdpbusd %zmm0,%zmm1,%zmm{i + 2}" for i in range(8))
    clean = spills.hot_loops(LOOP.format(body=ops + "\n      70:\tmov 0x8(%rsp),%rax"))
    assert [(loop.ops, loop.spills) for loop in clean] == [(8, [])]
    read = spills.hot_loops(LOOP.format(body=ops + "\n      70:\tvmovaps 0x40(%rsp),%zmm3"))
    assert [loop.spills for loop in read] == [[]]
    spilled = spills.hot_loops(LOOP.format(body=ops + "\n      70:\tvmovaps %zmm3,-0x40(%rbp)"))
    assert [loop.spills for loop in spilled] == [["vmovaps %zmm3,-0x40(%rbp)"]]
