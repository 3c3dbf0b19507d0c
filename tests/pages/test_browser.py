"""The page in a real browser: what works, and what a stranger's names cannot do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.pages import runs
from tests.pages.browser import browsing

pytestmark = pytest.mark.services

LISTEN = "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.blockedURI))"
SERIOUS = ("serious", "critical")


@dataclass
class Open:
    """The page in a tab, and what it did that it should not."""

    tab: Page
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def go(self, place: str) -> None:
        """Follow a permanent link."""
        self.tab.evaluate("place => { location.hash = place }", place)
        self.tab.wait_for_function("place => location.hash === '#' + place", arg=place)

    def column(self, table: str, place: int) -> list[str]:
        """The texts of a column, of the lines that are shown."""
        cells = self.tab.locator(f"{table} tbody tr:visible > :nth-child({place})")
        return [text.strip() for text in cells.all_inner_texts()]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as started:
        yield started


@pytest.fixture(scope="module")
def opened(browser: Browser, page: Path) -> Iterator[Open]:
    """One tab for all tests: each leaves it as it likes, and asks for what it needs."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(LISTEN)
    context.set_default_timeout(10_000)
    found = Open(context.new_page())
    found.tab.on("request", lambda request: found.requests.append(request.url))
    found.tab.on("console", lambda message: found.said.append(message.text))
    found.tab.on("pageerror", lambda error: found.said.append(str(error)))
    found.tab.on("dialog", lambda dialog: found.said.append(dialog.message))
    found.tab.goto(page.as_uri())
    found.tab.wait_for_selector("html[data-ready]")
    yield found
    context.close()


def test_models_are_sorted_by_a_click_and_by_the_keyboard(opened: Open) -> None:
    board = opened.tab.locator(".board")
    assert opened.column(".board", 2)[0] == runs.PLAIN
    cp = board.get_by_role("button", name="CP", exact=True)
    cp.click()
    assert opened.column(".board", 2)[0] == runs.COPY
    assert board.locator("thead th", has=cp).get_attribute("aria-sort") == "descending"
    board.get_by_role("button", name="model", exact=True).press("Enter")
    assert opened.column(".board", 2)[:3] == [runs.IMAGE, runs.COPY, runs.LONELY]
    board.get_by_role("button", name="#", exact=True).press("Enter")
    assert opened.column(".board", 2)[0] == runs.PLAIN


def test_models_and_concepts_are_found_by_a_part_of_their_name(opened: Open) -> None:
    opened.tab.get_by_label("Find a model").fill("МОДЕЛЬ")
    assert opened.column(".board", 2) == [runs.LONG]
    assert opened.tab.locator("#found-models").inner_text() == "1 of 5"
    opened.tab.get_by_label("Find a model").fill("")
    opened.tab.get_by_label("Find a concept").fill("-03")
    assert opened.column("#heat", 1) == ["concept-03"]
    opened.tab.get_by_label("Find a concept").fill("")
    assert len(opened.column("#heat", 1)) == runs.CONCEPTS


def test_cells_are_of_the_score_and_in_the_order_that_are_asked_for(opened: Open) -> None:
    rows = runs.rows_of_page()
    leak = [
        r["cp.leak"]
        for r in rows
        if (r["model"], r["concept"]) == (runs.COPY, "concept-05") and r["status"] == "ok"
    ]
    opened.tab.locator("#heat-column").select_option("cp.leak")
    opened.tab.locator("#heat-order").select_option("name")
    place = opened.column("#heat thead", 1)
    headers = [text.strip() for text in opened.tab.locator("#heat thead th").all_inner_texts()]
    assert opened.column("#heat", 1)[5] == "concept-05"
    assert opened.column("#heat", 1 + headers.index(runs.COPY))[5] == f"{sum(leak) / 3:.3f}"
    assert place == []


def test_a_point_a_concept_is_drawn_on_demand(opened: Open) -> None:
    opened.tab.locator("#scatter-model").select_option(label=runs.PLAIN)
    assert (
        opened.tab.locator("#scatter-concepts circle").count() + _outside(opened) == runs.CONCEPTS
    )
    opened.tab.locator("#scatter-model").select_option(label="no model")
    assert opened.tab.locator("#scatter-concepts circle").count() == 0


