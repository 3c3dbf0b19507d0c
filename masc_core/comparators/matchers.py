"""Matchers: networks that say which point of a reference is which point of a generation.

1. Each image is prepared and encoded once, however many it is matched with; its mask is brought to
   the frame in whose pixels matches are.
2. A network runs each pair of a reference and a generation once, and both scores of `matching` are
   read off what it found.

Images and pairs go through one at a time: matches are chosen by thresholds and mutual nearest
neighbours, which a rounding that depends on the rest of a batch would tip.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from masc_core.comparators.matching import (
    RECALL,
    MatchedPair,
    Size,
    masked_confidence,
    recall_of_matches,
    weights_in_frame,
)
from masc_core.comparators.network import ImageNetwork
from masc_core.comparators.network_scores import NetworkScores, PreparedImage
from masc_core.comparators.settings import ComparatorSettings
from masc_core.mask_names import GIVEN
from masc_core.protocol import NOTES, Batch, EncodedReference, Features

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

FOREGROUND, CELLS = "foreground", "foreground cells"
"""Under which a reference's mask is kept, beside what its network keeps."""


@dataclass(frozen=True)
class Side:
    """One image of a pair."""

    features: Features
    """What `MatcherNetwork.encode` gave; on any device."""
    frame: Size
    """Of the pixels in which matches are."""


class MatcherNetwork(ImageNetwork):
    """A network that matches two images.

    Its weights are float32; `dtype` is what matrix products are rounded to, as positions in an
    image need more digits than half precision has.
    """

    @property
    def dtype(self) -> torch.dtype:
        """Of the pixels and weights; products are `dtype_name`."""
        import torch

        return torch.float32

    @abstractmethod
    def masked_frame(self, mask: np.ndarray, image: Image.Image) -> torch.Tensor:
        """An image's mask, (H, W) of any size of the image's aspect, in the frame of its matches:
        float32 weights in [0, 1]."""

    def cells(self, frame: Size) -> Size | None:
        """Of a reference, what has a best match each; None where confidences are not used."""
        return None

    @abstractmethod
    def encode(self, pixels: torch.Tensor) -> Features:
        """What `match` needs of one image, whose pixels are as `prepare` gave them."""

    @abstractmethod
    def match(self, reference: Side, generation: Side) -> MatchedPair:
        """Run the network on a pair."""


@dataclass(frozen=True)
class PreparedSide(PreparedImage):
    """An image, and its mask in the frame of its matches."""

    foreground: torch.Tensor
    """bool (H, W)."""
    cells: torch.Tensor | None
    """bool (Hc, Wc) of a reference, the mask brought there bilinearly."""


class MatcherScores(NetworkScores[MatcherNetwork]):
    """The columns of one matcher, `NAME.recall` and `NAME.masked`. A `protocol.Metric`."""

    def __init__(
        self, names: Sequence[str], settings: ComparatorSettings, network: MatcherNetwork
    ) -> None:
        """Nothing is loaded before `load`; torch is not even imported."""
        super().__init__(names, settings, network)
        self._fg_threshold = settings.fg_threshold

    def fingerprint(self) -> dict[str, Any]:
        """See `ImageNetwork.fingerprint`."""
        return {**super().fingerprint(), "fg_threshold": self._fg_threshold}

    def prepare(
        self,
        key: str,
        image: Image.Image,
        masks: Mapping[str, np.ndarray],
        prompt: str | None,
        subject: str | None,
    ) -> PreparedSide:
        """The image as the network takes it, and its given mask.

        Raises:
            ValueError: there is no mask.
        """
        from masc_core.masks import mask_weights

        if GIVEN not in masks:
            raise ValueError(f"{self.name}: needs a mask")
        weights = self.network.masked_frame(masks[GIVEN], image)
        grid = self.network.cells((weights.shape[0], weights.shape[1]))
        cells = None
        if grid is not None and prompt is None:
            on_grid = mask_weights(weights.numpy(), grid).reshape(grid)
            cells = on_grid > self._fg_threshold
        return PreparedSide(self.network.prepare(image), weights > self._fg_threshold, cells)

    def encode_references(self, batch: Batch) -> list[Features]:
        """Of each what its network needs, and its mask."""
        return [
            self._kept(sample, self.network.encode(pixels))
            for sample, pixels in zip(batch.samples, batch.pixels, strict=True)
        ]

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> dict[str, list[Any]]:
        """The columns of each generation, and where they are undefined."""
        found = [
            self._against(pixels, sample, against)
            for pixels, sample, against in zip(batch.pixels, batch.samples, references, strict=True)
        ]
        values: dict[str, list[Any]] = {}
        for name in self.names:
            values |= self.compared(name, [each[name] for each in found])
        values[NOTES] = [
            _undefined(each, against) for each, against in zip(found, references, strict=True)
        ]
        return values

    def _kept(self, sample: PreparedSide, features: Features) -> Features:
        cells = {} if sample.cells is None else {CELLS: sample.cells}
        return {FOREGROUND: sample.foreground, **cells, **features}

    def _against(
        self,
        pixels: torch.Tensor,
        sample: PreparedSide,
        references: Sequence[EncodedReference],
    ) -> dict[str, list[float]]:
        """By name the values against each reference, of one generation."""
        height, width = sample.foreground.shape
        generation = Side(self.network.encode(pixels), (height, width))
        values: dict[str, list[float]] = {name: [] for name in self.names}
        for reference in references:
            kept = reference.features
            height, width = kept[FOREGROUND].shape
            pair = self.network.match(Side(kept, (height, width)), generation)
            for name in self.names:
                if name.endswith(f".{RECALL}"):
                    value = recall_of_matches(pair, kept[FOREGROUND], sample.foreground)
                else:
                    value = masked_confidence(pair, kept[CELLS])
                values[name].append(value)
        return values


def native_frame(mask: np.ndarray, image: Image.Image) -> torch.Tensor:
    """`MatcherNetwork.masked_frame` where matches are in the image's own pixels."""
    return weights_in_frame(mask, (image.height, image.width))


def _undefined(
    values: Mapping[str, Sequence[float]], references: Sequence[EncodedReference]
) -> str | None:
    """Why values are NaN."""
    notes = [
        f"{name}: reference {each.key} has no foreground cell"
        for name, own in values.items()
        for value, each in zip(own, references, strict=True)
        if math.isnan(value)
    ]
    return "; ".join(notes) or None
