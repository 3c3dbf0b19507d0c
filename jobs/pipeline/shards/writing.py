"""Samples to a shard: the counterpart of `reading`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

from webdataset import TarWriter

Sample = tuple[str, dict[str, bytes]]
"""A key, and its members by suffix."""


def write_shard(file: IO[bytes], samples: Iterable[Sample]) -> int:
    """Write a tar of the samples, one after another; how many there were.

    Equal samples make equal bytes, whenever and by whomever they are written.
    """
    n_samples = 0
    # A fixed time makes the same images the same bytes; PAX takes names of any length.
    with TarWriter(file, mtime=0, format="PAX_FORMAT") as tar:
        for key, members in samples:
            tar.write({"__key__": key, **members})
            n_samples += 1
    return n_samples
