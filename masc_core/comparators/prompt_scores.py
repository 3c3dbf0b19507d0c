"""What the metrics have in common that hold a generation against its whole prompt, by a network
that sees both together: everything but the network."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from masc_core.checkpoint import require_transformers
from masc_core.checkpoint_size import ITEM_BYTES
from masc_core.comparators.clip import PreparedGeneration, notes_of_cut
from masc_core.comparators.network import ImageNetwork
from masc_core.comparators.network_scores import NetworkScores
from masc_core.comparators.releases import WEIGHTS, Release, find_release
from masc_core.comparators.settings import ComparatorSettings
from masc_core.protocol import NOTES, Batch, EncodedReference, Features

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image


class PromptNetwork(ImageNetwork):
    """A network that sees an image and a prompt together.

    `_load` sets `_reserved`: what in a prompt would be read as a mark of the model's own.
    """

    published_n_weights: ClassVar[int]
    """Numbers in the weights of the published one, about."""
    weight_names: ClassVar[Sequence[str]] = WEIGHTS
    """What holds its weights, the first that is there."""
    _reserved: Sequence[str]

    @property
    @abstractmethod
    def release(self) -> Release:
        """Its weights, looked up once, so that a worker loads what was found where the run was
        described.

        Raises:
            CheckpointError: there are none, or they cannot be used.
        """

    @property
    def weight_bytes(self) -> int | None:
        """Of all that the release has; of the published one the same whether it is here or not."""
        if self.release.name_or_path == self.published:
            n: int | None = self.published_n_weights
        else:
            n = self.release.n_weights(self.weight_names)
        return None if n is None else n * ITEM_BYTES[self.dtype_name]

    def check_prompt(self, prompt: str) -> None:
        """Called from several threads at once.

        Raises:
            ValueError: it cannot be told from what the network itself says around a prompt. The
                message is the reason.
        """
        for token in self._reserved:
            if token in prompt:
                raise ValueError(f"the prompt has {token}, a mark of the model's own")

    @abstractmethod
    def judge(self, pixels: torch.Tensor, prompts: Sequence[str]) -> list[PromptScore]:
        """What it thinks of images (B, ...), as `prepare` made them, each with its prompt."""


class LargePromptNetwork(PromptNetwork):
    """One of billions of weights, which its authors run in bfloat16. transformers loads it."""

    published_dtype = "bfloat16"
    overflowing: ClassVar[str]
    """The part of it that float16 is too small for."""

    def __init__(self, name: str, settings: ComparatorSettings) -> None:
        """See `ImageNetwork`; `name_or_path` may be a directory with the weights, and the small
        files of what they need beside them in directories of their names (`find_companion`).

        Raises:
            ValueError: a dtype of too small a range.
        """
        super().__init__(name, settings)
        if self.dtype_name == "float16":
            overflows = f"{self.overflowing} overflows in it"
            raise ValueError(f"dtype=float16: {overflows}; expected bfloat16 or float32")
        self._revision = settings.revision

    @cached_property
    def release(self) -> Release:
        """See `PromptNetwork.release`.

        Raises:
            CheckpointError: likewise, or transformers is too old.
        """
        require_transformers(self.name_or_path)
        return find_release(self.name_or_path, self._revision)


@dataclass(frozen=True)
class PromptScore:
    """Of one generation."""

    value: float
    n_tokens: int
    """Of what the network was to read, the prompt in it."""
    n_read: int
    """Of these, those that it read."""


class PromptScores(NetworkScores[PromptNetwork]):
    """One column. A `protocol.Metric`."""

    def __init__(
        self, names: Sequence[str], settings: ComparatorSettings, network: PromptNetwork
    ) -> None:
        """Asked for by its one name. Nothing is loaded before `load`."""
        super().__init__(names, settings, network)
        self.columns = {self.name: "float64"}

    def prepare(
        self,
        key: str,
        image: Image.Image,
        masks: Mapping[str, np.ndarray],
        prompt: str | None,
        subject: str | None,
    ) -> PreparedGeneration:
        """The image as the network takes it, and the whole prompt.

        Raises:
            ValueError: see `PromptNetwork.check_prompt`, `ImageNetwork.prepare`.
        """
        import torch

        if prompt is None:
            return PreparedGeneration(torch.empty(0), None)
        self.network.check_prompt(prompt)
        return PreparedGeneration(self.network.prepare(image), prompt)

    def encode_references(self, batch: Batch) -> list[Features]:
        """Nothing: only the prompt counts."""
        return [{} for _ in batch.samples]

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> dict[str, list[Any]]:
        """The column, and which prompts were not read to their end."""
        found = self.network.judge(batch.pixels, [own.prompt for own in batch.samples])
        return {
            self.name: [own.value for own in found],
            NOTES: [self._note(own) for own in found],
        }

    def _note(self, found: PromptScore) -> str | None:
        notes = notes_of_cut(self.name, found.n_tokens, found.n_read)
        if not math.isfinite(found.value):
            notes.append(f"{self.name}: {found.value}, where a number was expected")
        return "; ".join(notes) or None
