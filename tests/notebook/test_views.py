"""The notebook's views: nothing of the data can act, nothing is fetched, and numbers are those of the study."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cratelm
from cratelm.interface.excerpt import Excerpt
from cratelm.interface.opened_unit import Unit
from cratelm.notebook.activations_view import activations_view
from cratelm.notebook.study_view import study_view
from cratelm.notebook.style import CLASSES, style_sheet
from cratelm.report.headline import headline

VOID = {"br", "img", "input", "link", "meta", "hr"}
ACTS = {"script", "iframe", "img", "link", "object", "embed", "form", "a", "button", "input", "base", "meta"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></section><b onmouseover=alert(1)>",
    "&lt;b&gt;",
    "\u202eevil\u0000\x1b[31m",
    "' onclick='x",
    "\n\t",
]


class Page(HTMLParser):
    """The elements, their attributes and their text; refuses elements that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def require_harmless(html: str) -> Page:
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag not in ACTS, tag
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "href", "xlink:href")]
    assert "url(" not in style_sheet() and "@import" not in style_sheet() and "http" not in style_sheet()
    return page


def hostile_unit(texts: list[str]) -> Unit:
    values = np.arange(1, len(texts) + 1, dtype=np.float32)
    excerpt = Excerpt("score", "top", None, 3, texts, values, {texts[0]: values.astype(np.float64)})
    numbers = dict.fromkeys(("firing_rate", "maximum", "mean", "token_share", "position_share"), 0.5)
    row = {"explainer": texts[0], "metric": texts[0], "score": 0.5, "low": None, "high": None, "status": texts[0]}
    known = {
        "site": texts[0],
        "statistics": {"explain": numbers | {"histogram": [1, 2]}, "score": numbers | {"histogram": [1, 2]}},
        "explanations": {texts[0]: texts[-1]},
        "scores": [row],
        "logits": {"raised": texts, "lowered": texts, "raised_by": values.tolist(), "lowered_by": values.tolist()},
    }
    return Unit(texts[0], known, (excerpt,))


@given(st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20)), min_size=1, max_size=6))
def test_no_token_explanation_or_name_can_act_in_a_unit(texts: list[str]) -> None:
    require_harmless(hostile_unit(texts)._repr_html_())


@given(st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20)), min_size=1, max_size=6))
def test_no_token_can_act_in_activations(texts: list[str]) -> None:
    require_harmless(activations_view(texts, [(texts[0], [1.0] * len(texts))]))


def test_control_and_direction_characters_are_shown_by_number() -> None:
    page = require_harmless(activations_view(["\u202eevil\x1b"], [("0/1", [1.0])]))
    assert "<U+202E>evil<U+001B>" in page.text and "\u202e" not in page.text


def test_no_name_can_act_in_a_study(opened_study: cratelm.OpenedStudy) -> None:
    from cratelm.viewer.overview import study_document

    document = study_document(opened_study._study, None)
    evil = HOSTILE[1]
    report = document["report"] | {"note": evil}
    report["rows"] = [row | {"model": evil, "metric": evil} for row in report["rows"]]
    report["models"] = [row | {"model": evil} for row in report["models"]]
    require_harmless(study_view(document | {"name": evil, "report": report, "headline": [evil]}))


def test_a_study_shows_every_row_and_its_endpoint(opened_study: cratelm.OpenedStudy) -> None:
    page = require_harmless(opened_study._repr_html_())
    rows = opened_study.comparison["rows"]
    assert sum(tag == "tr" for tag, _ in page.elements) == len(rows) + 1
    for row in rows:
        assert f"{row['score']['mean']:.3f}".replace("-", "−") in page.text
    assert all(sentence in page.text for sentence in headline(opened_study.comparison))
    circles = sum(tag == "circle" for tag, _ in page.elements)
    assert circles == 2 * sum(row["layer"] != "all" for row in rows)  # each with the network before training


def test_a_units_colours_are_shares_of_its_highest_activation(opened_study: cratelm.OpenedStudy) -> None:
    unit = opened_study.unit("crate/0/3")
    page = require_harmless(unit._repr_html_())
    shares = [float(found[1]) for _, a in page.elements if (found := re.match(r"--a:([\d.]+)", a.get("style") or ""))]
    highest = max(one.activations.max() for one in unit.excerpts(half="score"))
    first = unit.excerpts("top", half="score")[0].activations / highest
    assert shares[: len(first)] == pytest.approx(first.clip(0).tolist(), abs=6e-4)
    assert all(0 <= share <= 1 for share in shares)


def test_a_unit_that_never_fired_is_shown_without_excerpts() -> None:
    unit = hostile_unit(["a"])
    dead = Unit(unit.address, unit._known | {"logits": None, "scores": []}, ())
    assert "it never fires there" in require_harmless(dead._repr_html_()).text


def test_every_figure_and_every_excerpt_says_in_words_what_it_shows(opened_study: cratelm.OpenedStudy) -> None:
    for html in (opened_study._repr_html_(), opened_study.unit("crate/0/3")._repr_html_()):
        for tag, attributes in Page(html).elements:
            if tag == "svg":
                assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
            if attributes.get("class") == "heat":
                assert "highest activation" in (attributes["aria-label"] or "")


def test_rules_come_from_the_viewers_style_sheet_and_hold_in_the_output_alone() -> None:
    viewer = (Path(cratelm.__file__).parent / "viewer/static/app.css").read_text(encoding="utf-8")
    sheet = style_sheet()
    for name in ("--hot", "--cool", "--c0", "--paper"):
        assert set(re.findall(rf"{name}: [^;]+;", sheet)) == set(re.findall(rf"{name}: [^;]+;", viewer)) != set()
    selectors = re.findall(r"([^{}]+)\{", sheet.replace("<style>", ""))
    outside = [one for one in ",".join(selectors).split(",") if ".cratelm.cratelm" not in one and "@media" not in one]
    assert [one for one in outside if "vscode" not in one and "jp-theme" not in one] == []


def test_every_class_that_a_view_uses_has_its_rules(opened_study: cratelm.OpenedStudy) -> None:
    html = opened_study._repr_html_() + opened_study.unit("crate/0/3")._repr_html_()
    used = {name for _, attributes in Page(html).elements for name in (attributes.get("class") or "").split()}
    assert used - {"cratelm", "c0"} <= CLASSES  # a swatch has the first colour by itself
