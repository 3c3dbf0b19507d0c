"""One sample of a shard, by where it lies, as another reader of tars finds it."""

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from jobs.pipeline.errors import StorageError
from jobs.pipeline.shards.fetching import fetch_sample
from jobs.pipeline.shards.members import RawSample
from jobs.pipeline.shards.reading import read_samples
from tests.faults.s3 import S3Server, client_environment, environment, s3_server
from tests.shards import Member, generation

LONG = "a/" + "long-" * 30 + "key"
MEMBERS: list[Member] = [
    m for i, key in enumerate(("first", LONG, "ünïcode", "last")) for m in generation(key, i)
]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server, environment(client_environment(server.url)):
        yield server


def tar_of(members: list[Member], kind: int = tarfile.PAX_FORMAT, mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=kind) as tar:  # type: ignore[call-overload]
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def samples_of(content: bytes) -> dict[str, RawSample]:
    return {s.key: s for s in read_samples(io.BytesIO(content), 10**9)}


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.services)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a shard that is not there yet."""
    if request.param == "local":
        return str(tmp_path / "g.tar")
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/g.tar"
    bucket = f"b-{uuid.uuid4().hex}"
    request.getfixturevalue("server").filesystem().makedirs(bucket)
    return f"s3://{bucket}/g.tar"


def put(url: str, content: bytes) -> None:
    fs, path = fsspec.core.url_to_fs(url)
    fs.pipe_file(path, content)


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_every_sample_is_fetched_by_one_read_of_its_own_bytes(place: str, kind: int) -> None:
    content = tar_of(MEMBERS, kind)
    put(place, content)
    found = samples_of(content)
    assert len(found) == 4
    for key, sample in found.items():
        assert sample.offset is not None and sample.length is not None
        fetched = fetch_sample(place, key, sample.offset, sample.length)
        assert fetched.members == sample.members
        # As tarfile itself reads these bytes.
        own = io.BytesIO(content[sample.offset : sample.offset + sample.length])
        with tarfile.open(fileobj=own) as tar:
            assert [m.name.rpartition(".")[2] for m in tar] == ["json", "png", "png"]
    # Next to one another, from the first byte on.
    ends = [s.offset + s.length for s in found.values() if s.offset is not None and s.length]
    assert [s.offset for s in found.values()] == [0, *ends[:-1]]


def test_a_shard_that_changed_says_so(place: str) -> None:
    content = tar_of(MEMBERS)
    put(place, content)
    last = samples_of(content)["last"]
    assert last.offset is not None and last.length is not None
    where = (last.offset, last.length)
    others = {
        "another first": tar_of([*generation("new", 9), *MEMBERS]),
        "shorter": tar_of(MEMBERS[:3]),
        "another last": tar_of([*MEMBERS[:-3], *generation("next", 3)]),
        "no tar": bytes(len(content)),
    }
    for other in others.values():
        put(place, other)
        with pytest.raises(StorageError, match=r"'last' is not at byte \d+: the shard has changed"):
            fetch_sample(place, "last", *where)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_in_a_compressed_shard_samples_have_no_place(mode: str) -> None:
    for sample in samples_of(tar_of(MEMBERS, mode=mode)).values():
        assert (sample.offset, sample.length) == (None, None)
