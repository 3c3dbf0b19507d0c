"""MASt3R, by a checkout of its authors' code (github.com/naver/mast3r), which is on no index.

1. The longest side 512, and the middle whose sides are multiples of 16; of a square the middle 4:3.
2. The encoder's tokens, once an image; decoder and heads once a pair, the reference as first view:
   a descriptor a pixel.
3. `recall`: reciprocal nearest neighbours by dot product from every 8th pixel on, by the authors'
   `fast_reciprocal_NNs`, none within 3 pixels of a border.
4. `masked`: the largest cosine of the reference's descriptor at every 8th pixel and the
   generation's at every 8th pixel.

The code is CC BY-NC-SA 4.0: not for commercial use.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masc_core.checkpoint import Checkpoint, CheckpointError, CheckpointKind, find_checkpoint
from masc_core.comparators.matchers import MatcherNetwork, MatcherScores, Side
from masc_core.comparators.matching import MatchedPair, Size, weights_in_frame
from masc_core.comparators.network import mixed_precision
from masc_core.comparators.settings import ComparatorSettings
from masc_core.comparators.weight_files import digest_of_file
from masc_core.protocol import Features

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

LONGEST_SIDE, PATCH = 512, 16
STEP, BORDER = 8, 3
"""Pixels between those that matches begin at, and from a border that none lies within."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom."""

BLOCK = 2**13
"""Descriptors that are compared at once with as many: the authors' own figure."""

TOKENS, POSITIONS = "tokens", "positions"
"""Under which a reference's features are kept."""

CODE = ("mast3r/model.py", "dust3r/dust3r/model.py", "dust3r/croco/models/croco.py")
"""Of a checkout with its submodules."""

N_WEIGHTS = 689_000_000
"""Of the published one, about."""

