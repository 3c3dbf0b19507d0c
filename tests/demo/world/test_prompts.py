"""Prompts: what they say, and what is left of them without their subject."""

from __future__ import annotations

import pytest

from jobs.demo.world.prompts import TEMPLATES, prompt
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import SUBJECTS, concept
from masc_core.subject import strip_subject


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_prompt_without_its_subject_is_what_stripping_leaves(template: str) -> None:
    for subject in SUBJECTS:
        whole = prompt(subject, SCENES[1], template)
        assert strip_subject(whole, subject.noun) == prompt(None, SCENES[1], template)
        assert SCENES[1].phrase in whole
    assert prompt(SUBJECTS[0], None, template).endswith(SUBJECTS[0].noun)


def test_a_prompt_names_the_subject_with_its_article_and_then_the_scene() -> None:
    cat = concept("striped orange cat")
    assert prompt(cat, SCENES[0]) == "a photo of a striped orange cat on a sandy beach"
    assert prompt(None, SCENES[9]) == "a photo of on the moon"
    assert prompt(cat, None, "here is {subject} {scene}") == "here is a striped orange cat"
    assert prompt(None, None, "{subject} {scene}") == ""
