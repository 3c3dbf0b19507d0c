"""Closed outlines in the plane: what the parts of subjects are cut from.

Points are (x, y), x to the right and y down; angles are degrees, clockwise from +x.
"""

from __future__ import annotations

import math

import numpy as np

Outline = tuple[tuple[float, float], ...]


def ellipse(
    x: float, y: float, rx: float, ry: float, start: float = 0.0, stop: float = 360.0
) -> Outline:
    """An ellipse around (x, y), or its segment from `start` to `stop`."""
    angles = np.radians(np.linspace(start, stop, 48))
    return tuple((x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles)


def box(x: float, y: float, width: float, height: float, corner: float = 0.06) -> Outline:
    """A box around (x, y) with rounded corners of radius `corner`."""
    points: list[tuple[float, float]] = []
    for sx, sy, start in ((1, 1, 0), (-1, 1, 90), (-1, -1, 180), (1, -1, 270)):
        centre = (x + sx * (width / 2 - corner), y + sy * (height / 2 - corner))
        points += ellipse(*centre, corner, corner, start, start + 90)[::6]
    return tuple(points)


def smooth(*points: tuple[float, float]) -> Outline:
    """The closed Catmull-Rom curve through `points`."""
    p = np.array(points)
    before, after, next_after = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    t = np.linspace(0, 1, 8, endpoint=False)[None, :, None]
    a, b, c, d = (q[:, None, :] for q in (before, p, after, next_after))
    curve = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return tuple((float(x), float(y)) for x, y in curve.reshape(-1, 2))


def limb(width: float, *points: tuple[float, float]) -> Outline:
    """The line through `points`, `width` thick."""
    p = np.array(points, dtype=float)
    along = np.gradient(p, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.stack([-along[:, 1], along[:, 0]], axis=1) * width / 2
    edge = np.concatenate([p + side, (p - side)[::-1]])
    return tuple((float(x), float(y)) for x, y in edge)


def arc(
    width: float, x: float, y: float, rx: float, ry: float, start: float, stop: float
) -> Outline:
    """A bent limb along an ellipse."""
    return limb(width, *ellipse(x, y, rx, ry, start, stop)[::3])


def mirrored(outline: Outline) -> Outline:
    return tuple((-x, y) for x, y in outline)


def area(outline: Outline) -> float:
    """Shoelace formula."""
    x, y = np.array(outline).T
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
