"""Where samples lie in a shard, found without its images; held against a reading of all of it."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import fsspec
import pytest

from jobs.pipeline.errors import StorageError
from jobs.pipeline.shards.fetching import fetch_sample
from jobs.pipeline.shards.locating import locate_samples
from jobs.pipeline.shards.reading import read_samples
from tests.shards import reference, write_tar

KEYS = ["cat/0", "a/" + "long-" * 30 + "key", "ünïcode", "last"]
MEMBERS = [member for i, key in enumerate(KEYS) for member in reference(key, i)]
ELSEWHERE = "elsewhere"


def as_read(path: Path) -> dict[str, tuple[int | None, int | None]]:
    with path.open("rb") as file:
        return {s.key: (s.offset, s.length) for s in read_samples(file, 10**9)}


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write_tar(tmp_path / "references.tar", MEMBERS)


def test_all_samples_lie_where_a_whole_reading_finds_them(shard: Path) -> None:
    located = locate_samples(str(shard), [*KEYS, ELSEWHERE])
    assert located.positions == as_read(shard)
    # Headers and JSONs alone; after the last sample there is the padding of the archive.
    assert locate_samples(str(shard), KEYS[:3]).n_bytes < shard.stat().st_size / 6
    for key, (offset, length) in located.positions.items():
        assert set(fetch_sample(str(shard), key, offset, length).members) == {
            "json",
            "mask.png",
            "png",
        }


def test_it_stops_at_the_last_that_is_wanted(shard: Path) -> None:
    found = locate_samples(str(shard), [KEYS[0], KEYS[1]])
    assert list(found.positions) == KEYS[:2]
    assert list(locate_samples(str(shard), KEYS, is_over=lambda: True).positions) == KEYS[:1]


def test_of_a_remote_one_little_is_asked(shard: Path) -> None:
    url = "memory://located/references.tar"
    fs, path = fsspec.core.url_to_fs(url)
    fs.pipe_file(path, shard.read_bytes())
    located = locate_samples(url, [*KEYS, ELSEWHERE])
    assert located.positions == as_read(shard)


@pytest.mark.parametrize("keep", [0, 100, 700, 5_000])
def test_what_is_cut_off_or_compressed_is_said(shard: Path, keep: int) -> None:
    content = shard.read_bytes()
    shard.write_bytes(content[:keep])
    with pytest.raises(StorageError, match=r"references\.tar: "):
        locate_samples(str(shard), [*KEYS, ELSEWHERE])
    shard.write_bytes(gzip.compress(content))
    with pytest.raises(StorageError, match="has to be read whole"):
        locate_samples(str(shard), KEYS)


def test_a_member_of_a_hostile_length_is_an_error_and_no_loop(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo("cat.jpg")
        member.size = 2**40
        tar.fileobj.write(member.tobuf())  # type: ignore[union-attr]
    path = tmp_path / "references.tar"
    path.write_bytes(file.getvalue())
    with pytest.raises(StorageError):
        locate_samples(str(path), ["cat", ELSEWHERE])


def test_a_shard_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        locate_samples(str(tmp_path / "none.tar"), KEYS)
