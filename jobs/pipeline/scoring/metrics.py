"""Which metrics a run asks for: MaSC, and those named in `metric.extra`."""

from __future__ import annotations

from jobs.pipeline.errors import CallError
from jobs.pipeline.run.fingerprint import Fingerprint
from jobs.pipeline.run.rows import scores_schema
from jobs.pipeline.scoring.config import EncoderConfig, MetricConfig, known_extras
from masc_core.checkpoint import CheckpointError, find_checkpoint
from masc_core.columns import is_column
from masc_core.comparators import COMPARATORS, make_comparator
from masc_core.masc_scores import MascScores, MascSettings
from masc_core.mask_names import GIVEN, check_mask_name
from masc_core.protocol import Metric


def metrics_of(encoder: EncoderConfig, metric: MetricConfig) -> tuple[Metric, ...]:
    """MaSC first, then the comparators in the order in which they are named; nothing is loaded.

    Raises:
        CallError: a checkpoint that cannot be used, a name that is not known, a package that is not
            installed, or a column that comes twice.
    """
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
    metrics: list[Metric] = [_masc(encoder, metric)]
    for name in metric.extra:
        if name in COMPARATORS:
            try:
                metrics.append(make_comparator(name))
            except (ImportError, OSError, ValueError) as error:
                raise CallError(f"metric.extra={name}: {error}") from error
        elif not is_column(name):
            known = ", ".join(known_extras())
            raise CallError(f"metric.extra={name}: no such metric; known: {known}")
    try:
        scores_schema(metrics)
    except ValueError as error:
        raise CallError(f"metric.extra={metric.extra}: {error}") from error
    return tuple(metrics)


def fingerprint_of(
    metrics: tuple[Metric, ...], metric: MetricConfig, max_image_pixels: int
) -> Fingerprint:
    """Everything that changes a run's rows; what the references hold is not known yet."""
    masc, *comparators = metrics
    return {
        **masc.fingerprint(),
        "metric.min_fg_fraction": metric.min_fg_fraction,
        "metric.masks": metric.masks,
        "metric.extra": metric.extra,
        "limits.max_image_pixels": max_image_pixels,
        "references": None,
        **{
            f"{comparator.name}.{key}": value
            for comparator in comparators
            for key, value in comparator.fingerprint().items()
        },
    }


def _masc(encoder: EncoderConfig, metric: MetricConfig) -> MascScores:
    try:
        checkpoint = find_checkpoint(
            encoder.name_or_path, encoder.revision, encoder.trust_remote_code
        )
    except CheckpointError as error:
        raise CallError(f"encoder.name_or_path={error}") from error
    settings = MascSettings(
        name_or_path=checkpoint.name_or_path,
        revision=checkpoint.revision,
        weights=checkpoint.weights,
        dtype=encoder.dtype,
        max_num_patches=encoder.max_num_patches,
        is_naflex=checkpoint.is_naflex,
        compile=encoder.compile,
        trust_remote_code=encoder.trust_remote_code,
        fg_threshold=metric.fg_threshold,
        stripper=metric.stripper,
        reference_reduction=metric.reference_reduction,
        masks=tuple(metric.masks),
        extra=tuple(name for name in metric.extra if is_column(name)),
    )
    return MascScores(settings)
