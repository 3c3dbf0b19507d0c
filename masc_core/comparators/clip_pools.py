"""PF by CLIP: the columns `pf.POOL.TEXT@clip_b`, what MaSC's background pool does for a CLIP.

1. An image by the checkpoint's own processor, and its mask with the same centre cut out.
2. CLIP pools an image by its CLS token: that is the pool `full`. `bg` and `fg` put the mean of the
   patch tokens outside and inside the mask in its place: before the last layernorm, where CLS is
   taken. Then layernorm and projection, as ever.
3. The cosine with the projection of the prompt, without its subject or whole.

Source: the paper's reproduction code (`score_pair_clip_masked_pool` of masc-reproduction), which
does not cut the mask: equal for square images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from masc_core.columns import POOLS, PooledColumn, parse_columns
from masc_core.comparators.clip import ClipNetwork, embedded, notes_of_cut
from masc_core.comparators.network_scores import NetworkScores, PreparedImage
from masc_core.comparators.settings import ComparatorSettings
from masc_core.mask_names import GIVEN
from masc_core.protocol import NOTES, Batch, EncodedReference, Features
from masc_core.spacy_model import SpacyModel, find_spacy_model, require_same_pipeline
from masc_core.subject import strip_subject

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

    from masc_core.texts import TextEmbeddings

CLS_POOL = "full"
"""The pool that is CLIP's own."""

IN_WORDS = {"bg": "background", "fg": "foreground"}
"""What the others see."""

MASKS = "cut as the image is, then as MaSC's"
"""What becomes of a mask, for the fingerprint."""


class ClipPoolNetwork(ClipNetwork):
    """A CLIP model that pools as it is told."""

    @property
    def grid(self) -> tuple[int, int]:
        """Patches (Hp, Wp), row-major."""
        config = self._vision.config
        side = config.image_size // config.patch_size
        return side, side

    def seen_of(self, mask: np.ndarray) -> np.ndarray:
        """The part of an image's mask (H, W), of any size, that the processor's crop leaves."""
        processor = self._image_processor
        if not processor.do_center_crop:
            return mask
        height, width = mask.shape
        resized = _resized(height, width, processor)
        cropped = processor.crop_size.height, processor.crop_size.width
        tall, wide = (
            min(own, round(own * left / whole))
            for own, left, whole in zip((height, width), cropped, resized, strict=True)
        )
        top, left = (height - tall) // 2, (width - wide) // 2
        return mask[top : top + tall, left : left + wide]

    def pool(self, pixels: torch.Tensor, hidden: Sequence[torch.Tensor]) -> torch.Tensor:
        """Pools of images (B, 3, H, W): float32 (B, 1 + M, D) of unit length, CLS first.

        Args:
            hidden: per image bool (M, N), the patches that each further pool leaves out. One that
                leaves out all is NaN.
        """
        import torch

        from masc_core.similarity import unit

        with torch.inference_mode():
            tokens = self._vision(pixels).last_hidden_state  # (B, 1 + N, D), before its layernorm
            shown = (~torch.stack(list(hidden))).to(tokens.device, torch.float32)
            means = shown @ tokens[:, 1:].float() / shown.sum(-1, keepdim=True)
            pools = torch.cat([tokens[:, :1], means.to(tokens.dtype)], dim=1)
            return unit(self._visual_projection(self._vision.post_layernorm(pools)))


def _resized(height: int, width: int, processor: Any) -> tuple[float, float]:
    """What the processor resizes an image of this shape to, before it crops."""
    if not processor.do_resize:
        return height, width
    size = processor.size
    if size.shortest_edge:
        scale = size.shortest_edge / min(height, width)
        return height * scale, width * scale
    return size.height, size.width


@dataclass(frozen=True)
class PreparedPools(PreparedImage):
    """An image, what its pools hide, and its texts."""

    hidden: torch.Tensor
    """bool (M, N), by the pools but for CLS."""
    texts: Mapping[str, str]
    """By `columns.TEXTS`."""


