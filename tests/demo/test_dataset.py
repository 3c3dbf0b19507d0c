"""The demo's data set: complete, repeatable, and every model fails as its name says."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.demo import dataset
from jobs.demo.world.scenes import SCENES, Scene
from jobs.demo.world.subjects import SUBJECTS, Subject
from masc_core.subject import strip_subject

pytestmark = pytest.mark.slow


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with the defaults of `jobs.render_demo`: 24 concepts, 2 prompts each."""
    folder = tmp_path_factory.mktemp("demo")
    dataset.render_dataset(folder, seed=0, n_concepts=24, n_prompts=2, size=192)
    return folder


def test_the_manifest_has_two_references_a_concept_and_every_prompt_of_every_model(
    demo: Path,
) -> None:
    rows = rows_of(demo)
    assert list(rows[0]) == dataset.COLUMNS
    counts = Counter((row["role"], row["model"]) for row in rows)
    models = ("faithful", "wrong_scene", "wrong_subject", "damaged", "copy_paste", "noise")
    assert counts == {("reference", ""): 48, **{("generation", model): 48 for model in models}}
    per_concept = Counter((row["model"], row["concept"]) for row in rows)
    assert set(per_concept.values()) == {2}


def test_every_file_is_there_once_with_a_mask_of_its_size(demo: Path) -> None:
    rows = rows_of(demo)
    assert len({row["image"] for row in rows}) == len(rows)
    aspects = set()
    for row in rows:
        assert row["image"].split(".")[0] == row["mask"].split(".")[0]
        image, mask = Image.open(demo / row["image"]), Image.open(demo / row["mask"])
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert (mask.format, mask.mode, mask.size) == ("PNG", "L", image.size)
        assert min(image.size) == 192
        foreground = np.asarray(mask)
        assert set(np.unique(foreground)) == {0, 255}
        assert 0.03 < (foreground > 0).mean() < 0.5
        aspects.add(image.width / image.height)
    assert aspects == {1, 4 / 3, 3 / 4}


def test_every_prompt_names_its_subject_and_its_scene(demo: Path) -> None:
    phrases = {scene.id: scene.phrase for scene in SCENES}
    for row in rows_of(demo):
        if row["role"] == "reference":
            assert row["prompt"] == row["model"] == row["prompt_id"] == row["seed"] == ""
        else:
            text = strip_subject(row["prompt"], row["subject"])
            assert text == f"a photo of {phrases[row['prompt_id']]}"
        assert row["concept"] == row["subject"].replace(" ", "_")


@pytest.mark.parametrize(
    ("model", "right_subject", "right_kind", "right_scene", "whole"),
    [
        ("faithful", True, True, True, True),
        ("wrong_scene", True, True, False, True),
        ("wrong_subject", False, True, True, True),
        ("damaged", True, True, True, False),
    ],
)
def test_a_model_fails_as_its_name_says(
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    right_subject: bool,
    right_kind: bool,
    right_scene: bool,
    whole: bool,
) -> None:
    blank = (Image.new("RGB", (8, 8)), Image.new("L", (8, 8)))
    photographed: list[tuple[Subject, Scene]] = []

    def render(subject: Subject, scene: Scene, *_: object) -> tuple[Image.Image, Image.Image]:
        photographed.append((subject, scene))
        return blank

    monkeypatch.setattr(dataset, "render", render)
    rng = np.random.default_rng(0)
    for subject in SUBJECTS:
        for scene in SCENES:
            dataset.MODELS[model](dataset.Request(subject, scene, blank, 64), rng)
            shown, place = photographed[-1]
            assert (shown.id == subject.id) == right_subject
            assert (shown.kind == subject.kind) == right_kind
            assert (place == scene) == right_scene
            assert (not shown.missing) == whole


def test_a_copy_is_the_first_reference_and_lies_in_no_scene_that_is_asked_for(demo: Path) -> None:
    copies = [row for row in rows_of(demo) if row["model"] == "copy_paste"]
    for row in copies:
        for name in ("image", "mask"):
            reference = f"references/{row['concept']}/00{'.mask.png' if name == 'mask' else '.jpg'}"
            assert (demo / row[name]).read_bytes() == (demo / reference).read_bytes()
    asked = {(row["concept"], row["prompt_id"]) for row in copies}
    assert len(asked) == 48


def test_noise_shows_nothing(demo: Path) -> None:
    for row in rows_of(demo):
        if row["model"] == "noise":
            pixels = np.asarray(Image.open(demo / row["image"])).astype(float)
            assert abs(pixels.mean() - 128) < 4
            blocks = pixels[:192, :192].reshape(12, 16, 12, 16, 3).mean(axis=(1, 3))
            assert blocks.std() < 12


def test_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        dataset.render_dataset(tmp_path / name, seed=seed, n_concepts=1, n_prompts=2, size=64)
    files = {
        name: {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*.*")
        }
        for name in "abc"
    }
    assert files["a"] == files["b"]
    assert not set(files["a"].values()) & set(files["c"].values())


def test_a_photo_does_not_depend_on_how_many_are_rendered(demo: Path, tmp_path: Path) -> None:
    dataset.render_dataset(tmp_path, seed=0, n_concepts=1, n_prompts=1, size=192)
    for row in rows_of(tmp_path):
        assert (tmp_path / row["image"]).read_bytes() == (demo / row["image"]).read_bytes()


def test_what_is_returned_is_what_the_manifest_says(tmp_path: Path) -> None:
    rows = dataset.render_dataset(tmp_path, seed=3, n_concepts=2, n_prompts=1, size=64)
    written = [{name: text for name, text in row.items() if text} for row in rows_of(tmp_path)]
    assert written == [{name: str(value) for name, value in row.items()} for row in rows]
    assert len(rows) == 2 * (2 + 6)
