"""How members become samples."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pipeline.errors import DamagedShard
from jobs.pipeline.shards.members import RawSample
from jobs.pipeline.shards.reading import read_samples
from tests.shards import write_tar


def read(path: Path) -> list[RawSample]:
    with path.open("rb") as stream:
        return list(read_samples(stream, 10**8))


def test_a_key_is_the_path_up_to_the_first_dot_of_the_file_name(tmp_path: Path) -> None:
    names = ["v1.5/dog/00.mask.png", "v1.5/dog/00.JPG", "v1.5/dog/00.json", "b.png"]
    samples = read(write_tar(tmp_path / "a.tar", [(name, name.encode()) for name in names]))
    assert [s.key for s in samples] == ["v1.5/dog/00", "b"]
    assert sorted(samples[0].members) == ["jpg", "json", "mask.png"]
    assert samples[0].members["jpg"] == b"v1.5/dog/00.JPG"


def test_members_that_are_no_image_mask_or_json_are_not_read(tmp_path: Path) -> None:
    names = ["a.png", "a.npy", "a.pyd", "a.mask.sam.png", "a.mask.sam.npy"]
    [sample] = read(write_tar(tmp_path / "a.tar", [(name, b"x") for name in names]))
    assert sorted(sample.members) == ["mask.sam.png", "png"]
    assert sample.not_read == ["npy", "pyd", "mask.sam.npy"]


def test_a_key_whose_members_are_not_adjacent_comes_back_as_a_problem(tmp_path: Path) -> None:
    names = ["a.png", "b.png", "a.json", "b.json"]
    samples = read(write_tar(tmp_path / "a.tar", [(name, b"x") for name in names]))
    assert [(s.key, s.problem is not None) for s in samples] == [
        ("a", False),
        ("b", False),
        ("a", True),
        ("b", True),
    ]
    assert "not adjacent" in str(samples[2].problem)


def test_a_member_that_comes_twice_is_a_problem(tmp_path: Path) -> None:
    names = ["a.png", "a.json", "a.PNG"]
    [sample] = read(write_tar(tmp_path / "a.tar", [(name, b"x") for name in names]))
    assert sample.problem == "png: comes twice"


def test_directories_links_and_names_without_a_suffix_are_no_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind in (("d.png", tarfile.DIRTYPE), ("l.png", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        tar.addfile(tarfile.TarInfo("README"))
    assert read(path) == []


def test_names_that_begin_with_a_dot_are_no_samples_nor_between_a_samples_members(
    tmp_path: Path,
) -> None:
    """As tars made on a Mac hold them."""
    names = [
        "._v1", "._v1/.DS_Store", ".DS_Store", "v1/.DS_Store", "v1/._a.jpg", "v1/a.jpg",
        "v1/._a.json", "v1/a.json", "v1/.hidden.a.b.png", "./b.png", ".cache/c.png",
    ]  # fmt: skip
    samples = read(write_tar(tmp_path / "a.tar", [(name, b"x") for name in names]))
    assert [(s.key, sorted(s.members), s.problem) for s in samples] == [
        ("v1/a", ["jpg", "json"], None),
        ("./b", ["png"], None),
        (".cache/c", ["png"], None),
    ]


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_a_compressed_shard_reads_the_same(tmp_path: Path, compression: str) -> None:
    path = tmp_path / f"a.tar.{compression}"
    with tarfile.open(path, f"w:{compression}") as tar:  # type: ignore[call-overload]
        member = tarfile.TarInfo("a.png")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    assert [s.members for s in read(path)] == [{"png": b"abc"}]


@given(keys=st.lists(st.sampled_from("abcd"), max_size=12))
def test_whatever_the_order_every_key_ends_as_one_sample_or_one_problem(
    tmp_path_factory: pytest.TempPathFactory, keys: list[str]
) -> None:
    members = [(f"{key}.mask.m{i}.png", b"x") for i, key in enumerate(keys)]
    last = {s.key: s for s in read(write_tar(tmp_path_factory.mktemp("s") / "a.tar", members))}
    assert set(last) == set(keys)
    for key, sample in last.items():
        first, count = keys.index(key), keys.count(key)
        adjacent = keys[first : first + count] == [key] * count
        assert (sample.problem is None) == adjacent
        if adjacent:
            assert len(sample.members) == count


def tar_of(n: int) -> bytes:
    """A tar of `n` samples of two members each, of random content."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for i in range(n):
            for suffix in ("json", "png"):
                member = tarfile.TarInfo(f"{i}.{suffix}")
                member.size = 700 + i
                tar.addfile(member, io.BytesIO(bytes([65 + i]) * member.size))
    return file.getvalue()


