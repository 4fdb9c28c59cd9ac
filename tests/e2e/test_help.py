"""What `intact VERB --help` says, as files. To accept a change: INTACT_UPDATE_GOLDEN=1 pytest tests/e2e/test_help.py"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import zoo

GOLDEN = Path(__file__).resolve().parents[1] / "golden/help"


def verbs() -> list[str]:
    """The verbs that main.cc declares."""
    text = (zoo.ROOT / "tools/intact/main.cc").read_text()
    return re.findall(r'Verb\{"(\w+)"', text)


@pytest.mark.parametrize("verb", ["", *verbs()])
def test_help(verb: str) -> None:
    result = zoo.run(*([verb] if verb else []), "--help")
    assert result.returncode == 0 and result.stderr == ""
    golden = GOLDEN / f"{verb or 'intact'}.txt"
    if os.environ.get("INTACT_UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(result.stdout)
    assert result.stdout == golden.read_text(), f"see {__file__} for how to accept it"
    if verb:
        assert re.search(rf"^Example:\s+intact {verb}\b", result.stdout, re.MULTILINE)


def test_every_golden_file_has_its_verb() -> None:
    assert {p.stem for p in GOLDEN.glob("*.txt")} == {"intact", *verbs()}
