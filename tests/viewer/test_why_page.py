"""Why did it fire here? In a real browser, on excerpts and on a text of one's own."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from cratelm.viewer.chosen_units import Choice
from cratelm.viewer.static_pages import export_study
from tests.viewer.viewing import IN_BROWSER, viewer

pytestmark = IN_BROWSER


@contextmanager
def ready(study: Path, model: str) -> Iterator[str]:
    """The address of a viewer that has imported PyTorch and opened a model: on a busy machine that takes a while."""
    with viewer(study) as address:
        httpx.get(f"{address}/api/{model}/0/1/weights", timeout=300).raise_for_status()
        yield address


@pytest.fixture(scope="module")
def address(study: Path) -> Iterator[str]:
    with ready(study, "crate") as address:
        yield address


def shares(page: Page) -> list[float]:
    """The shares of all parts in percent, and last the one that is said of them together."""
    expect(page.locator(".parts .sum")).to_be_visible()
    texts = page.locator(".parts .n").all_inner_texts()
    return [float(text.removesuffix("%").replace("\u2212", "-")) for text in texts]


def ask(page: Page, address: str, unit: str = "crate/1/3") -> None:
    """Open a unit's page, and ask why it fired on the token of its first excerpt on which it fired most."""
    page.goto(f"{address}/{unit}")
    page.locator(".heat").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Why did it fire here?")).to_be_focused()


@pytest.mark.parametrize("unit", ["crate/1/3", "crate/0/3", "gpt2/1/3"])
def test_the_shares_of_all_parts_add_up_to_the_whole(page, address, unit):
    ask(page, address, unit)
    *parts, together = shares(page)
    assert abs(together) == 100 and sum(parts) == pytest.approx(together, abs=0.05 * len(parts))


def test_contributors_are_followed_down_to_tokens_and_back_and_the_address_keeps_the_way(page, address):
    ask(page, address)
    before = shares(page)
    page.locator(".parts .who > a").first.click()
    steps = page.get_by_role("navigation", name="What was followed")
    expect(steps.locator("[aria-current=step]")).to_contain_text("crate/0/")
    expect(page.locator(".parts .who").first).to_contain_text(re.compile("the (token|position)"))
    followed = page.url
    page.reload()
    expect(steps.locator("[aria-current=step]")).to_contain_text("crate/0/")
    assert page.url == followed and "path=" in followed
    page.go_back()
    expect(steps.locator("[aria-current=step]")).to_contain_text("crate/1/3")
    assert shares(page) == before
    page.go_back()
    expect(page.locator(".why")).to_have_count(0)


def test_the_drawing_leads_to_the_same_places_as_the_list(page, address, shots):
    ask(page, address)
    listed = page.locator(".parts .who > a").first.get_attribute("href")
    drawn = [link.get_attribute("href") for link in page.locator(".drawing a").all()]
    assert listed in drawn and len(drawn) == len(set(drawn))
    page.screenshot(path=shots / "why.png")
    page.locator(".drawing a").first.click()
    expect(page.locator("[aria-current=step]")).to_contain_text("crate/0/")


def test_a_contributor_turned_off_shows_the_real_change_next_to_the_predicted_one(page, address):
    ask(page, address)
    page.get_by_role("button", name="Turn off").first.click()
    expect(page.locator(".off").first).to_contain_text(re.compile("changes by .+, predicted .+"))


def test_a_token_of_a_text_of_ones_own_is_asked_about_and_another_text_closes_the_answer(page, address):
    page.goto(f"{address}/try?model=gpt2&unit=1/3&text=the film was good")
    page.locator(".heat .t").nth(2).click()
    expect(page.locator(".why [aria-current=step]")).to_contain_text("gpt2/1/3 on")
    page.reload()
    assert abs(shares(page)[-1]) == 100
    page.get_by_label("Text", exact=True).fill("the cat was bad")
    expect(page.locator(".why")).to_have_count(0)
    assert "why=" not in page.url


