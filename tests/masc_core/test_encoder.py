"""Loading and running encoders."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from masc_core import Encoder
from tests.pictures import painted


def test_naflex_is_told_by_the_configuration_and_not_by_the_name(
    naflex_checkpoint: Path, fixed_checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "fixed").symlink_to(naflex_checkpoint)
    (tmp_path / "naflex").symlink_to(fixed_checkpoint)
    assert Encoder.from_pretrained(str(tmp_path / "fixed")).is_naflex
    assert not Encoder.from_pretrained(str(tmp_path / "naflex")).is_naflex


def test_tokens_equal_the_models_own_with_padding_and_mask(naflex_checkpoint: Path) -> None:
    encoder = Encoder.from_pretrained(str(naflex_checkpoint), max_num_patches=64)
    from transformers import AutoModel, AutoProcessor

    image, _ = painted((200, 120), 1)
    inputs = AutoProcessor.from_pretrained(naflex_checkpoint).image_processor(
        images=[image], max_num_patches=64, return_tensors="pt"
    )
    with torch.inference_mode():
        whole = AutoModel.from_pretrained(naflex_checkpoint).vision_model(**inputs)
    pixels, grid = encoder.prepare_image(image)
    assert pixels.shape == (grid[0] * grid[1], 16 * 16 * 3)
    assert grid[0] * grid[1] < 64  # so that there is padding to do without
    valid = inputs["pixel_attention_mask"][0].bool()
    torch.testing.assert_close(
        encoder.encode_images(pixels[None], grid)[0],
        whole.last_hidden_state[0][valid],
        atol=1e-5,
        rtol=0,
    )


def test_the_budget_bounds_the_patches_of_a_naflex_image(naflex_checkpoint: Path) -> None:
    encoder = Encoder.from_pretrained(str(naflex_checkpoint), max_num_patches=50)
    for size in ((10, 10), (1000, 1000), (1000, 20), (3, 900)):
        height, width = encoder.prepare_image(painted(size, 0)[0])[1]
        assert 1 <= height * width <= 50


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_lower_precision_stays_near_float32(naflex_checkpoint: Path, dtype: str) -> None:
    exact = Encoder.from_pretrained(str(naflex_checkpoint), max_num_patches=64)
    rounded = Encoder.from_pretrained(
        str(naflex_checkpoint),
        dtype=dtype,  # type: ignore[arg-type]
        max_num_patches=64,
    )
    pixels, grid = exact.prepare_image(painted((160, 160), 1)[0])
    a, b = (encoder.encode_images(pixels[None], grid) for encoder in (exact, rounded))
    assert b.dtype == getattr(torch, dtype)
    assert torch.nn.functional.cosine_similarity(a, b.float(), dim=-1).min() > 0.99
    nothing = torch.zeros(1, 1, a.shape[1], dtype=torch.bool)
    assert rounded.pool(b, nothing).dtype == torch.float32
    # Texts are not rounded at all.
    assert torch.equal(rounded.encode_texts(["a cat"]), exact.encode_texts(["a cat"]))


def test_another_kind_of_model_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(ValueError, match="'clip'"):
        Encoder.from_pretrained(str(tmp_path))


def test_weights_other_than_safetensors_are_not_loaded(
    naflex_checkpoint: Path, tmp_path: Path
) -> None:
    for file in naflex_checkpoint.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        Encoder.from_pretrained(str(tmp_path))


def test_a_checkpoint_that_lacks_weights_is_refused(
    naflex_checkpoint: Path, tmp_path: Path
) -> None:
    shutil.copytree(naflex_checkpoint, tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["vision_model.head.probe"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(OSError, match=r"1 weights are missing: vision_model\.head\.probe"):
        Encoder.from_pretrained(str(tmp_path))


def test_the_package_imports_no_more_than_tensors_need() -> None:
    code = (
        "import sys, masc_core.metric;"
        "print({'ray','webdataset','fsspec','omegaconf','pyarrow'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # torch imports fsspec when it is there; that is its own affair.
    assert run.stdout.strip() in ("set()", "{'fsspec'}")
