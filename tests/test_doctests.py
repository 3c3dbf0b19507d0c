"""The examples in docstrings: each is run, and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from tests.pictures import of_one_cat

ROOT = Path(__file__).parents[1]

FILES = sorted(path for folder in ("jobs", "masc_core") for path in (ROOT / folder).rglob("*.py"))

EXAMPLES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): n
    for path in FILES
    if (n := path.read_text().count(">>> "))
}
"""How many there are, by module."""


@pytest.fixture(scope="module")
def pictures() -> dict[str, Any]:
    """What an example may name."""
    return of_one_cat()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_module_give_what_they_say(name: str, pictures: dict[str, Any]) -> None:
    done = doctest.testmod(
        importlib.import_module(name), extraglobs=pictures, optionflags=doctest.ELLIPSIS
    )
    assert (done.attempted, done.failed) == (EXAMPLES[name], 0)


def test_no_example_is_skipped() -> None:
    documents = [*FILES, *ROOT.glob("*.md"), *ROOT.glob("*/*.md")]
    skipped = [path for path in documents if re.search(r"doctest: *\+SKIP", path.read_text())]
    assert not skipped
