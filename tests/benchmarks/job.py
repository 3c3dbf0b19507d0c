"""Running the whole job, as a user does, and reading what it says of its own time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads

from tests.commands import command


@dataclass(frozen=True)
class Job:
    """A run of `jobs.evaluate` that ended well."""

    run: Path
    seconds: float
    """From the first shard given out to the last one committed."""
    start: float
    """Seconds before that: Ray, the encoder, the references."""
    workers: list[dict[str, Any]]

    def rows(self) -> dict[str, dict[str, Any]]:
        """Rows by key."""
        table = pads.dataset(self.run / "scores").to_table()
        return {row["key"]: row for row in table.to_pylist()}

    @property
    def n(self) -> int:
        """Samples."""
        return sum(worker["samples"] for worker in self.workers)


def run_job(run: Path, samples: str, references: str, checkpoint: Path, *words: str) -> Job:
    """Score `samples` into `run`, anew."""
    words = (
        *(f"samples={samples}", f"references={references}", f"run={run}"),
        *(f"encoder.name_or_path={checkpoint}", "overwrite=true", *words),
    )
    done = command("evaluate", *words)
    if done.returncode:
        raise RuntimeError(f"jobs.evaluate {' '.join(words)}\n{done.stderr}")
    described = json.loads((run / "run.json").read_text())
    timings = described["timings"]
    return Job(run, timings["scoring"], timings["start"], described["workers"])
