"""SuperPoint and LightGlue: keypoints of either image, matched.

1. The image at its own size, grey, in [0, 1].
2. SuperPoint's keypoints and descriptors, the 2,048 of highest score, once an image.
3. LightGlue on the keypoints of a pair, each normalised by its own image's size.

Both networks are in one checkpoint of transformers. Confidences of cells there are none, so no
masked form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from masc_core.checkpoint import CheckpointKind
from masc_core.comparators.matchers import MatcherNetwork, MatcherScores, Side, native_frame
from masc_core.comparators.matching import MatchedPair
from masc_core.comparators.network import PretrainedNetwork, mixed_precision
from masc_core.comparators.settings import ComparatorSettings
from masc_core.protocol import Features

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

MAX_KEYPOINTS = 2048

KEYPOINTS, DESCRIPTORS = "keypoints", "descriptors"
"""Under which a reference's features are kept."""

MEGAPIXEL_BYTES = 3 * 64 * 4 * 1024**2
"""Three of the maps of SuperPoint's first block, 64 channels each, for 1,024 x 1,024 pixels."""


class LightGlueNetwork(PretrainedNetwork, MatcherNetwork):
    """A LightGlue of transformers, with the detector in it."""

    published = "ETH-CVG/lightglue_superpoint"
    keeps_float32 = True
    kind = CheckpointKind(("lightglue",), ignores_code=True)
    preprocessing = f"own size, grey, in [0, 1]; {MAX_KEYPOINTS} keypoints at most"

    def _load(self) -> None:
        from transformers import LightGlueForKeypointMatching, SuperPointForKeypointDetection

        model = self._pretrained(LightGlueForKeypointMatching)
        if not isinstance(model.keypoint_detector, SuperPointForKeypointDetection):
            found = type(model.keypoint_detector).__name__
            raise ValueError(f"{self.name_or_path}: its keypoints are {found}'s, not SuperPoint's")
        # A number in the checkpoint's configuration would win over ours where it is smaller.
        model.keypoint_detector.keypoint_decoder.max_keypoints = -1
        self._model = model.to(self.device).eval()

    @property
    def bytes_an_image(self) -> int:
        """Of one of a megapixel."""
        return MEGAPIXEL_BYTES

    def masked_frame(self, mask: np.ndarray, image: Image.Image) -> torch.Tensor:
        """Matches are in the image's own pixels."""
        return native_frame(mask, image)

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """float32 (1, H, W) in [0, 1]; what has no colour is left as it is."""
        import torch
        from torchvision.transforms import functional

        pixels = functional.to_tensor(image)
        if torch.equal(pixels[0], pixels[1]) and torch.equal(pixels[1], pixels[2]):
            return pixels[:1]
        return functional.rgb_to_grayscale(pixels)

    def encode(self, pixels: torch.Tensor) -> Features:
        """Keypoints (K, 2), pixels from the middle of the first one, and descriptors (K, D)."""
        import torch

        # In float32 whatever `dtype` says: the positions of keypoints go through it too.
        with torch.inference_mode():
            found = self._model.keypoint_detector(pixels[None])
        height, width = pixels.shape[-2:]
        best = found.scores[0].topk(min(MAX_KEYPOINTS, found.scores.shape[1])).indices
        # Whole pixels, which the detector has divided by the image's size.
        keypoints = (found.keypoints[0] * found.keypoints.new_tensor([width, height])).round()
        return {KEYPOINTS: keypoints[best], DESCRIPTORS: found.descriptors[0, best]}

    def match(self, reference: Side, generation: Side) -> MatchedPair:
        """The matches that LightGlue keeps."""
        import torch

        sides = (reference, generation)
        points, descriptors = (
            [own.features[name].to(self.device) for own in sides]
            for name in (KEYPOINTS, DESCRIPTORS)
        )
        n_points = max(map(len, points))
        if min(map(len, points)) == 0:
            none = torch.zeros(0, 2)
            return MatchedPair(none, none, None)
        normal = [_normalised(own, side.frame) for own, side in zip(points, sides, strict=True)]
        is_there = torch.tensor([[i < len(own) for i in range(n_points)] for own in points])
        with torch.inference_mode(), mixed_precision(self.device, self.dtype_name):
            # The method behind `forward`, which would detect keypoints anew for each pair, and
            # takes images of one size. It normalises by the one size that it is given: by this
            # one it adds what `_normalised` has taken off.
            matches, *_ = self._model._match_image_pair(
                _padded([own + 1 for own in normal], n_points),
                _padded(descriptors, n_points),
                height=2,
                width=2,
                mask=is_there[None].to(self.device, torch.int),
            )
        other = matches.reshape(2, -1)[0, : len(points[0])].long()
        is_match = (other >= 0) & (other < len(points[1]))
        return MatchedPair(points[0][is_match], points[1][other[is_match]], None)


def _normalised(points: torch.Tensor, frame: tuple[int, int]) -> torch.Tensor:
    """Keypoints from the middle of their image, half its longer side being 1."""
    height, width = frame
    return (points - points.new_tensor([width / 2, height / 2])) / (max(frame) / 2)


def _padded(rows: Sequence[torch.Tensor], length: int) -> torch.Tensor:
    """Two of (K, D) as (1, 2, length, D), zeros at their ends."""
    import torch
    import torch.nn.functional as F

    return torch.stack([F.pad(own, (0, 0, 0, length - len(own))) for own in rows])[None]


def lightglue(names: Sequence[str], settings: ComparatorSettings) -> MatcherScores:
    """The metric of `lightglue.recall`."""
    return MatcherScores(names, settings, LightGlueNetwork(names[0], settings))
