"""Programs that tests need and Python's packages do not bring."""

from __future__ import annotations

import os
import shutil

import pytest


def need_program(name: str) -> str:
    """The path of a program. Without it the test that asks is skipped, and fails in CI."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no program {name}: .ci/packages.txt must list the package that has it")
        pytest.skip(f"no program {name}")
    return path
