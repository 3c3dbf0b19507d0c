"""`jobs.pack` as a user calls it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jobs.pipeline import packing
from jobs.pipeline.errors import CallError
from jobs.pipeline.shards.fields import GenerationFields, read_generation
from jobs.pipeline.shards.images import ORIENTATION, mask_values
from jobs.pipeline.shards.members import RawSample
from tests.commands import command
from tests.manifests import (
    packed,
    row,
    samples_of,
    write_images,
    write_manifest,
)
from tests.pictures import painted


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_images(tmp_path)


def test_shards_are_packed_by_one_call(folder: Path) -> None:
    rows = [row(i) for i in range(3)] + [row(3, role="reference"), row(4, mask=None)]
    manifest = write_manifest(folder / "manifest.csv", rows)
    run = command("pack", f"manifest={manifest}", f"out={folder}/out", "shard_size=2", "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "out": f"{folder}/out",
        "generations": {"samples": 4, "shards": 2, "without_mask": 1},
        "references": {"samples": 1, "shards": 1, "without_mask": 0},
        "notes": {},
        "missing": {},
    }
    assert (
        f"1 of 5 samples have no mask (the first: manifest={manifest}: row 5); jobs.segment comes "
        "next, which makes masks, and then jobs.evaluate\n"
    ) in run.stderr


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("kind=folder", "kind=folder: no such data set; known: manifest"),
        ("shard_size=0", "shard_size=0: expected 1 or more"),
        ("out=memory://x", "out=memory://x: memory ends with this process"),
        ("out=hf://datasets/me/x", "out=hf://datasets/me/x: every file written to the hub"),
        ("out={folder}/0.v1.jpg", "out={folder}/0.v1.jpg: NotADirectoryError: "),
        ("manifest={folder}", "manifest={folder}: expected a file of .csv, .jsonl, .parquet"),
    ],
)
def test_a_wrong_call_is_one_line(folder: Path, word: str, message: str) -> None:
    manifest = write_manifest(folder / "manifest.csv", [row(0)])
    run = command("pack", f"manifest={manifest}", f"out={folder}/out", word.format(folder=folder))
    assert run.returncode == 1
    [line] = run.stderr.splitlines()
    assert line.startswith(f"jobs.pack: {message.format(folder=folder)}")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_every_kind_of_manifest_makes_the_same_samples(folder: Path, kind: str) -> None:
    rows = [row(i, role="generation", lora="x") for i in range(4)] + [row(4, role="reference")]
    rows[4]["lora"] = None
    out = packed(folder, rows, kind, shard_size=3)
    assert sorted(p.name for p in out.iterdir()) == [
        "generations-000000.tar",
        "generations-000001.tar",
        "references-000000.tar",
    ]
    samples = samples_of(out)
    assert [s.key for s in samples] == [f"{i}_v1" for i in range(5)]
    for i, sample in enumerate(samples):
        assert sample.members["jpg"] == (folder / f"{i}.v1.jpg").read_bytes()
        document = json.loads(sample.members["json"])
        assert document["seed"] == i
        assert document["prompt_id"] == "007"
        assert document["prompt"] == 'a "cat", on\na mat'
        assert document.get("lora") == ("x" if i < 4 else None)
        assert not {"image", "mask", "role", "key"} & set(document)
    assert samples[0].members["mask.png"] == (folder / "0.mask.png").read_bytes()
    assert samples[4].members["mask.png"].startswith(b"\x89PNG")


def test_the_same_images_make_the_same_bytes(folder: Path) -> None:
    rows = [row(i) for i in range(4)]
    first = (packed(folder, rows) / "generations-000000.tar").read_bytes()
    again = (packed(folder, rows, overwrite=True) / "generations-000000.tar").read_bytes()
    assert first == again


def test_references_and_own_keys_are_kept(folder: Path) -> None:
    out = packed(folder, [row(0, key="a/b.c", references="x;y")])
    with tarfile.open(out / "generations-000000.tar") as tar:
        assert tar.getnames() == ["a/b_c.jpg", "a/b_c.json", "a/b_c.mask.png"]
        content = tar.extractfile("a/b_c.json")
        assert content is not None
        assert json.load(content)["references"] == ["x", "y"]


def test_a_key_longer_than_old_tar_allows_survives(folder: Path) -> None:
    key = "/".join(["prompt_of_many_words"] * 15) + "/Ünïcödé"
    out = packed(folder, [row(0, key=key)])
    assert [s.key for s in samples_of(out)] == [key]


def test_samples_without_a_mask_are_packed_and_what_comes_next_is_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{name: value for name, value in row(i).items() if name != "mask"} for i in range(2)]
    out = packed(folder, rows)
    assert [sorted(s.members) for s in samples_of(out)] == [["jpg", "json"]] * 2
    assert "2 of 2 samples have no mask" in caplog.text
    assert "jobs.segment comes next" in caplog.text


def test_brackets_in_the_name_of_the_directory_are_its_name(folder: Path) -> None:
    within = folder / "d[1]"
    within.mkdir()
    out = packed(write_images(within), [row(0)])
    with pytest.raises(CallError, match="holds shards; overwrite=true"):
        packed(within, [row(0)])
    packed(within, [row(1), row(2)], overwrite=True)
    assert [sample.key for sample in samples_of(out)] == ["1_v1", "2_v1"]


def test_an_image_is_no_mask_of_itself_but_for_a_cut_out(folder: Path) -> None:
    image, mask = painted((40, 30), 0)
    image.save(folder / "photo.png")
    image.save(folder / "copy.png")
    image.putalpha(255)
    image.save(folder / "opaque.png")
    for name, of in (("photo", "photo"), ("photo", "copy"), ("opaque", "opaque")):
        with pytest.raises(CallError, match=r"row 1: mask: is the image itself, and that has no"):
            packed(folder, [row(0, image=f"{name}.png", mask=f"{of}.png")])
    with pytest.raises(CallError, match=r"row 1: mask: is the image itself, and that has no"):
        packed(folder, [row(0, mask="0.v1.jpg")])
    image.putalpha(Image.fromarray(mask))
    image.save(folder / "cut-out.png")
    [sample] = samples_of(packed(folder, [row(0, image="cut-out.png", mask="cut-out.png")]))
    assert (mask_values(image_of(sample, "mask.png")) == mask).all()


def image_of(sample: RawSample, suffix: str) -> Image.Image:
    return Image.open(io.BytesIO(sample.members[suffix]))


def test_16_bit_images_and_masks_become_8_bits_and_are_counted(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image, mask = painted((40, 30), 0)
    grey = np.asarray(image.convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257 + 100).save(folder / "deep.png")
    Image.fromarray(mask.astype(np.uint16) * 257).save(folder / "deep.mask.png")
    [sample] = samples_of(packed(folder, [row(0, image="deep.png", mask="deep.mask.png")]))
    for suffix, values in (("png", grey), ("mask.png", mask)):
        stored = image_of(sample, suffix)
        assert stored.mode == "L"
        assert (np.asarray(stored) == values).all()
    assert "1 16-bit grey images converted to 8 bits, by 257" in caplog.messages
    assert "1 16-bit masks converted to 8 bits, by 257 where they exceed 255" in caplog.messages


def test_photos_are_turned_upright_if_asked_and_else_counted(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image, mask = painted((40, 30), 0)
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png", exif=turned)
    Image.fromarray(mask).save(folder / "upright.mask.png")
    rows = [row(0, image="turned.png", mask="upright.mask.png")]
    with pytest.raises(CallError) as error:
        packed(folder, rows)
    assert str(error.value).endswith(
        "row 1: mask: 40x30 is not of the aspect of its image, 30x40; "
        "upright=true turns the image by its EXIF orientation"
    )
    [sample] = samples_of(packed(folder, rows, upright=True))
    assert (np.asarray(image_of(sample, "png")) == np.asarray(image)).all()
    assert sample.members["mask.png"] == (folder / "upright.mask.png").read_bytes()
    assert "1 images with an EXIF orientation turned upright" in caplog.messages
    rows = [row(0, image="turned.png", mask=None)]
    [sample] = samples_of(packed(folder, rows, overwrite=True))
    assert sample.members["png"] == (folder / "turned.png").read_bytes()
    assert "1 images with an EXIF orientation stored as they are" in caplog.text


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(folder: Path) -> None:
    """A process of its own, whose peak of memory Linux tells."""
    pixels = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "large.png", compress_level=0)
    peaks = []
    for n in (60, 160):
        rows = [row(i % 4, image="large.png", mask=None, key=f"{i}") for i in range(n)]
        manifest = write_manifest(folder / "manifest.csv", rows)
        code = (
            "import sys\n"
            "from jobs.pipeline.packing import PackConfig, pack\n"
            "from tests.pipeline.shards.read_shards import memory\n"
            "pack(PackConfig(manifest=sys.argv[1], out=sys.argv[2], overwrite=True))\n"
            "print(memory('VmHWM'))\n"
        )
        words = [sys.executable, "-c", code, str(manifest), str(folder / "out")]
        peaks.append(int(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
    added = 100 * (folder / "large.png").stat().st_size
    assert peaks[1] - peaks[0] < added / 4


def test_how_far_it_is_is_said_every_few_seconds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(packing, "LINE_SECONDS", 0.0)
    caplog.set_level("INFO")
    packed(folder, [row(0), row(1, role="reference")])
    lines = [message for message in caplog.messages if "samples ·" in message]
    assert [line.partition(" ·")[0] for line in lines] == ["1 of 2 samples", "2 of 2 samples"]


KEYS = st.text(
    st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("./._-"), max_size=40
)


@given(
    st.lists(st.tuples(KEYS, st.text(max_size=30), st.integers(-(2**63), 2**63 - 1)), max_size=4)
)
def test_what_a_manifest_says_is_what_a_worker_reads_or_a_row_is_refused(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, str, int]]
) -> None:
    folder = write_images(tmp_path_factory.mktemp("pack"))
    rows = [row(i, key=key, prompt=prompt, seed=seed) for i, (key, prompt, seed) in enumerate(told)]
    try:
        out = packed(folder, rows, "jsonl")
    except CallError as error:
        assert re.search(r"manifest\.jsonl: (line \d+: |has no rows)", str(error))
        assert not (folder / "out").exists()
        return
    samples = samples_of(out)
    assert len(samples) == len(told)
    for i, (sample, (key, prompt, seed)) in enumerate(zip(samples, told, strict=True)):
        fields = GenerationFields()
        read_generation(sample, fields)
        assert (fields.prompt, fields.seed) == (prompt, seed)
        assert sample.problem is None
        assert sample.members["jpg"] == (folder / f"{i}.v1.jpg").read_bytes()
        assert sample.key.rpartition("/")[2].count(".") == 0
        if re.fullmatch(r"[^./]+(/[^./]+)*", key):
            assert sample.key == key
