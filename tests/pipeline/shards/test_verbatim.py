"""A shard's samples with their bytes in the tar."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from jobs.pipeline.errors import DamagedShard
from jobs.pipeline.shards import verbatim
from jobs.pipeline.shards.reading import read_samples
from jobs.pipeline.shards.verbatim import VerbatimSample, read_verbatim
from tests.shards import Member, write_tar

MEMBERS: list[Member] = [
    ("a/one.jpg", b"1" * 700),
    ("a/one.json", b"{}"),
    ("a/.hidden", b"of nobody"),
    ("two.txt", b""),
    ("two.PNG", b"2" * 512),
    ("no suffix", b"of nobody"),
    (f"{'é' * 80}.webp", b"3"),
]


def read(content: bytes) -> list[VerbatimSample]:
    return list(read_verbatim(io.BytesIO(content), 10_000))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_all_blocks_together_are_the_tar_and_samples_are_as_read_else(
    tmp_path: Path, form: int
) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for name, content in MEMBERS:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), 1.5
            tar.addfile(member, io.BytesIO(content))
    content = file.getvalue()
    found = read(content)
    joined = b"".join(block for sample in found for block in sample.blocks)
    assert content.startswith(joined)
    assert not content[len(joined) :].strip(b"\0")
    expected = list(read_samples(io.BytesIO(content), 10_000))
    raws = [sample.raw for sample in found if sample.raw is not None]
    assert [(raw.key, raw.members) for raw in raws] == [(e.key, e.members) for e in expected]
    assert [sample.after_image for sample in found] == [1, 2, 1]
    assert [sample.name for sample in found] == ["a/one", "two", "é" * 80]


def test_what_comes_before_the_first_sample_is_passed_on(tmp_path: Path) -> None:
    content = write_tar(tmp_path / "a.tar", [(".hidden", b"x"), *MEMBERS]).read_bytes()
    first = read(content)[0]
    assert (first.raw, len(first.blocks[0])) == (None, 1024)


def test_zeros_between_joined_archives_are_left_out(tmp_path: Path) -> None:
    one = write_tar(tmp_path / "1.tar", MEMBERS[:2]).read_bytes()
    two = write_tar(tmp_path / "2.tar", MEMBERS[3:5]).read_bytes()
    joined = b"".join(block for sample in read(one + two) for block in sample.blocks)
    assert joined == one[:2560] + two[:1536]


def test_a_tar_cut_off_within_what_is_not_read_is_damaged(tmp_path: Path) -> None:
    content = write_tar(tmp_path / "a.tar", [("a.mp4", b"1" * 5000)]).read_bytes()
    with pytest.raises(DamagedShard, match="unexpected end of data"):
        read(content[:3000])


def test_a_member_too_large_for_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write_tar(tmp_path / "a.tar", [("a.mp4", b"1" * 5000)]).read_bytes()
    monkeypatch.setattr(verbatim, "MAX_MEMBER_BYTES", 4999)
    with pytest.raises(DamagedShard, match="a member of 5000 bytes"):
        read(content)
