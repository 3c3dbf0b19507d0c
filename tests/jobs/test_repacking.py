"""What `jobs.pack` leaves in a directory that holds shards, also where it fails or is not alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline import packing
from jobs.pipeline.command.interrupts import SIGNALS
from jobs.pipeline.errors import CallError
from jobs.pipeline.packing import Packed
from tests.manifests import (
    pack_manifest,
    packed,
    row,
    samples_of,
    write_images,
    write_manifest,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path)


def contents_of(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_shards_that_are_there_are_not_overwritten_unasked(folder: Path) -> None:
    out = packed(folder, [row(i) for i in range(4)], shard_size=1)
    with pytest.raises(CallError, match="holds shards; overwrite=true"):
        packed(folder, [row(0)])
    packed(folder, [row(0)], overwrite=True)
    assert len(list(out.iterdir())) == 1


def test_overwriting_removes_the_shards_of_its_own_role_and_nothing_else(folder: Path) -> None:
    out = packed(folder, [row(i) for i in range(3)], shard_size=1)
    packed(folder, [row(3, role="reference")])
    names = ("photos.tar", "generations-old.tar", "generations-000007.tar.gz", "notes")
    strangers = dict.fromkeys(names, b"not ours")
    for name, content in strangers.items():
        (out / name).write_bytes(content)
    references = (out / "references-000000.tar").read_bytes()
    packed(folder, [row(4)], overwrite=True)
    assert set(contents_of(out)) == {"generations-000000.tar", "references-000000.tar", *strangers}
    assert contents_of(out).items() >= {"references-000000.tar": references, **strangers}.items()
    assert [sample.key for sample in samples_of(out, "generations-000000.tar")] == ["4_v1"]


def test_references_may_be_packed_beside_generations_in_calls_of_their_own(folder: Path) -> None:
    out = packed(folder, [row(0)])
    packed(folder, [row(1, role="reference")])
    assert sorted(contents_of(out)) == ["generations-000000.tar", "references-000000.tar"]
    with pytest.raises(CallError, match="holds shards; overwrite=true"):
        packed(folder, [row(0), row(2, role="reference")])


@pytest.mark.parametrize("is_first", [True, False])
def test_a_pack_that_fails_leaves_what_was_there_and_nothing_half(
    folder: Path, is_first: bool
) -> None:
    before = {}
    if not is_first:
        before = contents_of(packed(folder, [row(i) for i in range(2)], shard_size=1))
    (folder / "3.v1.jpg").write_bytes(b"no image")
    with pytest.raises(CallError, match="row 4: image: cannot identify image file as JPEG, PNG"):
        packed(folder, [row(i) for i in range(4)], shard_size=1, overwrite=True)
    if is_first:
        assert not (folder / "out").exists()
    else:
        assert contents_of(folder / "out") == before


def test_a_pack_that_cannot_put_its_shards_in_place_leaves_what_was_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = packed(folder, [row(i) for i in range(3)], shard_size=1)
    before = contents_of(out)
    rename: Callable[[Path, Path], Path] = Path.rename

    def full(source: Path, target: Path) -> Path:
        if target == out / "generations-000001.tar" and ".replacement" in source.parts[-2]:
            raise OSError(28, "No space left on device")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(Exception, match="No space left on device"):
        packed(folder, [row(i) for i in (4, 3)], shard_size=1, overwrite=True)
    assert contents_of(out) == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_pack_that_is_interrupted_ends_with_3_and_leaves_what_was_there(
    folder: Path, number: signal.Signals
) -> None:
    out = packed(folder, [row(i) for i in range(2)], shard_size=1)
    before = contents_of(out)
    rows = [row(i % 4, key=f"{i}") for i in range(20_000)]
    manifest = write_manifest(folder / "manifest.csv", rows)
    words = ["-m", "jobs.pack", f"manifest={manifest}", f"out={out}", "overwrite=true"]
    with subprocess.Popen(
        [sys.executable, *words], stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts
    ) as process:
        while process.poll() is None and not list(out.glob(".replacement-*/*.tar")):
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 3, said
    assert said.splitlines()[-1].endswith(f"interrupted: {number.name}")
    assert "Traceback" not in said
    assert contents_of(out) == before


def hear_interrupts() -> None:
    """In a new process: whoever runs the tests in the background has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("were_there", [False, True])
def test_two_packs_at_once_leave_the_shards_of_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, were_there: bool
) -> None:
    """The second begins and ends while the first, of other images and more shards, writes."""
    if were_there:
        packed(folder, [row(4, mask=None)], overwrite=True)
    (folder / "second").mkdir()
    second = [row(i, image=f"../{i}.v1.jpg", mask=None) for i in range(2)]
    write_manifest(folder / "second" / "manifest.csv", second)
    write = packing._write

    def write_while_another_packs(*args: Any) -> Packed:
        monkeypatch.setattr(packing, "_write", write)
        pack_manifest(folder / "second" / "manifest.csv", out=f"{folder}/out", overwrite=True)
        return write(*args)

    monkeypatch.setattr(packing, "_write", write_while_another_packs)
    with pytest.raises(CallError) as error:
        packed(folder, [row(i) for i in range(4)], shard_size=1, overwrite=True)
    assert str(error.value) == (
        f"out={folder}/out: its shards have changed while these were packed, as by another "
        "jobs.pack; they are left as they are"
    )
    assert list(contents_of(folder / "out")) == ["generations-000000.tar"]
    assert [sample.key for sample in samples_of(folder / "out")] == ["0_v1", "1_v1"]


def test_packs_of_other_roles_may_run_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "second").mkdir()
    reference = row(0, image="../0.v1.jpg", mask=None, role="reference")
    write_manifest(folder / "second" / "manifest.csv", [reference])
    write = packing._write

    def write_while_another_packs(*args: Any) -> Packed:
        monkeypatch.setattr(packing, "_write", write)
        pack_manifest(folder / "second" / "manifest.csv", out=f"{folder}/out")
        return write(*args)

    monkeypatch.setattr(packing, "_write", write_while_another_packs)
    out = packed(folder, [row(1)])
    assert sorted(contents_of(out)) == ["generations-000000.tar", "references-000000.tar"]
