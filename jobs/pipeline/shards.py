"""A shard's members, grouped into samples.

A WebDataset shard is a tar in which the members of a sample stand one after another, named
`KEY.SUFFIX`, the key being the path up to the first dot of the file name. Readers that trust this
turn a shard whose members are interleaved into half-samples; here a key that comes back is an error
of that key, in one row.

Only images, masks and JSON are read. Nothing is unpickled, executed or written to disk.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from webdataset.tariterators import base_plus_ext

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp")
MASK_SUFFIX = "mask.png"
JSON_SUFFIX = "json"

READ_AT_ONCE = 1 << 20
"""Bytes asked of a stream at a time; tarfile's own 10 kB would be a call per few members."""


@dataclass
class RawSample:
    """The undecoded members of one sample."""

    key: str
    members: dict[str, bytes] = field(default_factory=dict)
    """By suffix in lower case: `jpg`, `mask.png`, `json`, `mask.NAME.png`."""
    not_read: list[str] = field(default_factory=list)
    """Suffixes that are no image, mask or JSON."""
    problem: str | None = None
    """Why the sample cannot be scored whatever its members hold."""


def read_samples(stream: IO[bytes]) -> Iterator[RawSample]:
    """The samples of a tar stream, in its order.

    A key whose members are not adjacent, or that comes twice, is yielded again with its `problem`
    set: what was yielded for it before is void.

    Raises:
        tarfile.TarError, OSError: the stream is damaged or breaks off.
    """
    seen: set[str] = set()
    current: RawSample | None = None
    with tarfile.open(fileobj=stream, mode="r|*", bufsize=READ_AT_ONCE) as tar:
        for member in tar:
            # Or the archive's whole index stays in memory; the attribute is public, the stubs lag.
            tar.members = []  # type: ignore[attr-defined]
            key, suffix = base_plus_ext(member.name)
            if key is None or not member.isreg():
                continue
            if current is None or key != current.key:
                if current is not None:
                    yield current
                current = RawSample(key)
                if key in seen:
                    current.problem = "key: comes twice, or its members are not adjacent in the tar"
                seen.add(key)
            suffix = suffix.lower()
            if suffix in current.members:
                current.problem = f"{suffix}: comes twice"
            elif not is_read(suffix):
                current.not_read.append(suffix)
            else:
                content = tar.extractfile(member)
                assert content is not None  # it is a regular file
                current.members[suffix] = content.read()
    if current is not None:
        yield current


def is_read(suffix: str) -> bool:
    """Whether a member of this suffix is an image, a mask or JSON."""
    is_mask = suffix.startswith("mask.") and suffix.endswith(".png")
    return is_mask or suffix == JSON_SUFFIX or suffix in IMAGE_SUFFIXES
