"""`run.json`: what a run is, how far it came, and what it was made with."""

from __future__ import annotations

import os
import platform
import socket
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import masc_core
from jobs.pipeline.evaluation_config import EvaluateConfig
from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.fingerprint import Fingerprint
from jobs.pipeline.storage.redaction import redact

PACKAGES = ("torch", "torchvision", "transformers", "ray", "pyarrow", "pillow")
"""Whose versions a score may depend on."""


class RunRecord:
    """Keeps `run.json` true while a run goes on."""

    def __init__(
        self, run: RunDirectory, config: EvaluateConfig, fingerprint: Fingerprint, n_shards: int
    ) -> None:
        """Begin the record; `write` puts it down."""
        self._run = run
        self.began = time.monotonic()
        """By the monotonic clock."""
        redacted = replace(
            config,
            samples=[redact(url) for url in config.samples],
            references=[redact(url) for url in config.references],
            run=redact(config.run),
        )
        self._content: dict[str, Any] = {
            "state": "running",
            "started": _now(),
            "config": asdict(redacted),
            "fingerprint": dict(fingerprint),
            "versions": {
                "masc_core": masc_core.__version__,
                "python": platform.python_version(),
                **{name: version(name) for name in PACKAGES},
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
