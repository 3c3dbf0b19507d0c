"""Checkpoints of the architectures that comparators use, with random weights, small by default.

Each is made by its configuration class and `save_pretrained`, and loads like a published one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.parity.comparing import recorded
from tests.parity.imagereward_reference import SMALL, SMALL_VOCABULARY, write_release
from tests.parity.reference import fill

TEXT_LENGTH = 24
"""Tokens that the small CLIP's text tower takes."""

TOWER: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
}

MEAN, STD = (0.4, 0.45, 0.5), (0.2, 0.25, 0.3)
"""Of a processor, unlike those that any library takes by itself."""


@torch.no_grad()
def differing(make: Callable[[], Any], seed: int = 0) -> Any:
    """A model whose answers differ from image to image, as those of an untrained one hardly do.

    Its matrices are those of the seed, of a size that keeps what goes through them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0, 1.5 * weight[0].numel() ** -0.5)
            elif name.endswith("bias"):
                weight.normal_(0, 0.1)
    return model


def clip_tokenizer() -> Any:
    """A CLIP tokenizer that spells: every byte is a token."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=TEXT_LENGTH)


def write_clip(
    path: Path,
    seed: int = 0,
    tower: Mapping[str, Any] = TOWER,
    image_size: int = 64,
    patch_size: int = 16,
) -> None:
    """A CLIP model of both towers, the text tower a small one, with its processor."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    tokenizer = clip_tokenizer()
    text = {
        **TOWER,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": TEXT_LENGTH,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {**tower, "image_size": image_size, "patch_size": patch_size}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=32)
    differing(lambda: CLIPModel(config), seed).save_pretrained(path)
    image_processor = CLIPImageProcessor(
        size={"shortest_edge": image_size},
        crop_size={"height": image_size, "width": image_size},
    )
    CLIPProcessor(image_processor, tokenizer).save_pretrained(path)


def write_dino(
    path: Path, seed: int = 0, tower: Mapping[str, Any] = TOWER, patch_size: int = 32
) -> None:
    """A ViT for images of 224 pixels, without a pooling layer, as DINO's is."""
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(**tower, image_size=224, patch_size=patch_size)
    differing(lambda: ViTModel(config, add_pooling_layer=False), seed).save_pretrained(path)


def write_dinov3(
    path: Path, seed: int = 0, tower: Mapping[str, Any] = TOWER, patch_size: int = 32
) -> None:
    """A DINOv3 ViT with registers, and its processor."""
    from transformers import DINOv3ViTConfig, DINOv3ViTImageProcessor, DINOv3ViTModel

    config = DINOv3ViTConfig(**tower, image_size=224, patch_size=patch_size, num_register_tokens=4)
    differing(lambda: DINOv3ViTModel(config), seed).save_pretrained(path)
    DINOv3ViTImageProcessor(image_mean=MEAN, image_std=STD).save_pretrained(path)


def write_radio(
    path: Path,
    seed: int = 0,
    tower: Mapping[str, Any] = TOWER,
    patch_size: int = 64,
    max_img_size: int = 1024,
) -> None:
    """A RADIO model: three teachers' CLS tokens, of which two are its summary."""
    from transformers import RadioConfig, RadioModel

    own = {name: tower[name] for name in tower if name != "intermediate_size"}
    mlp_ratio = tower["intermediate_size"] / tower["hidden_size"]
    config = RadioConfig(
        **own, mlp_ratio=mlp_ratio, patch_size=patch_size, max_img_size=max_img_size
    )
    differing(lambda: RadioModel(config), seed).save_pretrained(path)


def write_siglip(
    path: Path,
    seed: int = 0,
    tower: Mapping[str, Any] = TOWER,
    image_size: int = 128,
    patch_size: int = 16,
) -> None:
    """A fixed-size SigLIP model of both towers, the text tower a small one, and its image
    processor."""
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    text = {**TOWER, "vocab_size": 32, "max_position_embeddings": 8}
    vision = {**tower, "image_size": image_size, "patch_size": patch_size}
    config = SiglipConfig(text_config=text, vision_config=vision)
    differing(lambda: SiglipModel(config), seed).save_pretrained(path)
    SiglipImageProcessor(
        size={"height": image_size, "width": image_size},
        image_mean=MEAN,
        image_std=STD,
    ).save_pretrained(path)


def write_imagereward(path: Path) -> None:
    """ImageReward's files, by the names and shapes that the authors' class gave a small one."""
    path.mkdir(parents=True, exist_ok=True)
    state = {name: torch.zeros(shape) for name, shape in recorded("imagereward")["weights"].items()}
    fill(state)
    write_release(path, state, SMALL, SMALL_VOCABULARY)


