"""Parts whose shard is gone or has changed, and those of which that cannot be said."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fsspec
import pytest
from s3fs import S3FileSystem

from jobs.pipeline.errors import StorageError
from jobs.pipeline.run import stale
from jobs.pipeline.run.scores import Part, open_scores
from jobs.pipeline.run.shard import Shard
from jobs.pipeline.run.stale import CHANGED, GONE, SAME_FILE, Sources, check_sources, prune
from jobs.pipeline.storage.versions import Version, version_of
from tests.pipeline.results.test_summary import sample, write_part


def shard_at(path: Path, content: str = "a tar") -> dict[str, Any]:
    """Write a shard; what its part's footer says of it."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    version = version_of(str(path))
    return {"url": str(path), "size": version.size, "tag": version.tag}


def parts_of(tmp_path: Path, **sources: Any) -> tuple[Part, ...]:
    """The parts of a run, by name, that say they were made from these."""
    for name, source in sources.items():
        write_part(str(tmp_path / "run"), name, [sample()], json.dumps({"source": source}))
    return open_scores([str(tmp_path / "run")], []).parts


def named(found: list[tuple[Part, str]]) -> dict[str, str]:
    return {part.shard_id: why for part, why in found}


def test_a_shard_that_stands_is_neither_gone_nor_changed(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, a=shard_at(tmp_path / "a.tar"), b=shard_at(tmp_path / "b.tar"))
    assert check_sources(parts) == Sources([], [])


def test_a_shard_that_is_missing_is_gone_and_one_of_another_version_has_changed(
    tmp_path: Path,
) -> None:
    names = ("removed", "resized", "touched", "stands")
    parts = parts_of(tmp_path, **{name: shard_at(tmp_path / f"{name}.tar") for name in names})
    (tmp_path / "removed.tar").unlink()
    (tmp_path / "resized.tar").write_text("another tar")
    (tmp_path / "touched.tar").write_text("a tar")
    found = check_sources(parts)
    assert named(found.stale) == {"removed": GONE, "resized": CHANGED, "touched": CHANGED}
    assert not found.unreachable


def test_a_part_that_does_not_say_what_it_was_made_from_is_kept(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, a={}, b="text", c=None, d={"url": 7}, e={"url": ""})
    assert check_sources(parts) == Sources([], [])


def shard_of(part: Part) -> Shard:
    """The shard that it was made from, as a caller that has looked at it names it."""
    source = part.footer["source"]
    return Shard(source["url"], Version(source["size"], source["tag"]))


def test_a_shard_that_the_caller_names_is_taken_to_stand(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, a=shard_at(tmp_path / "a.tar"), b=shard_at(tmp_path / "b.tar"))
    for name in ("a", "b"):
        (tmp_path / f"{name}.tar").unlink()
    assert named(check_sources(parts, named={"a": shard_of(parts[0])}).stale) == {"b": GONE}


def test_a_part_of_another_version_of_a_shard_that_the_caller_names_has_changed(
    tmp_path: Path,
) -> None:
    parts = parts_of(tmp_path, a=shard_at(tmp_path / "a.tar"), b=shard_at(tmp_path / "b.tar"))
    now = Shard(str(tmp_path / "a.tar"), Version(7, "another"))
    found = check_sources(parts, named={"a": now, "b": shard_of(parts[1])})
    assert named(found.stale) == {"a": CHANGED}


def test_a_file_counts_once_in_a_run_also_where_nobody_names_it(tmp_path: Path) -> None:
    source = shard_at(tmp_path / "a.tar")
    (tmp_path / "link.tar").symlink_to(tmp_path / "a.tar")
    link = {**source, "url": str(tmp_path / "link.tar")}
    parts = parts_of(tmp_path, a=source, link=link)
    assert named(check_sources(parts).stale) == {"link": SAME_FILE}
    assert named(check_sources(parts, named={"link": shard_of(parts[1])}).stale) == {"a": SAME_FILE}


def test_a_file_counts_under_its_other_name_while_the_named_one_has_no_part(tmp_path: Path) -> None:
    source = shard_at(tmp_path / "a.tar")
    (tmp_path / "link.tar").symlink_to(tmp_path / "a.tar")
    link = Shard(str(tmp_path / "link.tar"), Version(source["size"], source["tag"]))
    parts = parts_of(tmp_path, a=source)
    assert check_sources(parts, named={"link": link}) == Sources([], [])


