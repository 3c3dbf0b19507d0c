"""How many of what a difference takes, against scipy's noncentral t and by hand."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from jobs.pipeline.results.components import Components
from jobs.pipeline.results.curve import curves
from jobs.pipeline.results.intervals import estimate_mean
from jobs.pipeline.results.sample_size import (
    Design,
    Prices,
    designs_for,
    detectable,
    proposed_margin,
)

COMPONENTS = Components(concept=0.0004, prompt=0.0009, seed=0.0036)


def power_of(design: Design, effect: float, level: float) -> float:
    """Chance that t's interval ends short of zero, the truth being `effect`."""
    per_concept = 0.0004 + 0.0009 / design.prompts + 0.0036 / design.prompts / design.seeds
    error, df = math.sqrt(per_concept / design.concepts), design.concepts - 1
    return float(stats.nct.sf(stats.t.ppf((1 + level) / 2, df), df, effect / error))


def test_the_detectable_effect_has_its_power() -> None:
    for design in (Design(12, 3, 2), Design(60, 9, 2), Design(400, 1, 1)):
        effect = detectable(COMPONENTS, design, 0.975)
        assert power_of(design, effect, 0.975) == pytest.approx(0.8, abs=1e-5)
    assert math.isnan(detectable(COMPONENTS, Design(1, 9, 9), 0.975))


def test_designs_are_the_fewest_concepts_that_see_the_effect() -> None:
    designs = designs_for(COMPONENTS, 0.01, 0.975, [1, 4], [1, 2])
    assert {(each.prompts, each.seeds) for each in designs} == {(1, 1), (1, 2), (4, 1), (4, 2)}
    for each in designs:
        fewer = Design(each.concepts - 1, each.prompts, each.seeds)
        assert power_of(fewer, 0.01, 0.975) < 0.8 <= power_of(each, 0.01, 0.975)
    assert [each.images for each in designs] == sorted(each.images for each in designs)
    assert designs_for(Components(1.0, 0, 0), 1e-6, 0.95, [1], [1]) == []


def test_simulated_comparisons_of_a_design_see_the_effect_as_often_as_planned() -> None:
    [design] = designs_for(COMPONENTS, 0.02, 0.975, [4], [2])
    rng, seen = np.random.default_rng(0), 0
    error = math.sqrt(COMPONENTS.error_squared(1, 4, 2))
    for _ in range(400):
        means = rng.normal(-0.02, error, design.concepts)
        seen += estimate_mean(means, np.ones(len(means))).interval(0.975).high < 0
    assert 0.70 < seen / 400 < 0.87


def test_costs_are_the_runs_rate_times_the_images() -> None:
    prices = Prices(gpu_seconds_per_image=0.02, dollars_per_gpu_hour=3.6)
    assert prices.gpu_seconds(1_000) == pytest.approx(20)
    assert prices.dollars(1_000) == pytest.approx(0.02)
    assert Prices(None, 3.6).dollars(10) is None and Prices(0.1, None).dollars(10) is None


@pytest.mark.parametrize(
    ("mde", "margin"), [(0.002, 0.003), (0.00301, 0.0046), (0.1, 0.15), (12.0, 18.0), (0.0, 0.0)]
)
def test_the_margin_is_half_as_much_again_rounded_up(mde: float, margin: float) -> None:
    assert proposed_margin(mde) == margin


def test_a_curve_is_svg_whose_points_lie_where_the_logarithms_do() -> None:
    drawn = curves(
        [10, 100, 1000], {"cp": [0.1, 0.01, math.nan]}, "concepts", "seen", (0.03, "x<y")
    )
    root = ElementTree.fromstring(drawn)
    [line] = root.iter("{http://www.w3.org/2000/svg}polyline")
    (x1, y1), (x2, y2) = ([float(v) for v in p.split(",")] for p in line.get("points", "").split())
    assert x1 < x2 and y1 < y2
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"concepts", "seen", "x<y", "cp", "100"} <= set(texts)
