"""MaSC as a metric among others: CP and PF, and what they rest on, as columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from masc_core import defaults
from masc_core.protocol import NOTES, Batch, EncodedReference, Features, Kind

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

    from masc_core.metric import MaSC
    from masc_core.records import Prepared, Score

GIVEN = "given"
"""The mask that CP and PF are defined by."""

COLUMNS: dict[str, Kind] = {
    "text": "string",
    "subject_found": "bool",
    "cp": "float64",
    "pf": "float64",
    "cp_per_reference": "list<float64>",
    "n_ref_fg_patches": "list<int32>",
    "n_fg_patches": "int32",
    "n_bg_patches": "int32",
    "n_patches": "int32",
    "grid_h": "int32",
    "grid_w": "int32",
}


@dataclass(frozen=True)
class MascSettings:
    """What CP and PF follow from."""

    name_or_path: str
    revision: str | None
    weights: str
    """What tells these weights from others, as in `sha256:...`."""
    dtype: defaults.Dtype
    max_num_patches: int
    is_naflex: bool
    compile: bool
    trust_remote_code: bool
    fg_threshold: float
    stripper: defaults.Stripper
    reference_reduction: defaults.ReferenceReduction
    extra: tuple[str, ...] = ()
    """Names of `AGGREGATORS`, a column each."""


class MascScores:
    """The columns of MaSC, by one forward pass an image. A `protocol.Metric`."""

    name = "masc"

    def __init__(self, settings: MascSettings) -> None:
        """Nothing is loaded before `load`; torch is not even imported."""
        self._settings = settings
        self.source = f"encoder.name_or_path={settings.name_or_path}"
        self.columns: Mapping[str, Kind] = {
            **COLUMNS,
            **dict.fromkeys(settings.extra, "float64"),
        }
        self._masc: MaSC | None = None

    def fingerprint(self) -> dict[str, Any]:
        """The encoder counts by its weights, not by where they lie."""
        own = self._settings
        return {
            "encoder.weights": own.weights,
            "encoder.dtype": own.dtype,
            "encoder.max_num_patches": own.max_num_patches if own.is_naflex else 0,
            "metric.fg_threshold": own.fg_threshold,
            "metric.stripper": own.stripper,
            "metric.reference_reduction": own.reference_reduction,
        }

    def load(self) -> None:
        """Load the encoder.

        Raises:
            OSError, ValueError, ImportError: see `MaSC.from_pretrained`.
        """
        from masc_core.metric import MaSC

        own = self._settings
        self._masc = MaSC.from_pretrained(
            own.name_or_path,
            revision=own.revision,
            dtype=own.dtype,
            max_num_patches=own.max_num_patches,
            compile=own.compile,
            trust_remote_code=own.trust_remote_code,
            fg_threshold=own.fg_threshold,
            stripper=own.stripper,
            reference_reduction=own.reference_reduction,
            extra=own.extra,
        )

    @property
    def masc(self) -> MaSC:
        """The metric itself, loaded."""
        assert self._masc is not None, "load() comes first"
        return self._masc

    @property
    def device(self) -> torch.device:
        """Where the encoder is."""
        return self.masc.encoder.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the vision tower."""
        return self.masc.encoder.dtype

    @property
    def bytes_a_sample(self) -> int:
        """Activations of one image."""
        return self.masc.encoder.bytes_an_image

    def prepare(
        self,
        key: str,
        image: Image.Image,
        masks: Mapping[str, np.ndarray],
        prompt: str | None,
        subject: str | None,
    ) -> Prepared:
        """The image's patches, its mask on their grid, and the text that PF encodes."""
        return self.masc.prepare(image, masks[GIVEN], prompt or "", subject)

    def encode_references(self, batch: Batch) -> list[Features]:
        """Of each its foreground patch tokens, float32 (R, D) of unit length."""
        encoded = self.masc.encode_prepared(batch.samples, batch.pixels)
        return [{"tokens": each.tokens} for each in encoded]

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> dict[str, list[Any]]:
        """CP and PF of each generation, and what they rest on."""
        tokens = [[each.features["tokens"] for each in own] for own in references]
        scores = self.masc.score_prepared(batch.samples, tokens, batch.pixels)
        rows = [_columns(score) for score in scores]
        values: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in self.columns}
        text_length = self.masc.encoder.text_length
        values[NOTES] = [
            _notes(score, own, text_length) for score, own in zip(scores, references, strict=True)
        ]
        return values


def _columns(score: Score) -> dict[str, Any]:
    return {
        "text": score.text,
        "subject_found": score.subject_found,
        "cp": score.cp,
        "pf": score.pf,
        "cp_per_reference": score.cp_per_reference,
        "n_ref_fg_patches": score.n_ref_fg_patches,
        "n_fg_patches": score.n_fg_patches,
        "n_bg_patches": score.n_bg_patches,
        "n_patches": score.n_patches,
        "grid_h": score.grid[0],
        "grid_w": score.grid[1],
        **score.extra,
    }


def _notes(score: Score, references: Sequence[EncodedReference], text_length: int) -> str | None:
    """Why a score is NaN, and whether the text was cut; the text tower reads `text_length`
    tokens."""
    notes = [
        f"reference {each.key} has no foreground patch"
        for each, n in zip(references, score.n_ref_fg_patches, strict=True)
        if n == 0
    ]
    if math.isnan(score.pf):
        notes.append("pf: no background patch")
    if not score.text and score.subject_found:
        notes.append("text: the prompt is nothing but its subject")
    if score.n_fg_patches == 0 and score.fg_fraction > 0:
        share = f"{100 * score.fg_fraction:.2g} % of its pixels are not zero"
        notes.append(f"mask: no patch is foreground, though {share}")
    if score.n_text_tokens > text_length:
        notes.append(f"text: {score.n_text_tokens} tokens, cut to {text_length}")
    return "; ".join(notes) or None
