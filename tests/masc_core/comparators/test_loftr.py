"""LoFTR, against kornia's own output."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from masc_core.checkpoint import CheckpointError
from masc_core.comparators import ComparatorSettings, make_comparators
from masc_core.protocol import NOTES
from tests.masc_core.comparators.matcher_checkpoints import write_loftr
from tests.masc_core.comparators.matching_pairs import plain_masked, plain_recall, small
from tests.masc_core.comparators.scoring import Note, Sample, loaded, scored
from tests.photos import Photo

RECALL, MASKED = NAMES = ("loftr.recall", "loftr.masked")
SIDE = 128
"""Pixels of the square here, for one of 512: a pair in a twentieth of the time."""

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("kornia") is None, reason="no package kornia: pip install kornia"
)


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masc_core.comparators.weight_files.find_spec", lambda name: None)
    reason = r"^needs the package kornia: pip install 'masc-eval\[loftr\]'$"
    with pytest.raises(ImportError, match=reason):
        make_comparators([RECALL], ComparatorSettings())


@needs_package
@pytest.mark.slow
def test_an_image_is_grey_and_a_square_of_512() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8))
    network = make_comparators([RECALL], ComparatorSettings()).network  # type: ignore[attr-defined]
    found = network.prepare(image)
    grey = np.array(image.convert("L").resize((512, 512), Image.Resampling.BILINEAR)) / 255
    np.testing.assert_allclose(found.numpy(), grey[None], atol=1e-6)
    mask = np.asarray(image)[..., 0]
    square = np.array(Image.fromarray(mask).resize((512, 512), Image.Resampling.NEAREST)) / 255
    np.testing.assert_allclose(network.masked_frame(mask, image).numpy(), square, atol=1e-6)
    assert network.cells((512, 512)) == (64, 64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("kornia")
    path = tmp_path_factory.mktemp("loftr") / "loftr.ckpt"
    write_loftr(path)
    return path


@pytest.fixture
def small_square() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("masc_core.comparators.loftr.SIDE", SIDE)
        yield


@pytest.fixture(scope="module")
def references(photos: dict[str, list[Photo]]) -> list[Sample]:
    return [small(photo, (200, 160)) for photo in photos["teapot"][:2]]


@pytest.fixture(scope="module")
def generations(photos: dict[str, list[Photo]], references: list[Sample]) -> list[Sample]:
    """Another photo of the subject, and a reference moved a little and to a side."""
    moved = references[0].image.crop((12, 6, 188, 160)), references[0].mask[6:160, 12:188]
    return [small(photos["teapot"][2], (160, 200), "it"), Sample(*moved, prompt="it")]


@pytest.fixture(scope="module")
def model(weights: Path) -> Any:
    """The library's own."""
    from kornia.feature import LoFTR

    model = LoFTR(None)
    model.load_state_dict(torch.load(weights, weights_only=True)["state_dict"])
    return model.eval()


def plain(model: Any, reference: Sample, generation: Sample, side: int) -> tuple[float, float]:
    """Recall and masked form by the library, from the images on."""
    coarse: list[tuple[torch.Tensor, torch.Tensor]] = []
    keep = model.loftr_coarse.register_forward_hook(lambda *args: coarse.append(args[-1]))
    squares = []
    for own in (reference, generation):
        grey = own.image.convert("L").resize((side, side), Image.Resampling.BILINEAR)
        squares.append(torch.from_numpy(np.array(grey, dtype=np.float32) / 255)[None, None])
    with torch.inference_mode():
        found = model({"image0": squares[0], "image1": squares[1]})
    keep.remove()
    first, second = (each[0].double() for each in coarse[0])
    logits = first @ second.T / first.shape[1] / 0.1
    confidence = (logits.softmax(0) * logits.softmax(1)).amax(1)
    masks = [
        np.array(Image.fromarray(own.mask).resize((side, side), Image.Resampling.NEAREST))
        for own in (reference, generation)
    ]
    ends = (found["keypoints0"].tolist(), found["keypoints1"].tolist())
    assert min(found["confidence"].tolist(), default=1) > 0.2
    cells = side // 8
    return (
        plain_recall(list(zip(*ends, strict=True)), *masks),
        plain_masked(confidence.reshape(cells, cells), masks[0]),
    )


@pytest.fixture(scope="module")
def expected(model: Any, generations: list[Sample], references: list[Sample]) -> torch.Tensor:
    """(generations, references, forms)."""
    return torch.tensor(
        [[plain(model, r, g, SIDE) for r in references] for g in generations], dtype=torch.float32
    )


