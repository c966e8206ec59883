"""What a newcomer wants, each in at most three clicks or one typed line: find, compare, test, and understand a word."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.viewer.viewing import IN_BROWSER

pytestmark = IN_BROWSER


def typed(page: Page, words: str) -> None:
    page.get_by_label("Find units in the whole study").fill(words)
    page.keyboard.press("Enter")


def test_a_search_from_any_page_counts_units_in_every_layer_as_the_layers_lists_do(page, address) -> None:
    page.goto(f"{address}/crate/0/3")
    typed(page, "the")
    counts = page.locator(".counts span")
    expect(counts).to_have_count(4)
    for place in ("crate / layer 0", "gpt2 / layer 1"):
        count = re.match(r"\d+", counts.filter(has_text=place).inner_text())
        assert count is not None
        model, _, layer = place.partition(" / layer ")
        page.goto(f"{address}/{model}/{layer}?q=the")
        expect(page.locator(".filters output")).to_have_text(re.compile(rf"^{count.group()} of "))
        page.go_back()


def test_a_narrow_screen_shows_the_top_tokens_that_a_search_found(page, address) -> None:
    page.set_viewport_size({"width": 390, "height": 850})
    page.goto(address)
    typed(page, "good")
    expect(page.locator(".hits .tokens b").first).to_be_in_viewport(ratio=1)


def test_a_search_lists_units_near_in_meaning_after_those_that_have_the_words(page, address) -> None:
    pytest.importorskip("wordllama", reason="the extra `search` has the embedding")
    page.goto(address)
    typed(page, "good")
    near = page.get_by_label("Units near in meaning")
    expect(near.locator("tbody tr").first).to_be_visible()
    listed = near.locator("tbody a").all_inner_texts()
    by_layer = [re.match(r"\d+", text) for text in near.locator(".counts span").all_inner_texts()]
    assert sum(int(one.group()) for one in by_layer if one) == len(listed) > 0
    page.goto(f"{address}/crate/1?q=good")
    expect(page.locator(".filters output")).to_contain_text("of")
    with_the_word = {f"crate/1/{text}" for text in page.locator(".unit a").all_inner_texts()}
    assert with_the_word.isdisjoint(listed)


def test_the_scatter_shows_reach_where_it_was_measured_and_the_address_keeps_it(page, address) -> None:
    page.goto(address)
    page.get_by_label("From left to right").select_option("reach")
    expect(page).to_have_url(f"{address}/?x=reach")
    title = page.locator(".scatter circle title").first.text_content() or ""
    unit, reach = re.match(r"(\S+): .* reach (.+)$", title).groups()  # type: ignore[union-attr]
    page.goto(f"{address}/{unit}")
    expect(page.locator(".facts")).to_contain_text(reach)


def test_a_search_that_finds_nothing_leads_to_its_words_as_a_text(page, address) -> None:
    page.goto(address)
    typed(page, "zzz qqq")
    # With the extra `search` there is a second list, of units near in meaning.
    expect(page.locator(".counts").first).to_contain_text("0 in gpt2 / layer 0")
    page.get_by_role("link", name="See which units fire on").click()
    expect(page.get_by_label("Text", exact=True)).to_have_value("zzz qqq")


def test_a_way_in_lists_units_and_surprise_opens_one(page, address) -> None:
    page.goto(address)
    page.get_by_role("link", name="fires on the start of a sentence").click()
    expect(page.locator("h1")).to_contain_text("start of a sentence")
    page.get_by_role("button", name="surprise me").click()
    expect(page.locator("h1")).to_have_text(re.compile(r"^(crate|gpt2)/\d/\d+$"))


def test_a_point_of_the_scatter_opens_its_unit(page, address) -> None:
    page.goto(address)
    point = page.locator(".scatter circle").first
    name = point.locator("title").text_content()
    point.click(force=True)
    expect(page.locator("h1")).to_have_text(re.compile(r"^(crate|gpt2)/\d/\d+$"))
    assert name is not None


def test_model_and_layer_menus_keep_what_was_looked_for(page, address) -> None:
    page.goto(f"{address}/crate/1?q=the&metric=anthropic&sort=fires")
    page.get_by_label("Model").select_option("gpt2")
    expect(page).to_have_url(f"{address}/gpt2/1?q=the&metric=anthropic&sort=fires")
    page.get_by_label("Layer", exact=True).select_option("0")
    expect(page).to_have_url(f"{address}/gpt2/0?q=the&metric=anthropic&sort=fires")


def test_a_pinned_unit_is_compared_with_another_on_one_sentence(page, address) -> None:
    page.goto(f"{address}/crate/1/3")
    page.get_by_role("button", name="Pin", exact=True).click()
    page.goto(f"{address}/gpt2/0/5")
    page.get_by_role("button", name="Compare with crate/1/3").click()
    expect(page.locator("h1")).to_have_text("crate/1/3 and gpt2/0/5")
    page.get_by_label("Type one sentence").fill("a film")
    expect(page.locator(".sides").get_by_label("Your text")).to_have_count(2)
    expect(page).to_have_url(re.compile("text=a\\+film"))  # so what is seen can be sent to somebody


def test_a_browser_without_storage_keeps_a_pin_until_the_page_is_loaded_again(page, address) -> None:
    page.add_init_script("Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('none'); } })")
    page.goto(f"{address}/crate/1/3")
    page.get_by_role("button", name="Pin", exact=True).click()
    page.get_by_role("link", name="next →").click()
    expect(page.get_by_role("button", name="Compare with crate/1/3")).to_be_visible()


def test_the_best_units_of_both_models_are_one_click_away(page, address) -> None:
    page.goto(address)
    page.get_by_role("link", name="Compare the best unit of each model").click()
    expect(page.locator(".sides > section")).to_have_count(2)
    expect(page.locator(".sides .scores").first).to_contain_text("random-only")


def test_two_layers_are_compared_from_the_table_with_the_difference_that_the_table_shows(page, address) -> None:
    page.goto(address)
    row = page.locator(".means tr", has=page.get_by_text("layer 1", exact=True)).filter(has_text="gpt2").first
    difference = row.locator("td").nth(3)
    numbers = difference.inner_text().removeprefix("crate − gpt2").strip()
    difference.get_by_role("link").click()
    expect(page.locator("h1")).to_have_text("crate, layer 1 and gpt2, layer 1")
    expect(page.locator(".means tbody tr").first.locator("td").last).to_have_text(numbers)
    best = [float(text) for text in page.locator(".best").first.locator(".n").all_inner_texts()]
    assert len(best) == 10 and best == sorted(best, reverse=True)
    page.get_by_label("metric", exact=True).select_option("anthropic")
    expect(page).to_have_url(re.compile("metric=anthropic"))


def test_what_cannot_be_compared_says_so(page, address) -> None:
    page.goto(f"{address}/compare?a=crate/1&b=gpt2/0/5")
    expect(page.get_by_role("alert")).to_contain_text("two units, two layers or two models")


def test_a_unit_is_tested_on_a_sentence_without_leaving_its_page(page, address) -> None:
    page.goto(f"{address}/crate/1/3")
    page.get_by_label("Does it fire on your sentence?").fill("a good film")
    expect(page.locator(".own .heat")).to_contain_text("film")
    expect(page.locator("h1")).to_have_text("crate/1/3")


def test_a_word_opens_its_meaning_by_the_keyboard_and_leads_to_the_glossary(page, address) -> None:
    page.goto(f"{address}/crate/1/3")
    page.get_by_role("button", name="random-only").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#term-random-only")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#term-random-only")).to_be_hidden()
    page.get_by_role("button", name="random-only").first.click()
    page.locator("#term-random-only").get_by_role("link").click()
    expect(page.locator(".glossary .here")).to_contain_text("random excerpts")


def test_the_sentence_at_the_top_explains_random_only(page, address) -> None:
    page.set_viewport_size({"width": 390, "height": 850})
    page.goto(address)
    page.locator(".lead").get_by_role("button", name="random-only").click()
    expect(page.locator("#term-random-only")).to_be_in_viewport(ratio=1)
    expect(page.locator("#term-random-only")).to_contain_text("five random excerpts")


def test_going_back_restores_the_list_and_a_new_page_has_its_heading_in_focus_and_its_name_in_the_title(
    page, address
) -> None:
    page.goto(f"{address}/crate/0")
    expect(page.locator(".unit").first).to_be_visible()
    page.locator(".rows").evaluate("rows => { rows.scrollTop = 500 }")
    page.locator(".unit", has_text=re.compile(r"^\d")).nth(20).click()
    expect(page.locator("h1")).to_be_focused()
    expect(page).to_have_title(re.compile(r"^crate/0/\d+ – .+ – cratelm$"))
    page.go_back()
    expect(page.locator(".selected")).to_have_count(1)
    assert page.locator(".rows").evaluate("rows => rows.scrollTop") == 500


def test_a_number_with_leading_zeros_is_the_same_unit(page, address) -> None:
    page.goto(f"{address}/crate/00/003")
    expect(page.locator("h1")).to_have_text("crate/0/3")
    page.goto(f"{address}/compare?a=crate/01/3&b=gpt2/0/05")
    expect(page.locator(".sides .scores")).to_have_count(2)


def test_one_long_word_fits_the_screen(page, address) -> None:
    page.set_viewport_size({"width": 390, "height": 850})
    for path in ("find", "crate/1"):
        page.goto(f"{address}/{path}?q={'x' * 200}")
        expect(page.get_by_text("No explanation and no top token has these words")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_a_wrong_number_says_the_range(page, address) -> None:
    page.goto(f"{address}/crate/0/999")
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"units 0 to \d+"))
    page.goto(f"{address}/crate/9")
    expect(page.get_by_role("alert")).to_contain_text("layers 0 to 1")
