"""Metrics against people: for `jobs.agree`, and for others to call."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.pipeline.command.settings import require_one_of, setting
from jobs.pipeline.datasets.tables import read_rows
from jobs.pipeline.errors import CallError
from jobs.pipeline.results import figures
from jobs.pipeline.results.agreement.agreeing import Section, agree, left_out
from jobs.pipeline.results.agreement.alpha import INTERVAL, MEASUREMENT_LEVELS
from jobs.pipeline.results.agreement.aspects import ASPECTS, CP, aspect_of
from jobs.pipeline.results.agreement.dreambenchplus import (
    SHIPPED,
    SHIPPED_NAMES,
    ShippedRatings,
)
from jobs.pipeline.results.agreement.protocols import (
    Protocol,
    of_dreambenchplus,
    of_table,
)
from jobs.pipeline.results.agreement.published import Checked, check
from jobs.pipeline.results.agreement.ratings import Column, Ratings
from jobs.pipeline.results.agreement.reading import Row, read_columns, read_ratings
from jobs.pipeline.results.agreement.scored import aspects_of_columns, columns_of_runs
from jobs.pipeline.results.numbers import counted
from jobs.pipeline.run.scores import Scores
from jobs.pipeline.run.stale import open_counted
from jobs.pipeline.storage.filesystem import is_local, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries

log = logging.getLogger(__name__)

TABLE, DREAMBENCHPLUS = "table", "dreambenchplus"
PROTOCOLS = (TABLE, DREAMBENCHPLUS)
CHECKED_ROWS = ("clip_i", "dino_i")


@dataclass
class AgreeConfig:
    ratings: str = setting(help="FILE.csv, .jsonl or .parquet; of dreambenchplus its directory")
    runs: list[str] = setting([], "runs whose scores are held against them")
    columns: list[str] = setting([], "FILE.csv, ...: further metrics, a row a sample")
    protocol: str = setting(TABLE, f"{' or '.join(PROTOCOLS)}: what the ratings are")
    rating: str = setting("rating", "of a table, the column of the ratings")
    level: str = setting(INTERVAL, f"{' or '.join(MEASUREMENT_LEVELS)}: of alpha among people")
    metrics: list[str] = setting([], "columns of runs and files to compare; none means all")
    shipped: list[str] = setting(
        list(SHIPPED_NAMES), "of dreambenchplus, what ships with it to compare"
    )
    check: str | None = setting(
        None, f"{DREAMBENCHPLUS}: hold the formula against its published Table 3, and no more"
    )
    out: str | None = setting(None, "directory for agree.json, agree.md, agree.tex and forest.svg")
    figures: bool | None = setting(None, figures.HELP)


def agreement(config: AgreeConfig) -> list[Section]:
    """Hold metrics against people; a section a question.

    Raises:
        CallError: the call is wrong, or the ratings are.
        StorageError: a run or the ratings cannot be read.
    """
    require_one_of("protocol", config.protocol, PROTOCOLS)
    require_one_of("level", config.level, MEASUREMENT_LEVELS)
    scores = open_counted(config.runs) if config.runs else None
    if config.protocol == DREAMBENCHPLUS:
        return _of_dreambenchplus(config, scores)
    return _of_table(config, scores)


def check_formula(config: AgreeConfig) -> list[Checked]:
    """The formula of alpha against what DreamBench++ publishes of its own ratings.

    Raises:
        CallError: the call is wrong, or the ratings are not all there.
    """
    require_one_of("check", config.check or "", (DREAMBENCHPLUS,))
    given = {"runs": config.runs, "columns": config.columns, "metrics": config.metrics}
    for name in (name for name, value in given.items() if value):
        raise CallError(f"{name}= does not go with check=, which is of shipped ratings alone")
    shipped = ShippedRatings(config.ratings)
    ratings = shipped.people(CP)
    if ratings is None:
        raise CallError(f"{shipped.shown}: no ratings of {CP} by both groups")
    rows = _shipped_columns(shipped, CP, CHECKED_ROWS, ratings)
    return check(agree(CP, ratings, rows, of_dreambenchplus(INTERVAL), []), shipped.shown)


def _of_table(config: AgreeConfig, scores: Scores | None) -> list[Section]:
    named = f"ratings={redact(config.ratings)}"
    ratings = read_ratings(_rows(config.ratings, "ratings"), config.rating, named)
    has_seed = ratings.samples[0].seed is not None
    metrics = _Metrics(config, scores, has_seed, keeps_last=False)
    protocol = of_table(config.level)
    if scores is None:
        return [_section(config.rating, ratings, metrics.of_files(None), protocol, metrics)]
    asked = [config.rating] if config.rating in ASPECTS else [*ASPECTS]
    asked = [aspect for aspect in asked if metrics.has(aspect)]
    if not asked:
        raise CallError("runs= have none of the columns that are asked for")
    metrics.warn_of_others(asked)
    return [
        _section(aspect, ratings, metrics.of(aspect, ratings), protocol, metrics)
        for aspect in asked
    ]


def _of_dreambenchplus(config: AgreeConfig, scores: Scores | None) -> list[Section]:
    for name in config.shipped:
        require_one_of("shipped", name, SHIPPED_NAMES)
    shipped = ShippedRatings(config.ratings)
    metrics = _Metrics(config, scores, has_seed=False, keeps_last=True)
    sections = []
    for aspect in ASPECTS:
        ratings = shipped.people(aspect)
        if ratings is None:
            log.warning("%s: no ratings of %s by both groups", shipped.shown, aspect)
            continue
        own = metrics.of(aspect, ratings)
        names = [name for name in SHIPPED[aspect] if name in config.shipped]
        own += _shipped_columns(shipped, aspect, names, ratings)
        sections.append(_section(aspect, ratings, own, of_dreambenchplus(config.level), metrics))
    return sections


def _rows(url: str, setting: str) -> Iterator[Row]:
    """Of a table, which is brought near where it lies elsewhere."""
    fs, path = open_filesystem(url)
    if is_local(fs):
        yield from read_rows(Path(path), setting)
        return
    with tempfile.TemporaryDirectory(prefix="agree-") as folder:
        near = Path(folder, path.rpartition("/")[2])
        try:
            with_retries(redact(url), lambda: fs.get_file(path, str(near)))
        except FileNotFoundError as error:
            raise CallError(f"{setting}={redact(url)}: no such file") from error
        yield from read_rows(near, setting)


def _shipped_columns(
    shipped: ShippedRatings, aspect: str, names: Sequence[str], ratings: Ratings
) -> list[Column]:
    methods = list(dict.fromkeys(sample.model for sample in ratings.samples))
    found = []
    for name in names:
        column = shipped.metric(aspect, name, methods)
        if column is None:
            log.warning("%s: no ratings of %s by %s", shipped.shown, aspect, name)
        else:
            found.append(column)
    return found


def _section(
    name: str,
    ratings: Ratings,
    columns: Sequence[Column],
    protocol: Protocol,
    metrics: _Metrics,
) -> Section:
    """Without those columns of runs that have no value at all, unless these were asked for."""
    samples, notes = set(ratings.samples), list(metrics.notes)
    kept = []
    for column in columns:
        if not samples.isdisjoint(column.values):
            kept.append(column)
        elif metrics.is_asked_for(column):
            causes = counted(left_out(ratings.samples, column))
            raise CallError(f"{name}: {column.name} has no value for any rated sample: {causes}")
        else:
            notes.append(f"{column.name} is left out: it has no value for any rated sample")
    return agree(name, ratings, kept, protocol, notes)


class _Metrics:
    """The columns of runs and of files that are asked for."""

    def __init__(
        self, config: AgreeConfig, scores: Scores | None, has_seed: bool, keeps_last: bool
    ) -> None:
        self._scores, self._has_seed, self._keeps_last = scores, has_seed, keeps_last
        self._aspects = {} if scores is None else aspects_of_columns(scores)
        self._files = [
            column
            for url in config.columns
            for column in read_columns(_rows(url, "columns"), f"columns={redact(url)}", has_seed)
        ]
        self._all_are_asked_for = bool(config.metrics)
        self.notes: list[str] = []
        if config.metrics:
            self._narrow(config.metrics)

    def _narrow(self, asked: Sequence[str]) -> None:
        known = [*self._aspects, *(column.name for column in self._files)]
        for name in asked:
            if name not in known:
                raise CallError(f"metrics={name}: no such column; there are {', '.join(known)}")
        self._aspects = {name: of for name, of in self._aspects.items() if name in asked}
        self._files = [column for column in self._files if column.name in asked]

    def is_asked_for(self, column: Column) -> bool:
        """Whether the call names it, or its file."""
        return self._all_are_asked_for or column in self._files

    def has(self, aspect: str) -> bool:
        """Whether the runs have a column that answers it."""
        return aspect in self._aspects.values()

    def warn_of_others(self, aspects: Sequence[str]) -> None:
        """Of the files' columns that answer none of these."""
        for column in self._files:
            if aspect_of(column.name) not in (None, *aspects):
                log.warning("%s is in no table: it is of %s", column.name, aspect_of(column.name))

    def of_files(self, aspect: str | None) -> list[Column]:
        """Those that answer it, or do not say what they answer; None asks for all."""
        return [c for c in self._files if aspect is None or aspect_of(c.name) in (aspect, None)]

    def of(self, aspect: str, ratings: Ratings) -> list[Column]:
        """Of the runs and of the files."""
        self.notes = []
        found: list[Column] = []
        names = [name for name, of in self._aspects.items() if of == aspect]
        if self._scores is not None and names:
            found, n_not_rated = columns_of_runs(
                self._scores, names, ratings.samples, self._has_seed, self._keeps_last
            )
            if n_not_rated:
                self.notes = [f"{n_not_rated:,} rows of the runs are ok and rated by nobody"]
        return found + self.of_files(aspect)
