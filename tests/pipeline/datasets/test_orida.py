"""ORIDa's photos and pairs, against an independent reading of its protocol."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.pipeline.datasets import orida
from jobs.pipeline.errors import CallError
from jobs.pipeline.packing import PackConfig, Packed, pack
from tests.datasets.trees import (
    OridaTree,
    Shot,
    mask_of,
    orida_tree,
    painted_shots,
    save,
)
from tests.manifests import samples_of

PairOfPhotos = tuple[Path, Path, str]
"""Reference, generation, and whether it is within or cross."""


def packed(root: Path) -> Packed:
    return pack(PackConfig(kind="orida", source=str(root), out=str(root / "out")))


def pairs_packed(root: Path) -> list[PairOfPhotos]:
    """The pairs that the shards' samples stand for, each photo told by its bytes."""
    by_content = {
        path.read_bytes(): path for path in root.rglob("*.jpg") if path.parent.name == "images"
    }
    references = {
        sample.key: by_content[sample.members["jpg"]]
        for sample in samples_of(root / "out", "references-*.tar")
    }
    found = []
    for sample in samples_of(root / "out", "generations-*.tar"):
        fields = json.loads(sample.members["json"])
        assert (fields["model"], fields["prompt"]) == ("orida", "a photo")
        assert len(fields["references"]) == len(fields["pair"])
        for key, kind in zip(fields["references"], fields["pair"], strict=True):
            found.append((references[key], by_content[sample.members["jpg"]], kind))
    return found


def pairs_by_protocol(root: Path) -> list[PairOfPhotos]:
    """PAPER's protocol, sentence by sentence, with nothing of the project's."""
    subjects = []
    for number in sorted(int(name) for name in names(root / "train") if name.isdigit()):
        photos = photos_by_protocol(root / "train" / str(number), number)
        if len(photos) >= 10:
            subjects.append([photos[background] for background in sorted(photos)[:10]])
    subjects = subjects[:50]
    within = [
        (own[i], own[j], "within") for own in subjects for i in range(10) for j in range(i + 1, 10)
    ]
    pool = []
    for a in range(len(subjects)):
        for b in range(a + 1, len(subjects)):
            pool += [(r, g, "cross") for r in subjects[a] for g in subjects[b]]
    drawn = np.random.default_rng(0).choice(len(pool), size=len(within), replace=False)
    return within + [pool[i] for i in drawn]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def photos_by_protocol(subject: Path, number: int) -> dict[str, Path]:
    chosen: dict[str, Path] = {}
    folder = subject / "factual_only" / "images"
    for name in names(folder):
        scene = name.split("_")[1]
        if not name.endswith("_0.jpg"):
            chosen.setdefault(scene[:-1], folder / name)
    first_scene: dict[str, str] = {}
    scenes = subject / "factual_counterfactual"
    for scene in names(scenes):
        if scene[:-1] not in chosen:
            first_scene.setdefault(scene[:-1], scene)
    for background, scene in first_scene.items():
        images = scenes / scene / "images"
        usual = images / f"00{number:03d}_{scene}_1.jpg"
        others = [name for name in names(images) if name.endswith("_1.jpg")]
        if usual.exists():
            chosen[background] = usual
        elif others:
            chosen[background] = images / others[0]
    return {background: photo for background, photo in chosen.items() if has_mask(photo)}


def has_mask(photo: Path) -> bool:
    mask = photo.parent.parent / "annotations" / "masks" / (photo.stem + "_mask.jpg")
    return mask.exists() and bool((np.asarray(Image.open(mask)) > 127).mean() > 0.005)


def with_foreground(n_pixels: int, seed: int = 0) -> Shot:
    """A picture of 40 by 50 pixels, so many of which are its subject's."""
    mask = np.zeros((40, 50), np.uint8)
    mask.flat[:n_pixels] = 255
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return Image.fromarray(pixels), mask


def test_the_pairs_are_those_of_the_protocol_in_number_and_identity(tmp_path: Path) -> None:
    orida_tree(tmp_path, painted_shots((24, 24)), n_subjects=4)
    packed_now = packed(tmp_path)
    expected = pairs_by_protocol(tmp_path)
    # 4 subjects of C(10, 2) pairs, and as many across.
    assert len(expected) == 2 * 4 * 45
    assert sorted(pairs_packed(tmp_path)) == sorted(expected)
    assert packed_now.missing.documents() == {
        orida.FEW_SUBJECTS: {"n": 46, "first": ["4 are there"]}
    }
    # 8, 9, 10, 11, and not as their names are sorted.
    samples = samples_of(tmp_path / "out", "references-*.tar")
    assert samples[0].key.startswith("8/")


