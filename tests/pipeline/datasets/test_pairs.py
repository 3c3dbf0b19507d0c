"""Any folder of subjects as pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from jobs.pipeline.datasets import pairs
from jobs.pipeline.errors import CallError
from jobs.pipeline.packing import PackConfig, Packed, pack
from tests.manifests import samples_of
from tests.pictures import painted


def packed(folder: Path) -> Packed:
    return pack(PackConfig(kind="pairs", source=str(folder), out=str(folder.parent / "out")))


def write_photo(path: Path, number: int, mask: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image, own = painted((40, 30), number)
    image.save(path)
    if mask is not None:
        Image.fromarray(own).save(path.with_name(mask))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three subjects with 3, 2 and 2 photos: 3 + 1 + 1 pairs within, 6 + 6 + 4 across."""
    folder = tmp_path / "toys"
    for i in range(3):
        write_photo(folder / "red_car" / f"{i}.jpg", i, f"{i}.mask.png")
    write_photo(folder / "duck" / "a.png", 10, "a_mask.png")
    write_photo(folder / "duck" / "b.webp", 11)
    write_photo(folder / "bear" / "x.v1.jpeg", 20, "x.v1-mask.bmp")
    write_photo(folder / "bear" / "y.jpg", 21, "y.mask.png")
    return folder


def test_a_folder_of_subjects_becomes_pairs(folder: Path) -> None:
    done = packed(folder)
    assert not done.missing.documents()
    found = []
    for sample in samples_of(folder.parent / "out", "generations-*.tar"):
        fields = json.loads(sample.members["json"])
        assert (fields["model"], fields["prompt"]) == ("toys", "a photo")
        assert fields["subject"] == fields["concept"].replace("_", " ")
        for reference, kind in zip(fields["references"], fields["pair"], strict=True):
            found.append((reference, sample.key, kind))
            assert (reference.partition("/")[0] == sample.key.partition("/")[0]) == (
                kind == "within"
            )
    # Five pairs within, and of the sixteen across as many; in name order bear, duck, red_car.
    assert [kind for _, _, kind in found].count("cross") == 5
    assert {(first, second) for first, second, kind in found if kind == "within"} == {
        ("bear/x_v1", "bear/y"),
        ("duck/a", "duck/b"),
        *{(f"red_car/{i}", f"red_car/{j}") for i, j in ((0, 1), (0, 2), (1, 2))},
    }


def test_masks_lie_beside_their_photos_under_several_names(folder: Path) -> None:
    packed(folder)
    references = {each.key: each for each in samples_of(folder.parent / "out")}
    with_masks = {key for key, sample in references.items() if "mask.png" in sample.members}
    assert references.keys() - with_masks <= {"duck/b"}
    assert "duck/b" in references


def test_what_is_no_photo_is_counted_and_named(folder: Path) -> None:
    write_photo(folder / "beside.jpg", 1)
    (folder / "subjects.csv").write_text("what lies beside and is no image is nobody's concern")
    (folder / "empty").mkdir()
    (folder / "duck" / "c.tif").write_bytes(b"")
    write_photo(folder / "duck" / "lonely.mask.png", 1)
    write_photo(folder / "duck" / "a.jpg", 1)
    (folder / "duck" / "d.jpg").write_bytes((folder / "red_car" / "0.jpg").read_bytes()[:400])
    missing = packed(folder).missing.documents()
    assert {
        cause: lack["first"] for cause, lack in missing.items() if cause != pairs.UNREADABLE
    } == {
        pairs.NOT_IN_A_FOLDER: ["beside.jpg"],
        pairs.NO_IMAGE: ["duck/c.tif"],
        pairs.SAME_NAME: ["duck/a.png"],
        pairs.LONELY_MASK: ["duck/lonely.mask.png"],
        pairs.NO_PHOTO: ["empty"],
    }
    assert missing[pairs.UNREADABLE]["n"] == 1
    assert missing[pairs.UNREADABLE]["first"][0].startswith(f"{folder}/duck/d.jpg: image: ")


def test_too_few_photos_for_pairs_are_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for subject in ("cat", "dog"):
        write_photo(folder / subject / "0.jpg", len(subject))
    with pytest.raises(CallError, match="no subject has two photos"):
        packed(folder)
    for i in range(1, 4):
        write_photo(folder / "cat" / f"{i}.jpg", i)
    with pytest.raises(CallError, match="6 pairs within subjects, and only 4 across to hold"):
        packed(folder)
    with pytest.raises(
        CallError, match="there are no generations and no references in it: 4 images"
    ):
        pack(PackConfig(kind="pairs", source=str(folder / "cat"), out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
