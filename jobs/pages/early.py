"""How the interval of a gated score narrowed, shard by shard, in a run that a gate looked at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobs.pages.about import About
from jobs.pages.charts.scale import Scale, Tick, scale_of
from jobs.pages.names import title
from jobs.pipeline.results.comparison.narrowing import Narrowing, in_words

WIDTH, HEIGHT = 560, 210
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 12, 40


@dataclass(frozen=True)
class Look:
    """The gate looked once."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class NarrowingChart:
    """One score against one baseline."""

    title: str
    band: str
    """The interval's ends, as a closed path."""
    way: str
    looks: list[Look]
    zero: float
    margin: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]


@dataclass(frozen=True)
class Early:
    """What a gate saw, and what it decided."""

    lines: list[str]
    charts: list[NarrowingChart]
    table: list[tuple[str, Narrowing]]


def early(runs: Sequence[About]) -> Early | None:
    """Of runs that a gate looked at; None where there is none."""
    found = [(run, each) for run in runs for each in run.narrowings]
    if not found:
        return None
    lines = [f"{run.name} {run.early}" for run in runs if run.early is not None]
    named = [(_named(run, each, len(runs) > 1), each) for run, each in found]
    lines += [in_words(each) for _, each in named]
    charts = [chart for name, each in named if (chart := _chart(name, each)) is not None]
    return Early(lines, charts, named)


def data_of(shown: Early | None) -> list[dict[str, object]] | None:
    """The figures of the charts, as JSON has them."""
    if shown is None:
        return None
    return [{"title": name, **vars(each)} for name, each in shown.table]


def _named(run: About, narrowing: Narrowing, are_several: bool) -> str:
    of = f"{run.name}: " if are_several else ""
    return f"{of}{title(narrowing.column)} against {narrowing.against}"


def _chart(name: str, narrowing: Narrowing) -> NarrowingChart | None:
    known = [
        (shards, concepts, low, mean, high)
        for shards, concepts, low, mean, high in zip(
            *(narrowing.shards, narrowing.concepts, narrowing.low, narrowing.mean, narrowing.high),
            strict=True,
        )
        if low is not None and mean is not None and high is not None
        if math.isfinite(low) and math.isfinite(high)
    ]
    if not known:
        return None
    x = Scale(0, max(shards for shards, *_ in known), LEFT, WIDTH - RIGHT)
    # The first intervals are so wide that nothing would be seen of the last.
    later = known[len(known) // 2 :]
    ends = [end for _, _, low, _, high in later for end in (low, high)]
    y = scale_of([*ends, 0.0, -narrowing.margin], HEIGHT - BOTTOM, TOP, 0.1)
    lows = [(x.at(shards), _within(y, low)) for shards, _, low, _, _ in known]
    highs = [(x.at(shards), _within(y, high)) for shards, _, _, _, high in known]
    looks = [
        Look(
            x.at(shards),
            _within(y, mean),
            f"{shards:,} shards, {concepts:,} concepts: {mean:+.4f} [{low:+.4f}, {high:+.4f}]",
        )
        for shards, concepts, low, mean, high in known
    ]
    return NarrowingChart(
        name,
        f"{_path([*highs, *lows[::-1]])}Z",
        _path((look.x, look.y) for look in looks),
        looks,
        y.at(0.0),
        y.at(-narrowing.margin),
        x.ticks(6),
        y.ticks(4),
    )


def _within(y: Scale, value: float) -> float:
    """Where it stands; what lies off the chart, at its edge."""
    return y.at(min(max(value, y.least), y.most))


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "".join(f"{'L' if number else 'M'}{x} {y}" for number, (x, y) in enumerate(points))