def test_escape_closes_the_answer_and_the_next_unit_begins_without_it(page, address):
    ask(page, address)
    page.keyboard.press("j")
    expect(page.locator("h1")).not_to_have_text("crate/1/3")
    assert "why=" not in page.url
    page.go_back()
    expect(page.locator(".parts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".why")).to_have_count(0)
    expect(page.locator(".heat").first).to_be_focused()


def test_escape_closes_what_lies_above_before_the_answer(page, address):
    ask(page, address)
    page.get_by_role("button", name="random-only").first.click()
    page.keyboard.press("Escape")
    expect(page.locator("#term-random-only")).to_be_hidden()
    page.keyboard.press("?")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)
    expect(page.locator(".parts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".why")).to_have_count(0)


def test_an_address_with_a_question_opens_at_its_answer(page, browser, address):
    ask(page, address)
    other = browser.new_page(viewport={"width": 390, "height": 850})
    other.goto(page.url)
    expect(other.get_by_role("heading", name="Why did it fire here?")).to_be_in_viewport()
    expect(other.locator(".words")).to_be_in_viewport(ratio=1)
    other.close()


@pytest.mark.parametrize("why", ["score.999999999.10.3", "nothing.0.10.3", "score.0.64.900"])
def test_an_address_of_text_that_is_not_there_says_so_and_the_page_stands(page, address, why):
    page.goto(f"{address}/crate/1/3?why={why}")
    expect(page.locator(".why").get_by_role("alert")).not_to_be_empty()
    expect(page.locator(".excerpt").first).to_be_visible()


def test_latents_are_taken_apart_with_what_their_autoencoder_misses(page, latents_study):
    with ready(latents_study, "crate%2Bsae-1x-k4") as address:
        ask(page, address, "crate%2Bsae-1x-k4/1/3")
        *parts, together = shares(page)
        assert abs(together) == 100 and sum(parts) == pytest.approx(together, abs=0.05 * len(parts))
        missed = page.locator(".parts li", has_text="misses").first
        missed.get_by_role("button", name="Turn off").click()
        expect(missed.locator(".off")).to_contain_text(re.compile("changes by .+, predicted .+"))


def test_units_that_feed_a_unit_are_listed_and_lead_there_and_back(page, address):
    page.goto(f"{address}/crate/1/3")
    fed_by = page.get_by_role("list", name="fed by")
    expect(fed_by.get_by_role("link")).to_have_count(10)
    name = fed_by.get_by_role("link").first.inner_text()
    fed_by.get_by_role("link").first.click()
    expect(page.locator("h1")).to_have_text(f"crate/{name}")
    expect(page.get_by_role("list", name="feeds").get_by_role("link")).to_have_count(10)


def test_hostile_tokens_stay_text(page, address):
    page.goto(f"{address}/try?model=crate&unit=0/3")
    page.get_by_label("Text", exact=True).fill("<img src=x onerror=alert(1)>\x1b good")
    expect(page.locator(".heat").first).to_contain_text("onerror")  # the heat of the new text, not of the one before
    page.locator(".heat .t").last.click()
    expect(page.locator(".words")).to_contain_text("onerror")
    expect(page.locator(".words")).to_contain_text("<U+001B>")
    assert page.locator("img").count() == 0


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1280), ("light", 390), ("dark", 390)])
def test_the_answer_fits_narrow_and_dark_screens(browser, address, shots, scheme, width):
    page = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=scheme)
    ask(page, address)
    expect(page.locator(".drawing svg")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".why").screenshot(path=shots / f"why-{scheme}-{width}.png")
    page.close()


def test_an_export_has_no_model_and_asks_nothing(page, study, tmp_path, quiet):
    export_study(study, tmp_path / "out", quiet, Choice(layer="crate/1"))
    page.goto((tmp_path / "out" / "index.html").as_uri() + "#/crate/1/3")
    page.locator(".heat .t").nth(3).click()
    expect(page.locator(".heat output").first).to_contain_text("activation")
    assert page.locator(".why, .hint, .connected").count() == 0
