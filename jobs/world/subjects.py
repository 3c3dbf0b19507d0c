"""The subjects of the rendered world: what there is to photograph."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from jobs.world.canvas import Colour
from jobs.world.kinds import INK, KINDS, WHITE, Paint, Part, Pattern
from jobs.world.outlines import area


@dataclass(frozen=True)
class Subject:
    """One concept: an individual that is recognised by its parts and by its paint."""

    noun: str
    """What a prompt calls it, such as "striped beetle"."""

    parts: tuple[Part, ...]

    missing: tuple[Part, ...] = ()
    """Parts that are gone. They still count for the subject's size, so the others keep theirs."""

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
    gone = by_area[1::2]
    kept = [part for part in subject.parts if part not in gone]
    recoloured = (Part(part.outline, _inverted(part.paint)) for part in kept)
    return dataclasses.replace(subject, parts=tuple(recoloured), missing=tuple(gone))


def _inverted(paint: Paint) -> Paint:
    def invert(colour: Colour) -> Colour:
        red, green, blue = colour
        return 255 - red, 255 - green, 255 - blue

    return Paint(invert(paint.colour), invert(paint.second), paint.pattern)


def _compose(
    adjective: str, kind: str, colour: Colour, second: Colour, pattern: Pattern, trim: Colour
) -> Subject:
    parts = KINDS[kind](Paint(colour, second, pattern), Paint(trim))
    return Subject(f"{adjective} {kind}", tuple(parts))


SUBJECTS: tuple[Subject, ...] = (
    _compose("striped", "beetle", (252, 202, 40), INK, "stripes", (64, 54, 60)),
    _compose("spotted", "teapot", (246, 244, 236), (42, 92, 190), "spots", (42, 92, 190)),
    _compose("red", "robot", (216, 44, 40), WHITE, "plain", (176, 184, 196)),
    _compose("golden", "fish", (250, 168, 36), (255, 214, 96), "spots", (236, 96, 32)),
    _compose("purple", "owl", (132, 84, 186), (226, 200, 244), "spots", (92, 52, 142)),
    _compose("checkered", "backpack", (34, 138, 126), (238, 226, 190), "checks", (24, 96, 96)),
    _compose("pink", "mushroom", (238, 98, 150), (255, 244, 244), "spots", (150, 84, 60)),
    _compose("blue", "rocket", (58, 112, 214), (240, 244, 250), "bands", (240, 76, 60)),
    _compose("green", "dinosaur", (94, 176, 72), (60, 130, 60), "spots", (240, 150, 52)),
    _compose("yellow", "car", (250, 206, 48), WHITE, "plain", (188, 194, 202)),
    _compose("orange", "cat", (238, 140, 56), (196, 92, 30), "bands", (252, 236, 214)),
    _compose("turquoise", "guitar", (40, 184, 190), WHITE, "plain", (126, 78, 48)),
)
