"""A few kB that claim to be gigabytes: refused by name, without taking the memory or the time."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.pipeline.scoring.small_scorer import small_scorer
from tests.pipeline.shards.read_shards import MAX_IMAGE_PIXELS
from tests.shards import Member, generation, png

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the peak of memory"),
]

MIB = 1 << 20
FLAT = 40 * MIB
"""What a bomb may take: buffers of a MiB, an image of a million pixels, the allocator's slack."""


class Zeros(io.RawIOBase):
    """A file of so many zeros, which takes no memory."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        content = bytes(min(size, self.left))
        self.left -= len(content)
        return content


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def with_checksum(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def tar(*members: Member) -> bytes:
    """Members without an end mark."""
    return b"".join(header(name, len(content)) + padded(content) for name, content in members)


def pax(records: bytes) -> bytes:
    return header("pax", len(records), tarfile.XHDTYPE) + padded(records)


def record(keyword: str, value: bytes) -> bytes:
    body = b" %s=%s\n" % (keyword.encode(), value)
    size = len(body) + 1
    while len(b"%d" % size) + len(body) != size:
        size += 1
    return b"%d" % size + body


GOOD = tar(*generation("good", 1))
LAST = tar(*generation("last", 2)) + bytes(1024)
TWO_OF_BAD = tar(*generation("bad", 3)[:2])


def zeros_in(path: Path, compression: str, size: int) -> None:
    """A good sample, one whose image is `size` zeros, and another good one; compressed."""
    level: dict[str, int] = {"preset": 0} if compression == "xz" else {"compresslevel": 1}
    with tarfile.open(path, f"w:{compression}", **level) as archive:  # type: ignore[call-overload]
        for name, content in [*generation("good", 1), *generation("bad", 3)[:2]]:
            archive.addfile(member_of(name, len(content)), io.BytesIO(content))
        archive.addfile(member_of("bad.png", size), Zeros(size))
        for name, content in generation("last", 2):
            archive.addfile(member_of(name, len(content)), io.BytesIO(content))


def member_of(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def old_sparse(size: int) -> bytes:
    """A header of GNU tar's sparse format: 512 bytes of data, and a hole of the rest."""
    block = bytearray(header("bad.png", 512, tarfile.GNUTYPE_SPARSE))
    block[386:410] = b"%011o\0%011o\0" % (0, 512)
    block[483:495] = b"\x80" + size.to_bytes(11, "big")
    return with_checksum(block) + bytes(512)


def endless_sparse_map() -> bytes:
    """The map of a sparse member goes on and on, each block of it saying that another follows."""
    block = bytearray(header("bad.png", 0, tarfile.GNUTYPE_SPARSE))
    block[482] = 1
    piece = b"%011o\0%011o\0" % (1, 1)
    more = (piece * 21 + b"\1" + bytes(7)) * 4000
    return with_checksum(block) + more


def pax_sparse(size: int) -> bytes:
    """The same in the format of PAX, whose map is in the data."""
    names = {"major": b"1", "minor": b"0", "name": b"bad.png", "realsize": b"%d" % size}
    records = b"".join(record(f"GNU.sparse.{name}", value) for name, value in names.items())
    return pax(records) + header("GNUSparseFile.0/bad.png", 512) + padded(b"1\n0\n0\n")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that claims a size; its pixels are missing."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + b"".join(chunks) + pixels


