"""DINO-I, DINOv3 and AM-RADIO: the cosine of one descriptor an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from tests.masc_core.comparators import checkpoints
from tests.masc_core.comparators.scoring import Note, Sample, batches, encoded, loaded, scored

pytestmark = pytest.mark.slow

Describe = Callable[[list[Image.Image]], torch.Tensor]


def cropped(images: list[Image.Image], shorter: int, side: int, mean: Any, std: Any) -> Any:
    """PIL's bicubic filter and the middle, by PIL alone; pixels (B, 3, side, side)."""
    pixels = []
    for image in images:
        width, height = image.size
        scale = shorter / min(width, height)
        size = (int(scale * width), int(scale * height))
        resized = image.resize(size, Image.Resampling.BICUBIC)
        left, top = (round((extent - side) / 2) for extent in size)
        square = resized.crop((left, top, left + side, top + side))
        values = torch.tensor(list(square.tobytes()), dtype=torch.float32).reshape(side, side, 3)
        pixels.append((values / 255 - torch.tensor(mean)) / torch.tensor(std))
    return torch.stack(pixels).permute(0, 3, 1, 2)


def plain_dino(path: Path, dtype: torch.dtype) -> Describe:
    from transformers import ViTModel

    model = ViTModel.from_pretrained(path, dtype=dtype, add_pooling_layer=False)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return lambda images: model(
        pixel_values=cropped(images, 256, 224, mean, std).to(dtype)
    ).last_hidden_state[:, 0]


def plain_dinov3(path: Path, dtype: torch.dtype) -> Describe:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(path, dtype=dtype)
    mean, std = checkpoints.MEAN, checkpoints.STD
    # Its pooled output is its CLS token.
    return lambda images: model(cropped(images, 256, 224, mean, std).to(dtype)).pooler_output


def plain_radio(path: Path, dtype: torch.dtype) -> Describe:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(path, dtype=torch.float32)

    def describe(images: list[Image.Image]) -> torch.Tensor:
        pixels = cropped(images, 512, 512, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        if dtype == torch.float32:
            return model(pixels).summary
        with torch.autocast("cpu", dtype):
            return model(pixels).summary

    return describe


@dataclass(frozen=True)
class Case:
    """A comparator, how its small checkpoint is written, and a plain use of it."""

    name: str
    write: Callable[[Path], None]
    plain: Callable[[Path, torch.dtype], Describe]
    published_dtype: str = "float32"


CASES = [
    Case("dino_i", checkpoints.write_dino, plain_dino),
    Case("dinov3", checkpoints.write_dinov3, plain_dinov3),
    Case("am_radio", checkpoints.write_radio, plain_radio, "bfloat16"),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module")
def checkpoint(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(case.name)
    case.write(path)
    return path


def expected(
    describe: Describe, generations: list[Sample], references: list[Sample]
) -> torch.Tensor:
    """Cosines (B, R)."""
    with torch.inference_mode():
        own = describe([each.image for each in generations]).float()
        others = describe([each.image for each in references]).float()
    return nn.functional.cosine_similarity(own[:, None], others[None], dim=-1)


@pytest.mark.parametrize("size", [1, 3])
def test_it_is_what_the_library_itself_gives(
    case: Case,
    checkpoint: Path,
    generations: list[Sample],
    references: list[Sample],
    size: int,
    note_difference: Note,
) -> None:
    metric = loaded(case.name, path=checkpoint, dtype="float32")
    columns = scored(metric, generations, references, size)
    plain = case.plain(checkpoint, torch.float32)
    cosines = expected(plain, generations, references)
    found = torch.tensor(columns[f"{case.name}_per_reference"])
    note_difference(case.name, found, cosines)
    torch.testing.assert_close(found, cosines, atol=1e-5, rtol=0)
    assert columns[case.name] == pytest.approx(cosines.mean(1).tolist(), abs=1e-5)
    assert columns.keys() == metric.columns.keys()
    assert cosines.std() > 0.1


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(("dtype", "rounding"), [("bfloat16", 2**-6), ("float16", 2**-9)])
def test_lower_precision_is_that_of_the_library(
    case: Case,
    checkpoint: Path,
    generations: list[Sample],
    references: list[Sample],
    dtype: str,
    rounding: float,
    size: int,
) -> None:
    metric = loaded(case.name, path=checkpoint, dtype=dtype)
    columns = scored(metric, generations, references, size)
    cosines = expected(case.plain(checkpoint, getattr(torch, dtype)), generations, references)
    found = torch.tensor(columns[f"{case.name}_per_reference"])
    torch.testing.assert_close(found, cosines, atol=rounding, rtol=0)


def test_without_a_dtype_it_is_the_published_one(
    case: Case, checkpoint: Path, generations: list[Sample], references: list[Sample]
) -> None:
    published = loaded(case.name, path=checkpoint)
    same = loaded(case.name, path=checkpoint, dtype=case.published_dtype)
    assert published.fingerprint() == same.fingerprint()
    assert published.fingerprint()["dtype"] == case.published_dtype
    one, other = (scored(each, generations, references, 3) for each in (published, same))
    assert one == other


def test_a_reference_goes_through_once(
    case: Case, checkpoint: Path, generations: list[Sample], references: list[Sample]
) -> None:
    metric = loaded(case.name, path=checkpoint)
    counts: list[int] = []
    model = metric.network._model  # type: ignore[attr-defined]
    model.register_forward_pre_hook(lambda module, args: counts.append(len(args[0])))
    own = encoded(metric, references, 3)
    assert counts == [3]
    for batch in batches(metric, generations, 2):
        metric.score(batch, [own] * 2)
    assert counts == [3, 2, 2]


def test_each_generation_has_its_own_references(
    case: Case, checkpoint: Path, generations: list[Sample], references: list[Sample]
) -> None:
    metric = loaded(case.name, path=checkpoint)
    first, second, third = encoded(metric, references, 3)
    [batch] = batches(metric, generations, 4)
    against = [[first], [second, third], [third, first, second], [second]]
    found = metric.score(batch, against)[f"{case.name}_per_reference"]
    whole = metric.score(batch, [[first, second, third]] * 4)[f"{case.name}_per_reference"]
    assert found == [
        pytest.approx([row[i] for i in chosen], abs=1e-6)
        for row, chosen in zip(whole, [[0], [1, 2], [2, 0, 1], [1]], strict=True)
    ]
