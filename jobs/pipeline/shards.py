"""A shard's members, grouped into samples.

A WebDataset shard is a tar in which the members of a sample stand one after another, named
`KEY.SUFFIX`, the key being the path up to the first dot of the file name. Readers that trust this
turn a shard whose members are interleaved into half-samples; here a key that comes back is an error
of that key, in one row.

A damaged archive is never taken for a shorter one: tarfile ends silently at a header that it cannot
read, and where the file breaks off between two members.

Only images, masks and JSON are read, and none that is larger than it could reasonably be. Nothing
is unpickled, executed or written to disk.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from webdataset.tariterators import base_plus_ext

from jobs.pipeline.tar_stream import Readable, TarStream

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp")
MASK_SUFFIX = "mask.png"
JSON_SUFFIX = "json"

BYTES_A_PIXEL = 4
"""Of RGBA without compression: an encoded image that takes more is none."""

MAX_JSON_MIB = 16

MAX_NAME_LENGTH = 4096
"""What Linux allows a path."""

PAX_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)


class DamagedShard(Exception):
    """The archive cannot be read on from here. The message says where and why."""


@dataclass
class RawSample:
    """The undecoded members of one sample."""

    key: str
    members: dict[str, bytes] = field(default_factory=dict)
    """By suffix in lower case: `jpg`, `mask.png`, `json`, `mask.NAME.png`."""
    refused: dict[str, str] = field(default_factory=dict)
    """By suffix, why a member was not read into memory."""
    not_read: list[str] = field(default_factory=list)
    """Suffixes that are no image, mask or JSON."""
    problem: str | None = None
    """Why the sample cannot be scored whatever its members hold."""


def read_samples(stream: Readable, max_image_pixels: int) -> Iterator[RawSample]:
    """The samples of a tar stream, in its order.

    A key whose members are not adjacent, or that comes twice, is yielded again with its `problem`
    set: what was yielded for it before is void.

    Args:
        stream: read once, forwards; gzip, bzip2 and xz are told by their first bytes.
        max_image_pixels: images and masks of more than `BYTES_A_PIXEL` times as many bytes are not
            read into memory.

    Raises:
        DamagedShard: after the samples before the damage.
        tarfile.TarError: it is no tar at all.
        OSError: the stream breaks off.
    """
    seen: set[str] = set()
    current: RawSample | None = None
    file: Any = TarStream(stream)
    # Reads on after an end mark: archives may be joined end to end.
    with tarfile.TarFile(fileobj=file, tarinfo=_Header, ignore_zeros=True) as tar:
        try:
            for member in tar:
                # Or the archive's whole index stays in memory; public, but the stubs lag.
                tar.members = []  # type: ignore[attr-defined]
                key, suffix = base_plus_ext(_unicode(member.name))
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
                _read_member(tar, member, suffix.lower(), current, max_image_pixels)
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
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0:
            raise tarfile.HeaderError(f"a size of {header.size} bytes")
        return header

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _Header:
        file: Any = tar.fileobj
        if file.in_header:
            return super().fromtarfile(tar)  # what a long name or a PAX header stands before
        try:
            with file.header():
                header = super().fromtarfile(tar)
        except tarfile.HeaderError as error:
            if tar.offset == 0:
                raise  # whether it is a tar at all: tarfile's own errors
            if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                tar.has_ended = True  # type: ignore[attr-defined]
                raise
            if not isinstance(error, tarfile.EmptyHeaderError):  # type: ignore[attr-defined]
                raise tarfile.ReadError(f"not a member's header: {error}") from error
            if getattr(tar, "has_ended", False):
                raise
            raise tarfile.ReadError("it breaks off: there is no end-of-archive mark") from error
        except (ValueError, LookupError, OverflowError, RecursionError) as error:
            # tarfile takes the fields of extended headers for what they should be.
            raise tarfile.ReadError(f"not a member's header: {error}") from error
        if len(header.name) > MAX_NAME_LENGTH:
            raise tarfile.ReadError(f"a member's name of {len(header.name)} characters")
        tar.has_ended = False  # type: ignore[attr-defined]
        return header

    def _proc_member(self, tar: Any) -> Any:
        """Read the rest of the header; tarfile names this as the place for a subclass.

        PAX records are read here: what tarfile makes of them is sound for well-meant ones, and may
        take hours for others. A shard's members have a name and a size, and the rest is not used.
        """
        if self.type not in PAX_TYPES:
            return super()._proc_member(tar)  # type: ignore[misc]
        records = _pax_records(tar.fileobj.read(_whole_blocks(self.size))[: self.size])
        try:
            member = self.fromtarfile(tar)
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"no member after a PAX header: {error}") from error
        if self.type == tarfile.XGLTYPE:
            return member  # for all that follow: comments and the like
        path = records.get(b"GNU.sparse.name") or records.get(b"path")
        if path is not None:
            member.name = path.decode(errors="surrogateescape")
        if b"size" in records:
            if not records[b"size"].isdigit():
                raise tarfile.ReadError("a PAX record of a size that is no number")
            member.size = int(records[b"size"])
            if member.isreg() or member.type not in tarfile.SUPPORTED_TYPES:
                tar.offset = member.offset_data + _whole_blocks(member.size)
        if any(keyword.startswith(b"GNU.sparse.") for keyword in records):
            member.sparse = b""  # what `issparse` goes by
        return member


def _pax_records(content: bytes) -> dict[bytes, bytes]:
    """The records of a PAX header, `LENGTH KEYWORD=VALUE` and a newline each."""
    records = {}
    start = 0
    while start < len(content) and content[start] != 0:
        digits, space, _ = content[start : start + 10].partition(b" ")
        if not space or not digits.isdigit():
            raise tarfile.ReadError("a PAX record without its length")
        end = start + int(digits)
        keyword, equals, value = content[start + len(digits) + 1 : end].partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise tarfile.ReadError("a PAX record of another length than it says")
        records[keyword] = value[:-1]
        start = end
    return records


def _whole_blocks(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


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


def is_read(suffix: str) -> bool:
    """Whether a member of this suffix is an image, a mask or JSON."""
    is_mask = suffix.startswith("mask.") and suffix.endswith(".png")
    return is_mask or suffix == JSON_SUFFIX or suffix in IMAGE_SUFFIXES
