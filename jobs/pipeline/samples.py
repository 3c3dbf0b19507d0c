"""What the members of a sample say: its image, its mask, and its JSON's fields."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from jobs.pipeline.rows import SampleError
from jobs.pipeline.shards import IMAGE_SUFFIXES, JSON_SUFFIX, MASK_SUFFIX, RawSample

# The limit is ours and comes with the configuration; Pillow's own is a warning at 89 million.
Image.MAX_IMAGE_PIXELS = None

SURROGATES = re.compile("[\ud800-\udfff]")
INT64 = range(-(2**63), 2**63)

MAX_TEXT_LENGTH = 100_000
"""Characters of a prompt or a name. A text tower reads a few hundred, and tokens of the rest cost a
thousand times their memory."""

FORMATS = ("JPEG", "PNG", "WEBP")
"""Told by the content, whatever the suffix says. Other formats make Pillow start programs (EPS)."""

MAX_JPEG_SCANS = 100
"""Encoders make a dozen. A scan may be a hundred bytes, and costs the decoder a pass over the whole
image: 40 ms at 64 million pixels."""

JPEG_SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e][\1-\4]")
"""Marker, length, and number of components; in other data it is as good as never met."""


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
        if _text(value) and value.strip():
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
        fields.extra = _as_json(document)
    if problems:
        raise SampleError(f"{JSON_SUFFIX}: {'; '.join(problems)}")


def read_reference(raw: RawSample) -> ReferenceFields:
    """The fields of a reference.

    Raises:
        SampleError: no JSON, not a JSON object, a field missing or of the wrong type.
    """
    document = _read_json(raw)
    given, subject = document.get("concept"), document.get("subject")
    concept = _text(given)
    if concept is None or not concept.strip():
        problem = _wrong("concept", given, "a text that is not empty")
        raise SampleError(f"{JSON_SUFFIX}: {problem}")
    if subject is not None and _text(subject) is None:
        raise SampleError(f"{JSON_SUFFIX}: {_wrong('subject', subject, 'a text')}")
    return ReferenceFields(concept, subject)


def decode_image(raw: RawSample, max_pixels: int) -> Image.Image:
    """The sample's image, decoded, in RGB.

    Raises:
        SampleError: no image member or several, not readable, or of more than `max_pixels`.
    """
    suffixes = [s for s in (*raw.members, *raw.refused) if s in IMAGE_SUFFIXES]
    if len(suffixes) > 1:
        raise SampleError(f"{suffixes[1]}: a second image beside {suffixes[0]}")
    if not suffixes:
        others = f"; the sample also has {', '.join(raw.not_read[:9])}" if raw.not_read else ""
        raise SampleError(f"image: no member of {', '.join(IMAGE_SUFFIXES)}{others}")
    return _decode(raw, suffixes[0], "RGB", max_pixels)


def decode_mask(raw: RawSample, max_pixels: int, suffix: str = MASK_SUFFIX) -> np.ndarray:
    """A mask of the sample as (H, W) uint8, grey levels as PIL converts them.

    Raises:
        SampleError: no such member, not readable, or of more than `max_pixels`.
    """
    return np.asarray(_decode(raw, suffix, "L", max_pixels))


def _decode(raw: RawSample, suffix: str, mode: str, max_pixels: int) -> Image.Image:
    content = _content(raw, suffix)
    if not content:
        raise SampleError(f"{suffix}: 0 bytes")
    if content.startswith(b"\xff\xd8") and len(JPEG_SCAN.findall(content)) > MAX_JPEG_SCANS:
        raise SampleError(f"{suffix}: more than {MAX_JPEG_SCANS} JPEG scans")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise SampleError(
                    f"{suffix}: {width}x{height} is over limits.max_image_pixels={max_pixels}"
                )
            return image.convert(mode)
    except SampleError:
        raise
    except UnidentifiedImageError as error:
        raise SampleError(f"{suffix}: cannot identify image file as JPEG, PNG or WebP") from error
    except Exception as error:
        # A decoder of damaged bytes raises what it likes, and one image must not end a worker.
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise SampleError(f"{suffix}: cannot be decoded: {reason}") from error


def _content(raw: RawSample, suffix: str) -> bytes:
    if suffix in raw.refused:
        raise SampleError(f"{suffix}: {raw.refused[suffix]}")
    if suffix not in raw.members:
        raise SampleError(f"{suffix}: missing")
    return raw.members[suffix]


def _read_json(raw: RawSample) -> dict[str, Any]:
    if raw.problem:
        raise SampleError(raw.problem)
    content = _content(raw, JSON_SUFFIX)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SampleError(f"{JSON_SUFFIX}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SampleError(f"{JSON_SUFFIX}: expected an object, not {type(document).__name__}")
    return document


def _wrong(name: str, value: Any, expected: str) -> str:
    if value is None:
        return f"{name} is missing"
    if isinstance(value, str) and len(value) > MAX_TEXT_LENGTH:
        return f"{name} has {len(value)} characters, more than {MAX_TEXT_LENGTH}"
    return f"{name} must be {expected}, not {_as_json(value)[:40]}"


def _text(value: Any) -> str | None:
    """`value` if it is a text; half of a surrogate pair, which JSON can spell, is no character."""
    if not isinstance(value, str) or len(value) > MAX_TEXT_LENGTH:
        return None
    return value if value.isascii() or not SURROGATES.search(value) else None


def _as_json(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError as error:
        raise SampleError(f"{JSON_SUFFIX}: nested too deeply") from error
    return json.dumps(value) if SURROGATES.search(text) else text


def _text_or_number(value: Any) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else _text(value)


def _integer(value: Any) -> int | None:
    is_integer = isinstance(value, int) and not isinstance(value, bool) and value in INT64
    return value if is_integer else None


def _texts(value: Any) -> list[str] | None:
    is_texts = isinstance(value, list) and value and all(_text(v) is not None for v in value)
    return value if is_texts else None
