"""What a run is, as `run.json` tells it: configuration, fingerprint, versions, cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.pipeline.errors import CallError
from jobs.pipeline.results.comparison.narrowing import Narrowing, narrowings
from jobs.pipeline.results.comparison.suspicions import devices_of
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.early import EarlyEnd, early_end
from jobs.pipeline.run.fingerprint import groups_of
from jobs.pipeline.run.record import workers_by_pass
from jobs.pipeline.storage.redaction import redact, scrub

Pairs = list[tuple[str, str]]
WORKED = ("waiting", "scoring", "commit", "idle")
"""What a worker's seconds are made of."""


@dataclass(frozen=True)
class About:
    """One run."""

    run: str
    """Its URL without credentials."""
    name: str
    state: str
    """As `run.json` has it; `unknown` without one."""
    overview: Pairs
    n_stale: int = 0
    """Parts that count no longer, since their shard is gone or has changed."""
    configuration: Pairs = field(default_factory=list)
    fingerprint: Pairs = field(default_factory=list)
    versions: Pairs = field(default_factory=list)
    cost: Pairs = field(default_factory=list)
    early: EarlyEnd | None = None
    """On what it was decided, if it stopped before its end."""
    narrowings: Sequence[Narrowing] = ()
    """What a gate saw that looked at it."""


def about(run: str) -> About:
    """What there is to say of a run; of one without `run.json` only where it is.

    Raises:
        CallError: its `run.json` is none.
        StorageError: it cannot be read.
    """
    shown = redact(run).rstrip("/")
    described = RunDirectory(run).read_description()
    # The last name alone is often "run".
    name = "/".join(shown.split("/")[-2:])
    if described is None:
        return About(shown, name, "unknown", [("run", shown), ("run.json", "not there")])
    state = str(described.get("state", "unknown"))
    try:
        early = early_end(described)
    except ValueError as error:
        raise CallError(f"{shown}/run.json {error}") from error
    groups = groups_of(described.get("fingerprint"), described.get("format", 1))
    return About(
        shown,
        name,
        state,
        _overview(shown, state, described),
        len(described.get("stale_parts") or []),
        list(_flat(described.get("config"))),
        list(_flat(dict(groups))),
        list(_flat(described.get("versions"))),
        _cost(described),
        early,
        narrowings(described),
    )


def _overview(shown: str, state: str, described: Mapping[str, Any]) -> Pairs:
    config = described.get("config")
    encoder = config.get("encoder") if isinstance(config, dict) else None
    found = {
        "run": shown,
        "state": state,
        "started": described.get("started"),
        "updated": described.get("updated"),
        "encoder": encoder.get("name_or_path") if isinstance(encoder, dict) else None,
        "precision": encoder.get("dtype") if isinstance(encoder, dict) else None,
        "devices": ", ".join(devices_of(described)) or None,
        "limit": config.get("limit") if isinstance(config, dict) else None,
    }
    return [(key, scrub(str(value))) for key, value in found.items() if value is not None]


def _cost(described: Mapping[str, Any]) -> Pairs:
    """Of the call that wrote it last."""
    cost = {}
    if isinstance(seconds := described.get("seconds"), int | float):
        cost["seconds, from start to end"] = f"{seconds:,.1f}"
    passes = workers_by_pass(described)
    if passes:
        # A sample that several passes scored is one.
        samples = max(sum(_numbers(each, ["samples"]) for each in own) for own in passes)
        worked = sum(_numbers(each, WORKED) for own in passes for each in own)
        cost["workers"] = f"{max(map(len, passes)):,}"
        if len(passes) > 1:
            cost["passes over the shards"] = f"{len(passes):,}"
        cost["seconds of all workers"] = f"{worked:,.1f}"
        cost["samples that they scored"] = f"{samples:,.0f}"
        if samples and worked:
            cost["samples a second and worker"] = f"{samples / worked:,.2f}"
    timings = described.get("timings")
    if isinstance(timings, dict):
        cost |= {f"seconds, {name}": f"{value}" for name, value in timings.items()}
    return list(cost.items())


def _numbers(worker: Mapping[str, Any], names: Sequence[str]) -> float:
    values = (worker.get(name) for name in names)
    return sum(float(value) for value in values if isinstance(value, int | float))


def _flat(settings: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys and values as text, without what is secret in a URL."""
    if not isinstance(settings, Mapping):
        return
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"{prefix}{name}", scrub("null" if value is None else text)
