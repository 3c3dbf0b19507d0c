"""What references hold, as digests: what was scored against some is not comparable to what was
scored against others.

They are known by concept, so that a run may gain concepts; and by the name of the mask, so that
references may gain masks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from jobs.pipeline.errors import CallError, DamagedShard, SampleError
from jobs.pipeline.run.parts import ConceptDigests, Used
from jobs.pipeline.shards.fields import read_reference
from jobs.pipeline.shards.members import IMAGE_SUFFIXES, MASK_SUFFIX, RawSample
from jobs.pipeline.shards.reading import read_samples
from jobs.pipeline.storage.digest import DigestingStream
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.retry import with_retries
from jobs.pipeline.storage.streams import open_stream
from masc_core.mask_names import GIVEN

Digested = tuple[str, str, Mapping[str, str]]
"""Of a reference: its concept, its key, and its digests by the name of the mask."""


@dataclass(frozen=True)
class ShardContent:
    """What a reference shard holds."""

    sha256: str
    references: tuple[Digested, ...]


def digests_of(raw: RawSample, subject: str | None) -> dict[str, str]:
    """What a reference holds, by the name of the mask that it is used with: `given`, and every
    NAME of its members mask.NAME.png."""
    image = [raw.members[suffix] for suffix in IMAGE_SUFFIXES if suffix in raw.members]
    masks = {suffix: content for suffix, content in raw.members.items() if _is_mask(suffix)}
    base = [*image, (subject or "").encode()]
    given = masks.pop(MASK_SUFFIX, b"")
    named = {
        suffix.removeprefix("mask.").removesuffix(".png"): _digest([*base, content])
        for suffix, content in masks.items()
    }
    return {GIVEN: _digest([*base, given]), **named}


def digests_by_concept(references: Iterable[Digested]) -> dict[str, dict[str, str]]:
    """What the references of each concept hold together, by the name of the mask."""
    found: dict[str, dict[str, list[str]]] = {}
    for concept, key, digests in references:
        for mask, digest in digests.items():
            found.setdefault(concept, {}).setdefault(mask, []).append(f"{key} {digest}")
    return {
        concept: {
            mask: _digest(each.encode() for each in sorted(keyed)) for mask, keyed in masks.items()
        }
        for concept, masks in found.items()
    }


def read_content(url: str, max_image_pixels: int) -> ShardContent:
    """What the reference shard at `url` holds; decodes no image.

    Raises:
        CallError: it is damaged, or a reference does not say what it is.
        FileNotFoundError, StorageError: it cannot be read.
    """
    redacted = redact(url)

    def read() -> ShardContent:
        with open_stream(url) as stream:
            content = DigestingStream(stream)
            references = tuple(_references(content, redacted, max_image_pixels))
            return ShardContent(content.sha256(), references)

    return with_retries(redacted, read)


def _references(stream: DigestingStream, shown: str, max_image_pixels: int) -> Iterator[Digested]:
    try:
        for raw in read_samples(stream, max_image_pixels):
            try:
                fields = read_reference(raw)
            except SampleError as error:
                raise CallError(f"references={shown}: {raw.key}: {error}") from error
            yield fields.concept, raw.key, digests_of(raw, fields.subject)
    except DamagedShard as damage:
        raise CallError(f"references={shown}: {damage}") from damage


def changed_concepts(used: Used, present: Mapping[str, ConceptDigests]) -> list[str]:
    """The concepts whose references are others than when rows were scored against them.

    A concept of which nothing is present now is not among them: it is not asked about.
    """
    return sorted(
        concept
        for concept, then in used.items()
        if then and concept in present and not _are_same(then, present[concept])
    )


def found_concepts(used: Used, present: Mapping[str, ConceptDigests]) -> list[str]:
    """The concepts that had no reference when their rows were made, and have one now."""
    return sorted(concept for concept, then in used.items() if not then and concept in present)


def _are_same(then: ConceptDigests, now: ConceptDigests) -> bool:
    """By the masks that were used: others may have come."""
    return all(now.get(mask) == digest for mask, digest in then.items())


def _is_mask(suffix: str) -> bool:
    return suffix.startswith("mask.") and suffix.endswith(".png")


def _digest(contents: Iterable[bytes]) -> str:
    """Of several contents, told apart by their lengths: 64 bits, in hexadecimal."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(f"{len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