def compressed_zeros(size: int) -> bytes:
    compressor = zlib.compressobj(9)
    return b"".join(compressor.compress(bytes(MIB)) for _ in range(size // MIB)) + (
        compressor.flush()
    )


def vast_webp() -> bytes:
    """An animation of 64x64 on a canvas of 16384x16384."""
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    content = bytearray(file.getvalue())
    assert content[12:16] == b"VP8X"
    content[24:30] = (16383).to_bytes(3, "little") * 2
    return bytes(content)


def in_sample(image: bytes, suffix: str = "png") -> bytes:
    return GOOD + TWO_OF_BAD + tar((f"bad.{suffix}", image)) + LAST


def gzipped(content: bytes, payload: int) -> bytes:
    """`content`, then so many zeros, as gzip without its end: nobody should get there."""
    compressor = zlib.compressobj(1, wbits=31)
    start = compressor.compress(content) + compressor.flush(zlib.Z_FULL_FLUSH)
    # After a full flush a block stands for itself, wherever it is put.
    zeros = compressor.compress(bytes(16 * MIB)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return start + zeros * (payload // (16 * MIB))


IN_MEMBER = {
    "old sparse": "png: a sparse member",
    "pax sparse": "png: a sparse member",
    "png of 50,000 x 50,000": "png: 50000x50000 is over limits.max_image_pixels",
    "png with zTXt": "png: cannot be decoded: ValueError: Decompressed data too large",
    "png with a profile": "png: cannot be decoded: ValueError: Decompressed data too large",
    "png with more after its pixels": "ok",
    "webp of 16384 x 16384": "webp: 16384x16384 is over limits.max_image_pixels",
    "json of 17 MiB": "json: 17825792 bytes is over 16 MiB",
    "prompt of 2 MiB": "json: prompt has 2097152 characters, more than 100000",
}
"""What is wrong with one sample alone, and how its error begins."""

IN_HEADER = (
    "pax records of 300 MiB",
    "name of 300 MiB",
    "name of 5000",
    "overlapping pax records",
    "pax headers one after another",
    "endless sparse map",
    "negative size",
)
"""What damages the shard from there on."""

COMPRESSED = {"gz": 150 * MIB, "bz2": 60 * MIB, "xz": 80 * MIB}


def bombs() -> dict[str, bytes]:
    """Shards of a good sample, a bad one, and another good one."""
    zeros = compressed_zeros(200 * MIB)
    start = GOOD + TWO_OF_BAD
    text = header("pax", 300 * MIB, tarfile.XHDTYPE)
    name = header("long", 300 * MIB, tarfile.GNUTYPE_LONGNAME)
    negative = bytearray(header("bad.png", 0))
    negative[124:136] = (-MIB).to_bytes(12, "big", signed=True)
    return {
        "old sparse": start + old_sparse(100 << 30) + LAST,
        "pax sparse": start + pax_sparse(100 << 30) + LAST,
        "png of 50,000 x 50,000": in_sample(png_of(50_000, 50_000)),
        "png with zTXt": in_sample(png_of(9, 9, chunk(b"zTXt", b"key\0\0" + zeros))),
        "png with a profile": in_sample(png_of(9, 9, chunk(b"iCCP", b"key\0\0" + zeros))),
        "png with more after its pixels": in_sample(
            png(np.zeros((9, 9, 3), np.uint8))[:-12] + chunk(b"IDAT", zeros)
        ),
        "webp of 16384 x 16384": in_sample(vast_webp(), "webp"),
        "json of 17 MiB": GOOD
        + tar(("bad.json", b" " * 17 * MIB), *generation("bad", 3)[1:])
        + LAST,
        "prompt of 2 MiB": GOOD + tar(*generation("bad", 3, prompt="x" * 2 * MIB)) + LAST,
        "pax records of 300 MiB": gzipped(start + text, 300 * MIB),
        "name of 300 MiB": gzipped(start + name, 300 * MIB),
        "name of 5000": start + pax(record("path", b"x" * 5000)) + header("x", 0) + LAST,
        "overlapping pax records": start + pax(b"2 " * (MIB // 2 - 1000) + b"=") + LAST,
        "pax headers one after another": start + pax(record("a", b"b")) * 900 + LAST,
        "endless sparse map": start + endless_sparse_map() + LAST,
        "negative size": start + with_checksum(negative) + LAST,
        "long record": start
        + pax(record("comment", b"1" * 900_000))
        + tar(generation("bad", 3)[2])
        + LAST,
        "endless gzip": gzipped(start + header("bad.png", 2 << 30), 1600 * MIB),
    }


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a process of its own says of each shard."""
    folder = tmp_path_factory.mktemp("bombs")
    contents = bombs()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    for compression, size in COMPRESSED.items():
        zeros_in(folder / compression, compression, size)
    (folder / "first").write_bytes(GOOD + LAST)
    names = [*contents, *COMPRESSED]
    process = subprocess.run(
        [sys.executable, "-m", "tests.pipeline.shards.read_shards", folder / "first"]
        + [folder / name for name in names],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    lines = process.stdout.splitlines()
    return {name: json.loads(line) for name, line in zip(names, lines, strict=True)}


@pytest.mark.parametrize("name", IN_MEMBER)
def test_a_bomb_in_a_member_is_refused_by_name_and_the_next_sample_is_read(
    read: dict[str, dict[str, Any]], name: str
) -> None:
    outcome = read[name]["outcome"]
    assert list(outcome) == ["good", "bad", "last"]
    assert outcome["good"] == outcome["last"] == "ok"
    # Releases of Pillow write their reasons in different cases.
    assert outcome["bad"].lower().startswith(IN_MEMBER[name].lower())
    assert read[name]["grown"] < FLAT


@pytest.mark.parametrize("compression", COMPRESSED)
def test_zeros_behind_a_compressor_never_come_to_memory(
    read: dict[str, dict[str, Any]], compression: str
) -> None:
    size = COMPRESSED[compression]
    refused = f"png: {size} bytes is over 4 x limits.max_image_pixels"
    assert read[compression]["outcome"] == {"good": "ok", "bad": refused, "last": "ok"}
    assert read[compression]["grown"] < FLAT


@pytest.mark.parametrize("name", IN_HEADER)
def test_a_bomb_in_a_header_is_damage(read: dict[str, dict[str, Any]], name: str) -> None:
    outcome = read[name]["outcome"]
    assert outcome["good"] == "ok"
    assert outcome["bad"].startswith("the shard is damaged from here on: ")
    assert outcome[""].startswith("damaged at byte ")
    assert read[name]["grown"] < FLAT
    assert read[name]["seconds"] < 20


def test_a_long_record_that_nobody_needs_takes_no_time(read: dict[str, dict[str, Any]]) -> None:
    assert read["long record"]["outcome"] == {"good": "ok", "bad": "ok", "last": "ok"}
    assert read["long record"]["seconds"] < 20


def test_a_stream_that_grows_beyond_all_bounds_is_left(read: dict[str, dict[str, Any]]) -> None:
    outcome = read["endless gzip"]["outcome"]
    assert outcome["good"] == "ok"
    assert "a decompression bomb" in outcome[""]
    assert read["endless gzip"]["grown"] < FLAT


def test_in_the_run_a_bomb_is_the_row_of_a_known_model_and_its_neighbours_are_scored(
    naflex_checkpoint: Path, tmp_path: Path
) -> None:
    scorer = small_scorer(naflex_checkpoint, tmp_path, max_image_pixels=MAX_IMAGE_PIXELS)
    zeros_in(tmp_path / "bomb.tar.gz", "gz", 20 * MIB)
    good, bad, last = scorer.rows(tmp_path / "bomb.tar.gz")
    assert (good["status"], last["status"]) == ("ok", "ok")
    assert bad["status"] == "error"
    assert bad["error"] == f"png: {20 * MIB} bytes is over 4 x limits.max_image_pixels"
    assert bad["model"] == "alpha"
