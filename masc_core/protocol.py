"""What a metric is to whoever runs it over many samples. MaSC is one; a comparator is another.

A metric is made where the run is described and used where there is a device:

1. made: it knows its `columns` and its `fingerprint()`, and has loaded nothing;
2. `load`, on the worker: its network, on the device;
3. `prepare`, in decoding threads, on each decoded image, which every metric shares;
4. `encode_references` and `score`, on batches of what may be stacked together (one `bucket`).

Decoding, threads, batches, uploads, memory that runs out and where references are kept are the
business of whoever runs it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

Kind = Literal["bool", "int32", "float64", "string", "list<int32>", "list<float64>"]
"""What a column holds, by Arrow's names."""

Features = Mapping[str, "torch.Tensor"]
"""What is kept of a reference, by a name of the metric's own; tensors of any shape."""

NOTES = "error"
"""The one name beside its columns that `score` may give: a text or None a sample, why a value is
NaN or what it does not rest on. It ends in the row's `error`."""


class PreparedSample(Protocol):
    """An image as the metric's network takes it; made off the device."""

    @property
    def bucket(self) -> Hashable:
        """Samples of equal buckets have `pixels` of one shape, and may be one batch."""

    @property
    def pixels(self) -> torch.Tensor:
        """On the CPU; stacked and brought to the device by the caller."""


@dataclass(frozen=True)
class Batch:
    """Samples of one bucket."""

    samples: Sequence[Any]
    """B of what `prepare` returned."""
    pixels: torch.Tensor
    """Theirs, stacked, (B, ...), in the metric's `dtype` on its `device`."""


@dataclass(frozen=True)
class EncodedReference:
    """A reference as `score` gets it."""

    key: str
    features: Features
    """On the metric's device. The same object whenever the same reference comes again."""


class Metric(Protocol):
    """Turns a generation, its references and its prompt into columns.

    A metric that was not loaded is pickled to the workers.
    """

    name: str
    """By which it is asked for."""
    source: str
    """The setting that says where its network comes from, as in `encoder.name_or_path=PATH`; for
    messages."""
    columns: Mapping[str, Kind]
    """What `score` gives."""

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything that changes the columns, in JSON's types: equal ones give equal columns."""

    def load(self) -> None:
        """Load the network.

        Raises:
            OSError, ValueError, ImportError: it cannot be; the message is one line for the user.
        """

    @property
    def weight_bytes(self) -> int | None:
        """Memory on the device that its weights take, about; known before `load`, where the run is
        described. None where it cannot be told there.

        A metric has one device. By this it is decided which metrics stand on it together, and which
        wait for a pass of their own.
        """

    @property
    def device(self) -> torch.device:
        """Where the network is, once it is loaded."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the pixels that it takes."""

    @property
    def bytes_a_sample(self) -> int:
        """Memory on the device that one sample of a batch takes, at most: an estimate."""

    def prepare(
        self,
        key: str,
        image: Image.Image,
        masks: Mapping[str, np.ndarray],
        prompt: str | None,
        subject: str | None,
    ) -> PreparedSample:
        """The part that needs no device; called from several threads at once.

        Args:
            key: the sample's own.
            image: RGB; shared with other metrics, so not to be changed.
            masks: (H, W) by their names; `given` is always among them.
            prompt: None for a reference.
            subject: the noun that names the concept; None where it is not known.

        Raises:
            ValueError: the sample is of no use to this metric. The message is the reason.
        """

    def encode_references(self, batch: Batch) -> list[Features]:
        """What is kept of each reference of a batch, and given to `score`."""

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> Mapping[str, list[Any]]:
        """A list of B values a column, and `NOTES` where there is something to say.

        Args:
            batch: B generations.
            references: per generation what it is scored against, at least one.
        """
