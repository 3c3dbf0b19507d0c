"""Aggregators over the patch tokens of DINOv3 and SigLIP2."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from masc_core.comparators import ComparatorSettings, make_comparators
from masc_core.protocol import NOTES
from tests.masc_core.comparators import checkpoints
from tests.masc_core.comparators.scoring import Note, Sample, batches, encoded, loaded, scored

pytestmark = pytest.mark.slow

AGGREGATORS = ("masked_maxcos", "global_maxcos", "weighted_maxcos", "recall_fg")


@dataclass(frozen=True)
class Case:
    """A backbone, how its small checkpoint is written, and what is known of that."""

    backbone: str
    write: Callable[[Path], None]
    side: int
    patch_size: int
    n_prefix_tokens: int

    def names(self, *aggregators: str) -> list[str]:
        return [f"cp.{each}@{self.backbone}" for each in aggregators or AGGREGATORS]

    @property
    def grid(self) -> int:
        """Patches a side."""
        return self.side // self.patch_size


CASES = [
    Case("dinov3_b", checkpoints.write_dinov3, 512, 32, 5),
    Case("siglip2_b", checkpoints.write_siglip, 128, 16, 0),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.backbone)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module")
def checkpoint(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(case.backbone)
    case.write(path)
    return path


def plain_tokens(
    case: Case, path: Path, samples: list[Sample], dtype: torch.dtype
) -> list[torch.Tensor]:
    """Patch tokens (N, D) of each image, by the model that `AutoModel` knows of."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(path, dtype=dtype)
    model = getattr(model, "vision_model", model)
    tokens = []
    for own in samples:
        square = own.image.resize((case.side, case.side), Image.Resampling.BILINEAR)
        values = torch.from_numpy(np.array(square)).float() / 255
        values = (values - torch.tensor(checkpoints.MEAN)) / torch.tensor(checkpoints.STD)
        with torch.inference_mode():
            hidden = model(pixel_values=values.permute(2, 0, 1)[None].to(dtype)).last_hidden_state
        tokens.append(hidden[0, case.n_prefix_tokens :].float())
    return tokens


def on_grid(mask: np.ndarray, grid: int) -> torch.Tensor:
    values = torch.from_numpy(mask.astype(np.float32) / 255)[None, None]
    return nn.functional.interpolate(values, (grid, grid), mode="bilinear")[0, 0].flatten()


def plain_scores(
    reference: torch.Tensor, r: torch.Tensor, generation: torch.Tensor, g: torch.Tensor
) -> dict[str, float]:
    """The aggregators as the paper has them, patch by patch."""
    cosines = nn.functional.cosine_similarity(reference[:, None], generation[None], dim=-1)
    best, nearest = cosines.max(dim=1)
    back = cosines.argmax(dim=0)
    matched = [i for i in range(len(r)) if back[nearest[i]] == i and r[i] > 0.5]
    hit = [i for i in matched if g[nearest[i]] > 0.5]
    return {
        "masked_maxcos": float(best[r > 0.5].mean()),
        "global_maxcos": float(best.mean()),
        "weighted_maxcos": float((r * best).sum() / r.sum()),
        "recall_fg": len(hit) / len(matched) if matched else 0.0,
    }


def expected(
    case: Case, path: Path, generations: list[Sample], references: list[Sample], dtype: Any
) -> dict[str, list[list[float]]]:
    """By the aggregator, per generation a value for each reference."""
    images, photos = (
        list(zip(plain_tokens(case, path, own, dtype), own, strict=True))
        for own in (generations, references)
    )
    rows = [
        [
            plain_scores(
                *(tokens, on_grid(photo.mask, case.grid)),
                *(others, on_grid(image.mask, case.grid)),
            )
            for tokens, photo in photos
        ]
        for others, image in images
    ]
    return {name: [[each[name] for each in row] for row in rows] for name in AGGREGATORS}


@pytest.mark.parametrize("size", [1, 3])
def test_columns_are_what_the_paper_and_the_library_give(
    case: Case,
    checkpoint: Path,
    generations: list[Sample],
    references: list[Sample],
    size: int,
    note_difference: Note,
) -> None:
    metric = loaded(*case.names(), path=checkpoint)
    columns = scored(metric, generations, references, size)
    plain = expected(case, checkpoint, generations, references, torch.float32)
    assert columns.keys() == {*metric.columns, NOTES}
    for aggregator, name in zip(AGGREGATORS, case.names(), strict=True):
        found = torch.tensor(columns[f"{name}_per_reference"])
        values = torch.tensor(plain[aggregator])
        note_difference(name, found, values)
        torch.testing.assert_close(found, values, atol=1e-5, rtol=0)
        assert columns[name] == pytest.approx(values.mean(1).tolist(), abs=1e-5)
        assert values.std() > 0.005
    assert columns[NOTES] == [None] * 4


@pytest.mark.parametrize(("dtype", "rounding"), [("bfloat16", 2**-6), ("float16", 2**-9)])
def test_lower_precision_is_that_of_the_library(
    case: Case,
    checkpoint: Path,
    generations: list[Sample],
    references: list[Sample],
    dtype: str,
    rounding: float,
) -> None:
    # Mutual nearest neighbours are another number altogether where rounding chooses them.
    metric = loaded(*case.names(*AGGREGATORS[:3]), path=checkpoint, dtype=dtype)
    columns = scored(metric, generations, references, 3)
    plain = expected(case, checkpoint, generations, references, getattr(torch, dtype))
    for aggregator, name in zip(AGGREGATORS[:3], case.names(*AGGREGATORS[:3]), strict=True):
        found = torch.tensor(columns[f"{name}_per_reference"])
        values = torch.tensor(plain[aggregator])
        torch.testing.assert_close(found, values, atol=rounding, rtol=0)


