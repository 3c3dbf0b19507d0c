"""Everything that changes a score, as a flat mapping: equal fingerprints mean comparable scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from jobs.pipeline.evaluation_config import EvaluateConfig
from jobs.pipeline.scoring.checkpoint import Checkpoint
from jobs.pipeline.storage.filesystem import open_filesystem
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries

Fingerprint = Mapping[str, str | float | int | list[str]]

_READ_AT_ONCE = 1 << 22


def fingerprint_of(
    config: EvaluateConfig, checkpoint: Checkpoint, references: list[str]
) -> Fingerprint:
    """The fingerprint of a run. Reads the reference shards, for their digest.

    The encoder counts by its weights and not by its path, references by their content and not by
    where they lie: a run can be moved, and gone on with elsewhere.
    """
    return {
        "encoder.weights": checkpoint.weights,
        "encoder.dtype": config.encoder.dtype,
        "encoder.max_num_patches": config.encoder.max_num_patches if checkpoint.is_naflex else 0,
        "metric.fg_threshold": config.metric.fg_threshold,
        "metric.stripper": config.metric.stripper,
        "metric.reference_reduction": config.metric.reference_reduction,
        "metric.min_fg_fraction": config.metric.min_fg_fraction,
        "metric.masks": config.metric.masks,
        "metric.extra": config.metric.extra,
        "limits.max_image_pixels": config.limits.max_image_pixels,
        "references": _digest_of(references),
    }


def differing(ours: Fingerprint, theirs: Fingerprint) -> list[str]:
    """The keys in which two fingerprints differ, each with both values."""
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    return [f"{key} is {ours.get(key)!r}, there {theirs.get(key)!r}" for key in keys]


def _digest_of(urls: list[str]) -> str:
    with ThreadPoolExecutor(max_workers=8) as pool:
        digests = sorted(pool.map(_file_digest, urls))
    return f"sha256:{hashlib.sha256(' '.join(digests).encode()).hexdigest()[:16]}"


def _file_digest(url: str) -> str:
    fs, path = open_filesystem(url)

    def read() -> str:
        digest = hashlib.sha256()
        with fs.open(path, "rb", block_size=_READ_AT_ONCE) as content:
            while block := content.read(_READ_AT_ONCE):
                digest.update(block)
        return digest.hexdigest()

    return with_retries(redact(url), read)
