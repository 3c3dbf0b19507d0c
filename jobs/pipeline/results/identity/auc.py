"""Whether a score tells a subject from others: pairs of its own photos against pairs of two.

Pure functions over arrays. The figure is the AUC of MaSC's identity experiment (arXiv 2605.22469).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def auc(within: np.ndarray, cross: np.ndarray) -> float:
    """The chance that a pair of one subject scores above a pair of two; ties count half.

    Args:
        within: scores (n,) of pairs of one subject; NaN is left out, here and in the other.
        cross: scores (m,) of pairs of two subjects.

    Returns:
        In [0, 1]; NaN without pairs of either sort.

    Example:
        3 lies above both of the others, 1 above one.

        >>> auc(np.array([1.0, 3.0]), np.array([2.0, 0.0]))
        0.75
    """
    within, cross = (scores[~np.isnan(scores)] for scores in (within, cross))
    if not (len(within) and len(cross)):
        return float("nan")
    ordered = np.sort(cross)
    # Twice the cross pairs below: those strictly below, and those at most as high.
    below = np.searchsorted(ordered, within, "left") + np.searchsorted(ordered, within, "right")
    return float(below.mean() / 2 / len(ordered))


def within_and_cross(subjects: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs of different photos are of one subject, and which of two.

    Args:
        subjects: of each of n photos its subject's id.

    Returns:
        Two bool (n, n).
    """
    same = np.equal.outer(np.array(subjects), np.array(subjects))
    return same & ~np.eye(len(same), dtype=bool), ~same


def identity_auc(scores: np.ndarray, subjects: Sequence[str]) -> float:
    """`auc` over all pairs of different photos.

    Args:
        scores: (n, n), each photo as reference (row) against each as generation (column).
        subjects: of each of the n photos its subject's id.
    """
    within, cross = within_and_cross(subjects)
    return auc(scores[within], scores[cross])
