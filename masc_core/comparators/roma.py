"""RoMa, trained outdoors, by the package of its authors (PyPI `romatch`).

1. Either image a square of 560 pixels, and one of 864 for the second stage, bicubic; ImageNet's
   mean and std.
2. Certainty and warp of every pixel of the 864, from the reference to the generation and back (the
   symmetric output), once a pair.
3. `recall`: 5,000 matches that its `sample` draws of both halves, mapped to native pixels. It draws
   at random: here always from the same seed, so that a pair has one value whatever is scored
   beside it, and on one kind of device.
4. `masked`: the certainty of the reference's half.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masc_core.checkpoint import CheckpointError
from masc_core.comparators.matchers import MatcherNetwork, MatcherScores, Side, native_frame
from masc_core.comparators.matching import MatchedPair, Size
from masc_core.comparators.settings import ComparatorSettings
from masc_core.comparators.transforms import IMAGENET_MEAN, IMAGENET_STD
from masc_core.comparators.weight_files import digest_of_file, read_weights, require_package
from masc_core.protocol import Features

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

COARSE, FINE = 560, 864
"""Pixels of the squares of its two stages, the package's own defaults."""

N_MATCHES, SEED = 5000, 0

MATCHER_FILE, DINOV2_FILE = WEIGHTS = ("roma_outdoor.pth", "dinov2_vitl14_pretrain.pth")
"""What the package downloads; DINOv2 is no part of RoMa's own."""

N_WEIGHTS = 111_000_000 + 304_000_000
"""Its own and DINOv2's, about."""

PIXELS = "pixels"
"""Under which a reference's are kept, 8 bits each."""

PAIR_BYTES = 6 * 10**9
"""Of the fine stage on a pair both ways, most of it maps of VGG-19 of 864 x 864 pixels."""


class RomaNetwork(MatcherNetwork):
    """RoMa as its package makes it."""

    published = "roma_outdoor"
    preprocessing = (
        f"squares of {COARSE} and {FINE} bicubic, ImageNet's mean and std; "
        f"{N_MATCHES} matches sampled from seed {SEED}"
    )

    def __init__(self, name: str, settings: ComparatorSettings) -> None:
        """See `ImageNetwork`; `name_or_path` is a directory with both files of weights.

        Raises:
            ImportError: the package is not installed.
            ValueError: a revision, which its weights do not have.
        """
        require_package("romatch", "roma")
        super().__init__(name, settings)
        if settings.revision is not None:
            raise ValueError(f"revision={settings.revision}: there are no revisions of RoMa")
        is_published = self.name_or_path == self.published
        self._folder = None if is_published else Path(self.name_or_path).expanduser().resolve()

    @property
    def weights(self) -> str:
        """The published ones go by their release, as they may not be downloaded yet.

        Raises:
            CheckpointError: a directory that is not there, or lacks one.
        """
        if self._folder is None:
            return f"release:{'+'.join(WEIGHTS)}"
        if not self._folder.is_dir():
            raise CheckpointError(f"{self.name_or_path}: no such directory")
        for name in WEIGHTS:
            if not (self._folder / name).is_file():
                raise CheckpointError(f"{self.name_or_path}: no {name} in this directory")
        return "+".join(digest_of_file(self._folder / name) for name in WEIGHTS)

    def _load(self) -> None:
        import torch

        dtype = getattr(torch, self.dtype_name)
        if self.device.type == "cpu" and dtype != torch.float32:
            raise ValueError(f"dtype={self.dtype_name}: on a CPU its package knows float32 alone")
        given: dict[str, Any] = {}
        if self._folder is not None:
            matcher, dinov2 = (read_weights(self._folder / name) for name in WEIGHTS)
            given = {"weights": matcher, "dinov2_weights": dinov2}
        from romatch import roma_outdoor

        try:
            with redirect_stdout(sys.stderr):
                self._model = roma_outdoor(
                    device=self.device,
                    coarse_res=COARSE,
                    upsample_res=FINE,
                    amp_dtype=dtype,
                    use_custom_corr=False,  # a package of its own, for CUDA alone
                    **given,
                )
        except RuntimeError as error:
            if "state_dict" not in str(error):
                raise
            reason = " ".join(str(error).split())[:200]
            where = self.name_or_path
            raise CheckpointError(f"{where}: weights of another network: {reason}") from error
        # Only DINOv2 takes the dtype that was given; the others have one each.
        for module in self._model.modules():
            if hasattr(module, "amp_dtype"):
                module.amp_dtype = dtype
        self._model.eval()

    @property
    def weight_bytes(self) -> int:
        """Of all weights, in float32."""
        return 4 * N_WEIGHTS

    @property
    def bytes_an_image(self) -> int:
        """Of a pair."""
        return PAIR_BYTES

    def masked_frame(self, mask: np.ndarray, image: Image.Image) -> torch.Tensor:
        """Matches are mapped to the image's own pixels."""
        return native_frame(mask, image)

    def cells(self, frame: Size) -> Size:
        """Every pixel of the fine stage."""
        return FINE, FINE

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """The images of both stages one after the other, float32 (3 * 560² + 3 * 864²,) in 0 to
        255."""
        import torch
        from PIL import Image
        from torchvision.transforms.functional import pil_to_tensor

        squares = [
            pil_to_tensor(image.resize((side, side), Image.Resampling.BICUBIC)).flatten()
            for side in (COARSE, FINE)
        ]
        return torch.cat(squares).float()

    def encode(self, pixels: torch.Tensor) -> Features:
        """The pixels, 8 bits each: a pair's features are fifty times as large."""
        import torch

        return {PIXELS: pixels.to(torch.uint8)}

    def match(self, reference: Side, generation: Side) -> MatchedPair:
        """The reference is image A."""
        import torch

        coarse, fine = zip(
            *(self._stages(own.features[PIXELS]) for own in (reference, generation)), strict=True
        )
        with torch.inference_mode():
            warp, certainty = self._model.match(
                *coarse, im_A_high_res=fine[0], im_B_high_res=fine[1], device=self.device
            )
            matches = self._sample(warp[0], certainty[0])
            begins, ends = self._model.to_pixel_coordinates(
                matches, *reference.frame, *generation.frame
            )
        return MatchedPair(begins, ends, certainty[0, :, :FINE].float())

    def _stages(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The normalised images of both stages, (1, 3, side, side)."""
        from torchvision.transforms.functional import normalize

        flat = pixels.to(self.device).float() / 255
        coarse, fine = flat.split([3 * COARSE**2, 3 * FINE**2])
        first = normalize(coarse.reshape(1, 3, COARSE, COARSE), IMAGENET_MEAN, IMAGENET_STD)
        return first, normalize(fine.reshape(1, 3, FINE, FINE), IMAGENET_MEAN, IMAGENET_STD)

    def _sample(self, warp: torch.Tensor, certainty: torch.Tensor) -> torch.Tensor:
        """Matches (M, 4), by the package's own drawing; none where nothing is certain."""
        import torch

        if not bool((certainty > 0).any()):
            return warp.new_zeros(0, 4)
        on = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=on):
            torch.manual_seed(SEED)
            matches, _ = self._model.sample(warp, certainty, num=N_MATCHES)
        return matches


def roma(names: Sequence[str], settings: ComparatorSettings) -> MatcherScores:
    """The metric of `roma.recall` and `roma.masked`."""
    return MatcherScores(names, settings, RomaNetwork(names[0], settings))
