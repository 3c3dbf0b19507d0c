"""MASt3R, against its authors' own way from two images to matches, where a checkout is there."""

from __future__ import annotations

import os
import pickle
import sys
from argparse import Namespace
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
from masc_core.comparators.mast3r import CODE
from masc_core.protocol import NOTES
from tests.masc_core.comparators.matcher_checkpoints import tiny_mast3r
from tests.masc_core.comparators.matching_pairs import plain_masked, plain_recall, small
from tests.masc_core.comparators.scoring import Note, Sample, encoded, loaded, scored
from tests.photos import Photo

RECALL, MASKED = NAMES = ("mast3r.recall", "mast3r.masked")
LONGEST_SIDE = 192
"""Pixels here, for 512: a pair in a tenth of the time."""

CHECKOUT = os.environ.get("MASC_MAST3R")
needs_checkout = pytest.mark.skipif(
    CHECKOUT is None, reason="MASC_MAST3R names no checkout of github.com/naver/mast3r"
)


def test_without_a_checkout_it_says_where_one_comes_from() -> None:
    reason = (
        r"^needs a checkout of MASt3R: git clone --recursive "
        r"https://github\.com/naver/mast3r, comparators\.mast3r\.source=DIR$"
    )
    with pytest.raises(ImportError, match=reason):
        make_comparators([RECALL], ComparatorSettings())


def test_a_directory_that_is_none_is_named(tmp_path: Path) -> None:
    settings = ComparatorSettings(source=str(tmp_path))
    start = f"^comparators.mast3r.source={tmp_path}: no "
    with pytest.raises(ValueError, match=f"{start}mast3r/model.py there; is it a checkout"):
        make_comparators([RECALL], settings)
    for file in CODE[:2]:  # as without its submodules' own
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    with pytest.raises(ValueError, match=f"{start}{CODE[2]} there.*with its submodules"):
        make_comparators([RECALL], settings)


def test_others_take_no_code() -> None:
    with pytest.raises(ValueError, match=r"source=/x: its code comes with a package$"):
        make_comparators(["dino_i"], ComparatorSettings(source="/x"))


@pytest.fixture
def empty_checkout(tmp_path: Path) -> Path:
    """The files that tell one."""
    for file in CODE:
        (tmp_path / "checkout" / file).parent.mkdir(parents=True)
        (tmp_path / "checkout" / file).touch()
    return tmp_path / "checkout"


