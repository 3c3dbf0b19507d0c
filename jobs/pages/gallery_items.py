"""What the gallery shows, as its template takes it: texts and URIs, ready to be escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobs.pages.prompt import PromptPart

WORST, BEST, CHANGED, UNDECIDED, RANDOM, CELL = (
    "worst",
    "best",
    "changed",
    "undecided",
    "random",
    "cell",
)
KINDS = {
    WORST: "worst",
    BEST: "best",
    CHANGED: "most changed",
    UNDECIDED: "most undecided by the mask",
    RANDOM: "random",
    CELL: "of cells that cost most",
}
"""Why a sample is shown, each in words; gallery.css has them too."""


@dataclass(frozen=True)
class Overlay:
    """A map over the patch grid of an image."""

    rows: int
    columns: int
    uri: str
    """A `data:` URI of a picture, a pixel a patch, transparent where the map says nothing."""
    values: str
    """Of each patch, row-major, in thousandths, separated by spaces."""
    shown: str
    """Of each patch, `1` where the map shows it and `0` where it does not count."""
    low: str
    """What the ends of the colours stand for."""
    high: str


@dataclass(frozen=True)
class Picture:
    """One image of a sample."""

    uri: str
    """A `data:` URI of a thumbnail."""
    width: int
    """Of the thumbnail, in pixels."""
    height: int
    outline: str
    """The edge of the mask: the `d` of an SVG path in the thumbnail's pixels."""
    full: str | None = None
    """Where the full image lies, relative to the page; None where only the thumbnail is kept."""
    overlay: Overlay | None = None
    """None where no encoder was asked."""


@dataclass(frozen=True)
class ReferencePicture:
    """A photo that the generation was scored against."""

    key: str
    picture: Picture
    cp: str
    """CP against it."""
    matches: str = ""
    """Of each of its patches the number of the generation's patch that met it best, separated by
    spaces; empty without an overlay."""


@dataclass(frozen=True)
class Figures:
    """One sample as its row has it."""

    key: str
    model: str
    concept: str
    run: str
    seed: str
    prompt: Sequence[PromptPart]
    scores: Sequence[tuple[str, str]]
    """Names and values, CP and PF first."""
    command: str
    """What draws it: a call of `jobs.explain`."""


@dataclass(frozen=True)
class Partner:
    """The same concept, prompt and seed in the baseline."""

    figures: Figures
    picture: Picture | None
    note: str | None = None
    """Why there is no picture."""


@dataclass(frozen=True)
class GalleryItem:
    """A sample that is shown."""

    anchor: str
    """Its `id` in the page, as in `sample=KEY`."""
    reasons: Sequence[str]
    """Why it was chosen."""
    kinds: Sequence[str]
    """Of these reasons, each one of `KINDS`."""
    figures: Figures
    generation: Picture | None
    references: Sequence[ReferencePicture] = ()
    partner: Partner | None = None
    notes: Sequence[str] = ()
    """Why an image or a map is missing, or what does not agree."""


@dataclass(frozen=True)
class Gallery:
    """What `gallery.html.j2` renders, under the name `gallery`."""

    items: Sequence[GalleryItem]
    others: Sequence[tuple[str, Figures]] = ()
    """Cells that matter and have no picture: why, and the sample that stands for them."""
    notes: Sequence[str] = ()
    bytes_read: int = 0
    """Of shards."""
    bytes_chosen: int = 0
    """What the samples that are shown take in their shards, references with them."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Full images, by their paths relative to the page; to be written beside it."""

    @property
    def kinds(self) -> Mapping[str, str]:
        """Those that are shown, each with how many there are, in words."""
        counts = Counter(kind for item in self.items for kind in item.kinds)
        return {kind: f"{counts[kind]} {KINDS[kind]}" for kind in KINDS if counts[kind]}
