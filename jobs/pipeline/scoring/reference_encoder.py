"""The way of a reference shard: URL, samples, batches, what every metric keeps of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from jobs.pipeline.errors import CallError, DamagedShard, SampleError
from jobs.pipeline.scoring.batched_pass import BatchedPass, Decoded, Work
from jobs.pipeline.scoring.masks import with_members
from jobs.pipeline.scoring.plan import InputAnswer, ScoringPlan
from jobs.pipeline.scoring.reference_digests import digests_of
from jobs.pipeline.scoring.reference_index import ReferenceEntry
from jobs.pipeline.scoring.reference_store import Stored, storable
from jobs.pipeline.shards.fields import read_reference
from jobs.pipeline.shards.images import decode_image, decode_mask, mask_note, orientation_note
from jobs.pipeline.shards.members import RawSample
from jobs.pipeline.shards.reading import read_samples
from jobs.pipeline.storage.digest import DigestingStream
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.streams import open_stream
from masc_core.masks import foreground_fraction
from masc_core.protocol import Batch


@dataclass
class Photo(Decoded):
    """A reference on its way."""

    entry: ReferenceEntry = field(kw_only=True)
    features: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    """What is kept of it, by the metric's name."""

    def refuse(self, metric: str, reason: str) -> None:
        """A metric cannot use it."""
        self.entry = replace(self.entry, refused={**self.entry.refused, metric: reason})


class ReferenceEncoder:
    """Encodes reference shards with the metrics of a worker."""

    def __init__(self, through: BatchedPass, plan: ScoringPlan) -> None:
        """Encode by these threads and metrics."""
        self._pass = through
        self._plan = plan

    def encode(self, url: str) -> tuple[InputAnswer, Stored]:
        """Encode a shard. A reference that cannot be read is an entry that says why.

        Raises:
            CallError: the shard is damaged, or a reference does not say what it is.
            tarfile.TarError: the shard is no tar.
            FileNotFoundError, StorageError: it cannot be read.
            torch.OutOfMemoryError: a single reference does not fit the device.
        """
        redacted = redact(url)
        photos: list[Photo] = []
        work: Work[RawSample, Photo] = Work(
            decode=lambda raw: self._decode(raw, redacted),
            keep=lambda decoded: _keep(decoded, photos),
            compute=self._compute,
            failed=self._failed,
        )
        with open_stream(url) as stream:
            content = DigestingStream(stream)
            try:
                self._pass.run(read_samples(content, self._plan.max_image_pixels), work)
            except DamagedShard as damage:
                # Which references are lost, and whose scores they would change, cannot be told.
                raise CallError(f"references={redacted}: {damage}") from damage
            answer = InputAnswer(tuple(photo.entry for photo in photos), content.sha256())
        return answer, {photo.entry.key: photo.features for photo in photos}

    def _decode(self, raw: RawSample, shard: str) -> Photo:
        """Decode a reference, in a thread.

        Raises:
            CallError: it cannot even be told which concept it is of, so not what it would spoil.
        """
        plan = self._plan
        try:
            fields = read_reference(raw)
        except SampleError as error:
            raise CallError(f"references={shard}: {raw.key}: {error}") from error
        entry = ReferenceEntry(
            *(raw.key, shard, fields.concept, fields.subject),
            model=fields.model,
            digests=digests_of(raw, fields.subject),
        )
        photo = Photo(entry=entry)
        try:
            given = decode_mask(raw, plan.max_image_pixels)
            image = decode_image(raw, plan.max_image_pixels)
            masks = with_members(
                *(given, raw, image, plan.member_masks, plan.max_image_pixels, plan.min_fg_fraction)
            )
        except SampleError as error:
            photo.entry = replace(photo.entry, error=str(error))
            return photo
        suspicions = [mask_note(masks.given), orientation_note(image), *masks.problems.values()]
        notes = [note for note in suspicions if note]
        fraction = foreground_fraction(masks.given)
        photo.entry = replace(photo.entry, fg_fraction=fraction, warning="; ".join(notes) or None)
        for number, metric in enumerate(self._pass.metrics):
            try:
                photo.prepared[number] = metric.prepare(
                    raw.key, image, masks.by_name, None, fields.subject
                )
            except ValueError as error:
                photo.refuse(metric.name, str(error))
        return photo

    def _compute(self, number: int, photos: list[Photo], batch: Batch) -> None:
        metric = self._pass.metrics[number]
        for photo, features in zip(photos, metric.encode_references(batch), strict=True):
            photo.features[metric.name] = storable(features)

    def _failed(self, number: int, photo: Photo, reason: str) -> None:
        if number < self._plan.n_required:
            raise torch.OutOfMemoryError(f"{photo.entry.key}: {reason}")
        photo.refuse(self._pass.metrics[number].name, reason)


def _keep(decoded: Iterable[Photo], photos: list[Photo]) -> Iterator[Photo]:
    for photo in decoded:
        photos.append(photo)
        yield photo
