"""What the rows of a run add up to: a table per model, per concept, and per model and concept.

1. List the parts `RUN/scores/*.parquet`, and read their footers.
2. One DuckDB query over the parts, read once through Arrow, groups the rows in three ways.
3. The table per model gets what comes from its concepts' means: confidence intervals, macro means.
4. Write `RUN/summary/`.
"""

from __future__ import annotations

import json
import logging
import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.results import intervals, leaderboard
from jobs.pipeline.run.directory import FOOTER_KEY
from jobs.pipeline.run.rows import ERROR, OK, SKIPPED
from jobs.pipeline.storage.filesystem import join, open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import reason_of, with_retries
from jobs.pipeline.storage.writing import write_in_one_step

log = logging.getLogger(__name__)

# Names repeat from row to row: reading them as dictionaries saves a third of the time and memory.
_NAME = pa.dictionary(pa.int32(), pa.string())
_READ = pa.schema(
    {"model": _NAME, "concept": _NAME, "status": _NAME, "cp": pa.float64(), "pf": pa.float64()}
)
SCORES = ("cp", "pf")
QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
MEMORY_LIMIT = "50%"
"""Of the machine's memory, for DuckDB; beyond it, it spills. The scores behind the exact quantiles
cannot be spilled: they take some 100 bytes a row, 1 GB for ten million rows."""
FOOTERS_AT_ONCE = 16


@dataclass(frozen=True)
class SampleCounts:
    """The rows of a whole run, and how many of them have each status."""

    n: int
    n_ok: int
    n_skipped: int
    n_error: int


