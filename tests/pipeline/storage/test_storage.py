"""URLs, and writing in one step."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from jobs.pipeline.errors import CallError, StorageError
from jobs.pipeline.evaluation import EvaluateConfig, check
from jobs.pipeline.storage import streams
from jobs.pipeline.storage.filesystem import refuse_for_results
from jobs.pipeline.storage.listing import expand
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.streams import STREAM_BLOCK_SIZE, open_stream
from jobs.pipeline.storage.versions import version_of
from jobs.pipeline.storage.writing import write_in_one_step


def test_globs_braces_and_lists_give_each_file_once_in_order(tmp_path: Path) -> None:
    for name in ("a-0.tar", "a-1.tar", "a-2.tar", "b.tar"):
        (tmp_path / name).touch()
    urls = [f"{tmp_path}/b.tar", f"{tmp_path}/a-{{1..2}}.tar", f"{tmp_path}/*.tar"]
    assert [Path(u).name for u in expand(urls, "samples")] == [
        "b.tar",
        "a-1.tar",
        "a-2.tar",
        "a-0.tar",
    ]


@pytest.fixture
def bracketed(tmp_path: Path) -> Path:
    """A directory with brackets in its name, and one that the name would match as a pattern."""
    for name in ("d[1]", "d1"):
        (tmp_path / name).mkdir()
        for shard in ("g-0.tar", "g-1.tar", "x{1,2}.tar", "y[0].tar"):
            (tmp_path / name / shard).touch()
    return tmp_path / "d[1]"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("g-0.tar", ["g-0.tar"]),
        ("g-{0..1}.tar", ["g-0.tar", "g-1.tar"]),
        ("g-*.tar", ["g-0.tar", "g-1.tar"]),
        ("g-[1].tar", ["g-1.tar"]),
        ("x{1,2}.tar", ["x{1,2}.tar"]),
        ("y[0].tar", ["y[0].tar"]),
    ],
)
def test_a_path_that_is_there_literally_is_meant_literally(
    bracketed: Path, name: str, found: list[str]
) -> None:
    paths = [str(bracketed / each) for each in found]
    assert expand([f"{bracketed}/{name}"], "samples") == paths
    assert expand([f"file://{bracketed}/{name}"], "samples") == paths


def test_brackets_that_are_no_name_are_a_pattern(bracketed: Path) -> None:
    above = bracketed.parent
    assert expand([f"{above}/[c-d]1/g-0.tar"], "samples") == [f"{above}/d1/g-0.tar"]
    with pytest.raises(CallError, match="a directory; name its shards"):
        expand([str(bracketed)], "samples")
    with pytest.raises(CallError, match="cannot be listed: Invalid pattern"):
        expand([f"{above}/a**.tar"], "samples")


def test_one_file_under_several_names_counts_once_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shard = tmp_path / "g.tar"
    shard.touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "other.tar").symlink_to(shard)
    (tmp_path / "again").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = [
        "g.tar", "./folder/../g.tar", f"file://{shard}", f"file://{tmp_path}/folder/../g.tar",
        "other.tar", "again/g.tar", "g*.tar",
    ]  # fmt: skip
    for name in names:
        assert len(expand([name], "samples")) == 1
    assert not caplog.messages
    assert expand(names, "samples") == [str(shard)]
    assert caplog.messages == [
        f"samples: named more than once, counts once: {shard}, and 5 names more"
    ]
    caplog.clear()
    assert expand(["other.tar", "g.tar"], "references") == [f"{tmp_path}/other.tar"]
    expected = f"{tmp_path}/other.tar is {shard}"
    assert caplog.messages == [f"references: named more than once, counts once: {expected}"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("memory://x", "memory ends with this process"),
        ("hf://datasets/me/runs/x", "every file written to the hub would be a commit"),
        ("https://me:secret@host/x", "is read, and not written to"),
    ],
)
def test_results_lie_where_they_last_and_can_be_written(url: str, reason: str) -> None:
    refuse_for_results("s3://bucket/run", "run")
    refuse_for_results("run", "run")
    refused = f"run={redact(url)}: {reason}; name a directory or a bucket"
    for refuse in (
        lambda: refuse_for_results(url, "run"),
        lambda: check(EvaluateConfig(run=url)),
    ):
        with pytest.raises(CallError) as error:
            refuse()
        assert str(error.value) == refused
    assert "secret" not in refused


def test_memory_urls_expand_as_paths_do() -> None:
    fs = fsspec.filesystem("memory")
    for name in ("/bucket/x-0.tar", "/bucket/x-1.tar"):
        fs.pipe_file(name, b"")
    found = expand(["memory://bucket/x-*.tar"], "samples")
    assert found == ["memory:///bucket/x-0.tar", "memory:///bucket/x-1.tar"] or found == [
        "memory://bucket/x-0.tar",
        "memory://bucket/x-1.tar",
    ]
    assert [version_of(url).size for url in found] == [0, 0]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("{tmp}/none.tar", "no such file"),
        ("{tmp}/none-*.tar", "matches no file"),
        ("{tmp}", "a directory; name its shards"),
        ("pipe:cat x", "scheme not allowed"),
        ("ftp://host/x.tar", "scheme not allowed"),
        ("simplecache::s3://b/x.tar", "scheme not allowed"),
        ("s3://b/x.tar::simplecache", "scheme not allowed"),
        ("file://{tmp}/x.tar::file://{tmp}/y.tar", "scheme not allowed"),
        ("a::b", "scheme not allowed"),
        ("pipe:cat x.tar|", "scheme not allowed"),
        ("pipe://cat x.tar", "scheme not allowed"),
        ("local://{tmp}/x.tar", "scheme not allowed"),
        ("FILE://{tmp}/x.tar", "scheme not allowed"),
        ("reference://{tmp}/x.json", "scheme not allowed"),
        ("zip://x.tar", "scheme not allowed"),
        ("dir://{tmp}", "scheme not allowed"),
        ("data://,x", "scheme not allowed"),
        ("file://../..", "a directory; name its shards"),
        ("file://{tmp}/../none.tar", "no such file"),
        ("ssh://user:secret@host/x.tar", "^ssh://host/x.tar: scheme not allowed"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_name(
    tmp_path: Path, url: str, message: str
) -> None:
    with pytest.raises(CallError, match=message):
        expand([url.format(tmp=tmp_path)], "samples")


def test_nothing_given_names_the_setting() -> None:
    with pytest.raises(CallError, match="references= is required"):
        expand([], "references")


def test_a_file_that_changes_has_another_version(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1")
    before = version_of(str(file))
    assert version_of(str(file)) == before
    os.utime(file, ns=(0, 1))
    assert version_of(str(file)) != before


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = fsspec.filesystem("file")
    target = tmp_path / "part.parquet"
    write_in_one_step(fs, str(target), b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_in_one_step(fs, str(target), b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_next_block_of_a_stream_is_fetched_while_one_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = os.urandom(2 * STREAM_BLOCK_SIZE + 12_345)
    fetched_second = threading.Event()

    class RemoteFile(AbstractBufferedFile):
        def _fetch_range(self, start: int, end: int) -> bytes:
            if start == STREAM_BLOCK_SIZE:
                fetched_second.set()
            return content[start:end]

    class Remote(AbstractFileSystem):
        def _open(self, path: str, mode: str = "rb", **options: Any) -> RemoteFile:
            return RemoteFile(self, path, mode, size=len(content), **options)

    monkeypatch.setattr(streams, "open_filesystem", lambda url: (Remote(), url))
    with open_stream("remote://shard.tar") as stream:
        assert stream.read(10) == content[:10]
        assert fetched_second.wait(timeout=30)
        assert stream.read(len(content)) == content[10:]


@pytest.mark.parametrize("cut_at", [0, 1000, STREAM_BLOCK_SIZE, STREAM_BLOCK_SIZE + 1000])
def test_a_stream_that_is_cut_off_is_an_error_and_not_a_shorter_file(
    cut_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(STREAM_BLOCK_SIZE + 12_345)

    class RemoteFile(AbstractBufferedFile):
        def _fetch_range(self, start: int, end: int) -> bytes:
            return content[start : min(end, max(start, cut_at))]

    class Remote(AbstractFileSystem):
        def _open(self, path: str, mode: str = "rb", **options: Any) -> RemoteFile:
            return RemoteFile(self, path, mode, size=len(content), **options)

    monkeypatch.setattr(streams, "open_filesystem", lambda url: (Remote(), url))
    read = b""
    with (
        open_stream("remote://shard.tar") as stream,
        pytest.raises(StorageError, match=r"remote://shard.tar: cut off after \d+ of") as caught,
    ):
        while block := stream.read(1 << 20):
            read += block
    assert content.startswith(read)
    assert len(read) <= cut_at
    assert caught.value.is_transient


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_a_stream_of_any_storage_reads_to_its_end(scheme: str, tmp_path: Path) -> None:
    url = f"{scheme}{tmp_path}/shard.tar"
    content = os.urandom(100_000)
    with fsspec.open(url, "wb") as file:
        file.write(content)
    with open_stream(url) as stream:
        assert b"".join(iter(lambda: stream.read(30_000), b"")) == content
