"""PF by CLIP's pools."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from masc_core.comparators import ComparatorSettings, load_comparator, make_comparators
from masc_core.masks import mask_weights
from masc_core.protocol import NOTES
from tests.masc_core.comparators.checkpoints import TEXT_LENGTH, write_clip
from tests.masc_core.comparators.scoring import Note, Sample, batches, encoded, loaded, scored

pytestmark = pytest.mark.slow

POOLS, TEXTS = ("bg", "full", "fg"), ("stripped", "full")
NAMES = [f"pf.{pool}.{text}@clip_b" for pool in POOLS for text in TEXTS]

WHOLE = ["a dog at sea", "my backpack", "the red clock", "a teapot"]
NOUNS = ["dog", "backpack", "clock", "cup"]
STRIPPED = ["at sea", "my", "the red", "a teapot"]
"""By hand; the last does not name its subject."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip")
    write_clip(path)
    return path


@pytest.fixture(scope="module")
def samples(generations: list[Sample]) -> list[Sample]:
    """Wide, tall and square photos."""
    return [
        replace(own, prompt=prompt, subject=noun)
        for own, prompt, noun in zip(generations, WHOLE, NOUNS, strict=True)
    ]


def in_the_middle(mask: np.ndarray) -> np.ndarray:
    """The square that a CLIP processor's crop leaves."""
    height, width = mask.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return mask[top : top + side, left : left + side]


def plain_pools(
    path: Path,
    samples: list[Sample],
    dtype: torch.dtype = torch.float32,
    stripped: list[str] = STRIPPED,
) -> dict[str, list[float]]:
    """As the paper's reproduction code has it, an image at a time, with its prompt and what is
    left of that without its subject."""
    from transformers import CLIPModel, CLIPProcessor

    model = CLIPModel.from_pretrained(path).eval()
    processor = CLIPProcessor.from_pretrained(path)
    columns: dict[str, list[float]] = {name: [] for name in NAMES}
    with torch.inference_mode():
        prompts = {}
        for text, own in (("stripped", stripped), ("full", [each.prompt for each in samples])):
            inputs = processor(text=own, padding=True, truncation=True, return_tensors="pt")
            prompts[text] = model.get_text_features(**inputs).pooler_output
        model.vision_model.to(dtype)
        model.visual_projection.to(dtype)
        for i, sample in enumerate(samples):
            inputs = processor(images=sample.image, return_tensors="pt")
            tokens = model.vision_model(inputs.pixel_values.to(dtype)).last_hidden_state[0]
            values = torch.from_numpy(in_the_middle(sample.mask).astype(np.float32) / 255)
            grid = nn.functional.interpolate(values[None, None], (4, 4), mode="bilinear")
            is_foreground = (grid >= 0.5).flatten()
            pooled = {
                "bg": tokens[1:][~is_foreground].mean(0),
                "full": tokens[0],
                "fg": tokens[1:][is_foreground].mean(0),
            }
            for pool, own_pool in pooled.items():
                image = model.visual_projection(model.vision_model.post_layernorm(own_pool))
                for text in TEXTS:
                    cosine = nn.functional.cosine_similarity(image.float(), prompts[text][i], dim=0)
                    columns[f"pf.{pool}.{text}@clip_b"].append(float(cosine))
    return columns


@pytest.mark.parametrize("size", [1, 3])
def test_columns_are_what_the_papers_code_and_the_library_give(
    checkpoint: Path,
    samples: list[Sample],
    references: list[Sample],
    size: int,
    note_difference: Note,
) -> None:
    columns = scored(loaded(*NAMES, path=checkpoint), samples, references, size)
    plain = plain_pools(checkpoint, samples)
    assert columns.keys() == {*NAMES, NOTES}
    for name in NAMES:
        note_difference(name, columns[name], plain[name])
        assert columns[name] == pytest.approx(plain[name], abs=1e-5), name
    assert columns[NOTES] == [None] * 4
    # The pools are told apart, so that one in another's place would be seen.
    found = torch.tensor([columns[f"pf.{pool}.full@clip_b"] for pool in POOLS])
    assert torch.pdist(found).min() > 0.05


@pytest.mark.parametrize(("dtype", "rounding"), [("bfloat16", 2**-6), ("float16", 2**-9)])
def test_lower_precision_is_that_of_the_library_but_for_texts(
    checkpoint: Path, samples: list[Sample], references: list[Sample], dtype: str, rounding: float
) -> None:
    columns = scored(loaded(*NAMES, path=checkpoint, dtype=dtype), samples, references, 3)
    plain = plain_pools(checkpoint, samples, getattr(torch, dtype))
    for name in NAMES:
        assert columns[name] == pytest.approx(plain[name], abs=rounding), name


def test_the_full_pool_and_the_whole_prompt_are_clip_t(
    checkpoint: Path, samples: list[Sample], references: list[Sample]
) -> None:
    name = "pf.full.full@clip_b"
    own = scored(loaded(name, path=checkpoint), samples, references, 2)[name]
    clip_t = scored(loaded("clip_t", path=checkpoint), samples, references, 2)["clip_t"]
    assert own == pytest.approx(clip_t, abs=1e-6)


