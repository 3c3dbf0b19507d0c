"""`run.json`: what a run is, how far it came, and what it was made with."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import masc_core
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.storage.redaction import redact

PACKAGES = ("torch", "torchvision", "transformers", "ray", "pyarrow", "pillow")
"""Whose versions a score may depend on."""

FURTHER_PACKAGES = ("masc-metric", "spacy", "dreamsim")
"""The same, of extras."""


class RunRecord:
    """Keeps `run.json` true while a run goes on."""

    def __init__(self, run: RunDirectory, described: Mapping[str, Any], n_shards: int) -> None:
        """Begin the record; `write` puts it down.

        Args:
            described: what the run is: its configuration, its fingerprint.
        """
        self._run = run
        self.began = time.monotonic()
        """By the monotonic clock."""
        self._content: dict[str, Any] = {
            "state": "running",
            "started": _now(),
            **described,
            "versions": {
                "masc_core": masc_core.__version__,
                "python": platform.python_version(),
                **{name: version(name) for name in PACKAGES},
                **_versions_of_installed(FURTHER_PACKAGES),
            },
            "driver": {"host": socket.gethostname(), "pid": os.getpid()},
            "n_shards": n_shards,
        }

    def write(self, state: str, **more: Any) -> None:
        """Write `run.json` with this state and whatever else is known by now."""
        self._content.update(
            state=state,
            updated=_now(),
            seconds=round(time.monotonic() - self.began, 3),
            **more,
        )
        self._run.describe(self._content)


def workers_by_pass(described: Mapping[str, Any] | None) -> list[list[Mapping[str, Any]]]:
    """Of each pass over the shards its workers, as `run.json` has them; none where it does not say.

    A sample that several passes scored is among the samples of each.
    """
    workers = (described or {}).get("workers")
    passes: dict[Any, list[Mapping[str, Any]]] = {}
    for each in workers if isinstance(workers, list) else []:
        if isinstance(each, dict):
            passes.setdefault(str(each.get("pass", 1)), []).append(each)
    return list(passes.values())


def _versions_of_installed(names: Iterable[str]) -> dict[str, str]:
    versions = {}
    for name in names:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def redacted_settings(config: Any) -> dict[str, Any]:
    """The settings of a command, nested dataclasses, with the URLs in them redacted."""

    def redacted(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: redacted(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [redacted(each) for each in value]
        return redact(value) if isinstance(value, str) else value

    return redacted(asdict(config))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
