"""DIFT-SDXL against a plain use of diffusers' pipeline."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from jobs.pipeline.scoring.config import ComparatorConfig, EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import metrics_asked
from masc_core.checkpoint import CheckpointError
from masc_core.comparators import ComparatorSettings, make_comparators
from masc_core.protocol import NOTES
from tests.masc_core.comparators import checkpoints
from tests.masc_core.comparators.scoring import Note, Sample, encoded, loaded, scored
from tests.masc_core.comparators.test_patch_scores import AGGREGATORS, on_grid, plain_scores

pytestmark = pytest.mark.slow

GRID = 32
NAMES = ("dift_sdxl", *(f"cp.{each}@dift_sdxl" for each in AGGREGATORS))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sdxl")
    checkpoints.write_sdxl(path)
    return path


@pytest.fixture
def broken(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(checkpoint, tmp_path / "broken")


@torch.inference_mode()
def plain_tokens(path: Path, images: list[Image.Image], dtype: torch.dtype) -> list[torch.Tensor]:
    """What comes out of up-block 1 of a whole pass of the U-Net, (N, D) of each image; what is not
    SDXL's own, by the papers' words."""
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(path)
    vae, unet = pipeline.vae, pipeline.unet.to(dtype=dtype)
    found: list[torch.Tensor] = []
    unet.up_blocks[1].register_forward_hook(lambda module, args, out: found.append(out))
    embeds, _, pooled, _ = pipeline.encode_prompt("", "", "cpu", do_classifier_free_guidance=False)
    size = (1024, 1024)
    time_ids = pipeline._get_add_time_ids(size, (0, 0), size, torch.float32, pooled.shape[1])
    # A thousand steps, of betas whose roots are evenly apart.
    kept = np.prod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000)[: 261 + 1] ** 2)
    for image in images:
        pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32) / 127.5 - 1
        encoded = vae.encode(torch.tensor(pixels).permute(2, 0, 1)[None])
        latents = encoded.latent_dist.mode() * vae.config.scaling_factor
        noise = torch.randn(latents.shape, generator=torch.Generator("cpu").manual_seed(0))
        noisy = kept**0.5 * latents + (1 - kept) ** 0.5 * noise
        unet(
            noisy.to(dtype),
            261,
            encoder_hidden_states=embeds.to(dtype),
            added_cond_kwargs={"text_embeds": pooled.to(dtype), "time_ids": time_ids},
        )
    assert found[0].shape[2:] == (GRID, GRID)
    return [each[0].flatten(1).T.float() for each in found]


def expected(
    path: Path, generations: list[Sample], references: list[Sample], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """By the aggregator (generations, references)."""
    every = [*generations, *references]
    tokens = plain_tokens(path, [own.image for own in every], dtype)
    described = list(zip(tokens, [on_grid(own.mask, GRID) for own in every], strict=True))
    images, photos = described[: len(generations)], described[len(generations) :]
    rows = [[plain_scores(*photo, *image) for photo in photos] for image in images]
    return {
        name: torch.tensor([[each[name] for each in row] for row in rows], dtype=torch.float64)
        for name in AGGREGATORS
    }


@dataclass(frozen=True)
class Shots:
    """Two generations and two references, of two subjects and aspects other than a square's."""

    generations: list[Sample]
    references: list[Sample]
    values: dict[str, torch.Tensor]
    """What is to come of them in float32, by the aggregator."""


@pytest.fixture(scope="module")
def shots(checkpoint: Path, generations: list[Sample], references: list[Sample]) -> Shots:
    own, photos = [generations[1], generations[3]], references[1:3]
    return Shots(own, photos, expected(checkpoint, own, photos, torch.float32))


@pytest.mark.parametrize("size", [1, 2])
def test_columns_are_what_the_paper_and_the_library_give(
    checkpoint: Path, shots: Shots, size: int, note_difference: Note
) -> None:
    metric = loaded(*NAMES, path=checkpoint)
    network: Any = metric.network  # type: ignore[attr-defined]
    counts = {"unet": 0, "encoder": 0}

    def count(name: str) -> Callable[..., None]:
        return lambda module, args: counts.update({name: counts[name] + len(args[0])})

    network._unet.register_forward_pre_hook(count("unet"))
    network._vae.encoder.register_forward_pre_hook(count("encoder"))
    columns = scored(metric, shots.generations, shots.references, size)
    assert counts == {"unet": 4, "encoder": 4}  # whatever is asked of an image
    assert columns.keys() == {*metric.columns, NOTES}
    assert network.patch_size * GRID == 1024
    for aggregator, values in shots.values.items():
        name = f"cp.{aggregator}@dift_sdxl"
        found = torch.tensor(columns[f"{name}_per_reference"], dtype=torch.float64)
        note_difference(name, found, values)
        torch.testing.assert_close(found, values, atol=1e-5, rtol=0)
        assert columns[name] == pytest.approx(values.mean(1).tolist(), abs=1e-5)
        assert values.std() > 0.005
    assert columns["dift_sdxl"] == columns["cp.masked_maxcos@dift_sdxl"]
    assert columns["dift_sdxl_per_reference"] == columns["cp.masked_maxcos@dift_sdxl_per_reference"]


