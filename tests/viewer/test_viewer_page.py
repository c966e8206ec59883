"""The viewer's pages in a real browser: what stands on them, by mouse and by keyboard, served and exported.

Screenshots of each page lie in the folder that CRATELM_SCREENSHOTS names, or else in pytest's own.
"""

import json
import re
import shutil
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from cratelm.artifacts import open_artifact
from cratelm.records.store import read_excerpts
from cratelm.viewer.chosen_units import Choice
from cratelm.viewer.static_pages import export_page, export_study
from tests.llm_server import StandIn
from tests.viewer.viewing import IN_BROWSER, viewer

pytestmark = IN_BROWSER


def test_a_newcomer_gets_from_the_study_to_a_steered_sentence_by_what_the_screen_says(page, address, shots):
    page.goto(address)
    expect(page.locator("table caption")).to_contain_text("Mean scores")
    page.screenshot(path=shots / "study.png")
    page.get_by_role("link", name="layer 1").first.click()
    expect(page).to_have_url(f"{address}/crate/1")
    expect(page.get_by_role("table")).to_be_visible()
    page.screenshot(path=shots / "layer.png")
    page.locator(".unit").first.click()
    expect(page.locator(".excerpt").first).to_be_visible()
    page.screenshot(path=shots / "unit.png")
    page.get_by_role("link", name="Turn it up").click()
    page.get_by_role("button", name="5 × max").click()
    expect(page.locator(".steered mark")).not_to_be_empty()
    expect(page.locator(".changes").first.locator("tbody tr")).to_have_count(10)
    page.screenshot(path=shots / "try.png")
    page.go_back()
    expect(page.locator("h1")).to_contain_text("crate/1/")


def test_a_list_sorts_filters_and_keeps_its_order_by_keys_and_address(page, address):
    page.goto(f"{address}/crate/0")
    first = page.locator(".unit span").first
    expect(page.locator(".unit").first).to_be_visible()
    best = first.inner_text()
    page.get_by_role("button", name="score ↓").click()
    expect(page).to_have_url(f"{address}/crate/0?sort=score&order=up")
    expect(first).not_to_have_text(best)
    page.keyboard.press("/")
    page.keyboard.type("no such words")
    expect(page.get_by_text("No unit matches.")).to_be_visible()
    page.goto(f"{address}/crate/0?sort=unit")
    expect(first).to_have_text("0")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("crate/0/1")
    page.keyboard.press("j")
    expect(page).to_have_url(f"{address}/crate/0/2?sort=unit")
    page.keyboard.press("k")
    expect(page.locator("h1")).to_have_text("crate/0/1")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


def test_tokens_say_their_numbers_on_hover_and_on_focus(page, address):
    page.goto(f"{address}/crate/0/3")
    heat = page.locator(".heat").first
    heat.locator(".t").nth(4).hover()
    expect(heat.locator("output")).to_contain_text("activation")
    heat.focus()
    before = heat.locator("output").inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(heat.locator("output")).not_to_have_text(before)


