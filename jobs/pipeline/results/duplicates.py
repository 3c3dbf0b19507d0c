"""Keys that come in more than one shard: what lies behind them may be counted twice."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

KEYS_AT_ONCE = 1 << 27
"""Keys whose hashes are held at once, at 16 bytes each. Of more keys, one in `SHARE` is looked
at."""
SHARE = 64


@dataclass(frozen=True)
class Duplicates:
    """Keys that come in more than one shard."""

    n: int
    share: int
    """One in so many keys was looked at, chosen by hash; 1 is all of them."""
    example: str
    """The first such key."""
    parts: tuple[str, str]
    """Names of two parts that hold it."""

    def __str__(self) -> str:
        looked_at = "" if self.share == 1 else f" of the one in {self.share} looked at"
        first, last = self.parts
        return (
            f"{self.n:,} keys{looked_at} come in more than one shard, and are counted in each: "
            f"{self.example!r} in {first} and in {last}"
        )


def find_duplicates(
    connection: duckdb.DuckDBPyConnection, n_rows: int, by_model: bool
) -> Duplicates | None:
    """The keys that come in more than one part; None where there are none.

    Equal hashes only tell where to look: whether keys are equal is asked of the keys.

    Args:
        connection: has a view `scores` with `key, model, filename`.
        n_rows: of that view.
        by_model: whether a key of another model is another key, as where each run is a model's.
    """
    share = 1 if n_rows <= KEYS_AT_ONCE else SHARE
    identity = "key, model" if by_model else "key"
    looked_at = f"hash({identity}) % {share} = 0" if share > 1 else "TRUE"
    batches = pa.RecordBatchReader.from_stream(
        connection.sql(f"SELECT hash({identity}) FROM scores WHERE {looked_at}")
    )
    hashes = np.concatenate(
        [np.empty(0, np.uint64), *(batch.column(0).to_numpy() for batch in batches)]
    )
    hashes.sort()
    repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(repeated):
        return None
    connection.register("repeated", pa.table({"hash": repeated}))
    found = connection.execute(
        f"""SELECT count(*) OVER (), key, min(filename), max(filename) FROM scores
        SEMI JOIN repeated ON hash({identity}) = repeated.hash
        GROUP BY {identity} HAVING min(filename) <> max(filename) ORDER BY key LIMIT 1"""
    ).fetchall()
    if not found:
        return None
    [(n, key, *files)] = found
    first, last = (file.rpartition("/")[2] for file in files)
    return Duplicates(n, share, key, (first, last))
