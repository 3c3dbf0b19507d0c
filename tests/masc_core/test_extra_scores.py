"""What one forward gives beside CP and PF, held against the authors' package and plain
transformers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.functional import normalize

from masc_core import Generation, MaSC, Score
from tests.pictures import painted

PATCHES = 100
SIZES = [(160, 160), (200, 120)]
PROMPT, SUBJECT, STRIPPED = "a photo of a cat on a beach", "cat", "a photo of on a beach"
MASKS = ["given", "dilate:5", "erode:3", "drop:0.2", "other"]
EXTRA = [
    *("pf.bg.full", "pf.bg.stripped", "pf.full.stripped", "pf.full.full"),
    *("pf.fg.stripped", "pf.fg.full", "siglip2_global", "siglip2_t"),
    *("cp.global_maxcos", "cp.weighted_maxcos", "cp.weighted_maxcos:8", "cp.recall_fg", "cp.leak"),
]
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Plain:
    """An image after plain transformers."""

    tokens: torch.Tensor
    """(N, D)."""
    grid: tuple[int, int]
    model: Any

    def pool(self, visible: torch.Tensor) -> torch.Tensor:
        """The tower's own head, with everything but `visible` (N,) masked."""
        head = self.model.vision_model.head
        pooled = head(self.tokens[None], visible[None].long())
        return normalize(pooled[0], dim=-1)


class Oracle:
    """Everything by plain use of transformers, in float32, an image at a time."""

    def __init__(self, checkpoint: Path, max_num_patches: int = PATCHES) -> None:
        from transformers import AutoModel, AutoProcessor

        self.max_num_patches = max_num_patches

        self.model = AutoModel.from_pretrained(checkpoint).eval()
        self.processor = AutoProcessor.from_pretrained(checkpoint)

    @torch.inference_mode()
    def image(self, image: Any) -> Plain:
        inputs = self.processor.image_processor(
            images=[image], return_tensors="pt", max_num_patches=self.max_num_patches
        )
        height, width = inputs["spatial_shapes"][0].tolist()
        hidden = self.model.vision_model(
            inputs["pixel_values"], inputs["pixel_attention_mask"], inputs["spatial_shapes"]
        ).last_hidden_state
        return Plain(hidden[0, : height * width], (height, width), self.model)

    @torch.inference_mode()
    def text(self, text: str) -> torch.Tensor:
        length = self.model.config.text_config.max_position_embeddings
        ids = self.processor(
            text=[text], padding="max_length", truncation=True, max_length=length,
            return_tensors="pt",
        )["input_ids"]  # fmt: skip
        return normalize(self.model.text_model(input_ids=ids).pooler_output[0], dim=-1)


