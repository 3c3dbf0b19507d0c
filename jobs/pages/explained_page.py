"""One sample's page: its item of the gallery alone, in a file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.pages.gallery_choosing import Chosen
from jobs.pages.gallery_items import GalleryItem
from jobs.pages.gallery_showing import Fetched, show
from jobs.pages.rendering import filled_in
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
    return filled_in(
        "explained.html.j2", ["explained.css", "gallery.css"], ["gallery.js"], {"items": items}
    )
