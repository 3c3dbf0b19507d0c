"""The callbacks for training scripts of transformers and diffusers, on tiny models."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from masc_core import Generation, MaSC, Reference
from tests.pictures import painted

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"

MOST_LINES = 40

PROMPTS = ["a cat on a beach", "a cat in the snow", "the cat, asleep"]


@pytest.fixture(scope="module")
def masc() -> MaSC:
    return MaSC.from_pretrained("demo", device="cpu")


@pytest.fixture(scope="module")
def references(masc: MaSC) -> list[Reference]:
    photo, mask = painted((96, 96), 1)
    return masc.encode_references([photo], [mask])


def program(name: str) -> dict[str, Any]:
    path = EXAMPLES / f"{name}.py"
    assert len(path.read_text().splitlines()) <= MOST_LINES
    return runpy.run_path(str(path))


def left_half(image: Image.Image, text: str) -> np.ndarray:
    """In place of a segmenter."""
    assert text == "cat"
    return np.arange(image.width)[None].repeat(image.height, 0) < image.width // 2


def means(masc: MaSC, references: list[Reference], images: list[Image.Image]) -> list[float]:
    """Mean CP and PF of an image a prompt, by the metric itself."""
    scores = masc.score_batch(
        [
            Generation(image, left_half(image, "cat"), prompt, references, "cat")
            for image, prompt in zip(images, PROMPTS, strict=True)
        ]
    )
    return [float(np.mean([getattr(score, name) for score in scores])) for name in ("cp", "pf")]


class Shade(nn.Module):
    """A generator of one weight, which is how bright its pictures are."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.2))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": ((self.weight * x - labels) ** 2).mean()}


def shaded(model: nn.Module, prompt: str) -> Image.Image:
    picture, _ = painted((96, 96), PROMPTS.index(prompt) + 5)
    weight = float(model.weight.detach())  # type: ignore[arg-type]
    return picture.point(lambda value: min(255, round(value * weight)))


def test_the_trainer_of_transformers_logs_the_scores(
    masc: MaSC, references: list[Reference], tmp_path: Path
) -> None:
    from transformers import Trainer, TrainingArguments

    callback = program("transformers_callback")["MaSCCallback"](
        masc, references, PROMPTS, "cat", shaded, left_half
    )
    data = [{"x": torch.ones(1), "labels": torch.ones(1)}] * 4
    arguments = TrainingArguments(
        str(tmp_path),
        max_steps=2,
        eval_steps=1,
        eval_strategy="steps",
        learning_rate=0.2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
    )
    model = Shade()
    trainer = Trainer(model, arguments, train_dataset=data, eval_dataset=data, callbacks=[callback])
    trainer.train()
    logged = [each for each in trainer.state.log_history if "eval_masc_cp" in each]
    assert [each["step"] for each in logged] == [1, 2]
    last = means(masc, references, [shaded(model, prompt) for prompt in PROMPTS])
    assert [logged[-1]["eval_masc_cp"], logged[-1]["eval_masc_pf"]] == pytest.approx(last, abs=1e-5)
    assert logged[0]["eval_masc_pf"] != logged[1]["eval_masc_pf"]
    assert logged[-1]["eval_masc_n"] == 3


def test_a_pipeline_of_diffusers_is_scored_by_the_same_noise_at_every_step(
    masc: MaSC, references: list[Reference], tmp_path: Path
) -> None:
    pipeline = tiny_pipeline(tmp_path)
    validation = program("diffusers_callback")["MaSCValidation"](
        *(masc, references, PROMPTS, "cat", left_half),
        num_inference_steps=2,
        height=64,
        width=64,
    )
    logs: list[tuple[dict[str, float], int]] = []

    class Accelerator:
        def log(self, values: dict[str, float], step: int) -> None:
            logs.append((values, step))

    first = validation(pipeline, 10, Accelerator())
    assert logs == [(first, 10)]
    assert validation(pipeline, 20) == pytest.approx(first)
    assert first["masc_n"] == 3
    images = [
        pipeline(p, generator=torch.Generator().manual_seed(i), **validation.options).images[0]
        for i, p in enumerate(PROMPTS)
    ]
    cp_pf = [first["masc_cp"], first["masc_pf"]]
    assert cp_pf == pytest.approx(means(masc, references, images), abs=1e-5)


def tiny_pipeline(folder: Path) -> Any:
    """Stable Diffusion's parts, of next to no weights."""
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [*"abcdefghijklmnopqrstuvwxyz,"]
    pieces = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=32)
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        bos_token_id=len(pieces) - 2,
        eos_token_id=len(pieces) - 1,
        pad_token_id=1,
    )
    blocks = {"block_out_channels": (8, 8), "norm_num_groups": 4}
    unet = diffusers.UNet2DConditionModel(
        **{"layers_per_block": 1, "cross_attention_dim": 16, "attention_head_dim": 4, **blocks},
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    vae = diffusers.AutoencoderKL(
        **{"latent_channels": 4, **blocks},
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=diffusers.DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
