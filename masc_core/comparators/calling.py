"""A comparator as a function of images, for notebooks and training loops."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from masc_core.mask_names import GIVEN
from masc_core.masks import MaskLike, as_mask
from masc_core.protocol import Batch, EncodedReference, Metric, PreparedSample


class LoadedComparator:
    """A metric of one name, on its device. `load_comparator` makes one."""

    def __init__(self, metric: Metric) -> None:
        """Call a metric that is loaded and has one column, but for its values per reference."""
        self.metric = metric
        self.needs_references = f"{metric.name}_per_reference" in metric.columns
        """Else it needs a prompt."""

    def __call__(
        self,
        generation: Image.Image,
        references: Sequence[Image.Image] = (),
        *,
        prompt: str | None = None,
        subject: str | None = None,
        mask: MaskLike | None = None,
        reference_masks: Sequence[MaskLike] | None = None,
    ) -> float:
        """The score of a generation, as it is in a run's rows.

        Args:
            generation: any size and mode; converted to RGB as PIL does.
            references: photos of the concept, where it compares with them.
            prompt: that made it, where it is held against that.
            subject: the noun that names the concept in it, where that is taken out.
            mask: (H, W) foreground of the generation, for what aggregates patch tokens.
            reference_masks: likewise, one a reference.

        Raises:
            ValueError: what it needs is not given, or is no mask.
        """
        if self.needs_references and not references:
            raise ValueError(f"{self.metric.name} compares with references: expected at least one")
        if not self.needs_references and prompt is None:
            raise ValueError(f"{self.metric.name} is held against the prompt: prompt= is missing")
        masks = [None] * len(references) if reference_masks is None else reference_masks
        if len(masks) != len(references):
            raise ValueError(f"{len(references)} references and {len(masks)} masks of references")
        encoded = [
            EncodedReference(
                str(number),
                *self.metric.encode_references(self._batch(self._prepare(photo, own))),
            )
            for number, (photo, own) in enumerate(zip(references, masks, strict=True))
        ]
        batch = self._batch(self._prepare(generation, mask, prompt or "", subject))
        [score] = self.metric.score(batch, [encoded])[self.metric.name]
        return score

    def _prepare(
        self,
        image: Image.Image,
        mask: MaskLike | None,
        prompt: str | None = None,
        subject: str | None = None,
    ) -> PreparedSample:
        masks = {} if mask is None else {GIVEN: as_mask(mask)}
        return self.metric.prepare("", image.convert("RGB"), masks, prompt, subject)

    def _batch(self, sample: PreparedSample) -> Batch:
        pixels = sample.pixels[None].to(self.metric.device, self.metric.dtype)
        return Batch([sample], pixels)
