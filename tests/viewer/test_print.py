"""Printed on A4, pages are black on white even from a dark screen, and nothing is cut off at the right."""

import pytest
from playwright.sync_api import expect

from tests.viewer.viewing import IN_BROWSER

pytestmark = IN_BROWSER
A4 = 703
"""Pixels between margins of 12 mm."""
LIGHT = """selector => [...document.querySelectorAll(selector)].map(one => {
    const luminance = colour => {
        const [red, green, blue, alpha] = colour.match(/[\\d.]+/g).map(Number);
        return alpha === 0 ? 255 : 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const style = getComputedStyle(one);
    return [luminance(style.color), luminance(style.backgroundColor)];
})"""


@pytest.mark.parametrize(
    ("path", "ready", "hidden"),
    [
        ("/crate/1/3", ".neighbours li", "header nav, .top, button:not(.term)"),
        ("/", ".scatter", ".top, .ways, button:not(.term)"),
        ("report", "figure", "[popover]"),
    ],
)
def test_a_page_is_printed_in_black_on_white_and_whole(browser, address, study, path, ready, hidden) -> None:
    page = browser.new_page(viewport={"width": A4, "height": 1000}, color_scheme="dark")
    page.goto((study / "report" / "report.html").as_uri() if path == "report" else address + path)
    page.locator(ready).first.wait_for()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)  # parts that come later
    page.emulate_media(media="print", color_scheme="dark")
    for ink, paper in page.evaluate(LIGHT, "body, h1, td, article, section, .explanations"):
        assert paper > 240 and ink < 140
    assert not [one for one in page.locator(hidden).all() if one.is_visible()]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()
