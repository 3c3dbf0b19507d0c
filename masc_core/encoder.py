"""The frozen encoder: images to patch tokens, prompts to text embeddings.

Works with any SigLIP or SigLIP2 checkpoint, fixed-size or NaFlex; which of the two it is is read
from its configuration, never from its name. Images of one patch grid are encoded together, cut to
their true length: without padding there is no attention mask, so the fast attention kernels apply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from numbers import Integral
from typing import Any, get_args

import torch
from PIL import Image
from torch.utils.checkpoint import checkpoint

from masc_core import cpu_attention, defaults
from masc_core.checkpoint import require_transformers
from masc_core.defaults import MODEL_TYPES
from masc_core.loading import load_pretrained
from masc_core.pooling import AttentionPool
from masc_core.torchvision_compat import make_torchvision_importable

Grid = tuple[int, int]
"""Patch grid (Hp, Wp), row-major."""


def _at_once(layers: Any, embedded: torch.Tensor) -> torch.Tensor:
    """The encoder's layers, of whose activations autograd keeps all that it needs."""
    return layers(inputs_embeds=embedded).last_hidden_state


def _layer_by_layer(layers: Any, embedded: torch.Tensor) -> torch.Tensor:
    """The same, of each layer its input alone being kept."""
    for layer in layers.layers:
        embedded = checkpoint(layer, embedded, None, use_reentrant=False)
    return embedded


