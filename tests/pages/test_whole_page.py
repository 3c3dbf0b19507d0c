"""The page of a run that was really scored, gallery and all, in a real browser."""

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


def test_a_checker_of_accessibility_finds_nothing_serious(opened: Opened) -> None:
    assert opened.violations() == []


def test_nothing_was_asked_of_a_network_and_nothing_went_wrong(opened: Opened) -> None:
    """After all that the other tests did."""
    opened.assert_quiet()
