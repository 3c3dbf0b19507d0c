"""The gallery in a real browser, in a page of a small scored run that is its own baseline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.pages import runs
from tests.pages.opened import Opened, opened_page

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def opened(
    browser: Browser, scored: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    """One tab for all tests."""
    out = tmp_path_factory.mktemp("gallery")
    run = scored / "run"
    done = runs.report(f"run={run}", f"baseline={run}", f"out={out}", "gallery=4", "assets=images")
    assert done.returncode == 0, done.stderr
    with opened_page(browser, out / "index.html") as found:
        yield found


def test_each_sample_has_its_images_and_their_full_ones_lie_beside_the_page(
    opened: Opened,
) -> None:
    items = opened.tab.locator(".g-item")
    assert items.count() == 4
    assert items.first.locator("svg image").count() >= 3
    folder = Path(opened.url.removeprefix("file://")).parent
    links = opened.tab.locator(".g-item a[href^='images/']")
    assert links.count() >= 4
    assert all((folder / (link or "")).is_file() for link in _hrefs(opened))


def _hrefs(opened: Opened) -> list[str | None]:
    links = opened.tab.locator(".g-item a[href^='images/']")
    return [link.get_attribute("href") for link in links.all()]


def test_a_patch_says_what_it_met_under_the_pointer_and_by_arrow_keys(opened: Opened) -> None:
    item = opened.tab.locator(".g-item").first
    heat = item.locator(".g-map[data-kind='cp']").first
    heat.scroll_into_view_if_needed()
    box = heat.bounding_box()
    assert box is not None
    heat.hover(position={"x": 3, "y": 3})
    assert item.locator(".g-say").inner_text().startswith("Patch row 1, column 1 of the reference")
    heat.press("ArrowRight")
    assert "column 2 of the reference" in item.locator(".g-say").inner_text()


def test_baseline_and_candidate_flicker_and_are_cut_by_a_slider(opened: Opened) -> None:
    figure = opened.tab.locator(".g-compare").first
    button = figure.get_by_role("button", name="Flicker")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    opened.tab.wait_for_selector(".g-compare[data-flicker='a']")
    opened.tab.wait_for_selector(".g-compare[data-flicker='b']")
    button.press("Enter")
    assert figure.get_attribute("data-flicker") is None
    figure.get_by_role("slider").fill("20")
    assert figure.evaluate("figure => figure.style.getPropertyValue('--cut')") == "20%"


def test_a_link_to_a_sample_leads_to_it(opened: Opened) -> None:
    anchor = opened.tab.locator(".g-item").nth(2).get_attribute("id")
    assert anchor is not None
    opened.go(anchor)
    assert opened.tab.locator(".g-item").nth(2).evaluate("item => item.matches(':target')")


def test_a_checker_of_accessibility_finds_nothing_serious(opened: Opened) -> None:
    assert opened.violations() == []


def test_nothing_was_asked_of_a_network_and_nothing_went_wrong(opened: Opened) -> None:
    """After all that the other tests did."""
    opened.assert_quiet()