class ClipPools(NetworkScores[ClipPoolNetwork]):
    """The columns of one checkpoint, by one forward pass an image. A `protocol.Metric`."""

    def __init__(self, names: Sequence[str], settings: ComparatorSettings) -> None:
        """Nothing is loaded before `load`; torch is not even imported."""
        super().__init__(names, settings, ClipPoolNetwork(names[0], settings))
        self.columns = dict.fromkeys(names, "float64")
        self._asked = {name: _pooled(name) for name in names}
        self._pools = [each for each in POOLS if each != CLS_POOL]
        self._settings = settings
        self._texts: TextEmbeddings | None = None

    def fingerprint(self) -> dict[str, Any]:
        """Of all names the same, whichever are asked for.

        Raises:
            OSError, ValueError, ImportError: see `ImageNetwork.fingerprint`, `find_spacy_model`.
        """
        own = self._settings
        found: dict[str, Any] = {
            **super().fingerprint(),
            "masks": MASKS,
            "fg_threshold": own.fg_threshold,
            "stripper": own.stripper,
        }
        if own.stripper == "spacy":
            found["spacy_model"] = self._pipeline.weights
        return found

    @cached_property
    def _pipeline(self) -> SpacyModel:
        """Looked up once, so that a worker strips by what was found where the run was described."""
        return find_spacy_model(self._settings.spacy_model)

    def load(self) -> None:
        """See `ImageNetwork.load`."""
        from masc_core.texts import TextEmbeddings

        if self._settings.stripper == "spacy":
            require_same_pipeline(self._pipeline)
        super().load()
        self._texts = TextEmbeddings(self.network)

    def prepare(
        self,
        key: str,
        image: Image.Image,
        masks: Mapping[str, np.ndarray],
        prompt: str | None,
        subject: str | None,
    ) -> PreparedPools:
        """The image resized, the patches that its given mask hides, the prompt and what is left
        of it.

        Raises:
            ValueError: there is no mask.
        """
        import torch

        from masc_core.masks import mask_weights

        if prompt is None:  # a reference, which nobody asks about
            return PreparedPools(torch.empty(0), torch.empty(0), {})
        if GIVEN not in masks:
            raise ValueError(f"{self.name}: needs a mask")
        own = self._settings
        weights = mask_weights(self.network.seen_of(masks[GIVEN]), self.network.grid)
        stripped = strip_subject(prompt, subject, own.stripper, own.spacy_model)
        return PreparedPools(
            self.network.prepare(image),
            torch.stack([POOLS[pool](weights, own.fg_threshold) for pool in self._pools]),
            {"stripped": stripped, "full": prompt},
        )

    def encode_references(self, batch: Batch) -> list[Features]:
        """Nothing: only the prompt counts."""
        return [{} for _ in batch.samples]

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> dict[str, list[Any]]:
        """The columns of each generation, which are undefined, and which texts were cut."""
        assert self._texts is not None, "load() comes first"
        pools = self.network.pool(batch.pixels, [own.hidden for own in batch.samples])
        at = {pool: number for number, pool in enumerate([CLS_POOL, *self._pools])}
        values: dict[str, list[Any]] = {}
        notes: list[list[str]] = [[] for _ in batch.samples]
        for name, column in self._asked.items():
            texts = self._texts.encode([own.texts[column.text] for own in batch.samples])
            values[name] = (pools[:, at[column.pool]] * embedded(texts)).sum(-1).tolist()
            for own, value, text in zip(notes, values[name], texts, strict=True):
                if math.isnan(value):
                    own.append(f"{name}: no {IN_WORDS[column.pool]} patch")
                own += notes_of_cut(name, text.n_tokens, self.network.text_length)
        values[NOTES] = ["; ".join(own) or None for own in notes]
        return values


def _pooled(name: str) -> PooledColumn:
    """What a column of this name is.

    Raises:
        ValueError: there is no such pool or text.
    """
    pooled = parse_columns([name.partition("@")[0]]).pooled
    if not pooled:
        raise ValueError(f"{name}: no such column")
    return pooled[0]
