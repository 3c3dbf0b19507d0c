"""The subjects of the rendered world: what there is to photograph."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from jobs.world.kinds import INK, KINDS, Colour, Look, Paint, Part
from jobs.world.outlines import area

@dataclass(frozen=True)
class Subject:
    """One concept: an individual that is recognised by its parts and by its paint."""

    noun: str
    """What a prompt calls it, such as "striped beetle"."""

    parts: tuple[Part, ...]

    @property
    def id(self) -> str:
        return self.noun.replace(" ", "_")

    @property
    def with_article(self) -> str:
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"


def damaged(subject: Subject) -> Subject:
    """The same subject in inverted colours, without every second part from the largest down.

    The largest part stays, so that what is left still holds together.
    """
    by_area = sorted(subject.parts, key=lambda part: area(part.outline), reverse=True)
    kept = set(by_area[::2])
    parts = tuple(
        Part(part.outline, _inverted(part.paint)) for part in subject.parts if part in kept
    )
    return dataclasses.replace(subject, parts=parts)


def _inverted(paint: Paint) -> Paint:
    def invert(colour: Colour) -> Colour:
        red, green, blue = colour
        return 255 - red, 255 - green, 255 - blue

    return Paint(invert(paint.colour), invert(paint.second), paint.pattern)


def compose(look: Look, kind: str) -> Subject:
    """The subject that `look` makes of `kind`, a key of `KINDS`."""
    return Subject(f"{look.adjective} {kind}", tuple(KINDS[kind](look)))


SUBJECTS: tuple[Subject, ...] = (
    compose(Look("striped", Paint((252, 202, 40), INK, "stripes"), (64, 54, 60)), "beetle"),
    compose(Look("spotted", Paint((246, 244, 236), (42, 92, 190), "spots"), (42, 92, 190)), "teapot"),
    compose(Look("red", Paint((216, 44, 40)), (176, 184, 196)), "robot"),
    compose(Look("golden", Paint((250, 168, 36), (255, 214, 96), "spots"), (236, 96, 32)), "fish"),
    compose(Look("purple", Paint((132, 84, 186), (226, 200, 244), "spots"), (92, 52, 142)), "owl"),
    compose(Look("checkered", Paint((34, 138, 126), (238, 226, 190), "checks"), (24, 96, 96)), "backpack"),
    compose(Look("pink", Paint((238, 98, 150), (255, 244, 244), "spots"), (150, 84, 60)), "mushroom"),
    compose(Look("blue", Paint((58, 112, 214), (240, 244, 250), "bands"), (240, 76, 60)), "rocket"),
    compose(Look("green", Paint((94, 176, 72), (60, 130, 60), "spots"), (240, 150, 52)), "dinosaur"),
    compose(Look("yellow", Paint((250, 206, 48)), (188, 194, 202)), "car"),
    compose(Look("orange", Paint((238, 140, 56), (196, 92, 30), "bands"), (252, 236, 214)), "cat"),
    compose(Look("turquoise", Paint((40, 184, 190)), (126, 78, 48)), "guitar"),
)
