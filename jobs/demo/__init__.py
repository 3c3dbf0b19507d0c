"""`python -m jobs.demo`: renders six models of known quality, packs, scores and reports them.

Beside it lie what it is made of: the rendered world, and the training of its encoder.
"""

from __future__ import annotations

import sys


def main() -> int:
    """The command line."""
    # The world and its data set are imported by others, who need none of this.
    from jobs.demo.showing import DemoConfig, demo
    from jobs.pipeline.command.call import run_command

    return run_command("demo", DemoConfig, demo, sys.argv[1:])
