"""`cratelm show`: one unit of a study or a recording in the terminal, and what data cannot do there."""

import json
import re
import shutil
from itertools import product

import numpy as np
import pyarrow.parquet as pq
import pytest

from cratelm.artifacts import Artifact, open_artifact
from cratelm.cli import run
from cratelm.explain.explain import read_sentences
from cratelm.records.one_unit import read_groups
from cratelm.records.store import read_excerpts, read_units
from cratelm.report.unit_terminal import print_unit
from tests.test_study import HOSTILE, scores_of


def shown(capsys, *arguments: str) -> str:
    assert run(["show", *arguments]) == 0
    return capsys.readouterr().out


def test_a_unit_read_alone_has_the_excerpts_of_the_whole_file(study) -> None:
    records = open_artifact(study / "records" / "crate", "records")
    for unit in (0, 31, 32, 63):
        groups = {(group.length, group.half, group.kind): group.excerpts for group in read_groups(records, 1, [unit])}
        for length, kinds in ((64, ("top", "random")), (9, ("top", "random", "interval", "other"))):
            for half, kind in product(("explain", "score"), kinds):
                expected = read_excerpts(records, 1, half, kind, [unit], length)
                found = groups.pop((length, half, kind), None)
                assert found is not None or not len(expected.unit)
                for name, values in vars(found or expected).items():
                    assert np.array_equal(values, getattr(expected, name))
        assert not groups


def test_a_study_shows_statistics_explanations_scores_and_excerpts_of_a_unit(study, capsys) -> None:
    known = json.loads(shown(capsys, str(study), "gpt2/1/5", "--json"))
    records = open_artifact(study / "records" / "gpt2", "records")
    explanations = open_artifact(study / "explanations" / "gpt2", "explanations")
    assert known["explanations"]["table"] == read_sentences(explanations, 1)[5]
    expected = [row for row in scores_of(study, "gpt2") if (row["layer"], row["unit"]) == (1, 5)]
    assert [row["score"] for row in known["scores"]] == [row["score"] for row in expected]
    for half, statistics in known["statistics"].items():
        assert statistics["firing_rate"] == read_units(records, 1, half)["firing_rate"][5]
    top = [row for row in known["excerpts"] if (row["half"], row["kind"], len(row["tokens"])) == ("score", "top", 64)]
    assert np.array_equal(
        [row["activations"] for row in top], read_excerpts(records, 1, "score", "top", [5]).activations
    )
    printed = shown(capsys, str(study), "gpt2/1/5")
    assert "gpt2/1/5" in printed and "random-only" in printed
    flat = re.sub(r"\s+", "", printed)
    highest = max(max(row["activations"]) for row in known["excerpts"] if row["half"] == "score")
    for row in top[:3]:
        fires = [value >= highest / 2 for value in row["activations"]]
        marked = (f"«{token}»" if most else token for token, most in zip(row["tokens"], fires, strict=True))
        assert re.sub(r"\s+", "", "".join(marked)) in flat


def test_a_unit_shows_what_its_last_tokens_tell_where_that_is_known(study, capsys, tmp_path) -> None:
    records = study / "records" / "crate"
    (row, *_) = pq.read_table(records / "context.parquet").to_pylist()
    address = f"{row['layer']}/{row['unit']}"
    known = json.loads(shown(capsys, str(records), address, "--json"))["context"]
    assert (known["r2"], known["reach"]) == (row["r2"], row["reach"])
    assert f"1: {row['r2'][0]:.2f}" in shown(capsys, str(records), address)
    earlier = tmp_path / "earlier"
    shutil.copytree(records, earlier)
    (earlier / "context.parquet").unlink()
    assert json.loads(shown(capsys, str(earlier), address, "--json"))["context"] is None
    assert "last k tokens" not in shown(capsys, str(earlier), address)


