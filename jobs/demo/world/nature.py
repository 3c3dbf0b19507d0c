"""Scenes under the open sky, in the sea and below ground: one painter each, for `scenes`."""

from __future__ import annotations

import math

import numpy as np

from jobs.demo.world.canvas import Canvas, Colour


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


def beach(c: Canvas) -> None:
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


def snowy_field(c: Canvas) -> None:
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


def forest(c: Canvas) -> None:
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


def desert(c: Canvas) -> None:
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


def coral_reef(c: Canvas) -> None:
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


_PETALS: list[Colour] = [(250, 84, 110), (255, 214, 70), (250, 250, 250), (170, 104, 220)]


def flower_meadow(c: Canvas) -> None:
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


def moon(c: Canvas) -> None:
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


def wheat_field(c: Canvas) -> None:
    c.fade(0, 0.5, (84, 150, 226), (214, 228, 236))
    _clouds(c, 3)
    c.ridge(0.5, 0.05, 0.9, (108, 140, 74))
    c.fade(0.52, 1, (236, 194, 84), (200, 146, 46))
    vanishing = c.between(0.3, 0.7)
    for x in np.linspace(-1.2, 2.2, 18) + c.rng.uniform(-0.04, 0.04, 18):
        c.line([(vanishing, 0.5), (x, 1.02)], 0.008, (176, 122, 38))
    c.dapple(0.54, 1, 40, 0.012)
    for y in np.sort(0.54 + 0.5 * c.rng.random(110)).tolist():
        x, tall = c.between(0, 1), 0.03 + 0.12 * (y - 0.5)
        c.line([(x, y), (x, y - tall)], 0.005, (222, 182, 84))
        c.disc(x, y - tall, 0.008, 0.02, c.shade((248, 216, 116)))


def mountain_lake(c: Canvas) -> None:
    c.fade(0, 0.55, (104, 160, 214), (214, 230, 240))
    for x, top in zip((0.1, 0.42, 0.78), c.rng.uniform(0.1, 0.24, 3).tolist(), strict=True):
        x += c.between(-0.08, 0.08)
        rock = c.shade((98, 104, 124), 0.15)
        c.polygon([(x - 0.36, 0.56), (x, top), (x + 0.36, 0.56)], rock)
        snow = [(x - 0.11, top + 0.14), (x, top), (x + 0.11, top + 0.14), (x + 0.04, top + 0.1)]
        c.polygon([*snow, (x - 0.03, top + 0.13)], (246, 250, 255))
    for x in np.arange(-0.02, 1.03, 0.045):
        tall = c.between(0.05, 0.11)
        c.polygon(
            [(x - 0.03, 0.58), (x, 0.57 - tall), (x + 0.03, 0.58)], c.shade((30, 66, 56), 0.2)
        )
    c.fade(0.57, 0.88, (50, 108, 142), (26, 66, 110))
    for _ in range(34):
        x, y = c.between(0, 1), c.between(0.59, 0.86)
        c.line([(x, y), (x + 0.4 * (y - 0.45), y)], 0.005, (132, 176, 200))
    c.ridge(0.88, 0.04, 1.1, (122, 122, 116))
    for _ in range(50):
        r = c.between(0.012, 0.03)
        c.disc(c.between(0, 1), c.between(0.88, 1), r, 0.6 * r, c.shade((138, 136, 132), 0.25))


def dark_cave(c: Canvas) -> None:
    c.fade(0, 1, (52, 38, 36), (84, 62, 52))
    c.disc(c.between(0.3, 0.7), 0.45, 0.42, 0.36, (34, 24, 28))
    for x in np.arange(0, 1.05, 0.07):
        tall, half = c.between(0.08, 0.34), c.between(0.02, 0.04)
        c.polygon([(x - half, -0.01), (x + half, -0.01), (x, tall)], c.shade((98, 74, 62), 0.25))
    c.ridge(0.78, 0.1, 1.6, (70, 52, 46))
    for x in np.arange(0.02, 1.05, 0.12):
        tall, half = c.between(0.06, 0.2), c.between(0.025, 0.045)
        rock = c.shade((90, 66, 56), 0.25)
        c.polygon([(x - half, 0.82), (x + half, 0.82), (x, 0.8 - tall)], rock)
    c.fade(0.82, 1, (86, 64, 54), (62, 46, 42))
    c.dapple(0.3, 1, 40, 0.03)
    for x in (c.between(0.03, 0.2), c.between(0.8, 0.97)):
        y = c.between(0.6, 0.8)
        c.glow(x, y, 0.24, (60, 220, 230))
        for lean in (-0.05, 0.0, 0.05):
            crystal = [(x + lean / 2 - 0.018, y), (x + 1.5 * lean, y - 0.11)]
            c.polygon([*crystal, (x + lean / 2 + 0.018, y)], c.shade((110, 240, 246), 0.1))


