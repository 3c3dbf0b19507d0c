"""Checkpoints with random weights: complete, repeatable, and good enough to tell texts apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jobs.demo.world.checkpoint import TEXT_LENGTH, spelling_tokenizer, write_random_checkpoint
from masc_core.encoder import Encoder
from tests.pictures import painted


def small(path: Path, **arguments: object) -> Path:
    write_random_checkpoint(path, hidden_size=16, layers=1, heads=2, **arguments)  # type: ignore[arg-type]
    return path


def weights_of(path: Path) -> bytes:
    return (path / "model.safetensors").read_bytes()


def test_the_same_arguments_write_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    first, again, other = (
        small(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert torch.equal(torch.get_rng_state(), state)
    for file in sorted(path.name for path in first.iterdir()):
        assert (first / file).read_bytes() == (again / file).read_bytes(), file
    assert weights_of(first) != weights_of(other)


@pytest.mark.parametrize(("naflex", "grid"), [(True, (4, 8)), (False, (4, 4))])
def test_both_sorts_load_and_give_patch_tokens_of_their_grid(
    naflex: bool, grid: tuple[int, int], tmp_path: Path
) -> None:
    path = small(tmp_path / "tiny", naflex=naflex, image_size=64)
    encoder = Encoder.from_pretrained(str(path), device="cpu", max_num_patches=32)
    pixels, found = encoder.prepare_image(painted((128, 64), 0)[0])
    assert found == grid
    assert encoder.encode_images(pixels[None], found).shape == (1, grid[0] * grid[1], 16)


def test_two_prompts_differ_after_its_text_tower(naflex_checkpoint: Path) -> None:
    encoder = Encoder.from_pretrained(str(naflex_checkpoint), device="cpu", max_num_patches=32)
    cat, moon = encoder.encode_texts(["a cat on a sandy beach", "a rocket on the moon"])
    assert torch.cosine_similarity(cat, moon, dim=0) < 0.9


def test_the_tokenizer_merges_what_it_is_told_and_spells_the_rest() -> None:
    tokenizer = spelling_tokenizer([("▁", "c"), ("▁c", "a"), ("▁ca", "t")])
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("a cat, 7 żubry")["input_ids"])
    # ż is C5 BC in UTF-8.
    spelled = ["<0xC5>", "<0xBC>", "u", "b", "r", "y"]
    assert pieces == ["a", "▁cat", ",", "▁", "7", "▁", *spelled, "<eos>"]
    padded = tokenizer("a cat", padding="max_length", truncation=True)["input_ids"]
    assert len(padded) == TEXT_LENGTH
    assert padded[-1] == tokenizer.pad_token_id