def test_the_report_puts_what_last_tokens_tell_of_models_next_to_each_other(study) -> None:
    rows = json.loads((study / "report" / "table.json").read_text())["context"]
    assert [(row["layer"], row["model"]) for row in rows] == [(0, "crate"), (0, "gpt2"), (1, "crate"), (1, "gpt2")]
    page = (study / "report" / "report.html").read_text()
    for row in rows:
        kept = json.loads((study / "records" / row["model"] / "context.json").read_text())["layers"][row["layer"]]
        assert [row[f"last_{k}"]["mean"] for k in (1, 2, 4, 8, 16, 32)] == kept["mean"]
        assert f"{row['last_1']['mean']:.3f} [{row['last_1']['low']:.3f}, {row['last_1']['high']:.3f}]" in page


def test_a_recording_shows_a_unit_without_explanations(study, capsys) -> None:
    records = str(study / "records" / "crate")
    known = json.loads(shown(capsys, records, "0/3", "--json"))
    assert (known["unit"], known["explanations"], known["scores"]) == ("0/3", {}, [])
    assert "explain half" not in shown(capsys, records, "0/3", "--half", "explain", "--count", "1")


@pytest.mark.parametrize(
    ("unit", "options", "message"),
    [
        ("crate/0/64", [], "there is no unit 64: layer 0 has 64"),
        ("crate/2/0", [], "there is no layer 2: crate has 2"),
        ("crat/0/0", [], "has no records of a model 'crat', but of: crate, crate-untrained, gpt2"),
        ("0/0", [], "Name a unit as model/layer/index"),
        ("crate/0", [], "'0' names no unit: give layer/index"),
        ("crate/0/-1", [], "'0/-1' names no unit"),
        ("crate/0/0", ["--half", "test"], "the recording has explain and score"),
        ("crate/0/0", ["--count", "0"], "for --count. It must be 1 or more"),
    ],
)
def test_a_unit_that_is_not_there_is_answered_by_what_there_is(study, capsys, unit, options, message) -> None:
    assert run(["show", str(study), unit, *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_folder_that_is_neither_is_refused(tmp_path, capsys) -> None:
    assert run(["show", str(tmp_path), "0/0"]) == 2
    assert "Give the folder of a study or of a recording." in capsys.readouterr().err


def test_text_of_data_cannot_act_on_the_terminal(capsys) -> None:
    nothing = dict.fromkeys(("mean", "variance", "skewness", "kurtosis", "token_share", "position_share"))
    excerpt = {"half": "score", "kind": "top", "interval": None, "rank": 0, "document": 0, "start": 0}
    known = {
        "unit": "0/0",
        "model": HOSTILE,
        "site": "[red]" + HOSTILE,
        "context": None,
        "statistics": {"score": nothing | {"firing_rate": 1.0, "maximum": 2.0, "histogram": [0, 1, 9]}},
        "explanations": {"table": HOSTILE},
        "logits": {"raised": [HOSTILE], "raised_by": [1.0], "lowered": ["\x9b2J"], "lowered_by": [-1.0]},
        "scores": [],
        "excerpts": [excerpt | {"tokens": [HOSTILE, "[bold]", "\r\n", "\x9b2J"], "activations": [2.0, 0.5, 0.0, 0.0]}],
    }
    print_unit(known, "score", 3)
    printed = capsys.readouterr().out
    assert "[red]" in printed and "[bold]" in printed and "<U+001B>[31m" in printed
    assert not set(printed) & set("\x1b\u202e\r\x9b")


def test_a_damaged_file_is_named(study, tmp_path) -> None:
    (tmp_path / "layer-0.parquet").write_bytes(b"PAR1")
    with pytest.raises(Exception, match=r"layer-0\.parquet is damaged or missing.*that made it"):
        read_groups(Artifact(tmp_path, {}), 0, [0])


@pytest.mark.parametrize(
    "name",
    [
        "records/crate/units.parquet",
        "records/crate/layer-0.parquet",
        "explanations/crate/sentences-0.parquet",
        "scores/crate/units-0.parquet",
    ],
)
def test_show_names_the_damaged_file_of_a_study_that_it_opened_unhashed(study, tmp_path, capsys, name) -> None:
    copy = shutil.copytree(study, tmp_path / "study")
    (copy / name).write_bytes(b"PAR1 is no parquet")
    assert run(["show", str(copy), "crate/0/3"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert name.rpartition("/")[2] in said and "damaged or missing" in said
