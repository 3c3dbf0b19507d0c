"""What tests of comparators share: photos as samples."""

from __future__ import annotations

import pytest

from tests.masc_core.comparators.scoring import Sample
from tests.photos import Photo

PROMPTS = ["a dog", "a red backpack", "a dog", "teapot"]
SIZES = [(640, 640), (640, 427), (401, 639), (300, 640)]


@pytest.fixture(scope="session")
def references(photos: dict[str, list[Photo]]) -> list[Sample]:
    """Three photos of one subject."""
    return [Sample.of(*each) for each in zip(photos["teapot"][:3], SIZES[:3], strict=True)]


@pytest.fixture(scope="session")
def generations(photos: dict[str, list[Photo]]) -> list[Sample]:
    """Photos of four subjects, with prompts of which two are the same."""
    subjects = ("dog2", "backpack", "clock", "teapot")
    return [
        Sample.of(photos[subject][-1], size, prompt)
        for subject, size, prompt in zip(subjects, SIZES, PROMPTS, strict=True)
    ]
