"""What somebody keeps and hands over: bookmarks with notes, tables as files, an address, a picture of a unit."""

import csv
import io
import json
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from cratelm.viewer.chosen_units import Choice
from cratelm.viewer.static_pages import export_page
from tests.viewer.viewing import IN_BROWSER, client_of

pytestmark = IN_BROWSER


def saved(page: Page, button: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_a_bookmarked_unit_and_its_note_are_listed_kept_and_saved_as_files(page, address) -> None:
    for unit, note in (("crate/1/12", 'it "likes", films\n'), ("crate/1/3", "")):
        page.goto(f"{address}/{unit}")
        page.get_by_role("button", name="Bookmark", exact=True).click()
        page.get_by_label(f"Note on {unit}").fill(note.strip())
    page.reload()
    page.get_by_role("link", name="Notes (2)").click()
    assert page.locator(".notes li a").all_inner_texts() == ["crate/1/3", "crate/1/12"]
    rows = list(csv.DictReader(io.StringIO(saved(page, "Save as CSV"))))
    assert [(row["unit"], row["note"]) for row in rows] == [("crate/1/3", ""), ("crate/1/12", 'it "likes", films')]
    assert [row["unit"] for row in json.loads(saved(page, "Save as JSON"))["notes"]] == ["crate/1/3", "crate/1/12"]
    page.get_by_role("button", name="Remove crate/1/3").click()
    expect(page.get_by_role("link", name="Notes (1)")).to_be_visible()


def test_notes_belong_to_the_study_and_are_found_in_an_export_of_it(page, study, tmp_path, quiet) -> None:
    document = client_of(study).get("/api/study").json()
    export_page(study, tmp_path / "one.html", quiet, Choice(units="crate/1/3"))
    page.goto((tmp_path / "one.html").as_uri() + "#/crate/1/3")
    page.get_by_role("button", name="Bookmark", exact=True).click()
    assert page.evaluate("Object.keys(localStorage)").count(f"cratelm notes {document['id']}") == 1


def test_a_layers_list_is_saved_as_it_is_filtered_and_sorted(page, address) -> None:
    page.goto(f"{address}/gpt2/0?q=the&sort=fires")
    rows = list(csv.DictReader(io.StringIO(saved(page, "Save as CSV"))))
    shown = page.locator(".unit a").all_inner_texts()
    assert [row["unit"] for row in rows][: len(shown)] == [f"gpt2/0/{unit}" for unit in shown]
    assert page.locator(".filters output").inner_text().startswith(f"{len(rows)} of ")
    rates = [float(row["fires"]) for row in rows]
    assert rates == sorted(rates, reverse=True) and all(json.loads(row["top_tokens"]) for row in rows[:3])


def test_exactly_what_is_seen_is_copied_as_an_address(page, address) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{address}/crate/1/3?test=a%20film&half=explain")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{address}/crate/1/3?test=a%20film&half=explain"


SEEN = """() => [document.querySelector('main').innerText,
    ...[...document.querySelectorAll('main :is(input, select, textarea)')].map((box) => box.value)]"""


@pytest.mark.parametrize(
    ("path", "ready"),
    [
        (
            "crate/1/3?test=a%20film%20%26%20%23b&yours=film%2C%20%22was%20good%22%3D0.5&half=explain&by=table",
            ".own table",
        ),
        ("try?model=gpt2&unit=1/3&clamp=1/3%3D5&text=the%20film%0Awas&heat=0.8&seed=2", ".changes"),
        ("compare?a=crate/1/3&b=gpt2/0/5&text=a%20good%20film", ".own, .sides .heat"),
    ],
)
def test_a_copied_address_shows_somebody_else_the_same(page, browser, address, path, ready) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{address}/{path}")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    other = browser.new_page(viewport=page.viewport_size)
    other.goto(page.evaluate("navigator.clipboard.readText()"))
    for one in (page, other):
        one.locator(ready).first.wait_for(state="attached")
        expect(one.locator("[aria-busy=true]")).to_have_count(0)
    assert other.evaluate(SEEN) == page.evaluate(SEEN)
    other.close()


def test_the_address_of_the_longest_text_opens(page, address) -> None:
    text = "字" * 8000
    page.goto(f"{address}/try?{urlencode({'model': 'crate', 'text': text})}")
    expect(page.get_by_label("Text", exact=True)).to_have_value(text)


def test_a_unit_is_copied_as_a_picture_with_colour_where_it_fires(page, address) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{address}/crate/1/3")
    page.get_by_role("button", name="Copy picture").click()
    expect(page.get_by_role("button", name="Picture copied")).to_be_visible()
    found = page.evaluate("""async () => {
        const [item] = await navigator.clipboard.read();
        const picture = await createImageBitmap(await item.getType("image/png"));
        const canvas = new OffscreenCanvas(picture.width, picture.height), context = canvas.getContext("2d");
        context.drawImage(picture, 0, 0);
        const { data } = context.getImageData(0, 0, picture.width, picture.height);
        let orange = 0;
        for (let at = 0; at < data.length; at += 4) orange += data[at] > 200 && data[at + 2] < data[at] - 60;
        return [picture.width, picture.height, orange];
    }""")
    assert found[0] == 1760 and found[1] > 400 and found[2] > 500


def test_the_notes_page_says_how_to_begin(page, address) -> None:
    page.goto(f"{address}/notes")
    expect(page.locator("main")).to_contain_text(re.compile("There are none"))
