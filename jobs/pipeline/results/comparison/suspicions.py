"""What else changed between two models' rows: causes to rule out before a difference is theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from jobs.pipeline.command.settings import setting
from jobs.pipeline.results.comparison.pairing import Pairs, Side
from jobs.pipeline.run.early import EARLY, early_end
from jobs.pipeline.run.rows import ERROR, OK, SKIPPED
from jobs.pipeline.run.scores import quoted

LEAK = "cp.leak"


@dataclass
class SuspicionLimits:
    """From where on a change is named beside the verdict."""

    max_unpaired: float = setting(0.02, "share of a side's scored rows without partner or value")
    max_error_rise: float = setting(0.01, "rise of the share of rows with errors")
    max_skip_rise: float = setting(0.01, "rise of the share of rows that were skipped")
    max_nan_rise: float = setting(0.01, "rise of the share of scores that are NaN")
    max_mask_change: float = setting(0.1, "relative change of the mean share that masks cover")
    max_leak_rise: float = setting(0.02, "rise of mean cp.leak, where it is there")
    max_changed_prompts: float = setting(0.0, "share of pairs whose prompt has another text")


@dataclass(frozen=True)
class Suspicion:
    """A change that may be the cause of a difference, or hide one."""

    kind: str
    """One word a sort, for programs."""
    text: str
    """For people."""
    baseline: Any = None
    candidate: Any = None
    limit: float | None = None

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class SideFigures:
    """What all rows of one model say, paired or not."""

    n: int
    n_ok: int
    n_error: int
    n_skipped: int
    nan: Mapping[str, float]
    """By score column, the share of values that are NaN or infinite, of rows that are `ok`."""
    missing: Mapping[str, float]
    """By score column, the share of rows that are `ok` and have no value, not even NaN: parts
    that lack the column, and samples that its comparator could not score."""
    coverage: float | None
    """Mean share of the image that is the mask, of rows that are `ok`; None where not known."""
    leak: float | None
    """Mean `cp.leak`."""


def side_figures(
    connection: duckdb.DuckDBPyConnection, side: Side, columns: Sequence[str]
) -> SideFigures:
    """Count the rows of a model.

    Args:
        connection: has the side's view, with `model, status, fg_fraction, cp.leak` and the columns.
        columns: score columns.
    """
    nan = "".join(
        f", avg((NOT isfinite({name}))::INT) FILTER (status = $ok AND {name} IS NOT NULL)"
        for name in map(quoted, columns)
    )
    missing = "".join(
        f", avg(({name} IS NULL)::INT) FILTER (status = $ok)" for name in map(quoted, columns)
    )
    means = "".join(
        f", avg({name}) FILTER (status = $ok AND isfinite({name}))"
        for name in map(quoted, ("fg_fraction", LEAK))
    )
    [(n, ok, error, skipped, coverage, leak, *shares)] = connection.execute(
        f"""SELECT count(*), count(*) FILTER (status = $ok), count(*) FILTER (status = $error),
        count(*) FILTER (status = $skipped) {means} {nan} {missing}
        FROM {side.view} WHERE model IS NOT DISTINCT FROM $model""",
        {"ok": OK, "error": ERROR, "skipped": SKIPPED, "model": side.model},
    ).fetchall()
    known = [share or 0.0 for share in shares]
    found = dict(zip(columns, known[: len(columns)], strict=True))
    absent = dict(zip(columns, known[len(columns) :], strict=True))
    return SideFigures(n, ok, error, skipped, found, absent, coverage, leak)


def suspicions_of(
    baseline: SideFigures, candidate: SideFigures, pairs: Pairs, limits: SuspicionLimits
) -> list[Suspicion]:
    """What changed in the rows by more than its limit."""
    found: list[Suspicion] = []

    def note(kind: str, text: str, before: Any, after: Any, limit: float) -> None:
        found.append(Suspicion(kind, text, before, after, limit))

    if pairs.level != "seed" and pairs.n_pairs:
        by = "concept and prompt" if pairs.level == "prompt" else "concept"
        text = f"the two share too few seeds or prompts: pairs are means by {by}"
        found.append(Suspicion("paired_by", text, candidate=pairs.level))
    for name, side, n in zip(
        ("baseline", "candidate"), (baseline, candidate), pairs.n_unpaired, strict=True
    ):
        share = _share(n, side.n_ok)
        if share > limits.max_unpaired:
            other = "candidate" if name == "baseline" else "baseline"
            text = f"{share:.0%} of the {name}'s rows have no partner: is the {other} complete?"
            found.append(Suspicion(f"unpaired_{name}", text, limit=limits.max_unpaired))
    found += _missing(baseline, candidate, limits.max_unpaired)
    rates = (
        ("error_rate", "rows could not be scored", "n_error", limits.max_error_rise),
        ("skip_rate", "rows were skipped", "n_skipped", limits.max_skip_rise),
    )
    for kind, what, name, limit in rates:
        before, after = (_share(getattr(side, name), side.n) for side in (baseline, candidate))
        if after - before > limit:
            note(kind, f"{after:.1%} of {what}, {before:.1%} before", before, after, limit)
    for column in candidate.nan:
        before, after = baseline.nan.get(column, 0.0), candidate.nan[column]
        if after - before > limits.max_nan_rise:
            text = f"{after:.1%} of {column} is undefined, {before:.1%} before"
            note(f"nan_rate:{column}", text, before, after, limits.max_nan_rise)
    if baseline.coverage and candidate.coverage is not None:
        change = candidate.coverage / baseline.coverage - 1
        if abs(change) > limits.max_mask_change:
            more = "less" if change < 0 else "more"
            text = f"masks cover {abs(change):.0%} {more}: is it the segmenter?"
            sides = baseline.coverage, candidate.coverage
            note("mask_coverage", text, *sides, limits.max_mask_change)
    if baseline.leak is not None and candidate.leak is not None:
        rise = candidate.leak - baseline.leak
        if rise > limits.max_leak_rise:
            text = f"{LEAK} rose by {rise:.3f}: are backgrounds of references copied?"
            note("leak", text, baseline.leak, candidate.leak, limits.max_leak_rise)
    changed = _share(pairs.n_changed_prompts, pairs.n_pairs)
    if changed > limits.max_changed_prompts:
        text = f"{changed:.0%} of pairs have one prompt_id and two texts"
        found.append(Suspicion("prompts", text, limit=limits.max_changed_prompts))
    return found


def _missing(baseline: SideFigures, candidate: SideFigures, limit: float) -> list[Suspicion]:
    """Columns that are compared over fewer rows than there are, on either side."""
    return [
        Suspicion(
            f"missing_{name}:{column}",
            f"{share:.0%} of the {name}'s rows have no {column}: is it complete?",
            baseline.missing[column],
            candidate.missing[column],
            limit,
        )
        for name, side in (("baseline", baseline), ("candidate", candidate))
        for column, share in side.missing.items()
        if share > limit
    ]


def suspicions_of_runs(
    baseline: Mapping[str, Any] | None, candidate: Mapping[str, Any] | None
) -> list[Suspicion]:
    """What `run.json` tells of two runs and is not the same: packages' versions, devices."""
    found = []
    before, after = (_versions(each) for each in (baseline, candidate))
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            text = f"{name} is {after[name]}, was {before[name]}"
            found.append(Suspicion("versions", text, before[name], after[name]))
    for by in ("device_name", "device"):
        devices = [devices_of(each, by) for each in (baseline, candidate)]
        if all(devices):
            old, new = (", ".join(each) for each in devices)
            if old != new:
                found.append(Suspicion("device", f"scored on {new}, was on {old}", old, new))
            break  # runs of before workers had names differ by the sort of device alone
    for name, run in (("baseline", baseline), ("candidate", candidate)):
        state = run.get("state") if run else None
        if run and state == EARLY:
            found.append(Suspicion(EARLY, f"the {name} run {early_end(run)}"))
        elif state not in (None, "done"):
            text = f"the {name} run is not done: its state is {state}"
            found.append(Suspicion(f"state_{name}", text))
    return found


def _versions(run: Mapping[str, Any] | None) -> dict[str, str]:
    found = (run or {}).get("versions")
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def devices_of(run: Mapping[str, Any] | None, by: str = "device_name") -> list[str]:
    """What the workers that scored something computed on; none where one of them does not say.

    Args:
        by: `device_name`, a GPU's model, or `device`, its number with Torch.
    """
    workers = (run or {}).get("workers")
    if not isinstance(workers, list):
        return []
    at_work = [each for each in workers if isinstance(each, dict) and each.get("samples", 1)]
    if not all(each.get(by) for each in at_work):
        return []
    # One of several GPUs is the same device as another.
    return sorted({str(each[by]).partition(":")[0] for each in at_work})


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