@pytest.mark.parametrize("size", [(640, 427), (401, 639), (300, 300), (64, 20)])
def test_a_mask_is_cut_where_its_image_is(checkpoint: Path, size: tuple[int, int]) -> None:
    """An image that is its own mask, through the processor: patches are as bright as they weigh."""
    metric = loaded(NAMES[0], path=checkpoint)
    mask = np.zeros(size[::-1], np.uint8)
    mask[: size[1] // 2, size[0] // 3 :] = 255
    network = metric.network  # type: ignore[attr-defined]
    image = Image.fromarray(mask).convert("RGB")
    pixels = network.prepare(image)[0]
    spread = pixels.max() - pixels.min()
    brightness = ((pixels - pixels.min()) / spread).reshape(4, 16, 4, 16).mean((1, 3)).flatten()
    for scale in (1, 3):  # a mask need not be of the image's size
        own = np.asarray(image.convert("L").resize((size[0] * scale, size[1] * scale), 0))
        weights = mask_weights(network.seen_of(own), (4, 4))
        assert ((weights >= 0.5) == (brightness >= 0.5)).float().mean() >= 14 / 16
        assert np.corrcoef(weights, brightness)[0, 1] > 0.9


def test_a_pool_that_sees_nothing_is_nan_and_says_so(
    checkpoint: Path, samples: list[Sample], references: list[Sample]
) -> None:
    whole = replace(samples[0], mask=np.full_like(samples[0].mask, 255))
    bare = replace(samples[1], mask=np.zeros_like(samples[1].mask))
    columns = scored(loaded(*NAMES, path=checkpoint), [whole, bare], references, 2)
    nan = {name: [math.isnan(value) for value in columns[name]] for name in NAMES}
    assert nan == {
        name: {"bg": [True, False], "full": [False, False], "fg": [False, True]}[name.split(".")[1]]
        for name in NAMES
    }
    assert columns[NOTES] == [
        "; ".join(f"pf.bg.{text}@clip_b: no background patch" for text in TEXTS),
        "; ".join(f"pf.fg.{text}@clip_b: no foreground patch" for text in TEXTS),
    ]


def test_a_text_that_is_cut_says_so(
    checkpoint: Path, samples: list[Sample], references: list[Sample]
) -> None:
    long = replace(samples[0], prompt=f"a dog {'x' * TEXT_LENGTH}")
    [name] = [name for name in NAMES if name == "pf.bg.stripped@clip_b"]
    columns = scored(loaded(name, path=checkpoint), [long, samples[1]], references, 2)
    # Opened, closed, and a token a letter.
    assert columns[NOTES] == [f"{name}: {TEXT_LENGTH + 2} tokens, cut to {TEXT_LENGTH}", None]


def test_all_columns_are_one_forward_and_references_none(
    checkpoint: Path, samples: list[Sample], references: list[Sample]
) -> None:
    metric = loaded(*NAMES, path=checkpoint)
    counts: list[int] = []
    vision = metric.network._vision  # type: ignore[attr-defined]
    vision.register_forward_pre_hook(lambda module, args: counts.append(len(args[0])))
    own = encoded(metric, references, 3)
    for batch in batches(metric, samples, 2):
        metric.score(batch, [own] * 2)
    assert counts == [2, 2]


def test_what_changes_its_values_is_in_its_fingerprint(checkpoint: Path) -> None:
    from tests.masc_core.test_spacy_model import PACKAGE

    def fingerprint(*names: str, **settings: object) -> dict[str, object]:
        own = ComparatorSettings(name_or_path=str(checkpoint), **settings)  # type: ignore[arg-type]
        return dict(make_comparators(names, own).fingerprint())

    own = fingerprint(NAMES[0])
    assert own.keys() == {
        *("weights", "preprocessing", "dtype", "masks", "fg_threshold", "stripper")
    }
    # Whatever is asked for with it, and later.
    assert fingerprint(NAMES[3]) == fingerprint(*NAMES) == own
    assert fingerprint(NAMES[0], stripper="none") == {**own, "stripper": "none"}
    assert fingerprint(NAMES[0], fg_threshold=0.3) == {**own, "fg_threshold": 0.3}
    spacy = fingerprint(NAMES[0], stripper="spacy", spacy_model=PACKAGE)
    assert str(spacy.pop("spacy_model")).startswith("sha256:")
    assert spacy == {**own, "stripper": "spacy"}


def test_the_stripper_is_the_runs(
    checkpoint: Path, samples: list[Sample], references: list[Sample]
) -> None:
    stripped, whole = NAMES[:2]
    kept = loaded(stripped, whole, path=checkpoint, stripper="none")
    columns = scored(kept, samples, references, 2)
    assert columns[stripped] == columns[whole]


def test_in_a_notebook_it_takes_prompt_subject_and_mask(
    checkpoint: Path, samples: list[Sample], references: list[Sample]
) -> None:
    name = "pf.bg.stripped@clip_b"
    pf = load_comparator(name, name_or_path=str(checkpoint))
    [value] = plain_pools(checkpoint, samples)[name][:1]
    own = samples[0]
    found = pf(own.image, prompt=own.prompt, subject=own.subject, mask=own.mask)
    assert found == pytest.approx(value, abs=1e-5)
    with pytest.raises(ValueError, match=f"^{name}: needs a mask$"):
        pf(own.image, prompt=own.prompt)
