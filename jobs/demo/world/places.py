"""Scenes that people built: one painter each, for `scenes`."""

from __future__ import annotations

import numpy as np

from jobs.demo.world.canvas import Canvas, Colour


def night_street(c: Canvas) -> None:
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


def kitchen(c: Canvas) -> None:
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


_SPINES: list[Colour] = [
    (158, 44, 44),
    (40, 84, 120),
    (52, 104, 68),
    (196, 152, 70),
    (108, 62, 110),
]


def library(c: Canvas) -> None:
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


def football_pitch(c: Canvas) -> None:
    c.fade(0, 0.24, (120, 178, 236), (196, 220, 240))
    c.box(0, 0.14, 1, 0.42, (84, 88, 104))
    for y in np.arange(0.16, 0.4, 0.035):
        for x in np.arange(0.012 * c.rng.random(), 1, 0.036):
            c.disc(x, y, 0.012, 0.012, c.shade(c.pick(_CROWD), 0.15))
    c.box(0, 0.4, 1, 0.46, (236, 240, 244))
    for x in np.arange(c.between(-0.2, 0), 1, 0.25):
        c.box(x, 0.405, x + 0.14, 0.455, c.shade(c.pick(_CROWD)))
    for row, (top, foot) in enumerate(((0.46, 0.54), (0.54, 0.66), (0.66, 0.82), (0.82, 1.01))):
        c.box(0, top, 1, foot, (72, 158, 62) if row % 2 else (54, 134, 52))
    c.dapple(0.46, 1, 16, 0.012)
    goal = c.between(0.25, 0.75)
    for x in (goal - 0.16, goal + 0.16):
        c.line([(x, 0.28), (x, 0.52)], 0.016, (250, 250, 250))
    c.line([(goal - 0.16, 0.28), (goal + 0.16, 0.28)], 0.016, (250, 250, 250))
    c.line([(0, 0.52), (1, 0.52)], 0.01, (244, 248, 244))
    area = [(goal - 0.3, 0.52), (goal - 0.5, 0.72), (goal + 0.5, 0.72), (goal + 0.3, 0.52)]
    c.line(area, 0.012, (244, 248, 244))


_CROWD: list[Colour] = [(214, 70, 60), (70, 110, 200), (240, 220, 120), (236, 236, 240)]


def theatre_stage(c: Canvas) -> None:
    c.box(0, 0, 1, 1, (44, 16, 24))
    for x in np.arange(c.between(-0.06, 0), 1, 0.06):
        fold = c.between(0.02, 0.035)
        c.box(x, 0, x + 0.06, 0.78, c.shade((140, 20, 34), 0.1))
        c.box(x, 0, x + fold, 0.78, c.shade((186, 32, 46), 0.1))
    for x in np.arange(-0.03, 1.05, 0.125):
        c.disc(x + 0.06, 0.06, 0.085, 0.1, (164, 26, 40))
    c.box(0, 0, 1, 0.03, (222, 180, 80))
    for x in np.arange(-0.03, 1.05, 0.125):
        c.disc(x + 0.06, 0.165, 0.012, 0.02, (236, 198, 96))
    c.fade(0.76, 1, (150, 98, 58), (112, 70, 42))
    vanishing = c.between(0.4, 0.6)
    for x in np.arange(-0.6, 1.7, 0.17):
        c.line([(vanishing + 0.4 * (x - vanishing), 0.76), (x, 1.01)], 0.006, (84, 50, 30))
    for x in (c.between(0.1, 0.35), c.between(0.65, 0.9)):
        c.glow(x, 0.5, 0.3, (120, 100, 60))
        c.glow(x, 0.84, 0.16, (150, 130, 90))


def swimming_pool(c: Canvas) -> None:
    c.fade(0, 0.3, (126, 190, 240), (214, 234, 246))
    c.box(0, 0.2, 1, 0.34, (240, 236, 226))
    for x in np.arange(c.between(0, 0.06), 1, 0.16):
        c.polygon([(x - 0.07, 0.24), (x, 0.13), (x + 0.07, 0.24)], c.pick(_SHADES))
        c.line([(x, 0.2), (x, 0.34)], 0.008, (120, 90, 70))
    c.fade(0.34, 0.82, (40, 176, 214), (62, 204, 226))
    c.dapple(0.34, 0.82, 44, 0.025)
    for start in np.arange(-0.3, 1.4, 0.34) + c.between(-0.1, 0.1):
        for step in np.arange(0, 1, 0.09):
            x, y = start + (start - 0.5) * 0.9 * step, 0.35 + 0.47 * step
            c.disc(x, y, 0.012 + 0.006 * step, 0.01, (240, 80, 60) if step % 0.18 < 0.09 else _FOAM)
    c.box(0, 0.8, 1, 0.84, (246, 248, 248))
    c.box(0, 0.84, 1, 1, (222, 204, 176))
    for x in np.arange(-0.4, 1.5, 0.14):
        c.line([(0.5 + 0.8 * (x - 0.5), 0.84), (x, 1.0)], 0.006, (186, 166, 138))
    c.line([(0, 0.91), (1, 0.91)], 0.006, (186, 166, 138))
    x = c.between(0.02, 0.1) if c.rng.random() < 0.5 else c.between(0.84, 0.9)
    for rail in (x, x + 0.07):
        c.line([(rail, 0.86), (rail, 0.68), (rail + 0.01, 0.66)], 0.012, (208, 214, 220))
    for y in (0.72, 0.77):
        c.line([(x, y), (x + 0.07, y)], 0.01, (208, 214, 220))