def on_grid(mask: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
    values = torch.from_numpy(mask.astype(np.float32))[None, None] / 255
    return F.interpolate(values, size=grid, mode="bilinear", align_corners=False).flatten()


def moved(mask: np.ndarray, pixels: int, grows: bool) -> np.ndarray:
    """Dilation and erosion by the definition: every offset of the disk in turn."""
    foreground = np.pad(mask > 0, pixels)
    out = foreground.copy()
    for dy in range(-pixels, pixels + 1):
        for dx in range(-pixels, pixels + 1):
            if dx * dx + dy * dy <= pixels * pixels:
                shifted = np.roll(foreground, (dy, dx), (0, 1))
                out = out | shifted if grows else out & shifted
    inner = out[pixels:-pixels, pixels:-pixels]
    return inner.astype(np.uint8) * 255


@pytest.fixture(scope="module")
def pictures() -> list[tuple[Any, np.ndarray, np.ndarray]]:
    """Images, their masks, and another mask of each: two references, then three generations."""
    made = []
    for seed in range(5):
        image, mask = painted(SIZES[seed % 2], seed)
        made.append((image, mask, np.ascontiguousarray(mask[::-1])))
    return made


@pytest.fixture(scope="module")
def scores(
    naflex_checkpoint: Path, pictures: list[tuple[Any, np.ndarray, np.ndarray]]
) -> tuple[list[Score], MaSC]:
    masc = MaSC.from_pretrained(
        str(naflex_checkpoint), max_num_patches=PATCHES, masks=MASKS, extra=EXTRA
    )
    images, masks, others = zip(*pictures, strict=True)
    references = masc.encode_references(images[:2], masks[:2], [{"other": o} for o in others[:2]])
    generations = [
        Generation(image, mask, PROMPT, references, SUBJECT, key=f"{i}", masks={"other": other})
        for i, (image, mask, other) in enumerate(pictures[2:])
    ]
    return masc.score_batch(generations), masc


def test_cp_and_pf_are_those_of_one_that_was_asked_for_nothing_else_to_the_last_bit(
    naflex_checkpoint: Path,
    pictures: list[tuple[Any, np.ndarray, np.ndarray]],
    scores: tuple[list[Score], MaSC],
) -> None:
    plain = MaSC.from_pretrained(str(naflex_checkpoint), max_num_patches=PATCHES)
    references = plain.encode_references(*zip(*[p[:2] for p in pictures[:2]], strict=True))
    alone = plain.score_batch(
        [Generation(image, mask, PROMPT, references, SUBJECT) for image, mask, _ in pictures[2:]]
    )
    for ours, theirs in zip(scores[0], alone, strict=True):
        assert (ours.cp, ours.pf) == (theirs.cp, theirs.pf)
        assert ours.cp_per_reference == theirs.cp_per_reference
        assert ours.extra["pf.bg.stripped"] == pytest.approx(theirs.pf, abs=TOLERANCE)


@pytest.mark.parametrize("name", ["dilate:5", "erode:3", "other"])
def test_other_masks_score_as_the_authors_score_images_with_masks_changed_beforehand(
    naflex_checkpoint: Path,
    pictures: list[tuple[Any, np.ndarray, np.ndarray]],
    scores: tuple[list[Score], MaSC],
    name: str,
) -> None:
    from masc import MaSC as Authors

    authors = Authors(str(naflex_checkpoint), device="cpu", naflex_max_patches=PATCHES)

    def changed(picture: tuple[Any, np.ndarray, np.ndarray]) -> np.ndarray:
        _, mask, other = picture
        if name == "other":
            return other
        return moved(mask, int(name[-1]), grows=name.startswith("dilate"))

    for ours, picture in zip(scores[0], pictures[2:], strict=True):
        theirs = [
            authors.score(r[0], changed(r), picture[0], changed(picture), PROMPT, SUBJECT)
            for r in pictures[:2]
        ]
        expected = [each.cp for each in theirs]
        assert ours.extra_per_reference[f"cp@{name}"] == pytest.approx(expected, abs=TOLERANCE)
        assert ours.extra[f"cp@{name}"] == pytest.approx(sum(expected) / 2, abs=TOLERANCE)
        assert ours.extra[f"pf@{name}"] == pytest.approx(theirs[0].pf, abs=TOLERANCE)


def test_pools_texts_and_aggregators_equal_plain_transformers(
    naflex_checkpoint: Path,
    pictures: list[tuple[Any, np.ndarray, np.ndarray]],
    scores: tuple[list[Score], MaSC],
) -> None:
    oracle = Oracle(naflex_checkpoint)
    texts = {"stripped": oracle.text(STRIPPED), "full": oracle.text(PROMPT)}
    references = [(oracle.image(p[0]), p[1]) for p in pictures[:2]]
    for ours, (image, mask, _) in zip(scores[0], pictures[2:], strict=True):
        made = oracle.image(image)
        weights = on_grid(mask, made.grid)
        visible = {"bg": weights < 0.5, "fg": weights >= 0.5, "full": weights >= 0}
        with torch.inference_mode():
            for pool, text in [(p, t) for p in visible for t in texts]:
                expected = float(made.pool(visible[pool]) @ texts[text])
                assert ours.extra[f"pf.{pool}.{text}"] == pytest.approx(expected, abs=TOLERANCE)
            expected = float(made.pool(visible["full"]) @ texts["full"])
            assert ours.extra["siglip2_t"] == pytest.approx(expected, abs=TOLERANCE)
            for number, (reference, own) in enumerate(references):
                for name, value in by_hand(reference, own, made, weights).items():
                    found = ours.extra_per_reference[name]
                    assert found is not None
                    assert found[number] == pytest.approx(value, abs=TOLERANCE), name
        for name in ("cp.leak", "cp.recall_fg", "siglip2_global"):
            values: Sequence[float] = ours.extra_per_reference[name] or []
            assert ours.extra[name] == pytest.approx(sum(values) / 2)


def by_hand(
    reference: Plain, mask: np.ndarray, made: Plain, made_weights: torch.Tensor
) -> dict[str, float]:
    """The columns that compare, of one pair, patch by patch."""
    from torchvision.transforms.functional import gaussian_blur

    cosines = (normalize(reference.tokens, dim=-1) @ normalize(made.tokens, dim=-1).T).numpy()
    weights = on_grid(mask, reference.grid).numpy()
    of_made = made_weights.numpy()
    best = cosines.max(axis=1)
    mutual = [
        (i, j)
        for i, j in enumerate(cosines.argmax(axis=1))
        if cosines[:, j].argmax() == i and weights[i] > 0.5
    ]
    height, width = reference.grid
    fine = on_grid(mask, (height * 16, width * 16)).reshape(1, 1, height * 16, width * 16)
    smooth = gaussian_blur(fine, [49, 49], [8.0, 8.0])
    blurred = F.interpolate(smooth, size=reference.grid, mode="bilinear", align_corners=False)
    soft = blurred.flatten().numpy()
    everything = torch.ones(len(weights))
    return {
        "cp.global_maxcos": float(best.mean()),
        "cp.weighted_maxcos": float((weights * best).sum() / weights.sum()),
        "cp.weighted_maxcos:8": float((soft * best).sum() / soft.sum()),
        "cp.recall_fg": float(np.mean([of_made[j] > 0.5 for _, j in mutual])) if mutual else 0.0,
        "cp.leak": float(cosines[weights <= 0.5][:, of_made < 0.5].max(axis=1).mean()),
        "siglip2_global": float(reference.pool(everything) @ made.pool(torch.ones(len(of_made)))),
    }


def test_dropped_patches_are_of_the_foreground_by_share_and_key(
    scores: tuple[list[Score], MaSC], pictures: list[tuple[Any, np.ndarray, np.ndarray]]
) -> None:
    masc = scores[1]
    image, mask, _ = pictures[0]
    given = masc.prepare(image, mask, key="a")
    n = int((given.weights >= 0.5).sum())
    kept = given.masks["drop:0.2"]
    dropped = (given.weights >= 0.5) & (kept == 0)
    assert int(dropped.sum()) == round(0.2 * n)
    assert torch.equal(kept[~dropped], given.weights[~dropped])
    again, other = masc.prepare(image, mask, key="a"), masc.prepare(image, mask, key="b")
    assert torch.equal(again.masks["drop:0.2"], kept)
    assert not torch.equal(other.masks["drop:0.2"], kept)


def test_what_lacks_a_mask_has_no_value_and_the_others_have_theirs(
    scores: tuple[list[Score], MaSC], pictures: list[tuple[Any, np.ndarray, np.ndarray]]
) -> None:
    whole, masc = scores
    images, masks, others = zip(*pictures, strict=True)
    lacking = masc.encode_references(images[:2], masks[:2], [{"other": others[0]}, {}])
    having = masc.encode_references(images[:2], masks[:2], [{"other": o} for o in others[:2]])
    made = pictures[2]
    one, two = masc.score_batch(
        [
            Generation(made[0], made[1], PROMPT, lacking, SUBJECT, "0", {"other": made[2]}),
            Generation(made[0], made[1], PROMPT, having, SUBJECT, "0"),
        ]
    )
    assert one.extra["cp@other"] is None
    assert one.extra["pf@other"] == pytest.approx(whole[0].extra["pf@other"], abs=1e-6)
    assert two.extra["pf@other"] is None
    assert two.extra["cp@other"] == pytest.approx(whole[0].extra["cp@other"], abs=1e-6)
    for each in (one, two):
        assert each.cp == pytest.approx(whole[0].cp, abs=1e-6)


def test_what_has_no_background_or_no_foreground_is_not_a_number(
    scores: tuple[list[Score], MaSC], pictures: list[tuple[Any, np.ndarray, np.ndarray]]
) -> None:
    masc = scores[1]
    image, mask, _ = pictures[0]
    all_of_it, none_of_it = np.full_like(mask, 255), np.zeros_like(mask)
    [full] = masc.encode_references([image], [all_of_it])
    [empty] = masc.encode_references([image], [none_of_it])
    against_full, against_empty = masc.score_batch(
        [
            Generation(image, mask, PROMPT, [full], SUBJECT),
            Generation(image, mask, PROMPT, [empty], SUBJECT),
        ]
    )
    assert math.isnan(against_full.extra["cp.leak"] or 0)
    assert math.isnan(against_empty.extra["cp.weighted_maxcos"] or 0)
    assert against_empty.extra["cp.recall_fg"] == 0.0
    assert against_full.extra["cp.global_maxcos"] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("masks", "extra", "message"),
    [
        (["given", "dilate"], [], "dilate: needs an amount, as in dilate:5"),
        (["given", "drop:1.5"], [], "drop:1.5: expected a share over 0 and up to 1"),
        (["given", "dilate:0.5"], [], "dilate:0.5: expected pixels, 1 to"),
        (["given", "grow:5"], [], "grow:5: no such mask; dilate, erode, drop take an amount"),
        (["given", "a.b"], [], "'a.b': not the NAME of a member"),
        (["given"], ["pf.bg.none"], "no such column 'pf.bg.none'; known: pf.bg.stripped"),
        (["given"], ["cp.leak:5"], "no such column 'cp.leak:5'"),
        (["given"], ["cp.weighted_maxcos:x"], "expected a blur in pixels"),
    ],
)
def test_a_name_that_there_is_not_is_refused(
    scores: tuple[list[Score], MaSC], masks: list[str], extra: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        MaSC(scores[1].encoder, masks=masks, extra=extra)
