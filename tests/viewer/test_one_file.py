"""The demo study in one HTML file, as somebody gets it by mail: no server, no network, a size that can be sent."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from cratelm.demo.unpack import unpack_demo
from cratelm.viewer.chosen_units import Choice
from cratelm.viewer.static_pages import MOST_ON_ONE_PAGE, export_page
from tests.viewer.viewing import IN_BROWSER

pytestmark = IN_BROWSER
MOST = 40_000_000
"""Bytes of a file of as many units as one may hold."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, quiet) -> Path:
    """As many units as one file holds, of all four layers."""
    folder = tmp_path_factory.mktemp("demo")
    each = MOST_ON_ONE_PAGE // 4
    names = [f"{model}/{layer}/{unit}" for model in ("crate", "gpt2") for layer in (0, 1) for unit in range(each)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        export_page(unpack_demo(quiet), folder / "one.html", quiet, Choice(units=",".join(names)))
    return folder / "one.html"


def test_a_unit_is_found_by_words_and_shows_its_heat_map_without_any_request(page, file) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.get_by_role("searchbox").fill("self")
    page.keyboard.press("Enter")
    expect(page.locator(".counts")).to_contain_text("in crate / layer 0")
    hit = page.locator(".hits a").first
    name = hit.inner_text()
    hit.click()
    expect(page.locator("h1")).to_contain_text(name)
    heat = page.locator(".excerpt .heat").first
    expect(heat).to_be_visible()
    colours = heat.locator(".t").evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")
    assert len(set(colours)) > 1
    assert not [url for url in asked if url != file.as_uri() and not url.startswith("data:")]


def test_as_many_units_as_one_file_holds_can_be_sent(file) -> None:
    assert file.stat().st_size < MOST
