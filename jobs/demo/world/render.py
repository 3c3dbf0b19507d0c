"""Photos of the rendered world: a subject in a scene, and exactly where the subject is.

1. The subject's parts are drawn once, upright, as colours and surface normals (cached).
2. They are lit from the pose's direction, turned, scaled, and cut out along their outline.
3. The scene is painted, gets the subject's soft shadow, and the cut-out goes on top.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from jobs.demo.world.kinds import Paint, Part, Pattern
from jobs.demo.world.scenes import Scene
from jobs.demo.world.subjects import Subject

MaskedImage = tuple[Image.Image, Image.Image]
"""An image (RGB), and its mask (mode L) of its size: 255 where the subject is, else 0."""

_FRAME = 1.15
"""Half the side of the square, in the subject's frame, that is drawn."""
_CLEAR_BELOW = 64
"""Alpha, of 255, under which an edge pixel is left to the scene."""


@dataclass(frozen=True)
class Pose:
    """How a photo is taken: where the subject stands, how it is held, where the light is."""

    x: float
    """Across the free width, in [0, 1]: 0 touches the left border, 1 the right."""
    depth: float
    """Across the scene's ground, in [0, 1]: 0 stands at its back, 1 in front."""
    scale: float
    """Larger side of the upright subject, as a fraction of the image's shorter side."""
    angle: float
    """Degrees, counter-clockwise."""
    turn: float
    """Width that is left after turning about the upright axis, in (0, 1]."""
    flip: bool
    """Whether the subject faces the other way."""
    light: float
    """Where light comes from, degrees: 0 from the right, 90 from above, 180 from the left."""
    seed: int
    """Of everything that is left to chance in the scene."""


def random_pose(rng: np.random.Generator) -> Pose:
    """A pose that shows the whole subject, standing nearly upright."""
    return Pose(
        x=float(rng.uniform(0.15, 0.85)),
        depth=float(rng.uniform()),
        scale=float(rng.uniform(0.58, 0.8)),
        angle=float(rng.uniform(-14, 14)),
        turn=float(rng.uniform(0.82, 1.0)),
        flip=bool(rng.integers(2)),
        light=float(rng.uniform(30, 150)),
        seed=int(rng.integers(2**31)),
    )


def render(subject: Subject, scene: Scene, pose: Pose, size: tuple[int, int]) -> MaskedImage:
    """A photo and its mask, both of `size` (width, height).

    The mask covers every pixel that the subject touches, edges included; where it is 0, the image
    is `backdrop`'s.
    """
    return photograph(subject, scene, pose, scene.paint(pose.seed, size))


def photograph(subject: Subject, scene: Scene, pose: Pose, painted: Image.Image) -> MaskedImage:
    """`render` in a scene that is painted already, and that is drawn over."""
    cutout, place = _cutout(subject, scene, pose, painted.size)
    image = _with_shadow(painted, cutout, place, scene, pose)
    image.paste(cutout, place, cutout)
    mask = Image.new("L", painted.size)
    mask.paste(cutout.getchannel("A").point(lambda alpha: 255 if alpha else 0), place)
    return image, mask


def backdrop(subject: Subject, scene: Scene, pose: Pose, size: tuple[int, int]) -> Image.Image:
    """The same photo (RGB, `size`) with the subject taken out and only its shadow left."""
    cutout, place = _cutout(subject, scene, pose, size)
    return _with_shadow(scene.paint(pose.seed, size), cutout, place, scene, pose)


def _with_shadow(
    image: Image.Image, cutout: Image.Image, place: tuple[int, int], scene: Scene, pose: Pose
) -> Image.Image:
    """The scene, darkened in an ellipse around the subject's foot."""
    left, top = place
    width, height = cutout.width, max(4, round(0.18 * cutout.width))
    # It leans away from the light.
    left -= round(0.15 * width * math.cos(math.radians(pose.light)))
    top += round(0.98 * cutout.height) - height // 2
    shade = Image.new("L", (width + 2 * height, 3 * height), 255)
    ImageDraw.Draw(shade).ellipse(
        (height, height, height + width, 2 * height), fill=round(255 * (1 - scene.shadow))
    )
    shade = shade.filter(ImageFilter.GaussianBlur(height / 4))
    area = (left - height, top - height, left + width + height, top + 2 * height)
    image.paste(ImageChops.multiply(image.crop(area), Image.merge("RGB", [shade] * 3)), area)
    return image


def _cutout(
    subject: Subject, scene: Scene, pose: Pose, size: tuple[int, int]
) -> tuple[Image.Image, tuple[int, int]]:
    """The subject as it is seen, RGBA and cropped to what is visible, and its left and top."""
    width, height = size
    side = pose.scale * min(size)
    # A few resolutions for all sizes, so that sprites are drawn once.
    resolution = 64 * max(1, round(0.75 * min(size) / 64))
    upright = _lit(subject, scene, pose, resolution)
    if pose.flip:
        upright = upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    zoom = side / max(upright.size)
    upright = upright.resize(
        (max(1, round(upright.width * zoom * pose.turn)), max(1, round(upright.height * zoom))),
        Image.Resampling.BILINEAR,
    )
    turned = upright.rotate(pose.angle, Image.Resampling.BILINEAR, expand=True)
    turned.putalpha(turned.getchannel("A").point(lambda a: a if a >= _CLEAR_BELOW else 0))
    turned = turned.crop(turned.getchannel("A").getbbox())

    back, front = scene.ground
    foot = height * (back + (front - back) * pose.depth)
    place = round((width - turned.width) * pose.x), max(0, round(foot - turned.height))
    return turned, place


