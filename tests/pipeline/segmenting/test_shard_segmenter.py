"""What a worker does to a shard to give it masks: what is written, kept, named and counted."""

from __future__ import annotations

import errno
import gzip
import io
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.pipeline.errors import CommitError, DamagedShard
from jobs.pipeline.run.reports import RowCounts
from jobs.pipeline.storage import placing
from masc_core.segmenters import load_segmenter
from tests.pictures import painted
from tests.pipeline.segmenting.conftest import SmallSegmenter, unmasked
from tests.shards import Member, generation, png, write_tar

Make = Callable[..., SmallSegmenter]


def names_in(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return tar.getnames()


def content_of(path: Path, name: str) -> bytes:
    with tarfile.open(path) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read()


def blocks_of(path: Path) -> dict[str, bytes]:
    """Each member's header and content as they stand in a plain tar of short names."""
    content = path.read_bytes()
    with tarfile.open(path) as tar:
        return {m.name: content[m.offset : m.offset_data + m.size] for m in tar}


def write_odd_tar(path: Path) -> Path:
    """Members of every kind, with times, owners and modes of their own, between two samples."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:

        def add(name: str, content: bytes = b"", **fields: object) -> None:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uid, member.uname = len(content), 1e9, 7, "me"
            for field, value in fields.items():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(content))

        add("folder", type=tarfile.DIRTYPE, mode=0o700)
        for name, content in unmasked("folder/a", 1):
            add(name, content, mode=0o600)
            add("folder/._a.png", b"a Mac's own")
        add("folder/a.mp4", b"\0\1" * 700)
        add("folder/link", type=tarfile.SYMTYPE, linkname="a.png")
        for name, content in unmasked(f"folder/{'long' * 40}", 2):
            add(name, content)
    return path


def test_a_mask_stands_after_its_image_and_all_else_byte_for_byte(
    small: Make, tmp_path: Path
) -> None:
    source = write_odd_tar(tmp_path / "odd.tar")
    done = small().process(source)
    long = "long" * 40
    assert names_in(done.path) == [
        *("folder", "folder/a.json", "folder/._a.png", "folder/a.png", "folder/a.mask.png"),
        *("folder/._a.png", "folder/a.mp4", "folder/link"),
        *(f"folder/{long}.json", f"folder/{long}.png", f"folder/{long}.mask.png"),
    ]
    before, after = blocks_of(source), blocks_of(done.path)
    assert {name: after[name] for name in before} == before
    # Without the masks it is the source itself, up to the end mark.
    rest = done.path.read_bytes()
    with tarfile.open(done.path) as tar:
        for member in reversed([m for m in tar if m.name.endswith(".mask.png")]):
            end = -(-(member.offset_data + member.size) // 512) * 512
            rest = rest[: member.offset] + rest[end:]
    assert rest.rstrip(b"\0") == source.read_bytes().rstrip(b"\0")
    assert len(done.path.read_bytes()) % tarfile.RECORDSIZE == 0


def test_masks_are_the_segmenters_own_at_the_images_size(
    small: Make, clipseg_checkpoint: Path
) -> None:
    done = small().process_members([m for i in range(5) for m in unmasked(f"k{i}", i)])
    segment = load_segmenter("clipseg", name_or_path=str(clipseg_checkpoint))
    shares = []
    for i in range(5):
        image, _ = painted((60 + i, 48), i)
        mask = Image.open(io.BytesIO(content_of(done.path, f"k{i}.mask.png")))
        assert (mask.mode, mask.size, mask.format) == ("L", image.size, "PNG")
        expected = segment(image, "cat")
        np.testing.assert_array_equal(np.asarray(mask), expected)
        shares.append((expected == 255).mean())
    assert done.report.counts == RowCounts(ok=5)
    assert done.document["n"] == done.document["n_segmented"] == 5
    assert done.document["coverage_mean"] == pytest.approx(np.mean(shares))
    expected_bins = np.histogram(shares, bins=20, range=(0, 1))[0]
    assert done.document["coverage_histogram"] == expected_bins.tolist()


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_equal_input_gives_equal_bytes_whatever_the_batches(
    small: Make, tmp_path: Path, batch_size: int
) -> None:
    source = write_tar(
        tmp_path / "shard.tar",
        [m for i in range(9) for m in (unmasked if i % 3 else generation)(f"k{i}", i)],
    )
    first = small(3, out=str(tmp_path / "one")).process(source)
    second = small(batch_size, out=str(tmp_path / "two")).process(source)
    assert first.path.read_bytes() == second.path.read_bytes()
    keys = [name.partition(".")[0] for name in names_in(first.path)]
    assert list(dict.fromkeys(keys)) == [f"k{i}" for i in range(9)]


def test_a_tar_that_is_equal_already_is_not_written_again(small: Make) -> None:
    segmenter = small()
    members = unmasked("a", 1)
    first = segmenter.process_members(members)
    before = first.path.stat()
    second = segmenter.process_members(members)
    assert second.path.stat().st_mtime_ns == before.st_mtime_ns
    assert second.path.stat().st_ino == before.st_ino
    third = segmenter.process_members([*members, *unmasked("b", 2)])
    assert third.path.stat().st_ino != before.st_ino
    assert names_in(third.path)[-1] == "b.mask.png"


def test_a_sample_that_has_the_member_keeps_it(small: Make, tmp_path: Path) -> None:
    members = [*generation("a", 1), *unmasked("b", 2)]
    done = small().process_members(members)
    assert content_of(done.path, "a.mask.png") == dict(members)["a.mask.png"]
    assert done.report.counts == RowCounts(ok=1, skipped=1)
    assert (done.document["n_kept"], done.document["n_segmented"]) == (1, 1)


def test_another_name_is_written_beside_what_is_there(small: Make) -> None:
    done = small(member="clipseg").process_members(generation("a", 1))
    assert names_in(done.path) == ["a.json", "a.mask.png", "a.png", "a.mask.clipseg.png"]
    assert done.report.counts == RowCounts(ok=1)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (unmasked("bad", 1, subject=None), "json: subject is missing"),
        (unmasked("bad", 1, subject=" "), "json: subject must be a text that is not empty, not"),
        (unmasked("bad", 1)[:1], "image: no member of jpg, jpeg, png, webp"),
        (unmasked("bad", 1)[1:], "json: missing"),
        ([unmasked("bad", 1)[0], ("bad.png", b"none")], "png: cannot identify image file"),
        ([unmasked("bad", 1)[0], ("bad.png", png(np.zeros((2000, 2000), np.uint8)))], "png: 2000x"),
    ],
)
def test_a_sample_that_cannot_be_segmented_keeps_its_members_and_is_named(
    small: Make, members: list[Member], reason: str
) -> None:
    done = small().process_members([*unmasked("a", 0), *members, *unmasked("z", 2)])
    own = [name for name in names_in(done.path) if name.startswith("bad.")]
    assert own == [name for name, _ in members]
    assert all(content_of(done.path, name) == content for name, content in members)
    assert list(done.document["errors"]) == ["bad"]
    assert done.document["errors"]["bad"].startswith(reason)
    assert done.report.counts == RowCounts(ok=2, error=1)
    assert done.report.first_error == ("bad", done.document["errors"]["bad"])
    assert {"a.mask.png", "z.mask.png"} <= set(names_in(done.path))


def test_a_key_that_comes_back_is_named(small: Make) -> None:
    done = small().process_members([*unmasked("a", 0), *unmasked("b", 1), *unmasked("a", 2)])
    assert names_in(done.path).count("a.mask.png") == 1
    assert done.document["errors"]["a"].startswith("key: comes twice")


def test_empty_and_full_masks_are_counted_and_named(small: Make, tmp_path: Path) -> None:
    members = [m for i in range(3) for m in unmasked(f"k{i}", i)]
    nothing = small(out=str(tmp_path / "nothing"))
    nothing.plan.segmenter.mask_threshold = 1.0  # type: ignore[attr-defined]
    done = nothing.process_members(members)
    assert (done.document["n_empty"], done.document["n_full"]) == (3, 0)
    assert done.document["coverage_histogram"] == [3] + [0] * 19
    warned = done.report.warnings["empty mask"]
    assert (warned.n, warned.example) == (3, "k0")
    everything = small(out=str(tmp_path / "everything"))
    everything.plan.segmenter.mask_threshold = -1.0  # type: ignore[attr-defined]
    done = everything.process_members(members)
    assert (done.document["n_empty"], done.document["n_full"]) == (0, 3)
    assert done.document["coverage_histogram"] == [0] * 19 + [3]


def test_the_commit_says_what_it_was_made_from(small: Make) -> None:
    segmenter = small()
    done = segmenter.process_members(unmasked("a", 1))
    source = segmenter.folder / "shard.tar"
    assert done.document["source"]["url"] == str(source)
    assert done.document["source"]["size"] == source.stat().st_size
    assert done.document["output"]["size"] == done.path.stat().st_size
    assert done.document["fingerprint"] == segmenter.plan.fingerprint()
    assert done.document["fingerprint"]["segmenter.weights"].startswith("sha256:")
    assert done.document["fingerprint"]["member"] == "given"


def test_a_compressed_shard_stays_compressed(small: Make, tmp_path: Path) -> None:
    plain = write_tar(tmp_path / "shard.tar", unmasked("a", 1))
    packed = tmp_path / "shard.tar.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    segmenter = small()
    expected = segmenter.process(plain).path.read_bytes()
    done = segmenter.process(packed)
    assert gzip.decompress(done.path.read_bytes()) == expected
    inode = done.path.stat().st_ino
    assert segmenter.process(packed).path.stat().st_ino == inode


def test_a_shard_that_is_cut_off_is_not_written(small: Make, tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "whole.tar", [m for i in range(3) for m in unmasked(f"k{i}", i)])
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(DamagedShard):
        small().process(cut)
    assert [path.name for path in (tmp_path / "out").iterdir()] == []


def test_a_full_disk_leaves_what_was_there(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = small()
    first = segmenter.process_members(unmasked("a", 1))
    before = first.path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(placing.os, "fsync", full)
    with pytest.raises(CommitError, match="No space left on device"):
        segmenter.process_members(unmasked("b", 2))
    assert first.path.read_bytes() == before
    assert sorted(p.name for p in first.path.parent.iterdir()) == ["segmented", "shard.tar"]


def test_a_batch_that_does_not_fit_is_halved(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = small(4)
    members = [m for i in range(8) for m in unmasked(f"k{i}", i)]
    expected = segmenter.process_members(members).path.read_bytes()
    own = segmenter.plan.segmenter
    fits = own.segment
    sizes: list[int] = []

    def segment(batch: object) -> Iterable[np.ndarray]:
        sizes.append(len(batch.pixels))  # type: ignore[attr-defined]
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return fits(batch)  # type: ignore[arg-type]

    monkeypatch.setattr(own, "segment", segment)
    assert segmenter.process_members(members).path.read_bytes() == expected
    assert sizes[:3] == [4, 2, 2]
    assert max(sizes[3:]) <= 4
    assert sizes[-1] <= 2
