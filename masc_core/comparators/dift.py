"""DIFT-SDXL: features of Stable Diffusion XL's U-Net as patch tokens.

1. An image, resized to a square of 1,024 pixels by PIL's bilinear filter, whatever its aspect, in
   [-1, 1].
2. The mode of the VAE's latent distribution, times its scaling factor.
3. Noise of seed 0, the same for every image, added by the DDIM scheduler at timestep 261.
4. One pass of the U-Net at that timestep, conditioned on the empty prompt and on an image of
   1,024 x 1,024 pixels that was not cropped; what up-block 1 puts out, a token a cell.

The timestep, the block and the scheduler are those of DIFT (Tang et al., "Emergent Correspondence
from Image Diffusion", 2023) for Stable Diffusion; one pass instead of a mean of eight, and all
else, are as in MaSC (arXiv 2605.22469).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from masc_core.checkpoint import Checkpoint
from masc_core.checkpoint_size import ITEM_BYTES
from masc_core.comparators.network import PretrainedNetwork
from masc_core.comparators.patch_networks import PatchNetwork
from masc_core.comparators.patch_scores import PatchScores
from masc_core.comparators.settings import ComparatorSettings
from masc_core.comparators.transforms import square
from masc_core.comparators.weight_files import require_package
from masc_core.pipeline_checkpoint import STABLE_DIFFUSION_XL, find_pipeline

if TYPE_CHECKING:
    import torch
    from PIL import Image

SIDE = 1024
"""Pixels."""
TIMESTEP = 261
UP_BLOCK = 1
PROMPT = ""
SEED = 0

SCHEDULE = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")
"""By which noise is added."""
N_UNET_WEIGHTS, N_VAE_WEIGHTS = 2_556_279_680, 34_163_664
"""Of SDXL: of the U-Net as far as it is asked, and of the VAE's encoder."""
N_ACTIVATIONS = 6
"""Of the VAE's first level, what is held at once: input, norm, activation, convolution, sum, and
what a convolution takes to work in."""