def test_its_fingerprint_tells_its_weights_and_not_where_they_lie(
    empty_checkout: Path, tmp_path: Path
) -> None:
    def fingerprint(path: Path) -> dict[str, Any]:
        settings = ComparatorSettings(str(path), source=str(empty_checkout))
        return dict(make_comparators(NAMES, settings).fingerprint())

    for name, content in (("a.pth", b"1"), ("b.pth", b"1"), ("c.pth", b"2")):
        (tmp_path / name).write_bytes(content)
    own = fingerprint(tmp_path / "a.pth")
    assert own["weights"].startswith("sha256:")
    assert fingerprint(tmp_path / "b.pth") == own
    assert fingerprint(tmp_path / "c.pth")["weights"] != own["weights"]
    directory = tmp_path / "model"
    directory.mkdir()
    with pytest.raises(CheckpointError, match=r"no config\.json in this directory"):
        fingerprint(directory)
    (directory / "config.json").write_text("{}")  # as published: without a model_type
    (directory / "model.safetensors").write_bytes(b"1")
    assert fingerprint(directory)["weights"] != own["weights"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "frame", "box"),
    [
        ((512, 512), (512, 512), (0, 64, 512, 448)),
        ((640, 427), (512, 342), (0, 3, 512, 339)),
        ((300, 640), (240, 512), (0, 0, 240, 512)),
        ((100, 100), (512, 512), (0, 64, 512, 448)),
    ],
)
def test_an_image_is_brought_to_512_and_its_middle_cut_out(
    empty_checkout: Path, size: tuple[int, int], frame: tuple[int, int], box: Any
) -> None:
    """Boxes by hand: the middle of (512, 342) is (256, 171), of which 256 and 168 remain."""
    settings = ComparatorSettings(source=str(empty_checkout))
    network = make_comparators([RECALL], settings).network  # type: ignore[attr-defined]
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image, mask = Image.fromarray(values), values[..., 0]
    kind = Image.Resampling.LANCZOS if max(size) > 512 else Image.Resampling.BICUBIC
    pixels = np.array(image.resize(frame, kind).crop(box)) / 255
    np.testing.assert_allclose(
        network.prepare(image).permute(1, 2, 0).numpy(), 2 * pixels - 1, atol=1e-6
    )
    nearest = Image.fromarray(mask).resize(frame, Image.Resampling.NEAREST).crop(box)
    np.testing.assert_allclose(
        network.masked_frame(mask, image).numpy(), np.array(nearest) / 255, atol=1e-6
    )
    assert network.cells(pixels.shape[:2]) == (pixels.shape[0] // 8, pixels.shape[1] // 8)


def test_an_image_of_which_nothing_remains_is_refused(empty_checkout: Path) -> None:
    metric = make_comparators([RECALL], ComparatorSettings(source=str(empty_checkout)))
    image = Image.new("RGB", (1000, 20))
    with pytest.raises(ValueError, match="1000 x 20 pixels are too narrow for MASt3R"):
        metric.prepare("", image, {"given": np.ones((20, 1000))}, None, None)


@pytest.fixture(scope="module")
def authors() -> Iterator[Path]:
    """The checkout, importable."""
    from masc_core.torchvision_compat import make_torchvision_importable

    make_torchvision_importable()
    assert CHECKOUT is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("masc_core.comparators.mast3r.LONGEST_SIDE", LONGEST_SIDE)
        patch.syspath_prepend(CHECKOUT)
        yield Path(CHECKOUT)
    sys.path[:] = [each for each in sys.path if not each.startswith(CHECKOUT)]


@pytest.fixture(scope="module")
def weights(authors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mast3r")
    tiny_mast3r().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def references(photos: dict[str, list[Photo]]) -> list[Sample]:
    return [small(photos["teapot"][0], (200, 200)), small(photos["teapot"][1], (150, 190))]


@pytest.fixture(scope="module")
def generations(photos: dict[str, list[Photo]]) -> list[Sample]:
    return [small(photos[name][-1], (200, 200), "it") for name in ("teapot", "dog2")]


def framed(mask: np.ndarray, true_shape: tuple[int, int]) -> np.ndarray:
    """A mask beside what the authors' loader made of its image."""
    height, width = mask.shape
    scale = LONGEST_SIDE / max(mask.shape)
    size = (round(width * scale), round(height * scale))
    resized = np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    top, left = ((a - b) // 2 for a, b in zip(resized.shape, true_shape, strict=True))
    return resized[top : top + true_shape[0], left : left + true_shape[1]]


def plain(model: Any, reference: Sample, generation: Sample, folder: Path) -> tuple[float, float]:
    """Recall and masked form by the example of the authors' README, from files on."""
    from dust3r.inference import inference
    from dust3r.utils.image import load_images
    from mast3r.fast_nn import fast_reciprocal_NNs

    files = [folder / "reference.png", folder / "generation.png"]
    for file, own in zip(files, (reference, generation), strict=True):
        own.image.save(file)
    images = load_images([str(file) for file in files], size=LONGEST_SIDE, verbose=False)
    output = inference([tuple(images)], model, "cpu", batch_size=1, verbose=False)
    first, second = (output[each]["desc"].squeeze(0) for each in ("pred1", "pred2"))
    begins, ends = fast_reciprocal_NNs(
        first, second, subsample_or_initxy1=8, device="cpu", dist="dot", block_size=2**13
    )
    (h0, w0), (h1, w1) = (tuple(each["true_shape"][0].tolist()) for each in images)
    matches = [
        (a, b)
        for a, b in zip(begins.tolist(), ends.tolist(), strict=True)
        if 3 <= a[0] < w0 - 3 and 3 <= a[1] < h0 - 3 and 3 <= b[0] < w1 - 3 and 3 <= b[1] < h1 - 3
    ]
    assert 10 < len(matches) < len(begins)
    masks = framed(reference.mask, (h0, w0)), framed(generation.mask, (h1, w1))
    cosines = torch.nn.functional.cosine_similarity(
        first[::8, ::8, None], second[::8, ::8].flatten(0, 1), dim=-1
    )
    return plain_recall(matches, *masks), plain_masked(cosines.amax(-1), masks[0])


@needs_checkout
@pytest.mark.comparators
def test_both_forms_are_those_of_the_authors_code(
    authors: Path,
    weights: Path,
    generations: list[Sample],
    references: list[Sample],
    tmp_path: Path,
    note_difference: Note,
) -> None:
    rounds = torch.backends.cuda.matmul.allow_tf32
    metric = loaded(*NAMES, path=weights, source=str(authors))
    assert torch.backends.cuda.matmul.allow_tf32 == rounds
    # One reference at a time, as they are of two sizes.
    columns = [scored(metric, generations, [own], 2) for own in references]
    assert columns[0].keys() == {*metric.columns, NOTES}
    model = tiny_mast3r()
    expected = torch.tensor(
        [[plain(model, r, g, tmp_path) for r in references] for g in generations]
    )
    for form, name in enumerate(NAMES):
        found = torch.tensor([own[name] for own in columns]).T
        note_difference(name, found, expected[..., form])
        torch.testing.assert_close(found, expected[..., form], atol=1e-5, rtol=0)
    recalls = expected[..., 0].flatten().tolist()
    assert any(0 < value < 1 for value in recalls)
    assert (expected[0] - expected[1]).abs().max() > 1e-3


@needs_checkout
@pytest.mark.comparators
def test_an_image_is_encoded_once(
    authors: Path, weights: Path, generations: list[Sample], references: list[Sample]
) -> None:
    metric: Any = loaded(*NAMES, path=weights, source=str(authors))
    counts: list[int] = []
    metric.network._model.patch_embed.register_forward_pre_hook(
        lambda module, args: counts.append(len(args[0]))
    )
    encoded(metric, references[:1], 1)
    scored(metric, generations[:1], references[:1], 1)
    assert counts == [1, 1, 1]


@needs_checkout
@pytest.mark.comparators
def test_a_file_as_its_authors_publish_it_gives_the_same(
    authors: Path,
    weights: Path,
    generations: list[Sample],
    references: list[Sample],
    tmp_path: Path,
) -> None:
    model = tiny_mast3r()
    made = "AsymmetricMASt3R(pos_embed='RoPE100', patch_embed_cls='PatchEmbedDust3R', "
    made += "img_size=(512, 512), head_type='catmlp+dpt', output_mode='pts3d+desc24', "
    made += "two_confs=True, enc_embed_dim=64, enc_depth=2, enc_num_heads=2, dec_embed_dim=48, "
    made += "dec_depth=10, dec_num_heads=2, depth_mode=('exp', -inf, inf), "
    made += "conf_mode=('exp', 1, inf), desc_conf_mode=('exp', 0, inf))"
    state = model.state_dict()
    torch.save({"args": Namespace(model=made), "model": state}, tmp_path / "mast3r.pth")
    source = str(authors)
    found, expected = (
        scored(loaded(*NAMES, path=path, source=source), generations[:1], references[:1], 1)
        for path in (tmp_path / "mast3r.pth", weights)
    )
    assert found == expected
    state.pop("enc_norm.weight")
    torch.save({"args": Namespace(model=made), "model": state}, tmp_path / "less.pth")
    with pytest.raises(CheckpointError, match=r"1 are missing, the first enc_norm\.weight"):
        loaded(RECALL, path=tmp_path / "less.pth", source=source)
    # Of the second decoder all or nothing: the rest of it would be left at random.
    state = model.state_dict()
    lost = min(name for name in state if name.startswith("dec_blocks2."))
    half = {name: own for name, own in state.items() if name != lost}
    torch.save({"args": Namespace(model=made), "model": half}, tmp_path / "half.pth")
    with pytest.raises(CheckpointError, match=rf"1 are missing, the first {lost}"):
        loaded(RECALL, path=tmp_path / "half.pth", source=source)
    (tmp_path / "other.pth").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match=r"other\.pth: no weights of MASt3R"):
        loaded(RECALL, path=tmp_path / "other.pth", source=source)


@needs_checkout
@pytest.mark.comparators
def test_without_foreground_masked_is_nan_with_a_reason(
    authors: Path, weights: Path, generations: list[Sample], references: list[Sample]
) -> None:
    bare = replace(references[0], mask=np.zeros_like(references[0].mask))
    metric = loaded(*NAMES, path=weights, source=str(authors))
    columns = scored(metric, generations[:1], [bare], 1)
    assert columns[RECALL] == [0.0]
    assert np.isnan(columns[MASKED][0])
    assert columns[NOTES] == [f"{MASKED}: reference r0 has no foreground cell"]
