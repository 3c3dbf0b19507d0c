"""A forest plot: the alpha of each metric with its interval, below that of people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobs.pipeline.command.messages import printable
from jobs.pipeline.results.agreement.agreeing import OF_ALPHA, Section
from jobs.pipeline.results.agreement.tables import PEOPLE, ranked, title
from jobs.pipeline.results.figures import COLOURS, figure_files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 6.4
"""Inches."""


def forest(sections: Sequence[Section]) -> dict[str, bytes]:
    """`forest.svg` and `forest.pdf`, a plot a section."""
    lines = [2 + len(section.rows) for section in sections]

    def draw(figure: Figure) -> None:
        axes = figure.subplots(len(sections), squeeze=False, height_ratios=lines)
        for section, (own,) in zip(sections, axes, strict=True):
            _draw(own, section)

    return figure_files("forest", (WIDTH, 0.6 * len(sections) + 0.25 * sum(lines)), draw)


def _draw(axes: Axes, section: Section) -> None:
    shown = [(PEOPLE, section.people.alpha, section.people.estimate.interval().within(*OF_ALPHA))]
    for row in ranked(section.rows):
        shown.append((row.name, row.pooled.alpha, row.pooled.estimate.interval().within(*OF_ALPHA)))
    for place, (_, alpha, interval) in enumerate(shown):
        colour = COLOURS[1 if place == 0 else 0]
        if math.isfinite(interval.low):
            axes.plot([interval.low, interval.high], [place, place], color=colour)
        if math.isfinite(alpha):
            axes.plot([alpha], [place], "o", color=colour, markersize=5)
    axes.set_yticks(range(len(shown)), [printable(name) for name, *_ in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.axvline(0, color="#999999", linewidth=0.8)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.set_title(printable(title(section)), loc="left")
    axes.set_xlabel("Krippendorff's alpha, 95 % over concepts")
