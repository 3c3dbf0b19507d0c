"""A file is written over the version that was read, and no other."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from jobs.pipeline.storage.conditional import Superseded, write_over
from jobs.pipeline.storage.versions import Version, version_at
from tests.faults.s3 import S3Server, s3_server

Place = tuple[AbstractFileSystem, str]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.services)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A file that is not there yet."""
    if request.param == "local":
        return LocalFileSystem(), str(tmp_path / "deep" / "a.parquet")
    if request.param == "memory":
        return MemoryFileSystem(), f"/{uuid.uuid4().hex}/a.parquet"
    fs = request.getfixturevalue("server").filesystem()
    bucket = f"b-{uuid.uuid4().hex}"
    fs.makedirs(bucket)
    return fs, f"{bucket}/a.parquet"


def version(place: Place) -> Version:
    return version_at(*place, "a.parquet")


def test_what_is_as_it_was_read_is_written_over(place: Place) -> None:
    fs, path = place
    write_over(fs, path, b"one", expected=None)
    write_over(fs, path, b"longer", expected=version(place))
    assert fs.cat_file(path) == b"longer"


def test_what_somebody_else_wrote_meanwhile_stays(place: Place) -> None:
    fs, path = place
    write_over(fs, path, b"one", expected=None)
    read = version(place)
    write_over(fs, path, b"of another", expected=read)
    with pytest.raises(Superseded):
        write_over(fs, path, b"mine", expected=read)
    assert fs.cat_file(path) == b"of another"


def test_what_has_come_meanwhile_stays(place: Place) -> None:
    fs, path = place
    write_over(fs, path, b"of another", expected=None)
    with pytest.raises(Superseded):
        write_over(fs, path, b"mine", expected=None)
    assert fs.cat_file(path) == b"of another"


def test_what_is_gone_is_not_written_again(place: Place) -> None:
    fs, path = place
    write_over(fs, path, b"one", expected=None)
    read = version(place)
    fs.rm_file(path)
    with pytest.raises(Superseded):
        write_over(fs, path, b"mine", expected=read)
    assert not fs.exists(path)


@pytest.mark.services
def test_of_many_that_read_the_same_version_one_writes(server: S3Server) -> None:
    """The store decides, in one step: asking first and writing then would let several through."""
    fs = server.filesystem()
    fs.makedirs("many")
    path = "many/a.parquet"
    fs.pipe_file(path, b"one")
    read = version_at(fs, path, path)

    def write(number: int) -> bool:
        try:
            write_over(server.filesystem(), path, f"{number}".encode(), read)
        except Superseded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(write, range(24)))
    assert sum(written) == 1
    assert fs.cat_file(path) == str(written.index(True)).encode()
