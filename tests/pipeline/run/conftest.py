"""A bucket on a real S3 server, for tests of what lies in storage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from s3fs import S3FileSystem

from tests.faults.s3 import client_environment, environment, s3_server


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """On a server that every file system made meanwhile asks."""
    with s3_server() as server, environment(client_environment(server.url)):
        S3FileSystem.clear_instance_cache()
        server.filesystem().makedirs("scores")
        yield "s3://scores"
    S3FileSystem.clear_instance_cache()