def test_a_run_that_was_moved_to_another_machine_keeps_its_parts(tmp_path: Path) -> None:
    away = {"size": 1, "tag": "1"}
    parts = parts_of(
        tmp_path, a={"url": "/elsewhere/a.tar", **away}, b={"url": "/elsewhere/b.tar", **away}
    )
    found = check_sources(parts)
    assert not found.stale
    assert set(named(found.unreachable).values()) == {"/elsewhere is not on this machine"}


def test_a_folder_of_shards_that_was_removed_is_gone_where_others_stand(tmp_path: Path) -> None:
    parts = parts_of(
        tmp_path,
        first=shard_at(tmp_path / "first" / "a.tar"),
        second=shard_at(tmp_path / "second" / "a.tar"),
    )
    (tmp_path / "first" / "a.tar").unlink()
    (tmp_path / "first").rmdir()
    assert named(check_sources(parts).stale) == {"first": GONE}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/a.tar",
        "gs://bucket/a.tar",  # its driver is not installed
        "ftp://host/a.tar",
    ],
)
def test_a_storage_that_does_not_answer_keeps_its_parts(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stale, "ATTEMPTS", 1)
    away = {"url": url, "size": 1, "tag": "1"}
    here = shard_at(tmp_path / "here.tar")
    found = check_sources(parts_of(tmp_path, a=away, b=away, here=here))
    assert not found.stale
    assert set(named(found.unreachable)) == {"a", "b"}


@pytest.mark.services
def test_shards_in_a_bucket_are_told_apart_like_files(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs, folder = fsspec.core.url_to_fs(f"{bucket}/shards")
    sources = {}
    for name in ("stands", "gone", "changed"):
        fs.pipe_file(f"{folder}/{name}.tar", b"a tar")
        url = f"{bucket}/shards/{name}.tar"
        sources[name] = {"url": url, **asdict(version_of(url))}
    fs.ls(folder)  # what a listing said before is not asked
    parts = parts_of(tmp_path, **sources)
    assert check_sources(parts) == Sources([], [])
    fs.rm_file(f"{folder}/gone.tar")
    fs.pipe_file(f"{folder}/changed.tar", b"A tar")
    found = check_sources(parts)
    assert named(found.stale) == {"gone": GONE, "changed": CHANGED}
    assert not found.unreachable

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody answers there
    S3FileSystem.clear_instance_cache()
    found = check_sources(parts)
    assert not found.stale
    assert set(named(found.unreachable)) == {"stands", "gone", "changed"}


def test_a_storage_that_does_not_answer_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(fs: Any, path: str, what: str, attempts: int) -> Version:
        asked.append(what)
        raise StorageError(what, "no credentials")

    monkeypatch.setattr(stale, "version_at", refuse)
    away = {
        f"p{i}": {"url": f"s3://bucket-{i % 2}/{i}.tar", "size": 1, "tag": "1"} for i in range(9)
    }
    found = check_sources(parts_of(tmp_path, **away))
    assert len(found.unreachable) == 9
    assert sorted(asked) == ["s3://bucket-0/0.tar", "s3://bucket-1/1.tar"]


def test_pruning_leaves_a_part_that_was_written_anew_since(tmp_path: Path) -> None:
    old, new = parts_of(tmp_path, new={}, old={})[::-1]
    write_part(str(tmp_path / "run"), "new", [sample(), sample()])
    assert prune([old, new]) == [old]
    assert [path.name for path in (tmp_path / "run" / "scores").iterdir()] == ["new.parquet"]
    assert prune([old]) == []


def test_a_part_of_a_named_shards_file_under_another_name_would_count_it_twice(
    tmp_path: Path,
) -> None:
    source = shard_at(tmp_path / "a.tar")
    (tmp_path / "link.tar").symlink_to(tmp_path / "a.tar")
    parts = parts_of(
        tmp_path,
        a=source,
        link={**source, "url": str(tmp_path / "link.tar")},
        scheme={**source, "url": f"file://{tmp_path}/a.tar"},
    )
    found = check_sources(parts, named={"a": shard_of(parts[0])})
    assert named(found.stale) == {"link": SAME_FILE, "scheme": SAME_FILE}
