"""What a sample's members say, and how what is wrong with them is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.pipeline.errors import SampleError
from jobs.pipeline.shards.fields import GenerationFields, read_generation, read_reference
from jobs.pipeline.shards.images import decode_image, decode_mask
from jobs.pipeline.shards.members import RawSample

GOOD = {"model": "m", "concept": "c", "prompt": "p"}


def read(document: Any) -> GenerationFields:
    fields = GenerationFields()
    read_generation(RawSample("k", {"json": json.dumps(document).encode()}), fields)
    return fields


def test_everything_that_is_not_a_known_field_is_carried_in_extra() -> None:
    fields = read({**GOOD, "prompt_id": 7, "seed": 3, "cfg": {"scale": 7.5}, "lora": None})
    assert (fields.prompt_id, fields.seed) == ("7", 3)
    assert json.loads(str(fields.extra)) == {"cfg": {"scale": 7.5}, "lora": None}
    assert read(GOOD).extra is None


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "json: expected an object, not list"),
        ({**GOOD, "model": 3}, "json: model must be a text that is not empty, not 3"),
        ({**GOOD, "prompt": " "}, 'json: prompt must be a text that is not empty, not " "'),
        ({"model": "m"}, "json: concept is missing; prompt is missing"),
        ({**GOOD, "seed": "x"}, 'json: seed must be an integer, not "x"'),
        ({**GOOD, "seed": 2**63}, "json: seed must be an integer, not 9223372036854775808"),
        ({**GOOD, "seed": True}, "json: seed must be an integer, not true"),
        ({**GOOD, "references": []}, "json: references must be a list of keys, not []"),
        ({**GOOD, "subject": 1}, "json: subject must be a text, not 1"),
    ],
)
def test_what_is_wrong_with_the_json_is_named(document: Any, reason: str) -> None:
    with pytest.raises(SampleError) as error:
        read(document)
    assert str(error.value) == reason


def test_a_bad_sample_still_says_whose_it_is() -> None:
    fields = GenerationFields()
    raw = RawSample("k", {"json": json.dumps({**GOOD, "seed": "x"}).encode()})
    with pytest.raises(SampleError):
        read_generation(raw, fields)
    assert (fields.model, fields.concept, fields.prompt) == ("m", "c", "p")


def test_json_that_says_two_things_is_not_taken_for_its_last() -> None:
    content = b'{"model": "m", "concept": "c", "prompt": "p", "prompt": "q"}'
    with pytest.raises(SampleError, match=r"^json: not JSON: 'prompt' comes twice in one object$"):
        read_generation(RawSample("k", {"json": content}), GenerationFields())
    with pytest.raises(SampleError, match="json: not JSON: 'concept' comes twice"):
        read_reference(RawSample("k", {"json": b'{"concept": "cat", "concept": "dog"}'}))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_json_that_cannot_be_read_is_named(content: bytes) -> None:
    with pytest.raises(SampleError, match="json: not JSON"):
        read_generation(RawSample("k", {"json": content}), GenerationFields())


def test_a_reference_needs_its_concept() -> None:
    with pytest.raises(SampleError, match="json: concept is missing"):
        read_reference(RawSample("k", {"json": b"{}"}))
    assert read_reference(RawSample("k", {"json": b'{"concept": "cat"}'})).subject is None


def test_a_text_that_no_tower_reads_to_its_end_is_named_by_its_length() -> None:
    with pytest.raises(SampleError) as error:
        read({**GOOD, "prompt": "x" * 100_001})
    assert str(error.value) == "json: prompt has 100001 characters, more than 100000"
    assert len(str(read({**GOOD, "prompt": "x" * 100_000}).prompt)) == 100_000


def test_json_that_is_nested_as_deep_as_can_be_read_is_read_or_named() -> None:
    for depth in range(500, 1100):
        content = b'{"model": "m", "concept": "c", "prompt": "p", "x": %s}' % (
            b"[" * depth + b"]" * depth
        )
        try:
            read_generation(RawSample("k", {"json": content}), GenerationFields())
        except SampleError as error:
            assert str(error).startswith("json: ")


def test_a_member_that_was_refused_is_named_with_the_reason() -> None:
    raw = RawSample("k", refused={"json": "too large", "png": "too large", "mask.png": "too large"})
    for suffix, ask in (
        ("json", lambda: read_generation(raw, GenerationFields())),
        ("json", lambda: read_reference(raw)),
        ("png", lambda: decode_image(raw, 10**6)),
        ("mask.png", lambda: decode_mask(raw, 10**6)),
    ):
        with pytest.raises(SampleError) as error:
            ask()
        assert str(error.value) == f"{suffix}: too large"