def test_lower_precision_is_the_u_nets_alone(checkpoint: Path, shots: Shots) -> None:
    """SDXL's VAE is too large for float16."""
    metric = loaded("dift_sdxl", path=checkpoint, dtype="bfloat16")
    assert metric.dtype == torch.float32
    pair = shots.generations[:1], shots.references[:1]
    [[found]] = scored(metric, *pair, 1)["dift_sdxl_per_reference"]
    [[value]] = expected(checkpoint, *pair, torch.bfloat16)["masked_maxcos"].tolist()
    assert found == pytest.approx(value, abs=2**-9)
    assert found != pytest.approx(float(shots.values["masked_maxcos"][0, 0]), abs=1e-6)


def test_the_foreground_alone_is_kept_of_a_reference(checkpoint: Path, shots: Shots) -> None:
    metric, photo = loaded("dift_sdxl", path=checkpoint), shots.references[0]
    [kept] = encoded(metric, [photo], 1)
    n_foreground = int((on_grid(photo.mask, GRID) > 0.5).sum())
    assert 0 < n_foreground < GRID**2
    assert len(kept.features["tokens"]) == n_foreground
    # And of the network what that takes.
    network: Any = metric.network  # type: ignore[attr-defined]
    modules = {name for name, own in vars(network).items() if isinstance(own, torch.nn.Module)}
    assert modules == {"_vae", "_unet"}
    assert (len(network._unet.up_blocks), network._vae.decoder) == (2, None)


PUBLISHED_UNET: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
PUBLISHED_VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}


def test_at_the_published_size_it_is_a_token_for_8_x_8_pixels_and_10_gb(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**PUBLISHED_UNET), AutoencoderKL(**PUBLISHED_VAE)
    assert unet.num_parameters() == 2_567_463_684  # as published
    metric: Any = make_comparators(["dift_sdxl"], ComparatorSettings(dtype="float16"))
    network = metric.network
    monkeypatch.setattr(network, "_pretrained", lambda *_, **__: unet)
    network._device = torch.device("cpu")
    network._take_geometry(vae, network._cut_unet())
    assert (network.grid, network.patch_size) == ((128, 128), 8)
    with torch.device("meta"), torch.inference_mode():
        added = {"text_embeds": torch.empty(1, 1280), "time_ids": torch.empty(1, 6)}
        inputs = torch.empty(1, 4, 128, 128), torch.tensor(261), torch.empty(1, 77, 2048)
        features = unet(*inputs, added_cond_kwargs=added).sample
    assert features.shape == (1, 640, 128, 128)
    n_vae = sum(
        each.numel() for part in (vae.encoder, vae.quant_conv) for each in part.parameters()
    )
    assert metric.weight_bytes == 2 * unet.num_parameters() + 4 * n_vae


def fingerprint(path: Path, **settings: Any) -> dict[str, Any]:
    own = ComparatorSettings(name_or_path=str(path), **settings)
    return dict(make_comparators(["dift_sdxl"], own).fingerprint())


def test_what_changes_its_values_changes_its_fingerprint_and_nothing_else(
    checkpoint: Path, broken: Path
) -> None:
    own = fingerprint(checkpoint)
    assert own.keys() == {"weights", "preprocessing", "dtype", "fg_threshold"}
    assert json.loads(json.dumps(own)) == own
    for unused in ("unet/diffusion_pytorch_model.fp16.safetensors", "sd_xl_base_1.0.safetensors"):
        (broken / unused).write_bytes(b"another")
    assert fingerprint(broken) == own
    seen = {own["weights"]}
    for part in ("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer_2", "scheduler"):
        [configuration] = {
            *(broken / part).glob("config.json"),
            *(broken / part).glob("tokenizer_config.json"),
            *(broken / part).glob("scheduler_config.json"),
        }
        configuration.write_text(configuration.read_text() + " ")
        seen.add(fingerprint(broken)["weights"])
    assert len(seen) == 7
    # What two parts have in common does not cancel out.
    first, second = (broken / part / "config.json" for part in ("text_encoder", "text_encoder_2"))
    swapped = first.read_text(), second.read_text()
    second.write_text(swapped[0])
    first.write_text(swapped[1])
    assert fingerprint(broken)["weights"] not in seen


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["model_index.json"], r"no model_index\.json in this directory; is it a pipeline\?"),
        (
            ["unet/diffusion_pytorch_model.safetensors"],
            r"its unet is incomplete: no unet/diffusion_pytorch_model\.safetensors or",
        ),
        (
            ["text_encoder_2/model.safetensors"],
            r"its text_encoder_2 is incomplete: no text_encoder_2/model\.safetensors or",
        ),
        (["vae/config.json"], r"its vae is incomplete: no vae/config\.json$"),
        (["tokenizer/tokenizer.json"], r"its tokenizer is incomplete: no tokenizer/vocab\.json or"),
        (
            ["scheduler/scheduler_config.json"],
            r"its scheduler is incomplete: no scheduler/scheduler_config\.json$",
        ),
    ],
)
def test_what_a_pipeline_lacks_is_named_before_it_is_loaded(
    broken: Path, files: list[str], reason: str
) -> None:
    for file in files:
        (broken / file).unlink()
    with pytest.raises(CheckpointError, match=f"^{broken}: {reason}"):
        fingerprint(broken)


