"""The headers of a tar: what is none is an error, and not the archive's end."""

from __future__ import annotations

import tarfile
from typing import Any

MAX_NAME_LENGTH = 4096
"""What Linux allows a path."""

PAX_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)


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
        member.offset = self.offset
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
