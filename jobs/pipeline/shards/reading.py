"""A shard's members, grouped into samples.

A WebDataset shard is a tar in which the members of a sample stand one after another, named
`KEY.SUFFIX`, the key being the path up to the first dot of the file name; names that begin with a
dot are no samples. Readers that trust this turn a shard whose members are interleaved into
half-samples; here a key that comes back is an error of that key, in one row.

A damaged archive is never taken for a shorter one: tarfile ends silently at a header that it cannot
read, and where the file breaks off between two members.

Only images, masks and JSON are read, and none that is larger than it could reasonably be. Nothing
is unpickled, executed or written to disk.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any

from jobs.pipeline.errors import DamagedShard
from jobs.pipeline.shards.headers import _Header
from jobs.pipeline.shards.members import (
    BYTES_A_PIXEL,
    JSON_SUFFIX,
    MAX_JSON_MIB,
    RawSample,
    is_read,
)
from jobs.pipeline.shards.tar_stream import Readable, TarStream


def read_samples(stream: Readable, max_image_pixels: int) -> Iterator[RawSample]:
    """The samples of a tar stream, in its order.

    A key whose members are not adjacent, or that comes twice, is yielded again with its `problem`
    set: what was yielded for it before is void.

    Args:
        stream: read once, forwards; gzip, bzip2 and xz are told by their first bytes. Or the
            `TarStream` of one.
        max_image_pixels: images and masks of more than `BYTES_A_PIXEL` times as many bytes are not
            read into memory; 0 reads none.

    Raises:
        DamagedShard: after the samples before the damage.
        tarfile.TarError: it is no tar at all.
        OSError: the stream breaks off.
    """
    # It brings torch, of which a driver that only imports this has no need.
    from webdataset.tariterators import base_plus_ext

    seen: set[str] = set()
    current: RawSample | None = None
    file: Any = stream if isinstance(stream, TarStream) else TarStream(stream)
    # Reads on after an end mark: archives may be joined end to end.
    with tarfile.TarFile(fileobj=file, tarinfo=_Header, ignore_zeros=True) as tar:
        try:
            for member in tar:
                # Or the archive's whole index stays in memory; public, but the stubs lag.
                tar.members = []  # type: ignore[attr-defined]
                name = _unicode(member.name)
                key, suffix = base_plus_ext(name)
                # `._a.jpg` and `.DS_Store` are what a Mac adds of its own.
                if key is None or not member.isreg() or name.rpartition("/")[2].startswith("."):
                    continue
                if current is None or key != current.key:
                    if current is not None:
                        yield current
                    current = RawSample(key, offset=member.offset if file.is_plain else None)
                    if key in seen:
                        current.problem = (
                            "key: comes twice, or its members are not adjacent in the tar"
                        )
                    seen.add(key)
                if current.offset is not None:
                    current.length = tar.offset - current.offset
                _read_member(tar, member, suffix.lower(), current, max_image_pixels)
        except tarfile.TarError as error:
            if current is not None:
                current.problem = f"the shard is damaged from here on: {error}"
                yield current
            raise DamagedShard(f"damaged at byte {tar.offset}: {error}") from error
    if current is not None:
        yield current


def _unicode(name: str) -> str:
    """A member's name with the bytes that are no UTF-8 spelled out, so that it can be a key."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _read_member(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    suffix: str,
    sample: RawSample,
    max_image_pixels: int,
) -> None:
    if suffix in sample.members or suffix in sample.refused:
        sample.problem = f"{suffix}: comes twice"
    elif not is_read(suffix):
        sample.not_read.append(suffix)
    elif member.issparse():
        sample.refused[suffix] = "a sparse member; make the tar without --sparse"
    elif suffix == JSON_SUFFIX and member.size > MAX_JSON_MIB << 20:
        sample.refused[suffix] = f"{member.size} bytes is over {MAX_JSON_MIB} MiB"
    elif suffix != JSON_SUFFIX and member.size > BYTES_A_PIXEL * max_image_pixels:
        shown = f"{BYTES_A_PIXEL} x limits.max_image_pixels"
        sample.refused[suffix] = f"{member.size} bytes is over {shown}"
    else:
        content = tar.extractfile(member)
        assert content is not None  # it is a regular file
        sample.members[suffix] = content.read()
