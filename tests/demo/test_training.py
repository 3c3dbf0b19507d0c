"""How the demo's encoder is trained: batches, losses, and training that can be interrupted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from jobs import train_demo_encoder
from jobs.demo.training import objective
from jobs.demo.training.model import new_model, save_checkpoint, world_tokenizer
from jobs.demo.training.photos import GRIDS, PairBatch, PairBatches
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import concepts
from masc_core.defaults import DEMO_MAX_NUM_PATCHES
from masc_core.encoder import Encoder
from masc_core.similarity import masked_max_cosine
from tests.pictures import painted

TINY = (
    "training.pairs=4", "training.scenes=3", "training.width=32", "training.vision_layers=1",
    "training.text_layers=1", "training.warmup=2", "concepts=2", "loaders=0", "threads=1",
)  # fmt: skip


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["train_demo_encoder", *words])
    return train_demo_encoder.main()


@pytest.fixture(scope="module")
def batch() -> PairBatch:
    return PairBatches(
        seed=0, steps=9, pairs=5, individuals=3, scenes=4, drop_subject=0.2, drop_scene=0.2
    )[3]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return world_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    return new_model(tokenizer, 0, width=32, heads=2, vision_layers=2, text_layers=1)


def test_a_batch_follows_from_its_seed_and_step(batch: PairBatch) -> None:
    def made(seed: int, step: int) -> PairBatch:
        batches = PairBatches(
            seed, 9, pairs=5, individuals=3, scenes=4, drop_subject=0.2, drop_scene=0.2
        )
        return batches[step]

    assert torch.equal(made(0, 3).patches, batch.patches)
    assert made(0, 3).captions == batch.captions
    assert made(0, 4).captions != batch.captions
    assert made(1, 3).captions != batch.captions


def test_the_two_photos_of_a_concept_lie_in_different_scenes(batch: PairBatch) -> None:
    first, second = batch.scenes.chunk(2)
    assert (first != second).all()
    assert len(set(batch.scenes.tolist())) <= 4


def test_captions_say_what_the_photo_shows_and_drop_a_part_now_and_then() -> None:
    batches = PairBatches(
        0, 9, pairs=100, individuals=3, scenes=24, drop_subject=0.2, drop_scene=0.2
    )
    made = batches[0]
    scenes = made.scenes[:100].tolist()
    train = {subject.noun for subject in concepts("train")}
    for caption, scene, names_subject, names_scene in zip(
        made.captions, scenes, made.names_subject, made.names_scene, strict=True
    ):
        assert (SCENES[scene].phrase in caption) == names_scene
        assert any(f" {noun}" in caption for noun in train) == names_subject
        assert names_subject or names_scene
    assert 0.1 < (~made.names_subject).float().mean() < 0.3
    assert 0.1 < (~made.names_scene).float().mean() < 0.3


def test_aspects_vary_from_batch_to_batch() -> None:
    batches = PairBatches(0, 40, pairs=2, individuals=1, scenes=2, drop_subject=0, drop_scene=0)
    grids = {batches[step].grid for step in range(20)}
    assert {(12, 12), (10, 14), (14, 10)} < set(GRIDS)
    assert len(grids) >= 5
    assert max(down * across for down, across in GRIDS) <= DEMO_MAX_NUM_PATCHES


def test_patches_and_tokens_are_those_of_the_metric_s_encoder(
    batch: PairBatch, model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    save_checkpoint(model, tokenizer, tmp_path)
    encoder = Encoder.from_pretrained(str(tmp_path), device="cpu", max_num_patches=100)
    model.load_state_dict({k: v.half().float() for k, v in model.state_dict().items()})
    image, _ = painted((160, 160), 0)
    pixels, grid = encoder.prepare_image(image)
    patches = np.asarray(image).reshape(10, 16, 10, 16, 3).transpose(0, 2, 1, 3, 4)
    ours = torch.from_numpy(patches.reshape(1, 100, 768).copy())
    with torch.no_grad():
        tokens = objective.patch_tokens(model, ours, grid)
        torch.testing.assert_close(tokens, encoder.encode_images(pixels[None], grid), atol=1e-4,
                                   rtol=1e-4)  # fmt: skip
        hidden = torch.arange(100)[None] % 3 == 0
        pooled = normalize(encoder.pool(tokens, hidden[:, None])[:, 0], dim=-1)
        torch.testing.assert_close(objective.pooled(model, tokens, hidden), pooled, atol=1e-4,
                                   rtol=1e-4)  # fmt: skip


def test_the_contrast_of_concepts_is_over_the_metric_s_own_cp() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(6, 7, 5, generator=generator)
    weights = (torch.rand(6, 7, generator=generator) > 0.5).float()
    weights[:, 0] = 1
    unit = normalize(tokens, dim=-1)
    first, second = unit.chunk(2)

    def cp(references: torch.Tensor, own: torch.Tensor, generations: torch.Tensor) -> torch.Tensor:
        kept = [each[weight > 0.5] for each, weight in zip(references, own, strict=True)]
        return masked_max_cosine(kept, generations).T / objective.CP_TEMPERATURE

    right = torch.arange(3)
    both = [cp(first, weights[:3], second), cp(second, weights[3:], first)]
    losses = [
        torch.nn.functional.cross_entropy(logits, right)
        for each in both
        for logits in (each, each.T)
    ]
    for each in both:
        cross = each[~torch.eye(3, dtype=torch.bool)].exp().sum() / 3
        right_pairs = each.diagonal().exp()
        losses.append(-(right_pairs / (right_pairs + cross)).log().mean())
    expected = torch.stack(losses).mean()
    torch.testing.assert_close(objective.concept_contrast(tokens, weights), expected)


def test_a_caption_fits_every_photo_that_it_is_true_of() -> None:
    """Of concepts A and B, two photos each; the captions say "in scene 0", and "B"."""
    batch = PairBatch(
        patches=torch.zeros(0),
        grid=(1, 1),
        weights=torch.zeros(0),
        scenes=torch.tensor([0, 0, 1, 2]),
        captions=["in scene 0", "B"],
        names_subject=torch.tensor([False, True]),
        names_scene=torch.tensor([True, False]),
    )
    perfect = 50 * torch.tensor(
        [[1.0, 0], [1, 1], [0, 0], [0, 1]]
    )  # A in 0, B in 0, A in 1, B in 2
    loss = objective.image_text_contrast(perfect, batch)
    # Where k captions fit alike, the least loss is log k; and so for the photos of a caption.
    least_of_photos = (0 + np.log(2) + 0) / 3  # nothing fits the third
    least_of_captions = (np.log(2) + np.log(2)) / 2
    assert float(loss) == pytest.approx((least_of_photos + least_of_captions) / 2, abs=1e-4)


def test_the_tokenizer_has_a_piece_for_most_words_and_spells_the_rest(tokenizer: Any) -> None:
    text = "a photo of a striped teal beetle on a snowy field"
    pieces = tokenizer(text)["input_ids"]
    assert len(pieces) < 1.7 * len(text.split())
    for any_text in (text, "an unheard-of żubr, 2 km away"):
        ids = tokenizer(any_text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == any_text


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "state.pt", weights_only=True)["model"]


def test_a_training_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = (*TINY, "training.steps=4", "save_every=2")
    assert call(monkeypatch, f"out={whole}", *words) == 0
    assert capsys.readouterr().out == f"{whole}/checkpoint\n"

    from jobs.demo.training.loop import Training

    save = Training.save

    def save_and_stop(self: Training) -> None:
        save(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(Training, "save", save_and_stop)
        assert call(monkeypatch, f"out={parts}", *words) == 3
    assert torch.load(parts / "state.pt", weights_only=True)["step"] == 2
    assert call(monkeypatch, f"out={parts}", *words) == 0
    a, b = weights_of(whole), weights_of(parts)
    assert all(torch.allclose(a[name], b[name], atol=1e-6) for name in a)
    steps = [json.loads(line)["step"] for line in (whole / "curve.jsonl").open()]
    assert steps == [2, 4, 4]


def test_a_training_of_another_configuration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (f"out={tmp_path}", *TINY, "training.steps=1", "save_every=1")
    assert call(monkeypatch, *words) == 0
    assert call(monkeypatch, *words, "training.seed=1") == 1
    assert "another seed" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["training.pairs=1", "training.scenes=99", "save_every=0"])
def test_a_setting_out_of_range_is_a_wrong_call(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, f"out={tmp_path / 'out'}", word) == 1
    assert not (tmp_path / "out").exists()


def test_a_few_steps_lower_the_losses(tokenizer: Any, tmp_path: Path) -> None:
    from jobs.demo.training.loop import Training
    from jobs.demo.training.settings import TrainingConfig

    config = TrainingConfig(steps=30, pairs=4, scenes=3, width=32, vision_layers=1, text_layers=1,
                            warmup=5)  # fmt: skip
    training = Training(config, tmp_path)
    same = PairBatches(0, 1, 4, 2, 3, 0.2, 0.2)[0]
    first = training.take_step(same)
    for _ in range(28):
        last = training.take_step(same)
    for name, loss in vars(last).items():
        assert float(loss.detach()) < float(vars(first)[name].detach()), name


def test_a_training_may_begin_where_another_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*TINY, "training.steps=2", "save_every=2")
    first, second = tmp_path / "first", tmp_path / "second"
    assert call(monkeypatch, f"out={first}", *words) == 0
    more = (f"training.start_from={first}/checkpoint", "training.learning_rate=0")
    assert call(monkeypatch, f"out={second}", *words, *more) == 0
    a, b = weights_of(first), weights_of(second)
    assert all(torch.allclose(a[name].half().float(), b[name]) for name in a)
