"""The report's contents, its landmarks and its captions."""

import re

from cratelm.report.contents import HERE, with_contents


def test_every_section_of_the_report_is_in_its_contents_and_every_link_leads_to_one(study) -> None:
    page = (study / "report" / "report.html").read_text(encoding="utf-8")
    sections = re.findall(r'<h2 id="([^"]+)">', page)
    (contents,) = re.findall(r'<nav class="contents".*?</nav>', page, re.DOTALL)
    assert re.findall(r'href="#([^"]+)"', contents) == sections and len(set(sections)) == len(sections) > 8
    assert page.count("<h2") == len(sections) and page.count("<main>") == page.count("</main>") == 1


def test_every_table_has_a_caption_every_figure_too_and_the_viewers_command_is_named(study) -> None:
    page = (study / "report" / "report.html").read_text(encoding="utf-8")
    assert page.count("<table>") == page.count("<caption>") > 5
    assert page.count("<figure>") == page.count("<figcaption>") >= 3
    assert "cratelm view STUDY" in page


def test_a_heading_that_data_imitates_is_no_section() -> None:
    page = with_contents(f"{HERE}<h2>One</h2><p>&lt;h2&gt;Two&lt;/h2&gt;</p>")
    assert page.count("href") == 1 and '<h2 id="one">' in page
