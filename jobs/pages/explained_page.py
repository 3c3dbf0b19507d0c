"""One sample's page: its item of the gallery alone, in a file that needs no other."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from jobs.pages.gallery_choosing import Chosen
from jobs.pages.gallery_items import GalleryItem
from jobs.pages.gallery_showing import Fetched, show
from jobs.pipeline.explaining import Explained
from jobs.pipeline.scored_samples import SamplePictures


def explained_page(explained: Explained) -> bytes:
    """The page, as HTML. The policy in its head allows its own script and styles alone."""
    pictures = SamplePictures(explained.generation, explained.references, (), 0)
    row = {**explained.row, "run": 0}
    fetched = Fetched(Chosen(0, row, (), ()), pictures, None, explained, explained.differences)
    [item], _ = show([fetched], [explained.run], None)
    return page_of([item])


def page_of(items: Sequence[GalleryItem]) -> bytes:
    """Items of a gallery, and nothing else."""
    styles = [_text("explained.css"), _text("gallery.css")]
    scripts = [_text("gallery.js")]
    environment = Environment(
        loader=PackageLoader("jobs.pages", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("explained.html.j2").render(
        items=items,
        styles=[Markup(text) for text in styles],
        scripts=[Markup(text) for text in scripts],
        policy="; ".join(
            [
                "default-src 'none'",
                f"script-src {' '.join(map(_hash, scripts))}",
                f"style-src {' '.join(map(_hash, styles))}",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
            ]
        ),
    )
    return page.encode("utf-8", "replace")


def _text(name: str) -> str:
    return files("jobs.pages").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
