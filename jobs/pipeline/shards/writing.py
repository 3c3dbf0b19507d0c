"""Samples to a shard: the counterpart of `reading`."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from typing import IO

Sample = tuple[str, dict[str, bytes]]
"""A key, and its members by suffix."""


def write_shard(file: IO[bytes], samples: Iterable[Sample]) -> int:
    """Write a tar of the samples, one after another; how many there were.

    Equal samples make equal bytes, whenever and by whomever they are written.
    """
    n_samples = 0
    # PAX takes names of any length. A header's own time is 0, so that equal samples are equal.
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for key, members in samples:
            for suffix in sorted(members):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(members[suffix])
                tar.addfile(member, io.BytesIO(members[suffix]))
            # Or the archive's whole index stays in memory; public, but the stubs lag.
            tar.members = []  # type: ignore[attr-defined]
            n_samples += 1
    return n_samples
