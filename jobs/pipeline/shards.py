"""A shard's members, grouped into samples.

A WebDataset shard is a tar in which the members of a sample stand one after another, named
`KEY.SUFFIX`, the key being the path up to the first dot of the file name. Readers that trust this
turn a shard whose members are interleaved into half-samples; here a key that comes back is an error
of that key, in one row.

A damaged archive is never taken for a shorter one: tarfile ends silently at a header that it cannot
read, and where the file breaks off between two members.

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


class DamagedShard(Exception):
    """The archive cannot be read on from here. The message says where and why."""


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
        DamagedShard: after the samples before the damage.
        tarfile.TarError: it is no tar at all.
        OSError: the stream breaks off.
    """
    seen: set[str] = set()
    current: RawSample | None = None
    with tarfile.open(
        fileobj=stream,
        mode="r|*",
        bufsize=READ_AT_ONCE,
        tarinfo=_Header,
        # Reads on after an end mark: archives may be joined end to end.
        ignore_zeros=True,
    ) as tar:
        try:
            for member in tar:
                # Or the archive's whole index stays in memory; public, but the stubs lag.
                tar.members = []  # type: ignore[attr-defined]
                key, suffix = base_plus_ext(member.name)
                if key is None or not member.isreg():
                    continue
                if current is None or key != current.key:
                    if current is not None:
                        yield current
                    current = RawSample(key)
                    if key in seen:
                        current.problem = (
                            "key: comes twice, or its members are not adjacent in the tar"
                        )
                    seen.add(key)
                _read_member(tar, member, suffix.lower(), current)
        except tarfile.TarError as error:
            if current is not None:
                current.problem = f"the shard is damaged from here on: {error}"
                yield current
            raise DamagedShard(f"damaged at byte {tar.offset}: {error}") from error
    if current is not None:
        yield current


class _Header(tarfile.TarInfo):
    """A member's header; what is none is an error, and not the archive's end."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _Header:
        if tar.offset == 0:
            return super().fromtarfile(tar)  # whether it is a tar at all: tarfile's own errors
        try:
            header = super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            tar.has_ended = True  # type: ignore[attr-defined]
            raise
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            if getattr(tar, "has_ended", False):
                raise
            raise tarfile.ReadError("it breaks off: there is no end-of-archive mark") from error
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"not a member's header: {error}") from error
        tar.has_ended = False  # type: ignore[attr-defined]
        return header


def _read_member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, suffix: str, sample: RawSample
) -> None:
    if suffix in sample.members:
        sample.problem = f"{suffix}: comes twice"
    elif not is_read(suffix):
        sample.not_read.append(suffix)
    else:
        content = tar.extractfile(member)
        assert content is not None  # it is a regular file
        sample.members[suffix] = content.read()


def is_read(suffix: str) -> bool:
    """Whether a member of this suffix is an image, a mask or JSON."""
    is_mask = suffix.startswith("mask.") and suffix.endswith(".png")
    return is_mask or suffix == JSON_SUFFIX or suffix in IMAGE_SUFFIXES
