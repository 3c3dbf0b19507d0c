"""The scenes of the rendered world: where a subject can be, painted anew for every seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

_SUPERSAMPLE = 2
_NEAREST = Image.Resampling.NEAREST


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
        self.image.paste(Image.fromarray(ramp.astype(np.uint8)).resize((width, y1 - y0), _NEAREST), (0, y0))

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
        waves = sum(
            np.sin(2 * np.pi * (bumps * k * x + self.rng.uniform())) / k for k in (1.0, 2.3, 4.1)
        )
        skyline = y - rise * (waves + 1.5) / 3
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


@dataclass(frozen=True)
class Scene:
    """One place."""

    phrase: str
    """What a prompt says of it, such as "on a snowy field"."""

    painter: Callable[[Canvas], None]

    ground: tuple[float, float] = (0.82, 0.97)
    """Where feet stand: furthest and nearest, as fractions of the image's height."""

    light: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Colour of the light on the subject, a factor for each of RGB."""

    shadow: float = 0.5
    """Share of light that the subject keeps from the ground beneath it."""

    @property
    def id(self) -> str:
        """The phrase without its preposition and article: `snowy_field`."""
        return "_".join(self.phrase.split()[2:])

    def paint(self, seed: int, size: tuple[int, int]) -> Image.Image:
        """The scene (RGB) at `size` (width, height); the same for the same seed."""
        width, height = size
        canvas = Canvas(
            (width * _SUPERSAMPLE, height * _SUPERSAMPLE), np.random.default_rng(seed)
        )
        self.painter(canvas)
        return canvas.image.reduce(_SUPERSAMPLE)


def _clouds(c: Canvas, count: int, colour: Colour) -> None:
    for _ in range(count):
        x, y, r = c.between(0, 1), c.between(0.06, 0.3), c.between(0.05, 0.1)
        for step in (-1.4, -0.5, 0.4, 1.3):
            c.disc(x + step * r, y - c.between(0, 0.03), 1.1 * r, 0.55 * r, colour)


def _pine(c: Canvas, x: float, foot: float, height: float, needles: Colour, snow: bool) -> None:
    c.box(x - 0.02 * height, foot - 0.15 * height, x + 0.02 * height, foot, (78, 54, 40))
    for tier in range(3):
        base = foot - (0.12 + 0.25 * tier) * height
        half, top = (0.26 - 0.06 * tier) * height, base - 0.42 * height
        c.polygon([(x - half, base), (x, top), (x + half, base)], needles)
        if snow:
            c.polygon([(x - half / 2, base - 0.21 * height), (x, top), (x + half / 2, base - 0.21 * height),
                       (x + half / 5, base - 0.16 * height), (x - half / 4, base - 0.17 * height)], (244, 248, 252))


def _beach(c: Canvas) -> None:
    horizon = c.between(0.4, 0.48)
    c.fade(0, horizon, (64, 156, 232), (190, 226, 246))
    _clouds(c, 2, (250, 252, 254))
    sun = c.between(0.12, 0.88)
    c.glow(sun, 0.14, 0.3, (255, 236, 170))
    c.disc(sun, 0.14, 0.07, 0.07, (255, 240, 150))
    c.fade(horizon, 0.72, (20, 104, 170), (80, 206, 208))
    for _ in range(26):
        x, y = c.between(0, 1), c.between(horizon + 0.02, 0.62)
        c.line([(x, y), (x + 0.3 * (y - 0.3), y)], 0.006, (206, 240, 244))
    c.ridge(0.68, 0.05, 1.2, (244, 250, 250))
    c.ridge(0.7, 0.05, 1.2, (244, 216, 154))
    c.dapple(0.72, 1, 34)
    trunk = c.between(0.04, 0.14) if sun > 0.5 else c.between(0.86, 0.96)
    lean = 0.1 if trunk < 0.5 else -0.1
    crown = (trunk + lean, 0.2)
    c.line([(trunk, 0.78), (trunk + lean / 4, 0.5), crown], 0.035, (134, 92, 56))
    for dx, dy in ((-0.2, 0.04), (-0.15, 0.15), (-0.08, -0.08), (0.09, -0.07), (0.2, 0.03), (0.15, 0.15)):
        tip = (crown[0] + dx, crown[1] + dy)
        c.polygon([crown, (crown[0] + 0.55 * dx, crown[1] + 0.45 * dy - 0.06), tip,
                   (crown[0] + 0.5 * dx, crown[1] + 0.5 * dy)], c.shade((44, 140, 66), 0.2))


def _snowy_field(c: Canvas) -> None:
    c.fade(0, 0.6, (128, 164, 204), (226, 234, 244))
    c.ridge(0.5, 0.26, 1.3, (158, 178, 206))
    c.ridge(0.56, 0.12, 0.9, (204, 216, 232))
    c.ridge(0.62, 0.06, 0.8, (238, 243, 250))
    for x in sorted(c.rng.uniform(0, 1, 7)):
        _pine(c, float(x), c.between(0.6, 0.66), c.between(0.22, 0.4), c.shade((44, 92, 80)), snow=True)
    c.ridge(0.76, 0.06, 1.1, (250, 252, 255))
    c.dapple(0.74, 1, 14, 0.04)
    for _ in range(70):
        radius = c.between(0.004, 0.011)
        c.disc(c.between(0, 1), c.between(0, 1), radius, radius, (255, 255, 255))


def _night_street(c: Canvas) -> None:
    c.fade(0, 0.7, (12, 14, 44), (58, 44, 96))
    for _ in range(30):
        c.disc(c.between(0, 1), c.between(0, 0.35), 0.004, 0.004, (220, 224, 255))
    moon = c.between(0.3, 0.7)
    c.glow(moon, 0.13, 0.2, (150, 160, 210))
    c.disc(moon, 0.13, 0.055, 0.055, (246, 242, 214))
    left = -0.02
    while left < 1:
        width, top = c.between(0.14, 0.24), c.between(0.12, 0.42)
        c.box(left, top, left + width, 0.74, c.shade((34, 36, 66), 0.3))
        for x in np.arange(left + 0.025, left + width - 0.035, 0.05):
            for y in np.arange(top + 0.035, 0.66, 0.065):
                lit = c.rng.uniform() < 0.6
                c.box(x, y, x + 0.026, y + 0.036, c.shade((255, 206, 104), 0.2) if lit else (24, 26, 50))
        left += width + c.between(0, 0.02)
    c.box(0, 0.72, 1, 0.78, (84, 82, 104))
    c.fade(0.78, 1, (44, 44, 62), (30, 30, 44))
    c.dapple(0.78, 1, 30)
    for x in np.arange(c.between(-0.2, 0), 1, 0.3):
        c.polygon([(x, 0.9), (x + 0.16, 0.9), (x + 0.14, 0.925), (x - 0.03, 0.925)], (226, 200, 110))
    for x in (c.between(0.04, 0.16), c.between(0.84, 0.96)):
        c.box(x - 0.008, 0.36, x + 0.008, 0.77, (18, 18, 28))
        c.glow(x, 0.35, 0.26, (255, 200, 110))
        c.disc(x, 0.35, 0.034, 0.034, (255, 240, 190))


def _forest(c: Canvas) -> None:
    c.fade(0, 0.75, (206, 232, 168), (110, 164, 92))
    for depth, colour in enumerate([(132, 170, 112), (92, 128, 76), (70, 58, 44)]):
        foot = 0.66 + 0.05 * depth
        for x in np.linspace(0, 1, 7 - depth) + c.rng.uniform(-0.07, 0.07, 7 - depth):
            half = c.between(0.012, 0.02) * (1 + depth)
            c.polygon([(x - 1.5 * half, foot), (x - half, 0), (x + half, 0), (x + 1.5 * half, foot)],
                      c.shade(colour, 0.1))
        c.ridge(foot, 0.05, 2, [(118, 162, 88), (88, 136, 62), (66, 110, 48)][depth])
    for _ in range(46):
        r = c.between(0.05, 0.11)
        c.disc(c.between(0, 1), c.between(-0.05, 0.2), r, 0.7 * r, c.shade((62, 124, 52), 0.3))
    c.fade(0.78, 1, (66, 110, 48), (84, 92, 42))
    c.dapple(0.74, 1, 60)
    for _ in range(16):
        x, y = c.between(0, 1), c.between(0.78, 1)
        for lean in (-0.04, -0.02, 0, 0.02, 0.04):
            c.line([(x, y), (x + lean, y - 0.07 + abs(lean))], 0.008, c.shade((70, 150, 54), 0.25))


def _kitchen(c: Canvas) -> None:
    c.box(0, 0, 1, 1, c.shade((240, 230, 208), 0.04))
    for row, y in enumerate(np.arange(0.34, 0.66, 0.055)):
        for x in np.arange(-0.1 + 0.05 * (row % 2), 1, 0.1):
            c.box(x, y, x + 0.094, y + 0.049, c.shade((206, 228, 226), 0.05))
    wood = c.shade((96, 144, 150), 0.15)
    window = 0.2 * int(c.rng.integers(1, 4))
    for x in (0.0, 0.2, 0.4, 0.6, 0.8):
        c.box(x + 0.006, -0.02, x + 0.194, 0.31, wood)
        c.box(x + 0.03, 0.02, x + 0.17, 0.27, c.shade(wood, 0.1))
        c.disc(x + 0.165, 0.24, 0.012, 0.012, (236, 210, 140))
    c.box(window - 0.01, 0, window + 0.21, 0.34, (250, 250, 246))
    c.box(window + 0.015, 0.025, window + 0.185, 0.31, (164, 214, 244))
    c.box(window + 0.015, 0.23, window + 0.185, 0.31, (126, 184, 100))
    c.box(window + 0.092, 0.025, window + 0.108, 0.31, (250, 250, 246))
    c.box(0, 0.385, 1, 0.395, (150, 154, 160))
    for x in np.arange(c.between(0.03, 0.1), 1, 0.13):
        steel, drop = c.shade((120, 126, 134), 0.15), c.between(0.5, 0.54)
        c.box(x - 0.006, 0.39, x + 0.006, drop, steel)
        c.disc(x, drop + 0.02, 0.032, c.between(0.02, 0.045), steel)
    for x, colour in ((c.between(0.03, 0.1), (206, 84, 66)), (c.between(0.88, 0.96), (92, 140, 96))):
        c.box(x - 0.055, 0.56, x + 0.055, 0.69, c.shade(colour))
        c.box(x - 0.045, 0.53, x + 0.045, 0.565, (236, 222, 196))
        c.box(x - 0.035, 0.6, x + 0.035, 0.65, (250, 244, 230))
    c.fade(0.67, 1, (206, 158, 106), (164, 116, 72))
    c.dapple(0.67, 1, 26, 0.012)
    for y in (0.67, 0.735, 0.82, 0.92):
        c.line([(0, y), (1, y)], 0.006, (134, 92, 56))


def _desert(c: Canvas) -> None:
    c.fade(0, 0.6, (240, 168, 92), (252, 224, 170))
    sun = c.between(0.15, 0.85)
    c.glow(sun, 0.24, 0.34, (255, 220, 130))
    c.disc(sun, 0.24, 0.09, 0.09, (255, 248, 214))
    for x in (c.between(0, 0.3), c.between(0.6, 0.9)):
        top, half = c.between(0.34, 0.42), c.between(0.1, 0.16)
        c.polygon([(x - 1.4 * half, 0.6), (x - half, top), (x + half, top), (x + 1.4 * half, 0.6)],
                  c.shade((188, 98, 66)))
    c.ridge(0.6, 0.08, 0.7, (226, 158, 88))
    c.ridge(0.68, 0.08, 0.9, (238, 178, 104))
    for x in (c.between(0.02, 0.2), c.between(0.78, 0.96)):
        foot, tall, green = c.between(0.68, 0.78), c.between(0.22, 0.32), c.shade((72, 128, 72))
        c.line([(x, foot), (x, foot - tall)], 0.05, green)
        c.disc(x, foot - tall, 0.025, 0.025, green)
        for sx, y in ((-0.06, 0.45), (0.06, 0.6)):
            c.line([(x, foot - y * tall), (x + sx, foot - y * tall), (x + sx, foot - (y + 0.3) * tall)],
                   0.032, green)
    c.ridge(0.8, 0.06, 0.8, (246, 198, 126))
    c.dapple(0.72, 1, 24, 0.03)


def _coral_reef(c: Canvas) -> None:
    c.fade(0, 0.85, (60, 190, 224), (10, 70, 138))
    for _ in range(4):
        x, w = c.between(0, 1), c.between(0.03, 0.08)
        c.polygon([(x, 0), (x + w, 0), (x + 2.2 * w - 0.2, 0.8), (x - 0.3, 0.8)], (74, 176, 216))
    c.dapple(0, 0.8, 16, 0.06)
    c.ridge(0.78, 0.12, 1.4, (26, 84, 128))
    for _ in range(12):
        x, foot, colour = c.between(0, 1), c.between(0.74, 0.86), c.shade((240, 104, 122), 0.25)
        for lean in (-0.09, -0.045, 0, 0.045, 0.09):
            c.line([(x, foot), (x + lean / 2, foot - 0.1), (x + lean, foot - c.between(0.14, 0.2))],
                   0.022, colour if x < 0.5 else c.shade((250, 170, 60), 0.15))
    for x in (c.between(0.02, 0.14), c.between(0.86, 0.98)):
        y = np.linspace(0.84, 0.3, 12)
        c.line([(x + 0.025 * np.sin(22 * float(h)), float(h)) for h in y], 0.03, c.shade((46, 142, 78), 0.15))
    c.fade(0.86, 1, (222, 204, 156), (196, 176, 130))
    c.dapple(0.84, 1, 40)
    for _ in range(16):
        r = c.between(0.006, 0.018)
        x, y = c.between(0, 1), c.between(0.04, 0.7)
        c.disc(x, y, r, r, (170, 226, 240))
        c.disc(x, y, 0.6 * r, 0.6 * r, (84, 186, 222))


def _library(c: Canvas) -> None:
    c.box(0, 0, 1, 1, (84, 52, 34))
    spines: list[Colour] = [(158, 44, 44), (40, 84, 120), (52, 104, 68), (196, 152, 70),
                            (108, 62, 110), (224, 208, 172), (60, 56, 66)]
    for shelf in np.arange(0.0, 0.7, 0.17):
        c.box(0, shelf, 1, shelf + 0.145, (50, 30, 22))
        x = c.between(-0.03, 0)
        while x < 1:
            width, height = c.between(0.02, 0.045), c.between(0.09, 0.135)
            if c.rng.uniform() < 0.93:
                colour = c.shade(spines[int(c.rng.integers(len(spines)))], 0.15)
                c.box(x, shelf + 0.145 - height, x + width - 0.005, shelf + 0.145, colour)
                y = shelf + 0.145 - 0.7 * height
                c.line([(x + 0.003, y), (x + width - 0.008, y)], 0.006, (232, 204, 130))
            x += width
        c.box(0, shelf + 0.145, 1, shelf + 0.17, (128, 82, 50))
    for x in (0.0, c.between(0.46, 0.54), 0.98):
        c.box(x, 0, x + 0.025, 0.7, (142, 92, 56))
    c.fade(0.7, 1, (150, 44, 50), (118, 30, 40))
    c.box(0, 0.7, 1, 0.73, (70, 40, 26))
    for x in np.arange(c.between(-0.1, 0), 1.1, 0.16):
        c.polygon([(x, 0.86), (x + 0.05, 0.83), (x + 0.1, 0.86), (x + 0.05, 0.89)], (222, 176, 96))
    c.dapple(0.73, 1, 24, 0.012)
    c.glow(c.between(0.3, 0.7), 0.1, 0.4, (110, 80, 36))


def _flower_meadow(c: Canvas) -> None:
    c.fade(0, 0.55, (92, 176, 240), (206, 234, 250))
    _clouds(c, 3, (255, 255, 255))
    c.ridge(0.52, 0.12, 1.0, (120, 172, 128))
    c.ridge(0.58, 0.06, 0.8, (122, 190, 84))
    c.fade(0.6, 1, (118, 190, 76), (70, 144, 52))
    c.dapple(0.56, 1, 44)
    petals: list[Colour] = [(250, 84, 110), (255, 214, 70), (250, 250, 250), (170, 104, 220), (255, 140, 60)]
    for y in np.sort(0.6 + 0.42 * c.rng.uniform(0, 1, 90) ** 0.8):
        x, r = c.between(0, 1), 0.008 + 0.05 * (float(y) - 0.58)
        colour = petals[int(c.rng.integers(len(petals)))]
        c.line([(x, y), (x, y + 2 * r)], 0.3 * r, (52, 116, 44))
        for dx, dy in ((-0.7, 0), (0.7, 0), (0, -0.7), (0, 0.7)):
            c.disc(x + dx * r, y + dy * r, 0.6 * r, 0.6 * r, colour)
        c.disc(x, y, 0.4 * r, 0.4 * r, (250, 200, 50))


def _moon(c: Canvas) -> None:
    c.fade(0, 0.7, (4, 4, 12), (14, 14, 30))
    for _ in range(90):
        r = c.between(0.002, 0.006)
        c.disc(c.between(0, 1), c.between(0, 0.6), r, r, (236, 238, 255))
    x, y = c.between(0.14, 0.86), c.between(0.14, 0.22)
    c.glow(x, y, 0.22, (60, 110, 200))
    c.disc(x, y, 0.11, 0.11, (46, 110, 206))
    for dx, dy, r in ((-0.04, -0.03, 0.045), (0.03, 0.03, 0.05), (0.05, -0.06, 0.025)):
        c.disc(x + dx, y + dy, r, 0.7 * r, (92, 164, 92))
    c.line([(x - 0.07, y - 0.005), (x + 0.02, y - 0.015)], 0.014, (240, 246, 250))
    c.ridge(0.62, 0.1, 1.5, (108, 108, 116))
    c.ridge(0.7, 0.06, 0.8, (152, 152, 160))
    c.fade(0.72, 1, (152, 152, 160), (186, 186, 192))
    c.dapple(0.66, 1, 34)
    for _ in range(12):
        x, y = c.between(0, 1), c.between(0.7, 0.98)
        r = 0.02 + 0.25 * (y - 0.68) * c.between(0.5, 1)
        c.disc(x, y, r, 0.4 * r, (206, 206, 212))
        c.disc(x, y + 0.1 * r, 0.85 * r, 0.3 * r, (112, 112, 122))


SCENES: tuple[Scene, ...] = (
    Scene("on a sandy beach", _beach, light=(1.06, 1.03, 0.96)),
    Scene("on a snowy field", _snowy_field, light=(0.98, 1.02, 1.08), shadow=0.3),
    Scene("in a night street", _night_street, light=(0.74, 0.68, 0.86), shadow=0.65),
    Scene("in a green forest", _forest, light=(0.92, 1.0, 0.84)),
    Scene("in a bright kitchen", _kitchen),
    Scene("in a hot desert", _desert, light=(1.1, 0.98, 0.82)),
    Scene("in a coral reef", _coral_reef, light=(0.72, 0.94, 1.06), shadow=0.35),
    Scene("in a quiet library", _library, light=(1.0, 0.9, 0.76)),
    Scene("in a flower meadow", _flower_meadow, light=(1.04, 1.04, 0.98)),
    Scene("on the moon", _moon, light=(0.92, 0.94, 1.04), shadow=0.75),
)
