"""What models, concepts and columns are called on the page."""

from __future__ import annotations

from urllib.parse import quote

from jobs.pipeline.command.messages import printable
from jobs.pipeline.results.comparison.wording import title
from jobs.pipeline.results.leaderboard import UNKNOWN_MODEL

__all__ = ["link_to", "shown", "title"]


def shown(name: str | None) -> str:
    """A model, a concept or a tag; rows of none are those whose JSON could not be read."""
    return UNKNOWN_MODEL if name is None else printable(name) or "(empty)"


def link_to(kind: str, name: str | None) -> str:
    """The permanent link to a view.

    >>> link_to("concept", "a b&c")
    '#concept=a%20b%26c'
    """
    return f"#{kind}={quote(name or '', safe='')}"
