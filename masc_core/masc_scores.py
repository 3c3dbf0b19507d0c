"""MaSC as a metric among others: CP and PF, and what they rest on, as columns."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from masc_core import defaults
from masc_core.checkpoint_size import ITEM_BYTES, n_weights
from masc_core.columns import compares, is_column
from masc_core.cost import VisionShape, vision_shape
from masc_core.mask_names import GIVEN
from masc_core.protocol import NOTES, Batch, EncodedReference, Features, Kind
from masc_core.spacy_model import SpacyModel, require_same_pipeline

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

    from masc_core.metric import MaSC
    from masc_core.records import Prepared, Reference, Score

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
    spacy_model: str = defaults.SPACY_MODEL
    """Of `stripper=spacy`: a package or an absolute directory."""
    spacy_weights: str | None = None
    """What tells that pipeline from others; None where it is not known, or not asked."""
    min_fg_fraction: float = 0.0
    """A mask that covers this share or less has no value; 0 takes all. Whoever reads samples holds
    the given one and members to it."""
    masks: tuple[str, ...] = (GIVEN,)
    """`cp@NAME` and `pf@NAME` for each beyond the given one."""
    extra: tuple[str, ...] = ()
    """Further columns of the same forward, by their names."""


class MascScores:
    """The columns of MaSC, by one forward pass an image. A `protocol.Metric`."""

    name = "masc"

    def __init__(self, settings: MascSettings) -> None:
        """Nothing is loaded before `load`; torch is not even imported."""
        self._settings = settings
        self.source = f"encoder.name_or_path={settings.name_or_path}"
        self.columns: Mapping[str, Kind] = {**COLUMNS, **_extra_columns(settings)}
        self._masc: MaSC | None = None

    def giving(self, columns: Collection[str]) -> MascScores:
        """The same metric, with no further masks and columns than these columns need."""
        plain = dict.fromkeys(name.removesuffix("_per_reference") for name in columns)
        masks = [name.partition("@")[2] for name in plain if name.startswith(("cp@", "pf@"))]
        return MascScores(
            replace(
                self._settings,
                masks=tuple(dict.fromkeys([GIVEN, *masks])),
                extra=tuple(name for name in plain if is_column(name)),
            )
        )

    @property
    def masks(self) -> tuple[str, ...]:
        """The names of what plays the mask, `given` first."""
        return self._settings.masks

    @property
    def keeps_all_tokens(self) -> bool:
        """Whether a column needs all patch tokens of the references, not the foreground alone."""
        return len(self.masks) > 1 or any(compares(name) for name in self._settings.extra)

    def fingerprint(self) -> dict[str, Any]:
        """The encoder counts by its weights, not by where they lie."""
        own = self._settings
        # Only where it is asked: fingerprints of other strippers have no such key.
        spacy = {"metric.spacy_model": own.spacy_weights} if own.stripper == "spacy" else {}
        return {
            "encoder.weights": own.weights,
            "encoder.dtype": own.dtype,
            "encoder.max_num_patches": own.max_num_patches if own.is_naflex else 0,
            "metric.fg_threshold": own.fg_threshold,
            "metric.stripper": own.stripper,
            "metric.reference_reduction": own.reference_reduction,
            **spacy,
        }

    def load(self) -> None:
        """Load the encoder.

        Raises:
            OSError, ValueError, ImportError: see `MaSC.from_pretrained`.
        """
        from masc_core.metric import MaSC

        own = self._settings
        if own.stripper == "spacy" and own.spacy_weights is not None:
            require_same_pipeline(SpacyModel(own.spacy_model, own.spacy_weights))
        self._masc = MaSC.from_pretrained(
            own.name_or_path,
            revision=own.revision,
            dtype=own.dtype,
            max_num_patches=own.max_num_patches,
            compile=own.compile,
            trust_remote_code=own.trust_remote_code,
            fg_threshold=own.fg_threshold,
            stripper=own.stripper,
            spacy_model=own.spacy_model,
            reference_reduction=own.reference_reduction,
            masks=own.masks,
            extra=own.extra,
        )

    def shape(self) -> VisionShape:
        """The sizes of its vision tower, whether or not it is loaded.

        Raises:
            OSError, ValueError, ImportError: its configuration cannot be read.
        """
        own = self._settings
        return vision_shape(
            own.name_or_path,
            own.revision,
            max_num_patches=own.max_num_patches if own.is_naflex else None,
            trust_remote_code=own.trust_remote_code,
        )

    @property
    def masc(self) -> MaSC:
        """The metric itself, loaded."""
        assert self._masc is not None, "load() comes first"
        return self._masc

    @property
    def weight_bytes(self) -> int | None:
        """Of the whole checkpoint, as if all of it were float32; text tower and head are."""
        n = n_weights(self._settings.name_or_path, self._settings.revision)
        return None if n is None else n * ITEM_BYTES["float32"]

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
        prepared = self.masc.prepare(
            image, masks[GIVEN], prompt or "", subject, key=key, masks=masks
        )
        return _without_small(prepared, masks[GIVEN], self._settings.min_fg_fraction)

    def encode_references(self, batch: Batch) -> list[Features]:
        """Of each its foreground patch tokens, and what further columns need of it."""
        return [_features(each) for each in self.masc.encode_prepared(batch.samples, batch.pixels)]

    def score(
        self, batch: Batch, references: Sequence[Sequence[EncodedReference]]
    ) -> dict[str, list[Any]]:
        """CP and PF of each generation, and what they rest on."""
        known = {id(each): _reference(each.features) for own in references for each in own}
        against = [[known[id(each)] for each in own] for own in references]
        scores = self.masc.score_prepared(batch.samples, against, batch.pixels)
        rows = [_columns(score) for score in scores]
        values: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in self.columns}
        text_length = self.masc.encoder.text_length
        values[NOTES] = [
            _notes(prepared, score, own, text_length)
            for prepared, score, own in zip(batch.samples, scores, references, strict=True)
        ]
        return values


def _without_small(prepared: Prepared, given: np.ndarray, least: float) -> Prepared:
    """Without masks made of the given one that cover `least` or less; 0 takes all."""
    if least <= 0:
        return prepared
    from masc_core.mask_kinds import derived_fraction

    masks, lacks = dict(prepared.masks), dict(prepared.lacks)
    for name, weights in prepared.masks.items():
        if ":" in name and (covered := derived_fraction(name, given, weights)) <= least:
            del masks[name]
            lacks[name] = f"mask {name}: foreground is {covered:.4f}, not over {least}"
    return replace(prepared, masks=masks, lacks=lacks)


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
        **{f"{name}_per_reference": each for name, each in score.extra_per_reference.items()},
    }


def _notes(
    prepared: Prepared, score: Score, references: Sequence[EncodedReference], text_length: int
) -> str | None:
    """Why a score is NaN or absent, and whether the text was cut to `text_length` tokens."""
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
    notes += prepared.lacks.values()
    lacking = [
        (f"cp@{name}", each.key)
        for name in prepared.masks
        for each in references
        if f"cp@{name}" in score.extra and f"{FOREGROUND}{name}" not in each.features
    ]
    notes += [f"{name}: reference {key} has no such mask" for name, key in lacking]
    notes += [
        f"{name}: {_why_undefined(name)}"
        for name, value in score.extra.items()
        if value is not None and math.isnan(value) and name not in dict(lacking)
    ]
    return "; ".join(notes) or None


def _why_undefined(name: str) -> str:
    """Of a further column, why it is NaN."""
    if name == "cp.leak":
        return "no background patch in the image or in any reference"
    if name.startswith("cp"):
        return "no reference has a foreground patch"
    return f"no {'foreground' if name.startswith('pf.fg') else 'background'} patch"


def _extra_columns(settings: MascSettings) -> dict[str, Kind]:
    """Those beside CP and PF; what compares with references also has its value for each."""
    columns: dict[str, Kind] = {}
    for name in settings.masks:
        if name != GIVEN:
            columns[f"cp@{name}"] = "float64"
            columns[f"cp@{name}_per_reference"] = "list<float64>"
            columns[f"pf@{name}"] = "float64"
    for name in settings.extra:
        columns[name] = "float64"
        if compares(name):
            columns[f"{name}_per_reference"] = "list<float64>"
    return columns


FOREGROUND, BLURRED = "foreground ", "blurred "
"""Begin the names of features: the name of a mask follows, or the sigma of a blur."""


def _features(reference: Reference) -> dict[str, torch.Tensor]:
    """A reference as it is stored."""
    features = {"tokens": reference.tokens}
    if (detail := reference.detail) is None:
        return features
    features |= {"kept": detail.tokens, "weights": detail.weights}
    features |= {f"{FOREGROUND}{name}": own for name, own in detail.foregrounds.items()}
    features |= {f"{BLURRED}{blur}": own for blur, own in detail.blurred.items()}
    if detail.full_pool is not None:
        features["full pool"] = detail.full_pool
    return features


def _reference(features: Features) -> Reference:
    """A reference from what was stored, without what no score asks for."""
    from masc_core.records import Reference, ReferenceDetail

    detail = None
    if "kept" in features:
        detail = ReferenceDetail(
            features["kept"],
            features["weights"],
            _of_prefix(features, FOREGROUND),
            _of_prefix(features, BLURRED),
            features.get("full pool"),
        )
    return Reference(features["tokens"], 0, math.nan, math.nan, detail)


def _of_prefix(features: Features, prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): own for name, own in features.items() if name.startswith(prefix)
    }