def test_a_blurred_mask_is_torchvisions(
    case: Case, checkpoint: Path, generations: list[Sample], references: list[Sample]
) -> None:
    from torchvision.transforms.functional import gaussian_blur

    sigma = 5
    [name] = case.names(f"weighted_maxcos:{sigma}")
    columns = scored(loaded(name, path=checkpoint), generations, references, 3)
    [tokens, *_] = plain_tokens(case, checkpoint, references, torch.float32)
    [image, *_] = plain_tokens(case, checkpoint, generations, torch.float32)
    fine = case.grid * case.patch_size
    mask = on_grid(references[0].mask, fine).reshape(1, 1, fine, fine)
    blurred = gaussian_blur(mask, [2 * 3 * sigma + 1] * 2, [sigma] * 2)
    grid = (case.grid, case.grid)
    weights = nn.functional.interpolate(blurred, grid, mode="bilinear").flatten()
    best = nn.functional.cosine_similarity(tokens[:, None], image[None], dim=-1).amax(1)
    value = float((weights * best).sum() / weights.sum())
    assert columns[f"{name}_per_reference"][0][0] == pytest.approx(value, abs=1e-5)
    [plain] = case.names("weighted_maxcos")
    unblurred = scored(loaded(plain, path=checkpoint), generations, references, 3)
    assert abs(unblurred[f"{plain}_per_reference"][0][0] - value) > 1e-4


def test_all_names_are_one_forward_an_image(
    case: Case, checkpoint: Path, generations: list[Sample], references: list[Sample]
) -> None:
    metric = loaded(*case.names(), path=checkpoint)
    counts: list[int] = []
    model = metric.network._model  # type: ignore[attr-defined]
    model.register_forward_pre_hook(lambda module, args: counts.append(len(args[0])))
    own = encoded(metric, references, 3)
    for batch in batches(metric, generations, 2):
        metric.score(batch, [own] * 2)
    assert counts == [3, 2, 2]


def test_the_foreground_alone_is_kept_where_nothing_else_counts(
    case: Case, checkpoint: Path, generations: list[Sample], references: list[Sample]
) -> None:
    [name] = case.names("masked_maxcos")
    alone, both = loaded(name, path=checkpoint), loaded(*case.names(), path=checkpoint)
    [kept, *_] = encoded(alone, references, 3)
    n_foreground = int((on_grid(references[0].mask, case.grid) > 0.5).sum())
    assert 0 < n_foreground < case.grid**2
    assert len(kept.features["tokens"]) == n_foreground
    [whole, *_] = encoded(both, references, 3)
    assert len(whole.features["tokens"]) == case.grid**2
    found, beside = (scored(each, generations, references, 3)[name] for each in (alone, both))
    assert found == pytest.approx(beside, abs=1e-6)


@pytest.mark.parametrize("names", [AGGREGATORS, AGGREGATORS[:1]])
def test_without_foreground_it_is_nan_and_the_row_says_why(
    case: Case,
    checkpoint: Path,
    generations: list[Sample],
    references: list[Sample],
    names: tuple[str, ...],
) -> None:
    bare = replace(references[0], mask=np.zeros_like(references[0].mask))
    metric = loaded(*case.names(*names), path=checkpoint)
    columns = scored(metric, generations[:1], [bare, references[1]], 1)
    [masked] = case.names("masked_maxcos")
    [first, second] = columns[f"{masked}_per_reference"][0]
    assert math.isnan(first)
    assert columns[masked] == [second]
    undefined = case.names(*(each for each in names if each in AGGREGATORS[::2]))
    said = [f"{name}: reference r0 has no foreground patch" for name in undefined]
    assert columns[NOTES] == ["; ".join(said)]


def test_the_threshold_of_foreground_counts_and_is_in_the_fingerprint(
    case: Case, checkpoint: Path, generations: list[Sample], references: list[Sample]
) -> None:
    grey = [replace(each, mask=each.mask // 2) for each in references]
    [name] = case.names("masked_maxcos")
    usual = loaded(name, path=checkpoint)
    lower = loaded(name, path=checkpoint, fg_threshold=0.25)
    assert math.isnan(scored(usual, generations, grey, 3)[name][0])
    assert not math.isnan(scored(lower, generations, grey, 3)[name][0])
    assert usual.fingerprint() == {**lower.fingerprint(), "fg_threshold": 0.5}
    every = loaded(*case.names(), path=checkpoint)
    assert every.fingerprint() == usual.fingerprint()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cp.weighted_maxcos:wide@dinov3_b", "expected a blur in pixels"),
        ("cp.weighted_maxcos:0@siglip2_b", "expected a blur in pixels"),
        ("cp.global_maxcos:3@dinov3_b", "no such column"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused_at_once(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{name.partition('@')[0]}: {reason}"):
        make_comparators([name], ComparatorSettings())


def test_settings_go_by_the_name_of_the_backbone(case: Case) -> None:
    [name] = case.names("recall_fg")
    source = make_comparators([name], ComparatorSettings(name_or_path="/x")).source
    assert source == f"comparators.{case.backbone}.name_or_path=/x"


def test_patches_that_do_not_divide_the_square_are_refused(tmp_path: Path) -> None:
    from transformers import DINOv3ViTConfig, DINOv3ViTImageProcessor, DINOv3ViTModel

    DINOv3ViTModel(DINOv3ViTConfig(**checkpoints.TOWER, patch_size=24)).save_pretrained(tmp_path)
    DINOv3ViTImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"512 pixels are no multiple of patch_size 24$"):
        loaded("cp.recall_fg@dinov3_b", path=tmp_path)
