"""The glossary: every word that a table shows is in it, and the page of the documentation is written from it."""

import re
from pathlib import Path

import pytest

from cratelm.explain.registry import EXPLAINERS
from cratelm.report.glossary import glossary, glossary_page, term_button
from cratelm.score.registry import METRICS
from cratelm.score.scored import STATUS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", [*METRICS, *EXPLAINERS, *STATUS[1:]])
def test_every_metric_explainer_and_status_is_explained(name) -> None:
    assert glossary()[name].says


def test_a_meaning_is_one_or_a_few_plain_sentences() -> None:
    for term in glossary().values():
        assert term.says.endswith(".") and len(term.says) <= 240, term.name


def test_every_term_leads_to_a_heading_of_the_documentation() -> None:
    for term in glossary().values():
        page, _, heading = term.more.partition("#")
        headings = re.findall(r"^#+ (.+)$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert not heading or heading in {line.lower().replace(" ", "-") for line in headings}, term.name


def test_the_page_in_the_documentation_is_what_the_glossary_says() -> None:
    told = "Write it again: python -m cratelm.report.glossary > docs/glossary.md"
    assert (DOCS / "glossary.md").read_text(encoding="utf-8") == glossary_page(), told


def test_a_word_opens_its_meaning_and_a_foreign_word_is_plain_escaped_text() -> None:
    assert 'popovertarget="term-token-share"' in term_button("token share")
    assert term_button("<their metric>") == "&lt;their metric&gt;"


def test_every_word_of_a_report_that_opens_a_meaning_has_one_on_the_page(study) -> None:
    page = (study / "report" / "report.html").read_text(encoding="utf-8")
    asked = set(re.findall(r'popovertarget="([^"]+)"', page))
    assert {"term-random-only", "term-token-share", "term-ceiling"} <= asked
    assert asked <= set(re.findall(r'<div popover id="([^"]+)"', page))
