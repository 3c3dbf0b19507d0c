"""The kinds of subject: which parts a beetle, a teapot or a robot has.

A kind is a function from two paints, of the body and of what is beside it (handles, feet, fins), to
parts. Parts are outlines in the subject's frame, about [-1, 1] each way, standing upright; later
ones are drawn on top of earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jobs.demo.world.canvas import Colour
from jobs.demo.world.outlines import Outline, arc, box, ellipse, limb, mirrored, smooth

Pattern = Literal["plain", "stripes", "bands", "spots", "checks", "zigzag", "rings"]

INK: Colour = (38, 34, 44)
WHITE: Colour = (248, 246, 240)


@dataclass(frozen=True)
class Paint:
    """What covers a part: `colour`, with `pattern` drawn over it in `second`."""

    colour: Colour
    second: Colour = WHITE
    pattern: Pattern = "plain"


@dataclass(frozen=True)
class Part:
    """One closed outline and its paint."""

    outline: Outline
    paint: Paint


_INK, _WHITE = Paint(INK), Paint(WHITE)


def _beetle(body: Paint, trim: Paint) -> list[Part]:
    legs = [
        Part(limb(0.08, (x, 0.2), (x + lean, 0.5), (x + 1.6 * lean, 0.72)), _INK)
        for x, lean in ((-0.62, -0.1), (-0.25, -0.04), (0.1, 0.05), (0.4, 0.12))
    ]
    return [
        *legs,
        Part(arc(0.05, 0.72, -0.28, 0.3, 0.32, 170, 290), _INK),
        Part(arc(0.05, 0.82, -0.2, 0.26, 0.3, 180, 300), _INK),
        Part(ellipse(0.66, 0.16, 0.26, 0.24), trim),
        Part(ellipse(-0.18, 0.32, 0.74, 0.84, 180, 360), body),
        Part(ellipse(0.36, 0.32, 0.24, 0.44, 180, 360), trim),
        Part(box(-0.14, 0.34, 1.5, 0.12), _INK),
        Part(ellipse(0.76, 0.1, 0.09, 0.1), _WHITE),
        Part(ellipse(0.79, 0.11, 0.045, 0.06), _INK),
    ]


def _teapot(body: Paint, trim: Paint) -> list[Part]:
    return [
        Part(arc(0.13, -0.56, 0.1, 0.36, 0.32, 70, 290), trim),
        Part(
            smooth((0.4, 0.3), (0.62, 0.14), (0.74, -0.2), (0.98, -0.34), (0.9, 0.04), (0.6, 0.5)),
            trim,
        ),
        Part(box(0, 0.64, 0.72, 0.14), trim),
        Part(ellipse(0, 0.14, 0.66, 0.52), body),
        Part(ellipse(0, -0.28, 0.36, 0.26, 180, 360), trim),
        Part(box(0, -0.3, 0.84, 0.1, 0.05), body),
        Part(ellipse(0, -0.6, 0.11, 0.11), body),
    ]


def _robot(body: Paint, trim: Paint) -> list[Part]:
    glow = Paint((255, 226, 110))
    return [
        Part(box(0, -0.9, 0.05, 0.3, 0.02), trim),
        Part(ellipse(0, -1.02, 0.09, 0.09), glow),
        *_pair(trim, limb(0.14, (0.4, -0.12), (0.66, 0.06), (0.72, 0.34))),
        *_pair(body, ellipse(0.72, 0.4, 0.13, 0.13)),
        *_pair(trim, box(0.2, 0.66, 0.18, 0.4)),
        *_pair(body, box(0.24, 0.88, 0.36, 0.18, 0.08)),
        Part(box(0, -0.24, 0.24, 0.2), trim),
        Part(box(0, 0.14, 0.88, 0.74, 0.12), body),
        Part(box(0, 0.16, 0.54, 0.4, 0.05), trim),
        *_pair(glow, ellipse(0.13, 0.1, 0.07, 0.07)),
        Part(box(0, 0.26, 0.38, 0.06, 0.02), _INK),
        Part(box(0, -0.54, 0.84, 0.5, 0.14), body),
        *_pair(_WHITE, ellipse(0.2, -0.58, 0.14, 0.14)),
        *_pair(_INK, ellipse(0.2, -0.57, 0.06, 0.07)),
        Part(box(0, -0.38, 0.34, 0.07, 0.03), _INK),
    ]


def _fish(body: Paint, trim: Paint) -> list[Part]:
    return [
        Part(
            smooth((-0.5, 0.04), (-0.98, -0.44), (-0.86, 0.04), (-0.98, 0.52), (-0.55, 0.12)), trim
        ),
        Part(smooth((-0.36, -0.36), (-0.2, -0.72), (0.3, -0.62), (0.34, -0.34)), trim),
        Part(smooth((-0.2, 0.4), (-0.34, 0.72), (0.08, 0.64), (0.14, 0.4)), trim),
        Part(
            smooth(
                (0.92, 0.06), (0.6, -0.34), (0.1, -0.46), (-0.36, -0.28), (-0.66, 0),
                (-0.36, 0.36), (0.1, 0.5), (0.62, 0.4),
            ),
            body,
        ),
        Part(smooth((0.1, 0.08), (-0.22, -0.02), (-0.3, 0.2), (-0.16, 0.32)), trim),
        Part(arc(0.04, 0.28, 0.04, 0.2, 0.32, -60, 60), trim),
        Part(ellipse(0.66, -0.06, 0.12, 0.12), _WHITE),
        Part(ellipse(0.69, -0.05, 0.06, 0.07), _INK),
    ]  # fmt: skip


def _owl(body: Paint, trim: Paint) -> list[Part]:
    beak = Paint((246, 166, 52))
    return [
        Part(smooth((-0.2, 0.6), (0.2, 0.6), (0.26, 0.98), (0, 1.02), (-0.26, 0.98)), trim),
        *_pair(trim, ((0.2, -0.66), (0.56, -1.02), (0.6, -0.42))),
        Part(
            smooth(
                (0, -0.86), (0.48, -0.72), (0.62, -0.3), (0.66, 0.3), (0.4, 0.8), (0, 0.9),
                (-0.4, 0.8), (-0.66, 0.3), (-0.62, -0.3), (-0.48, -0.72),
            ),
            Paint(body.colour),
        ),
        Part(ellipse(0, 0.36, 0.42, 0.48), body),
        *_pair(beak, box(0.26, 0.88, 0.28, 0.15, 0.06)),
        *_pair(trim, smooth((0.5, -0.16), (0.76, 0.1), (0.72, 0.64), (0.44, 0.4))),
        *_pair(_WHITE, ellipse(0.26, -0.42, 0.27, 0.27)),
        *_pair(_INK, ellipse(0.22, -0.4, 0.13, 0.14)),
        Part(((-0.1, -0.3), (0.1, -0.3), (0, -0.06)), beak),
    ]  # fmt: skip


def _backpack(body: Paint, trim: Paint) -> list[Part]:
    metal = Paint((226, 214, 180))
    return [
        *_pair(trim, arc(0.12, 0.46, 0.2, 0.3, 0.6, -80, 80)),
        Part(arc(0.1, 0, -0.74, 0.2, 0.24, 180, 360), _INK),
        Part(
            smooth(
                (0, -0.82), (0.46, -0.74), (0.6, -0.4), (0.62, 0.3), (0.6, 0.82), (0, 0.88),
                (-0.6, 0.82), (-0.62, 0.3), (-0.6, -0.4), (-0.46, -0.74),
            ),
            body,
        ),
        Part(box(0, 0.5, 0.86, 0.5, 0.12), trim),
        Part(box(0, 0.36, 0.86, 0.06, 0.02), _INK),
        Part(ellipse(0, -0.3, 0.52, 0.34, 0, 180), trim),
        Part(box(0, -0.32, 1.1, 0.1, 0.04), trim),
        *_pair(metal, box(0.22, 0.02, 0.12, 0.26, 0.03)),
    ]  # fmt: skip


def _mushroom(body: Paint, trim: Paint) -> list[Part]:
    stem, gills = Paint((244, 230, 204)), Paint((214, 186, 150))
    return [
        Part(smooth((0.5, 0.4), (0.68, 0.4), (0.72, 0.9), (0.46, 0.9)), stem),
        Part(ellipse(0.6, 0.5, 0.3, 0.36, 180, 360), body),
        Part(
            smooth((-0.24, 0), (0.24, 0), (0.26, 0.5), (0.38, 0.92), (-0.38, 0.92), (-0.26, 0.5)),
            stem,
        ),
        Part(ellipse(0, 0.0, 0.78, 0.16), gills),
        Part(
            smooth(
                (-0.88, 0.0), (-0.74, -0.5), (-0.3, -0.86), (0.3, -0.86), (0.74, -0.5),
                (0.88, 0.0), (0, -0.08),
            ),
            body,
        ),
        Part(smooth((-0.28, 0.22), (0.28, 0.22), (0.34, 0.36), (0, 0.42), (-0.34, 0.36)), gills),
        Part(ellipse(0, 0.9, 0.13, 0.28, 180, 360), trim),
    ]  # fmt: skip


def _rocket(body: Paint, trim: Paint) -> list[Part]:
    return [
        Part(smooth((-0.2, 0.64), (0.2, 0.64), (0.14, 0.86), (0, 1.12), (-0.14, 0.86)),
             Paint((255, 150, 40))),
        Part(smooth((-0.1, 0.64), (0.1, 0.64), (0, 0.94)), Paint((255, 232, 130))),
        *_pair(trim, smooth((0.26, 0.1), (0.66, 0.5), (0.66, 0.9), (0.24, 0.62))),
        Part(box(0, 0.66, 0.46, 0.14), _INK),
        Part(
            smooth(
                (0, -1.06), (0.24, -0.72), (0.4, -0.2), (0.38, 0.3), (0.26, 0.64), (-0.26, 0.64),
                (-0.38, 0.3), (-0.4, -0.2), (-0.24, -0.72),
            ),
            body,
        ),
        Part(smooth((0, -1.08), (0.15, -0.86), (0.25, -0.6), (0, -0.56), (-0.25, -0.6),
                     (-0.15, -0.86)), trim),
        Part(ellipse(0, -0.2, 0.24, 0.24), trim),
        Part(ellipse(0, -0.2, 0.16, 0.16), Paint((158, 222, 244))),
        Part(box(0, 0.64, 0.1, 0.5, 0.05), trim),
    ]  # fmt: skip


def _dinosaur(body: Paint, trim: Paint) -> list[Part]:
    shade = Paint(body.second)
    ridge = ((-0.52, -0.1, 0.8), (-0.28, -0.3, 1.0), (0.0, -0.34, 1.1), (0.22, -0.4, 0.9),
             (0.36, -0.66, 0.7))  # fmt: skip
    plates = [
        Part(((x - 0.16 * s, y + 0.1), (x - 0.06 * s, y - 0.28 * s), (x + 0.16 * s, y + 0.1)), trim)
        for x, y, s in ridge
    ]
    return [
        *plates,
        Part(limb(0.22, (-0.2, 0.3), (-0.14, 0.8)), shade),
        Part(limb(0.22, (0.3, 0.3), (0.36, 0.8)), shade),
        Part(
            smooth(
                (-1.0, 0.42), (-0.66, 0.04), (-0.3, -0.22), (0.06, -0.26), (0.32, -0.5),
                (0.42, -0.86), (0.66, -0.98), (0.96, -0.82), (0.9, -0.6), (0.66, -0.56),
                (0.6, -0.2), (0.5, 0.28), (0.1, 0.5), (-0.3, 0.44), (-0.66, 0.3),
            ),
            body,
        ),
        Part(limb(0.24, (-0.34, 0.26), (-0.36, 0.84)), body),
        Part(limb(0.24, (0.14, 0.3), (0.16, 0.84)), body),
        Part(ellipse(0.66, -0.8, 0.09, 0.09), _WHITE),
        Part(ellipse(0.69, -0.79, 0.045, 0.05), _INK),
        Part(limb(0.03, (0.74, -0.66), (0.84, -0.66), (0.92, -0.7)), _INK),
    ]  # fmt: skip


def _car(body: Paint, trim: Paint) -> list[Part]:
    glass = Paint((176, 220, 236))
    wheels = [
        part
        for x in (-0.54, 0.54)
        for part in (
            Part(ellipse(x, 0.42, 0.24, 0.24), _INK),
            Part(ellipse(x, 0.42, 0.12, 0.12), trim),
        )
    ]
    return [
        Part(smooth((-0.66, -0.06), (-0.46, -0.5), (0.16, -0.54), (0.5, -0.06)), body),
        Part(((-0.52, -0.06), (-0.4, -0.4), (-0.1, -0.43), (-0.1, -0.06)), glass),
        Part(((-0.02, -0.06), (-0.02, -0.43), (0.14, -0.42), (0.36, -0.06)), glass),
        Part(
            smooth(
                (-0.96, 0.3), (-0.92, -0.02), (-0.5, -0.12), (0.5, -0.1), (0.9, 0.06), (0.98, 0.34),
                (0.8, 0.44), (-0.86, 0.44),
            ),
            body,
        ),
        Part(box(0, 0.42, 1.9, 0.08, 0.03), trim),
        *wheels,
        Part(ellipse(0.88, 0.16, 0.09, 0.09), Paint((255, 244, 190))),
        Part(ellipse(-0.92, 0.14, 0.06, 0.08), Paint((226, 60, 50))),
        Part(box(-0.1, 0.08, 0.16, 0.04, 0.02), _INK),
    ]  # fmt: skip


def _cat(body: Paint, trim: Paint) -> list[Part]:
    fur, pink = Paint(body.colour), Paint((240, 150, 160))
    return [
        Part(arc(0.15, 0.44, 0.52, 0.4, 0.36, 90, -100), body),
        Part(
            smooth((0, -0.3), (0.34, 0), (0.5, 0.6), (0.4, 0.92), (-0.4, 0.92), (-0.5, 0.6),
                    (-0.34, 0)),
            body,
        ),
        Part(ellipse(0, 0.42, 0.24, 0.42), trim),
        *_pair(fur, limb(0.2, (0.14, 0.3), (0.15, 0.86))),
        *_pair(trim, ellipse(0.16, 0.88, 0.15, 0.1)),
        *_pair(fur, ((0.08, -0.74), (0.46, -1.06), (0.5, -0.44))),
        *_pair(pink, ((0.22, -0.74), (0.4, -0.92), (0.42, -0.6))),
        Part(ellipse(0, -0.42, 0.54, 0.42), body),
        Part(ellipse(0, -0.24, 0.26, 0.18), trim),
        *_pair(Paint((186, 226, 110)), ellipse(0.22, -0.48, 0.12, 0.13)),
        *_pair(_INK, ellipse(0.22, -0.48, 0.045, 0.11)),
        Part(((-0.07, -0.32), (0.07, -0.32), (0, -0.22)), pink),
    ]  # fmt: skip


def _guitar(body: Paint, trim: Paint) -> list[Part]:
    pegs = [part for y in (-0.92, -0.78) for part in _pair(_INK, ellipse(0.14, y, 0.05, 0.05))]
    return [
        *pegs,
        Part(box(0, -0.84, 0.22, 0.32, 0.05), trim),
        Part(
            smooth(
                (0, -0.16), (0.3, -0.14), (0.36, 0.1), (0.3, 0.26), (0.5, 0.54), (0.4, 0.9),
                (0, 1.0), (-0.4, 0.9), (-0.5, 0.54), (-0.3, 0.26), (-0.36, 0.1), (-0.3, -0.14),
            ),
            body,
        ),
        Part(ellipse(0, 0.26, 0.17, 0.17), _INK),
        Part(box(0, -0.28, 0.13, 0.9, 0.02), trim),
        Part(box(0, 0.7, 0.36, 0.08, 0.03), _INK),
        Part(limb(0.025, (-0.025, -0.7), (-0.025, 0.7)), _WHITE),
        Part(limb(0.025, (0.025, -0.7), (0.025, 0.7)), _WHITE),
    ]  # fmt: skip


def _pair(paint: Paint, outline: Outline) -> list[Part]:
    """A part and its mirror image about x = 0."""
    return [Part(outline, paint), Part(mirrored(outline), paint)]


KINDS: dict[str, Callable[[Paint, Paint], list[Part]]] = {
    "beetle": _beetle,
    "teapot": _teapot,
    "robot": _robot,
    "fish": _fish,
    "owl": _owl,
    "backpack": _backpack,
    "mushroom": _mushroom,
    "rocket": _rocket,
    "dinosaur": _dinosaur,
    "car": _car,
    "cat": _cat,
    "guitar": _guitar,
}
