"""What the rows of one or several runs add up to: a table per model, per concept, and per both.

1. Open the parts; those whose shard is gone or has changed are left out.
2. DuckDB counts the rows of each model and concept, and gathers their scores for the quantiles.
3. Models and concepts are added up from that; models get their intervals over concepts.
4. Write the summary.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.results import intervals, leaderboard
from jobs.pipeline.results.aggregation import add_up, group_by, select_cells
from jobs.pipeline.results.database import connected
from jobs.pipeline.results.duplicates import Duplicates, find_duplicates
from jobs.pipeline.results.groups import groups_of
from jobs.pipeline.results.notes import notes_of_names, notes_of_rows, notes_of_values
from jobs.pipeline.results.quantiles import select_quantiles
from jobs.pipeline.results.tables import table_of, table_of_models
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.early import early_end
from jobs.pipeline.run.scores import Scores, open_scores
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.run.stale import NOTHING, Sources, check_sources, prune
from jobs.pipeline.storage.filesystem import join, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import reason_of
from jobs.pipeline.storage.writing import write_in_one_step

log = logging.getLogger(__name__)

MEMORY_LIMIT = "2GB"
"""Of DuckDB, for what it can spill; what it cannot is bounded by `VALUES_AT_ONCE`."""
NAMED = 3
"""Parts that a warning names."""


class NothingCounts(CallError):
    """There are parts, but the shards of all of them are gone or have changed."""


@dataclass(frozen=True)
class SampleCounts:
    """The rows of a whole run, and how many of them have each status."""

    n: int
    n_ok: int
    n_skipped: int
    n_error: int


@dataclass(frozen=True)
class Summary:
    """What the rows add up to.

    Every table has its keys (null for rows whose JSON could not be read), `n, n_ok, n_skipped,
    n_error`, and for each score column X, `cp` and `pf` first: `n_X`, the number of its values,
    `n_X_nan`, `X_mean, X_std, X_min, X_max, X_p05, X_p25, X_p50, X_p75, X_p95, X_ci_low,
    X_ci_high`; then `cp_x_pf`, the product of the two means. Rows are ordered by key, null last.

    Values are the numbers in rows that are `ok`; a null there is not computed, and no NaN. Figures
    are null where there is no value. `std` is the sample's (n - 1), null for a single value.
    Quantiles are exact, interpolated linearly. `ci_low` and `ci_high` are null in `concept` and
    `model_concept`, whose groups are a single concept each.
    """

    model: pa.Table
    """One row a model; also each `X_macro`, the mean of the concepts' means, and of its rows that
    are `ok` `n_subject_missing` and `n_subject_not_found`, whose prompts kept their subject; null
    where that is not known, or meant (`metric.stripper=none`)."""
    concept: pa.Table
    """One row a concept, over all models."""
    model_concept: pa.Table
    """One row a model and concept."""
    parts: int
    """The number of parts that count."""
    partial_columns: dict[str, int]
    """Score columns that only some parts have, with the number of these."""
    stale_parts: list[str]
    """Parts that do not count, since their shard is gone or has changed."""
    duplicates: Duplicates | None
    """Keys that come in more than one shard."""
    empty_parts: int = 0
    """Parts that count and have no rows."""
    groups: Mapping[str | None, str] = field(default_factory=dict)
    """By model, letters: models that share one cannot be told apart. Empty where there are too few
    concepts, or too many models."""
    named_parts: int = 0
    """Parts that count and are of shards that the caller named."""

    early: Sequence[str] = ()
    """Of runs that stopped before the end: on how much, a line each."""

    @property
    def counts(self) -> SampleCounts:
        """Of all models together."""
        names = [each.name for each in fields(SampleCounts)]
        return SampleCounts(*(sum(self.model[name].to_pylist()) for name in names))

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures should know, a line each."""
        notes = list(self.early)
        notes += [f"{x} in {n:,} of {self.parts:,} parts" for x, n in self.partial_columns.items()]
        scores = ["cp", "pf", *leaderboard.further_scores(self.model)]
        notes += notes_of_values(self.model, scores, self.partial_columns)
        notes += notes_of_rows(self.model)
        notes += notes_of_names(self.model, self.concept)
        if self.empty_parts:
            notes.append(f"{self.empty_parts:,} parts are of shards that hold no sample")
        return notes if self.duplicates is None else [*notes, str(self.duplicates)]

    def document(self) -> dict[str, Any]:
        """The content of `summary.json`: null where a figure is undefined, never NaN."""
        return {
            "counts": asdict(self.counts),
            "parts": self.parts,
            "partial_columns": self.partial_columns,
            "stale_parts": self.stale_parts,
            "early": list(self.early),
            "duplicates": None if self.duplicates is None else asdict(self.duplicates),
            "bootstrap": {
                "level": intervals.LEVEL,
                "seed": intervals.SEED,
                "resamples": intervals.RESAMPLES,
            },
            "groups": [{"model": name, "group": group} for name, group in self.groups.items()],
            "models": self.model.to_pylist(),
        }

    def to_json(self) -> str:
        """`summary.json` as it is written."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def summarise_run(
    run: str, named: Mapping[str, Shard] = NOTHING, prune_stale: bool = False
) -> Summary:
    """Reduce the parts of a run to a `Summary`, and write it to `RUN/summary/`.

    See `summarise_runs`.
    """
    return summarise_runs([run], join(run, "summary"), named, prune_stale)


def summarise_runs(
    runs: Sequence[str],
    out: str,
    named: Mapping[str, Shard] = NOTHING,
    prune_stale: bool = False,
    show: Sequence[str] = (),
) -> Summary:
    """Reduce the parts of several runs, taken as one, to a `Summary`, and write it to `out`.

    Parts that were scored in different ways, stale parts, and keys in more than one shard are a
    warning each.

    Args:
        runs: directories of results.
        out: directory of the summary.
        named: shards that the caller has looked at, by their ids.
        prune_stale: whether stale parts are removed.
        show: score columns that the caller will look for in it.

    Raises:
        NothingCounts: there are parts, but none that counts.
        CallError: there are no parts, a part is not one, none has a column of `show`, or two
            columns differ only in case. Nothing is read, written or removed then.
        StorageError: the parts cannot be read, or the summary not written.
    """
    shown = f"run={', '.join(redact(run) for run in runs)}"
    opened = open_scores(runs)
    sources = check_sources(opened.parts, named)
    _warn_of_sources(sources, shown)
    stale = [part for part, _ in sources.stale]
    scores = opened.without(stale)
    if not scores.parts:
        raise NothingCounts(
            f"{shown}: nothing to reduce, the shards of all its parts are gone or have changed"
        )
    check_columns(scores, show)
    if prune_stale:
        log.info("%s: removed %d stale parts", shown, len(prune(stale)))
    try:
        summary = scores.select(["subject", "subject_found", *scores.score_columns]).query(
            partial(_summarise, scores, list(map(str, stale)), len(runs) > 1)
        )
    except duckdb.Error as error:
        # What went wrong in reading comes through DuckDB, which wraps it in errors of its own.
        raise StorageError(shown, reason_of(error)) from error
    n_named = sum(part.shard_id in named for part in scores.parts)
    summary = replace(summary, named_parts=n_named, early=_early_lines(runs))
    for note in summary.notes:
        log.warning("%s: %s", shown, note)
    _write(summary, out, shown)
    return summary


def _early_lines(runs: Sequence[str]) -> list[str]:
    lines = []
    for run in runs:
        try:
            end = early_end(RunDirectory(run).read_description())
        except (CallError, StorageError, ValueError) as error:
            # The rows alone can be reduced, but that they may not be all of it is said.
            log.warning("%s: whether it stopped early is not known: %s", redact(run), error)
            continue
        if end is not None:
            lines.append(f"{redact(run)} {end}")
    return lines


def check_columns(scores: Scores, show: Sequence[str] = ()) -> None:
    """Score columns can be told apart, and those of `show` are there.

    Raises:
        CallError: one is not, or two differ only in case.
    """
    known = scores.score_columns
    by_plain: dict[str, str] = {}
    for name in scores.available.names:
        other = by_plain.setdefault(name.lower(), name)
        if other != name and {other, name} & set(known):
            # To DuckDB they are one column, whose figures would stand under both names.
            raise CallError(
                f"{scores.parts[0].run}: the columns {other!r} and {name!r} differ only in case; "
                "rename one"
            )
    for name in show:
        if name not in known:
            raise CallError(f"show={name}: no such score column; known: {', '.join(known)}")


def _warn_of_sources(sources: Sources, shown: str) -> None:
    if sources.stale:
        log.warning(
            "%s: %d parts do not count, since their shards are gone or have changed: %s",
            shown, len(sources.stale), _named([f"{part} ({why})" for part, why in sources.stale]),
        )  # fmt: skip
    if sources.unreachable:
        log.warning(
            "%s: %d parts count though their shards cannot be asked for: %s",
            shown, len(sources.unreachable), _named([why for _, why in sources.unreachable]),
        )  # fmt: skip


def _named(texts: list[str]) -> str:
    """The first few of them, each once."""
    distinct = list(dict.fromkeys(texts))
    more = ", ..." if len(distinct) > NAMED else ""
    return ", ".join(distinct[:NAMED]) + more


def _summarise(scores: Scores, stale: list[str], is_of_many: bool, source: str) -> Summary:
    """The summary of the rows that the SELECT `source` gives."""
    with connected(MEMORY_LIMIT) as connection:
        connection.execute(f"CREATE TEMP VIEW scores AS {source}")
        return summary_of(connection, scores, stale, is_of_many)


def summary_of(
    connection: duckdb.DuckDBPyConnection, scores: Scores, stale: list[str], is_of_many: bool
) -> Summary:
    """The summary of the view `scores`; nothing is written.

    Args:
        connection: has that view of `scores`, with `key, model, concept, status, subject,
            subject_found, filename` and the score columns.
        scores: what the view is of.
        stale: names of parts that are left out of it.
        is_of_many: whether it is of several runs, in each of which a key may be another model's.
    """
    columns = scores.score_columns
    duplicates = find_duplicates(connection, scores.n_rows, by_model=is_of_many)
    cells = select_cells(connection, columns)
    by_cell, by_model, by_concept = (
        group_by(names, cells.keys) for names in (("model", "concept"), ("model",), ("concept",))
    )
    quantiles = select_quantiles(connection, cells, [by_cell, by_model, by_concept])
    n_parts_with = {column: scores.n_parts_with(column) for column in columns}
    model = table_of_models(cells, by_model, quantiles[1], _subjects_are_known(scores))
    model_concept = table_of(cells, by_cell.names, quantiles[0])
    return Summary(
        model=model,
        concept=table_of(add_up(cells, by_concept), by_concept.names, quantiles[2]),
        model_concept=model_concept,
        parts=len(scores.parts),
        partial_columns={x: n for x, n in n_parts_with.items() if 0 < n < len(scores.parts)},
        stale_parts=stale,
        duplicates=duplicates,
        empty_parts=sum(part.n_rows == 0 for part in scores.parts),
        groups=groups_of(model_concept, leaderboard.ranked_models(model)),
    )


def _subjects_are_known(scores: Scores) -> bool:
    """Whether each row says of its subject, and it was to leave the prompt."""
    return all(
        {"subject", "subject_found"} <= set(part.schema.names)
        and part.fingerprints.get("masc", {}).get("metric.stripper") != "none"
        for part in scores.parts
    )


def _write(summary: Summary, out: str, shown: str) -> None:
    files = {
        "model.parquet": _parquet(summary.model),
        "concept.parquet": _parquet(summary.concept),
        "model_concept.parquet": _parquet(summary.model_concept),
        "leaderboard.md": leaderboard.markdown(
            summary.model, summary.notes, summary.groups
        ).encode(),
        "summary.json": summary.to_json().encode(),
    }
    fs, directory = open_filesystem(out)
    try:
        for name, content in files.items():
            write_in_one_step(fs, join(directory, name), content)
    except (StorageError, NotImplementedError) as error:
        reason = f"its summary/ cannot be written: {reason_of(error)}"
        raise StorageError(shown, reason) from error


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
