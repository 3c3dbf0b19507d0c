"""Outlines, by their areas and by points that they must pass through."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jobs.demo.world.outlines import arc, area, box, ellipse, limb, mirrored, smooth


def test_area_is_the_shoelace_formula_whichever_way_round() -> None:
    triangle = ((0.0, 0.0), (4.0, 0.0), (0.0, 3.0))
    assert area(triangle) == 6.0
    assert area(triangle[::-1]) == 6.0
    assert area(((0.0, 0.0), (2.0, 0.0), (2.0, 5.0), (0.0, 5.0))) == 10.0


def test_an_ellipse_has_its_centre_and_radii() -> None:
    x, y = np.array(ellipse(1.0, -2.0, 3.0, 0.5)).T
    assert ((x - 1) / 3) ** 2 + ((y + 2) / 0.5) ** 2 == pytest.approx(np.ones(48))
    assert area(ellipse(1.0, -2.0, 3.0, 0.5)) == pytest.approx(math.pi * 1.5, rel=0.01)


def test_angles_go_clockwise_from_the_right_as_y_points_down() -> None:
    lower = np.array(ellipse(0, 0, 1, 1, 0, 180))
    assert lower[0] == pytest.approx([1, 0])
    assert (lower[:, 1] > -1e-9).all()
    assert area(ellipse(0, 0, 1, 1, 0, 180)) == pytest.approx(math.pi / 2, rel=0.01)


def test_a_box_loses_its_corners_and_keeps_its_sides() -> None:
    points = np.array(box(1.0, 2.0, 4.0, 2.0, corner=0.5))
    assert points.min(axis=0) == pytest.approx([-1, 1], abs=1e-3)
    assert points.max(axis=0) == pytest.approx([3, 3], abs=1e-3)
    assert area(box(1.0, 2.0, 4.0, 2.0, corner=0.5)) == pytest.approx(
        4 * 2 - (4 - math.pi) * 0.5**2, rel=0.01
    )


def test_a_smooth_curve_passes_through_its_points() -> None:
    points = ((0.0, 0.0), (2.0, 0.1), (1.5, 1.0), (0.3, 1.4))
    curve = smooth(*points)
    assert len(curve) == 32
    assert curve[::8] == pytest.approx(np.array(points))


def test_a_limb_is_as_wide_as_asked() -> None:
    assert limb(0.5, (0.0, 0.0), (2.0, 0.0), (4.0, 0.0)) == pytest.approx(
        np.array([(0, 0.25), (2, 0.25), (4, 0.25), (4, -0.25), (2, -0.25), (0, -0.25)])
    )
    assert area(limb(0.2, (0.0, 0.0), (3.0, 4.0))) == pytest.approx(5 * 0.2)


def test_an_arc_is_a_bent_limb() -> None:
    half_ring = arc(0.1, 0, 0, 1.0, 1.0, 0, 180)
    assert area(half_ring) == pytest.approx(math.pi * 0.1, rel=0.05)
    assert np.hypot(*np.array(half_ring).T) == pytest.approx(np.ones(len(half_ring)), abs=0.06)


def test_a_mirrored_outline_has_left_and_right_exchanged() -> None:
    assert mirrored(((1.0, 2.0), (-3.0, 4.0))) == ((-1.0, 2.0), (3.0, 4.0))