@dataclass(frozen=True)
class Summary:
    """What a run's rows add up to.

    Every table has its keys (null for rows whose JSON could not be read), `n, n_ok, n_skipped,
    n_error, n_cp_nan, n_pf_nan`, and for each of cp and pf `mean, std, min, max, p05, p25, p50,
    p75, p95, ci_low, ci_high` (as `cp_mean`), then `cp_x_pf`, the product of the two means.
    Rows are ordered by key, null last.

    Score statistics are over the `ok` rows whose score is a number, and null where there is none.
    `std` is the sample's (n - 1), null for a single score. Quantiles are exact, interpolated
    linearly. `ci_low` and `ci_high` are null in `concept` and `model_concept`, whose groups are a
    single concept each: there are no concepts to resample.
    """

    model: pa.Table
    """One row a model; also `cp_macro` and `pf_macro`, the mean of the concepts' means."""
    concept: pa.Table
    """One row a concept, over all models."""
    model_concept: pa.Table
    """One row a model and concept."""
    parts: int
    """The number of parts read."""

    @property
    def counts(self) -> SampleCounts:
        """Of all models together."""
        names = [field.name for field in fields(SampleCounts)]
        return SampleCounts(*(sum(self.model[name].to_pylist()) for name in names))

    def document(self) -> dict[str, Any]:
        """The content of `summary.json`: null where a figure is undefined, never NaN."""
        return {
            "counts": asdict(self.counts),
            "parts": self.parts,
            "bootstrap": {
                "level": intervals.LEVEL,
                "seed": intervals.SEED,
                "resamples": intervals.RESAMPLES,
            },
            "models": self.model.to_pylist(),
        }

    def to_json(self) -> str:
        """`summary.json` as it is written."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def summarise_run(run_url: str) -> Summary:
    """Reduce the parts of a run to a `Summary`, and write it to `RUN/summary/`.

    Parts that were scored in different ways, by their footers' fingerprints, are a warning.

    Raises:
        CallError: there are no parts, or a part is not one.
        StorageError: the parts cannot be read, or `summary/` not written.
    """
    fs, run = open_filesystem(run_url)
    redacted = redact(run_url)
    parts = _list_parts(fs, join(run, "scores"), redacted)
    scores = _open_parts(fs, parts)
    _warn_of_mixed_fingerprints(scores, redacted)
    try:
        model, concept, model_concept = _aggregate(scores)
    except duckdb.Error as error:
        # What went wrong in reading comes through DuckDB, which wraps it in errors of its own.
        raise StorageError(f"run={redacted}", reason_of(error)) from error
    model = _with_figures_over_concepts(model, model_concept)
    summary = Summary(model, concept, model_concept, len(parts))
    _write(summary, fs, join(run, "summary"), redacted)
    return summary


def _list_parts(fs: AbstractFileSystem, directory: str, redacted: str) -> list[str]:
    # Other processes wrote the parts; a listing kept from before would miss some.
    fs.invalidate_cache(directory)
    try:
        names = with_retries(redacted, lambda: fs.ls(directory, detail=False))
    except FileNotFoundError:
        names = []
    except NotImplementedError as error:
        raise CallError(f"run={redacted}: its scores/ cannot be listed: {error!r}") from error
    parts = sorted(name for name in names if name.endswith(".parquet"))
    if not parts:
        raise CallError(f"run={redacted}: nothing to reduce, no scores/*.parquet there")
    return parts


def _open_parts(fs: AbstractFileSystem, parts: list[str]) -> pads.Dataset:
    """The parts as one dataset of the columns in `_READ`, their footers read and kept."""
    dictionaries = [field.name for field in _READ if field.type == _NAME]
    file_format = pads.ParquetFileFormat(dictionary_columns=dictionaries)
    scores = pads.dataset(parts, schema=_READ, filesystem=fs, format=file_format)
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        list(pool.map(_read_footer, scores.get_fragments()))
    return scores


def _read_footer(part: pads.ParquetFileFragment) -> None:
    try:
        with_retries(part.path, part.ensure_complete_metadata)
    except (FileNotFoundError, pa.ArrowException) as error:
        raise CallError(f"{part.path}: not readable as Parquet: {error}") from error
    missing = set(_READ.names) - set(part.physical_schema.names)
    if missing:
        raise CallError(f"{part.path}: not a part of scores/: no column {min(missing)!r}")


def _warn_of_mixed_fingerprints(scores: pads.Dataset, redacted: str) -> None:
    fingerprints = [_fingerprint(part.metadata.metadata) for part in scores.get_fragments()]
    known = {fingerprint for fingerprint in fingerprints if fingerprint is not None}
    if len(known) > 1:
        log.warning(
            "run=%s: its parts have %d different fingerprints; their scores may not compare",
            redacted,
            len(known),
        )
    elif None in fingerprints:
        log.warning(
            "run=%s: %d of %d parts have no fingerprint; whether their scores compare is unknown",
            redacted,
            fingerprints.count(None),
            len(fingerprints),
        )


def _fingerprint(footer: dict[bytes, bytes] | None) -> str | None:
    """The fingerprint in a part's footer, in one canonical spelling; None where there is none."""
    try:
        return json.dumps(json.loads((footer or {})[FOOTER_KEY])["fingerprint"], sort_keys=True)
    except (KeyError, TypeError, ValueError):
        return None


def _aggregate(scores: pads.Dataset) -> list[pa.Table]:
    """The tables per model, per concept, and per model and concept; their `ci_*` are null."""
    with (
        tempfile.TemporaryDirectory(prefix="reduce-") as spill,
        duckdb.connect(
            ":memory:", config={"memory_limit": MEMORY_LIMIT, "temp_directory": spill}
        ) as connection,
    ):
        # It would go to stdout, which is for the result.
        connection.execute("SET enable_progress_bar = false")
        connection.register("scores", scores)
        connection.execute(_GROUP_ROWS)
        return [
            connection.sql(_select_groups(keys, rolled_up)).to_arrow_table()
            for keys, rolled_up in _GROUPINGS.items()
        ]


def _defined(score: str) -> str:
    return f"CASE WHEN status = '{OK}' AND isfinite({score}) THEN {score} END AS {score}"


def _statistics(score: str) -> str:
    return f"""
        avg({score}) AS {score}_mean, stddev_samp({score}) AS {score}_std,
        min({score}) AS {score}_min, max({score}) AS {score}_max,
        quantile_cont({score}, {list(QUANTILES.values())}) AS {score}_quantiles"""