def lava_field(c: Canvas) -> None:
    c.fade(0, 0.6, (48, 12, 20), (206, 60, 30))
    x = c.between(0.3, 0.7)
    c.glow(x, 0.2, 0.4, (255, 120, 40))
    c.polygon(
        [(x - 0.44, 0.62), (x - 0.08, 0.22), (x + 0.08, 0.22), (x + 0.44, 0.62)], (44, 30, 34)
    )
    c.polygon(
        [(x - 0.08, 0.22), (x + 0.08, 0.22), (x + 0.02, 0.34), (x - 0.02, 0.5)], (255, 140, 40)
    )
    for _ in range(5):
        r = c.between(0.03, 0.07)
        c.disc(x + c.between(-0.2, 0.2), c.between(0.02, 0.14), 1.6 * r, r, (70, 52, 56))
    c.ridge(0.62, 0.05, 1.4, (36, 26, 30))
    c.fade(0.64, 1, (38, 28, 32), (24, 18, 22))
    for _ in range(13):
        x, y = c.between(-0.05, 1), c.between(0.66, 0.99)
        steps = c.rng.uniform((0.02, -0.04), (0.1, 0.05), (4, 2)).cumsum(axis=0)
        crack = [(x, y), *((x + dx, y + dy) for dx, dy in steps.tolist())]
        c.line(crack, 0.022, (226, 66, 20))
        c.line(crack, 0.009, (255, 208, 80))


_LEAVES: list[Colour] = [(226, 92, 32), (240, 160, 40), (192, 50, 34), (248, 200, 66)]


def autumn_park(c: Canvas) -> None:
    c.fade(0, 0.6, (190, 206, 220), (238, 232, 214))
    c.ridge(0.58, 0.08, 1.2, (206, 164, 92))
    for x in np.arange(c.between(-0.05, 0.1), 1.05, 0.24):
        trunk, foot = c.shade((78, 54, 44), 0.15), c.between(0.64, 0.72)
        c.polygon([(x - 0.02, foot), (x - 0.01, 0.2), (x + 0.01, 0.2), (x + 0.02, foot)], trunk)
        colour = c.pick(_LEAVES)
        for _ in range(12):
            r = c.between(0.05, 0.09)
            crown = x + c.between(-0.1, 0.1), c.between(0.08, 0.36)
            c.disc(*crown, r, 0.8 * r, c.shade(colour, 0.2))
    c.fade(0.66, 1, (190, 142, 66), (150, 104, 50))
    left = c.between(0.02, 0.2) if c.rng.random() < 0.5 else c.between(0.7, 0.8)
    for y in (0.58, 0.62, 0.67):
        c.box(left, y, left + 0.22, y + 0.025, (110, 70, 44))
    for x in (left + 0.02, left + 0.19):
        c.box(x, 0.58, x + 0.015, 0.76, (40, 40, 44))
    for _ in range(130):
        r = c.between(0.006, 0.016)
        c.disc(c.between(0, 1), c.between(0.7, 1), r, 0.6 * r, c.shade(c.pick(_LEAVES), 0.2))


def bamboo_grove(c: Canvas) -> None:
    c.fade(0, 1, (214, 238, 176), (142, 190, 112))
    for depth, colour in enumerate([(172, 208, 132), (136, 186, 92), (104, 162, 66)]):
        half = 0.009 + 0.006 * depth
        for x in np.arange(c.between(-0.05, 0.02), 1.05, 0.085 + 0.025 * depth):
            x += c.between(-0.02, 0.02)
            lean, stalk = c.between(-0.02, 0.02), c.shade(colour, 0.12)
            foot = 0.76 + 0.03 * depth
            pole = [(x - half, foot), (x + lean - half, 0), (x + lean + half, 0), (x + half, foot)]
            c.polygon(pole, stalk)
            for y in np.arange(c.between(0.02, 0.1), foot, 0.13):
                node = x + lean * (1 - y / foot)
                c.box(node - 1.3 * half, y, node + 1.3 * half, y + 0.008, (70, 116, 50))
    for _ in range(60):
        x, y, side = c.between(0, 1), c.between(0, 0.45), c.between(-0.07, 0.07)
        leaf = [(x, y), (x + side / 2, y + 0.012), (x + side, y + 0.05), (x + side / 2, y + 0.035)]
        c.polygon(leaf, c.shade((84, 148, 58), 0.2))
    c.fade(0.82, 1, (176, 150, 98), (140, 116, 74))
    c.dapple(0.8, 1, 34, 0.02)
