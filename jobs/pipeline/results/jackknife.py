"""How sure a figure is that is no mean: an agreement, a rank correlation, an AUC.

Such a figure is brought to a mean over concepts, and `intervals.py` does the rest: each concept is
left out in turn, and what the figure then moves by is that concept's pull (Efron & Tibshirani, An
Introduction to the Bootstrap, 1993, section 11.3). The pulls add up to nothing, so the mean of
"figure plus pull" is the figure, and its standard error is the jackknife's.
"""

from __future__ import annotations

import math

import numpy as np

from jobs.pipeline.results.intervals import RESAMPLES, Estimate, estimate_mean

LEAST_CONCEPTS = 3
"""With two, what is left is one concept each time: an agreement may then be the same whatever the
ratings are, and two equal figures would make an interval of no width."""


def values_by_concept(figure: float, without: np.ndarray) -> np.ndarray:
    """(G,) one value a concept, whose mean is the figure.

    Args:
        figure: over all concepts.
        without: (G,) the figure with each concept left out.
    """
    pulls = (len(without) - 1) * (without.mean() - without)
    return figure + pulls


def estimate_figure(figure: float, without: np.ndarray, scale: float = 1.0) -> Estimate:
    """The figure, and how sure it is; an estimate without an interval where it is undefined.

    It is, too, where the figure is undefined without one of the concepts, and with fewer than
    `LEAST_CONCEPTS`.

    Args:
        figure: over all concepts.
        without: (G,) the figure with each concept left out; the same order from call to call.
        scale: what the standard error is multiplied by.
    """
    if len(without) < LEAST_CONCEPTS or not (math.isfinite(figure) and np.isfinite(without).all()):
        return Estimate(figure, math.nan, min(1, len(without)), np.empty(0), RESAMPLES)
    pulls = scale * (values_by_concept(figure, without) - figure)
    return estimate_mean(figure + pulls, np.ones(len(without)))