_GROUPINGS = {"model": 1, "concept": 2, "model, concept": 0}
"""Keys of a table to the value that `grouping(model, concept)` has in its groups: a bit is set
where the key is rolled up, which tells that null from a key that is null."""
_GROUP_ROWS = f"""
    CREATE TEMP TABLE groups AS
    SELECT model, concept, grouping(model, concept) AS rolled_up,
        count(*) AS n,
        count(*) FILTER (status = '{OK}') AS n_ok,
        count(*) FILTER (status = '{SKIPPED}') AS n_skipped,
        count(*) FILTER (status = '{ERROR}') AS n_error,
        {", ".join(f"n_ok - count({score}) AS n_{score}_nan" for score in SCORES)},
        {", ".join(_statistics(score) for score in SCORES)}
    FROM (SELECT model, concept, status, {", ".join(_defined(score) for score in SCORES)}
          FROM scores)
    GROUP BY GROUPING SETS ((model), (concept), (model, concept))"""


def _select_groups(keys: str, rolled_up: int) -> str:
    columns = [keys, "n, n_ok, n_skipped, n_error, n_cp_nan, n_pf_nan"]
    for score in SCORES:
        columns += [f"{score}_{statistic}" for statistic in ("mean", "std", "min", "max")]
        columns += [
            f"{score}_quantiles[{position}] AS {score}_{name}"
            for position, name in enumerate(QUANTILES, start=1)
        ]
        columns += [f"NULL::DOUBLE AS {score}_ci_{end}" for end in ("low", "high")]
    columns.append("cp_mean * pf_mean AS cp_x_pf")
    order = ", ".join(f"{key} NULLS LAST" for key in keys.split(", "))
    return f"SELECT {', '.join(columns)} FROM groups WHERE rolled_up = {rolled_up} ORDER BY {order}"


def _with_figures_over_concepts(model: pa.Table, model_concept: pa.Table) -> pa.Table:
    """`model` with its `ci_*` filled in, and the macro means added."""
    # Both tables are ordered by model, so a model's code is its row in `model`.
    codes = model_concept["model"].combine_chunks().dictionary_encode("encode").indices.to_numpy()
    starts = np.searchsorted(codes, np.arange(model.num_rows))
    for score in SCORES:
        means = model_concept[f"{score}_mean"].to_numpy()
        counts = model_concept["n_ok"].to_numpy() - model_concept[f"n_{score}_nan"].to_numpy()
        figures: dict[str, list[float]] = {"ci_low": [], "ci_high": [], "macro": []}
        by_model = zip(np.split(means, starts)[1:], np.split(counts, starts)[1:], strict=True)
        for all_means, all_counts in by_model:
            scored = all_counts > 0
            concept_means, concept_counts = all_means[scored], all_counts[scored]
            interval = intervals.mean_interval(concept_means * concept_counts, concept_counts)
            figures["ci_low"].append(interval.low)
            figures["ci_high"].append(interval.high)
            figures["macro"].append(concept_means.mean() if scored.any() else math.nan)
        for figure, values in figures.items():
            model = _with_column(model, f"{score}_{figure}", values)
    return model


def _with_column(table: pa.Table, name: str, values: list[float]) -> pa.Table:
    """`table` with the column `name` replaced, or appended; NaN becomes null."""
    column = pa.array(values, pa.float64(), from_pandas=True)
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


def _write(summary: Summary, fs: AbstractFileSystem, directory: str, redacted: str) -> None:
    files = {
        "model.parquet": _parquet(summary.model),
        "concept.parquet": _parquet(summary.concept),
        "model_concept.parquet": _parquet(summary.model_concept),
        "leaderboard.md": leaderboard.markdown(summary.model).encode(),
        "summary.json": summary.to_json().encode(),
    }
    try:
        for name, content in files.items():
            write_in_one_step(fs, join(directory, name), content)
    except (StorageError, NotImplementedError) as error:
        reason = f"its summary/ cannot be written: {reason_of(error)}"
        raise StorageError(f"run={redacted}", reason) from error


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
