"""One sample's picture for a paper: PNG at print quality, and SVG, by matplotlib.

A row a reference: the photo with its mask outlined, and the map of CP over it; beside the first the
generation with its mask, and what PF looked at. matplotlib is an extra (`figures`), and imported
when a picture is drawn and not before.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from jobs.pages.prompt import prompt_parts
from jobs.pipeline.explaining import Explained
from jobs.pipeline.results.figures import SETTINGS
from jobs.pipeline.results.numbers import plain
from jobs.pipeline.scored_samples import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 300
WIDTH = 7.0
"""Inches: two columns of a paper."""
EDGE = 0.06
"""Inches left and right of everything."""
GAP, TITLE, BAR = 0.12, 0.2, 0.5
"""Inches between pictures, above each, and below each for its colours."""
LINE = 0.19
"""Inches of a line of text."""
MOST_REFERENCES = 4
INSIDE, AROUND = "#ff2d7e", "white"
"""The two lines of an outline: one of them shows on any background."""
STRUCK = "#b3541e"
Word = tuple[str, float, float, bool]
"""Text, left and right end as shares of the width, and whether it is struck out."""
LONGEST_SIDE = 1024
"""Pixels of a photo in the picture; at its width in print nobody sees more."""


def explained_figure(explained: Explained, kind: str) -> bytes:
    """The picture as a file of this kind, `png` or `svg`."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({**SETTINGS, "font.size": 8}):
        shown = explained.references[:MOST_REFERENCES]
        side = (WIDTH - 2 * EDGE - 3 * GAP) / 4
        heights = [_height(photo, side) for photo in shown]
        heights[0] = max(heights[0], _height(explained.generation, side))
        figure = Figure(figsize=(WIDTH, 1), dpi=DOTS_PER_INCH)
        FigureCanvasAgg(figure)  # which measures texts
        words = _lines_of_prompt(figure, explained)
        below = _lines_below(explained)
        head = LINE * (len(words) + 0.4)
        total = head + sum(heights) + len(heights) * (TITLE + BAR) + LINE * len(below)
        figure.set_size_inches(WIDTH, total)
        _write_prompt(figure, words, total)
        for number, line in enumerate(below):
            height_of_line = (LINE * (len(below) - number) - 0.13) / total
            figure.text(EDGE / WIDTH, height_of_line, line, color="#555555")
        top = total - head
        for number, (photo, height) in enumerate(zip(shown, heights, strict=True)):
            _draw_reference(figure, explained, number, photo, top, side)
            if number == 0:
                _draw_generation(figure, explained, top, side)
            top -= height + TITLE + BAR
        content = io.BytesIO()
        metadata = {"svg": {"Date": None}, "png": {"Software": None}}[kind]
        figure.savefig(content, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
    return content.getvalue()


def _height(photo: Picture, side: float) -> float:
    return side * photo.image.height / photo.image.width


def _draw_reference(
    figure: Figure, explained: Explained, number: int, photo: Picture, top: float, side: float
) -> None:
    match = explained.explanation.references[number]
    axes = _axes(figure, photo, 0, top, side, f"Reference {_short(photo.key, 16)}")
    _draw_photo(axes, photo, is_grey=False)
    axes = _axes(figure, photo, 1, top, side, f"CP {plain(match.cp, 3)}, patch by patch")
    _draw_photo(axes, photo, is_grey=True)
    # One scale for all photos: the same cosine has the same colour.
    counted = np.concatenate(
        [each.similarity[each.foreground] for each in explained.explanation.references]
    )
    ends = (float(counted.min()), float(counted.max())) if len(counted) else (0.0, 1.0)
    drawn = _draw_map(axes, match.similarity, match.foreground, "viridis", ends)
    _colours(figure, drawn, axes, "largest cosine to a patch of the generation")


def _draw_generation(figure: Figure, explained: Explained, top: float, side: float) -> None:
    photo, found = explained.generation, explained.explanation
    axes = _axes(figure, photo, 2, top, side, "Generation")
    _draw_photo(axes, photo, is_grey=False)
    axes = _axes(figure, photo, 3, top, side, f"PF {plain(found.pf, 3)}, where it looked")
    _draw_photo(axes, photo, is_grey=True)
    visible = ~found.hidden
    times = np.where(visible, found.attention, 0) * visible.sum()
    ends = (0.0, float(times.max()) or 1.0)
    drawn = _draw_map(axes, times, visible, "magma", ends)
    _colours(figure, drawn, axes, "attention, in times of an even share")


def _axes(figure: Figure, photo: Picture, column: int, top: float, side: float, title: str) -> Axes:
    width, total = figure.get_size_inches()
    height = _height(photo, side)
    left = EDGE + column * (side + GAP)
    axes = figure.add_axes(
        (left / width, (top - TITLE - height) / total, side / width, height / total)
    )
    axes.set_axis_off()
    axes.set_title(title, fontsize=8, pad=3)
    return axes


def _draw_photo(axes: Axes, photo: Picture, is_grey: bool) -> None:
    image = photo.image.copy()
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    pixels = np.asarray(image.convert("L").convert("RGB") if is_grey else image)
    extent = (0.0, 1.0, 1.0, 0.0)
    axes.imshow(pixels, extent=extent, aspect="auto", interpolation="antialiased")
    inside = (photo.mask >= 128).astype(float)
    if not is_grey and 0 < inside.mean() < 1:
        height, width = inside.shape
        x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
        for colour, line in ((AROUND, 2.0), (INSIDE, 0.9)):
            axes.contour(x, y, inside, [0.5], colors=colour, linewidths=line)
    axes.set_xlim(0, 1)
    axes.set_ylim(1, 0)


def _draw_map(
    axes: Axes,
    values: np.ndarray,
    shown: np.ndarray,
    colours: str,
    ends: tuple[float, float],
) -> Any:
    return axes.imshow(
        np.ma.masked_where(~shown, values),
        extent=(0.0, 1.0, 1.0, 0.0),
        aspect="auto",
        cmap=colours,
        vmin=ends[0],
        vmax=ends[1],
        alpha=0.8,
        interpolation="nearest",
    )


def _colours(figure: Figure, drawn: Any, axes: Axes, label: str) -> None:
    box = axes.get_position()
    _, total = figure.get_size_inches()
    place = figure.add_axes((box.x0, box.y0 - 0.12 / total, box.width, 0.07 / total))
    bar = figure.colorbar(drawn, cax=place, orientation="horizontal")
    bar.outline.set_visible(False)
    if bar.solids is not None:
        bar.solids.set(alpha=1)
    place.tick_params(labelsize=6, length=2, width=0.5, pad=1)
    place.locator_params(nbins=4)
    place.set_xlabel(label, fontsize=6, labelpad=1)


def _lines_below(explained: Explained) -> list[str]:
    row = explained.row
    scores = f"CP {plain(explained.explanation.cp, 4)}   PF {plain(explained.explanation.pf, 4)}"
    lines = [f"{_short(row['model'], 60)}, {_short(row['concept'], 60)}   {scores}"]
    more = len(explained.references) - MOST_REFERENCES
    if more > 0:
        lines.append(f"{more} further references are not shown; CP is over all of them")
    return [*lines, *explained.differences]


def _short(text: str, most: int = 22) -> str:
    """The end of a name, which tells it from others."""
    plain_text = "".join(char if char.isprintable() else " " for char in text)
    return plain_text if len(plain_text) <= most else f"…{plain_text[1 - most :]}"


def _lines_of_prompt(
    figure: Figure, explained: Explained
) -> list[list[tuple[str, float, float, bool]]]:
    """The words of the prompt in lines: text, left and right end as shares of the width, and
    whether it is struck out."""
    row = explained.row
    whole = WIDTH * DOTS_PER_INCH
    start, right_end = EDGE * DOTS_PER_INCH, (WIDTH - EDGE) * DOTS_PER_INCH
    lines: list[list[Word]] = [[]]
    at = start
    for part in prompt_parts(row["prompt"] or "", row["text"]):
        for word in part.text.split():
            shown = "".join(char if char.isprintable() else " " for char in word)[:80]
            wide, space = _width(figure, shown), _width(figure, "n")
            if at > start and at + wide > right_end:
                lines.append([])
                at = start
            lines[-1].append((shown, at / whole, (at + wide) / whole, part.is_stripped))
            at += wide + 0.6 * space
    return lines


def _width(figure: Figure, text: str) -> float:
    """In dots, at the size of the prompt."""
    drawn = figure.text(0, 0, text, fontsize=9)
    wide = drawn.get_window_extent(figure.canvas.get_renderer()).width  # type: ignore[attr-defined]
    drawn.remove()
    return wide


def _write_prompt(figure: Figure, lines: list[list[Word]], total: float) -> None:
    from matplotlib.lines import Line2D

    for number, line in enumerate(lines):
        base = 1 - (LINE * (number + 1) - 0.04) / total
        for i, (text, left, right, is_struck) in enumerate(line):
            colour = "#888888" if is_struck else "black"
            figure.text(left, base, text, fontsize=9, color=colour)
            if is_struck:
                goes_on = i + 1 < len(line) and line[i + 1][3]
                end = line[i + 1][1] if goes_on else right
                middle = base + 0.04 / total
                figure.add_artist(Line2D([left, end], [middle, middle], color=STRUCK, linewidth=1))
