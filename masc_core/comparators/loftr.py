"""LoFTR, trained outdoors, by kornia.

1. Either image grey, a square of 512 pixels; masks likewise, by their nearest pixels.
2. `recall`: matches of confidence above 0.2, at the places that the fine stage gives them.
3. `masked`: the row maximum of the coarse dual-softmax matrix, rows being the 64 x 64 cells of the
   reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masc_core.comparators.matchers import MatcherNetwork, MatcherScores, Side
from masc_core.comparators.matching import MatchedPair, Size, weights_in_frame
from masc_core.comparators.network import mixed_precision
from masc_core.comparators.settings import ComparatorSettings
from masc_core.comparators.weight_files import (
    digest_of_file,
    give_weights,
    read_weights,
    require_package,
)
from masc_core.protocol import Features

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

SIDE, CELL = 512, 8
"""Pixels, of the square and of a coarse cell."""

RELEASE = "loftr_outdoor.ckpt"
"""What kornia downloads under the name of `outdoor`."""

N_WEIGHTS = 11_561_456

PIXELS = "pixels"
"""Under which a reference's are kept: a pair's features are forty times as large."""


class LoftrNetwork(MatcherNetwork):
    """LoFTR as kornia has it."""

    published = "outdoor"
    preprocessing = f"grey, square of {SIDE} bilinear, in [0, 1]; masks nearest"

    def __init__(self, name: str, settings: ComparatorSettings) -> None:
        """See `ImageNetwork`; `name_or_path` is a file of LoFTR's weights.

        Raises:
            ImportError: kornia is not installed.
            ValueError: a revision, which its weights do not have.
        """
        require_package("kornia", "loftr")
        super().__init__(name, settings)
        if settings.revision is not None:
            raise ValueError(f"revision={settings.revision}: there are no revisions of LoFTR")
        is_published = self.name_or_path == self.published
        self._file = None if is_published else Path(self.name_or_path).expanduser().resolve()

    @property
    def weights(self) -> str:
        """The published ones go by their release, as they may not be downloaded yet.

        Raises:
            CheckpointError: no such file.
        """
        return f"release:{RELEASE}" if self._file is None else digest_of_file(self._file)

    def _load(self) -> None:
        import sys

        from kornia.feature import LoFTR

        if self._file is None:
            with redirect_stdout(sys.stderr):  # it may say that it downloads
                model = LoFTR(self.published)
        else:
            model = LoFTR(None)
            give_weights(model, read_weights(self._file), self._file)
        self._model = model.to(self.device).eval()

    @property
    def weight_bytes(self) -> int:
        """Of all weights, in float32."""
        return 4 * N_WEIGHTS

    @property
    def bytes_an_image(self) -> int:
        """Of a pair: three matrices of all coarse cells, and the backbone's maps beside them."""
        n_cells = (SIDE // CELL) ** 2
        return 3 * 4 * n_cells**2 + 8 * 4 * 128 * (SIDE // 2) ** 2

    def masked_frame(self, mask: np.ndarray, image: Image.Image) -> torch.Tensor:
        """Matches are in the square."""
        return weights_in_frame(mask, (SIDE, SIDE))

    def cells(self, frame: Size) -> Size:
        """The coarse ones."""
        return frame[0] // CELL, frame[1] // CELL

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """float32 (1, 512, 512) in [0, 1]."""
        from PIL import Image
        from torchvision.transforms.functional import to_tensor

        return to_tensor(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))

    def encode(self, pixels: torch.Tensor) -> Features:
        """The pixels."""
        return {PIXELS: pixels}

    def match(self, reference: Side, generation: Side) -> MatchedPair:
        """The reference is the first image."""
        import torch

        first, second = (
            own.features[PIXELS].to(self.device)[None] for own in (reference, generation)
        )
        best: list[torch.Tensor] = []

        def keep(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
            # The matrix is among what the module writes into its third argument.
            best.append(inputs[2]["conf_matrix"][0].amax(dim=1))

        hook = self._model.coarse_matching.register_forward_hook(keep)
        try:
            with torch.inference_mode(), mixed_precision(self.device, self.dtype_name):
                found = self._model({"image0": first, "image1": second})
        finally:
            hook.remove()
        confidence = best[0].float().reshape(self.cells(reference.frame))
        return MatchedPair(found["keypoints0"], found["keypoints1"], confidence)


def loftr(names: Sequence[str], settings: ComparatorSettings) -> MatcherScores:
    """The metric of `loftr.recall` and `loftr.masked`."""
    return MatcherScores(names, settings, LoftrNetwork(names[0], settings))