def test_an_explanation_of_ones_own_is_scored(page, address):
    page.goto(f"{address}/crate/0/3")
    page.get_by_label("Words that it fires on").fill("film good=0.5 nowhereatall")
    page.keyboard.press("Enter")
    expect(page.locator(".own .scores")).to_contain_text("random-only")
    expect(page.get_by_text(re.compile("Your explanation (beats|does not beat|equals) table"))).to_be_visible()
    expect(page.get_by_text("scored excerpts has “nowhereatall”")).to_be_visible()
    expect(page).to_have_url(f"{address}/crate/0/3?yours=film+good%3D0.5+nowhereatall")
    expect(page.get_by_role("button", name="by yours")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Words that it fires on")).to_be_focused()  # so the next words can be typed
    page.keyboard.press("Escape")
    page.get_by_role("link", name="next →").click()
    expect(page).not_to_have_url(re.compile("yours"))  # another unit's explanation is another


@pytest.mark.parametrize("text", ["", "word " * 2000], ids=["empty", "too long"])
def test_nothing_of_another_text_is_shown_for_one_that_the_model_cannot_read(page, address, text):
    page.goto(f"{address}/try?model=crate&unit=1/3&clamp=1/3%3D5&text=the%20film")
    expect(page.locator(".changes").first).to_be_visible()
    page.get_by_label("Text", exact=True).fill(text)
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(page.locator(".heat, .firing, .said, .changes")).to_have_count(0)
    page.get_by_label("Text", exact=True).fill("the cat")
    expect(page.locator(".heat")).to_contain_text("cat")
    expect(page.locator(".said dd").first).to_contain_text("the cat")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_text_that_a_box_cuts_is_said_to_be_cut(page, address):
    page.goto(f"{address}/crate/1/3")
    page.get_by_label("Does it fire on your sentence?").fill("a" * 20_000)
    expect(page.get_by_text("This box holds 1,000 characters")).to_be_visible()
    page.get_by_label("Does it fire on your sentence?").fill("film")
    expect(page.get_by_text("This box holds 1,000 characters")).to_have_count(0)


def test_a_page_without_its_server_says_what_to_do_and_goes_on_when_it_is_back(page, address):
    page.goto(f"{address}/crate/1/3?test=film")
    expect(page.locator(".own .heat")).to_be_visible()
    page.context.set_offline(True)
    page.get_by_label("Does it fire on your sentence?").fill("good")
    expect(page.locator(".own").get_by_role("alert")).to_contain_text("the server does not answer. Start it again")
    page.context.set_offline(False)
    page.get_by_label("Does it fire on your sentence?").fill("bad")
    expect(page.locator(".own .heat")).to_contain_text("bad")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_units_judged_by_a_language_model_that_failed_its_puzzles_are_shown_with_its_mark(page, judged_study):
    with viewer(judged_study) as address:
        page.goto(f"{address}/crate/0")
        page.get_by_label("explainer").select_option("llm")
        expect(page.get_by_label("explainer").locator("option:checked")).to_have_text("llm (FAILS)")
        page.get_by_label("show").select_option("scored")
        expect(page.get_by_text("the truth is first in")).to_be_visible()
        page.locator(".unit").first.click()
        expect(page.locator(".explanations")).to_contain_text("llm (FAILS)")
        expect(page.locator(".scores")).to_contain_text("llm (FAILS)")


def test_the_autoencoders_error_is_left_out_by_a_box_that_the_address_keeps(page, latents_study):
    with viewer(latents_study) as address:
        # What is shown has three digits, which may be the same with the error and without it.
        with page.expect_response("**/api/try/steer") as kept:
            page.goto(f"{address}/try?model=crate%2Bsae-1x-k4&unit=1/3&clamp=1/3%3D5")
        with page.expect_response("**/api/try/steer") as left_out:
            page.get_by_label("without the autoencoder").check()
        assert left_out.value.json()["divergence"] != kept.value.json()["divergence"]
        expect(page.get_by_text(f"{left_out.value.json()['divergence']:.3f} nats")).to_be_visible()
        page.reload()
        expect(page.get_by_label("without the autoencoder")).to_be_checked()
        page.get_by_label("model").select_option("crate")
        expect(page.get_by_label("without the autoencoder")).to_have_count(0)


def test_text_of_data_stays_text(page, address):
    hostile = "<img src=x onerror=alert(1)><script>document.title='owned'</script>\u202e\x1b[31m"
    page.on("dialog", lambda dialog: pytest.fail("a script of the data ran"))
    page.goto(f"{address}/try?model=crate&unit=0/3")
    page.get_by_label("Text", exact=True).fill(hostile)
    expect(page.locator(".heat").first).to_contain_text("onerror")
    expect(page.locator(".heat").first).to_contain_text("<U+001B>")
    assert page.locator("img").count() == 0 and page.title() != "owned"


def test_records_and_explanations_that_hold_markup_stay_text(page, study, tmp_path):
    hostile = "<img src=x onerror=document.title='owned'>"
    copy = shutil.copytree(study, tmp_path / "study")
    stored = read_excerpts(open_artifact(study / "records" / "crate", "records"), 0, "score", "top", [3])
    token = int(np.bincount(stored.tokens.ravel()).argmax())
    file = copy / "records" / "crate" / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    names = {number: name for name, number in vocabulary.items()} | {token: hostile.replace(" ", "\u0120")}
    tokenizer["model"] |= {"vocab": {name: number for number, name in names.items()}, "merges": []}
    file.write_text(json.dumps(tokenizer))
    sentences = copy / "explanations" / "crate" / "sentences-0.parquet"
    table = pq.read_table(sentences)
    said = pa.array([hostile] * len(table))
    pq.write_table(table.set_column(table.column_names.index("table"), "table", said), sentences)
    with viewer(copy) as address:
        for path in ("crate/0/3", "crate/0", "try?model=crate&unit=0/3"):
            page.goto(f"{address}/{path}")
            expect(page.locator("main")).to_contain_text(hostile)
            assert page.locator("img").count() == 0 and "owned" not in page.title()
        page.goto(f"{address}/crate/0/3")
        expect(page.locator(".heat .t", has_text=hostile).first).to_be_visible()


def test_a_sentence_is_read_by_the_judge_that_was_named_and_the_page_says_how_to_name_one(
    page, study, address, tmp_path
):
    page.goto(f"{address}/crate/0/3")
    expect(page.get_by_text("cratelm view STUDY --llm")).to_be_visible()
    server = StandIn(word="film")
    with viewer(study, "--llm", server.url, "--answers", str(tmp_path / "answers.sqlite")) as judged:
        page.goto(f"{judged}/crate/0/3")
        page.get_by_label("A sentence that says").fill("films")
        page.get_by_role("button", name="Let it read").click()
        expect(page.locator(".own .scores")).to_contain_text("random-only")
        expect(page.get_by_text("5 excerpts read; all answers could be used")).to_be_visible()
        assert server.url not in page.content()
    server.shutdown()


@pytest.mark.parametrize("path", ["nobody/0/0", "crate/9", "crate/0/999", "a/b/c/d"])
def test_an_address_that_leads_nowhere_says_so(page, address, path):
    page.goto(f"{address}/{path}")
    expect(page.get_by_role("alert")).to_contain_text("nothing of that name")


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1360), ("light", 420), ("dark", 420)])
def test_pages_fit_narrow_and_dark_screens(browser, address, shots, scheme, width):
    page = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=scheme)
    for name, path in (("study", ""), ("layer", "crate/1"), ("unit", "crate/1/3"), ("try", "try?model=crate&unit=1/3")):
        page.goto(f"{address}/{path}")
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        page.screenshot(path=shots / f"{name}-{scheme}-{width}.png")
    page.close()


