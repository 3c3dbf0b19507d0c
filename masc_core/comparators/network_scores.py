"""What the metrics over one network of images have in common: everything but their columns."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from masc_core.comparators.network import ImageNetwork
from masc_core.comparators.settings import ComparatorSettings
from masc_core.mask_names import GIVEN
from masc_core.protocol import NOTES, EncodedReference, Kind
from masc_core.reduction import reduce_references

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class PreparedImage:
    """An image as a network takes it. A `protocol.PreparedSample`."""

    pixels: torch.Tensor
    """float32 on the CPU."""

    @property
    def bucket(self) -> Hashable:
        """Images of one size."""
        return tuple(self.pixels.shape)


Network = TypeVar("Network", bound=ImageNetwork)


class NetworkScores(Generic[Network]):
    """The part of a `protocol.Metric` that its network answers for."""

    def __init__(
        self, names: Sequence[str], settings: ComparatorSettings, network: Network
    ) -> None:
        """Asked for by these names, each that of a column. Nothing is loaded before `load`."""
        self.name = names[0]
        self.names = tuple(names)
        self.network = network
        self.source = network.source
        self.columns: Mapping[str, Kind] = compared_columns(names)
        self._reduction = settings.reference_reduction

    def fingerprint(self) -> dict[str, Any]:
        """See `ImageNetwork.fingerprint`; equal for all names of one network."""
        return self.network.fingerprint()

    def load(self) -> None:
        """See `ImageNetwork.load`."""
        self.network.load()

    @property
    def weight_bytes(self) -> int | None:
        """Of the network."""
        return self.network.weight_bytes

    @property
    def device(self) -> torch.device:
        """Of the network."""
        return self.network.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the pixels that it takes."""
        return self.network.dtype

    @property
    def bytes_a_sample(self) -> int:
        """Activations of one image."""
        return self.network.bytes_an_image

    def compared(self, name: str, per_reference: Sequence[list[float]]) -> dict[str, list[Any]]:
        """The columns of a name, of each generation's values against its references."""
        return {
            name: [reduce_references(own, self._reduction) for own in per_reference],
            f"{name}_per_reference": list(per_reference),
        }


class MaskedScores(NetworkScores[Network]):
    """The same of one that looks at masks: what is foreground, and what is said where none is."""

    def __init__(
        self, names: Sequence[str], settings: ComparatorSettings, network: Network
    ) -> None:
        """See `NetworkScores`."""
        super().__init__(names, settings, network)
        self._fg_threshold = settings.fg_threshold

    def fingerprint(self) -> dict[str, Any]:
        """See `ImageNetwork.fingerprint`."""
        return {**super().fingerprint(), "fg_threshold": self._fg_threshold}

    def given_mask(self, masks: Mapping[str, np.ndarray]) -> np.ndarray:
        """The mask that counts.

        Raises:
            ValueError: there is none.
        """
        if GIVEN not in masks:
            raise ValueError(f"{self.name}: needs a mask")
        return masks[GIVEN]

    def all_compared(
        self,
        found: Sequence[Mapping[str, list[float]]],
        references: Sequence[Sequence[EncodedReference]],
        element: str,
    ) -> dict[str, list[Any]]:
        """The columns of all names, and why values are NaN.

        Args:
            found: per generation and by name its values against each of its references.
            references: per generation those.
            element: of a reference, what none is foreground of where a value is NaN.
        """
        values: dict[str, list[Any]] = {}
        for name in self.names:
            values |= self.compared(name, [each[name] for each in found])
        values[NOTES] = [
            _undefined(each, against, element)
            for each, against in zip(found, references, strict=True)
        ]
        return values


def _undefined(
    values: Mapping[str, Sequence[float]], references: Sequence[EncodedReference], element: str
) -> str | None:
    notes = [
        f"{name}: reference {each.key} has no foreground {element}"
        for name, own in values.items()
        for value, each in zip(own, references, strict=True)
        if math.isnan(value)
    ]
    return "; ".join(notes) or None


def compared_columns(names: Iterable[str]) -> dict[str, Kind]:
    """The columns of names that compare with references."""
    columns: dict[str, Kind] = {}
    for name in names:
        columns[name] = "float64"
        columns[f"{name}_per_reference"] = "list<float64>"
    return columns
