"""A chart of curves as SVG, which a browser and a printer show without a library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 110, 20, 50
COLOURS = ("#1b6ca8", "#b3541e", "#3c7a3c", "#7a3c78", "#555555")
STYLE = "font: 12px sans-serif; fill: #333"


def curves(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    x_title: str,
    y_title: str,
    level: tuple[float, str] | None = None,
) -> bytes:
    """The chart, both axes logarithmic.

    Args:
        x: (N,) positive, rising.
        lines: by name, (N,) positive values; others are left out.
        level: a height, and what is said of it, for a dashed line.
    """
    heights = [y for line in lines.values() for y in line if y > 0 and math.isfinite(y)]
    heights += [level[0]] if level and level[0] > 0 else []
    if not heights:
        heights = [1.0]
    x_axis, y_axis = (_Axis(min(x), max(x)), _Axis(min(heights), max(heights)))

    def across(value: float) -> float:
        return LEFT + x_axis.share(value) * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - y_axis.share(value) * (HEIGHT - TOP - BOTTOM)

    root = ElementTree.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img"
    )
    ElementTree.SubElement(root, "title").text = f"{y_title} by {x_title}"
    ElementTree.SubElement(root, "rect", width="100%", height="100%", fill="white")
    for value in x_axis.ticks():
        _line(root, across(value), TOP, across(value), HEIGHT - BOTTOM, "#ddd")
        _text(root, across(value), HEIGHT - BOTTOM + 16, f"{value:g}", "middle")
    for value in y_axis.ticks():
        _line(root, LEFT, down(value), WIDTH - RIGHT, down(value), "#ddd")
        _text(root, LEFT - 6, down(value) + 4, f"{value:g}", "end")
    _text(root, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_title, "middle")
    turned = _text(root, 0, 0, y_title, "middle")
    turned.set("transform", f"translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)")
    if level and level[0] > 0:
        line = _line(root, LEFT, down(level[0]), WIDTH - RIGHT, down(level[0]), "#333")
        line.set("stroke-dasharray", "5 4")
        _text(root, WIDTH - RIGHT + 6, down(level[0]) + 4, level[1], "start")
    for number, (name, values) in enumerate(lines.items()):
        shown = [(a, b) for a, b in zip(x, values, strict=True) if b > 0 and math.isfinite(b)]
        if not shown:
            continue
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in shown)
        line = ElementTree.SubElement(root, "polyline", points=points, fill="none", stroke=colour)
        line.set("stroke-width", "2")
        label = _text(root, WIDTH - RIGHT + 6, down(shown[-1][1]) + 4, name, "start")
        label.set("style", f"{STYLE}; fill: {colour}")
    content: bytes = ElementTree.tostring(root, encoding="utf-8")
    return content + b"\n"


class _Axis:
    """A logarithmic one."""

    def __init__(self, least: float, most: float) -> None:
        self.least, self.most = least / 1.05, most * 1.05

    def share(self, value: float) -> float:
        """How far along it a value lies, from 0 to 1."""
        return math.log(value / self.least) / math.log(self.most / self.least)

    def ticks(self) -> list[float]:
        """1, 2 and 5 times powers of ten; of many decades the powers alone."""
        first, last = math.floor(math.log10(self.least)), math.ceil(math.log10(self.most))
        steps = (1, 2, 5) if last - first <= 4 else (1,)
        found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        return [value for value in found if self.least <= value <= self.most]


def _line(
    root: ElementTree.Element, x1: float, y1: float, x2: float, y2: float, colour: str
) -> ElementTree.Element:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    named = {name: f"{value:.1f}" for name, value in ends.items()}
    return ElementTree.SubElement(root, "line", {"stroke": colour, **named})


def _text(
    root: ElementTree.Element, x: float, y: float, content: str, anchor: str
) -> ElementTree.Element:
    found = ElementTree.SubElement(root, "text", x=f"{x:.1f}", y=f"{y:.1f}", style=STYLE)
    found.set("text-anchor", anchor)
    found.text = content
    return found