def test_an_export_opens_from_the_disk_without_a_server_and_shows_what_the_server_shows(
    page, address, study, tmp_path, quiet
):
    export_study(study, tmp_path / "out", quiet, Choice(layer="crate/0", controls=True))
    page.goto((tmp_path / "out" / "index.html").as_uri())
    page.get_by_role("link", name="layer 0").first.click()
    page.locator(".unit").first.click()
    expect(page.locator(".excerpt").first).to_be_visible()
    expect(page.locator(".neighbours li").first).to_be_visible()
    exported, where = shown(page), page.url.partition("#")[2]
    page.go_back()
    expect(page.get_by_role("table")).to_be_visible()
    assert "#/crate/0" in page.url
    page.goto(address + where)
    expect(page.locator(".neighbours li").first).to_be_visible()
    assert shown(page) == exported


def test_a_zip_unpacked_elsewhere_finds_units_and_explains_words_without_a_network(page, study, tmp_path, quiet):
    export_study(study, tmp_path / "study.zip", quiet, zipped=True)
    with zipfile.ZipFile(tmp_path / "study.zip") as archive:
        archive.extractall(tmp_path / "elsewhere")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "elsewhere" / "study" / "index.html").as_uri())
    page.get_by_label("Find units in the whole study").fill("good")
    page.keyboard.press("Enter")
    page.locator(".hits a").first.click()
    expect(page.locator(".excerpt .heat").first).to_be_visible()
    page.locator(".home").click()
    expect(page.get_by_role("link", name=re.compile("a text"))).to_have_count(0)  # that needs a model
    page.locator(".lead").get_by_role("button", name="random-only").click()
    expect(page.locator("#term-random-only")).to_be_visible()
    assert asked and all(url.startswith("file:") for url in asked)


def shown(page: Page) -> list[str]:
    """A unit's texts, scores and correlations of excerpts (to one digit: an export rounds activations)."""
    texts = page.locator(".explanations, .scores, .facts, .neighbours, .excerpt .heat").all_inner_texts()
    correlations = page.locator(".excerpt .meta span[title*=Pearson]").all_inner_texts()
    return [*texts, *(f"{float(text.removeprefix('r ').replace('−', '-')):.1f}" for text in correlations)]


def test_one_file_holds_chosen_units_and_opens_from_the_disk(page, study, tmp_path, quiet):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    export_page(study, tmp_path / "one.html", quiet, Choice(units="crate/1/3,gpt2/0/40"))
    page.goto((tmp_path / "one.html").as_uri())
    page.get_by_role("link", name="layer 1").first.click()
    expect(page.locator(".unit")).to_have_count(1)
    page.locator(".unit").first.click()
    expect(page.locator(".excerpt .heat").first).to_be_visible()
    expect(page.locator("h1")).to_have_text("crate/1/3")
    page.locator(".neighbours a").first.click()
    expect(page.get_by_role("alert")).to_contain_text("not in the export")
    assert not [url for url in asked if not url.startswith(("file:///tmp", "data:"))] and len(asked) <= 2
