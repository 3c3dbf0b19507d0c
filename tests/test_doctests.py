"""The examples in docstrings: each is run, and gives what it says."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.demo.world.render import random_pose, render
from jobs.demo.world.scenes import SCENES
from jobs.demo.world.subjects import SUBJECTS

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
    """What an example may name: a striped blue cat in a kitchen, and the same on a sandy beach."""
    [cat] = (subject for subject in SUBJECTS if subject.id == "striped_blue_cat")
    scenes = {scene.id: scene for scene in SCENES}
    rng = np.random.default_rng(0)
    photo, photo_mask = render(cat, scenes["bright_kitchen"], random_pose(rng), (224, 224))
    image, mask = render(cat, scenes["sandy_beach"], random_pose(rng), (224, 224))
    return {"photo": photo, "photo_mask": photo_mask, "image": image, "mask": mask}


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