PAIR_BYTES = 2 * 4 * BLOCK**2 + 16 * 4 * 256 * (LONGEST_SIDE // 2) ** 2
"""Two blocks of dot products, and maps of the two heads."""

SECOND_DECODER = "dec_blocks2."
"""Begins the names of its weights."""


class Mast3rNetwork(MatcherNetwork):
    """MASt3R as a checkout has it."""

    published = "naver/MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric"
    kind = CheckpointKind((), ignores_code=True)  # its config.json says how to make it, not what
    preprocessing = (
        f"longest side {LONGEST_SIDE}, centre of multiples of {PATCH}, a square to 4:3, in [-1, 1]"
    )
    takes_source = True

    def __init__(self, name: str, settings: ComparatorSettings) -> None:
        """See `ImageNetwork`; `name_or_path` is a directory, a hub id, or a file as its authors
        publish it.

        Raises:
            ImportError: no checkout is named.
            ValueError: the directory is none.
        """
        if settings.source is None:
            raise ImportError(
                "needs a checkout of MASt3R: git clone --recursive "
                "https://github.com/naver/mast3r, comparators.mast3r.source=DIR"
            )
        super().__init__(name, settings)
        self._checkout = Path(settings.source).expanduser().resolve()
        for file in CODE:
            if not (self._checkout / file).is_file():
                raise ValueError(
                    f"comparators.mast3r.source={settings.source}: no {file} there; is it a "
                    "checkout of MASt3R, with its submodules (git clone --recursive)?"
                )
        self._revision = settings.revision
        path = Path(self.name_or_path).expanduser().resolve()
        self._file = path if path.is_file() else None
        if self._file is not None and settings.revision is not None:
            raise ValueError(f"revision={settings.revision}: a file has no revisions")

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """A directory or what the hub has; looked up once.

        Raises:
            CheckpointError: it cannot be used.
        """
        return find_checkpoint(self.name_or_path, self._revision, kind=self.kind)

    @property
    def weights(self) -> str:
        """Of a file, or of the checkpoint."""
        return self.checkpoint.weights if self._file is None else digest_of_file(self._file)

    def _load(self) -> None:
        with _importable(self._checkout), redirect_stdout(sys.stderr):
            try:
                from mast3r.fast_nn import fast_reciprocal_NNs
                from mast3r.model import AsymmetricMASt3R
            except ModuleNotFoundError as error:
                raise ImportError(
                    f"comparators.mast3r.source={self._checkout}: its code needs the package "
                    f"{error.name}; its requirements.txt, and dust3r's, say which"
                ) from error
            try:
                model = self._pretrained(AsymmetricMASt3R)
            except Exception as error:  # whatever the authors' code makes of another's weights
                reason = " ".join(str(error).split())[:200]
                where = self.name_or_path
                raise CheckpointError(f"{where}: no weights of MASt3R: {reason}") from error
        self._neighbours = fast_reciprocal_NNs
        self._model = model.to(self.device).eval()

    def _pretrained(self, model_class: Any) -> Any:
        """A model with the checkpoint's weights, by the authors' own loader.

        Raises:
            ValueError: some are not there, which the loader would leave at random.
        """
        if self._file is None:
            found = self.checkpoint
            options = {} if found.revision is None else {"revision": found.revision}
            return model_class.from_pretrained(found.name_or_path, strict=True, **options)
        import torch

        model = model_class.from_pretrained(str(self._file))
        kept = torch.load(self._file, map_location="meta", weights_only=False, mmap=True)["model"]
        missing = model.state_dict().keys() - kept.keys()
        # The loader takes the first decoder's for the second where the file has none of that.
        if not any(name.startswith(SECOND_DECODER) for name in kept):
            missing = {name for name in missing if not name.startswith(SECOND_DECODER)}
        if lacking := sorted(missing):
            raise ValueError(f"{len(lacking)} are missing, the first {lacking[0]}")
        return model

    @property
    def weight_bytes(self) -> int:
        """Of all weights, in float32."""
        return 4 * N_WEIGHTS

    @property
    def bytes_an_image(self) -> int:
        """Of a pair."""
        return PAIR_BYTES

    def masked_frame(self, mask: np.ndarray, image: Image.Image) -> torch.Tensor:
        """Matches are in the image that the network sees."""
        (width, height), (left, top, right, bottom) = _resized_and_cropped(image.size)
        return weights_in_frame(mask, (height, width))[top:bottom, left:right]

    def cells(self, frame: Size) -> Size:
        """Every 8th pixel."""
        return frame[0] // STEP, frame[1] // STEP

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """float32 (3, H, W) in [-1, 1].

        Raises:
            ValueError: nothing is left of it.
        """
        from PIL import Image
        from torchvision.transforms.functional import normalize, to_tensor

        size, box = _resized_and_cropped(image.size)
        # As in the authors' loader.
        is_larger = max(image.size) > LONGEST_SIDE
        kind = Image.Resampling.LANCZOS if is_larger else Image.Resampling.BICUBIC
        pixels = to_tensor(image.resize(size, kind).crop(box))
        return normalize(pixels, [0.5] * 3, [0.5] * 3)

    def encode(self, pixels: torch.Tensor) -> Features:
        """Tokens (N, D), and where they are, (N, 2)."""
        import torch

        shape = torch.tensor([pixels.shape[-2:]])
        with torch.inference_mode(), mixed_precision(self.device, self.dtype_name):
            tokens, positions, _ = self._model._encode_image(pixels[None], shape)
        return {TOKENS: tokens[0].float(), POSITIONS: positions[0]}

    def match(self, reference: Side, generation: Side) -> MatchedPair:
        """The reference is the first view."""
        import torch

        first, second = self._descriptors(reference, generation)
        begins, ends = (
            torch.from_numpy(own.copy())
            for own in self._neighbours(
                *(first, second, STEP), device=self.device, dist="dot", block_size=BLOCK
            )
        )
        is_inside = _is_inside(begins, reference.frame) & _is_inside(ends, generation.frame)
        some, others = (own[::STEP, ::STEP] for own in (first, second))
        # Descriptors are of unit length.
        confidence = (some @ others.flatten(0, 1).T).amax(dim=-1)
        return MatchedPair(begins[is_inside], ends[is_inside], confidence)

    def _descriptors(self, reference: Side, generation: Side) -> list[torch.Tensor]:
        """Of every pixel of either view, (H, W, D)."""
        import torch

        sides = (reference, generation)
        inputs = [
            own.features[name].to(self.device)[None]
            for own in sides
            for name in (TOKENS, POSITIONS)
        ]
        # The methods behind `forward`, which would encode both images anew for each pair; the
        # authors' own code for many pairs (`mast3r/cloud_opt/sparse_ga.py`) calls the same.
        with torch.inference_mode(), mixed_precision(self.device, self.dtype_name):
            decoded = list(self._model._decoder(*inputs))
        with torch.inference_mode():
            return [
                self._model._downstream_head(
                    number, [tokens.float() for tokens in layers], torch.tensor([own.frame])
                )["desc"][0]
                for number, (layers, own) in enumerate(zip(decoded, sides, strict=True), 1)
            ]


def _resized_and_cropped(size: tuple[int, int]) -> tuple[tuple[int, int], Box]:
    """Width and height that an image is brought to, and the box that is cut out of that.

    Raises:
        ValueError: there is nothing in it.
    """
    longest = max(size)
    width, height = (round(side * LONGEST_SIDE / longest) for side in size)
    middle = (width // 2, height // 2)
    half_width, half_height = (2 * each // PATCH * PATCH // 2 for each in middle)
    if width == height:
        half_height = 3 * half_width // 4
    if min(half_width, half_height) == 0:
        raise ValueError(f"{size[0]} x {size[1]} pixels are too narrow for MASt3R")
    x, y = middle
    box = (x - half_width, y - half_height, x + half_width, y + half_height)
    return (width, height), box


def _is_inside(points: torch.Tensor, frame: Size) -> torch.Tensor:
    """Which of (M, 2) are not within the border."""
    height, width = frame
    x, y = points[:, 0], points[:, 1]
    return (x >= BORDER) & (x < width - BORDER) & (y >= BORDER) & (y < height - BORDER)


@contextmanager
def _importable(checkout: Path) -> Iterator[None]:
    """Its packages on the path for as long as they are imported: one of them is called `models`.

    One of its modules lets all of torch round float32 products on a GPU, which is taken back.
    """
    import torch

    path, rounds = list(sys.path), torch.backends.cuda.matmul.allow_tf32
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path[:] = path
        torch.backends.cuda.matmul.allow_tf32 = rounds


def mast3r(names: Sequence[str], settings: ComparatorSettings) -> MatcherScores:
    """The metric of `mast3r.recall` and `mast3r.masked`."""
    return MatcherScores(names, settings, Mast3rNetwork(names[0], settings))
