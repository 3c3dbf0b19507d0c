"""RoMa, against its package's own way from two images to matches."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from masc_core.checkpoint import CheckpointError
from masc_core.comparators import ComparatorSettings, make_comparators
from masc_core.protocol import NOTES
from tests.masc_core.comparators.matcher_checkpoints import shallow_roma, write_roma
from tests.masc_core.comparators.matching_pairs import plain_masked, plain_recall, small
from tests.masc_core.comparators.scoring import Note, Sample, loaded, scored
from tests.photos import Photo

RECALL, MASKED = NAMES = ("roma.recall", "roma.masked")
COARSE, FINE = 112, 160
"""Pixels of the squares here, for 560 and 864: a pair in a thirtieth of the time."""

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("romatch") is None, reason="no package romatch: pip install romatch"
)


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masc_core.comparators.weight_files.find_spec", lambda name: None)
    reason = r"^needs the package romatch: pip install 'masc-eval\[roma\]'$"
    with pytest.raises(ImportError, match=reason):
        make_comparators([RECALL], ComparatorSettings())


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its package, as far as what is asked before anything is loaded goes."""
    monkeypatch.setattr("masc_core.comparators.weight_files.find_spec", lambda name: True)


@pytest.mark.usefixtures("installed")
def test_its_fingerprint_tells_either_file_of_weights(tmp_path: Path) -> None:
    def fingerprint() -> dict[str, Any]:
        settings = ComparatorSettings(str(tmp_path))
        return dict(make_comparators(NAMES, settings).fingerprint())

    files = [tmp_path / name for name in ("roma_outdoor.pth", "dinov2_vitl14_pretrain.pth")]
    with pytest.raises(CheckpointError, match=r"no roma_outdoor\.pth in this directory"):
        fingerprint()
    for file in files:
        file.write_bytes(b"1")
    own = fingerprint()
    for file in files:
        file.write_bytes(b"2")
        assert fingerprint()["weights"] != own["weights"]
        file.write_bytes(b"1")
    assert fingerprint() == own
    assert "seed 0" in own["preprocessing"]


@pytest.mark.usefixtures("installed")
def test_what_cannot_be_its_weights_is_named(tmp_path: Path) -> None:
    missing = make_comparators([RECALL], ComparatorSettings(str(tmp_path / "no")))
    with pytest.raises(CheckpointError, match=r"/no: no such directory$"):
        missing.fingerprint()
    with pytest.raises(ValueError, match="revision=main: there are no revisions of RoMa"):
        make_comparators([RECALL], ComparatorSettings(revision="main"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of the size that is published, but for the layers of DINOv2; and small squares."""
    from masc_core.torchvision_compat import make_torchvision_importable

    make_torchvision_importable()
    path = tmp_path_factory.mktemp("roma")
    with shallow_roma(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("masc_core.comparators.roma.COARSE", COARSE)
        patch.setattr("masc_core.comparators.roma.FINE", FINE)
        write_roma(path)
        yield path


@pytest.fixture(scope="module")
def references(photos: dict[str, list[Photo]]) -> list[Sample]:
    return [small(photos["teapot"][0], (200, 160)), small(photos["teapot"][1], (150, 170))]


@pytest.fixture(scope="module")
def generations(photos: dict[str, list[Photo]]) -> list[Sample]:
    return [small(photos["teapot"][2], (180, 180), "it")]


@pytest.fixture(scope="module")
def model(weights: Path) -> Any:
    """The package's own."""
    from romatch import roma_outdoor

    files = ("roma_outdoor.pth", "dinov2_vitl14_pretrain.pth")
    return roma_outdoor(
        "cpu",
        *(torch.load(weights / name, weights_only=True) for name in files),
        coarse_res=COARSE,
        upsample_res=FINE,
        use_custom_corr=False,
    )


def plain(model: Any, reference: Sample, generation: Sample) -> tuple[float, float]:
    """Recall and masked form by the package, from PIL's images on."""
    warp, certainty = model.match(reference.image, generation.image)
    torch.manual_seed(0)
    matches, _ = model.sample(warp, certainty, num=5000)
    first, second = reference.image, generation.image
    ends = model.to_pixel_coordinates(
        matches, first.height, first.width, second.height, second.width
    )
    pairs = list(zip(ends[0].tolist(), ends[1].tolist(), strict=True))
    assert len(pairs) == 5000
    of_reference = certainty[0, :, : certainty.shape[2] // 2]
    return (
        plain_recall(pairs, reference.mask, generation.mask),
        plain_masked(of_reference, reference.mask),
    )


@needs_package
@pytest.mark.comparators
def test_both_forms_are_those_of_the_packages_output(
    weights: Path,
    model: Any,
    generations: list[Sample],
    references: list[Sample],
    note_difference: Note,
) -> None:
    metric = loaded(*NAMES, path=weights)
    columns = scored(metric, generations, references, 1)
    assert columns.keys() == {*metric.columns, NOTES}
    expected = torch.tensor([[plain(model, r, g) for r in references] for g in generations])
    for form, name in enumerate(NAMES):
        found = torch.tensor(columns[f"{name}_per_reference"])
        note_difference(name, found, expected[..., form])
        torch.testing.assert_close(found, expected[..., form], atol=1e-5, rtol=0)
        assert columns[name] == pytest.approx(expected[..., form].mean(1).tolist(), abs=1e-5)
    assert ((expected > 0) & (expected < 1)).all()
    assert (expected[0, 0] - expected[0, 1]).abs().min() > 1e-4


@needs_package
@pytest.mark.comparators
def test_a_pair_has_one_value_whatever_was_drawn_before(
    weights: Path, generations: list[Sample], references: list[Sample]
) -> None:
    metric: Any = loaded(*NAMES, path=weights)
    runs: list[int] = []
    real = metric.network._model.match
    metric.network._model.match = lambda *args, **kwargs: runs.append(1) or real(*args, **kwargs)
    first = scored(metric, generations[:1], references[:1], 1)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    assert scored(metric, generations[:1], references[:1], 1) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert len(runs) == 2  # both forms of a pair are one


@needs_package
@pytest.mark.comparators
def test_half_precision_is_refused_where_its_package_does_not_have_it(weights: Path) -> None:
    reason = "dtype=float16: on a CPU its package knows float32 alone"
    with pytest.raises(ValueError, match=reason):
        loaded(RECALL, path=weights, dtype="float16")
