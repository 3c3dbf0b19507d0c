"""CLIP-I and CLIP-T."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from masc_core.protocol import NOTES
from tests.masc_core.comparators.checkpoints import TEXT_LENGTH, write_clip
from tests.masc_core.comparators.scoring import Note, Sample, batches, encoded, loaded, scored

pytestmark = pytest.mark.slow

LONG = "a photograph of the teapot"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip")
    write_clip(path)
    return path


def plain_clip(
    path: Path, generations: list[Sample], references: list[Sample], dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """CLIP-I (B, R) and CLIP-T (B,) as the documentation of transformers has it."""
    from transformers import CLIPModel, CLIPProcessor

    model = CLIPModel.from_pretrained(path, dtype=dtype).eval()
    processor = CLIPProcessor.from_pretrained(path)

    def features(samples: list[Sample]) -> torch.Tensor:
        inputs = processor(images=[own.image for own in samples], return_tensors="pt")
        return model.get_image_features(inputs.pixel_values.to(dtype)).pooler_output.float()

    with torch.inference_mode():
        images, photos = features(generations), features(references)
        texts = processor(
            text=[own.prompt for own in generations],
            padding=True,
            truncation=True,
            return_tensors="pt",
        )
        prompts = model.get_text_features(**texts).pooler_output.float()
    cosine = nn.functional.cosine_similarity
    return cosine(images[:, None], photos[None], dim=-1), cosine(images, prompts, dim=-1)


@pytest.mark.parametrize("size", [1, 3])
def test_both_columns_are_what_the_library_itself_gives(
    checkpoint: Path,
    generations: list[Sample],
    references: list[Sample],
    size: int,
    note_difference: Note,
) -> None:
    metric = loaded("clip_i", "clip_t", path=checkpoint)
    columns = scored(metric, generations, references, size)
    clip_i, clip_t = plain_clip(checkpoint, generations, references, torch.float32)
    close = {"atol": 1e-5, "rtol": 0.0}
    note_difference("clip_i", columns["clip_i_per_reference"], clip_i)
    note_difference("clip_t", columns["clip_t"], clip_t)
    torch.testing.assert_close(torch.tensor(columns["clip_i_per_reference"]), clip_i, **close)
    torch.testing.assert_close(torch.tensor(columns["clip_i"]), clip_i.mean(1), **close)
    torch.testing.assert_close(torch.tensor(columns["clip_t"]), clip_t, **close)
    assert columns.keys() == {*metric.columns, NOTES}
    # The images are told apart, so that a column of something else would be seen.
    assert clip_i.std() > 0.1
    assert clip_t.std() > 0.1


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(("dtype", "rounding"), [("bfloat16", 2**-6), ("float16", 2**-9)])
def test_lower_precision_is_that_of_the_library_but_for_texts(
    checkpoint: Path,
    generations: list[Sample],
    references: list[Sample],
    dtype: str,
    rounding: float,
    size: int,
) -> None:
    metric = loaded("clip_i", "clip_t", path=checkpoint, dtype=dtype)
    columns = scored(metric, generations, references, size)
    clip_i, _ = plain_clip(checkpoint, generations, references, getattr(torch, dtype))
    _, clip_t = plain_clip(checkpoint, generations, references, torch.float32)
    close = {"atol": rounding, "rtol": 0.0}
    torch.testing.assert_close(torch.tensor(columns["clip_i_per_reference"]), clip_i, **close)
    torch.testing.assert_close(torch.tensor(columns["clip_t"]), clip_t, **close)
    assert metric.dtype == getattr(torch, dtype)


class Forwards:
    """Counts what goes through a module, in images or texts."""

    def __init__(self, module: nn.Module) -> None:
        self.n = 0
        module.register_forward_hook(self._count, with_kwargs=True)

    def _count(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        self.n += len(output.pooler_output)


def test_an_image_goes_through_once_for_both_and_a_prompt_once_at_all(
    checkpoint: Path, generations: list[Sample], references: list[Sample]
) -> None:
    metric = loaded("clip_i", "clip_t", path=checkpoint)
    images = Forwards(metric.network._vision)  # type: ignore[attr-defined]
    texts = Forwards(metric.network._text)  # type: ignore[attr-defined]
    own = encoded(metric, references, 3)
    assert (images.n, texts.n) == (3, 0)
    for _ in range(2):
        for batch in batches(metric, generations, 2):
            metric.score(batch, [own] * 2)
    # Four generations twice; three of their prompts differ.
    assert (images.n, texts.n) == (3 + 8, 3)


def test_references_do_not_go_through_where_only_the_prompt_counts(
    checkpoint: Path, generations: list[Sample], references: list[Sample]
) -> None:
    metric = loaded("clip_t", path=checkpoint)
    images = Forwards(metric.network._vision)  # type: ignore[attr-defined]
    own = encoded(metric, references, 3)
    assert [each.features for each in own] == [{}, {}, {}]
    assert images.n == 0
    alone = scored(metric, generations, references, 3)
    assert alone.keys() == {"clip_t", NOTES} == {*metric.columns, NOTES}
    both = scored(loaded("clip_i", "clip_t", path=checkpoint), generations, references, 3)
    assert alone["clip_t"] == both["clip_t"]


def test_clip_i_alone_is_what_it_is_beside_clip_t(
    checkpoint: Path, generations: list[Sample], references: list[Sample]
) -> None:
    alone = loaded("clip_i", path=checkpoint)
    both = loaded("clip_t", "clip_i", path=checkpoint)
    columns = scored(alone, generations, references, 3)
    assert columns.keys() == alone.columns.keys() == {"clip_i", "clip_i_per_reference"}
    assert columns["clip_i"] == scored(both, generations, references, 3)["clip_i"]
    assert alone.fingerprint() == both.fingerprint()


@pytest.mark.parametrize(("reduction", "reduce"), [("mean", torch.mean), ("max", torch.amax)])
def test_several_references_come_to_one_value_as_is_asked(
    checkpoint: Path,
    generations: list[Sample],
    references: list[Sample],
    reduction: str,
    reduce: Any,
) -> None:
    metric = loaded("clip_i", path=checkpoint, reference_reduction=reduction)
    columns = scored(metric, generations, references, 3)
    each = torch.tensor(columns["clip_i_per_reference"], dtype=torch.float64)
    assert columns["clip_i"] == pytest.approx(reduce(each, dim=1).tolist(), abs=1e-12)


def test_a_prompt_that_is_too_long_is_cut_and_the_row_says_so(
    checkpoint: Path, generations: list[Sample], references: list[Sample]
) -> None:
    # Every letter is a token, and one opens and one closes: this fits.
    assert len(LONG.replace(" ", "")) + 2 == TEXT_LENGTH == 24
    prompts = [LONG, LONG + " s", LONG + " in red"]
    samples = [replace(generations[0], prompt=prompt) for prompt in prompts]
    columns = scored(loaded("clip_t", path=checkpoint), samples, references, 4)
    said = "clip_t: {} tokens, cut to 24"
    assert columns[NOTES] == [None, said.format(25), said.format(29)]
    _, expected = plain_clip(checkpoint, samples, references, torch.float32)
    assert columns["clip_t"] == pytest.approx(expected.tolist(), abs=1e-5)
    # What was cut off made no difference.
    assert columns["clip_t"][1:] == pytest.approx(columns["clip_t"][:1] * 2, abs=1e-5)


def test_before_it_is_loaded_it_costs_no_torch(checkpoint: Path) -> None:
    code = (
        "import sys; from masc_core.comparators import ComparatorSettings, make_comparators;"
        f"own = make_comparators(['clip_i'], ComparatorSettings({str(checkpoint)!r}));"
        "own.fingerprint(); print({'torch', 'transformers'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