@pytest.mark.slow
def test_more_subjects_and_backgrounds_than_the_protocol_takes_change_nothing(
    tmp_path: Path,
) -> None:
    tree = OridaTree(tmp_path)
    for subject in range(1, 53):
        for background in range(11):
            photo = tree.factual(subject, f"{200 + background}a")
            save(with_foreground(1000, 100 * subject + background), photo, mask_of(photo))
    assert not packed(tmp_path).missing.documents()
    found = pairs_packed(tmp_path)
    assert len(found) == 4500
    assert sorted(found) == sorted(pairs_by_protocol(tmp_path))
    concepts = {
        json.loads(sample.members["json"])["concept"] for sample in samples_of(tmp_path / "out")
    }
    assert concepts == {str(subject) for subject in range(1, 51)}


def tree_with_holes(root: Path) -> OridaTree:
    """Of five subjects, the first four keep ten backgrounds or more."""
    tree = orida_tree(root, painted_shots((24, 24)), n_subjects=5, n_factual=9, n_others=5)
    # Subject 8: a mask is missing, and the same background's other angle does not step in.
    mask_of(tree.factual(8, "102a")).unlink()
    # So it is where `factual_counterfactual` has the background too.
    mask_of(tree.factual(8, "108a")).unlink()
    assert tree.counterfactual(8, "108a").exists()
    # Subject 9: 0.5 % of 40 x 50 pixels is 10, which is not more; in blocks, as JPEG keeps them.
    for scene, n in (("103a", 10), ("104a", 16)):
        photo = tree.factual(9, scene)
        save(with_foreground(n, n), photo, mask_of(photo))
    # Subject 10: the first scene of a background has no photo _1, then one by another name.
    tree.counterfactual(10, "109a").unlink()
    second = tree.counterfactual(10, "110a")
    second.rename(second.with_name("strange_110a_1.jpg"))
    mask_of(second).rename(mask_of(second.with_name("strange_110a_1.jpg")))
    # Subject 11: a photo that is cut off, and one that is called otherwise.
    whole = tree.factual(11, "101a").read_bytes()
    tree.factual(11, "101a").write_bytes(whole[: len(whole) // 2])
    tree.factual(11, "103b").rename(tree.factual(11, "103b").with_name("nothing.jpg"))
    # Subject 12 keeps nine backgrounds.
    for scene in ("100a", "101a", "102a", "103a"):
        mask_of(tree.factual(12, scene)).unlink()
    (root / "train" / "notes").mkdir()
    return tree


def test_holes_in_a_tree_leave_backgrounds_out_and_are_counted_by_cause(tmp_path: Path) -> None:
    tree = tree_with_holes(tmp_path)
    missing = packed(tmp_path).missing.documents()
    counts = {cause: lack["n"] for cause, lack in missing.items()}
    assert counts == {
        orida.NO_SUBJECT: 1,
        orida.NO_MASK: 6,
        orida.SMALL_MASK: 1,
        orida.NO_PHOTO: 1,
        orida.UNREADABLE: 1,
        orida.STRANGE_NAME: 1,
        orida.FEW_BACKGROUNDS: 1,
        orida.FEW_SUBJECTS: 46,
    }
    assert missing[orida.SMALL_MASK]["first"] == [str(mask_of(tree.factual(9, "103a")))]
    assert missing[orida.FEW_BACKGROUNDS]["first"] == ["12 (9)"]
    assert missing[orida.UNREADABLE]["first"][0].startswith(str(tree.factual(11, "101a")))


def test_the_pairs_of_a_tree_with_holes_are_those_of_the_protocol(tmp_path: Path) -> None:
    tree = tree_with_holes(tmp_path)
    packed(tmp_path)
    # What cannot be read is as if it had no mask; the protocol does not speak of it.
    mask_of(tree.factual(11, "101a")).unlink()
    tree.factual(11, "103b").with_name("nothing.jpg").unlink()
    expected = pairs_by_protocol(tmp_path)
    assert len(expected) == 2 * 4 * 45
    assert sorted(pairs_packed(tmp_path)) == sorted(expected)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("nothing", "not of the layout of kind=orida: it has no train/ (there are: no files)"),
        ("train", "there are no generations and no references in it: 50 subjects short"),
        ("one", "45 pairs within subjects, and only 0 across to hold against them"),
        ("no masks", "there are no generations and no references in it: 20 backgrounds whose photo "
         "has no mask, left out: "),
    ],
)  # fmt: skip
def test_what_is_not_enough_for_pairs_is_one_line(tmp_path: Path, made: str, said: str) -> None:
    if made == "train":
        (tmp_path / "train").mkdir()
    elif made != "nothing":
        orida_tree(tmp_path, painted_shots((24, 24)), n_subjects=1 if made == "one" else 2)
    if made == "no masks":
        for mask in tmp_path.rglob("*_mask.jpg"):
            mask.unlink()
    with pytest.raises(CallError) as error:
        packed(tmp_path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
