"""Whether a photo finds those of its own subject in a gallery: mean average precision."""

from __future__ import annotations

import numpy as np


def average_precisions(
    queries: np.ndarray, scores: np.ndarray, is_within: np.ndarray, n_queries: int
) -> np.ndarray:
    """Of each query the average precision over its own gallery, which is ranked by score.

    The sum, over the scores at which photos of its subject stand, of the share of these photos that
    stand there times the share of them among all that stand there or above: what scikit-learn calls
    average precision. Photos of one score stand together.

    Args:
        queries: (P,) number of each pair's query, from 0 to n_queries - 1.
        scores: (P,) finite.
        is_within: (P,) whether the pair's photo is of the query's subject.

    Returns:
        (n_queries,) in (0, 1]; NaN where the gallery has not both sorts, as it then asks nothing.

    Example:
        Photos of the subject come first and third: (1/1 + 2/3) / 2.

        >>> found = average_precisions(
        ...     np.zeros(3, int), np.array([0.9, 0.5, 0.1]), np.array([True, False, True]), 1
        ... )
        >>> found.round(4).tolist()
        [0.8333]
    """
    n_within = np.bincount(queries, is_within, n_queries)
    n_all = np.bincount(queries, minlength=n_queries)
    found = np.zeros(n_queries)
    if len(queries):
        order = np.lexsort((-scores, queries))
        queries, scores, is_within = queries[order], scores[order], is_within[order]
        is_new = queries[1:] != queries[:-1]
        ends = np.append(np.flatnonzero(is_new | (scores[1:] != scores[:-1])), len(queries) - 1)
        of = queries[ends]
        # Counted from the query's first pair on.
        before = np.cumsum(n_all) - n_all, np.cumsum(n_within) - n_within
        above = ends + 1 - before[0][of]
        hits = np.cumsum(is_within)[ends] - before[1][of]
        first = np.append(True, of[1:] != of[:-1])
        new_hits = hits - np.where(first, 0, np.append(0, hits[:-1]))
        found += np.bincount(of, new_hits * hits / above, n_queries)
    asks = (n_within > 0) & (n_within < n_all)
    return np.divide(found, n_within, out=np.full(n_queries, np.nan), where=asks)
