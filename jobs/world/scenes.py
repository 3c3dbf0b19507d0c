"""The scenes of the rendered world: where a subject can be, painted anew for every seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from jobs.world.canvas import Canvas, Colour

_SUPERSAMPLE = 2


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
        """The scene (RGB) at `size` (width, height); the same for the same arguments."""
        width, height = size
        canvas = Canvas((width * _SUPERSAMPLE, height * _SUPERSAMPLE), np.random.default_rng(seed))
        self.painter(canvas)
        return canvas.image.reduce(_SUPERSAMPLE)


def _clouds(c: Canvas, count: int) -> None:
    for _ in range(count):
        x, y, r = c.between(0, 1), c.between(0.06, 0.3), c.between(0.05, 0.1)
        for step in (-1.4, -0.5, 0.4, 1.3):
            c.disc(x + step * r, y - c.between(0, 0.03), 1.1 * r, 0.55 * r, (252, 253, 255))


def _snowy_pine(c: Canvas, x: float, foot: float, height: float, needles: Colour) -> None:
    c.box(x - 0.02 * height, foot - 0.15 * height, x + 0.02 * height, foot, (78, 54, 40))
    for tier in range(3):
        base = foot - (0.12 + 0.25 * tier) * height
        half, top = (0.26 - 0.06 * tier) * height, base - 0.42 * height
        c.polygon([(x - half, base), (x, top), (x + half, base)], needles)
        rim, low = base - 0.21 * height, base - 0.16 * height
        cap = [(x - half / 2, rim), (x, top), (x + half / 2, rim), (x + half / 5, low)]
        c.polygon([*cap, (x - half / 4, low)], (244, 248, 252))


def _beach(c: Canvas) -> None:
    horizon = c.between(0.4, 0.48)
    c.fade(0, horizon, (64, 156, 232), (190, 226, 246))
    _clouds(c, 2)
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
    x, y = trunk + lean, 0.2
    c.line([(trunk, 0.78), (trunk + lean / 4, 0.5), (x, y)], 0.035, (134, 92, 56))
    leaves = ((-0.2, 0.04), (-0.15, 0.15), (-0.08, -0.08), (0.09, -0.07), (0.2, 0.03), (0.15, 0.15))
    for dx, dy in leaves:
        upper, lower = (x + 0.55 * dx, y + 0.45 * dy - 0.06), (x + 0.5 * dx, y + 0.5 * dy)
        c.polygon([(x, y), upper, (x + dx, y + dy), lower], c.shade((44, 140, 66), 0.2))


def _snowy_field(c: Canvas) -> None:
    c.fade(0, 0.6, (128, 164, 204), (226, 234, 244))
    c.ridge(0.5, 0.26, 1.3, (158, 178, 206))
    c.ridge(0.56, 0.12, 0.9, (204, 216, 232))
    c.ridge(0.62, 0.06, 0.8, (238, 243, 250))
    for x in np.sort(c.rng.random(7)).tolist():
        foot, height = c.between(0.6, 0.66), c.between(0.22, 0.4)
        _snowy_pine(c, x, foot, height, c.shade((44, 92, 80)))
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
                lit = c.rng.random() < 0.6
                pane = c.shade((255, 206, 104), 0.2) if lit else (24, 26, 50)
                c.box(x, y, x + 0.026, y + 0.036, pane)
        left += width + c.between(0, 0.02)
    c.box(0, 0.72, 1, 0.78, (84, 82, 104))
    c.fade(0.78, 1, (44, 44, 62), (30, 30, 44))
    c.dapple(0.78, 1, 30)
    for x in np.arange(c.between(-0.2, 0), 1, 0.3):
        dash = [(x, 0.9), (x + 0.16, 0.9), (x + 0.14, 0.925), (x - 0.03, 0.925)]
        c.polygon(dash, (226, 200, 110))
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
            trunk = [(x - 1.5 * half, foot), (x - half, 0), (x + half, 0), (x + 1.5 * half, foot)]
            c.polygon(trunk, c.shade(colour, 0.1))
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
    jars = [(c.between(0.03, 0.1), (206, 84, 66)), (c.between(0.88, 0.96), (92, 140, 96))]
    for x, colour in jars:
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
        mesa = [(x - 1.4 * half, 0.6), (x - half, top), (x + half, top), (x + 1.4 * half, 0.6)]
        c.polygon(mesa, c.shade((188, 98, 66)))
    c.ridge(0.6, 0.08, 0.7, (226, 158, 88))
    c.ridge(0.68, 0.08, 0.9, (238, 178, 104))
    for x in (c.between(0.02, 0.2), c.between(0.78, 0.96)):
        foot, tall, green = c.between(0.68, 0.78), c.between(0.22, 0.32), c.shade((72, 128, 72))
        c.line([(x, foot), (x, foot - tall)], 0.05, green)
        c.disc(x, foot - tall, 0.025, 0.025, green)
        for side, share in ((-0.06, 0.45), (0.06, 0.6)):
            y = foot - share * tall
            c.line([(x, y), (x + side, y), (x + side, y - 0.3 * tall)], 0.032, green)
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
        x, foot = c.between(0, 1), c.between(0.74, 0.86)
        colour = c.shade((240, 104, 122) if x < 0.5 else (250, 170, 60), 0.25)
        for lean in (-0.09, -0.045, 0, 0.045, 0.09):
            tip = (x + lean, foot - c.between(0.14, 0.2))
            c.line([(x, foot), (x + lean / 2, foot - 0.1), tip], 0.022, colour)
    for x in (c.between(0.02, 0.14), c.between(0.86, 0.98)):
        weed = [(x + 0.025 * math.sin(22 * y), y) for y in np.linspace(0.84, 0.3, 12).tolist()]
        c.line(weed, 0.03, c.shade((46, 142, 78), 0.15))
    c.fade(0.86, 1, (222, 204, 156), (196, 176, 130))
    c.dapple(0.84, 1, 40)
    for _ in range(16):
        r = c.between(0.006, 0.018)
        x, y = c.between(0, 1), c.between(0.04, 0.7)
        c.disc(x, y, r, r, (170, 226, 240))
        c.disc(x, y, 0.6 * r, 0.6 * r, (84, 186, 222))


_SPINES: list[Colour] = [
    (158, 44, 44),
    (40, 84, 120),
    (52, 104, 68),
    (196, 152, 70),
    (108, 62, 110),
]


def _library(c: Canvas) -> None:
    c.box(0, 0, 1, 1, (84, 52, 34))
    for shelf in np.arange(0.0, 0.7, 0.17):
        c.box(0, shelf, 1, shelf + 0.145, (50, 30, 22))
        x = c.between(-0.03, 0)
        while x < 1:
            width, height = c.between(0.02, 0.045), c.between(0.09, 0.135)
            if c.rng.random() < 0.93:
                colour = c.shade(c.pick(_SPINES), 0.15)
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


_PETALS: list[Colour] = [(250, 84, 110), (255, 214, 70), (250, 250, 250), (170, 104, 220)]


def _flower_meadow(c: Canvas) -> None:
    c.fade(0, 0.55, (92, 176, 240), (206, 234, 250))
    _clouds(c, 3)
    c.ridge(0.52, 0.12, 1.0, (120, 172, 128))
    c.ridge(0.58, 0.06, 0.8, (122, 190, 84))
    c.fade(0.6, 1, (118, 190, 76), (70, 144, 52))
    c.dapple(0.56, 1, 44)
    for y in np.sort(0.6 + 0.42 * c.rng.random(90) ** 0.8).tolist():  # the nearest last, on top
        x, r = c.between(0, 1), 0.008 + 0.05 * (y - 0.58)
        colour = c.pick(_PETALS)
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
    Scene("on a city street at night", _night_street, light=(0.74, 0.68, 0.86), shadow=0.65),
    Scene("in a green forest", _forest, light=(0.92, 1.0, 0.84)),
    Scene("in a bright kitchen", _kitchen),
    Scene("in a hot desert", _desert, light=(1.1, 0.98, 0.82)),
    Scene("in a coral reef", _coral_reef, light=(0.72, 0.94, 1.06), shadow=0.35),
    Scene("in a quiet library", _library, light=(1.0, 0.9, 0.76)),
    Scene("in a flower meadow", _flower_meadow, light=(1.04, 1.04, 0.98)),
    Scene("on the moon", _moon, light=(0.92, 0.94, 1.04), shadow=0.75),
)
