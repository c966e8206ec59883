"""What a folder opens as, and that tables and units say what the files say."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import cratelm
from cratelm.errors import InputError
from cratelm.report.unit_facts import read_unit


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("", cratelm.OpenedStudy),
        ("records/gpt2", cratelm.OpenedRecording),
        ("explanations/gpt2", cratelm.OpenedExplanations),
        ("scores/gpt2", cratelm.OpenedScores),
        ("models/gpt2", cratelm.LoadedModel),
        ("models/gpt2/model", cratelm.LoadedModel),
    ],
)
def test_a_folder_opens_as_what_its_manifest_says(study: Path, folder: str, kind: type) -> None:
    assert isinstance(cratelm.open(study / folder), kind)


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("nothing", "is not there"),
        ("tokens", "holds the stage 'tokens'"),
        ("models", "is neither a folder of cratelm's nor a model"),
    ],
)
def test_anything_else_is_refused_with_what_to_give(study: Path, folder: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        cratelm.open(study / folder)


def test_an_unfinished_study_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(InputError, match="holds no finished study"):
        cratelm.open(tmp_path)


def test_scores_are_every_row_of_every_file(opened: cratelm.OpenedStudy, study: Path) -> None:
    frame = opened.scores
    assert len(frame) == sum(pq.read_metadata(path).num_rows for path in (study / "scores").glob("*/units-*.parquet"))
    (own,) = pq.read_table(
        study / "scores/gpt2/units-1.parquet",
        filters=[("unit", "=", 5), ("explainer", "=", "graph"), ("metric", "=", "random-only")],
    ).to_pylist()
    row = frame[
        (frame.model == "gpt2")
        & (frame.layer == 1)
        & (frame.unit == 5)
        & (frame.explainer == "graph")
        & (frame.metric == "random-only")
    ]
    assert row.score.tolist() == [own["score"]] and row.status.tolist() == [own["status"]]


def test_mean_scores_by_frame_are_those_of_the_comparison(opened: cratelm.OpenedStudy) -> None:
    means = opened.scores.groupby(["model", "layer", "explainer", "metric"], observed=True).score.mean()
    rows = [row for row in opened.comparison["rows"] if row["layer"] != "all"]
    assert rows
    for row in rows:
        assert means[row["model"], row["layer"], "table", row["metric"]] == pytest.approx(row["score"]["mean"])


def test_a_judges_scores_are_among_the_studys(judged_study: Path) -> None:
    opened = cratelm.OpenedStudy(judged_study)
    assert "llm" in opened.table["explainer"].unique().to_pylist()
    rows = [row for row in opened.table.select(["unit", "layer", "explainer"]).to_pylist() if row["explainer"] == "llm"]
    unit = opened.unit(f"crate/{rows[0]['layer']}/{rows[0]['unit']}")
    assert "llm" in {row["explainer"] for row in unit.scores}


def test_a_unit_is_what_show_prints(opened: cratelm.OpenedStudy, study: Path) -> None:
    unit, known = opened.unit("gpt2/1/5"), read_unit(study, "gpt2/1/5")
    assert unit.statistics == known["statistics"]
    assert unit.explanations == {name: said for name, said in known["explanations"].items() if said}
    assert [one.activations.tolist() for one in unit.excerpts()] == [
        pytest.approx(row["activations"]) for row in known["excerpts"]
    ]


def test_what_is_expected_of_an_excerpt_gives_the_units_score(opened: cratelm.OpenedStudy) -> None:
    unit = next(unit for unit in (opened.unit(f"crate/0/{at}") for at in range(64)) if _score(unit) > 0)
    scored = unit.excerpts("random", half="score")
    long = [one for one in scored if len(one.tokens) == max(len(one.tokens) for one in scored)][:5]
    true = np.concatenate([one.activations for one in long])
    expected = np.concatenate([one.expected["table"] for one in long])
    assert np.corrcoef(true, expected)[0, 1] == pytest.approx(_score(unit), abs=1e-6)


def _score(unit: cratelm.Unit) -> float:
    (row,) = [row for row in unit.scores if (row["explainer"], row["metric"]) == ("table", "random-only")]
    return row["score"] if row["status"] == "scored" else 0.0


def test_a_study_that_was_made_again_in_its_folder_is_read_anew(study: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(study, tmp_path / "study")
    crate = cratelm.open(folder).unit("crate/0/3")
    assert cratelm.open(folder).unit("gpt2/0/3").explanations != crate.explanations
    for stage in ("records", "explanations", "scores"):
        shutil.rmtree(folder / stage / "gpt2")
        shutil.copytree(folder / stage / "crate", folder / stage / "gpt2")
    again = cratelm.open(folder).unit("gpt2/0/3")
    assert again.explanations == crate.explanations
    assert again.scores == crate.scores
    assert all(
        np.array_equal(one.expected["table"], other.expected["table"])
        for one, other in zip(again.excerpts(), crate.excerpts(), strict=True)
    )


def test_a_unit_of_a_recording_alone_has_no_explanations(study: Path) -> None:
    unit = cratelm.OpenedStudy(study).unit("crate/0/3")
    alone = cratelm.open(study / "records/crate")
    assert isinstance(alone, cratelm.OpenedRecording)
    same = alone.unit("0/3")
    assert (same.explanations, same.scores) == ({}, [])
    assert [one.text for one in same.excerpts("top")] == [one.text for one in unit.excerpts("top")]
    assert alone.statistics.query("layer == 0 and unit == 3 and half == 'score'").maximum.item() == pytest.approx(
        unit.statistics["score"]["maximum"]
    )


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nobody/0/3", "has no model 'nobody', but crate, gpt2"),
        ("crate/9/3", "no layer 9"),
        ("crate/0/9999", "no unit 9999"),
        ("crate/0", "names no unit"),
    ],
)
def test_a_unit_that_is_not_there_is_refused(opened: cratelm.OpenedStudy, address: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        opened.unit(address)


@pytest.mark.parametrize(
    ("asked", "said"), [({"kind": "best"}, "no kind 'best'"), ({"half": "left"}, "no half 'left'")]
)
def test_excerpts_that_are_not_there_are_refused(opened: cratelm.OpenedStudy, asked: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        opened.unit("crate/0/3").excerpts(**asked)


def test_explanations_are_the_sentences_of_the_files(opened: cratelm.OpenedStudy, study: Path) -> None:
    made = cratelm.open(study / "explanations/crate")
    assert isinstance(made, cratelm.OpenedExplanations)
    assert made.sentences(0)[3] == opened.unit("crate/0/3").explanations["table"]
    assert made.settings == json.loads((study / "explanations/crate/manifest.json").read_text())["config"]
