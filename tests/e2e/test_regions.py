"""Region by region: the codes our engine computes are the exact ones, from the codes that it read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import qdq
import zoo

import intact


@pytest.mark.parametrize("name", zoo.parameters([*zoo.SMALL, *zoo.BIG]))
def test_codes_of_integer_regions_are_exact(name: str, quantized: Callable[[str], Path]) -> None:
    file = qdq.File(quantized(name))
    quantizers = [n for n in file.model.graph.node if n.op_type == "QuantizeLinear"]
    regions = [r for r in (qdq.Region(file, q) for q in quantizers) if r.is_integer]
    assert regions, "no integer region in the file"
    wanted = [v for r in regions for v in (*r.leaves, *r.shapes, r.q.output[0])]
    session = intact.InferenceSession(file.with_outputs(wanted))
    names = [o.name for o in session.get_outputs()]
    known = {i.name for i in session.get_inputs()}
    wrong: dict[str, int] = {}
    total = checked = 0
    skipped: list[str] = []
    for feeds in zoo.samples(name, "test", 3 if name in zoo.SMALL else 1):
        feeds = {k: v for k, v in feeds.items() if k in known}
        values = dict(zip(names, session.run(None, feeds), strict=True)) | feeds
        for region in regions:
            try:
                bad, count = region.unexplained(values)
            except qdq.Unsupported as e:
                skipped.append(f"{region.q.name or region.q.output[0]}: {e}")
                continue
            checked += 1
            total += count
            if bad:
                wrong[region.nodes[-1].name] = wrong.get(region.nodes[-1].name, 0) + bad
    print(f"{name}: {len(regions)} regions, {total} codes, wrong {wrong}, not checked {skipped}")
    assert not wrong
    # The reference must know the operators of the small models, and of most regions of the others.
    assert checked > 0 and (not skipped or name in zoo.BIG)
    assert len(skipped) <= 0.1 * (checked + len(skipped))
