"""What the JSON of a sample says."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from jobs.pipeline.errors import SampleError
from jobs.pipeline.shards.members import JSON_SUFFIX, RawSample

SURROGATES = re.compile("[\ud800-\udfff]")

INT64 = range(-(2**63), 2**63)

MAX_TEXT_LENGTH = 100_000
"""Characters of a prompt or a name. A text tower reads a few hundred, and tokens of the rest cost a
thousand times their memory."""


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
    model: str | None = None
    """That made it, which a reference seldom names: it may be a generation."""


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
        fields.extra = as_json(document)
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
    return ReferenceFields(concept, subject, _text(document.get("model")))


def read_subject(raw: RawSample) -> str:
    """The noun that names what the sample's image shows.

    Raises:
        SampleError: no JSON, not a JSON object, or no subject in it.
    """
    given = _read_json(raw).get("subject")
    subject = _text(given)
    if subject is None or not subject.strip():
        problem = _wrong("subject", given, "a text that is not empty")
        raise SampleError(f"{JSON_SUFFIX}: {problem}")
    return subject


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
        document = read_json(content)
    except (ValueError, RecursionError) as error:
        raise SampleError(f"{JSON_SUFFIX}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise SampleError(f"{JSON_SUFFIX}: expected an object, not {type(document).__name__}")
    return document


def read_json(content: str | bytes) -> Any:
    """What JSON says, which is one thing: an object that names a field twice is refused.

    Raises:
        ValueError, RecursionError: it is no JSON, or not that. The message is the reason.
    """
    return json.loads(content, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"{counts.most_common(1)[0][0][:40]!r} comes twice in one object")
    return fields


def _wrong(name: str, value: Any, expected: str) -> str:
    if value is None:
        return f"{name} is missing"
    if isinstance(value, str) and len(value) > MAX_TEXT_LENGTH:
        return f"{name} has {len(value)} characters, more than {MAX_TEXT_LENGTH}"
    return f"{name} must be {expected}, not {as_json(value)[:40]}"


def _text(value: Any) -> str | None:
    """`value` if it is a text; half of a surrogate pair, which JSON can spell, is no character."""
    if not isinstance(value, str) or len(value) > MAX_TEXT_LENGTH:
        return None
    return value if value.isascii() or not SURROGATES.search(value) else None


def as_json(value: Any) -> str:
    """`value` as JSON that any encoding can hold: halves of surrogate pairs are escaped.

    Raises:
        SampleError: it is nested too deeply.
    """
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
