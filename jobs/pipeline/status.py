"""Where a run, or a home of nights, stands: from its directory alone, without reading its parts.

While a driver has it, its heartbeats say how far it is (`driver.json`); after that `run.json` does.
What is committed is counted by one listing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem

from jobs.pipeline.errors import CallError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.lease import EXPIRES_SECONDS, Holder
from jobs.pipeline.storage.filesystem import absolute, join, open_filesystem
from jobs.pipeline.storage.redaction import redact, scrub
from jobs.pipeline.storage.retry import with_retries

PARTS = {"scores": ".parquet", "segmented": ".json"}
"""Folders of what a shard job commits, the first that is not empty; and how its names end."""
MOST_FAILED = 5
"""Shards that were given up on of which it is read why."""

PROGRESS = {
    "n_shards": int,
    "n_shards_done": int,
    "samples": dict,
    "samples_a_second": int | float,
    "seconds_left": int | float | None,
    "workers": dict,
    "errors": dict,
}
"""Of what `cluster.progress` tells, what is shown."""

RUNNING, SILENT, DIED, UNKNOWN = "running", "silent", "died", "unknown"


@dataclass(frozen=True)
class Standing:
    """How far a directory is."""

    url: str
    """Without credentials."""
    state: str
    """`running`; `silent`: somebody has it and has not been heard of for longer than a lease lasts;
    `died`: nobody has it, and it says that it runs; else what `run.json` says."""
    holder: dict[str, Any] | None
    """Who has it, and `heard_seconds` ago; None where nobody does."""
    details: dict[str, Any]

    @property
    def is_going_on(self) -> bool:
        """Whether it is worth to look again."""
        return self.state in (RUNNING, SILENT)

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"url": self.url, "state": self.state, "holder": self.holder, **self.details}


def status_of_run(run: str) -> Standing:
    """Where a run of scoring or segmenting stands.

    Raises:
        CallError: no run lies there.
        StorageError: it cannot be read.
    """
    directory = RunDirectory(absolute(run))
    fs, path = open_filesystem(absolute(run), keeps_listings=False)
    described = directory.read_description()
    lease, holder = _holder(directory, fs, path)
    if described is None and lease is None:
        raise CallError(f"run={redact(run)}: no run: neither run.json nor driver.json lies there")
    described = described or {}
    progress = _progress_of_run(lease)
    n_parts = next((n for folder in PARTS if (n := len(_names(fs, path, folder)))), 0)
    failed = _names(fs, path, "failed", ".json")
    details = {
        "started": described.get("started"),
        "n_shards": described.get("n_shards"),
        "n_parts": n_parts,
        "n_failed": len(failed),
        "failed": [_failure(fs, path, name) for name in sorted(failed)[:MOST_FAILED]],
        "counts": described.get("counts"),
        "seconds": described.get("seconds"),
        "errors": progress.get("errors") if progress else described.get("errors"),
        "progress": progress or None,
        "early": progress.get("early") or described.get("early"),
    }
    return Standing(redact(directory.url), _state(described, holder), holder, details)


def status_of_home(home: str) -> Standing:
    """Where nights stand: who works, on which checkpoint, and what was judged last.

    Raises:
        CallError: nothing lies there.
        StorageError: it cannot be read.
    """
    # What nights are judged by takes a second to import, and a run needs none of it.
    from jobs.pipeline.nights import wording
    from jobs.pipeline.nights.home import HISTORY, Home

    place = Home(home)
    history = place.read_history()
    fs, path = open_filesystem(place.url, keeps_listings=False)
    lease, holder = _holder(place.as_run(), fs, path)
    if lease is None and not history.rows:
        raise CallError(f"home={redact(home)}: neither {HISTORY} nor driver.json lies there")
    progress = (lease or {}).get("progress")
    checkpoint = progress.get("checkpoint") if isinstance(progress, dict) else None
    run = None
    if checkpoint:
        try:
            run = status_of_run(place.run(str(checkpoint))).document()
        except CallError:
            run = None  # it has not begun
    last = history.rows[-1] if history.rows else None
    columns = [name.removesuffix("_mean") for name in last or {} if name.endswith("_mean")]
    passed = history.last_passed
    details = {
        "n_judged": len(history.rows),
        "checkpoint": checkpoint,
        "run": run,
        "last": None if last is None else wording.document(last),
        "last_passed": None if passed is None else passed["checkpoint"],
        "n_untold": sum(bool(row["untold"]) for row in history.rows),
        "trend": history.trend([name for name in columns if name in ("cp", "pf")]),
    }
    state = _state({"state": "idle"}, holder)
    return Standing(redact(place.url), state, holder, details)


def _progress_of_run(lease: dict[str, Any] | None) -> dict[str, Any]:
    """What a heartbeat says of how far a run is; nothing where it says it in another way than
    this version's, or is of a driver from before heartbeats said it."""
    found = (lease or {}).get("progress")
    is_ours = isinstance(found, dict) and all(
        isinstance(found.get(name), kind) for name, kind in PROGRESS.items()
    )
    return found if is_ours and isinstance(found, dict) else {}


def _state(described: dict[str, Any], holder: dict[str, Any] | None) -> str:
    if holder is not None:
        if holder["is_dead"]:
            return DIED
        return RUNNING if holder["heard_seconds"] <= EXPIRES_SECONDS else SILENT
    state = str(described.get("state", UNKNOWN))
    return DIED if state == RUNNING else state


def _holder(
    directory: RunDirectory, fs: AbstractFileSystem, path: str
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The lease, and who has it by it; neither where nobody does."""
    lease = directory.read_lease()
    holder = None if lease is None else Holder.of(lease)
    if lease is None or holder is None:
        return None, None
    driver = join(path, "driver.json")
    try:
        heard = with_retries(driver, lambda: fs.modified(driver))
    except FileNotFoundError:  # it has ended since
        return None, None
    heard = heard if heard.tzinfo else heard.replace(tzinfo=UTC)
    # By the storage's clock and ours, which need not agree to the second.
    ago = max(0.0, (datetime.now(UTC) - heard).total_seconds())
    return lease, {
        "host": holder.host,
        "pid": holder.pid,
        "since": holder.since,
        "heard_seconds": round(ago, 1),
        "is_dead": holder.is_dead(),
    }


def _names(fs: AbstractFileSystem, path: str, folder: str, ending: str | None = None) -> list[str]:
    """Of the files in a folder that are a run's own; from one listing."""
    ending = ending or PARTS[folder]
    where = join(path, folder)
    try:
        found = with_retries(where, lambda: fs.ls(where, detail=False))
    except FileNotFoundError:
        return []
    names = [name.rpartition("/")[2] for name in found]
    return [name for name in names if name.endswith(ending) and not name.startswith(".")]


def _failure(fs: AbstractFileSystem, path: str, name: str) -> dict[str, Any]:
    """What is noted of a shard that was given up on."""
    note = join(path, "failed", name)
    shard = name.removesuffix(".json")
    try:
        found = json.loads(with_retries(note, lambda: fs.cat_file(note)))
        return {"shard": shard, "error": scrub(str(found["error"]))}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {"shard": shard, "error": None}
