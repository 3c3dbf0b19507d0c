"""The scores of runs, for the samples that people have rated."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa

from jobs.pipeline.errors import CallError
from jobs.pipeline.results.agreement.aspects import CP, NO_ANSWERS, PF, aspect_of, row_name
from jobs.pipeline.results.agreement.ratings import Column, Sample
from jobs.pipeline.run.rows import OK, PER_REFERENCE
from jobs.pipeline.run.scores import Scores


def aspects_of_columns(scores: Scores) -> dict[str, str]:
    """Of each score column its aspect, in their order; those that answer neither are left out."""
    known = set(scores.available.names)
    found = {}
    for column in scores.score_columns:
        if column in NO_ANSWERS or not scores.n_parts_with(column):
            continue
        with_references = f"{column}{PER_REFERENCE}" in known
        found[column] = aspect_of(column) or (CP if with_references else PF)
    return found


def columns_of_runs(
    scores: Scores,
    names: Sequence[str],
    samples: Collection[Sample],
    has_seed: bool,
    keeps_last: bool,
) -> tuple[list[Column], int]:
    """The values of the columns, and how many rows are ok and rated by nobody.

    Args:
        scores: opened, of one run or several; a sample may be in several of them, with other
            columns in each.
        names: of the columns.
        samples: the rated ones.
        has_seed: whether they tell seeds apart.
        keeps_last: whether, where a sample stands for several seeds, the last key in name order
            is meant; else that is refused.

    Raises:
        CallError: no row is of a rated sample, it cannot be told which row a sample is, or a row
            has two values in one column.
        StorageError: a part cannot be read.
    """
    table = scores.select(["prompt_id", "seed", *names]).table()
    rows = _rows_of_samples(table, samples, has_seed)
    if not any(rows.values()):
        raise CallError(_why_none_is_rated(table, next(iter(samples))))
    keys, status = table["key"].to_pylist(), table["status"].to_pylist()
    chosen = {
        sample: _of_one_key(sample, own, keys, keeps_last) for sample, own in rows.items() if own
    }
    columns = []
    for name in names:
        numbers = table[name].cast(pa.float64())
        is_null = numbers.is_null().to_numpy(zero_copy_only=False)
        values = numbers.to_numpy(zero_copy_only=False)
        columns.append(_column(name, chosen, values, is_null, status, keys))
    n_rated = sum(status[at] == OK for own in rows.values() for at in own)
    return columns, status.count(OK) - n_rated


def _why_none_is_rated(table: pa.Table, rated: Sample) -> str:
    names = ["model", "concept", "prompt_id", "seed"][: 3 if rated.seed is None else 4]
    first = {name: table[name][0].as_py() for name in names} if len(table) else {}
    return f"no row of the runs is of a rated sample; the first is of {first}, rated is ({rated})"


def _rows_of_samples(
    table: pa.Table, samples: Collection[Sample], has_seed: bool
) -> dict[Sample, list[int]]:
    """The places of each sample's rows."""
    rows: dict[Sample, list[int]] = {sample: [] for sample in samples}
    named = [table[name].to_pylist() for name in ("model", "concept", "prompt_id", "seed")]
    for at, (model, concept, prompt, seed) in enumerate(zip(*named, strict=True)):
        own = rows.get(Sample(model, concept, prompt, seed if has_seed else None))
        if own is not None:
            own.append(at)
    return rows


def _of_one_key(
    sample: Sample, rows: Sequence[int], keys: Sequence[str], keeps_last: bool
) -> list[int]:
    """The rows of the key that is meant: of several runs, one each."""
    found = sorted({keys[at] for at in rows})
    if len(found) > 1 and not keeps_last:
        raise CallError(
            f"{sample}: {len(found)} rows of the runs ({found[0]}, {found[1]}); ratings with a "
            "column seed tell which one was rated"
        )
    return [at for at in rows if keys[at] == found[-1]]


def _column(
    name: str,
    chosen: dict[Sample, list[int]],
    values: np.ndarray,
    is_null: np.ndarray,
    status: Sequence[str],
    keys: Sequence[str],
) -> Column:
    found: dict[Sample, float] = {}
    absent: dict[Sample, str] = {}
    for sample, rows in chosen.items():
        there = [at for at in rows if status[at] == OK and not is_null[at]]
        if len(there) > 1:
            raise CallError(f"{keys[there[0]]}: two rows of the runs have a value of {name} for it")
        if not there:
            unscored = [status[at] for at in rows if status[at] != OK]
            absent[sample] = unscored[0] if unscored else "null"
        elif np.isfinite(values[there[0]]):
            found[sample] = float(values[there[0]])
        else:
            absent[sample] = "NaN"
    return Column(row_name(name), found, absent)