@needs_package
@pytest.mark.slow
@pytest.mark.usefixtures("small_square")
def test_both_forms_are_those_of_the_librarys_output(
    weights: Path,
    generations: list[Sample],
    references: list[Sample],
    expected: torch.Tensor,
    note_difference: Note,
) -> None:
    metric = loaded(*NAMES, path=weights)
    columns = scored(metric, generations, references, 2)
    assert columns.keys() == {*metric.columns, NOTES}
    for form, name in enumerate(NAMES):
        found = torch.tensor(columns[f"{name}_per_reference"])
        note_difference(name, found, expected[..., form])
        torch.testing.assert_close(found, expected[..., form], atol=1e-5, rtol=0)
        assert columns[name] == pytest.approx(expected[..., form].mean(1).tolist(), abs=1e-5)
    assert columns[NOTES] == [None, None]
    alone = scored(metric, generations[1:], references[:1], 1)
    for name in NAMES:
        assert alone[name] == columns[f"{name}_per_reference"][1][:1]  # whatever else is in a batch
    recalls = expected[..., 0].flatten().tolist()
    assert any(0 < value < 1 for value in recalls)
    assert expected[..., 1].std() > 0.1


@needs_package
@pytest.mark.comparators
def test_they_are_at_the_size_that_is_published(
    weights: Path, model: Any, generations: list[Sample], references: list[Sample]
) -> None:
    columns = scored(loaded(*NAMES, path=weights), generations[1:], references[:1], 1)
    expected = plain(model, references[0], generations[1], 512)
    assert [columns[name][0] for name in NAMES] == pytest.approx(expected, abs=1e-5)
    assert 0 < expected[0] < 1


@needs_package
@pytest.mark.slow
@pytest.mark.usefixtures("small_square")
def test_both_forms_are_one_run_a_pair(
    weights: Path, generations: list[Sample], references: list[Sample]
) -> None:
    metric: Any = loaded(*NAMES, path=weights)
    runs: list[int] = []
    metric.network._model.register_forward_hook(lambda *args: runs.append(1))
    together = scored(metric, generations[:1], references, 1)
    assert len(runs) == 2
    alone = scored(loaded(MASKED, path=weights), generations[:1], references[:1], 1)
    assert alone.keys() == {MASKED, f"{MASKED}_per_reference", NOTES}
    assert alone[MASKED] == [together[f"{MASKED}_per_reference"][0][0]]


@needs_package
@pytest.mark.slow
@pytest.mark.usefixtures("small_square")
def test_without_foreground_recall_is_0_and_masked_is_nan_with_a_reason(
    weights: Path, generations: list[Sample], references: list[Sample]
) -> None:
    bare = replace(references[0], mask=np.zeros_like(references[0].mask))
    columns = scored(loaded(*NAMES, path=weights), generations[:1], [bare, references[1]], 1)
    [[recall, _]] = columns[f"{RECALL}_per_reference"]
    [[masked, other]] = columns[f"{MASKED}_per_reference"]
    assert recall == 0.0
    assert math.isnan(masked)
    assert columns[MASKED] == [other]
    assert columns[NOTES] == [f"{MASKED}: reference r0 has no foreground cell"]


@needs_package
def test_its_fingerprint_is_of_the_content_of_its_weights(tmp_path: Path) -> None:
    def fingerprint(path: Path) -> dict[str, Any]:
        return dict(make_comparators([RECALL], ComparatorSettings(str(path))).fingerprint())

    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    own = fingerprint(tmp_path / "a")
    assert own["weights"].startswith("sha256:")
    assert fingerprint(tmp_path / "b") == own
    assert fingerprint(tmp_path / "c") != own
    published = make_comparators([RECALL], ComparatorSettings())
    assert published.fingerprint() == {**own, "weights": "release:loftr_outdoor.ckpt"}


@needs_package
@pytest.mark.slow
def test_what_cannot_be_its_weights_is_named(tmp_path: Path) -> None:
    missing = make_comparators([RECALL], ComparatorSettings(str(tmp_path / "no.ckpt")))
    with pytest.raises(CheckpointError, match=r"no\.ckpt: no such file$"):
        missing.fingerprint()
    with pytest.raises(ValueError, match="revision=main: there are no revisions of LoFTR"):
        make_comparators([RECALL], ComparatorSettings(revision="main"))
    contents = {"text": "no weights of torch", "other": "weights of another network", "list": "no"}
    (tmp_path / "text").write_text("weights")
    torch.save({"state_dict": {"weight": torch.zeros(1)}}, tmp_path / "other")
    torch.save([torch.zeros(1)], tmp_path / "list")
    for name, reason in contents.items():
        with pytest.raises(CheckpointError, match=f"^{tmp_path / name}: {reason}") as refusal:
            loaded(RECALL, path=tmp_path / name)
        assert "\n" not in str(refusal.value)
