"""The gallery in a browser: hover, keys, flicker, slider and links, and nothing asked of others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page

from jobs.pages.explained_page import page_of
from jobs.pages.gallery import GalleryConfig, OpenedRun, build_gallery
from jobs.pages.gallery_items import GalleryItem
from jobs.pipeline.run.stale import open_counted
from tests.pages.browser import browsing
from tests.pages.scored import score, write_shards

pytestmark = pytest.mark.services

KEY = "alpha/cat-0"


@pytest.fixture(scope="module")
def items(scored: Path, tmp_path_factory: pytest.TempPathFactory) -> list[GalleryItem]:
    """All samples of a run beside another of other images."""
    folder = write_shards(tmp_path_factory.mktemp("other"), offset=500)
    shutil.copy(scored / "references-0.tar", folder)
    before = score(folder, folder / "run")
    runs = [OpenedRun(run, open_counted([run])) for run in (str(scored / "run"), before)]
    return list(build_gallery(runs[:1], runs[1], GalleryConfig()).items)


@pytest.fixture(scope="module")
def address(items: list[GalleryItem], tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "index.html"
    file.write_bytes(page_of(items))
    return f"file://{file}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page, opened; what its console says, or what it asks for, fails the test."""
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url))
    page.goto(address)
    yield page
    assert [line for line in said if not line.startswith(("data:image/", address))] == []


@pytest.fixture
def item(page: Page) -> Locator:
    return page.locator(f'[id="sample={KEY}"]')


def hover(page: Page, picture: Locator, row: int, column: int) -> None:
    """Point at the middle of a patch."""
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    rows, columns = (int(picture.get_attribute(f"data-{n}") or 0) for n in ("rows", "columns"))
    assert box is not None
    page.mouse.move(
        box["x"] + box["width"] * (column + 0.5) / columns,
        box["y"] + box["height"] * (row + 0.5) / rows,
    )


def test_a_patch_shows_the_one_that_met_it(
    page: Page, item: Locator, items: list[GalleryItem]
) -> None:
    [own] = [each for each in items if each.figures.key == KEY]
    reference = own.references[0]
    assert reference.picture.overlay is not None
    assert own.generation is not None
    assert own.generation.overlay is not None
    columns = reference.picture.overlay.columns
    row, column = 4, 6
    hover(page, item.locator('[data-kind="cp"]').first, row, column)
    index = row * columns + column
    match = int(reference.matches.split()[index])
    cosine = int(reference.picture.overlay.values.split()[index]) / 1000
    at = divmod(match, own.generation.overlay.columns)
    said = item.locator(".g-say").inner_text()
    assert f"Patch row {row + 1}, column {column + 1} of the reference" in said
    assert f"met best by row {at[0] + 1}, column {at[1] + 1} of the generation" in said
    assert f"cosine {cosine:.3f}" in said
    drawn = item.locator(".g-generation .g-patch").first
    across = own.generation.width / own.generation.overlay.columns
    assert float(drawn.get_attribute("x") or -1) == pytest.approx(at[1] * across)
    page.mouse.move(0, 0)
    assert item.locator(".g-patch").count() == 0
    assert item.locator(".g-say").inner_text() == ""


def test_arrow_keys_go_from_patch_to_patch(page: Page, item: Locator) -> None:
    page.mouse.move(0, 0)
    attention = item.locator('[data-kind="pf"]')
    attention.focus()
    first = item.locator(".g-say").inner_text()
    page.keyboard.press("ArrowRight")
    second = item.locator(".g-say").inner_text()
    assert first.partition(":")[0] != second.partition(":")[0]
    page.keyboard.press("ArrowLeft")
    assert item.locator(".g-say").inner_text() == first
    for _ in range(40):
        page.keyboard.press("ArrowUp")
    assert "row 1," in item.locator(".g-say").inner_text()
    page.keyboard.press("Tab")
    assert "of the reference" in item.locator(".g-say").inner_text()


def test_a_slider_cuts_and_a_button_flickers(page: Page, item: Locator) -> None:
    compare = item.locator(".g-compare")
    top = compare.locator(".g-top")
    clip = "element => getComputedStyle(element).clipPath"
    slider = compare.locator("input")
    slider.focus()
    page.keyboard.press("Home")
    assert top.evaluate(clip) == "inset(0px 0px 0px 0%)"
    page.keyboard.press("End")
    assert top.evaluate(clip) == "inset(0px 0px 0px 100%)"
    button = compare.locator("button")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    seen = set()
    for _ in range(30):
        seen.add(compare.locator("figcaption").inner_text())
        page.wait_for_timeout(100)
    assert seen == {"Candidate", "Baseline"}
    button.click()
    assert button.get_attribute("aria-pressed") == "false"


def test_a_link_goes_to_its_sample(page: Page, address: str) -> None:
    page.goto(f"{address}#sample=beta/dog-1")
    place = page.locator('[id="sample=beta/dog-1"]').bounding_box()
    assert place is not None
    assert -5 < place["y"] < 500


def test_without_scripts_the_figures_are_there(browser: Browser, address: str) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(address)
    item = page.locator(f'[id="sample={KEY}"]')
    # Two photos and their maps, the generation and its map, and the baseline's.
    assert item.locator("figure svg").count() == 7
    assert all(each.is_visible() for each in item.locator("figure").all())
    assert item.locator("button").count() == 0
    assert (item.locator("del").text_content() or "").strip() == "a cat"
