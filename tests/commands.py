"""Commands called as a user calls them, and what they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as pads

Run = subprocess.CompletedProcess[str]


def command(name: str, *words: str, **environment: str) -> Run:
    """Call `python -m jobs.NAME` as a user does."""
    return subprocess.run(
        [sys.executable, "-m", f"jobs.{name}", *words],
        capture_output=True,
        text=True,
        timeout=800,
        env={**os.environ, **environment},
        check=False,
    )


def rows_of(run: Path) -> list[dict]:
    """The rows of all parts of a run."""
    return pads.dataset(run / "scores").to_table().to_pylist()


def description_of(run: Path) -> dict:
    """What `run.json` says."""
    return json.loads((run / "run.json").read_text())
