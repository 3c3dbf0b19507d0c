"""Parts whose shard is gone or has changed since it was scored: they count no longer."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.scores import Part, Scores, open_scores
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.storage.filesystem import REQUESTS_AT_ONCE, open_filesystem, scheme_of
from jobs.pipeline.storage.listing import file_of
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries
from jobs.pipeline.storage.versions import version_at

log = logging.getLogger(__name__)

GONE = "gone"
CHANGED = "changed"
SAME_FILE = "the same file counts under another name"
_CURRENT = "current"
_KNOWN = (GONE, CHANGED, _CURRENT)

NOTHING: Mapping[str, Shard] = {}

ATTEMPTS = 2
"""A source that cannot be reached is no loss: its part is kept."""


@dataclass(frozen=True)
class Sources:
    """What became of the shards that parts were made from, as far as it is not that they stand."""

    stale: list[tuple[Part, str]]
    """Parts that count no longer, each with why: `GONE`, `CHANGED` or `SAME_FILE`."""
    unreachable: list[tuple[Part, str]]
    """Parts that are kept because their shard cannot be asked for, each with why."""


def check_sources(parts: Sequence[Part], named: Mapping[str, Shard] = NOTHING) -> Sources:
    """Hold the shards that `parts` were made from against what is there now.

    A shard that is not there is gone only where its storage says so: not where credentials or the
    driver are missing, nor over http, whose signed URLs run out. A local folder that is missing is
    taken for one of another machine while no shard of all these parts is found.

    Args:
        parts: of one or several runs. Parts that do not say what they were made from are kept.
        named: shards that the caller has looked at, by their ids: they are not asked for again. A
            part of another version of one has changed: it was not scored anew.

    A file counts once in a run, whatever it is called, by links or spellings; first under the name
    that the caller gave it.
    """
    asked = [part for part in parts if _url_of(part) and part.shard_id not in named]
    by_place: dict[str, list[Part]] = {}
    for part in asked:
        by_place.setdefault(_place_of(part), []).append(part)
    states: dict[str, str] = {}
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        for first, *others in by_place.values():
            state = _state_of(first)
            # A storage that cannot be reached is asked once, and not once a shard.
            answers = pool.map(_state_of, others) if state in _KNOWN else [state] * len(others)
            states |= zip(map(str, [first, *others]), [state, *answers], strict=True)
    is_here = bool(named) or any(
        states[str(part)] in (_CURRENT, CHANGED) and _folder_of(part) is not None for part in asked
    )
    stale: list[tuple[Part, str]] = []
    unreachable: list[tuple[Part, str]] = []
    files = set()
    for part in (part for part in parts if part.shard_id in named):
        shard = named[part.shard_id]
        if _url_of(part) and part.footer["source"] != shard.source:
            stale.append((part, CHANGED))
        else:
            files.add((part.run, file_of(shard.url)))
    for part in asked:
        state, folder = states[str(part)], _folder_of(part)
        file = part.run, file_of(_url_of(part))
        if file in files:
            state = SAME_FILE
        elif state == _CURRENT:
            files.add(file)
        if state == GONE and not is_here and folder is not None and not folder.is_dir():
            state = f"{folder} is not on this machine"
        if state in (CHANGED, GONE, SAME_FILE):
            stale.append((part, state))
        elif state != _CURRENT:
            unreachable.append((part, state))
    return Sources(stale, unreachable)


def open_counted(runs: Sequence[str]) -> Scores:
    """The rows that the runs' own leaderboards count: without parts that `run.json` calls stale.

    Sources are not asked for again: a run is compared with long after its images are gone.

    Raises:
        CallError, StorageError: as `open_scores`; or no part is left.
    """
    scores = open_scores(runs)
    stale: list[Part] = []
    for run in runs:
        described = RunDirectory(run).read_description() or {}
        named = {str(each).rpartition("/")[2] for each in described.get("stale_parts", [])}
        stale += [
            p for p in scores.parts if p.run == redact(run) and f"{p.shard_id}.parquet" in named
        ]
    if not stale:
        return scores
    log.warning(
        "run=%s: %d parts do not count, as its leaderboard leaves them out (the first: %s)",
        *(", ".join(map(redact, runs)), len(stale), stale[0]),
    )
    if len(stale) == len(scores.parts):
        raise CallError(f"run={redact(runs[0])}: none of its parts counts; score it again")
    return scores.without(stale)


def prune(parts: Iterable[Part]) -> list[Part]:
    """Remove stale parts; one that has been written anew since is left. Returns the removed.

    Raises:
        StorageError: a part cannot be removed.
    """
    removed = []
    for part in parts:
        if part.has_changed():
            continue
        with suppress(FileNotFoundError):
            with_retries(str(part), partial(part.fs.rm_file, part.path))
            removed.append(part)
    return removed


def _state_of(part: Part) -> str:
    """One of `_KNOWN`, or why it cannot be said."""
    url = _url_of(part)
    try:
        # Not from a listing of before: what is asked is what is there now.
        fs, path = open_filesystem(url, keeps_listings=False)
        now = asdict(version_at(fs, path, redact(url), ATTEMPTS))
    except FileNotFoundError:
        is_http = scheme_of(url) in ("http", "https")
        return f"{url}: not found, but its signature may be missing" if is_http else GONE
    except (CallError, StorageError) as error:
        return str(error)
    source = part.footer["source"]
    return _CURRENT if all(now[key] == source.get(key) for key in now) else CHANGED


def _url_of(part: Part) -> str:
    """Of the shard that it was made from; empty where it does not say."""
    source = part.footer.get("source")
    url = source.get("url") if isinstance(source, dict) else None
    return url if isinstance(url, str) else ""


def _place_of(part: Part) -> str:
    """The storage that answers for its shard; of files each folder, which may be closed."""
    if (folder := _folder_of(part)) is not None:
        return str(folder)
    parts = urlsplit(_url_of(part))
    return f"{parts.scheme}://{parts.netloc}"


def _folder_of(part: Part) -> Path | None:
    """Of its shard, where that is a file of a machine's own."""
    url = _url_of(part)
    path = url.removeprefix("file://")
    return None if "://" in path else Path(path).parent
