"""No page has a serious fault of accessibility by axe-core, light or dark; it comes with `npm ci` in viewer/."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.viewer.viewing import IN_BROWSER

AXE = Path(__file__).parents[2] / "viewer" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = ("serious", "critical")
PAGES = {
    "study": ("/?columns=all", ".scatter"),
    "layer": ("/crate/1?q=a", ".counts"),
    "unit": ("/crate/1/3?test=a%20film", ".own .heat"),
    "why": ("/try?model=crate&unit=1/3&text=a%20good%20film&why=2", ".why .parts"),
    "try": ("/try?model=crate&unit=1/3&clamp=1/3%3D5", ".changes"),
    "find": ("/find?way=start", ".counts"),
    "compare": ("/compare?a=crate/1/3&b=gpt2/0/5", ".sides .scores"),
    "two layers": ("/compare?a=crate/1&b=gpt2/1", ".best"),
    "notes": ("/notes", ".notes li"),
    "no notes": ("/notes", ".notes"),
    "glossary": ("/glossary?term=reach", ".here"),
    "nowhere": ("/nobody", "[role=alert]"),
}

pytestmark = [
    *IN_BROWSER,
    pytest.mark.skipif(not AXE.is_file(), reason="no axe-core: cd viewer && npm ci"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_serious_fault(browser, address, name, scheme) -> None:
    path, ready = PAGES[name]
    page = browser.new_page(viewport={"width": 1280, "height": 850}, color_scheme=scheme)
    if name != "no notes":
        page.goto(f"{address}/crate/1/3")
        page.get_by_role("button", name="Bookmark", exact=True).click()
        page.get_by_label("Note on crate/1/3").fill("likes films")
    page.goto(address + path)
    page.locator(ready).first.wait_for()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)  # parts that come later
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    page.close()
    assert not {
        fault["id"]: [node["html"][:160] for node in fault["nodes"][:3]]
        for fault in found
        if fault["impact"] in SERIOUS
    }