def test_another_pipeline_is_refused(broken: Path) -> None:
    index = broken / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionXLPipeline", "FluxPipeline"))
    with pytest.raises(
        CheckpointError, match=f"^{broken}: a FluxPipeline, not a StableDiffusionXLPipeline$"
    ):
        fingerprint(broken)
    index.write_text("[]")
    with pytest.raises(CheckpointError, match=rf"^{broken}: model_index\.json names no class$"):
        fingerprint(broken)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_are_not_all_there_are_refused(broken: Path, part: str) -> None:
    """The libraries would fill in random numbers."""
    [file] = (broken / part).glob("*.safetensors")
    weights = load_file(file)
    name = max(name for name in weights if name.endswith("weight"))
    save_file({each: own for each, own in weights.items() if each != name}, file)
    with pytest.raises(OSError, match=f"^{broken}/{part}: 1 weights are missing: {name}, "):
        loaded("dift_sdxl", path=broken)
    file.write_bytes(file.read_bytes()[:999])
    with pytest.raises((OSError, ValueError), match=r"^.*damaged.*$|^Unable to load weights"):
        loaded("dift_sdxl", path=broken)


def test_parts_that_do_not_go_together_are_refused(broken: Path) -> None:
    shutil.rmtree(broken / "text_encoder_2")
    shutil.copytree(broken / "text_encoder", broken / "text_encoder_2")
    config = broken / "text_encoder_2" / "config.json"
    config.write_text(
        config.read_text().replace('"CLIPTextModel"', '"CLIPTextModelWithProjection"')
    )
    [file] = (broken / "text_encoder_2").glob("*.safetensors")
    save_file({**load_file(file), "text_projection.weight": torch.zeros(20, 24)}, file)
    reason = "its text encoders give embeddings of 48 and 68 values, its unet takes 72 and 68"
    with pytest.raises(ValueError, match=f"^{broken}: {reason}$"):
        loaded("dift_sdxl", path=broken)


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("scheduler/scheduler_config.json", ["beta_start", "beta_end", "beta_schedule"]),
        ("vae/config.json", ["scaling_factor"]),
    ],
)
def test_a_part_that_does_not_say_what_counts_is_refused(
    broken: Path, file: str, names: list[str]
) -> None:
    config = json.loads((broken / file).read_text())
    (broken / file).write_text(json.dumps({n: own for n, own in config.items() if n not in names}))
    reason = f"^{broken}: its {file} has no {', '.join(names)}$"
    with pytest.raises(ValueError, match=reason):
        loaded("dift_sdxl", path=broken)


def test_on_the_hub_it_goes_by_its_commit(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub as its cache on this machine."""
    cached, commit = tmp_path / "models--owner--sdxl", "c" * 40
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    shutil.copytree(checkpoint, cached / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    own = ComparatorSettings(name_or_path="owner/sdxl")
    assert make_comparators(["dift_sdxl"], own).fingerprint()["weights"] == f"commit:{commit}"
    reason = "^owner/other: no such directory, and as a hub id neither cached here nor reachable$"
    with pytest.raises(CheckpointError, match=reason):
        make_comparators(["dift_sdxl"], ComparatorSettings("owner/other")).fingerprint()


def test_all_names_are_one_metric_and_one_forward(checkpoint: Path) -> None:
    config = {"dift_sdxl": ComparatorConfig(name_or_path=str(checkpoint))}
    settings = MetricConfig(extra=[*NAMES, "cp.weighted_maxcos:16@dift_sdxl"], fg_threshold=0.25)
    _, found = metrics_asked(EncoderConfig(name_or_path="demo"), settings, config, 10**6)
    assert (found.groups, found.problem) == (tuple(settings.extra), None)
    assert found.fingerprint["fg_threshold"] == 0.25


def test_without_the_package_it_says_which_extra_to_install(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masc_core.comparators.weight_files.find_spec", lambda name: None)
    settings = MetricConfig(extra=["dift_sdxl"])
    _, found = metrics_asked(EncoderConfig(name_or_path="demo"), settings, {}, 10**6)
    assert found.lacks_package
    assert found.problem == (
        "metric.extra=dift_sdxl: needs the package diffusers: pip install 'masc-eval[dift]'"
    )
