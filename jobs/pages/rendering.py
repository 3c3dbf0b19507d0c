"""The page as bytes: templates filled in, everything escaped, nothing that a browser may fetch.

The policy in the page's head allows the page's own scripts and styles, by their hashes, and images
that are in the page. What a stranger wrote into a name is text in it, wherever it stands.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from jobs.pages.names import link_to, shown, title
from jobs.pipeline.results.numbers import ABSENT

STYLES = ("page.css",)
SCRIPTS = ("page.js",)


def render(page: Mapping[str, Any], data: Mapping[str, Any], gallery: bool) -> bytes:
    """The report.

    Args:
        page: what its templates name.
        data: the figures, as JSON has them.
        gallery: whether the gallery's styles and script are needed.
    """
    further = ["gallery"] if gallery else []
    return filled_in(
        "page.html.j2",
        [*STYLES, *(f"{name}.css" for name in further)],
        [*SCRIPTS, *(f"{name}.js" for name in further)],
        {**page, "data": as_json(data)},
    )


def filled_in(
    template: str, styles: Sequence[str], scripts: Sequence[str], page: Mapping[str, Any]
) -> bytes:
    """A template as a page.

    Args:
        styles, scripts: files among the templates, which the page holds and allows.
        page: what the template names, beside `styles`, `scripts` and their `policy`.
    """
    environment = Environment(
        loader=PackageLoader("jobs.pages", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"shown": shown, "title_of": title}
    environment.globals |= {"link_to": link_to, "ABSENT": ABSENT}
    style_texts, script_texts = ([_text(name) for name in names] for names in (styles, scripts))
    text = environment.get_template(template).render(
        **page,
        policy=policy(style_texts, script_texts),
        styles=[Markup(text) for text in style_texts],
        scripts=[Markup(text) for text in script_texts],
    )
    # A lone surrogate is no character that a page can have.
    return text.encode("utf-8", "replace")


def policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """The Content-Security-Policy of a page with these and no others."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def as_json(data: Mapping[str, Any]) -> Markup:
    """What may stand in a script element: no text in it can end the element.

    >>> print(as_json({"name": "</script>"}))
    {"name":"\\u003c/script\\u003e"}
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def _text(name: str) -> str:
    return files("jobs.pages").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
