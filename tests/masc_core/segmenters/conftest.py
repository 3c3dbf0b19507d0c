"""Small checkpoints of every architecture that a segmenter loads."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.masc_core.segmenters.checkpoints import WRITERS


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Their directories, by the keys of `WRITERS`."""
    folder = tmp_path_factory.mktemp("segmenters")
    return {name: str(write(folder / name)) for name, write in WRITERS.items()}
