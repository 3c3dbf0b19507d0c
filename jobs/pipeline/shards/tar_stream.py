"""The bytes of a tar as tarfile reads them: forwards only, decompressed, and within bounds.

tarfile's own stream decompresses at once whatever it took from its source, and takes a header of
any length into memory: a shard of a few kB could fill a machine.
"""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

READ_AT_ONCE = 1 << 20
"""Bytes asked of the source at a time; tarfile's own 10 kB would be a call per few members."""

DECOMPRESS_AT_ONCE = 1 << 16
"""Where the data is damaged, what was decompressed in the same call is lost with it."""

TAKE_AT_ONCE = 1 << 18
"""Of compressed bytes; those that the decompressor leaves for later are copied each time."""

MAX_HEADER_BYTES = 1 << 20
"""Of a member's header, with the long names and PAX records before it."""

XZ_MEMORY_BYTES = 256 << 20
"""`xz -9` needs a quarter of it; a header may ask for 4 GiB."""

BOMB_BYTES = 1 << 30
BOMB_RATIO = 200
"""More than so many bytes, out of so many times fewer: images are compressed already, and a shard
of them shrinks little."""


class Readable(Protocol):
    """What a shard is read from."""

    def read(self, n: int, /) -> bytes:
        """The next `n` bytes, fewer only at the end."""
        ...


class TarStream:
    """A source of bytes with what tarfile asks of a file: `read`, `seek` and `tell`."""

    def __init__(self, source: Readable) -> None:
        """Begin to read; gzip, bzip2 and xz are told by their first bytes."""
        decompressed = _Decompressed(source)
        self.is_plain = decompressed.is_plain
        """Whether a position here is one of the source's bytes too."""
        self._bytes = io.BufferedReader(decompressed, READ_AT_ONCE)
        self._at = 0
        self._header_ends: int | None = None

    @property
    def in_header(self) -> bool:
        """Whether a header is being read."""
        return self._header_ends is not None

    @contextmanager
    def header(self) -> Iterator[None]:
        """While a header is read: no further than `MAX_HEADER_BYTES` from here."""
        self._header_ends = self._at + MAX_HEADER_BYTES
        try:
            yield
        finally:
            self._header_ends = None

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end.

        Raises:
            tarfile.ReadError: the compressed data is damaged or a bomb, or a header too long.
        """
        if size < 0:
            raise tarfile.ReadError("a size below 0")
        if self._header_ends is not None and self._at + size > self._header_ends:
            raise tarfile.ReadError(f"a header of more than {MAX_HEADER_BYTES} bytes")
        content = self._bytes.read(size)
        self._at += len(content)
        return content

    def seek(self, position: int) -> int:
        """Go forwards to `position`, or to the end.

        Raises:
            tarfile.StreamError: it lies behind.
        """
        if position < self._at:
            raise tarfile.StreamError("a member that begins before the end of the one before it")
        while self._at < position and self.read(min(READ_AT_ONCE, position - self._at)):
            pass
        return self._at

    def tell(self) -> int:
        """How many bytes were read."""
        return self._at


class _Decompressed(io.RawIOBase):
    """A source's bytes, decompressed no further than they are asked for."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._head = source.read(tarfile.BLOCKSIZE)
        self._begin: Any = _decompressor_of(self._head)
        self._decompressor: Any = self._begin and self._begin()
        self._n_taken = 0
        self._n_given = 0

    @property
    def is_plain(self) -> bool:
        """Whether nothing is compressed."""
        return self._begin is None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), READ_AT_ONCE)
        if not self._decompressor:
            content = self._take(size)
        else:
            content = self._decompress(min(size, DECOMPRESS_AT_ONCE))
        buffer[: len(content)] = content
        return len(content)

    def _take(self, size: int) -> bytes:
        """Bytes of the source as they are."""
        if self._head:
            content, self._head = self._head[:size], self._head[size:]
        else:
            content = self._source.read(size)
        self._n_taken += len(content)
        return content

    def _decompress(self, size: int) -> bytes:
        content = b""
        while not content:
            taken = b""
            if self._decompressor.eof:
                taken = self._decompressor.unused_data.lstrip(b"\0")
                while not taken:  # between joined files there may be padding
                    if not (block := self._take(TAKE_AT_ONCE)):
                        return b""
                    taken = block.lstrip(b"\0")
                self._decompressor = self._begin()
            elif self._decompressor.needs_input and not (taken := self._take(TAKE_AT_ONCE)):
                raise tarfile.ReadError("the compressed data breaks off")
            try:
                content = self._decompressor.decompress(taken, size)
            except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
                raise tarfile.ReadError(f"the compressed data is damaged: {error}") from error
        self._n_given += len(content)
        if self._n_given > max(BOMB_BYTES, BOMB_RATIO * self._n_taken):
            raise tarfile.ReadError(
                f"a decompression bomb: {self._n_given} bytes out of {self._n_taken}"
            )
        return content


class _GzipDecompressor:
    """zlib's, with the interface of bz2's and lzma's."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        content = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        # As long as it fills what it may, there may be more of what it has.
        self.needs_input = len(content) < max_length
        return content


def _decompressor_of(head: bytes) -> Callable[[], Any] | None:
    """What makes a decompressor for a file that begins so; None for a plain tar."""
    if head.startswith(b"\x1f\x8b\x08"):
        return _GzipDecompressor
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        return bz2.BZ2Decompressor
    if head.startswith((b"\xfd7zXZ\0", b"\x5d\0\0\x80")):
        return partial(lzma.LZMADecompressor, memlimit=XZ_MEMORY_BYTES)
    return None