class DiftNetwork(PretrainedNetwork, PatchNetwork):
    """VAE and U-Net, the latter as far as it is asked."""

    published = "stabilityai/stable-diffusion-xl-base-1.0"
    preprocessing = (
        f"square of {SIDE} bilinear, in [-1, 1]; latent mode; noise of seed {SEED} at timestep "
        f"{TIMESTEP}; empty prompt; up-block {UP_BLOCK}"
    )

    def __init__(self, name: str, settings: ComparatorSettings) -> None:
        """See `ImageNetwork`.

        Raises:
            ImportError: the package is not installed.
        """
        require_package("diffusers", "dift")
        super().__init__(name, settings)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """See `PretrainedNetwork`."""
        return find_pipeline(self.name_or_path, self._revision, STABLE_DIFFUSION_XL)

    def _load(self) -> None:
        from diffusers import AutoencoderKL

        self._configuration(AutoencoderKL, "vae", ("scaling_factor",))
        vae = self._pretrained(AutoencoderKL, subfolder="vae")
        unet = self._cut_unet()
        self._take_conditions(unet)
        self._take_geometry(vae, unet)
        self._transform = square(SIDE, [0.5] * 3, [0.5] * 3)
        self._scheduler = self._ddim()
        vae.decoder = vae.post_quant_conv = None
        # Whatever the dtype: in float16 its activations overflow (`force_upcast`).
        self._vae = vae.to(self.device)
        self._unet = unet.to(self.device)

    def _ddim(self) -> Any:
        """DDIM, whatever sampler the pipeline has, by how the U-Net was trained."""
        from diffusers import DDIMScheduler

        return DDIMScheduler.from_config(self._configuration(DDIMScheduler, "scheduler", SCHEDULE))

    def _configuration(
        self, part_class: Any, part: str, needed: Sequence[str]
    ) -> Mapping[str, Any]:
        """What a part's file says.

        Raises:
            ValueError: it lacks what it has to say: the class's own default would stand for it.
        """
        found = self.checkpoint
        config = part_class.load_config(found.name_or_path, subfolder=part, revision=found.revision)
        if lacking := [name for name in needed if name not in config]:
            file = part_class.config_name
            raise ValueError(f"{self.name_or_path}: its {part}/{file} has no {', '.join(lacking)}")
        return config

    def _cut_unet(self) -> Any:
        """The U-Net without what comes after the block: its sample is what that puts out."""
        import torch
        from diffusers import UNet2DConditionModel

        unet = self._pretrained(UNet2DConditionModel, subfolder="unet", dtype=super().dtype)
        if unet.config.addition_embed_type != "text_time" or len(unet.up_blocks) <= UP_BLOCK:
            raise ValueError(f"{self.name_or_path}/unet: not the U-Net of Stable Diffusion XL")
        unet.up_blocks = unet.up_blocks[: UP_BLOCK + 1]
        unet.conv_norm_out, unet.conv_out = None, torch.nn.Identity()
        return unet

    def _take_conditions(self, unet: Any) -> None:
        """What the U-Net is conditioned on: by both text encoders, which then go.

        Raises:
            ValueError: they do not go with this U-Net.
        """
        import torch
        from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

        encoded = []
        for suffix, model_class in (("", CLIPTextModel), ("_2", CLIPTextModelWithProjection)):
            tokenizer = self._processor(CLIPTokenizer, subfolder=f"tokenizer{suffix}")
            model = self._pretrained(model_class, subfolder=f"text_encoder{suffix}")
            tokens = tokenizer(
                PROMPT,
                padding="max_length",
                max_length=tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )
            # On the CPU, in float32: the same on all devices, and no memory of theirs.
            with torch.inference_mode():
                encoded.append(model(tokens.input_ids, output_hidden_states=True))
        text = torch.cat([each.hidden_states[-2] for each in encoded], dim=-1)
        pooled = encoded[1].text_embeds
        # Of original size, where the crop begins, and of target size.
        time_ids = torch.tensor([[SIDE, SIDE, 0, 0, SIDE, SIDE]], dtype=torch.float32)
        n_added = time_ids.shape[1] * unet.config.addition_time_embed_dim + pooled.shape[1]
        found = text.shape[2], n_added
        config = unet.config
        expected = config.cross_attention_dim, config.projection_class_embeddings_input_dim
        if found != expected:
            raise ValueError(
                f"{self.name_or_path}: its text encoders give embeddings of {found[0]} and "
                f"{found[1]} values, its unet takes {expected[0]} and {expected[1]}"
            )
        self._text = text.to(self.device, super().dtype)
        self._added = {
            "text_embeds": pooled.to(self.device, super().dtype),
            "time_ids": time_ids.to(self.device),
        }

    def _take_geometry(self, vae: Any, unet: Any) -> None:
        """Grid, noise and memory, by the configurations of both."""
        import torch

        latent_side = SIDE >> (len(vae.config.block_out_channels) - 1)
        n_halvings = len(unet.config.block_out_channels) - 1
        n = latent_side >> max(0, n_halvings - (UP_BLOCK + 1))
        self.grid = (n, n)
        self.patch_size = SIDE // n
        # A CPU's generator gives the same numbers wherever they go.
        shape = (1, vae.config.latent_channels, latent_side, latent_side)
        generator = torch.Generator().manual_seed(SEED)
        self._noise = torch.randn(shape, generator=generator).to(self.device)
        widths = vae.config.block_out_channels
        self._bytes = N_ACTIVATIONS * SIDE**2 * widths[0] * torch.float32.itemsize

    @property
    def dtype(self) -> torch.dtype:
        """Of the pixels, for the VAE; the U-Net is of `dtype_name`."""
        import torch

        return torch.float32

    @property
    def weight_bytes(self) -> int:
        """Of VAE and U-Net at SDXL's size."""
        of_unet = N_UNET_WEIGHTS * ITEM_BYTES[self.dtype_name]
        return of_unet + N_VAE_WEIGHTS * ITEM_BYTES["float32"]

    @property
    def bytes_an_image(self) -> int:
        """Of the VAE's first level: no other of VAE or U-Net is as large."""
        return self._bytes

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """See `preprocessing`."""
        return self._transform(image)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """See `PatchNetwork`."""
        import torch

        from masc_core.similarity import unit

        n = len(pixels)
        timestep = torch.tensor([TIMESTEP], device=pixels.device)
        with torch.inference_mode():
            latents = self._vae.encode(pixels).latent_dist.mode() * self._vae.config.scaling_factor
            noisy = self._scheduler.add_noise(latents, self._noise, timestep)
            features = self._unet(
                noisy.to(self._unet.dtype),
                timestep,
                encoder_hidden_states=self._text.expand(n, -1, -1),
                added_cond_kwargs={name: own.expand(n, -1) for name, own in self._added.items()},
            ).sample
            return unit(features.flatten(2).mT)


def dift_sdxl(names: Sequence[str], settings: ComparatorSettings) -> PatchScores:
    """The metric `dift_sdxl`, which is `cp.masked_maxcos@dift_sdxl`, and of all names that end
    in `@dift_sdxl`."""
    return PatchScores(names, settings, DiftNetwork(names[0], settings))
