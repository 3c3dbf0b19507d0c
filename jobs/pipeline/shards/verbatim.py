"""A shard's samples with the bytes that they stand as in the tar, so that they can be copied."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jobs.pipeline.errors import DamagedShard
from jobs.pipeline.shards.headers import _Header
from jobs.pipeline.shards.members import IMAGE_SUFFIXES, RawSample
from jobs.pipeline.shards.reading import _read_member, _unicode
from jobs.pipeline.shards.tar_stream import Readable, TarStream

MAX_MEMBER_BYTES = 1 << 30
"""Whatever a sample holds is in memory while its mask is made."""


@dataclass
class VerbatimSample:
    """A sample, and what it stands as in the tar."""

    raw: RawSample | None
    """None for what belongs to no sample: folders, links, names that begin with a dot."""
    blocks: list[bytes] = field(default_factory=list)
    """Of each of its members, and of what stands between them: headers, content and padding."""
    after_image: int | None = None
    """So many of the blocks end with its image; None where it has none."""
    name: str = ""
    """Its members' names up to the first dot, as the tar has them."""


def read_verbatim(stream: Readable, max_image_pixels: int) -> Iterator[VerbatimSample]:
    """The samples of a tar stream, in its order; joined, their blocks are all that it holds.

    They are grouped as `reading.read_samples` does; a key that comes back has its `problem` set,
    but what was yielded for it before stands.

    Args:
        stream: read once, forwards; gzip, bzip2 and xz are told by their first bytes.
        max_image_pixels: as for `read_samples`; what is refused by it is among the blocks.

    Raises:
        DamagedShard: the tar cannot be read on; or a member is too large to be held in memory.
        tarfile.TarError: it is no tar at all.
        OSError: the stream breaks off.
    """
    # As in `reading`: it brings torch.
    from webdataset.tariterators import base_plus_ext

    seen: set[str] = set()
    current: VerbatimSample | None = None
    file: Any = _RecordingStream(stream)
    with tarfile.TarFile(fileobj=file, tarinfo=_Header, ignore_zeros=True) as tar:
        try:
            for member in tar:
                # Or the archive's whole index stays in memory; public, but the stubs lag.
                tar.members = []  # type: ignore[attr-defined]
                key, suffix = base_plus_ext(_unicode(member.name))
                is_hidden = member.name.rpartition("/")[2].startswith(".")
                if member.size > MAX_MEMBER_BYTES:
                    raise tarfile.ReadError(f"a member of {member.size} bytes")
                if key is None or not member.isreg() or is_hidden:
                    if current is None:
                        yield VerbatimSample(None, [_rest_of(tar, file)])
                    else:
                        current.blocks.append(_rest_of(tar, file))
                    continue
                if current is None or current.raw is None or key != current.raw.key:
                    if current is not None:
                        yield current
                    current = VerbatimSample(RawSample(key), name=_stem(member.name))
                    if key in seen:
                        assert current.raw is not None
                        current.raw.problem = (
                            "key: comes twice, or its members are not adjacent in the tar"
                        )
                    seen.add(key)
                assert current.raw is not None
                _read_member(tar, member, suffix.lower(), current.raw, max_image_pixels)
                current.blocks.append(_rest_of(tar, file))
                if suffix.lower() in IMAGE_SUFFIXES:
                    current.after_image = len(current.blocks)
        except tarfile.TarError as error:
            raise DamagedShard(f"damaged at byte {tar.offset}: {error}") from error
    if current is not None:
        yield current


class _RecordingStream(TarStream):
    """Keeps what is read of a member, from the start of its header on."""

    def __init__(self, source: Readable) -> None:
        self.recorded = bytearray()
        super().__init__(source)

    @contextmanager
    def header(self) -> Iterator[None]:
        # What was read before was of the member before, or nothing but zeros between archives.
        self.recorded = bytearray()
        with super().header():
            yield

    def read(self, size: int) -> bytes:
        content = super().read(size)
        self.recorded += content
        return content


def _rest_of(tar: tarfile.TarFile, file: _RecordingStream) -> bytes:
    """Read on to the end of the member at hand; all of its bytes."""
    if file.seek(tar.offset) < tar.offset:
        raise tarfile.ReadError("unexpected end of data")
    return bytes(file.recorded)


def _stem(name: str) -> str:
    """Up to the first dot of the file's own name."""
    folder, slash, file = name.rpartition("/")
    return f"{folder}{slash}{file.partition('.')[0]}"
