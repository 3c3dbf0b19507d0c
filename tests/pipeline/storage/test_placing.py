"""Large files that take their places in one step."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from jobs.pipeline.storage.placing import placed_file


def place(url: str, *blocks: bytes) -> None:
    with placed_file(url) as file:
        for block in blocks:
            file.write(block)


def test_a_file_appears_whole_and_nothing_beside_it_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.tar"
    with placed_file(str(path)) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"before")
    with pytest.raises(KeyError), placed_file(str(path)) as file:
        file.write(b"half")
        raise KeyError
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_equal_content_is_not_written_again_and_other_content_is(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    place(str(path), b"one")
    before = path.stat()
    place(str(path), b"o", b"ne")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    place(str(path), b"two")
    assert path.read_bytes() == b"two"


def test_on_storage_without_renames_it_is_one_put() -> None:
    url = "memory://placing/a.tar"
    place(url, b"one")
    before = fsspec.filesystem("memory").info("/placing/a.tar")["created"]
    place(url, b"one")
    assert fsspec.filesystem("memory").info("/placing/a.tar")["created"] == before
    place(url, b"two")
    assert fsspec.filesystem("memory").cat("/placing/a.tar") == b"two"


@pytest.mark.parametrize(
    ("suffix", "decompress"),
    [
        ("tar.gz", gzip.decompress),
        ("tgz", gzip.decompress),
        ("tar.bz2", bz2.decompress),
        ("tar.xz", lzma.decompress),
    ],
)
def test_it_is_compressed_as_its_name_says_each_time_alike(
    tmp_path: Path, suffix: str, decompress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"a.{suffix}"
    place(str(path), b"content " * 100)
    inode = path.stat().st_ino
    assert decompress(path.read_bytes()) == b"content " * 100
    place(str(path), b"content " * 100)
    assert path.stat().st_ino == inode
