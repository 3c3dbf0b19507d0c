"""The towers and their tokenizer: of the size asked for, and saved without a change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.demo.training.model import load_weights, new_model, save_checkpoint


def test_the_tokenizer_has_a_piece_for_most_words_and_spells_the_rest(tokenizer: Any) -> None:
    text = "a photo of a striped teal beetle on a snowy field"
    pieces = tokenizer(text)["input_ids"]
    assert len(pieces) < 1.7 * len(text.split())
    for any_text in (text, "an unheard-of żubr, 2 km away"):
        ids = tokenizer(any_text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == any_text


def test_first_weights_follow_from_the_seed(tokenizer: Any, model: Any) -> None:
    state = torch.get_rng_state()
    again, other = (
        new_model(tokenizer, seed, width=32, heads=2, vision_layers=2, text_layers=1)
        for seed in (0, 1)
    )
    assert torch.equal(torch.get_rng_state(), state)
    name = "vision_model.head.probe"
    assert torch.equal(again.state_dict()[name], model.state_dict()[name])
    assert not torch.equal(other.state_dict()[name], model.state_dict()[name])


def test_the_towers_are_as_wide_and_as_deep_as_asked(model: Any) -> None:
    assert model.vision_model.head.probe.shape == (1, 1, 32)
    assert model.vision_model.head.attention.num_heads == 2
    assert len(model.vision_model.encoder.layers) == 2
    assert len(model.text_model.encoder.layers) == 1
    assert model.config.vision_config.num_patches == 144


def test_a_checkpoint_holds_the_weights_in_float16_and_leaves_the_model_alone(
    model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    save_checkpoint(model, tokenizer, tmp_path)
    kept = load_weights(str(tmp_path))
    for name, weight in model.state_dict().items():
        assert weight.dtype in (torch.float32, torch.int64)
        assert torch.equal(
            kept[name], weight.half().float() if weight.is_floating_point() else weight
        )


def test_no_checkpoint_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        load_weights(str(tmp_path / "nowhere"))
