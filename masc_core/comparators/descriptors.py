"""Global descriptors: one vector an image, and cosines between them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from masc_core.comparators.network import ImageNetwork
from masc_core.comparators.network_scores import NetworkScores, PreparedImage
from masc_core.protocol import Batch, EncodedReference, Features

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

DESCRIPTOR = "descriptor"
"""Under which a reference's is kept."""


class DescriptorNetwork(ImageNetwork):
    """A network that describes an image by one vector."""

    @abstractmethod
    def describe(self, pixels: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) described: float32 (B, D), of unit length."""


class DescriptorScores(NetworkScores[DescriptorNetwork]):
    """The cosine of the descriptors of generation and reference. A `protocol.Metric`."""

    def prepare(
        self,
        key: str,
        image: Image.Image,
        masks: Mapping[str, np.ndarray],
        prompt: str | None,
        subject: str | None,
    ) -> PreparedImage:
        """The image alone counts."""
        return PreparedImage(self.network.prepare(image))

    def encode_references(self, batch: Batch) -> list[Features]:
        """Their descriptors."""
        return kept_descriptors(self.network.describe(batch.pixels))

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> dict[str, list[Any]]:
        """One column and its values per reference."""
        descriptors = self.network.describe(batch.pixels)
        return self.compared(self.name, cosines_to_references(descriptors, references))


def kept_descriptors(descriptors: torch.Tensor) -> list[Features]:
    """Of descriptors (B, D), what is kept of B references."""
    return [{DESCRIPTOR: own} for own in descriptors]


def cosines_to_references(
    descriptors: torch.Tensor, references: Sequence[Sequence[EncodedReference]]
) -> list[list[float]]:
    """The cosine of each generation and each of its references.

    Args:
        descriptors: float32 (B, D) of unit length.
        references: per generation those that it is scored against, at least one, as
            `kept_descriptors` kept them. One that several generations share is one column of the
            matrix product.

    Returns:
        Per generation a value in [-1, 1] for each of its references.
    """
    import torch

    distinct = list({id(each): each for own in references for each in own}.values())
    column = {id(each): i for i, each in enumerate(distinct)}
    stacked = torch.stack([each.features[DESCRIPTOR] for each in distinct])
    rows = (descriptors @ stacked.to(descriptors.device).T).tolist()
    return [
        [row[column[id(each)]] for each in own] for row, own in zip(rows, references, strict=True)
    ]
