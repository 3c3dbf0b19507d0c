"""How many samples shards hold, without reading them."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence

from jobs.pipeline.errors import DamagedShard, StorageError
from jobs.pipeline.shards.fetching import MAX_IMAGE_PIXELS
from jobs.pipeline.shards.reading import read_samples
from jobs.pipeline.storage.streams import open_stream


def estimated_samples(sizes: Sequence[int | None], first: str) -> int | None:
    """The bytes of shards over those of the first sample of one; None where that is not known.

    Args:
        sizes: of the shards, in bytes.
        first: URL of the shard whose first sample is read.
    """
    try:
        with open_stream(first) as stream:
            sample = next(read_samples(stream, MAX_IMAGE_PIXELS), None)
    except (DamagedShard, StorageError, FileNotFoundError, tarfile.TarError):
        return None  # whoever reads it all will say what is wrong with it
    if sample is None or not sample.length or None in sizes:
        return None
    return max(1, round(sum(size or 0 for size in sizes) / sample.length))
