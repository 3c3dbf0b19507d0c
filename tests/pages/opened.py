"""A page in a tab of a real browser, and what it did that it should not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

LISTEN = "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.blockedURI))"
SERIOUS = ("serious", "critical")


@dataclass
class Opened:
    """The tab."""

    tab: Page
    url: str
    requests: list[str] = field(default_factory=list)
    """Of whatever was asked for, but for what is in the page."""
    said: list[str] = field(default_factory=list)
    """On the console, as an error, or as a dialog."""

    def go(self, place: str) -> None:
        """Follow a permanent link."""
        self.tab.evaluate("place => { location.hash = place }", place)
        self.tab.wait_for_function("place => location.hash === '#' + place", arg=place)

    def column(self, table: str, place: int) -> list[str]:
        """The texts of a column, of the lines that are shown."""
        cells = self.tab.locator(f"{table} tbody tr:visible > :nth-child({place})")
        return [text.strip() for text in cells.all_inner_texts()]

    def violations(self) -> list[Any]:
        """What a checker of accessibility calls serious."""
        response = Axe().run(self.tab).response
        assert len(response["passes"]) > 20, "it has looked at the page"
        return [
            (each["id"], each["nodes"][0]["html"][:200], len(each["nodes"]))
            for each in response["violations"]
            if each["impact"] in SERIOUS
        ]

    def assert_quiet(self) -> None:
        """Nothing was asked of a network, and nothing went wrong."""
        assert {url.partition("#")[0] for url in self.requests} == {self.url}
        assert self.said == []


@contextmanager
def opened_page(browser: Browser, page: Path) -> Iterator[Opened]:
    """The page, its script done."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(LISTEN)
    context.set_default_timeout(10_000)
    found = Opened(context.new_page(), page.as_uri())
    tab = found.tab

    def asked(url: str) -> None:
        if not url.startswith("data:"):
            found.requests.append(url)

    tab.on("request", lambda request: asked(request.url))
    tab.on("console", lambda message: found.said.append(message.text))
    tab.on("pageerror", lambda error: found.said.append(str(error)))
    tab.on("dialog", lambda dialog: found.said.append(dialog.message))
    tab.goto(found.url)
    tab.wait_for_selector("html[data-ready]")
    yield found
    context.close()
