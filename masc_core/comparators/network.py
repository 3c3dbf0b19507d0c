"""The networks of comparators: how one is found, told from others, and brought to a device and a
precision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from masc_core import defaults
from masc_core.checkpoint import Checkpoint, CheckpointKind, find_checkpoint
from masc_core.checkpoint_size import ITEM_BYTES, n_weights
from masc_core.comparators.settings import ComparatorSettings, settings_key

if TYPE_CHECKING:
    import torch
    from PIL import Image


class ImageNetwork(ABC):
    """A frozen network that sees images; a subclass says which, and what it is asked for.

    Made, it has loaded nothing, and is pickled to the workers; `load` comes next.
    """

    published: ClassVar[str]
    """Where the weights behind the published figures are: a hub id."""
    published_dtype: ClassVar[defaults.Dtype] = "float32"
    preprocessing: ClassVar[str]
    """What becomes of an image before the network sees it, for the fingerprint."""
    takes_source: ClassVar[bool] = False
    """Whether its code is in a directory that the settings name."""

    def __init__(self, name: str, settings: ComparatorSettings) -> None:
        """For a comparator of this name.

        Raises:
            ValueError: another dtype than there is, or code for one that has its own.
        """
        if settings.source is not None and not self.takes_source:
            raise ValueError(f"source={settings.source}: its code comes with a package")
        self.dtype_name: defaults.Dtype = settings.dtype or self.published_dtype
        if self.dtype_name not in get_args(defaults.Dtype):
            choices = ", ".join(get_args(defaults.Dtype))
            raise ValueError(f"dtype={self.dtype_name!r}: expected one of {choices}")
        self.name_or_path = settings.name_or_path or self.published
        self.source = f"comparators.{settings_key(name)}.name_or_path={self.name_or_path}"

    def fingerprint(self) -> dict[str, Any]:
        """The weights count, and not where they lie.

        Raises:
            OSError, ValueError: there are none, or of another kind; the message is one line.
        """
        return {
            "weights": self.weights,
            "preprocessing": self.preprocessing,
            "dtype": self.dtype_name,
        }

    def load(self) -> None:
        """Load it onto the best device that there is.

        Raises:
            OSError, ValueError, ImportError: it cannot be.
        """
        from masc_core.encoder import best_device
        from masc_core.torchvision_compat import make_torchvision_importable

        make_torchvision_importable()
        self._device = best_device()
        self._load()

    @property
    def device(self) -> torch.device:
        """Where it is, once it is loaded."""
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        """Of its weights, and of the pixels that it takes."""
        import torch

        return getattr(torch, self.dtype_name)

    @property
    @abstractmethod
    def weights(self) -> str:
        """What tells its weights from others, as in `sha256:...`."""

    @property
    @abstractmethod
    def weight_bytes(self) -> int | None:
        """Memory that its weights take, about, told before they are loaded; None where it cannot
        be."""

    @property
    @abstractmethod
    def bytes_an_image(self) -> int:
        """Memory of one image's activations, at most: an estimate."""

    @abstractmethod
    def prepare(self, image: Image.Image) -> torch.Tensor:
        """An RGB image as the network takes it, float32 (3, H, W) on the CPU; by several threads
        at once."""

    @abstractmethod
    def _load(self) -> None:
        """Load weights and processor, torchvision being importable."""


class PretrainedNetwork(ImageNetwork):
    """One that transformers has the class of, or diffusers."""

    published_revision: ClassVar[str | None] = None
    kind: ClassVar[CheckpointKind]
    keeps_float32: ClassVar[bool] = False
    """Whether its weights stay float32, whatever products are rounded to."""

    def __init__(self, name: str, settings: ComparatorSettings) -> None:
        """See `ImageNetwork`."""
        super().__init__(name, settings)
        is_published = settings.name_or_path is None and settings.revision is None
        self._revision = self.published_revision if is_published else settings.revision

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Looked up once, so that a worker loads what was found where the run was described.

        Raises:
            CheckpointError: it cannot be used.
        """
        return find_checkpoint(self.name_or_path, self._revision, kind=self.kind)

    @property
    def weights(self) -> str:
        """Of the checkpoint, its processor and its tokenizer."""
        return self.checkpoint.weights

    @property
    def weight_bytes(self) -> int | None:
        """Of all that the checkpoint has, by the headers of its files."""
        n = n_weights(self.checkpoint.name_or_path, self.checkpoint.revision)
        dtype: defaults.Dtype = "float32" if self.keeps_float32 else self.dtype_name
        return None if n is None else n * ITEM_BYTES[dtype]

    def _pretrained(self, model_class: Any, **options: Any) -> Any:
        """A model of its library with the checkpoint's weights; see `load_pretrained`."""
        from masc_core.loading import load_pretrained

        found = self.checkpoint
        return load_pretrained(model_class, found.name_or_path, revision=found.revision, **options)

    def _processor(self, processor_class: Any, **options: Any) -> Any:
        """A processor or tokenizer of transformers, by the checkpoint's own configuration."""
        found = self.checkpoint
        # Without the last argument transformers may ask at the terminal whether to run code.
        return processor_class.from_pretrained(
            found.name_or_path, revision=found.revision, trust_remote_code=False, **options
        )


def mixed_precision(
    device: torch.device, dtype_name: defaults.Dtype
) -> AbstractContextManager[Any]:
    """Within it matrix products are rounded to a dtype; weights and residuals stay float32."""
    import torch

    if dtype_name == "float32":
        return nullcontext()
    return torch.autocast(device.type, getattr(torch, dtype_name))


def activation_bytes(n_tokens: int, width: int, mlp_width: int, dtype: torch.dtype) -> int:
    """Memory that the activations of a transformer's layer take.

    Its MLP's inner layer, and residual, norm, query, key, value, attention output beside it.
    """
    return n_tokens * (mlp_width + 8 * width) * dtype.itemsize
