"""Stripping the subject, against the authors' own stripper and by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from masc import strip_subject_from_prompt

from masc_core.subject import strip_subject, subject_found


@pytest.mark.parametrize(
    ("prompt", "subject", "text"),
    [
        ("a photo of a cat on a beach", "cat", "a photo of on a beach"),
        ("The CAT and a Cat", "cat", "and"),
        # One article decides for all: the bare mention stays.
        ("a cat beside another cat", "cat", "beside another cat"),
        ("two cats, one cat", "cat", "two cats, one"),
        ("concatenate a catalogue", "cat", "concatenate a catalogue"),
        ("an  elephant\n in the room", "elephant", "in the room"),
        ("a piggy bank on a bank", "piggy bank", "on a bank"),
        ("a c.t and a cat", "c.t", "and a cat"),
        ("a dog", None, "a dog"),
        ("a  dog", " ", "a  dog"),
    ],
)
def test_the_published_rule_by_hand(prompt: str, subject: str | None, text: str) -> None:
    assert strip_subject(prompt, subject) == text


@given(
    words=st.lists(
        st.sampled_from(["a", "an", "the", "cat", "Cat", "hot dog", "dog's", ",", "\t"])
    ),
    glue=st.sampled_from([" ", "  ", "-", "\n"]),
    subject=st.sampled_from(["cat", "hot dog", "dog", "a", "(", "c.t", " cat "]),
)
def test_any_prompt_is_stripped_as_the_authors_strip_it(
    words: list[str], glue: str, subject: str
) -> None:
    prompt = glue.join(words)
    assert strip_subject(prompt, subject) == strip_subject_from_prompt(prompt, subject)


@given(prompt=st.text(), subject=st.text(min_size=1).filter(str.strip))
def test_any_text_at_all_is_stripped_as_the_authors_strip_it(prompt: str, subject: str) -> None:
    assert strip_subject(prompt, subject) == strip_subject_from_prompt(prompt, subject)


def test_none_keeps_the_prompt_to_the_letter() -> None:
    assert strip_subject("a  cat ", "cat", "none") == "a  cat "


def test_whitespace_alone_is_no_finding() -> None:
    assert not subject_found("a  dog", "a dog")
    assert subject_found("a dog", "")


def test_an_unknown_stripper_is_named() -> None:
    with pytest.raises(ValueError, match="'fuzzy'"):
        strip_subject("a cat", "cat", "fuzzy")  # type: ignore[arg-type]
