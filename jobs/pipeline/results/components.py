"""How much scores vary between concepts, between a concept's prompts, and between their seeds.

A score is a mean, plus what its concept adds, plus what its prompt adds within the concept, plus
what its seed adds; each of the three is drawn from a normal distribution. Their variances are
estimated by restricted maximum likelihood (REML; Patterson & Thompson, 1971), which for balanced
data is the analysis of variance, and holds for unequal numbers of prompts and seeds too. The
likelihood needs of each prompt only the number, mean and squares of its scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

SMALLEST = 1e-12
"""Of the total variance: what a component is at least, as its logarithm is searched."""


@dataclass(frozen=True)
class Prompts:
    """The scores of P prompts, those of one concept side by side."""

    concept: np.ndarray
    """(P,) number of its concept, from 0, not falling."""
    n: np.ndarray
    """(P,) scores, 1 or more."""
    mean: np.ndarray
    """(P,) of them."""
    squares: np.ndarray
    """(P,) sum of squared differences from that mean."""


@dataclass(frozen=True)
class Components:
    """Variances; 0 where one cannot be told from none."""

    concept: float
    prompt: float
    seed: float
    """Also of all that is neither the concept's nor the prompt's."""

    def error_squared(self, concepts: int, prompts: int, seeds: int) -> float:
        """The variance of the mean over so many concepts, prompts each and seeds each."""
        within = self.prompt / prompts + self.seed / (prompts * seeds)
        return (self.concept + within) / concepts


def components_of(prompts: Prompts) -> Components | None:
    """The REML estimate; None with fewer than two concepts or three scores, or no variance.

    Where no prompt has two scores, prompts and seeds cannot be told apart, and all is the seed's;
    where no concept has two, all is the concept's.
    """
    n, concepts = prompts.n.sum(), len(np.unique(prompts.concept))
    grand = float((prompts.n * prompts.mean).sum() / max(1, n))
    between = float((prompts.n * (prompts.mean - grand) ** 2).sum())
    total = (between + float(prompts.squares.sum())) / max(1, n - 1)
    if concepts < 2 or n < 3 or total == 0:
        return None
    if n == concepts:
        return Components(total, 0.0, 0.0)
    has_prompts = bool((prompts.n > 1).any()) and len(prompts.n) > concepts
    which = [True, has_prompts, True]

    def deviance(logs: np.ndarray) -> float:
        values = np.zeros(3)
        values[which] = np.exp(logs)
        return _deviance(prompts, values, total)

    best = None
    # From two starts: the likelihood may have two tops where a component is near zero.
    for shares in ((1 / 3, 1 / 3, 1 / 3), (0.02, 0.02, 0.96)):
        found = minimize(
            deviance,
            np.log(np.array(shares)[which]),
            method="L-BFGS-B",
            bounds=[(np.log(SMALLEST), np.log(100.0))] * sum(which),
            options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-8},
        )
        if best is None or found.fun < best.fun:
            best = found
    assert best is not None
    values = np.zeros(3)
    values[which] = np.exp(best.x)
    # What lies on the bound of the search is none.
    values[values < 1e-6] = 0
    return Components(*map(float, values * total))


def _deviance(prompts: Prompts, values: np.ndarray, scale: float) -> float:
    """Minus twice the restricted log likelihood, but for a constant.

    A prompt's mean has the variance 1 / a about its concept's, whose own mean, weighted by a, has
    the variance 1 / u about that of all.

    Args:
        values: variances of concept, prompt and seed, in units of `scale`.
    """
    concept, prompt, seed = values
    n, mean = prompts.n, prompts.mean / np.sqrt(scale)
    a = n / (seed + n * prompt)
    weight = np.bincount(prompts.concept, a)
    of_concept = np.bincount(prompts.concept, a * mean) / weight
    u = weight / (1 + concept * weight)
    grand = (u * of_concept).sum() / u.sum()
    return float(
        ((n - 1) * np.log(seed) + np.log(seed + n * prompt)).sum()
        + prompts.squares.sum() / scale / seed
        + (a * (mean - of_concept[prompts.concept]) ** 2).sum()
        + np.log1p(concept * weight).sum()
        + (u * (of_concept - grand) ** 2).sum()
        + np.log(u.sum())
    )
