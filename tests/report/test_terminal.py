"""The final tables in the terminal: they fit it, nothing of them is cut, and the first lines say who scores higher."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from cratelm.artifacts import open_unhashed
from cratelm.report import fitted_table
from cratelm.report.fitted_table import Column, fitted, print_text
from cratelm.report.headline import headline
from cratelm.report.means import print_means
from cratelm.report.terminal import print_table

WIDTHS = (80, 100, 160)
HEADINGS = ("model", "layer", "mean [95%]", "graph", "rules", "shuffled", "random", "weights", "ceiling", "dead")


def printed(study: Path, width: int, monkeypatch, capsys) -> str:
    monkeypatch.setattr(fitted_table, "PIPE", width)
    print_table(open_unhashed(study / "report", "report"), as_json=False)
    return capsys.readouterr().out


def interval(value: dict[str, float]) -> str:
    return f"{value['mean']:z.3f} [{value['low']:z.3f}, {value['high']:z.3f}]"


@pytest.mark.parametrize("width", WIDTHS)
def test_tables_of_a_study_fit_the_terminal_with_every_heading_and_every_interval_whole(
    study, width, monkeypatch, capsys
) -> None:
    text = printed(study, width, monkeypatch, capsys)
    table = json.loads((study / "report" / "table.json").read_text())
    assert max(map(cell_len, text.splitlines())) <= width
    for heading in HEADINGS:
        assert re.search(rf"(?<!\S){re.escape(heading)}(?!\S)", text), heading
    for row in table["rows"]:
        assert re.search(rf"^ {row['model']} +{row['layer']} +{re.escape(interval(row['score']))}", text, re.MULTILINE)
    for row in table["differences"]:
        if row["explainer"] == "table" and row["metric"] in {shown["metric"] for shown in table["rows"]}:
            assert interval(row["difference"]) in text
    for row in table["models"]:
        assert interval(row["validation_loss"]) in text


@pytest.mark.parametrize("width", WIDTHS)
def test_tables_with_long_names_of_models_fit_the_terminal(latents_study, width, monkeypatch, capsys) -> None:
    text = printed(latents_study, width, monkeypatch, capsys)
    rows = json.loads((latents_study / "report" / "table.json").read_text())["rows"]
    assert max(map(cell_len, text.splitlines())) <= width
    for row in rows:
        assert re.search(
            rf"^ {re.escape(row['model'])} +{row['layer']} +{re.escape(interval(row['score']))}", text, re.M
        )


@pytest.mark.parametrize("width", WIDTHS)
def test_means_of_a_recording_fit_the_terminal(study, width, monkeypatch, capsys) -> None:
    monkeypatch.setattr(fitted_table, "PIPE", width)
    stages = (open_unhashed(study / stage / "crate", stage) for stage in ("scores", "records"))
    print_means(*stages, as_json=False)
    text = capsys.readouterr().out
    assert max(map(cell_len, text.splitlines())) <= width
    assert "metric" in text and "mean [95%]" in text and "one-sided, %" in text


def test_the_first_lines_say_who_scores_higher_and_the_page_and_the_viewer_say_the_same(
    study, monkeypatch, capsys
) -> None:
    table = json.loads((study / "report" / "table.json").read_text())
    sentences = headline(table)
    assert " ".join(printed(study, 100, monkeypatch, capsys).split()).startswith(" ".join(sentences))
    page = (study / "report" / "report.html").read_text()
    assert all(sentence.replace("'", "&#39;") in page for sentence in sentences)


def table_of(
    difference: tuple[float, float, float], losses: Any, shares: tuple[float, float], tokens: int = 5_000_000
) -> dict[str, Any]:
    names, keys = ("crate", "gpt2"), ("mean", "low", "high")
    row = {"model": "crate", "rival": "gpt2", "metric": "random-only", "primary": True}
    return {
        "differences": [row | {"difference": dict(zip(keys, difference, strict=True))}],
        "models": [
            {"model": name, "tokens": tokens, "validation_loss": dict(zip(keys, loss, strict=True))}
            for name, loss in zip(names, losses, strict=True)
        ],
        "rows": [
            {"model": name, "layer": "all", "metric": "random-only", "token_share": share}
            for name, share in zip(names, shares, strict=True)
        ],
    }


WORSE, BETTER = (4.97, 4.95, 4.99), (4.69, 4.67, 4.71)


def test_the_headline_has_the_difference_its_interval_and_what_else_differs() -> None:
    assert headline(table_of((0.058, 0.036, 0.080), (WORSE, BETTER), (0.96, 0.82)))[:3] == [
        "crate's units score 0.058 [0.036, 0.080] higher than gpt2's.",
        "crate predicts the text worse (4.97 against 4.69 nats per token), and its units depend more on the current "
        "token alone (token share 0.96 against 0.82).",
        "Such units are easier to explain: this can be much of the difference.",
    ]


def test_the_headline_names_the_rival_where_it_leads() -> None:
    said = headline(table_of((-0.058, -0.080, -0.036), (WORSE, BETTER), (0.96, 0.82)))
    assert said[0] == "gpt2's units score 0.058 [0.036, 0.080] higher than crate's."
    assert said[1].startswith(
        "gpt2 predicts the text better (4.69 against 4.97 nats per token), and its units depend less"
    )
    assert not any("easier to explain" in sentence for sentence in said)


def test_the_headline_says_where_no_difference_is_certain() -> None:
    said = headline(table_of((0.01, -0.02, 0.04), (BETTER, (4.70, 4.68, 4.72)), (0.82, 0.82)))
    assert said[0].endswith("The interval contains 0: no difference is certain.")
    assert said[1].startswith("crate predicts the text about as well") and "depend as much on" in said[1]


def test_a_study_of_hardly_trained_models_says_first_that_it_shows_no_result() -> None:
    def first(tokens: int) -> str:
        return headline(table_of((0.058, 0.036, 0.080), (WORSE, BETTER), (0.96, 0.82), tokens))[0]

    assert first(200_704).startswith("This study checks that the machinery works and shows no result")
    assert "200,704 tokens" in first(200_704) and first(1_000_000).startswith("crate's units score")


def test_without_a_comparison_there_is_no_headline() -> None:
    assert headline({"differences": [], "models": [], "rows": []}) == []


@pytest.mark.parametrize(
    ("tokens", "documents", "said"),
    [
        (19_999, 500, "19,999 tokens in 500 documents"),
        (500_000, 19, "500,000 tokens in 19 documents"),
        (64, 1, "64 tokens in 1 document alone"),
        (20_000, 20, None),
    ],
)
def test_too_little_text_is_said_with_and_without_a_comparison(tokens: int, documents: int, said: str | None) -> None:
    compared = table_of((0.058, 0.036, 0.080), (WORSE, BETTER), (0.96, 0.82))
    for table in (compared, {"differences": [], "models": [], "rows": []}):
        found = [
            line
            for line in headline(table | {"scored_text": {"tokens": tokens, "documents": documents}})
            if "too few to read" in line
        ]
        assert [said in line for line in found] == ([True] if said else [])


@pytest.mark.parametrize(("paired", "said"), [(970_000, ["3% of the scored text"]), (990_000, []), (None, [])])
def test_text_in_which_token_shares_come_out_too_low_is_said(paired: int | None, said: list[str]) -> None:
    scored = {"tokens": 1_000_000, "documents": 900} | ({} if paired is None else {"paired_tokens": paired})
    found = headline({"differences": [], "models": [], "rows": [], "scored_text": scored})
    assert len(found) == len(said) and all(some in line for some, line in zip(said, found, strict=True))


@given(
    st.lists(st.lists(st.text("ab0.[]", min_size=1, max_size=24), min_size=3, max_size=3), min_size=1, max_size=12),
    st.integers(40, 120),
)
def test_every_cell_is_whole_in_a_table_of_any_width(contents, width) -> None:
    keys = [Column("key", ["x", "y"], left=True)]
    columns = [Column(name, cells) for name, *cells in contents]
    console = Console(width=width, file=io.StringIO())
    console.print(fitted("title", keys, columns, width))
    lines = console.file.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= width
    shown = " ".join(lines).split()
    for text in (text for column in contents for text in column):
        assert shown.count(text) >= sum(column.count(text) for column in contents)


@given(st.integers(20, 60))
def test_no_line_ends_inside_an_interval(width) -> None:
    console = Console(width=width, file=io.StringIO())
    print_text(console, "one difference is 0.058 [0.036, 0.080] and the other one is 0.1 [-0.2, 0.4] in words. " * 3)
    text = console.file.getvalue()
    assert text.count("[0.036, 0.080]") == text.count("[-0.2, 0.4]") == 3
