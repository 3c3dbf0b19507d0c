"""What tests of recipes that run share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """With a short path: those of sockets may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="masc-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
