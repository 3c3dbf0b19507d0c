"""What the tests of the pages share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages.scored import score, write_shards


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards and `run`, which has a second mask. Not to be changed."""
    folder = write_shards(tmp_path_factory.mktemp("scored"))
    score(folder, folder / "run", "metric.masks=[given,erode:6]", "metric.extra=[cp.leak]")
    return folder
