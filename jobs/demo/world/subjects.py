"""The subjects of the rendered world: what there is to photograph.

A concept is one of its kind, in a colour and a pattern: that much its noun says. Its second colour,
the colour of what is beside its body, its proportions and what it wears are drawn by chance, from
the noun alone. A noun has further individuals, which differ in these, for training. The concepts
are divided once into those to train on, those to choose by, and those that figures are taken on.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from jobs.demo.world.canvas import Colour
from jobs.demo.world.kinds import KINDS, Paint, Part, Pattern
from jobs.demo.world.outlines import Outline, area, box, ellipse, limb

Split = Literal["train", "validation", "test"]

SPLITS: dict[Split, int] = {"train": 720, "validation": 144, "test": 144}
"""Concepts in each; no concept is in two."""

_SEED = 5
"""Of which concepts are in which split, and of what their nouns do not say."""

COLOURS: dict[str, Colour] = {
    "red": (214, 48, 44),
    "orange": (240, 134, 40),
    "yellow": (250, 208, 56),
    "green": (84, 164, 66),
    "teal": (36, 150, 146),
    "blue": (54, 108, 210),
    "purple": (132, 84, 186),
    "pink": (240, 124, 172),
    "brown": (134, 86, 54),
    "black": (48, 46, 54),
    "white": (244, 242, 236),
    "grey": (150, 154, 160),
}

PATTERN_WORDS: dict[str, Pattern] = {
    "": "plain",
    "striped": "stripes",
    "banded": "bands",
    "spotted": "spots",
    "checkered": "checks",
    "zigzag": "zigzag",
    "ringed": "rings",
}

_LEAST_CONTRAST = 160
"""Between the two colours of a pattern, summed over RGB."""

_HALF_FRAME = 1.08
"""Subjects are brought to this size, in their frame."""


@dataclass(frozen=True)
class Subject:
    """One concept: an individual that is recognised by its parts and by its paint."""

    noun: str
    """What a prompt calls it, such as "striped red beetle"."""

    kind: str
    """What it is one of, such as "beetle"."""

    parts: tuple[Part, ...]

    missing: tuple[Part, ...] = ()
    """Parts that are gone. They still count for the subject's size, so the others keep theirs."""

    @property
    def id(self) -> str:
        return self.noun.replace(" ", "_")

    @property
    def with_article(self) -> str:
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"


def damaged(subject: Subject, amount: float = 1.0) -> Subject:
    """The same subject in other colours and without some of its parts.

    Args:
        amount: in [0, 1]. At 1 every channel of every colour has moved by half its range, and every
            second part from the largest down is gone; at 0 nothing has changed. What is gone at one
            amount is gone at any larger one. The largest part stays, so that the rest holds
            together.
    """
    by_area = sorted(subject.parts, key=lambda part: area(part.outline), reverse=True)
    removable = by_area[1::2]
    gone = removable[: round(amount * len(removable))]
    kept = [part for part in subject.parts if part not in gone]
    parts = tuple(Part(part.outline, _recoloured(part.paint, amount)) for part in kept)
    return dataclasses.replace(subject, parts=parts, missing=tuple(gone))


def _recoloured(paint: Paint, amount: float) -> Paint:
    """The paint with each channel on its way to the other half of its range."""

    def move(colour: Colour) -> Colour:
        red, green, blue = (
            round(channel + amount * (-128 if channel > 127 else 128)) for channel in colour
        )
        return red, green, blue

    return Paint(move(paint.colour), move(paint.second), paint.pattern)


@functools.cache
def nouns(split: Split) -> tuple[str, ...]:
    """The nouns of a split's concepts, in an order that mixes kinds, colours and patterns."""
    ordered = [
        " ".join(filter(None, words)) for words in itertools.product(PATTERN_WORDS, COLOURS, KINDS)
    ]
    shuffled = [ordered[i] for i in np.random.default_rng(_SEED).permutation(len(ordered))]
    names = list(SPLITS)
    start = sum(SPLITS[name] for name in names[: names.index(split)])
    return tuple(shuffled[start : start + SPLITS[split]])


