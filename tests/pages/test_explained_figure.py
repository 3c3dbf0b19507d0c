"""The picture of a sample whose scores are none, whose names are odd, or whose prompt is long."""

from __future__ import annotations

import math
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from jobs.pages.explained_figure import explained_figure
from jobs.pages.explained_page import explained_page
from jobs.pages.prompt import prompt_parts
from jobs.pipeline.explaining import Explained
from jobs.pipeline.scored_samples import Picture
from masc_core import Explanation, ReferenceMatch
from tests.pictures import painted

pytestmark = pytest.mark.slow

TEXT = "{http://www.w3.org/2000/svg}text"


def made(n_references: int = 1, has_scores: bool = True, **row: Any) -> Explained:
    """A generation of 3 x 4 patches; without scores its masks are empty, and all foreground."""
    image, mask = painted((96, 72), 1)
    masks = (mask, mask) if has_scores else (np.zeros_like(mask), np.full_like(mask, 255))
    similarity = np.linspace(0.2, 0.9, 12, dtype=np.float32).reshape(3, 4)
    foreground = np.arange(12).reshape(3, 4) % 2 == 0
    matches = [
        ReferenceMatch(
            similarity,
            np.arange(12).reshape(3, 4),
            foreground if has_scores else np.zeros((3, 4), bool),
            float(similarity[foreground].mean()) if has_scores else math.nan,
        )
        for _ in range(n_references)
    ]
    visible = foreground if has_scores else np.zeros((3, 4), bool)
    attention = np.where(visible, 1 / 6, 0.0) if has_scores else np.full((3, 4), math.nan)
    explanation = Explanation(
        matches, attention[None], ~visible, matches[0].cp, 0.25 if has_scores else math.nan, "text"
    )
    keys = [f"reference/{i}" for i in range(n_references)]
    whole = {
        "key": "k", "model": "m", "concept": "c", "seed": None, "prompt": "a cat in a boat",
        "text": "in a boat", "cp": explanation.cp, "pf": explanation.pf, "references": keys,
        "cp_per_reference": [match.cp for match in matches], **row,
    }  # fmt: skip
    photos = [Picture(key, image, masks[0]) for key in keys]
    return Explained(
        "run", whole, Picture("k", image, masks[1]), photos, explanation, ["it differs"]
    )


def texts_of(content: bytes) -> list[str]:
    return ["".join(e.itertext()).strip() for e in ElementTree.fromstring(content).iter(TEXT)]


@pytest.mark.filterwarnings("error")
def test_without_scores_it_is_drawn_and_says_so() -> None:
    texts = texts_of(explained_figure(made(has_scores=False), "svg"))
    assert "CP –, patch by patch" in texts  # noqa: RUF001 - the dash of a table
    assert "PF –, where it looked" in texts  # noqa: RUF001
    assert b"<svg" in explained_page(made(has_scores=False))


def test_a_long_prompt_goes_on_in_further_lines_and_none_of_it_is_lost() -> None:
    words = [f"word{i}" for i in range(60)]
    content = explained_figure(made(prompt=" ".join(words), text=" ".join(words[30:])), "svg")
    root = ElementTree.fromstring(content)
    assert [text for text in texts_of(content) if text.startswith("word")] == words
    places = {
        each.get("y")
        for each in root.iter(TEXT)
        if "".join(each.itertext()).strip().startswith("word")
    }
    assert len(places) > 2
    assert None not in places


def test_odd_names_are_text() -> None:
    evil = "$\\frac{1}$\x1b[2J\n<img src=x>"
    texts = texts_of(explained_figure(made(model=evil, prompt=f"{evil} cat", text="cat"), "svg"))
    assert any("<img" in text for text in texts)
    assert any("$\\frac{1}$" in text for text in texts)
    assert not any("\x1b" in text for text in texts)


def test_of_many_references_the_first_are_drawn_and_the_rest_counted() -> None:
    texts = texts_of(explained_figure(made(7), "svg"))
    assert sum(text.startswith("Reference ") for text in texts) == 4
    assert "3 further references are not shown; CP is over all of them" in texts
    assert "it differs" in texts


@pytest.mark.parametrize(
    ("prompt", "text", "struck"),
    [
        ("a photo of a cat", "a photo of", "a cat"),
        ("The Cat, in rain", ", in rain", "The Cat"),
        ("a cat a dog", "a dog", "a cat"),
        ("two cats", "two cats", ""),
        ("cat", "", "cat"),
        ("", "", ""),
        ("a cat", "something else", ""),
        ("a  cat\nin rain", "in rain", "a cat"),
    ],
)
def test_what_was_stripped_is_told_from_the_rest(prompt: str, text: str, struck: str) -> None:
    parts = prompt_parts(prompt, text)
    assert "".join(part.text for part in parts) == prompt
    found = " ".join("".join(p.text for p in parts if p.is_stripped).split())
    assert found == struck