class Encoder:
    """A SigLIP or SigLIP2 checkpoint, ready to encode. `Encoder.from_pretrained` makes one.

    Attributes:
        is_naflex: whether the image size is free, within a patch budget.
        max_num_patches: that budget; for a fixed-size encoder the patches of its image size.
        dim: width D of patch tokens and embeddings.
        patch_size: pixels that a patch is wide and high.
        text_length: tokens that a prompt is padded or cut to.
        image_processor: the checkpoint's own, of transformers.
        dtype: precision of the vision tower. Pooling head and text tower are always float32.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        max_num_patches: int = defaults.MAX_NUM_PATCHES,
        compile: bool = False,
    ) -> None:
        """Wrap a `SiglipModel` or `Siglip2Model` and its processor.

        The model is taken over: it moves to `device`, and its vision tower becomes `dtype`.

        Raises:
            ValueError: not such a model, without a pooling head, or with patches that do not
                divide its image size; another `dtype`, or no patches.
        """
        _require_patches(max_num_patches)
        config = model.config
        if config.model_type not in MODEL_TYPES:
            raise ValueError(
                f"model_type is {config.model_type!r}; MaSC needs {' or '.join(MODEL_TYPES)}"
            )
        if not getattr(config.vision_config, "vision_use_head", True):
            raise ValueError("the vision tower has no pooling head (vision_use_head is false)")
        self.is_naflex = config.model_type == "siglip2"
        self.dim = int(config.vision_config.hidden_size)
        self.text_length = int(config.text_config.max_position_embeddings)
        self.device = torch.device(device)
        self.dtype = _torch_dtype(dtype)
        self.patch_size = int(config.vision_config.patch_size)
        if self.is_naflex:
            self.max_num_patches = max_num_patches
        else:
            side, rest = divmod(int(config.vision_config.image_size), self.patch_size)
            if rest:
                raise ValueError(
                    f"image_size {config.vision_config.image_size} is not a multiple of "
                    f"patch_size {self.patch_size}"
                )
            self._fixed_grid: Grid = (side, side)
            self.max_num_patches = side * side
        self.image_processor = processor.image_processor
        self._processor = processor
        model = model.eval().requires_grad_(False)
        # Pooling costs nothing, and prompts repeat, so neither is rounded: two thirds of what
        # bfloat16 costs PF would be the text tower's.
        model = model.float().to(self.device)
        self._pool = AttentionPool(model.vision_model.head)
        self._vision = model.vision_model.to(self.dtype)
        if self.device.type == "cpu" and self.dtype == torch.bfloat16:
            cpu_attention.use_in(self._vision)
        self._text = model.text_model
        self._layers: Any = torch.compile(self._run_layers) if compile else self._run_layers
        # 64 grids of SO400M at 1024 patches are 300 MB.
        self._positions = lru_cache(maxsize=64)(self._compute_positions)
        # Asked of the image processor itself, which is the one that knows.
        self._grids = lru_cache(maxsize=64)(
            lambda width, height: self.prepare_image(Image.new("RGB", (width, height)))[1]
        )

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str = defaults.CHECKPOINT,
        *,
        revision: str | None = None,
        dtype: defaults.Dtype | torch.dtype = "float32",
        device: torch.device | str | None = None,
        max_num_patches: int = defaults.MAX_NUM_PATCHES,
        compile: bool = False,
        trust_remote_code: bool = False,
    ) -> Encoder:
        """Load a checkpoint from a directory or the hub; weights as safetensors only.

        Args:
            name_or_path: directory written by `save_pretrained`, or hub id; or "demo", the small
                encoder in this package, which takes 144 patches at most.
            revision: hub branch, tag or commit.
            dtype: precision of the vision tower; "float32" equals the authors' scorer.
            device: by default CUDA, else Apple's MPS, else the CPU.
            max_num_patches: NaFlex patch budget; ignored by fixed-size checkpoints.
            compile: `torch.compile` the vision layers (pays off on long runs of few patch grids).
            trust_remote_code: let a checkpoint run Python code of its own, if it asks for it.

        Raises:
            OSError: no such checkpoint, no safetensors weights in it, or not all of them.
            ValueError: not a SigLIP or SigLIP2 checkpoint; another `dtype`, or no patches; or
                transformers is too old.
        """
        dtype = _torch_dtype(dtype)
        _require_patches(max_num_patches)
        require_transformers(name_or_path)
        make_torchvision_importable()
        from transformers import AutoConfig, AutoModel, AutoProcessor

        if name_or_path == defaults.DEMO:
            name_or_path = str(defaults.DEMO_CHECKPOINT)
            max_num_patches = min(max_num_patches, defaults.DEMO_MAX_NUM_PATCHES)
        source: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
        config = AutoConfig.from_pretrained(name_or_path, **source)
        if config.model_type not in MODEL_TYPES:
            raise ValueError(
                f"{name_or_path}: model_type is {config.model_type!r}; "
                f"MaSC needs {' or '.join(MODEL_TYPES)}"
            )
        return cls(
            load_pretrained(AutoModel, name_or_path, **source),
            AutoProcessor.from_pretrained(name_or_path, **source),
            dtype=dtype,
            device=device or best_device(),
            max_num_patches=max_num_patches,
            compile=compile,
        )

    @property
    def bytes_an_image(self) -> int:
        """Memory of one image's activations in the vision tower, at most: an estimate."""
        config = self._vision.config
        # The MLP's inner layer, and residual, norm, query, key, value, attention output beside it.
        width = config.intermediate_size + 8 * self.dim
        return self.max_num_patches * width * self.dtype.itemsize

    def prepare_image(self, image: Image.Image) -> tuple[torch.Tensor, Grid]:
        """An image as the vision tower takes it. Safe to call from several threads.

        Args:
            image: any size and mode; converted to RGB as PIL does.

        Returns:
            float32 on the CPU, with its patch grid: for NaFlex the patches (Hp * Wp, P * P * 3),
            without padding; for fixed-size encoders the resized image (3, H, W).

        Raises:
            TypeError: no PIL image.
        """
        if not isinstance(image, Image.Image):
            raise TypeError(
                f"an image is a PIL.Image.Image, not a {type(image).__name__}; Image.open and "
                "Image.fromarray give one"
            )
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        options: dict[str, Any] = {"images": [rgb], "return_tensors": "pt"}
        if not self.is_naflex:
            return self.image_processor(**options)["pixel_values"][0], self._fixed_grid
        # The budget that is passed on pads the result; the grid does not depend on padding.
        inputs = self.image_processor(**options, max_num_patches=self.max_num_patches)
        height, width = inputs["spatial_shapes"][0].tolist()
        # A copy, so that the padded tensor is freed.
        return inputs["pixel_values"][0, : height * width].clone(), (height, width)

    def grid_of(self, width: int, height: int) -> Grid:
        """The patch grid of an image of that size in pixels."""
        return self._grids(width, height)

    @torch.inference_mode()
    def encode_images(self, pixels: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Patch tokens: the last hidden state after the post-layernorm; there is no CLS token.

        Args:
            pixels: a stack of what `prepare_image` returned for one grid, (B, N, P * P * 3) or
                (B, 3, H, W).
            grid: their patch grid (Hp, Wp).

        Returns:
            (B, Hp * Wp, D) in the encoder's dtype, on its device.
        """
        return self.patch_tokens(pixels, grid)

    def patch_tokens(
        self, pixels: torch.Tensor, grid: Grid, *, checkpointing: bool = False
    ) -> torch.Tensor:
        """`encode_images` with gradients that reach the pixels; the weights are frozen.

        Args:
            checkpointing: keep each layer's input only, and compute the layer again on the way
                back: less memory for a third more time. A compiled encoder runs uncompiled then.
        """
        pixels = pixels.to(self.device, self.dtype)
        positions = self._positions(grid) if self.is_naflex else None
        if checkpointing:
            return self._run_layers(pixels, positions, _layer_by_layer)
        return self._layers(pixels, positions)

    @torch.inference_mode()
    def pool(self, tokens: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Image embeddings from the patches left visible, with the trained attention pool.

        Args:
            tokens: (B, N, D) from `encode_images`.
            hidden: (B, M, N) bool, True hides a patch; M pools of each image.

        Returns:
            float32 (B, M, D), not normalised; NaN where every patch is hidden.
        """
        return self.visible_pool(tokens, hidden)

    def visible_pool(self, tokens: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """`pool` with gradients that reach the tokens."""
        return self._pool(tokens, hidden)

    @torch.inference_mode()
    def attend(self, tokens: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """What `pool` looks at, by the same arguments: float32 (B, M, H, N), H attention heads.

        It sums to 1 over the patches that are visible and is 0 at the others; NaN where every patch
        is hidden.
        """
        return self._pool.attention(tokens, hidden)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """The text tower's pooled output, each text padded or cut to `text_length` tokens.

        Returns:
            float32 (len(texts), D) on the encoder's device, not normalised.
        """
        tokens = self._processor(
            text=list(texts),
            padding="max_length",
            truncation=True,
            max_length=self.text_length,
            return_tensors="pt",
        )
        # No attention mask: the tower was trained to see its padding.
        return self._text(input_ids=tokens["input_ids"].to(self.device)).pooler_output.float()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before it is padded or cut, the closing one with them."""
        # A tokenizer that may not cut warns of what is too long; here that is what is asked.
        return [len(ids) for ids in self._processor.tokenizer(list(texts), verbose=False).input_ids]

    def _run_layers(
        self,
        pixels: torch.Tensor,
        positions: torch.Tensor | None,
        run: Callable[[Any, torch.Tensor], torch.Tensor] = _at_once,
    ) -> torch.Tensor:
        if positions is None:
            embedded = self._vision.embeddings(pixels)
        else:
            embedded = self._vision.embeddings.patch_embedding(pixels) + positions
        return self._vision.post_layernorm(run(self._vision.encoder, embedded))

    def _compute_positions(self, grid: Grid) -> torch.Tensor:
        """Position embeddings resized to a grid, (1, Hp * Wp, D): the same for every such image."""
        embeddings = self._vision.embeddings
        side = embeddings.position_embedding_size
        return embeddings.resize_positional_embeddings(
            embeddings.position_embedding.weight.reshape(side, side, -1),
            torch.tensor([grid]),
            max_length=grid[0] * grid[1],
        )


def _torch_dtype(dtype: defaults.Dtype | torch.dtype) -> torch.dtype:
    name = str(dtype).removeprefix("torch.")
    if name not in get_args(defaults.Dtype):
        raise ValueError(f"dtype={name!r}: expected one of {get_args(defaults.Dtype)}")
    return getattr(torch, name)


def _require_patches(max_num_patches: int) -> None:
    if not isinstance(max_num_patches, Integral) or max_num_patches < 1:
        raise ValueError(f"max_num_patches={max_num_patches!r}: expected a whole number from 1 on")


def best_device() -> torch.device:
    """CUDA if there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
