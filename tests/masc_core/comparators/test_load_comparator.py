"""Comparators as functions of images, for notebooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from masc_core.comparators import load_comparator
from tests.masc_core.comparators.checkpoints import write_clip, write_dino, write_siglip
from tests.masc_core.comparators.scoring import Sample, loaded, scored

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints")
    writes: dict[str, Callable[[Path], None]] = {
        "clip": write_clip,
        "dino": write_dino,
        "siglip": write_siglip,
    }
    for name, write in writes.items():
        write(path / name)
    return path


def test_it_gives_the_value_of_a_row(
    folder: Path, generations: list[Sample], references: list[Sample]
) -> None:
    clip_i = load_comparator("clip_i", name_or_path=str(folder / "clip"))
    clip_t = load_comparator("clip_t", name_or_path=str(folder / "clip"))
    columns = scored(loaded("clip_i", "clip_t", path=folder / "clip"), generations, references, 1)
    photos = [own.image for own in references]
    for i, own in enumerate(generations):
        assert clip_i(own.image, photos) == pytest.approx(columns["clip_i"][i], abs=1e-6)
        value = clip_t(own.image, prompt=own.prompt)
        assert value == pytest.approx(columns["clip_t"][i], abs=1e-6)


def test_it_takes_the_settings_of_a_run(
    folder: Path, generations: list[Sample], references: list[Sample]
) -> None:
    photos = [own.image for own in references]
    name_or_path = str(folder / "dino")
    each = load_comparator("dino_i", name_or_path=name_or_path)
    best = load_comparator("dino_i", name_or_path=name_or_path, reference_reduction="max")
    single = [each(generations[0].image, [photo]) for photo in photos]
    assert best(generations[0].image, photos) == pytest.approx(max(single), abs=1e-6)
    assert each(generations[0].image, photos) == pytest.approx(sum(single) / 3, abs=1e-6)


def test_an_image_of_any_mode_is_converted(folder: Path, generations: list[Sample]) -> None:
    dino_i = load_comparator("dino_i", name_or_path=str(folder / "dino"))
    grey = generations[0].image.convert("L")
    assert dino_i(grey, [grey.convert("RGB")]) == pytest.approx(1, abs=1e-6)


def test_masks_go_where_patch_tokens_are_aggregated(
    folder: Path, generations: list[Sample], references: list[Sample]
) -> None:
    name = "cp.masked_maxcos@siglip2_b"
    comparator = load_comparator(name, name_or_path=str(folder / "siglip"))
    columns = scored(loaded(name, path=folder / "siglip"), generations, references, 1)
    value = comparator(
        generations[0].image,
        [own.image for own in references],
        mask=generations[0].mask,
        reference_masks=[own.mask > 127 for own in references],
    )
    assert value == pytest.approx(columns[name][0], abs=1e-6)
    with pytest.raises(ValueError, match=f"^{name}: needs a mask$"):
        comparator(generations[0].image, [references[0].image], mask=generations[0].mask)


def test_what_is_missing_is_named(folder: Path, generations: list[Sample]) -> None:
    clip = str(folder / "clip")
    [image, *_] = (own.image for own in generations)
    with pytest.raises(ValueError, match="clip_i compares with references: expected at least one"):
        load_comparator("clip_i", name_or_path=clip)(image)
    with pytest.raises(ValueError, match="clip_t is held against the prompt: prompt= is missing"):
        load_comparator("clip_t", name_or_path=clip)(image, [image])
    with pytest.raises(ValueError, match="1 references and 2 masks of references"):
        load_comparator("clip_i", name_or_path=clip)(image, [image], reference_masks=[[[0]]] * 2)
    with pytest.raises(ValueError, match="no such comparator 'clip'; known: clip_i, clip_t"):
        load_comparator("clip")