def concepts(split: Split) -> tuple[Subject, ...]:
    """All concepts of a split, in the order of `nouns`."""
    return tuple(concept(noun) for noun in nouns(split))


@functools.cache
def concept(noun: str, individual: int = 0) -> Subject:
    """The concept of that noun, or another individual that the noun fits as well.

    Raises:
        KeyError: no such pattern, colour or kind.
    """
    *pattern, colour_word, kind = noun.split()
    colour = COLOURS[colour_word]
    rng = np.random.default_rng([_SEED, zlib.crc32(noun.encode()), individual])
    others = [other for other in COLOURS.values() if other != colour]
    contrasting = [other for other in others if _contrast(colour, other) > _LEAST_CONTRAST]
    second = contrasting[rng.integers(len(contrasting))]
    trim = others[rng.integers(len(others))]
    worn = others[rng.integers(len(others))]
    body = Paint(colour, second, PATTERN_WORDS[" ".join(pattern)])
    parts = KINDS[kind](body, Paint(trim))
    width, taper = float(rng.uniform(0.82, 1.16)), float(rng.uniform(-0.2, 0.2))
    parts = [Part(_proportioned(part.outline, width, taper), part.paint) for part in parts]
    wear = list(_WORN.values())[rng.integers(len(_WORN))]
    return Subject(noun, kind, _fitted([*parts, *wear(*_top(parts), Paint(worn))]))


def _contrast(one: Colour, other: Colour) -> int:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def _proportioned(outline: Outline, width: float, taper: float) -> Outline:
    """The outline made wider, and more so below than above (`taper` > 0) or the other way."""
    return tuple((x * width * (1 + taper * y), y) for x, y in outline)


def _top(parts: list[Part]) -> tuple[float, float]:
    """The highest point of the subject."""
    x, y = min((point for part in parts for point in part.outline), key=lambda point: point[1])
    return x, y


def _fitted(parts: list[Part]) -> tuple[Part, ...]:
    """The parts scaled and moved, all alike, to fill the frame one way."""
    points = np.array([point for part in parts for point in part.outline])
    low, high = points.min(axis=0), points.max(axis=0)
    (x0, y0), scale = (low + high) / 2, 2 * _HALF_FRAME / (high - low).max()
    return tuple(
        Part(
            tuple((float((x - x0) * scale), float((y - y0) * scale)) for x, y in part.outline),
            part.paint,
        )
        for part in parts
    )


def _nothing(x: float, y: float, paint: Paint) -> list[Part]:
    return []


def _hat(x: float, y: float, paint: Paint) -> list[Part]:
    return [
        Part(box(x, y - 0.12, 0.34, 0.34, 0.05), paint),
        Part(box(x, y + 0.04, 0.66, 0.11, 0.05), paint),
    ]


def _flag(x: float, y: float, paint: Paint) -> list[Part]:
    return [
        Part(limb(0.05, (x, y + 0.06), (x, y - 0.36)), Paint((96, 76, 60))),
        Part(((x, y - 0.36), (x + 0.44, y - 0.25), (x, y - 0.12)), paint),
    ]


def _bow(x: float, y: float, paint: Paint) -> list[Part]:
    return [
        Part(((x, y), (x - 0.3, y - 0.17), (x - 0.3, y + 0.17)), paint),
        Part(((x, y), (x + 0.3, y - 0.17), (x + 0.3, y + 0.17)), paint),
        Part(ellipse(x, y, 0.09, 0.1), paint),
    ]


_WORN = {"nothing": _nothing, "hat": _hat, "flag": _flag, "bow": _bow}
"""What stands on a subject's highest point: parts from that point and a paint."""

_SUBJECTS_PER_KIND = 2

SUBJECTS: tuple[Subject, ...] = tuple(
    concept([noun for noun in nouns("test") if noun.endswith(f" {kind}")][number])
    for number in range(_SUBJECTS_PER_KIND)
    for kind in KINDS
)
"""Test concepts, two of each kind, all kinds in turn: what the demo shows."""
