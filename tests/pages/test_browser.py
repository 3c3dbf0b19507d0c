"""The page in a real browser: what works, and what a stranger's names cannot do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.pages import runs
from tests.pages.opened import Opened, opened_page

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def opened(browser: Browser, page: Path) -> Iterator[Opened]:
    """One tab for all tests: each leaves it as it likes, and asks for what it needs."""
    with opened_page(browser, page) as found:
        yield found


def test_models_are_sorted_by_a_click_and_by_the_keyboard(opened: Opened) -> None:
    board = opened.tab.locator(".board")
    assert opened.column(".board", 2)[0] == runs.PLAIN
    cp = board.get_by_role("button", name="CP", exact=True)
    cp.click()
    assert opened.column(".board", 2)[0] == runs.COPY
    assert cp.locator("..").get_attribute("aria-sort") == "descending"
    board.get_by_role("button", name="model", exact=True).press("Enter")
    assert opened.column(".board", 2)[:3] == [runs.IMAGE, runs.COPY, runs.LONELY]
    board.get_by_role("button", name="#", exact=True).press("Enter")
    assert opened.column(".board", 2)[0] == runs.PLAIN


def test_models_and_concepts_are_found_by_a_part_of_their_name(opened: Opened) -> None:
    opened.tab.get_by_label("Find a model").fill("МОДЕЛЬ")
    assert opened.column(".board", 2) == [runs.LONG]
    assert opened.tab.locator("#found-models").inner_text() == "1 of 5"
    opened.tab.get_by_label("Find a model").fill("")
    opened.tab.get_by_label("Find a concept").fill("-03")
    assert opened.column("#heat", 1) == ["concept-03"]
    opened.tab.get_by_label("Find a concept").fill("")
    assert len(opened.column("#heat", 1)) == runs.CONCEPTS


def test_cells_are_of_the_score_and_in_the_order_that_are_asked_for(opened: Opened) -> None:
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


def test_a_table_is_copied_as_text_for_a_spreadsheet(opened: Opened) -> None:
    opened.tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = opened.tab.locator("#leaderboard [data-copy]")
    button.click()
    opened.tab.wait_for_function(
        "element => element.textContent === 'Copied'", arg=button.element_handle()
    )
    lines = opened.tab.evaluate("navigator.clipboard.readText()").split("\n")
    assert len(lines) == 6
    assert lines[0].split("\t")[:4] == ["#", "model", "n", "CP"]
    copied = {line.split("\t")[1]: line.split("\t") for line in lines[1:]}
    assert copied[runs.LONELY][2:4] == ["3", "0.700"]


def test_a_point_a_concept_is_drawn_on_demand(opened: Opened) -> None:
    opened.tab.locator("#scatter-model").select_option(label=runs.PLAIN)
    assert (
        opened.tab.locator("#scatter-concepts circle").count() + _outside(opened) == runs.CONCEPTS
    )
    opened.tab.locator("#scatter-model").select_option(label="no model")
    assert opened.tab.locator("#scatter-concepts circle").count() == 0


def test_what_is_chosen_is_in_the_address_and_comes_back_by_it(opened: Opened) -> None:
    tab = opened.tab
    tab.locator("#heat-column").select_option("pf")
    tab.locator("#heat-order").select_option("high")
    tab.get_by_label("Find a concept").fill("-0")
    # Of the page itself: the driver hears of its address later.
    cells, shown = tab.evaluate("location.hash"), opened.column("#heat", 1)
    assert cells.startswith("#cells?score=pf&order=high&find=-0")
    tab.locator("#scatter-model").select_option(label=runs.LONG)
    points = tab.evaluate("location.hash")
    n_points = tab.locator("#scatter-concepts circle").count()
    assert points.startswith("#points?concepts=")
    tab.evaluate("location.hash = 'leaderboard'")
    tab.locator("#scatter-model").select_option(label="no model")
    tab.locator("#heat-column").select_option("cp")
    tab.get_by_label("Find a concept").fill("")
    tab.evaluate("hash => { location.hash = hash }", cells)
    tab.wait_for_function("() => document.querySelector('#heat-column').value === 'pf'")
    tab.evaluate("hash => { location.hash = hash }", points)
    tab.wait_for_function(
        "n => document.querySelectorAll('#scatter-concepts circle').length === n", arg=n_points
    )
    assert opened.column("#heat", 1) == shown
    assert tab.locator("#heat-column").input_value() == "pf"
    tab.locator("#scatter-model").select_option(label="no model")
    tab.get_by_label("Find a concept").fill("")


def _outside(opened: Opened) -> int:
    found = re.search(r"; (\d+) lie outside", opened.tab.locator("#scatter-said").inner_text())
    return int(found[1]) if found else 0


def test_a_point_says_its_figures_under_the_pointer_and_under_the_focus(opened: Opened) -> None:
    points = opened.tab.locator("#scatter a")
    points.first.scroll_into_view_if_needed()
    points.first.locator(".dot").hover()
    assert opened.tab.locator("#tip").inner_text().startswith(f"{runs.PLAIN}: CP 0.")
    points.nth(1).focus()
    assert opened.tab.locator("#tip").inner_text().startswith(f"{runs.IMAGE}: CP 0.")
    opened.tab.keyboard.press("Escape")
    assert opened.tab.locator("#tip").is_hidden()


def test_a_link_leads_to_a_model_and_from_there_to_a_concept(opened: Opened) -> None:
    opened.tab.locator(".board a", has_text="<img").click()
    expect(opened.tab.locator("#detail-title")).to_have_text(f"Model {runs.IMAGE}")
    assert opened.tab.evaluate("document.activeElement.id") == "detail"
    opened.tab.locator("#detail-body a", has_text="concept-02").click()
    expect(opened.tab.locator("#detail-title")).to_have_text("Concept concept-02")
    expect(opened.tab.locator("#detail-body")).to_contain_text("-0.0500")
    opened.tab.keyboard.press("Escape")
    opened.tab.wait_for_selector("#detail", state="hidden")
    opened.go("concept=nothing%20of%20the%20kind")
    expect(opened.tab.locator("#detail-body")).to_contain_text("no such concept")


def test_the_colours_are_chosen_by_a_button(opened: Opened) -> None:
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


def test_it_fits_a_phone(opened: Opened) -> None:
    opened.tab.set_viewport_size({"width": 390, "height": 844})
    assert opened.tab.evaluate("document.documentElement.scrollWidth") == 390
    opened.tab.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_checker_of_accessibility_finds_nothing_serious(opened: Opened, scheme: str) -> None:
    opened.tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    opened.tab.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true })")
    opened.go("model=copy")
    assert opened.violations() == []


def test_names_are_texts_and_nothing_else(opened: Opened) -> None:
    assert opened.tab.locator("img").count() == 0
    assert runs.SCRIPT in opened.tab.locator("#tags").inner_text()
    assert runs.IMAGE in opened.tab.locator(".board").inner_text()


def test_nothing_was_asked_of_a_network_and_nothing_went_wrong(opened: Opened) -> None:
    """After all that the other tests did."""
    opened.assert_quiet()


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
