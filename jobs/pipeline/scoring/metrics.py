"""Which metrics a call asks for: MaSC, and those named in `metric.extra`.

A metric is asked for before it is known whether anything is left for it to compute: where nothing
is, neither its checkpoint nor its package is needed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from jobs.pipeline.errors import CallError
from jobs.pipeline.run.fingerprint import MASC, Fingerprint, Groups
from jobs.pipeline.run.rows import PER_REFERENCE, scores_schema
from jobs.pipeline.scoring.config import (
    ComparatorConfig,
    EncoderConfig,
    MetricConfig,
    known_extras,
)
from masc_core.checkpoint import CheckpointError, find_checkpoint
from masc_core.columns import is_column
from masc_core.comparators import (
    COMPARATORS,
    ComparatorSettings,
    find_comparator,
    make_comparators,
)
from masc_core.comparators.matching import FORMS
from masc_core.comparators.settings import settings_key
from masc_core.defaults import FG_THRESHOLD
from masc_core.masc_scores import MascScores, MascSettings
from masc_core.mask_names import GIVEN, check_mask_name
from masc_core.protocol import Metric
from masc_core.spacy_model import SpacyModel, find_spacy_model


@dataclass(frozen=True)
class Asked:
    """A metric that a call asks for. Nothing of it is loaded."""

    groups: tuple[str, ...]
    """Of its columns: MaSC's, or the names by which a comparator is asked for."""
    metric: Metric | None
    """None where it cannot even be made."""
    fingerprint: Fingerprint
    """Of each of its groups. None stands for what is not known, without its checkpoint."""
    problem: str | None = None
    """Why it cannot compute."""
    lacks_package: bool = False
    """Whether that is a package which is not installed."""
    own_pass: bool | None = None
    """What the call says of where it stands; see `placing.Need`."""

    @property
    def columns(self) -> frozenset[str]:
        """Of all its groups."""
        return frozenset().union(*map(self.columns_of, self.groups))

    def columns_of(self, group: str) -> frozenset[str]:
        """What the group holds, as far as that is known."""
        if self.metric is None:
            return frozenset([group])
        if group == MASC:
            return frozenset(self.metric.columns)
        return frozenset({group, f"{group}{PER_REFERENCE}"} & self.metric.columns.keys())


def metrics_asked(
    encoder: EncoderConfig,
    metric: MetricConfig,
    comparators: Mapping[str, ComparatorConfig],
    max_image_pixels: int,
    limit: int | None = None,
) -> tuple[Asked, ...]:
    """MaSC first, then the comparators in the order in which they are named.

    Raises:
        CallError: a name that is not known or comes twice, or a column that does.
    """
    _check_names(metric, comparators)
    limited = {} if limit is None else {"limit": limit}
    common: dict[str, Any] = {"metric.min_fg_fraction": metric.min_fg_fraction, **limited}
    spacy, no_spacy = _spacy_model(metric)
    if spacy is not None:
        metric = replace(metric, spacy_model=spacy.name_or_path)
    masc = _masc(encoder, metric, spacy.weights if spacy else None, no_spacy)
    asked = [
        replace(
            masc,
            fingerprint={
                **masc.fingerprint,
                **common,
                "limits.max_image_pixels": max_image_pixels,
            },
        )
    ]
    common = {**common, "metric.reference_reduction": metric.reference_reduction}
    names = [name for name in metric.extra if find_comparator(name) is not None]
    asked += [
        replace(each, fingerprint={**each.fingerprint, **common})
        for each in _comparators(names, metric, comparators, no_spacy)
    ]
    try:
        scores_schema([each.metric for each in asked if each.metric is not None])
    except ValueError as error:
        raise CallError(f"metric.extra={metric.extra}: {error}") from error
    return tuple(asked)


def metrics_for(asked: Sequence[Asked], columns: Collection[str]) -> tuple[Metric, ...]:
    """The metrics that compute these columns, and no others: not even what comes for little.

    Raises:
        CallError: one of them cannot compute.
    """
    metrics: list[Metric] = []
    for each in asked:
        own = each.columns
        if MASC in each.groups:
            own |= {name for name in columns if is_masc_column(name)}
        if own.isdisjoint(columns):
            continue
        if each.problem is not None or each.metric is None:
            raise CallError(each.problem or f"{each.groups[0]}: cannot be used")
        if isinstance(each.metric, MascScores):
            metrics.append(each.metric.giving(columns))
        else:
            metrics.append(each.metric)
    return tuple(metrics)


def is_masc_column(name: str) -> bool:
    """Whether MaSC's forward gives a column of this name, beyond what it always gives."""
    plain = name.removesuffix(PER_REFERENCE)
    return is_column(plain) or plain.startswith(("cp@", "pf@"))


def groups_asked(asked: Sequence[Asked]) -> dict[str, Fingerprint]:
    """The fingerprints of all groups that are asked for."""
    return {group: each.fingerprint for each in asked for group in each.groups}


def completed(asked: Groups, found: Groups) -> dict[str, Fingerprint]:
    """Fingerprints of which what is not known is taken from those that were found.

    Groups that were found and are not asked for stay as they are.
    """
    return {
        group: {
            **found.get(group, {}),
            **{
                key: value
                for key, value in asked.get(group, {}).items()
                if value is not None or key not in found.get(group, {})
            },
        }
        for group in {**found, **asked}
    }