def _outside(opened: Open) -> int:
    found = re.search(r"; (\d+) lie outside", opened.tab.locator("#scatter-said").inner_text())
    return int(found[1]) if found else 0


def test_a_point_says_its_figures_under_the_pointer_and_under_the_focus(opened: Open) -> None:
    points = opened.tab.locator("#scatter a")
    points.first.scroll_into_view_if_needed()
    points.first.locator(".dot").hover()
    assert opened.tab.locator("#tip").inner_text().startswith(f"{runs.PLAIN}: CP 0.")
    points.nth(1).focus()
    assert opened.tab.locator("#tip").inner_text().startswith(f"{runs.IMAGE}: CP 0.")
    opened.tab.keyboard.press("Escape")
    assert opened.tab.locator("#tip").is_hidden()


def test_a_link_leads_to_a_model_and_from_there_to_a_concept(opened: Open) -> None:
    opened.tab.locator(".board a", has_text="<img").click()
    assert opened.tab.locator("#detail-title").inner_text() == f"Model {runs.IMAGE}"
    assert opened.tab.evaluate("document.activeElement.id") == "detail"
    opened.tab.locator("#detail-body a", has_text="concept-02").click()
    assert opened.tab.locator("#detail-title").inner_text() == "Concept concept-02"
    assert "-0.0500" in opened.tab.locator("#detail-body").inner_text()
    opened.tab.keyboard.press("Escape")
    opened.tab.wait_for_selector("#detail", state="hidden")
    opened.go("concept=nothing%20of%20the%20kind")
    assert "no such concept" in opened.tab.locator("#detail-body").inner_text()


def test_the_colours_are_chosen_by_a_button(opened: Open) -> None:
    def paper() -> str:
        return opened.tab.evaluate("getComputedStyle(document.body).backgroundColor")

    assert paper() == "rgb(255, 255, 255)"
    button = opened.tab.locator("#theme")
    button.press("Enter")
    assert button.inner_text().endswith("light")
    button.press("Enter")
    assert paper() == "rgb(21, 24, 27)"
    button.press("Enter")
    assert paper() == "rgb(255, 255, 255)"


def test_it_fits_a_phone(opened: Open) -> None:
    opened.tab.set_viewport_size({"width": 390, "height": 844})
    assert opened.tab.evaluate("document.documentElement.scrollWidth") == 390
    opened.tab.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_checker_of_accessibility_finds_nothing_serious(opened: Open, scheme: str) -> None:
    opened.tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    opened.tab.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true })")
    opened.go("model=copy")
    # The checker is put into the page, which lets nobody else's scripts in.
    response = Axe().run(opened.tab).response
    assert len(response["passes"]) > 20
    bad = [
        (each["id"], each["nodes"][0]["html"][:200], len(each["nodes"]))
        for each in response["violations"]
        if each["impact"] in SERIOUS
    ]
    assert bad == []


def test_names_are_texts_and_nothing_else(opened: Open) -> None:
    assert opened.tab.locator("img").count() == 0
    assert runs.SCRIPT in opened.tab.locator("#tags").inner_text()
    assert runs.IMAGE in opened.tab.locator(".board").inner_text()


def test_nothing_was_asked_of_a_network_and_nothing_went_wrong(opened: Open, page: Path) -> None:
    """After all that the other tests did."""
    assert {url.partition("#")[0] for url in opened.requests} == {page.as_uri()}
    assert opened.said == []


def test_it_reads_without_scripts(browser: Browser, page: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.as_uri())
    text = tab.locator("main").inner_text()
    for words in (
        runs.IMAGE,
        "corner of copies",
        "concept-13",
        "regressed",
        "step-4",
        "jpg: N bytes",
    ):
        assert words in text
    assert not tab.locator("#find-model").is_visible()
    assert tab.locator("#scatter .dot").count() == 5
    context.close()
