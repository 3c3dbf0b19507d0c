"""What the tests of this room share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import ray


@pytest.fixture
def joined(cluster_address: str) -> Iterator[None]:
    """This process is on the cluster."""
    ray.init(cluster_address, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()
