"""Matchers: networks that say which point of a reference is which point of a generation.

1. Each image is prepared and encoded once, however many it is matched with; its mask is brought to
   the frame in whose pixels matches are.
2. A network runs each pair of a reference and a generation once, and both scores of `matching` are
   read off what it found.

Images and pairs go through one at a time: matches are chosen by thresholds and mutual nearest
neighbours, which a rounding that depends on the rest of a batch would tip.
"""

from __future__ import annotations

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
from masc_core.comparators.network_scores import MaskedScores, PreparedImage
from masc_core.protocol import Batch, EncodedReference, Features

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


class MatcherScores(MaskedScores[MatcherNetwork]):
    """The columns of one matcher, `NAME.recall` and `NAME.masked`. A `protocol.Metric`."""

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

        weights = self.network.masked_frame(self.given_mask(masks), image)
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
        return self.all_compared(found, references, "cell")

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