_SHADES: list[Colour] = [(240, 96, 80), (250, 210, 90), (250, 250, 250)]
_FOAM: Colour = (250, 250, 250)


def supermarket(c: Canvas) -> None:
    c.box(0, 0, 1, 1, (238, 242, 244))
    for x in (0.2, 0.5, 0.8):
        c.polygon([(x - 0.07, 0), (x + 0.07, 0), (0.5 + 0.3 * (x - 0.5), 0.16)], (255, 255, 255))
    c.box(0, 0.1, 1, 0.17, (46, 140, 84))
    for shelf in np.arange(0.18, 0.72, 0.135):
        c.box(0, shelf, 1, shelf + 0.135, (206, 212, 218))
        x = c.between(-0.05, 0)
        while x < 1:
            colour, count = c.shade(c.pick(_PACKS), 0.15), int(c.rng.integers(2, 5))
            width, height = c.between(0.03, 0.06), c.between(0.06, 0.1)
            for _ in range(count):
                c.box(x, shelf + 0.11 - height, x + width - 0.004, shelf + 0.11, colour)
                label = shelf + 0.11 - 0.6 * height
                c.box(x + 0.006, label, x + width - 0.01, label + 0.02, (252, 252, 250))
                x += width
        c.box(0, shelf + 0.11, 1, shelf + 0.125, (250, 224, 70))
    c.fade(0.74, 1, (226, 230, 234), (204, 208, 214))
    for x in np.arange(-0.8, 1.9, 0.2):
        c.line([(0.5 + 0.45 * (x - 0.5), 0.74), (x, 1.0)], 0.005, (178, 184, 192))
    for y in (0.79, 0.87):
        c.line([(0, y), (1, y)], 0.005, (178, 184, 192))


_PACKS: list[Colour] = [
    (226, 60, 54),
    (44, 120, 206),
    (250, 170, 40),
    (120, 190, 70),
    (150, 70, 170),
]


def rooftop_at_sunset(c: Canvas) -> None:
    c.fade(0, 0.4, (86, 52, 130), (234, 94, 120))
    c.fade(0.4, 0.7, (234, 94, 120), (255, 190, 110))
    sun = c.between(0.2, 0.8)
    c.glow(sun, 0.56, 0.36, (255, 190, 110))
    c.disc(sun, 0.56, 0.09, 0.09, (255, 226, 150))
    for y in (0.16, 0.24, 0.34):
        x = c.between(0, 0.7)
        c.disc(x + 0.15, y, 0.2, 0.016, (250, 150, 140))
    left = -0.02
    while left < 1:
        width, top = c.between(0.05, 0.13), c.between(0.44, 0.62)
        c.box(left, top, left + width, 0.75, c.shade((66, 36, 84), 0.15))
        left += width
    c.box(0, 0.7, 1, 0.8, (146, 80, 74))
    for row, y in enumerate((0.7, 0.725, 0.75, 0.775)):
        c.line([(0, y), (1, y)], 0.005, (108, 56, 56))
        for x in np.arange(0.05 * (row % 2), 1, 0.1):
            c.line([(x, y), (x, y + 0.025)], 0.005, (108, 56, 56))
    c.fade(0.8, 1, (112, 92, 108), (82, 68, 86))
    c.dapple(0.8, 1, 24, 0.015)
    x = c.between(0.06, 0.14) if sun > 0.5 else c.between(0.86, 0.94)
    for leg in (x - 0.05, x + 0.05):
        c.line([(leg, 0.5), (leg, 0.74)], 0.012, (50, 32, 50))
    c.box(x - 0.07, 0.32, x + 0.07, 0.52, (104, 62, 62))
    c.polygon([(x - 0.08, 0.32), (x, 0.22), (x + 0.08, 0.32)], (70, 40, 54))


