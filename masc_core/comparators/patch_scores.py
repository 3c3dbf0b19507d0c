"""Aggregators over the patch tokens of a backbone: the columns `cp.AGGREGATOR@BACKBONE`.

`masked_maxcos`, MaSC's own, and those of `aggregators`; `weighted_maxcos:BLUR` too. The name of a
backbone alone, where it is one, is its `masked_maxcos`. Masks come to the grid of patches as MaSC
brings them there. All names of one backbone are one forward pass an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from masc_core.aggregators import AGGREGATORS, Pair, masked_maxcos
from masc_core.columns import AggregatedColumn, parse_columns
from masc_core.comparators.network_scores import MaskedScores, PreparedImage
from masc_core.comparators.patch_networks import Dinov3Patches, PatchNetwork, SiglipPatches
from masc_core.comparators.settings import ComparatorSettings
from masc_core.protocol import Batch, EncodedReference, Features

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

MASKED = "masked_maxcos"

TOKENS, WEIGHTS, BLURRED = "tokens", "weights", "blurred "
"""Under which a reference's features are kept; a sigma follows the last."""


@dataclass(frozen=True)
class PreparedPatches(PreparedImage):
    """An image, and its mask on the grid of patches."""

    weights: torch.Tensor
    """float32 (Hp * Wp,) in [0, 1]."""
    blurred: Mapping[str, torch.Tensor]
    """Of a reference the same of the mask blurred, by the sigma as it was written."""


class PatchScores(MaskedScores[PatchNetwork]):
    """The columns of one backbone. A `protocol.Metric`."""

    def __init__(
        self, names: Sequence[str], settings: ComparatorSettings, network: PatchNetwork
    ) -> None:
        """Nothing is loaded before `load`; torch is not even imported.

        Raises:
            ValueError: a name of no aggregator, or with an argument that is none.
        """
        super().__init__(names, settings, network)
        self._asked = {name: _aggregated(name) for name in names}

    def prepare(
        self,
        key: str,
        image: Image.Image,
        masks: Mapping[str, np.ndarray],
        prompt: str | None,
        subject: str | None,
    ) -> PreparedPatches:
        """The image resized, and its given mask on the grid.

        Raises:
            ValueError: there is no mask.
        """
        from masc_core.masks import blurred_weights, mask_weights

        mask, grid, patch_size = self.given_mask(masks), self.network.grid, self.network.patch_size
        is_reference = prompt is None
        blurs = {each.blur for each in self._asked.values() if each.blur and is_reference}
        return PreparedPatches(
            self.network.prepare(image),
            mask_weights(mask, grid),
            {blur: blurred_weights(mask, grid, patch_size, float(blur)) for blur in blurs},
        )

    def encode_references(self, batch: Batch) -> list[Features]:
        """Of each its patch tokens and what the mask says of them."""
        tokens = self.network.encode(batch.pixels)
        return [self._kept(sample, own) for sample, own in zip(batch.samples, tokens, strict=True)]

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> dict[str, list[Any]]:
        """The columns of each generation, and where they are undefined."""
        tokens = self.network.encode(batch.pixels)
        found = [
            self._against(own, sample, against)
            for own, sample, against in zip(tokens, batch.samples, references, strict=True)
        ]
        return self.all_compared(found, references, "patch")

    def _kept(self, sample: PreparedPatches, tokens: torch.Tensor) -> Features:
        """Of a reference whose patch tokens are (N, D)."""
        weights = sample.weights
        if all(each.aggregator == MASKED for each in self._asked.values()):
            # Nothing else counts, and tokens are what a store of references is full of.
            is_foreground = weights > self._fg_threshold
            tokens = tokens[is_foreground.to(tokens.device)]
            weights = weights[is_foreground]
        blurred = {f"{BLURRED}{blur}": own for blur, own in sample.blurred.items()}
        return {TOKENS: tokens, WEIGHTS: weights, **blurred}

    def _against(
        self,
        tokens: torch.Tensor,
        sample: PreparedPatches,
        references: Sequence[EncodedReference],
    ) -> dict[str, list[float]]:
        """By name the values against each reference, of a generation's patch tokens (N, D)."""
        values: dict[str, list[float]] = {name: [] for name in self.names}
        generation_weights = sample.weights.to(tokens.device)
        for reference in references:
            kept = {name: own.to(tokens.device) for name, own in reference.features.items()}
            pair = Pair(
                kept[TOKENS] @ tokens.T,
                kept[WEIGHTS],
                generation_weights,
                self._fg_threshold,
                {n.removeprefix(BLURRED): own for n, own in kept.items() if n.startswith(BLURRED)},
            )
            for name, column in self._asked.items():
                values[name].append(_aggregate(column, pair))
        return values


def _aggregated(name: str) -> AggregatedColumn:
    """What a column of this name is.

    Raises:
        ValueError: there is no such aggregator, or its argument is none.
    """
    column, at, _ = name.partition("@")
    if not at or column == f"cp.{MASKED}":
        return AggregatedColumn(name, MASKED)
    aggregated = parse_columns([column]).aggregated
    if not aggregated:
        raise ValueError(f"{name}: no such column")
    return aggregated[0]


def _aggregate(column: AggregatedColumn, pair: Pair) -> float:
    if column.aggregator == MASKED:
        return masked_maxcos(pair)
    arguments = () if column.blur is None else (column.blur,)
    return AGGREGATORS[column.aggregator](pair, *arguments)


def dinov3_b(names: Sequence[str], settings: ComparatorSettings) -> PatchScores:
    """The metric of the names that end in `@dinov3_b`."""
    return PatchScores(names, settings, Dinov3Patches(names[0], settings))


def siglip2_b(names: Sequence[str], settings: ComparatorSettings) -> PatchScores:
    """The metric of the names that end in `@siglip2_b`."""
    return PatchScores(names, settings, SiglipPatches(names[0], settings))
