"""How ratings and metrics are made comparable: the settings of a protocol."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.pipeline.results.agreement.alpha import INTERVAL


@dataclass(frozen=True)
class Protocol:
    """What differs between anybody's table and DreamBench++."""

    level: str = INTERVAL
    """Of alpha among people; a metric's with them is always interval."""
    scale: tuple[float, float] | None = None
    """The least and most that a rating may be; None takes those of the table's own keys."""
    by_every_rater: bool = False
    """Whether a key counts only if every rater has rated it."""
    people_on_common_keys: bool = False
    """Whether the figures of people are over the keys of the rows, not over all rated samples."""
    decimals: int | None = None
    """Alpha of each pair of raters is rounded so, and so is their mean."""
    extremes: tuple[float, float] | None = None
    """Mean ratings at most and at least so are held against each other, by AUC."""


def of_table(level: str) -> Protocol:
    """Of anybody's ratings."""
    return Protocol(level)


def of_dreambenchplus(level: str) -> Protocol:
    """DreamBench++, as the authors of MaSC compute its tables: Kd_o, rounded twice to 3 decimals;
    every figure of a table on the same keys; samples rated 3.5 and more against 0.5 and less.
    """
    return Protocol(
        level,
        scale=(0.0, 4.0),
        by_every_rater=True,
        people_on_common_keys=True,
        decimals=3,
        extremes=(0.5, 3.5),
    )