SDXL_WIDTHS = (16, 32, 32)
"""Of the small U-Net's levels; attention is on the last two, as in SDXL."""


def write_sdxl(path: Path, seed: int = 0) -> None:
    """A pipeline of Stable Diffusion XL's parts, by diffusers' own class.

    Its VAE halves the image five times, not three: what comes after then is a grid of 32 x 32.
    """
    from diffusers import (
        AutoencoderKL,
        EulerDiscreteScheduler,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )

    first, second = (_text_encoder(seed + number, number) for number in (0, 1))
    text_width = first.config.hidden_size + second.config.hidden_size
    n_added = 6 * 8 + second.config.projection_dim
    vae_widths = (4, 4, 8, 8, 8, 8)
    vae = differing(
        lambda: AutoencoderKL(
            block_out_channels=vae_widths,
            down_block_types=["DownEncoderBlock2D"] * len(vae_widths),
            up_block_types=["UpDecoderBlock2D"] * len(vae_widths),
            layers_per_block=1,
            norm_num_groups=2,
            scaling_factor=1.5,  # so that images outweigh the noise
        ),
        seed,
    )
    unet = differing(
        lambda: UNet2DConditionModel(
            sample_size=32,
            block_out_channels=SDXL_WIDTHS,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 1, 2),
            attention_head_dim=(2, 2, 4),
            norm_num_groups=4,
            cross_attention_dim=text_width,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=n_added,
        ),
        seed,
    )
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )
    StableDiffusionXLPipeline(
        *(vae, first, second, clip_tokenizer(), clip_tokenizer()), unet, scheduler
    ).save_pretrained(path)


def _text_encoder(seed: int, number: int) -> Any:
    """The first or the second of SDXL's, of different widths; the second projects."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    tokenizer = clip_tokenizer()
    config = CLIPTextConfig(
        **{**TOWER, "hidden_size": (24, 48)[number]},
        vocab_size=len(tokenizer),
        max_position_embeddings=TEXT_LENGTH,
        projection_dim=20,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model_class = (CLIPTextModel, CLIPTextModelWithProjection)[number]
    return differing(lambda: model_class(config), seed)


DINO = """
from dreamsim.feature_extraction.vision_transformer import vit_base
dependencies = []
def dino_vitb16():
    import torch
    torch.manual_seed(3)
    return vit_base(patch_size=16)
"""
"""What stands for facebookresearch/dino, which the package has from torch.hub."""


@contextmanager
def narrow_dreamsim(width: int = 96, heads: int = 4) -> Iterator[None]:
    """DreamSim's ViTs narrower than its package makes them, which takes no size: everything else of
    it is as it is, and it loads and runs in a twentieth of the time."""
    from dreamsim.feature_extraction.vision_transformer import VisionTransformer

    real = VisionTransformer.__init__

    def narrow(self: Any, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **{**kwargs, "embed_dim": width, "num_heads": heads})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VisionTransformer, "__init__", narrow)
        yield


def write_dreamsim(path: Path, seed: int = 0) -> None:
    """DreamSim's ensemble, of the size that its ViTs have by now, laid out as the release is: a
    gigabyte, but for `narrow_dreamsim`."""
    from dreamsim.config import dreamsim_args
    from dreamsim.feature_extraction.vision_transformer import DINOHead, vit_base
    from dreamsim.model import PerceptualModel
    from peft import LoraConfig, get_peft_model

    path.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    for name in ("clip_vitb16", "open_clip_vitb16"):
        vit = vit_base(patch_size=16)
        width = vit.embed_dim
        vit.pos_drop = torch.nn.LayerNorm(width)
        state = {**vit.state_dict(), "proj": torch.randn(width, 512) / width**0.5}
        torch.save({"state_dict": state}, path / f"{name}_pretrain.pth.tar")
    head = {f"module.head.{name}": own for name, own in DINOHead(768, 2048).state_dict().items()}
    head["module.head.last_layer.weight"] = torch.zeros(2048, 256)
    torch.save({"student": head}, path / "dino_vitb16_pretrain.pth")
    code = path / "facebookresearch_dino_main"
    code.mkdir()
    (code / "hubconf.py").write_text(DINO)
    hub = torch.hub.get_dir()
    config: dict[str, Any] = dreamsim_args["model_config"]["ensemble"]
    model = PerceptualModel(**config, device="cpu", load_dir=str(path), normalize_embeds=True)
    torch.hub.set_dir(hub)
    lora = LoraConfig(r=4, lora_alpha=8, target_modules=["qkv"], init_lora_weights=False)
    get_peft_model(model, lora).save_pretrained(path / "ensemble_lora")
