"""The ROC curves of all columns, and how their scores of one subject and of two are spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jobs.pipeline.command.messages import printable
from jobs.pipeline.results.figures import COLOURS, figure_files
from jobs.pipeline.results.identity.identifying import Identity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 1_000
"""Of a curve: more than a page has pixels."""
SORTS = ("one subject", "two subjects")


def roc_points(within: np.ndarray, cross: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of cross, and of within, pairs at or above each threshold, from (0, 0) to (1, 1).

    >>> [each.tolist() for each in roc_points(np.array([3.0, 1.0]), np.array([2.0, 0.0]))]
    [[0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0]]
    """
    thresholds = np.unique(np.concatenate([within, cross]))[::-1]
    if len(thresholds) > MOST_POINTS:
        places = np.linspace(0, len(thresholds) - 1, MOST_POINTS).round().astype(int)
        thresholds = thresholds[places]
    shares = [
        1 - np.searchsorted(np.sort(scores), thresholds) / len(scores) for scores in (cross, within)
    ]
    return np.append(0.0, shares[0]), np.append(0.0, shares[1])


def roc(found: Sequence[Identity]) -> dict[str, bytes]:
    """`roc.svg` and `roc.pdf`."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
        for number, own in enumerate(found):
            label = f"{printable(own.name)}, {own.auc.mean:.3f}"
            line = ("-", "--", ":", "-.")[number // len(COLOURS) % 4]
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(*roc_points(own.within, own.cross), line, color=colour, label=label)
        axes.set_aspect("equal")
        axes.set_xlabel("pairs of two subjects at or above")
        axes.set_ylabel("pairs of one subject at or above")
        axes.legend(loc="lower right", frameon=False)

    return figure_files("roc", (4.5, 4.5), draw)


def violins(found: Sequence[Identity]) -> dict[str, bytes]:
    """`violin.svg` and `violin.pdf`; scores of each column go from 0 to 1."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, own in enumerate(found):
            both = np.concatenate([own.within, own.cross])
            low, span = both.min(), np.ptp(both) or 1.0
            for sort, scores in enumerate((own.within, own.cross)):
                _violin(axes, (scores - low) / span, place, sort)
        axes.set_xticks(range(len(found)), [printable(own.name) for own in found], rotation=20)
        axes.set_ylabel("score, from 0 to 1 over all pairs")
        for sort, name in enumerate(SORTS):
            axes.fill_between([], [], color=COLOURS[sort], alpha=0.5, label=name)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)

    return figure_files("violin", (2.5 + 1.1 * len(found), 3.6), draw)


def _violin(axes: Axes, scores: np.ndarray, place: int, sort: int) -> None:
    """One half, and the mean."""
    colour = COLOURS[sort]
    if len(np.unique(scores)) > 1:
        drawn = axes.violinplot(
            scores, [place], widths=0.8, showextrema=False, side=("low", "high")[sort]
        )
        for body in drawn["bodies"]:  # type: ignore[attr-defined]
            body.set(facecolor=colour, alpha=0.5)
    axes.plot([place + (-0.1, 0.1)[sort]], [scores.mean()], "o", color=colour, markersize=4)