def _lit(subject: Subject, scene: Scene, pose: Pose, resolution: int) -> Image.Image:
    """The upright subject (RGBA) under the scene's light, as it falls in the subject's frame."""
    albedo, normals = _sprite(subject, resolution)
    azimuth = math.radians(pose.light - pose.angle)
    side = math.cos(azimuth) * (-1 if pose.flip else 1)
    light = (0.75 * side, -0.75 * math.sin(azimuth), 0.66)
    diffuse = (
        np.maximum(0, np.tensordot(np.array(light, np.float32), normals.astype(np.float32), 1))
        / 127
    )
    brightness = (0.5 + 0.62 * diffuse)[..., None] * np.array(scene.light, dtype=np.float32)
    gloss = 70 * np.square(np.square(np.square(diffuse)))[..., None]
    colour = albedo[..., :3] * brightness + gloss
    seen = albedo.copy()
    seen[..., :3] = colour.clip(0, 255)
    return Image.fromarray(seen)


@functools.lru_cache(maxsize=8192)
def _sprite(subject: Subject, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """The upright subject, cropped to (h, w) inside a square of `resolution` pixels.

    Returns:
        Its RGBA (h, w, 4) uint8 without light, and normals (3, h, w) int8 of length 127, x to the
        right, y down, z towards the viewer, bulging as if each part were a cushion.
    """
    axis = np.linspace(-_FRAME, _FRAME, resolution, dtype=np.float32)
    u, v = np.meshgrid(axis, axis)
    albedo = Image.new("RGBA", (resolution, resolution))
    normals = np.zeros((3, resolution, resolution), dtype=np.int8)
    for part in subject.parts:
        left, top, right, bottom = _bounds(part, resolution)
        area = np.s_[top:bottom, left:right]
        shape = _shape(part, resolution)
        albedo.paste(_painted(part.paint, u[area], v[area]), (left, top), shape)
        inside = np.asarray(shape) > 127
        normals[:, *area][:, inside] = np.rint(127 * _cushion(shape)[:, inside])
    bounds = np.array([_bounds(part, resolution) for part in subject.parts + subject.missing])
    (left, top), (right, bottom) = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    return np.asarray(albedo)[top:bottom, left:right], normals[:, top:bottom, left:right]


def _pixels(part: Part, resolution: int) -> np.ndarray:
    """The part's outline (P, 2) in pixels."""
    return (np.array(part.outline) / _FRAME + 1) / 2 * resolution


def _bounds(part: Part, resolution: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the pixels around the part, at least 2 each way."""
    points = _pixels(part, resolution)
    left, top = (int(edge) for edge in points.min(axis=0))
    right, bottom = (min(resolution, math.ceil(edge) + 1) for edge in points.max(axis=0))
    return left, top, right, bottom


def _shape(part: Part, resolution: int) -> Image.Image:
    """The part's coverage (mode L) within its bounds."""
    left, top, right, bottom = _bounds(part, resolution)
    corners = 3 * (_pixels(part, resolution) - (left, top))
    shape = Image.new("L", (3 * (right - left), 3 * (bottom - top)))
    ImageDraw.Draw(shape).polygon([(x, y) for x, y in corners.tolist()], fill=255)
    return shape.reduce(3)


def _cushion(shape: Image.Image) -> np.ndarray:
    """Unit normals (3, h, w) of a cushion of that shape: its Gaussian blur, seen as a height."""
    radius = min(shape.size) / 4
    # Pillow's own blur has 256 levels, which would show as dents.
    height = _blur(shape.height, radius) @ (np.asarray(shape) / 255) @ _blur(shape.width, radius)
    down, across = np.gradient(2.5 * radius * height)
    normals = np.stack([-across, -down, np.ones_like(height)])
    return normals / np.linalg.norm(normals, axis=0)


def _blur(length: int, radius: float) -> np.ndarray:
    """The matrix (length, length) that blurs one axis by a Gaussian of that standard deviation."""
    pixels = np.arange(length)
    distance = (pixels[:, None] - pixels) / radius
    return np.exp(-0.5 * distance**2) / (radius * math.sqrt(2 * math.pi))


def _painted(paint: Paint, u: np.ndarray, v: np.ndarray) -> Image.Image:
    """The paint (RGB) at every point of the subject's frame."""
    pattern = PATTERNS[paint.pattern](u, v)[..., None]
    return Image.fromarray(np.where(pattern, paint.second, paint.colour).astype(np.uint8))


def _spots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Discs on a hexagonal grid."""
    row = np.floor(v / 0.26)
    across = (u / 0.3 + row / 2) % 1 - 0.5
    down = v / 0.26 - row - 0.5
    return (0.3 * across) ** 2 + (0.26 * down) ** 2 < 0.085**2


PATTERNS: dict[Pattern, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "plain": lambda u, v: np.zeros(u.shape, dtype=bool),
    "stripes": lambda u, v: (u + 0.25 * v) % 0.3 < 0.13,
    "bands": lambda u, v: (v + 0.08 * np.cos(6 * u)) % 0.34 < 0.12,
    "spots": _spots,
    "checks": lambda u, v: (np.floor(u / 0.17) + np.floor(v / 0.17)) % 2 == 0,
    "zigzag": lambda u, v: (v + 0.5 * np.abs(u % 0.4 - 0.2)) % 0.3 < 0.13,
    "rings": lambda u, v: np.hypot(u, v - 0.1) % 0.28 < 0.12,
}
"""Where, in the subject's frame, a paint shows its second colour."""