def uses_masks(name: str) -> bool:
    """Whether a comparator uses masks: patch tokens, as in `cp.AGGREGATOR@BACKBONE`, or such a
    backbone by itself; and matchers, as in `MATCHER.recall`.

    >>> uses_masks("cp.recall_fg@dinov3_b"), uses_masks("dift_sdxl"), uses_masks("clip_i")
    (True, True, False)
    """
    is_backbone = any(each.endswith(f"@{name}") for each in COMPARATORS)
    return "@" in name or name.rpartition(".")[2] in FORMS or is_backbone


def strips(name: str) -> bool:
    """Whether a comparator takes the subject out of the prompt, as in `pf.POOL.TEXT@BACKBONE`."""
    return "@" in name and name.startswith("pf.")


def _check_names(metric: MetricConfig, comparators: Mapping[str, ComparatorConfig]) -> None:
    for setting, names, of in (("masks", metric.masks, "mask"), ("extra", metric.extra, "metric")):
        if len(set(names)) != len(names):
            raise CallError(f"metric.{setting}={names}: a {of} is named twice")
    if GIVEN not in metric.masks:
        raise CallError(f"metric.masks={metric.masks}: {GIVEN} is always among them")
    try:
        for name in metric.masks:
            check_mask_name(name)
    except ValueError as error:
        raise CallError(f"metric.masks={error}") from error
    for name in metric.extra:
        if find_comparator(name) is None and not is_column(name):
            known = known_extras()
            near = get_close_matches(name, known, n=1, cutoff=0.75)
            advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise CallError(f"metric.extra={name}: no such metric; {advice}")
    have_settings = dict.fromkeys(map(settings_key, COMPARATORS))
    for name in comparators:
        if name not in have_settings:
            raise CallError(
                f"comparators.{name}: no such comparator; known: {', '.join(have_settings)}"
            )


def _spacy_model(metric: MetricConfig) -> tuple[SpacyModel | None, str | None]:
    """The pipeline of `stripper=spacy`, or why there is none; neither where nobody asks."""
    if metric.stripper != "spacy":
        return None, None
    try:
        return find_spacy_model(metric.spacy_model), None
    except CheckpointError as error:
        return None, f"metric.spacy_model={error}"
    except ImportError as error:
        return None, str(error)


def _masc(
    encoder: EncoderConfig, metric: MetricConfig, spacy_weights: str | None, no_spacy: str | None
) -> Asked:
    settings = MascSettings(
        name_or_path=encoder.name_or_path,
        revision=encoder.revision,
        weights="",
        dtype=encoder.dtype,
        max_num_patches=encoder.max_num_patches,
        is_naflex=True,
        compile=encoder.compile,
        trust_remote_code=encoder.trust_remote_code,
        fg_threshold=metric.fg_threshold,
        stripper=metric.stripper,
        spacy_model=metric.spacy_model,
        spacy_weights=spacy_weights,
        reference_reduction=metric.reference_reduction,
        min_fg_fraction=metric.min_fg_fraction,
        masks=tuple(metric.masks),
        extra=tuple(name for name in metric.extra if is_column(name)),
    )
    try:
        checkpoint = find_checkpoint(
            encoder.name_or_path, encoder.revision, encoder.trust_remote_code
        )
    except CheckpointError as error:
        masc = MascScores(settings)
        unknown = {"encoder.weights": None, "encoder.max_num_patches": None}
        problem = f"encoder.name_or_path={error}"
        return Asked((MASC,), masc, {**masc.fingerprint(), **unknown}, problem)
    masc = MascScores(
        replace(
            settings,
            name_or_path=checkpoint.name_or_path,
            revision=checkpoint.revision,
            weights=checkpoint.weights,
            is_naflex=checkpoint.is_naflex,
        )
    )
    return Asked((MASC,), masc, masc.fingerprint(), no_spacy)


def _comparators(
    names: Sequence[str],
    metric: MetricConfig,
    comparators: Mapping[str, ComparatorConfig],
    no_spacy: str | None,
) -> list[Asked]:
    """Those of one class and one checkpoint are one metric, which forwards once for all."""
    together: dict[tuple[str | None, ComparatorSettings, bool | None], list[str]] = {}
    for name in names:
        own = comparators.get(settings_key(name), ComparatorConfig())
        settings = ComparatorSettings(
            *(own.name_or_path, own.revision, own.dtype),
            source=own.source,
            reference_reduction=metric.reference_reduction,
            fg_threshold=metric.fg_threshold if uses_masks(name) else FG_THRESHOLD,
        )
        if strips(name):
            settings = replace(settings, stripper=metric.stripper, spacy_model=metric.spacy_model)
        together.setdefault((find_comparator(name), settings, own.own_pass), []).append(name)
    asked = []
    for (_, settings, own_pass), own_names in together.items():
        groups = tuple(own_names)
        made = None
        if no_spacy is not None and settings.stripper == "spacy":
            asked.append(Asked(groups, None, {}, no_spacy))
            continue
        try:
            made = make_comparators(own_names, settings)
            asked.append(Asked(groups, made, made.fingerprint(), own_pass=own_pass))
        except (ImportError, OSError, ValueError) as error:
            setting = f"metric.extra={own_names[0]}" if made is None else made.source
            if isinstance(error, CheckpointError):  # begins with what was asked for
                problem = f"{setting.partition('=')[0]}={error}"
            else:
                problem = f"{setting}: {error}"
            asked.append(Asked(groups, made, {}, problem, isinstance(error, ImportError)))
    return asked
