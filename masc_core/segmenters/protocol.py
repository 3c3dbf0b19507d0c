"""What a segmenter is to whoever runs it over many images.

A segmenter is made where the job is described and used where there is a device:

1. made, from its settings: it knows its `fingerprint()`, and has loaded nothing;
2. `load`, on the worker: its network, on the device;
3. `prepare`, in decoding threads, on each decoded image;
4. `segment`, on batches of what may be stacked together (one `bucket`).

Decoding, threads, batches, uploads, memory that runs out and where masks are written are the
business of whoever runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from masc_core.protocol import Batch, PreparedSample

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

FOREGROUND = 255
"""What a mask holds where the subject is; 0 elsewhere."""


class Segmenter(Protocol):
    """Finds what a text names in an image.

    A segmenter that was not loaded is pickled to the workers.
    """

    name: str
    """By which it is asked for."""

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything that changes the masks, in JSON's types: equal ones give equal masks.

        Raises:
            masc_core.checkpoint.CheckpointError: a checkpoint cannot be used.
        """

    def load(self) -> None:
        """Load the network.

        Raises:
            OSError, ValueError, ImportError: it cannot be; the message is one line for the user.
        """

    @property
    def device(self) -> torch.device:
        """Where the network is, once it is loaded."""

    @property
    def bytes_a_sample(self) -> int:
        """Memory on the device that one sample of a batch takes, at most: an estimate."""

    def prepare(self, image: Image.Image, text: str) -> PreparedSample:
        """The part that needs no device; called from several threads at once.

        Args:
            image: RGB; not to be changed.
            text: the noun that names what is to be found, such as "piggy bank".

        Raises:
            ValueError: they are of no use to this segmenter. The message is the reason.
        """

    def segment(self, batch: Batch) -> list[np.ndarray]:
        """A mask of each sample of a batch, all of one bucket.

        Returns:
            (H, W) uint8 of 0 and `FOREGROUND`, each at its own image's size: the union of what is
            found, 0 everywhere when nothing is.
        """
