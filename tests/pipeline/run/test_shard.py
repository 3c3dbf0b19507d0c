"""A shard's part has one name, however the shard is asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs.pipeline.errors import CallError
from jobs.pipeline.run import shard as shard_module
from jobs.pipeline.run.shard import Shard, find_shards
from jobs.pipeline.storage.versions import Version


def shard(url: str) -> Shard:
    return Shard(url, Version(1, "tag"))


def test_the_name_is_readable_and_tells_places_apart() -> None:
    one, two = shard("s3://a/night/generations-000001.tar"), shard("s3://b/generations-000001.tar")
    assert re.fullmatch(r"generations-000001-[0-9a-f]{8}", one.id)
    assert one.id != two.id
    # A file system may not bear what a URL does.
    assert re.fullmatch(r"a-b-c-[0-9a-f]{8}", shard("/d/a b%c.tar.gz").id)
    assert len(shard(f"/{'x' * 300}.tar").id) == 80 + 9


def test_credentials_are_no_part_of_the_name_nor_of_what_the_footer_says() -> None:
    signed = shard("https://me:secret@h/a.tar?sig=secret")
    assert signed.id == shard("https://h/a.tar?sig=another").id
    assert signed.source == {"url": "https://h/a.tar", "size": 1, "tag": "tag"}


def test_shards_are_found_with_their_present_sizes_in_the_order_given(tmp_path: Path) -> None:
    for name, size in (("b", 3), ("a", 5)):
        (tmp_path / name).write_bytes(b"." * size)
    found = find_shards([str(tmp_path / "b"), str(tmp_path / "a")])
    assert [each.version.size for each in found] == [3, 5]


def test_shards_that_differ_only_in_a_signature_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They would be committed as one."""
    monkeypatch.setattr(shard_module, "version_of", lambda url: Version(1, ""))
    with pytest.raises(CallError, match=r"^samples=https://h/a\.tar: given twice"):
        find_shards(["https://h/a.tar?sig=1", "https://h/a.tar?sig=2"])
