"""`python -m tests.pages.screenshot PAGE OUT.png`: README's picture of a report."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image

from tests.pages.browser import browsing

WIDTH, HEIGHT = 1120, 1480
"""Of the page's head, leaderboard and first chart, in pixels."""
COLOURS = 256


def main() -> int:
    """Draw it."""
    page, out = map(Path, sys.argv[1:])
    with browsing() as browser:
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        tab.goto(page.absolute().as_uri())
        tab.wait_for_selector("html[data-ready]")
        image = Image.open(io.BytesIO(tab.screenshot()))
    # Few colours: it is kept with the source.
    few = image.convert("RGB").quantize(
        COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    few.save(out, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
