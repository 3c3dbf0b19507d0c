"""A picture in the making: the brushes that scenes are painted with."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]


class Canvas:
    """A picture in the making. Points are fractions of width and height, radii of the shorter."""

    def __init__(self, size: tuple[int, int], rng: np.random.Generator) -> None:
        self.size = size
        self.unit = min(size)
        self.rng = rng
        self.image = Image.new("RGB", size)
        self.draw = ImageDraw.Draw(self.image)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def pick(self, colours: list[Colour]) -> Colour:
        return colours[self.rng.integers(len(colours))]

    def shade(self, colour: Colour, amount: float = 0.08) -> Colour:
        """The colour, brighter or darker by chance, by up to `amount` of itself."""
        factor = self.between(1 - amount, 1 + amount)
        red, green, blue = (min(255, round(channel * factor)) for channel in colour)
        return red, green, blue

    def fade(self, top: float, bottom: float, upper: Colour, lower: Colour) -> None:
        """A vertical gradient over the full width."""
        width, height = self.size
        y0, y1 = round(top * height), round(bottom * height)
        ramp = np.linspace(upper, lower, max(1, y1 - y0))[:, None]
        self.image.paste(
            Image.fromarray(ramp.astype(np.uint8)).resize(
                (width, y1 - y0), Image.Resampling.NEAREST
            ),
            (0, y0),
        )

    def polygon(self, points: list[Point], colour: Colour) -> None:
        width, height = self.size
        self.draw.polygon([(x * width, y * height) for x, y in points], fill=colour)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        width, height = self.size
        self.draw.rectangle((x0 * width, y0 * height, x1 * width, y1 * height), fill=colour)

    def disc(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        cx, cy = x * self.size[0], y * self.size[1]
        rx, ry = rx * self.unit, ry * self.unit
        self.draw.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), fill=colour)

    def line(self, points: list[Point], thickness: float, colour: Colour) -> None:
        width, height = self.size
        self.draw.line(
            [(x * width, y * height) for x, y in points],
            fill=colour, width=max(1, round(thickness * self.unit)), joint="curve",
        )  # fmt: skip

    def ridge(self, y: float, rise: float, bumps: float, colour: Colour) -> None:
        """Everything below a wavy skyline around `y`, about `rise` high, with `bumps` hills."""
        x = np.linspace(0, 1, 60)
        k = np.array([[1.0], [2.3], [4.1]])
        waves = np.sin(2 * np.pi * (bumps * k * x + self.rng.random((3, 1)))) / k
        skyline = y - rise * (waves.sum(axis=0) + 1.5) / 3
        self.polygon([(0, 1), *zip(x.tolist(), skyline.tolist(), strict=True), (1, 1)], colour)

    def glow(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Light around a point, added to what is there."""
        side = round(2 * radius * self.unit)
        left, top = round(x * self.size[0] - side / 2), round(y * self.size[1] - side / 2)
        area = (left, top, left + side, top + side)
        light = _HALO.resize((side, side), Image.Resampling.BILINEAR)
        tinted = Image.merge("RGB", [light.point(_scaled(channel)) for channel in colour])
        self.image.paste(ImageChops.screen(self.image.crop(area), tinted), area)

    def dapple(self, top: float, bottom: float, strength: int, grain: float = 0.02) -> None:
        """Uneven brightness between two heights: grass, sand, water, plaster."""
        width, height = self.size
        y0, y1 = round(top * height), round(bottom * height)
        cell = max(1, round(grain * self.unit))
        # Wider than high, as ground that is seen from the side.
        shape = (max(2, (y1 - y0) // cell), max(2, width // (3 * cell)))
        noise = self.rng.integers(-strength, strength + 1, shape)
        band = Image.fromarray((128 + noise).astype(np.uint8)).resize(
            (width, y1 - y0), Image.Resampling.BILINEAR
        )
        area = (0, y0, width, y1)
        lit = ImageChops.overlay(self.image.crop(area), Image.merge("RGB", [band] * 3))
        self.image.paste(lit, area)


def _scaled(channel: int) -> list[int]:
    """A lookup table that multiplies by channel / 255."""
    return [value * channel // 255 for value in range(256)]


_HALO = ImageChops.invert(Image.radial_gradient("L")).point(lambda v: max(0, v - 75) * 1.4)
"""A disc of light (mode L): brightest in the middle, 0 from the rim of the inscribed circle on."""
