"""What the tests of this room share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import ray


@pytest.fixture(scope="module")
def joined(cluster_address: str) -> Iterator[None]:
    """This process is on the cluster: to join it takes a second, and each time Ray starts workers
    anew."""
    ray.init(cluster_address, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()
