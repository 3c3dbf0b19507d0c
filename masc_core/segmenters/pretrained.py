"""A model of transformers with its processor, and an image with its text as they take them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

from masc_core import defaults
from masc_core.checkpoint import Checkpoint, CheckpointError, CheckpointKind, find_checkpoint

if TYPE_CHECKING:
    import torch
    from PIL import Image

Size = tuple[int, int]
"""Height and width of an image, in pixels."""


@dataclass(frozen=True)
class PromptedImage:
    """An image and the text that names what to find in it, as a model takes them."""

    pixels: torch.Tensor
    """float32 (3, h, w), on the CPU."""
    inputs: Mapping[str, torch.Tensor]
    """Whatever else the model takes, by the names that it has for it; without a batch axis."""
    size: Size
    """Of the image itself."""

    @property
    def bucket(self) -> Hashable:
        """Equal where all tensors are of equal shapes, so that nothing has to be padded."""
        shapes = [tuple(tensor.shape) for tensor in self.inputs.values()]
        return tuple(self.pixels.shape), *shapes


class Pretrained:
    """A model on its device, and its processor.

    Weights are float32. Lower precision is autocast's, as SAM 3 is published: matrix products are
    rounded, and what is sensitive to rounding (norms, softmax, sampling) is not.
    """

    def __init__(
        self, model: str, processor: str, checkpoint: Checkpoint, dtype: defaults.Dtype = "float32"
    ) -> None:
        """Load both; weights as safetensors only, and all that the model has.

        Args:
            model: the name of its class in transformers.
            processor: likewise.

        Raises:
            CheckpointError: they cannot be loaded.
        """
        import torch

        from masc_core.encoder import best_device
        from masc_core.loading import load_pretrained
        from masc_core.torchvision_compat import make_torchvision_importable

        make_torchvision_importable()
        import transformers

        where, revision = checkpoint.name_or_path, checkpoint.revision
        try:
            loaded = load_pretrained(getattr(transformers, model), where, revision=revision)
            # Without the last argument transformers may ask at the terminal whether to run code.
            self.processor = getattr(transformers, processor).from_pretrained(
                where, revision=revision, trust_remote_code=False
            )
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
            reason = reason.removeprefix(f"{where}: ")
            raise CheckpointError(f"{where}: cannot be loaded: {reason}") from error
        self.device = best_device()
        self.model = loaded.to(self.device)
        self._dtype = getattr(torch, dtype)
        # A tokenizer is told in each call how to pad, which another thread must not see half done.
        self._tokenizing = Lock()
        self._tokens = lru_cache(maxsize=4096)(self._tokenize)

    def run(self, function: Any, **inputs: Any) -> Any:
        """`function`, the model or one of its methods, at this precision."""
        import torch

        rounds = self._dtype != torch.float32
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, self._dtype, enabled=rounds),
        ):
            return function(**inputs)

    def prepare_pixels(self, image: Image.Image) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """An RGB image by the processor, (3, h, w); and the mask of its padding, where it has one.

        Safe to call from several threads.
        """
        prepared = self.processor.image_processor(images=image, return_tensors="pt")
        masks = {"pixel_mask": prepared["pixel_mask"][0]} if "pixel_mask" in prepared else {}
        return prepared["pixel_values"][0], masks

    def tokens(self, text: str, length: int, is_padded: bool) -> Mapping[str, torch.Tensor]:
        """A text by the processor; safe to call from several threads.

        Args:
            length: tokens that the text is cut to, and padded to where `is_padded`.
        """
        return self._tokens(text, length, is_padded)

    def stacked(self, samples: Sequence[PromptedImage]) -> dict[str, torch.Tensor]:
        """Their `inputs` with a batch axis, on the device."""
        import torch

        return {
            name: torch.stack([sample.inputs[name] for sample in samples]).to(self.device)
            for name in samples[0].inputs
        }

    def _tokenize(self, text: str, length: int, is_padded: bool) -> dict[str, torch.Tensor]:
        with self._tokenizing:
            tokens = self.processor.tokenizer(
                text,
                padding="max_length" if is_padded else False,
                truncation=True,
                max_length=length,
                return_tensors="pt",
            )
        return {name: values[0] for name, values in tokens.items()}


class FromPretrained:
    """A segmenter whose first network is a checkpoint of one of transformers' own classes."""

    name: ClassVar[str]
    model_class: ClassVar[str]
    processor_class: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]
    """`model_type` in the config.json of the checkpoints that it loads."""

    name_or_path: str
    """Directory or hub id."""
    revision: str | None
    """Branch, tag or commit on the hub."""
    dtype: defaults.Dtype

    thresholds: ClassVar[tuple[str, ...]]
    """Its settings that change masks, beside the checkpoints and the dtype."""

    _network: Pretrained | None = None

    def fingerprint(self) -> dict[str, Any]:
        """See `Segmenter.fingerprint`. Weights count by their content, not by where they lie."""
        return {
            "name": self.name,
            "weights": self.checkpoint.weights,
            "dtype": self.dtype,
            **{name: getattr(self, name) for name in self.thresholds},
        }

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """What `name_or_path` and `revision` stand for.

        Raises:
            CheckpointError: there is none, or one of another kind.
        """
        return find(self.name_or_path, self.revision, self.model_types)

    def load(self) -> None:
        """Load the network; see `Segmenter.load`."""
        self._network = Pretrained(
            self.model_class, self.processor_class, self.checkpoint, self.dtype
        )

    @property
    def network(self) -> Pretrained:
        """What was loaded."""
        assert self._network is not None, "load() comes first"
        return self._network

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.device

    def prompted(
        self, image: Image.Image, text: str, length: int, is_padded: bool = True
    ) -> PromptedImage:
        """An image and a text as the network takes them; see `Pretrained.tokens`."""
        pixels, masks = self.network.prepare_pixels(image)
        tokens = self.network.tokens(text, length, is_padded)
        return PromptedImage(pixels, {**tokens, **masks}, (image.height, image.width))


def find(name_or_path: str, revision: str | None, model_types: tuple[str, ...]) -> Checkpoint:
    """A checkpoint of transformers' own classes, which brings no code of its own.

    Raises:
        CheckpointError: there is none, or one of another kind.
    """
    return find_checkpoint(
        name_or_path, revision, kind=CheckpointKind(model_types, ignores_code=True)
    )


def require_text(text: str) -> str:
    """The text without whitespace around it.

    Raises:
        ValueError: nothing is left.
    """
    if not (stripped := text.strip()):
        raise ValueError("no text says what to find")
    return stripped