def read_what_is_there(content: bytes) -> tuple[list[RawSample], str | None]:
    """The samples before the damage, and the damage."""
    samples: list[RawSample] = []
    try:
        for sample in read_samples(io.BytesIO(content), 10**8):
            samples.append(sample)
    except DamagedShard as damage:
        return samples, str(damage)
    return samples, None


WHOLE = tar_of(4)
SAMPLE = 2 * (512 + 1024)
"""Bytes of a sample in it: two headers, and two members padded to whole blocks."""


@given(length=st.integers(1024, 4 * SAMPLE))
def test_a_tar_cut_off_anywhere_gives_the_samples_before_and_says_so(length: int) -> None:
    samples, damage = read_what_is_there(WHOLE[:length])
    assert damage is not None
    whole = [sample for sample in samples if sample.problem is None]
    expected = read_what_is_there(WHOLE)[0][: length // SAMPLE]
    # The last one before the cut may be complete, but is not known to be.
    assert expected[: len(whole)] == whole
    assert len(whole) >= len(expected) - 1
    assert [sample.problem is None for sample in samples[len(whole) :]] in ([], [False])


@given(position=st.integers(512, 4 * SAMPLE - 1))
def test_a_header_that_is_none_is_not_the_end(position: int) -> None:
    header = position // 1536 * 1536  # the headers stand every 512 + 1024 bytes
    damaged = bytearray(WHOLE)
    damaged[header : header + 512] = b"x" * 512
    if header:
        samples, damage = read_what_is_there(bytes(damaged))
        assert damage is not None
        assert f"at byte {header}" in damage
        assert len(samples) == -(-header // SAMPLE)


def test_archives_joined_end_to_end_are_read_to_the_last() -> None:
    other = tar_of(6)[4 * SAMPLE :]
    samples, damage = read_what_is_there(WHOLE + other)
    assert [sample.key for sample in samples] == ["0", "1", "2", "3", "4", "5"]
    assert damage is None


def test_what_is_no_tar_at_all_is_tarfiles_own_error() -> None:
    for content in (b"", b"<html>not found</html>" * 100, b"x" * 2000):
        with pytest.raises(tarfile.TarError):
            list(read_samples(io.BytesIO(content), 10**8))


def test_compressed_archives_joined_end_to_end_are_read_to_the_last() -> None:
    other = tar_of(6)[4 * SAMPLE :]
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        joined = compress(WHOLE) + bytes(512) + compress(other)
        samples, damage = read_what_is_there(joined)
        assert [sample.key for sample in samples] == ["0", "1", "2", "3", "4", "5"]
        assert damage is None


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_archive_that_breaks_off_is_damaged_and_no_shorter_one(
    compress: Callable[[bytes], bytes],
) -> None:
    random = Random(0)
    whole = compress(b"".join(tar_of_one(str(i), random.randbytes(200_000)) for i in range(12)))
    for content in (whole[: len(whole) // 2], whole[: len(whole) // 2] + b"no such data" * 1000):
        samples, damage = read_what_is_there(content)
        assert damage is not None
        assert len(samples) >= 3
        assert all(sample.problem is None for sample in samples[:-1])


def tar_of_one(key: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo(f"{key}.png")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_and_sizes_of_extended_headers_are_those_of_tarfile(form: int) -> None:
    names = [f"{'folder/' * 30}{i}.png" for i in range(3)] + ["ümläut/猫.json", "last.png"]
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form, pax_headers={"comment": "x"}) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name.encode())
            member.mtime = 1.5  # a record of its own in PAX
            tar.addfile(member, io.BytesIO(name.encode()))
    samples, damage = read_what_is_there(file.getvalue())
    assert damage is None
    assert [content.decode() for s in samples for content in s.members.values()] == names
    assert [s.key for s in samples] == [name.rpartition(".")[0] for name in names]


def test_a_size_that_only_a_pax_record_tells_is_gone_by() -> None:
    content = b"x" * 700
    member = tarfile.TarInfo("a.png")
    member.size = 0
    member.pax_headers = {"size": "700"}
    block = member.tobuf(tarfile.PAX_FORMAT)
    whole = block + content + bytes(324) + tar_of(1)
    samples, damage = read_what_is_there(whole)
    assert damage is None
    assert [(s.key, len(s.members["png"])) for s in samples] == [("a", 700), ("0", 700)]
