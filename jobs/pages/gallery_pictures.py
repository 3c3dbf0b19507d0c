"""Images as a page holds them: thumbnails, outlines of masks, and maps over the patch grid."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from jobs.pages.gallery_items import Overlay

MOST_BYTES = 25_000
"""Of a thumbnail."""
SIDE = 288
"""Pixels of a thumbnail's longer side, at most."""
QUALITIES = (82, 65, 45, 30)
LONGEST_OUTLINE = 6000
"""Characters: a mask of speckles is drawn coarser."""
SMALLEST = 48
"""Pixels; a thumbnail is not made smaller to save bytes."""

SIMILARITY = np.array(
    [
        (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141),
        (39, 173, 129), (92, 200, 99), (170, 220, 50), (253, 231, 37),
    ]
)  # fmt: skip
"""Colours from low to high that the colour-blind tell apart, as those of matplotlib's viridis."""
ATTENTION = np.array(
    [
        (0, 0, 4), (29, 17, 71), (81, 18, 124), (131, 38, 129), (183, 55, 121),
        (229, 80, 100), (252, 137, 97), (254, 201, 141), (252, 253, 191),
    ]
)  # fmt: skip
"""The same, as magma."""
OPAQUE = 200
"""Of 255: the photo shows through."""


def thumbnail(image: Image.Image, most_bytes: int = MOST_BYTES) -> tuple[bytes, tuple[int, int]]:
    """WebP of at most so many bytes, and its (width, height).

    What is still too large at the lowest quality and `SMALLEST` pixels stays so.
    """
    side = SIDE
    while True:
        small = image.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        for quality in QUALITIES:
            content = _encoded(small, "WEBP", quality=quality, method=4)
            if len(content) <= most_bytes:
                return content, small.size
        if side <= SMALLEST:
            return content, small.size
        side = max(SMALLEST, side * 2 // 3)


def full_image(image: Image.Image) -> bytes:
    """WebP of its own size, of a quality at which nothing is seen to be lost."""
    return _encoded(image, "WEBP", quality=92, method=4)


def data_uri(content: bytes, kind: str) -> str:
    """A picture within a page; `kind` as in `image/png`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def outline(mask: np.ndarray, size: tuple[int, int]) -> str:
    """The edge of a mask as the `d` of an SVG path.

    Args:
        mask: uint8 (H, W); 128 and more is inside.
        size: (width, height) of the picture that it is drawn on.

    Returns:
        Along pixels of that picture, in straight runs; empty where nothing is inside. The
        picture's own border is no edge.

    >>> outline(np.array([[0, 255], [0, 255]], np.uint8), (2, 2))
    'M1 0v2'
    """
    scale = 1
    while True:
        path = _edge(mask, size, scale)
        if len(path) <= LONGEST_OUTLINE or scale >= min(size):
            return path
        scale *= 2


def _edge(mask: np.ndarray, size: tuple[int, int], scale: int) -> str:
    """The same, in steps of `scale` pixels."""
    coarse = (max(1, size[0] // scale), max(1, size[1] // scale))
    small = Image.fromarray((mask >= 128).astype(np.uint8) * 255).resize(
        coarse, Image.Resampling.NEAREST
    )
    inside = np.asarray(small) > 0
    across = _runs(inside[1:] != inside[:-1])  # between two rows
    down = _runs((inside[:, 1:] != inside[:, :-1]).T)
    return "".join(
        [f"M{scale * x} {scale * (row + 1)}h{scale * n}" for row, x, n in across]
        + [f"M{scale * (column + 1)} {scale * y}v{scale * n}" for column, y, n in down]
    )


def similarity_overlay(values: np.ndarray, counts: np.ndarray, low: float, high: float) -> Overlay:
    """The map of CP.

    Args:
        values: (Hp, Wp) cosines.
        counts: bool (Hp, Wp); the others are transparent.
        low, high: what the ends of the colours stand for.
    """
    share = (values - low) / max(high - low, 1e-9)
    return _overlay(share, counts, SIMILARITY, values, f"{low:.2f}", f"{high:.2f}")


def attention_overlay(values: np.ndarray, visible: np.ndarray) -> Overlay:
    """The map of PF's attention, in times of an even share.

    Args:
        values: (Hp, Wp), summing to 1 over `visible`.
        visible: bool (Hp, Wp); the others are transparent.
    """
    times = np.where(visible, values * visible.sum(), 0.0)
    most = float(times.max()) or 1.0
    return _overlay(times / most, visible, ATTENTION, times, "0", f"{most:.1f} × even")  # noqa: RUF001


def _overlay(
    share: np.ndarray, shown: np.ndarray, colours: np.ndarray, values: np.ndarray, *ends: str
) -> Overlay:
    position = np.clip(share, 0, 1) * (len(colours) - 1)
    below = np.minimum(position.astype(int), len(colours) - 2)
    part = (position - below)[..., None]
    rgb = colours[below] * (1 - part) + colours[below + 1] * part
    alpha = np.where(shown, OPAQUE, 0)[..., None]
    picture = Image.fromarray(np.concatenate([rgb, alpha], axis=-1).round().astype(np.uint8))
    rows, columns = values.shape
    text = " ".join(str(round(1000 * float(each))) for each in values.flat)
    png = _encoded(picture, "PNG", optimize=True)
    flags = "".join("01"[int(each)] for each in shown.flat)
    return Overlay(rows, columns, data_uri(png, "image/png"), text, flags, *ends)


def _runs(edges: np.ndarray) -> list[tuple[int, int, int]]:
    """Of a bool (L, K) the runs of True in each line: line, first, and how many."""
    padded = np.pad(edges.astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(padded, axis=1)
    lines, firsts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    return [
        (int(line), int(first), int(end - first))
        for line, first, end in zip(lines, firsts, ends, strict=True)
    ]


def _encoded(image: Image.Image, kind: str, **options: int | bool) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
