"""Weights that are not those of the model are no weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from masc_core.loading import load_pretrained, load_torch_file


@pytest.fixture
def checkpoint(fixed_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that may be spoiled."""
    return shutil.copytree(fixed_checkpoint, tmp_path / "checkpoint")


def lose_a_weight(path: Path) -> None:
    weights = load_file(path / "model.safetensors")
    del weights["vision_model.head.probe"]
    save_file(weights, path / "model.safetensors", {"format": "pt"})


def claim_another_width(path: Path) -> None:
    config = json.loads((path / "config.json").read_text())
    config["vision_config"]["intermediate_size"] += 8
    (path / "config.json").write_text(json.dumps(config))


def damage(path: Path) -> None:
    whole = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(whole[:-1])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lose_a_weight, r"1 weights are missing: vision_model\.head\.probe, \.\.\."),
        # Of both layers and the head, two matrices and one bias each.
        (claim_another_width, r"9 weights are of another shape than its config\.json says: vision"),
        (damage, "its weights are damaged: "),
    ],
)
def test_what_is_wrong_with_weights_is_one_line(
    checkpoint: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    from transformers import SiglipModel

    spoil(checkpoint)
    with pytest.raises(OSError, match=f"^{checkpoint}: {reason}") as raised:
        load_pretrained(SiglipModel, str(checkpoint))
    assert "\n" not in str(raised.value)


def test_a_model_is_not_to_be_trained(checkpoint: Path) -> None:
    from transformers import SiglipModel

    model = load_pretrained(SiglipModel, str(checkpoint))
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("is_zip", [True, False])
def test_what_torch_pickled_is_read_and_mapped_where_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_zip: bool
) -> None:
    file, weight = tmp_path / "weights.pt", torch.arange(12.0).reshape(3, 4)
    torch.save({"a": weight}, file, _use_new_zipfile_serialization=is_zip)
    mapped, load = [], torch.load
    monkeypatch.setattr(
        torch, "load", lambda *args, **own: mapped.append(own["mmap"]) or load(*args, **own)
    )
    assert load_torch_file(file, "here")["a"].tolist() == weight.tolist()
    shape = load_torch_file(file, "here", "meta")["a"]
    assert (shape.shape, shape.device.type) == ((3, 4), "meta")
    assert mapped == [is_zip] * 2
