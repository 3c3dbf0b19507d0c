"""The reward: the metric's values, and gradients that finite differences confirm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from masc_core import Encoder, Generation, MaSC, Reference
from masc_core.pixels import DifferentiablePixels
from tests.pictures import painted

pytestmark = pytest.mark.slow

PROMPTS = ["a cat on a beach", "a dog in the snow", "the cat, asleep", ""]
SUBJECTS = ["cat", "dog", None, "cat"]


@pytest.fixture(scope="module")
def naflex(naflex_checkpoint: Path) -> MaSC:
    return MaSC.from_pretrained(str(naflex_checkpoint), device="cpu", max_num_patches=64)


@pytest.fixture(scope="module")
def fixed(fixed_checkpoint: Path) -> MaSC:
    return MaSC.from_pretrained(str(fixed_checkpoint), device="cpu")


@pytest.fixture(scope="module")
def demo() -> MaSC:
    return MaSC.from_pretrained("demo", device="cpu")


@pytest.fixture(scope="module")
def references(naflex: MaSC) -> list[Reference]:
    return references_of(naflex)


def references_of(masc: MaSC) -> list[Reference]:
    own = [painted((150, 130), seed) for seed in (1, 2, 3)]
    return masc.encode_references([photo for photo, _ in own], [mask for _, mask in own])


def batch(size: tuple[int, int], n: int = 4) -> tuple[torch.Tensor, list[np.ndarray]]:
    """Images (n, 3, H, W), each with a band of noise that a filter overshoots on, and their
    masks."""
    images, masks = [], []
    for seed in range(n):
        image, mask = painted(size, 10 + seed)
        pixels = np.array(image)
        rng = np.random.default_rng(seed)
        band = pixels[: size[1] // 16]
        band[:] = 255 * rng.integers(0, 2, band.shape, dtype=np.uint8)
        images.append(torch.from_numpy(pixels / 255).float().permute(2, 0, 1))
        masks.append(mask)
    return torch.stack(images), masks


def mixed(references: Sequence[Reference]) -> list[list[Reference]]:
    """Four images: two share their references, the others have some of their own."""
    a, b, c = references
    return [[a, b], [a, b], [c], [c, a, b]]


def scored(
    masc: MaSC, images: torch.Tensor, masks: Sequence[Any], references: Sequence[Any]
) -> list[tuple[float, float]]:
    """What the metric says of the same images in 8 bits."""
    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    scores = masc.score_batch(
        [
            Generation(Image.fromarray(pixels[i]), masks[i], PROMPTS[i], references[i], SUBJECTS[i])
            for i in range(len(images))
        ]
    )
    return [(score.cp, score.pf) for score in scores]


@pytest.mark.parametrize(
    ("name", "size", "tolerance"),
    [
        ("naflex", (128, 128), 1e-4),
        ("naflex", (256, 64), 1e-4),
        ("naflex", (301, 200), 1e-3),
        ("naflex", (400, 500), 1e-3),
        ("demo", (301, 200), 1e-3),
        ("demo", (70, 90), 1e-3),
        ("fixed", (160, 160), 1e-4),
        ("fixed", (333, 200), 1e-3),
        ("fixed", (64, 100), 1e-3),
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "max"])
def test_it_is_the_metric(
    name: str, size: tuple[int, int], tolerance: float, reduction: Any, request: Any
) -> None:
    masc = MaSC(request.getfixturevalue(name).encoder, reference_reduction=reduction)
    against = mixed(references_of(masc))
    images, masks = batch(size)
    stacked = torch.from_numpy(np.stack(masks))
    cp, pf = masc.reward(images, stacked, PROMPTS, against, SUBJECTS)
    expected = torch.tensor(scored(masc, images, masks, against))
    assert cp.shape == pf.shape == (4,)
    torch.testing.assert_close(cp, expected[:, 0], atol=tolerance, rtol=0)
    torch.testing.assert_close(pf, expected[:, 1], atol=tolerance, rtol=0)


def test_resized_pixels_are_the_processors_to_a_step_of_8_bits(naflex: MaSC, fixed: MaSC) -> None:
    for masc, size in ((naflex, (301, 200)), (fixed, (333, 200)), (fixed, (64, 100))):
        images, _ = batch(size, 1)
        pixels, grid = DifferentiablePixels(masc.encoder)(images)
        eight_bits = (images[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        expected, expected_grid = masc.encoder.prepare_image(Image.fromarray(eight_bits))
        assert grid == expected_grid
        # Rounding twice moves a pixel by a step of 8 bits at most, 2 / 255 in [-1, 1]; the 8-bit
        # kernel's fixed-point weights add a little.
        torch.testing.assert_close(pixels[0], expected, atol=2.2 / 255, rtol=0)


def in_float64(checkpoint: Path, **options: Any) -> MaSC:
    """The same metric, computed in float64 from the pixels on."""
    encoder = Encoder.from_pretrained(str(checkpoint), device="cpu", **options)
    encoder.dtype = torch.float64
    encoder._vision.double()
    encoder._pool.double()
    return MaSC(encoder)


@pytest.mark.parametrize("size", [(64, 64), (90, 70)])
@pytest.mark.parametrize("name", ["naflex", "fixed"])
def test_finite_differences_confirm_the_gradients(
    name: str, size: tuple[int, int], request: Any
) -> None:
    masc = in_float64(request.getfixturevalue(f"{name}_checkpoint"), max_num_patches=16)
    against = mixed(references_of(masc))
    images, masks = batch(size)
    images = (0.05 + 0.9 * images).double()  # away from where they are cut

    def rewards(at: torch.Tensor) -> torch.Tensor:
        return torch.cat(masc.reward(at, masks, PROMPTS, against, SUBJECTS))

    images.requires_grad_()
    gradients = [
        torch.autograd.grad(each, images, retain_graph=True)[0] for each in rewards(images)
    ]
    generator = torch.Generator().manual_seed(0)
    step = 1e-6
    for _ in range(3):
        direction = torch.randn(images.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            up, down = rewards(images + step * direction), rewards(images - step * direction)
        expected = torch.stack([(each * direction).sum() for each in gradients])
        torch.testing.assert_close((up - down) / (2 * step), expected, rtol=1e-5, atol=1e-9)
        assert (expected.abs() > 1e-6).all()


def test_an_images_reward_depends_on_no_other_image(
    naflex: MaSC, references: list[Reference]
) -> None:
    images, masks = batch((128, 128))
    images.requires_grad_()
    cp, pf = naflex.reward(images, masks, PROMPTS, mixed(references), SUBJECTS)
    [gradient] = torch.autograd.grad(cp[1] + pf[1], images)
    assert gradient[1].abs().sum() > 0
    assert gradient[[0, 2, 3]].abs().sum() == 0


def test_checkpointing_changes_nothing_but_the_memory_that_is_held(
    naflex: MaSC, references: list[Reference]
) -> None:
    images, masks = batch((128, 128))
    found, held = [], []
    for checkpointing in (False, True):
        sizes: list[int] = []
        mine = images.clone().requires_grad_()

        def note(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            cp, pf = naflex.reward(
                mine, masks, PROMPTS, mixed(references), SUBJECTS, checkpointing=checkpointing
            )
        (cp + pf).sum().backward()
        found.append((cp, pf, mine.grad))
        held.append(sum(sizes))
    torch.testing.assert_close(found[0], found[1])
    assert held[1] < held[0] / 3


@pytest.mark.parametrize("checkpointing", [False, True])
def test_it_has_gradients_in_bfloat16(naflex_checkpoint: Path, checkpointing: bool) -> None:
    masc = MaSC.from_pretrained(
        str(naflex_checkpoint), device="cpu", dtype="bfloat16", max_num_patches=64
    )
    exact = MaSC.from_pretrained(str(naflex_checkpoint), device="cpu", max_num_patches=64)
    images, masks = batch((128, 128))
    gradients = []
    for each in (masc, exact):
        own = images.clone().requires_grad_()
        against = mixed(references_of(each))
        cp, pf = each.reward(own, masks, PROMPTS, against, SUBJECTS, checkpointing=checkpointing)
        expected = torch.tensor(scored(each, images, masks, against))
        torch.testing.assert_close(torch.stack([cp, pf], 1), expected, atol=5e-3, rtol=0)
        pf.sum().backward()  # CP's best matches may change with the rounding
        assert own.grad is not None
        gradients.append(own.grad.flatten())
    assert torch.cosine_similarity(*gradients, dim=0) > 0.95


def test_what_has_no_value_is_nan_and_spoils_no_gradient(
    naflex: MaSC, references: list[Reference]
) -> None:
    photo, _ = painted((150, 130), 1)
    [empty] = naflex.encode_references([photo], [np.zeros((130, 150), np.uint8)])
    images, masks = batch((128, 128))
    masks[1] = np.full((128, 128), 255, np.uint8)
    against = [[references[0], empty], [references[0]], [empty], [references[1]]]
    images.requires_grad_()
    cp, pf = naflex.reward(images, masks, PROMPTS, against, SUBJECTS)
    expected = torch.tensor(scored(naflex, images.detach(), masks, against))
    torch.testing.assert_close(cp, expected[:, 0], atol=1e-4, rtol=0, equal_nan=True)
    torch.testing.assert_close(pf, expected[:, 1], atol=1e-4, rtol=0, equal_nan=True)
    assert cp.isnan().tolist() == [False, False, True, False]
    assert pf.isnan().tolist() == [False, True, False, False]
    [from_pf] = torch.autograd.grad(torch.nansum(pf), images, retain_graph=True)
    [from_cp] = torch.autograd.grad(torch.nansum(cp), images)
    assert [bool(each.any()) for each in from_pf] == [True, False, True, True]
    assert [bool(each.any()) for each in from_cp] == [True, True, False, True]
    assert from_pf.isfinite().all()
    assert from_cp.isfinite().all()


def test_a_mask_of_exactly_one_half_is_hidden_from_the_reward_as_from_the_metric(
    naflex: MaSC, references: list[Reference]
) -> None:
    images, _ = batch((128, 128), 1)
    half = np.zeros((128, 128), np.float32)
    half[:64] = 0.5
    _, pf = naflex.reward(images, [half], PROMPTS[:1], [references], SUBJECTS[:1])
    [(_, expected)] = scored(naflex, images, [half], [references])
    assert pf.item() == pytest.approx(expected, abs=1e-4)


def test_no_weight_gets_a_gradient(naflex: MaSC, references: list[Reference]) -> None:
    images, masks = batch((128, 128), 1)
    cp, pf = naflex.reward(images.requires_grad_(), masks, ["a cat"], [references])
    (cp + pf).sum().backward()
    weights = [*naflex.encoder._vision.parameters(), *naflex.encoder._pool.parameters()]
    assert all(weight.grad is None for weight in weights)


def test_a_training_loops_autocast_does_not_round_it(
    naflex: MaSC, references: list[Reference]
) -> None:
    images, masks = batch((128, 128))
    asked = (images, masks, ["a cat in a box"] * 4, mixed(references), SUBJECTS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = naflex.reward(*asked)
    torch.testing.assert_close(within, naflex.reward(*asked), atol=1e-6, rtol=0)


ASKED: dict[str, Any] = {"prompts": ["a cat"], "subjects": ["cat"]}


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"images": torch.zeros(1, 3, 32, 32, dtype=torch.uint8)}, TypeError, "not torch.uint8"),
        ({"images": np.zeros((1, 3, 32, 32))}, TypeError, "not ndarray"),
        ({"images": torch.zeros(1, 32, 32, 3)}, ValueError, r"are \(B, 3, H, W\), not \(1, 32"),
        ({"images": torch.full((1, 3, 32, 32), -0.5)}, ValueError, r"\[0, 1\], not -0.5 to -0.5"),
        ({"images": torch.full((1, 3, 32, 32), 255.0)}, ValueError, "not 255 to 255"),
        ({"images": torch.full((1, 3, 32, 32), math.nan)}, ValueError, "not nan to nan"),
        ({"masks": torch.zeros(32, 32)}, ValueError, "masks: 32 for 1 images"),
        ({"masks": torch.zeros(1, 1, 32, 32)}, ValueError, r"a mask has two dimensions"),
        ({"prompts": "a"}, ValueError, "prompts: one text for 1 images"),
        ({"prompts": ["a", "b"]}, ValueError, "prompts: 2 for 1 images"),
        ({"subjects": "c"}, ValueError, "subjects: one text for 1 images"),
        ({"references": [[]]}, ValueError, "at least one reference"),
        ({"references": "flat"}, ValueError, "a list an image"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    naflex: MaSC,
    references: list[Reference],
    changed: dict[str, Any],
    error: type[Exception],
    said: str,
) -> None:
    if changed.get("references") == "flat":
        changed = {"references": references[:1]}
    asked = {
        **ASKED,
        "images": torch.zeros(1, 3, 32, 32),
        "masks": torch.zeros(1, 32, 32),
        "references": [references],
        **changed,
    }
    with pytest.raises(error, match=said):
        naflex.reward(**asked)


@pytest.mark.parametrize(
    ("setting", "value"), [("do_center_crop", True), ("resample", 1), ("do_resize", False)]
)
def test_preprocessing_without_a_differentiable_form_is_named(
    fixed_checkpoint: Path, setting: str, value: Any
) -> None:
    masc = MaSC.from_pretrained(str(fixed_checkpoint), device="cpu")
    setattr(masc.encoder.image_processor, setting, value)
    with pytest.raises(ValueError, match=rf"no differentiable form: .*{setting}"):
        DifferentiablePixels(masc.encoder)
