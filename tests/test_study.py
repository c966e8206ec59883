"""The whole study: the same bytes twice, nothing made again, and a page whose numbers can be traced."""

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import pearsonr, spearmanr

from cratelm.artifacts import open_artifact
from cratelm.explain.explain import read_explanations
from cratelm.records.store import read_excerpts
from cratelm.report.text import visible
from cratelm.study import run_study

HOSTILE = "<script>alert(1)</script>\u202e<img onerror=x>\x1b[31m"


def files_of(study: Path) -> dict[str, bytes]:
    return {
        path.relative_to(study).as_posix(): path.read_bytes()
        for path in sorted(study.rglob("*"))
        if path.is_file() and "log" not in path.relative_to(study).parts
    }


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_in_every_file(study, small_study, tmp_path, quiet) -> None:
    run_study(small_study, tmp_path / "again", quiet)
    first, second = files_of(study), files_of(tmp_path / "again")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_a_finished_study_is_not_made_again(study, small_study, quiet) -> None:
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*")}
    run_study(small_study, study, quiet)
    assert {path: path.stat().st_mtime_ns for path in study.rglob("*")} == before


def test_the_table_has_a_row_for_each_model_metric_and_layer_and_their_mean(study) -> None:
    table = json.loads((study / "report" / "table.json").read_text())
    found = [(row["model"], row["metric"], row["layer"]) for row in table["rows"]]
    assert found == [
        (model, metric, layer)
        for model in ("crate", "gpt2")
        for metric in ("top-and-random", "random-only", "anthropic", "whole-text")
        for layer in (0, 1, "all")
    ]
    for row in table["rows"]:
        assert row["score"]["low"] <= row["score"]["high"]
        assert 0 <= row["dead"] + row["silent"] + row["constant"] <= 1


DRAWN = {
    "top-and-random": (64, [("top", 5), ("random", 5)]),
    "random-only": (64, [("random", 5)]),
    "anthropic": (9, [("top", 6), ("interval", 2), ("random", 10), ("other", 20)]),
}


def drawn_excerpts(records, layer: int, unit: int, metric: str):
    """The excerpts of a unit that protocols.md asks for, each once: tokens, activations and place of each."""
    length, draws = DRAWN[metric]
    taken, found = set(), []
    for kind, count in draws:
        excerpts = read_excerpts(records, layer, "score", kind, [unit], length)
        left = {}
        for row in np.lexsort((excerpts.rank, excerpts.interval)):
            if excerpts.start[row] not in taken:
                left.setdefault(int(excerpts.interval[row]), []).append(row)
        for row in [row for rows in left.values() for row in rows[:count]]:
            taken.add(excerpts.start[row])
            found.append((excerpts.tokens[row], excerpts.activations[row], excerpts.place[row]))
    return found


@pytest.mark.parametrize("model", ["crate", "gpt2-untrained"])
@pytest.mark.parametrize("explainer", ["table", "graph"])
def test_a_units_score_can_be_computed_again_from_the_files(study, model, explainer) -> None:
    records = open_artifact(study / "records" / model, "records")
    explanations = open_artifact(study / "explanations" / model, "explanations")
    scored = scores_of(study, model)
    for row in [row for row in scored if row["explainer"] == explainer and row["metric"] in DRAWN][::9]:
        evidence = "anthropic" if row["metric"] == "anthropic" else "openai"
        made = read_explanations(explanations, records, explainer, evidence, row["layer"])
        truth, simulated = [], []
        for tokens, activations, place in drawn_excerpts(records, row["layer"], row["unit"], row["metric"]):
            truth.append(activations)
            simulated.append(made.simulate(np.array([row["unit"]]), tokens[None], np.array([place]))[0])
        x, y = np.concatenate(truth), np.concatenate(simulated)
        correlate = spearmanr if row["metric"] == "anthropic" else pearsonr
        expected = correlate(x, y)[0] if row["status"] == "scored" else 0
        assert row["score"] == pytest.approx(expected, abs=1e-6)
        has_interval = row["metric"] == "anthropic" and len(truth) >= 20 and row["status"] == "scored"
        assert (
            (row["low"] is not None and row["low"] <= row["high"])
            if has_interval
            else row["low"] is row["high"] is None
        )
        assert row["excerpts"] == len(truth)


def scores_of(study: Path, model: str) -> list[dict]:
    return [
        row
        for path in sorted((study / "scores" / model).glob("units-*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def test_a_layers_mean_counts_units_that_cannot_be_scored_as_zero(study) -> None:
    table = json.loads((study / "report" / "table.json").read_text())
    scored = scores_of(study, "crate")
    for row in (row for row in table["rows"] if row["model"] == "crate" and row["layer"] != "all"):
        mine = [
            unit
            for unit in scored
            if (unit["explainer"], unit["metric"], unit["layer"]) == ("table", row["metric"], row["layer"])
        ]
        assert len(mine) == row["units"] == (16 if row["metric"] == "whole-text" else 64)  # those with a table
        assert row["score"]["mean"] == pytest.approx(np.mean([unit["score"] for unit in mine]))
        assert all(unit["score"] == 0 for unit in mine if unit["status"] != "scored")
        assert row["dead"] == np.mean([unit["status"] == "dead" for unit in mine])


class Page(HTMLParser):
    """Collects what a page would fetch or run, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attributes) -> None:
        self.tags.add(tag)
        self.addresses += [
            value for name, value in attributes if name in ("src", "href", "xlink:href") and not value.startswith("#")
        ]

    def handle_data(self, data) -> None:
        self.text += data


def test_the_page_fetches_nothing_runs_nothing_and_shows_every_number_of_the_table(study) -> None:
    text = (study / "report" / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.addresses == []
    assert "script" not in page.tags
    assert re.search(r"url\((?!#)", text) is None
    for row in json.loads((study / "report" / "table.json").read_text())["rows"]:
        assert f"{row['score']['mean']:.3f} [{row['score']['low']:.3f}, {row['score']['high']:.3f}]" in page.text


def test_text_of_data_is_shown_never_obeyed(study, monkeypatch) -> None:
    from cratelm.report import report as room
    from cratelm.report.measured import Measured

    def measured(name: str) -> Measured:
        stages = {"model": "model", "records": "records", "explanations": "explanations", "scores": "scores"}
        folders = {"model": "models"}
        return Measured(**{k: open_artifact(study / folders.get(k, k) / name, v) for k, v in stages.items()})

    pairs = [(measured("crate"), measured("crate-untrained"))]
    tokens = open_artifact(study / "tokens", "tokens")
    table = json.loads((study / "report" / "table.json").read_text())
    monkeypatch.setattr(room, "token_texts", lambda tokenizer: [HOSTILE] * 300)
    page = room._page(room.ReportConfig(cards=2), pairs, tokens, table)
    assert "<script>" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert html.escape("<script>alert(1)</script>") in page


def test_control_and_direction_characters_become_visible() -> None:
    assert visible("a\tb\n\u202e\x1b[31m é") == "a⇥b↵<U+202E><U+001B>[31m é"
