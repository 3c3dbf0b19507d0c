"""What the members of a sample say: its image, its mask, and its JSON's fields."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from jobs.pipeline.rows import SampleError
from jobs.pipeline.shards import IMAGE_SUFFIXES, JSON_SUFFIX, MASK_SUFFIX, RawSample

# The limit is ours and comes with the configuration; Pillow's own is a warning at 89 million.
Image.MAX_IMAGE_PIXELS = None

INT64 = range(-(2**63), 2**63)


@dataclass
class GenerationFields:
    """The JSON of a generation. What is not known is None, never invented."""

    model: str | None = None
    concept: str | None = None
    prompt: str | None = None
    subject: str | None = None
    prompt_id: str | None = None
    seed: int | None = None
    references: list[str] | None = None
    extra: str | None = None
    """Whatever else the JSON holds, as a JSON object; None when there is nothing."""


@dataclass(frozen=True)
class ReferenceFields:
    """The JSON of a reference."""

    concept: str
    subject: str | None = None


def read_generation(raw: RawSample, fields: GenerationFields) -> None:
    """Fill `fields` from the sample's JSON, as far as it goes.

    They are filled in place so that a sample that turns out bad still says whose it is.

    Raises:
        SampleError: no JSON, not a JSON object, a field missing or of the wrong type.
    """
    document = _read_json(raw)
    problems = []
    for name in ("model", "concept", "prompt"):
        value = document.pop(name, None)
        if isinstance(value, str) and value.strip():
            setattr(fields, name, value)
        else:
            problems.append(_wrong(name, value, "a text that is not empty"))
    for name, read, expected in (
        ("subject", _text, "a text"),
        ("prompt_id", _text_or_number, "a text or a number"),
        ("seed", _integer, "an integer"),
        ("references", _texts, "a list of keys"),
    ):
        value = document.pop(name, None)
        if value is None:
            continue
        setattr(fields, name, read(value))
        if getattr(fields, name) is None:
            problems.append(_wrong(name, value, expected))
    if document:
        fields.extra = json.dumps(document, ensure_ascii=False)
    if problems:
        raise SampleError(f"{JSON_SUFFIX}: {'; '.join(problems)}")


def read_reference(raw: RawSample) -> ReferenceFields:
    """The fields of a reference.

    Raises:
        SampleError: no JSON, not a JSON object, a field missing or of the wrong type.
    """
    document = _read_json(raw)
    concept, subject = document.get("concept"), document.get("subject")
    if not isinstance(concept, str) or not concept.strip():
        problem = _wrong("concept", concept, "a text that is not empty")
        raise SampleError(f"{JSON_SUFFIX}: {problem}")
    if subject is not None and not isinstance(subject, str):
        raise SampleError(f"{JSON_SUFFIX}: {_wrong('subject', subject, 'a text')}")
    return ReferenceFields(concept, subject)


def decode_image(raw: RawSample, max_pixels: int) -> Image.Image:
    """The sample's image, decoded, in RGB.

    Raises:
        SampleError: no image member or several, not readable, or of more than `max_pixels`.
    """
    suffixes = [suffix for suffix in raw.members if suffix in IMAGE_SUFFIXES]
    if len(suffixes) > 1:
        raise SampleError(f"{suffixes[1]}: a second image beside {suffixes[0]}")
    if not suffixes:
        others = f"; the sample also has {', '.join(raw.not_read)}" if raw.not_read else ""
        raise SampleError(f"image: no member of {', '.join(IMAGE_SUFFIXES)}{others}")
    return _decode(raw, suffixes[0], "RGB", max_pixels)


def decode_mask(raw: RawSample, max_pixels: int, suffix: str = MASK_SUFFIX) -> np.ndarray:
    """A mask of the sample as (H, W) uint8, grey levels as PIL converts them.

    Raises:
        SampleError: no such member, not readable, or of more than `max_pixels`.
    """
    if suffix not in raw.members:
        raise SampleError(f"{suffix}: missing")
    return np.asarray(_decode(raw, suffix, "L", max_pixels))


def _decode(raw: RawSample, suffix: str, mode: str, max_pixels: int) -> Image.Image:
    content = raw.members[suffix]
    if not content:
        raise SampleError(f"{suffix}: 0 bytes")
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise SampleError(
                    f"{suffix}: {width}x{height} is over limits.max_image_pixels={max_pixels}"
                )
            return image.convert(mode)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        # Pillow's ways of saying that a file is damaged or is no image.
        raise SampleError(f"{suffix}: {' '.join(str(error).split())}") from error


def _read_json(raw: RawSample) -> dict[str, Any]:
    if raw.problem:
        raise SampleError(raw.problem)
    if JSON_SUFFIX not in raw.members:
        raise SampleError(f"{JSON_SUFFIX}: missing")
    try:
        document = json.loads(raw.members[JSON_SUFFIX])
    except (ValueError, RecursionError) as error:
        raise SampleError(f"{JSON_SUFFIX}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SampleError(f"{JSON_SUFFIX}: expected an object, not {type(document).__name__}")
    return document


def _wrong(name: str, value: Any, expected: str) -> str:
    if value is None:
        return f"{name} is missing"
    return f"{name} must be {expected}, not {json.dumps(value)[:40]}"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _text_or_number(value: Any) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else _text(value)


def _integer(value: Any) -> int | None:
    is_integer = isinstance(value, int) and not isinstance(value, bool) and value in INT64
    return value if is_integer else None


def _texts(value: Any) -> list[str] | None:
    is_texts = isinstance(value, list) and value and all(isinstance(each, str) for each in value)
    return value if is_texts else None
