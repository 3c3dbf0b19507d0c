"""The scenes of the rendered world: where a subject can be, painted anew for every seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from jobs.demo.world import nature, places
from jobs.demo.world.canvas import Canvas

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


SCENES: tuple[Scene, ...] = (
    Scene("on a sandy beach", nature.beach, light=(1.06, 1.03, 0.96)),
    Scene("on a snowy field", nature.snowy_field, light=(0.98, 1.02, 1.08), shadow=0.3),
    Scene("on a city street at night", places.night_street, light=(0.74, 0.68, 0.86), shadow=0.65),
    Scene("in a green forest", nature.forest, light=(0.92, 1.0, 0.84)),
    Scene("in a bright kitchen", places.kitchen),
    Scene("in a hot desert", nature.desert, light=(1.1, 0.98, 0.82)),
    Scene("in a coral reef", nature.coral_reef, light=(0.72, 0.94, 1.06), shadow=0.35),
    Scene("in a quiet library", places.library, light=(1.0, 0.9, 0.76)),
    Scene("in a flower meadow", nature.flower_meadow, light=(1.04, 1.04, 0.98)),
    Scene("on the moon", nature.moon, light=(0.92, 0.94, 1.04), shadow=0.75),
    Scene("in a golden wheat field", nature.wheat_field, light=(1.08, 1.02, 0.88)),
    Scene("by a mountain lake", nature.mountain_lake, light=(0.94, 0.98, 1.04)),
    Scene("in a dark cave", nature.dark_cave, light=(0.68, 0.76, 0.8), shadow=0.7),
    Scene("on a lava field", nature.lava_field, light=(1.06, 0.76, 0.66), shadow=0.6),
    Scene("in an autumn park", nature.autumn_park, light=(1.06, 0.98, 0.86)),
    Scene("in a bamboo grove", nature.bamboo_grove, light=(0.94, 1.04, 0.86)),
    Scene("on a football pitch", places.football_pitch, light=(1.02, 1.04, 1.0)),
    Scene("on a theatre stage", places.theatre_stage, light=(1.04, 0.88, 0.8), shadow=0.65),
    Scene("by a swimming pool", places.swimming_pool, light=(1.02, 1.06, 1.08)),
    Scene("in a busy supermarket", places.supermarket, light=(1.04, 1.04, 1.06), shadow=0.35),
    Scene("on a rooftop at sunset", places.rooftop_at_sunset, light=(1.04, 0.82, 0.84)),
    Scene("on a wooden ship", places.wooden_ship),
    Scene("in a cosy bedroom", places.bedroom, light=(1.04, 0.98, 0.96), shadow=0.4),
    Scene("in a tiled bathroom", places.bathroom, light=(0.96, 1.02, 1.06), shadow=0.4),
)
