"""Reference shards are known by version where the run's record tells, else by their content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from jobs.pipeline.errors import CallError
from jobs.pipeline.run.inputs import digest_of, find_inputs, require_inputs
from jobs.pipeline.storage import digest as digest_module
from jobs.pipeline.storage.digest import DigestingStream, sha256_of
from jobs.pipeline.storage.streams import open_stream


def test_what_has_the_recorded_url_size_and_version_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one.tar", tmp_path / "two.tar"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    recorded = [
        {**each.recorded(), "sha256": f"digest of {Path(each.url).name}"}
        for each in find_inputs([str(one), str(two)], [])
    ]
    monkeypatch.setattr(digest_module, "open_stream", None)
    found = find_inputs([str(two), str(one)], recorded)
    assert [each.sha256 for each in found] == ["digest of two.tar", "digest of one.tar"]
    os.utime(one, (1, 1))
    assert [each.sha256 for each in find_inputs([str(one), str(two)], recorded)] == [
        None,
        "digest of two.tar",
    ]


def test_a_storage_without_versions_is_never_believed(tmp_path: Path) -> None:
    path = tmp_path / "one.tar"
    path.write_bytes(b"1")
    [found] = find_inputs([str(path)], [])
    recorded = {**found.recorded(), "tag": "", "sha256": "old"}
    assert find_inputs([str(path)], [recorded])[0].sha256 is None


@pytest.mark.parametrize(
    "recorded",
    [
        None,
        5,
        "text",
        {"url": "x"},
        ["text", None, 5, []],
        [{"url": "x"}, {"tag": "t"}, {"url": ["x"], "size": {}, "tag": ["t"], "sha256": "s"}],
    ],
)
def test_a_record_that_is_none_tells_nothing(recorded: object, tmp_path: Path) -> None:
    path = tmp_path / "one.tar"
    path.write_bytes(b"1")
    [found] = find_inputs([str(path)], recorded)
    assert found.sha256 is None


@pytest.mark.parametrize("sha256", [5, ["s"], {}, None])
def test_a_recorded_digest_that_is_no_text_is_none(sha256: object, tmp_path: Path) -> None:
    path = tmp_path / "one.tar"
    path.write_bytes(b"1")
    [found] = find_inputs([str(path)], [])
    [again] = find_inputs([str(path)], [{**found.recorded(), "sha256": sha256}])
    assert again.sha256 is None


def test_the_digest_is_of_the_whole_file_whatever_was_read_of_it(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    path = tmp_path / "one.tar"
    path.write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert sha256_of(str(path)) == expected
    with open_stream(str(path)) as stream:
        digesting = DigestingStream(stream)
        assert digesting.read(1000) == content[:1000]
        assert digesting.sha256() == expected


def test_the_digest_of_all_does_not_depend_on_their_order() -> None:
    assert digest_of(["b", "a"]) == digest_of(["a", "b"]) != digest_of(["a", "c"])
    whole = hashlib.sha256(b"a b").hexdigest()
    assert digest_of(["b", "a"]) == f"sha256:{whole[:16]}"


def test_what_was_exchanged_since_the_call_began_is_named(tmp_path: Path) -> None:
    paths = [tmp_path / "a.tar", tmp_path / "b.tar"]
    for path in paths:
        path.write_bytes(b"one")
    inputs = find_inputs([str(path) for path in paths], [])
    require_inputs(inputs)
    (tmp_path / "new").write_bytes(b"two!")
    (tmp_path / "new").rename(paths[1])
    with pytest.raises(CallError, match=r"references=.*b\.tar: changed while the run began"):
        require_inputs(inputs)
    paths[1].unlink()
    with pytest.raises(CallError, match="gone while the run began"):
        require_inputs(inputs)
