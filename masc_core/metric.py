"""MaSC: two scores of a generated image from one forward pass of a frozen encoder.

1. Patch tokens of every reference photo; those under its mask are kept, at unit length. Once.
2. Patch tokens of the generation. Its only forward pass.
3. CP, concept preservation: for every kept reference patch the largest cosine to any patch of the
   generation; their mean. (`similarity`)
4. PF, prompt following: the generation's patches outside its mask, pooled by the encoder's own
   attention pool (`pooling`), against the text embedding of the prompt without its subject.

Source: MaSC, arXiv 2605.22469; scores equal those of its authors' package `masc-metric` in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import get_args

import torch
from PIL import Image

from masc_core import defaults
from masc_core.columns import check_names
from masc_core.encoder import Encoder, Grid
from masc_core.extra_scores import ExtraScores
from masc_core.masks import MaskLike, as_mask, foreground_fraction, mask_weights
from masc_core.records import EncodedText, Generation, Prepared, Reference, Score
from masc_core.reduction import reduce_references
from masc_core.reward import reward
from masc_core.similarity import cp_of_batch, unit
from masc_core.subject import require_stripper, strip_subject, subject_found
from masc_core.texts import TextEmbeddings


class MaSC:
    """Scores generated images against references and prompts.

    Example, with the small encoder in this package in place of the published checkpoint:
        >>> masc = MaSC.from_pretrained("demo")
        >>> dog = masc.encode_references([photo], [photo_mask])
        >>> [score] = masc.score_batch(
        ...     [Generation(image, mask, "a dog in the snow", dog, subject="dog")]
        ... )
        >>> -1 <= score.cp <= 1, -1 <= score.pf <= 1, score.text
        (True, True, 'in the snow')
    """

    def __init__(
        self,
        model_id: str | Path | Encoder = defaults.CHECKPOINT,
        device: str | torch.device | None = None,
        naflex_max_patches: int = defaults.MAX_NUM_PATCHES,
        fg_threshold: float = defaults.FG_THRESHOLD,
        dtype: torch.dtype = torch.float32,
        stripper: defaults.Stripper = "regex",
        *,
        spacy_model: str = defaults.SPACY_MODEL,
        reference_reduction: defaults.ReferenceReduction = "mean",
        masks: Sequence[str] = (),
        extra: Sequence[str] = (),
    ) -> None:
        """The first six arguments are those of `masc-metric`'s own `MaSC`.

        Args:
            model_id: checkpoint directory or hub id; or an `Encoder`, to which `device`,
                `naflex_max_patches` and `dtype` then do not apply.
            fg_threshold: mask weight that tells foreground: above it for CP, at it for PF.
            stripper, spacy_model: see `strip_subject`.
            reference_reduction: how CP against several references becomes one number.
            masks: names as `metric.masks` takes them; for each beyond `given` there is `cp@NAME`
                and `pf@NAME` in `Score.extra`.
            extra: names of further columns of the same forward, see `columns.known_columns`.

        Raises:
            OSError, ValueError: see `Encoder.from_pretrained`.
            ValueError: an argument that is none of its choices, or out of range; an unknown name
                in `masks` or `extra`.
            ImportError: `stripper="spacy"` without the package it needs.
        """
        _require_settings(fg_threshold, reference_reduction)
        require_stripper(stripper, spacy_model)
        check_names(masks, extra)
        if isinstance(model_id, str | Path):
            model_id = Encoder.from_pretrained(
                str(model_id), dtype=dtype, device=device, max_num_patches=naflex_max_patches
            )
        self.encoder = model_id
        self.fg_threshold = fg_threshold
        self.stripper: defaults.Stripper = stripper
        self.spacy_model = spacy_model
        self.reference_reduction = reference_reduction
        self._extra = ExtraScores.of(masks, extra, fg_threshold, self._reduce)
        self._texts = TextEmbeddings(self.encoder)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str = defaults.CHECKPOINT,
        *,
        revision: str | None = None,
        dtype: defaults.Dtype | torch.dtype = "float32",
        device: torch.device | str | None = None,
        max_num_patches: int = defaults.MAX_NUM_PATCHES,
        compile: bool = False,
        trust_remote_code: bool = False,
        fg_threshold: float = defaults.FG_THRESHOLD,
        stripper: defaults.Stripper = "regex",
        spacy_model: str = defaults.SPACY_MODEL,
        reference_reduction: defaults.ReferenceReduction = "mean",
        masks: Sequence[str] = (),
        extra: Sequence[str] = (),
    ) -> MaSC:
        """Load a checkpoint; the arguments are `Encoder.from_pretrained`'s and the metric's."""
        # Before the weights are read, which takes its time.
        _require_settings(fg_threshold, reference_reduction)
        require_stripper(stripper, spacy_model)
        check_names(masks, extra)
        encoder = Encoder.from_pretrained(
            name_or_path,
            revision=revision,
            dtype=dtype,
            device=device,
            max_num_patches=max_num_patches,
            compile=compile,
            trust_remote_code=trust_remote_code,
        )
        return cls(
            encoder,
            fg_threshold=fg_threshold,
            stripper=stripper,
            spacy_model=spacy_model,
            reference_reduction=reference_reduction,
            masks=masks,
            extra=extra,
        )

    def encode_references(
        self,
        images: Sequence[Image.Image],
        masks: Sequence[MaskLike],
        further_masks: Sequence[Mapping[str, MaskLike]] | None = None,
    ) -> list[Reference]:
        """Encode photos of a concept, to be scored against any number of times.

        Args:
            images: the photos.
            masks: per photo its (H, W) foreground mask, as in `Generation.mask`.
            further_masks: per photo its further masks by name, where `masks` of this MaSC names
                some.

        Raises:
            ValueError: what is no mask (see `as_mask`), or not one mask a photo.
        """
        if len(images) != len(masks):
            raise ValueError(f"{len(images)} photos and {len(masks)} masks: expected one a photo")
        references: list[Reference] = []
        others = further_masks or [{}] * len(images)
        for number, (image, mask, own) in enumerate(zip(images, masks, others, strict=True)):
            prepared = self.prepare(image, mask, key=f"reference {number}", masks=own)
            references += self.encode_prepared([prepared])
        return references

    @torch.inference_mode()
    def encode_prepared(
        self, batch: Sequence[Prepared], pixels: torch.Tensor | None = None
    ) -> list[Reference]:
        """Encode photos of one patch grid as references: one forward pass for all of them.

        Args:
            batch: prepared photos, all of one grid.
            pixels: their pixels stacked, if they are on the device already.

        Raises:
            ValueError: several grids in a batch.
        """
        tokens = self._patch_tokens(batch, pixels)
        return [
            Reference(
                # Strictly above, where PF takes "at or above": the authors' code differs in the
                # two.
                tokens=unit(own)[(each.weights > self.fg_threshold).to(own.device)],
                n_patches=len(each.weights),
                fg_weight=float(each.weights.mean()),
                fg_fraction=each.fg_fraction,
                detail=self._extra.detail(each, own, self.encoder.pool),
            )
            for each, own in zip(batch, tokens, strict=True)
        ]

    def score(
        self,
        ref_image: Image.Image,
        ref_mask: MaskLike,
        out_image: Image.Image,
        out_mask: MaskLike,
        prompt: str,
        object_name: str | None = None,
    ) -> Score:
        """Score one pair; arguments and `extras` are those of `masc-metric`'s `MaSC.score`.

        Args:
            ref_image: photo of the concept.
            ref_mask: its (H, W) foreground mask.
            out_image: the generation.
            out_mask: its (H, W) foreground mask.
            prompt: the prompt that made it.
            object_name: the subject to strip from the prompt; None leaves it as it is.

        Raises:
            ValueError: what is no mask; see `as_mask`.
        """
        [reference] = self.encode_references([ref_image], [ref_mask])
        generation = Generation(out_image, out_mask, prompt, [reference], object_name)
        [score] = self.score_batch([generation])
        score.extras.update(
            prompt_text=score.text,
            prompt_stripped=score.subject_found,
            stripper=self.stripper if object_name and object_name.strip() else None,
            cp_n_ref_fg=reference.n_fg_patches,
            cp_n_ref_total=reference.n_patches,
            cp_fg_frac_ref=reference.fg_weight,
            pf_n_fg=score.n_fg_patches,
            pf_n_total=score.n_patches,
            pf_n_bg_pooled=score.n_bg_patches,
        )
        return score

    def score_batch(self, generations: Sequence[Generation]) -> list[Score]:
        """Score any mix of generations; those of one patch grid go through the encoder together.

        Memory grows with the largest group of one grid: pass as many as the device bears.

        Returns:
            One score a generation, in the order given.

        Raises:
            ValueError: what is no mask (see `as_mask`), or a generation without references.
        """
        prepared = [
            self.prepare(g.image, g.mask, g.prompt, g.subject, key=g.key, masks=g.masks)
            for g in generations
        ]
        by_grid: dict[Grid, list[int]] = {}
        for index, each in enumerate(prepared):
            by_grid.setdefault(each.grid, []).append(index)
        scores: dict[int, Score] = {}
        for indices in by_grid.values():
            batch = [prepared[i] for i in indices]
            references = [generations[i].references for i in indices]
            scores.update(zip(indices, self.score_prepared(batch, references), strict=True))
        return [scores[i] for i in range(len(prepared))]

    def prepare(
        self,
        image: Image.Image,
        mask: MaskLike,
        prompt: str = "",
        subject: str | None = None,
        *,
        key: str = "",
        masks: Mapping[str, MaskLike] | None = None,
    ) -> Prepared:
        """The part of scoring that needs no device. Safe to call from several threads.

        Arguments are the fields of `Generation`.

        Raises:
            ValueError: what is no mask; see `as_mask`.
        """
        mask = as_mask(mask)
        pixels, grid = self.encoder.prepare_image(image)
        text = strip_subject(prompt, subject, self.stripper, self.spacy_model)
        further, blurred, lacks = self._extra.prepare(
            mask,
            {n: as_mask(m) for n, m in (masks or {}).items()},
            grid,
            key,
            self.encoder.patch_size,
        )
        return Prepared(
            pixels=pixels,
            grid=grid,
            weights=mask_weights(mask, grid),
            fg_fraction=foreground_fraction(mask),
            text=text,
            subject_found=subject_found(prompt, text),
            prompt=prompt,
            masks=further,
            blurred=blurred,
            lacks=lacks,
        )

    @torch.inference_mode()
    def score_prepared(
        self,
        batch: Sequence[Prepared],
        references: Sequence[Sequence[Reference]],
        pixels: torch.Tensor | None = None,
    ) -> list[Score]:
        """Score generations of one patch grid: one forward pass for all of them.

        Args:
            batch: prepared generations, all of one grid.
            references: per generation what it is scored against, at least one. Those that share
                `Reference.tokens` share a matrix product.
            pixels: their pixels stacked, if they are on the device already.

        Raises:
            ValueError: several grids in a batch, or a generation without references.
        """
        if not all(references):
            raise ValueError("a generation needs at least one reference")
        tokens = self._patch_tokens(batch, pixels)
        generations = unit(tokens)
        cp = cp_of_batch([[each.tokens for each in own] for own in references], generations)
        texts = self._texts.encode([each.text for each in batch])
        pf, n_fg = self._prompt_following(tokens, batch, texts)
        extra = self._extra.score_batch(
            batch, tokens, generations, self.encoder.pool, self._texts, references
        )
        return [
            Score(
                cp=self._reduce(cp[i]),
                pf=pf[i],
                cp_per_reference=cp[i],
                n_ref_fg_patches=[each.n_fg_patches for each in references[i]],
                n_fg_patches=n_fg[i],
                n_bg_patches=len(each.weights) - n_fg[i],
                grid=each.grid,
                fg_fraction=each.fg_fraction,
                text=each.text,
                subject_found=each.subject_found,
                n_text_tokens=texts[i].n_tokens,
                extra=extra[i][0],
                extra_per_reference=extra[i][1],
            )
            for i, each in enumerate(batch)
        ]

    def reward(
        self,
        images: torch.Tensor,
        masks: torch.Tensor | Sequence[MaskLike],
        prompts: Sequence[str],
        references: Sequence[Sequence[Reference]],
        subjects: Sequence[str | None] | None = None,
        *,
        checkpointing: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """CP and PF of image tensors (B, 3, H, W), each (B,), with gradients that reach the pixels.

        See `masc_core.reward.reward`, which has the arguments.
        """
        return reward(
            self, images, masks, prompts, references, subjects, checkpointing=checkpointing
        )

    def _patch_tokens(self, batch: Sequence[Prepared], pixels: torch.Tensor | None) -> torch.Tensor:
        """Patch tokens (B, N, D) of images of one grid."""
        if len({each.grid for each in batch}) != 1:
            raise ValueError("a batch holds one patch grid")
        if pixels is None:
            pixels = torch.stack([each.pixels for each in batch])
        return self.encoder.encode_images(pixels, batch[0].grid)

    def _prompt_following(
        self, tokens: torch.Tensor, batch: Sequence[Prepared], texts: Sequence[EncodedText]
    ) -> tuple[list[float], list[int]]:
        """PF of tokens (B, N, D), NaN where no patch is visible, and the hidden patches of each."""
        hidden = torch.stack([each.weights for each in batch]) >= self.fg_threshold
        images = self.encoder.pool(tokens, hidden[:, None].to(tokens.device))[:, 0]
        embeddings = torch.stack([text.embedding for text in texts])
        return (unit(images) * unit(embeddings)).sum(-1).tolist(), hidden.sum(-1).tolist()

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Text embeddings, float32 (len(texts), D), not normalised; kept as for scores."""
        return torch.stack([text.embedding for text in self._texts.encode(texts)])

    def _reduce(self, cp_per_reference: list[float]) -> float:
        return reduce_references(cp_per_reference, self.reference_reduction)


def _require_settings(
    fg_threshold: float,
    reference_reduction: defaults.ReferenceReduction,
) -> None:
    """Fail now if one of these cannot be meant, and not with a wrong score."""
    if not (isinstance(fg_threshold, Real) and 0 <= fg_threshold <= 1):
        raise ValueError(f"fg_threshold={fg_threshold!r}: expected a mask weight, 0 to 1")
    if reference_reduction not in (choices := get_args(defaults.ReferenceReduction)):
        raise ValueError(f"reference_reduction={reference_reduction!r}: expected one of {choices}")
