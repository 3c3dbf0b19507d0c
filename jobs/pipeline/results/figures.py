"""Figures for a page and for a paper: SVG and PDF by matplotlib, where that is installed.

It is an extra (`figures`), and imported when a figure is drawn and not before.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from jobs.pipeline.errors import CallError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

FORMATS = ("svg", "pdf")
COLOURS = ("#1b6ca8", "#b3541e", "#3c7a3c", "#7a3c78", "#555555")
HELP = "draw figures; null draws them where matplotlib is installed"
SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    # Equal figures are equal files.
    "svg.hashsalt": "masc-eval",
    # Names are a stranger's, and what stands between dollars is no formula.
    "text.parse_math": False,
}


def are_wanted(setting: bool | None) -> bool:
    """Whether to draw, by the setting `figures`; where nothing can be drawn that is said.

    Raises:
        CallError: they are asked for, and matplotlib is not installed.
    """
    if setting is False or find_spec("matplotlib") is not None:
        return setting is not False
    how = "pip install 'masc-eval[figures]'"
    if setting:
        raise CallError(f"figures=true: matplotlib is not installed: {how}")
    log.warning("no figures: matplotlib is not installed: %s", how)
    return False


def figure_files(
    name: str, size: tuple[float, float], draw: Callable[[Figure], None]
) -> dict[str, bytes]:
    """The figure in each of `FORMATS`, by file name.

    Args:
        name: of the files, without an ending.
        size: in inches.
        draw: puts everything on the empty figure.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        files = {}
        for kind in FORMATS:
            content = io.BytesIO()
            figure.savefig(content, format=kind, metadata=dates[kind])
            files[f"{name}.{kind}"] = content.getvalue()
    return files
