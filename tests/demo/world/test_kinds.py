"""Kinds of subject: parts in one frame, in the paints that they are given."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from jobs.demo.world.kinds import KINDS, Paint
from jobs.demo.world.outlines import area

BODY, TRIM = Paint((1, 2, 3), (4, 5, 6), "spots"), Paint((7, 8, 9))

kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
def test_a_kind_stands_upright_in_its_frame(kind: str) -> None:
    points = np.array([point for part in KINDS[kind](BODY, TRIM) for point in part.outline])
    low, high = points.min(axis=0), points.max(axis=0)
    assert (low > -1.2).all()
    assert (high < 1.2).all()
    assert (high - low).max() > 1.5


@kinds
def test_the_body_s_paint_covers_more_than_any_other(kind: str) -> None:
    covered: dict[tuple[int, int, int], float] = {}
    for part in KINDS[kind](BODY, TRIM):
        colour = part.paint.colour
        covered[colour] = covered.get(colour, 0) + area(part.outline)
    assert max(covered, key=covered.__getitem__) == BODY.colour
    assert covered[TRIM.colour] > 0.05


@kinds
def test_the_body_s_pattern_shows(kind: str) -> None:
    patterned = [part for part in KINDS[kind](BODY, TRIM) if part.paint == BODY]
    assert sum(area(part.outline) for part in patterned) > 0.3


def test_any_two_kinds_have_other_parts() -> None:
    outlines = {kind: {part.outline for part in make(BODY, TRIM)} for kind, make in KINDS.items()}
    for one, other in combinations(outlines, 2):
        assert not outlines[one] & outlines[other]
