"""`jobs.paper`, called here."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

from jobs.paper import paper_command
from jobs.pipeline.command.call import run_command
from jobs.pipeline.paper.settings import PaperConfig
from tests.commands import Run

RECIPES = [
    *("cp", "orida", "pf", "pools", "aggregators"),
    *("mask_sources", "mask_noise", "mask_noise_orida", "run_time"),
]
"""All that there are, in their order."""


def paper(*words: str) -> Run:
    """The command's own function, here: a process of its own would take its imports each time."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run_command("paper", PaperConfig, paper_command, list(words))
    return Run([*words], status, out.getvalue(), err.getvalue())
