"""Commands called as a user calls them, and what they leave."""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow.dataset as pads
import pytest

Run = subprocess.CompletedProcess[str]

SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets it for what is submitted to a cluster as a job."""


def command(name: str, *words: str, **environment: str) -> Run:
    """Call `python -m jobs.NAME` as a user does."""
    return module(f"jobs.{name}", *words, **environment)


def module(name: str, *words: str, **environment: str) -> Run:
    """Call `python -m NAME`."""
    return subprocess.run(
        [sys.executable, "-m", name, *words],
        capture_output=True,
        text=True,
        timeout=800,
        env={**os.environ, **environment},
        check=False,
    )


def here(name: str, *words: str) -> Run:
    """The same in this process, which has imported already what a new one takes seconds for."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        _without_handlers(),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", [f"jobs.{name}", *words])
        status = importlib.import_module(f"jobs.{name}").main()
    return Run(list(words), status, out.getvalue(), err.getvalue())


def here_asking(name: str, *words: str) -> Run:
    """In this process too, but a cluster that is named is asked for as by one that is on none."""
    with pytest.MonkeyPatch.context() as patch:
        if any(word.startswith("ray.address=") for word in words):
            patch.setattr("ray.is_initialized", lambda: False)
        return here(name, *words)


@contextmanager
def _without_handlers() -> Iterator[None]:
    """As a process begins: a command sets up what is said, and where, itself."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = []
    try:
        yield
    finally:
        root.handlers, root.level = handlers, level


def rows_of(run: Path) -> list[dict]:
    """The rows of all parts of a run."""
    return pads.dataset(run / "scores").to_table().to_pylist()


def description_of(run: Path) -> dict:
    """What `run.json` says."""
    return json.loads((run / "run.json").read_text())
