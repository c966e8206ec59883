"""Bad input of `cratelm explain`, `score` and `agree`: named, counted, never a silent zero."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cratelm.artifacts import MANIFEST, hash_file, open_artifact
from cratelm.cli import run
from tests.test_study import scores_of


@pytest.fixture
def parts(study, tmp_path) -> Path:
    """A copy of a study, to be spoilt."""
    shutil.copytree(study, tmp_path / "study")
    return tmp_path / "study"


def command(parts: Path, name: str, out: str, **others: Path) -> list[str]:
    records = others.get("records", parts / "records" / "crate")
    if name == "explain":
        return ["explain", str(records), "--out", str(parts / out)]
    explanations = others.get("explanations", parts / "explanations" / "crate")
    return ["score", str(records), "--explanations", str(explanations), "--out", str(parts / out)]


@pytest.mark.processes
def test_the_commands_make_what_the_study_made(parts, capsys) -> None:
    assert run(command(parts, "explain", "again")) == 0
    assert "unit 0/0" in capsys.readouterr().out
    again = command(parts, "score", "scored", explanations=parts / "again")
    assert run([*again, "--replicates", "100", "--workers", "2", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    mine = {(row["explainer"], row["metric"], row["layer"]): row["score"]["mean"] for row in rows}
    for row in json.loads((parts / "report" / "table.json").read_text())["rows"]:
        if row["model"] == "crate":
            assert mine["table", row["metric"], row["layer"]] == pytest.approx(row["score"]["mean"])
    for file in (parts / "scores" / "crate").glob("*.parquet"):
        assert (parts / "scored" / file.name).read_bytes() == file.read_bytes()


def test_explanations_of_other_records_are_refused(parts, capsys) -> None:
    other = parts / "explanations" / "gpt2"
    assert run(command(parts, "score", "scored", explanations=other)) == 2
    assert "made of other records" in capsys.readouterr().err


def harm(folder: Path, name: str, data: bytes) -> None:
    """Change a file of a stage and list it in its manifest as it now is."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["outputs"][name] = {"sha256": hash_file(folder / name), "bytes": len(data)}
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["layer-1.parquet", "units.parquet"])
def test_a_damaged_file_of_the_records_is_named(parts, name, capsys) -> None:
    file = parts / "records" / "crate" / name
    file.write_bytes(file.read_bytes()[:-100])
    assert run(command(parts, "explain", "again")) == 2
    assert f"{name} is missing or damaged" in capsys.readouterr().err


def test_a_damaged_row_group_is_named_even_where_the_hashes_fit(parts, capsys) -> None:
    folder = parts / "records" / "crate"
    data = bytearray((folder / "layer-0.parquet").read_bytes())
    data[200:400] = b"\\0" * 200
    harm(folder, "layer-0.parquet", bytes(data))
    assert run(command(parts, "explain", "again")) == 2
    assert "layer-0.parquet is damaged" in capsys.readouterr().err


def test_units_without_enough_excerpts_are_scored_on_what_there_is_and_counted(study) -> None:
    rows = [row for row in scores_of(study, "crate") if row["metric"] == "anthropic" and row["explainer"] == "table"]
    counts = np.array([row["excerpts"] for row in rows])
    assert (counts <= 6 + 24 + 10 + 20).all()
    assert (counts < 60).any()  # the small study has too few for some
    assert all(row["score"] is not None for row in rows)


@pytest.mark.slow
def test_scores_of_other_records_do_not_agree_or_disagree(parts, capsys) -> None:
    one, other = (parts / "scores" / name for name in ("crate", "gpt2"))
    assert run(["agree", str(one), str(other)]) == 2
    assert "of different records" in capsys.readouterr().err
    assert run(["agree", str(one), str(one), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    varied = [row for row in rows if not row["one"].startswith("constant")]
    assert all(row["one"] == row["other"] for row in rows)
    assert np.mean([row["rho"]["mean"] for row in varied]) > 0.9


@pytest.mark.parametrize("explainer", ["tabel", "table,", ""])
def test_an_explainer_that_there_is_none_of_is_refused(parts, explainer, capsys) -> None:
    assert run([*command(parts, "explain", "again"), "--explainer", explainer]) == 2
    assert "choose from table, graph" in capsys.readouterr().err


def test_a_folder_of_another_stage_is_refused(parts, capsys) -> None:
    assert run(command(parts, "explain", "again", records=parts / "tokens")) == 2
    assert "Give the folder of a recording, which cratelm record makes" in capsys.readouterr().err
    assert open_artifact(parts / "tokens", "tokens")


@pytest.mark.parametrize("stage", ["explain", "score"])
def test_a_protocol_that_the_records_cannot_serve_says_what_to_record(parts, stage, capsys) -> None:
    assert run([*command(parts, stage, "again"), "--protocol", "paper"]) == 2
    assert "Record again, by cratelm record --protocol paper" in capsys.readouterr().err


def test_a_metric_that_there_is_none_of_is_refused_and_one_alone_can_be_asked_for(parts, capsys) -> None:
    assert run([*command(parts, "score", "again"), "--metric", "pearson"]) == 2
    assert "choose from top-and-random" in capsys.readouterr().err
    assert run([*command(parts, "score", "again"), "--metric", "auroc", "--replicates", "100", "--json"]) == 0
    assert {row["metric"] for row in json.loads(capsys.readouterr().out)} == {"auroc"}
