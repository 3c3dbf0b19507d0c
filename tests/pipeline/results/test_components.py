"""Components of variance, against statsmodels, the analysis of variance, and the truth."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.pipeline.results.components import Components, Prompts, components_of

Rows = list[tuple[int, int, float]]


def simulated(
    seed: int, concepts: int, prompts: int, seeds: int, variances: tuple[float, ...], balanced: bool
) -> Rows:
    """(concept, prompt, score); unbalanced ones have from 2 prompts and from 1 seed on."""
    rng, rows = np.random.default_rng(seed), []
    concept, prompt, own = (variance**0.5 for variance in variances)
    for g in range(concepts):
        of_concept = rng.normal(0, concept)
        for p in range(prompts if balanced else int(rng.integers(2, prompts + 1))):
            of_prompt = rng.normal(0, prompt)
            for _ in range(seeds if balanced else int(rng.integers(1, seeds + 1))):
                rows.append((g, p, 0.5 + of_concept + of_prompt + rng.normal(0, own)))
    return rows


def prompts_of(rows: Rows) -> Prompts:
    by_prompt: dict[tuple[int, int], list[float]] = {}
    for g, p, score in rows:
        by_prompt.setdefault((g, p), []).append(score)
    scores = [np.array(values) for values in by_prompt.values()]
    return Prompts(
        np.array([g for g, _ in by_prompt]),
        np.array([len(values) for values in scores]),
        np.array([values.mean() for values in scores]),
        np.array([((values - values.mean()) ** 2).sum() for values in scores]),
    )


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ((0, 40, 6, 4, (0.04, 0.01, 0.02), True), (0.0305704, 0.0068151, 0.0201020)),
        ((1, 40, 6, 4, (0.04, 0.01, 0.02), False), (0.0329974, 0.0081580, 0.0174712)),
        ((2, 30, 5, 3, (0.01, 0.03, 0.02), False), (0.0116121, 0.0264316, 0.0163863)),
        ((3, 60, 9, 2, (0.002, 0.001, 0.01), False), (0.0022185, 0.0025737, 0.0095872)),
    ],
)
def test_components_are_those_of_statsmodels(
    call: tuple, expected: tuple[float, float, float]
) -> None:
    # statsmodels 0.15: mixedlm("y ~ 1", groups="concept", vc_formula={"prompt": "0 + C(prompt)"}),
    # REML, Powell's method.
    found = components_of(prompts_of(simulated(*call)))
    assert found is not None
    assert (found.concept, found.prompt, found.seed) == pytest.approx(expected, rel=2e-3)


def test_of_balanced_scores_they_are_the_analysis_of_variances() -> None:
    concepts, prompts, seeds = 12, 5, 3
    rows = simulated(7, concepts, prompts, seeds, (0.04, 0.01, 0.02), True)
    y = np.array([score for _, _, score in rows]).reshape(concepts, prompts, seeds)
    ms_seed = y.var(2, ddof=1).mean()
    ms_prompt = seeds * y.mean(2).var(1, ddof=1).mean()
    ms_concept = prompts * seeds * y.mean((1, 2)).var(ddof=1)
    expected = (
        (ms_concept - ms_prompt) / (prompts * seeds),
        (ms_prompt - ms_seed) / seeds,
        ms_seed,
    )
    found = components_of(prompts_of(rows))
    assert found is not None
    assert (found.concept, found.prompt, found.seed) == pytest.approx(expected, rel=1e-3)
    error = found.error_squared(concepts, prompts, seeds)
    assert error == pytest.approx(y.mean((1, 2)).var(ddof=1) / concepts, rel=1e-3)


def test_a_component_that_is_not_there_is_zero() -> None:
    found = components_of(prompts_of(simulated(11, 50, 6, 4, (0.0, 0.0, 0.02), True)))
    assert found is not None
    assert found.concept + found.prompt < 0.001
    assert found.seed == pytest.approx(0.02, rel=0.1)


def test_of_one_seed_a_prompt_all_within_a_concept_is_the_seeds() -> None:
    rows = simulated(3, 40, 8, 1, (0.01, 0.03, 0.02), True)
    y = np.array([score for _, _, score in rows]).reshape(40, 8)
    found = components_of(prompts_of(rows))
    assert found is not None and found.prompt == 0
    assert found.seed == pytest.approx(y.var(1, ddof=1).mean(), rel=1e-3)


def test_of_one_score_a_concept_all_is_the_concepts() -> None:
    found = components_of(prompts_of([(g, 0, float(g)) for g in range(5)]))
    assert found == Components(2.5, 0, 0)


@pytest.mark.parametrize(
    "rows", [[(0, 0, 0.1), (0, 1, 0.3), (0, 1, 0.2)], [(0, 0, 1.0), (1, 0, 1.0)]]
)
def test_what_has_one_concept_or_no_variance_tells_nothing(rows: Rows) -> None:
    assert components_of(prompts_of(rows)) is None
