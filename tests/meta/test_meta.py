"""The meta tests themselves must be able to fail."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import include_graph

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


def test_include_graph_refuses_private_headers_in_tools_and_in_the_face(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "tools/intact/main.cc": '#include "ir/graph.h"\n',
            "include/intact/model.h": "#include <fmt/format.h>\n",
        },
    )
    assert len(include_graph.check(root)) == 2
