"""The random checkpoint: complete, loadable like a trained one, and telling inputs apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from jobs.demo.world.checkpoint import TEXT_LENGTH, write_random_checkpoint
from jobs.demo.world.render import random_pose, render
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import SUBJECTS

TEXTS = (
    "a photo of a red robot on a sandy beach",
    "a photo of a red robot on a snowy field",
    "a photo of on a sandy beach",
    "ein Käfer auf dem Tisch",
    "雪の上の甲虫",
    "🪲 on the 🌙",
    "",
    "1 + 1 = 2?!",
)


def load(path: Path) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoProcessor

    return AutoModel.from_pretrained(path).eval(), AutoProcessor.from_pretrained(path)


@pytest.fixture(scope="module")
def naflex(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    path = tmp_path_factory.mktemp("checkpoints") / "naflex"
    write_random_checkpoint(path)
    return load(path)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    path = tmp_path_factory.mktemp("checkpoints") / "fixed"
    write_random_checkpoint(
        path, naflex=False, hidden_size=48, layers=3, heads=3, image_size=96, patch_size=12
    )
    return load(path)


@pytest.fixture(params=["naflex", "fixed"])
def loaded(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    return request.getfixturevalue(request.param)


def photos(count: int, size: tuple[int, int] = (192, 192)) -> list[Any]:
    rng = np.random.default_rng(0)
    return [
        render(subject, scene, random_pose(rng), size)[0]
        for subject, scene in zip(SUBJECTS[:count], SCENES, strict=False)
    ]


def test_naflex_loads_as_siglip2(naflex: tuple[Any, Any]) -> None:
    model, processor = naflex
    assert (type(model).__name__, type(processor).__name__) == ("Siglip2Model", "Siglip2Processor")
    assert type(processor.tokenizer).__name__ == "Siglip2Tokenizer"
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_fixed_size_loads_as_siglip_with_the_sizes_asked_for(fixed: tuple[Any, Any]) -> None:
    model, processor = fixed
    assert (type(model).__name__, type(processor).__name__) == ("SiglipModel", "SiglipProcessor")
    for tower in (model.config.vision_config, model.config.text_config):
        assert (tower.hidden_size, tower.num_hidden_layers, tower.num_attention_heads) == (48, 3, 3)
    pixels = processor.image_processor(images=photos(1), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 96, 96)
    with torch.inference_mode():
        assert model.vision_model(pixels).last_hidden_state.shape == (1, 64, 48)


def test_naflex_keeps_the_aspect_within_the_patch_budget(naflex: tuple[Any, Any]) -> None:
    model, processor = naflex
    inputs = processor.image_processor(
        images=photos(1, (256, 192)), return_tensors="pt", max_num_patches=100
    )
    assert inputs["spatial_shapes"].tolist() == [[9, 11]]
    with torch.inference_mode():
        hidden = model.vision_model(**inputs).last_hidden_state
    assert hidden.shape == (1, 100, model.config.vision_config.hidden_size)


def test_every_text_has_the_tower_s_length_and_its_own_tokens(loaded: tuple[Any, Any]) -> None:
    _, processor = loaded
    assert processor.tokenizer.model_max_length == TEXT_LENGTH
    inputs = processor(
        text=[*TEXTS, "a very long prompt " * 50],
        padding="max_length",
        truncation=True,
        return_tensors="pt",
    )
    ids = inputs["input_ids"]
    assert ids.shape == (len(TEXTS) + 1, 64)
    assert len({tuple(row) for row in ids.tolist()}) == len(TEXTS) + 1
    assert processor.tokenizer.unk_token_id not in ids


@pytest.mark.parametrize("text", [text for text in TEXTS if text.islower()])
def test_tokens_spell_the_text(naflex: tuple[Any, Any], text: str) -> None:
    tokenizer = naflex[1].tokenizer
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_case_is_ignored_as_in_the_released_checkpoints(naflex: tuple[Any, Any]) -> None:
    tokenizer = naflex[1].tokenizer
    assert tokenizer("A Red Robot")["input_ids"] == tokenizer("a red robot")["input_ids"]


def test_texts_and_images_are_told_apart(loaded: tuple[Any, Any]) -> None:
    model, processor = loaded
    texts = processor(text=list(TEXTS), padding="max_length", return_tensors="pt")
    images = processor.image_processor(images=photos(6), return_tensors="pt")
    with torch.inference_mode():
        outputs = model.text_model(texts["input_ids"]), model.vision_model(**images)
    for output in outputs:
        unit = normalize(output.pooler_output, dim=-1)
        between = (unit @ unit.T)[~torch.eye(len(unit), dtype=torch.bool)]
        assert between.max() < 0.99
        assert between.std() > 0.05
    tokens = normalize(outputs[1].last_hidden_state[0], dim=-1)
    assert (tokens @ tokens.T).std() > 0.1


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.rand(1)  # what was drawn before does not matter
        write_random_checkpoint(tmp_path / name, seed=seed)
    a, b, c = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "abc"
    )
    assert a == b
    assert {name for name in a if a[name] != c[name]} == {"model.safetensors"}


def test_the_caller_s_random_numbers_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    write_random_checkpoint(tmp_path)
    assert torch.rand(1) == expected
