"""The brushes, on canvases small enough to say what each pixel becomes."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.demo.world.canvas import Canvas

RED = (200, 0, 0)


def canvas(width: int, height: int, seed: int = 0) -> Canvas:
    return Canvas((width, height), np.random.default_rng(seed))


def red_of(painted: Canvas) -> np.ndarray:
    """(H, W), the red channel."""
    return np.asarray(painted.image)[:, :, 0]


def test_a_box_covers_fractions_of_width_and_height_borders_included() -> None:
    c = canvas(10, 4)
    c.box(0.2, 0.25, 0.5, 0.75, RED)
    expected = np.zeros((4, 10), int)
    expected[1:4, 2:6] = 200
    assert red_of(c).tolist() == expected.tolist()


def test_a_radius_is_a_fraction_of_the_shorter_side_both_ways() -> None:
    c = canvas(200, 100)
    c.disc(0.5, 0.5, 0.2, 0.1, RED)
    painted = red_of(c) > 0
    columns, rows = np.flatnonzero(painted.any(axis=0)), np.flatnonzero(painted.any(axis=1))
    assert (columns.min(), columns.max()) == (80, 120)
    assert (rows.min(), rows.max()) == (40, 60)
    assert painted.sum() == pytest.approx(np.pi * 20.5 * 10.5, rel=0.01)


def test_a_fade_goes_evenly_from_one_colour_to_the_other() -> None:
    c = canvas(3, 8)
    c.fade(0.25, 0.75, (0, 0, 0), (90, 30, 0))
    assert red_of(c)[:, 0].tolist() == [0, 0, 0, 30, 60, 90, 0, 0]
    assert (red_of(c) == red_of(c)[:, :1]).all()


def test_a_line_is_as_thick_as_asked_and_never_thinner_than_a_pixel() -> None:
    thick, thin = canvas(100, 100), canvas(100, 100)
    thick.line([(0, 0.5), (1, 0.5)], 0.06, RED)
    thin.line([(0, 0.5), (1, 0.5)], 0.001, RED)
    assert (red_of(thick)[:, 50] > 0).sum() == 6
    assert (red_of(thin)[:, 50] > 0).sum() == 1


def test_below_a_ridge_all_is_painted_and_above_it_nothing() -> None:
    c = canvas(60, 100)
    c.ridge(0.5, 0.2, 1.0, RED)
    painted = red_of(c) > 0
    assert (np.diff(painted.astype(int), axis=0) >= 0).all()
    skyline = painted.argmax(axis=0)
    # Waves of height 1, 1/2.3 and 1/4.1 add up to at most 1.68 either way: see `ridge`.
    assert skyline.min() >= 50 - 100 * 0.2 * (1.68 + 1.5) / 3
    assert skyline.max() <= 50 + 100 * 0.2 * (1.68 - 1.5) / 3 + 1
    assert skyline.min() < skyline.max()


def test_a_glow_adds_light_around_its_point_and_fades_to_nothing() -> None:
    c = canvas(100, 100)
    c.box(0, 0, 1, 1, (50, 50, 50))
    c.glow(0.5, 0.5, 0.2, (255, 255, 255))
    light = red_of(c)
    assert light.min() == 50
    assert light[50, 50] > 200
    assert (np.diff(light[50, 50:71].astype(int)) <= 1).all()
    far = np.hypot(*(np.mgrid[:100, :100] - 50)) > 22
    assert (light[far] == 50).all()


def test_dapple_changes_only_its_band() -> None:
    c = canvas(80, 80)
    c.box(0, 0, 1, 1, (120, 120, 120))
    c.dapple(0.25, 0.75, 40)
    light = red_of(c).astype(int)
    assert (light[:20] == 120).all()
    assert (light[60:] == 120).all()
    assert light[20:60].std() > 5
    assert abs(light[20:60].mean() - 120) < 8


def test_a_shade_is_one_factor_for_all_channels() -> None:
    c = canvas(4, 4)
    for _ in range(50):
        red, green, blue = c.shade((100, 200, 40), 0.1)
        assert 90 <= red <= 110
        assert abs(green - 2 * red) <= 2
        assert abs(blue - 0.4 * red) <= 1
    assert c.shade((255, 255, 255), 0.0) == (255, 255, 255)
    assert max(max(c.shade((250, 250, 250), 0.5)) for _ in range(50)) == 255


def test_chance_is_the_canvas_s_own() -> None:
    def drawn(seed: int) -> list[float]:
        c = canvas(4, 4, seed)
        return [c.between(2, 3) for _ in range(5)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert all(2 <= value < 3 for value in drawn(1))
    assert {canvas(4, 4, seed).pick([RED, (0, 0, 9)]) for seed in range(20)} == {RED, (0, 0, 9)}