def wooden_ship(c: Canvas) -> None:
    horizon = c.between(0.48, 0.54)
    c.fade(0, horizon, (128, 186, 232), (222, 236, 244))
    c.fade(horizon, 0.72, (22, 84, 140), (36, 110, 160))
    for _ in range(20):
        x, y = c.between(0, 1), c.between(horizon + 0.02, 0.7)
        c.line([(x, y), (x + 0.06, y)], 0.006, (150, 200, 226))
    mast = c.between(0.2, 0.8)
    c.box(mast - 0.022, 0, mast + 0.022, 0.76, (112, 72, 42))
    for top, foot, half in ((0.02, 0.2, 0.2), (0.22, 0.46, 0.28)):
        bulge = c.between(0.02, 0.05)
        sail = [(mast - half, top), (mast + half, top), (mast + half + bulge, foot)]
        c.polygon([*sail, (mast, foot + 0.03), (mast - half - bulge, foot)], (244, 236, 214))
        c.line([(mast - half, top), (mast + half, top)], 0.018, (92, 58, 36))
    for end in (-0.1, 1.1):
        c.line([(mast, 0.02), (end, 0.68)], 0.006, (70, 50, 40))
    c.box(0, 0.62, 1, 0.645, (134, 86, 48))
    for x in np.arange(c.between(0, 0.08), 1, 0.09):
        c.box(x, 0.645, x + 0.022, 0.76, (158, 104, 60))
    c.fade(0.75, 1, (188, 134, 80), (150, 100, 56))
    for x in np.arange(-0.9, 2, 0.15):
        c.line([(0.5 + 0.6 * (x - 0.5), 0.75), (x, 1.0)], 0.007, (104, 66, 38))
    c.dapple(0.75, 1, 22, 0.012)


def bedroom(c: Canvas) -> None:
    wall = c.shade((246, 196, 206), 0.03)
    c.box(0, 0, 1, 0.76, wall)
    for x in np.arange(c.between(0, 0.08), 1, 0.11):
        for row, y in enumerate(np.arange(0.05, 0.7, 0.1)):
            c.disc(x + 0.055 * (row % 2), y, 0.014, 0.014, (230, 140, 162))
    left = c.between(0.02, 0.12) if c.rng.random() < 0.5 else c.between(0.28, 0.36)
    c.box(left, 0.3, left + 0.6, 0.7, (150, 96, 150))
    c.disc(left + 0.3, 0.32, 0.28, 0.08, (150, 96, 150))
    c.box(left - 0.02, 0.52, left + 0.62, 0.8, (244, 240, 248))
    for x in (left + 0.04, left + 0.33):
        c.disc(x + 0.115, 0.52, 0.12, 0.06, (252, 252, 255))
    c.box(left - 0.02, 0.62, left + 0.62, 0.8, (122, 150, 214))
    for x in np.arange(left, left + 0.6, 0.1):
        c.box(x, 0.62, x + 0.04, 0.8, (176, 196, 238))
    lamp = left + 0.72 if left < 0.2 else left - 0.12
    c.box(lamp - 0.07, 0.62, lamp + 0.07, 0.8, (176, 126, 84))
    c.glow(lamp, 0.46, 0.22, (120, 100, 60))
    c.line([(lamp, 0.5), (lamp, 0.62)], 0.014, (120, 90, 70))
    shade = [(lamp - 0.035, 0.4), (lamp + 0.035, 0.4), (lamp + 0.07, 0.52), (lamp - 0.07, 0.52)]
    c.polygon(shade, (255, 236, 180))
    c.fade(0.79, 1, (212, 176, 140), (190, 150, 112))
    c.disc(0.5, 0.93, 0.5, 0.075, (236, 226, 232))


def bathroom(c: Canvas) -> None:
    c.box(0, 0, 1, 1, (170, 214, 222))
    tile = c.shade((126, 198, 212), 0.05)
    for x in np.arange(c.between(-0.08, 0), 1, 0.085):
        for y in np.arange(0, 0.72, 0.085):
            c.box(x, y, x + 0.077, y + 0.077, c.shade(tile, 0.05))
    mirror = c.between(0.1, 0.6)
    c.box(mirror, 0.06, mirror + 0.28, 0.34, (246, 248, 250))
    c.box(mirror + 0.02, 0.08, mirror + 0.26, 0.32, (206, 226, 236))
    c.line([(mirror + 0.06, 0.28), (mirror + 0.18, 0.12)], 0.012, (244, 250, 252))
    left = c.between(0, 0.2)
    c.box(left, 0.5, left + 0.8, 0.54, (252, 253, 255))
    tub = [(left + 0.02, 0.54), (left + 0.78, 0.54), (left + 0.7, 0.8), (left + 0.1, 0.8)]
    c.polygon(tub, (236, 242, 246))
    for _ in range(18):
        r = c.between(0.02, 0.04)
        c.disc(left + c.between(0.06, 0.74), c.between(0.46, 0.5), r, r, (250, 252, 255))
    tap = left + 0.72
    c.line([(tap, 0.5), (tap, 0.4), (tap - 0.06, 0.4), (tap - 0.06, 0.43)], 0.018, (150, 158, 166))
    for row, y in enumerate((0.77, 0.82, 0.88, 0.95)):
        foot = (0.82, 0.88, 0.95, 1.03)[row]
        for column, x in enumerate(np.arange(-0.02, 1, 0.1)):
            black = (row + column) % 2
            c.box(x, y, x + 0.1, foot, (64, 72, 84) if black else (238, 242, 244))
