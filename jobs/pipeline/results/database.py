"""DuckDB as an analysis has it: in memory, spilling to disk what is more, silent on stdout."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb


@contextmanager
def connected(memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database of its own, which is gone with the context.

    Args:
        memory_limit: what DuckDB holds in memory, as in `2GB`; what it cannot spill may be more.
    """
    with (
        tempfile.TemporaryDirectory(prefix="results-") as spill,
        duckdb.connect(
            ":memory:", config={"memory_limit": memory_limit, "temp_directory": spill}
        ) as connection,
    ):
        # It would go to stdout, which is for the result.
        connection.execute("SET enable_progress_bar = false")
        yield connection
