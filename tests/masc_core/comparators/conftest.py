"""What tests of comparators share: photos as samples."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tabulate import tabulate

from tests.masc_core.comparators.scoring import Note, Sample
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


@pytest.fixture
def note_difference(record_property: Callable[[str, object], None]) -> Note:
    """Called with a system, what ours gave and what it is held against: the largest difference
    of any test is in the table of `make comparators`."""

    def note(system: str, found: Any, expected: Any) -> None:
        both = (torch.as_tensor(each, dtype=torch.float64) for each in (found, expected))
        record_property(DIFFERENCE, (system, float(torch.nan_to_num(torch.sub(*both)).abs().max())))

    return note


DIFFERENCE = "largest difference"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table, of what has passed and what has not."""
    if "MASC_COMPARATORS" not in os.environ:
        return
    found: dict[tuple[str, str, str], float] = {}
    for verdict in ("passed", "failed"):
        for report in terminalreporter.getreports(verdict):
            for name, value in report.user_properties:
                if name == DIFFERENCE:
                    key = (value[0], report.nodeid.partition("[")[0].rpartition("/")[2], verdict)
                    found[key] = max(value[1], found.get(key, 0.0))
    rows = [(*key, f"{value:.1e}") for key, value in sorted(found.items())]
    terminalreporter.write_line(tabulate(rows, ("system", "test", "", DIFFERENCE)))
