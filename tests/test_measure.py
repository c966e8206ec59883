"""`cratelm measure`: a model as it is, from its folder to pages of neurons."""

import json
import re
import shutil
from pathlib import Path

import pytest

from cratelm.artifacts import read_json, write_json
from cratelm.cli import run
from cratelm.errors import InputError
from cratelm.models.subject import open_subject, tokens_for
from cratelm.viewer.overview import study_document
from cratelm.viewer.viewed_study import Study
from tests.language_models import bytes_tokenizer, random_gpt2
from tests.models.test_every_family import TEXTS
from tests.shared import Shared
from tests.viewer.viewing import client_of

SMALL = ["--records.pool", "50", "--score.replicates", "100", "--records.tokens", "3000"]


def arguments(folder: Path) -> list[str]:
    return ["measure", str(folder / "tiny"), "--text", str(folder / "text.jsonl"), "--out", str(folder / "out"), *SMALL]


@pytest.fixture(scope="module")
def made(shared: Shared) -> Path:
    """A model, a text, and what `measure` makes of them."""

    def make(folder: Path) -> None:
        random_gpt2(n_positions=80).save_pretrained(folder / "tiny")
        bytes_tokenizer().save_pretrained(folder / "tiny")
        (folder / "text.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS), encoding="utf-8")
        assert run(arguments(folder)) == 0

    return shared.folder("measured", make)


def test_the_same_command_makes_nothing_again(made: Path, capsys) -> None:
    files = {path: path.stat().st_mtime_ns for path in made.rglob("*") if path.is_file()}
    assert run(arguments(made)) == 0
    printed = capsys.readouterr().out
    assert "mean [95%]" in printed and f"cratelm view {made / 'out'}" in printed
    assert files == {path: path.stat().st_mtime_ns for path in made.rglob("*") if path.is_file()}


def test_every_stage_leaves_a_line_once_that_says_which_one_of_how_many_it_was(made: Path, tmp_path, capsys) -> None:
    command = arguments(made)
    command[5] = str(tmp_path / "out")

    def lines() -> list[str]:
        assert run(command) == 0
        return re.findall(r"^(.+), .+ \((\d of \d) stages\)$", capsys.readouterr().err, re.M)

    names = ["tokenized the text", "recorded tiny", "explained tiny", "scored tiny"]
    assert lines() == [(name, f"{place} of 4") for place, name in enumerate(names, 1)]
    assert lines() == []
    shutil.rmtree(tmp_path / "out" / "scores")
    assert lines() == [("scored tiny", "4 of 4")]


def test_a_folder_of_another_model_or_with_other_settings_is_refused(made: Path, capsys) -> None:
    for changed, message in ((["--records.top", "5"], "records.top: 20 there, 5 asked for"), ([], "model: ")):
        command = [*arguments(made), *changed]
        command[1] = str(made / "tiny") if changed else str(made / "other")
        assert run(command) == 2
        assert message in capsys.readouterr().err


def test_its_front_page_has_the_means_and_compares_with_nothing(made: Path) -> None:
    document = study_document(Study(made / "out"), None)
    (model,) = document["models"]
    assert (model["name"], [layer["units"] for layer in model["layers"]]) == ("tiny", [128, 128])
    rows = document["report"]["rows"]
    assert {row["metric"] for row in rows} >= {"top-and-random", "random-only"}
    assert {row["layer"] for row in rows} == {0, 1, "all"}
    for row in rows:
        assert row["score"]["low"] <= row["score"]["mean"] <= row["score"]["high"]
        assert {"graph", "shuffled", "ceiling"} <= row.keys()
        assert 0 < row["firing_rate"] <= 1 and row["token_share"] <= 1
    (warning,) = document["headline"]
    assert warning.startswith("The units were scored on 2,560 tokens in 8 documents alone")


def test_its_pages_read_the_model_behind_the_link(made: Path) -> None:
    client = client_of(made / "out")
    assert client.get("/api/tiny/1/3").json()["site"] == "transformer.h.1.mlp.act"
    assert client.get("/api/tiny/1/3/weights").json()["raised"]


def test_a_model_that_has_moved_is_said_to_be_gone(made: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(made / "out", tmp_path / "out", symlinks=True)
    assert run(["view", str(tmp_path / "out"), "--export", str(tmp_path / "page")]) == 2
    assert "is missing: what needs the model itself is not shown" in capsys.readouterr().err


def test_the_link_leads_to_the_model_from_where_it_is(made: Path) -> None:
    link = made / "out" / "models" / "tiny"
    assert link.is_symlink() and not link.readlink().is_absolute()
    assert link.resolve() == (made / "tiny").resolve()


def test_the_same_model_by_another_spelling_of_its_folder_goes_on(made: Path, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "link").symlink_to(made / "tiny")
    monkeypatch.chdir(made / "tiny")
    for spelling in (f"{made}/tiny/", f"{made}/./tiny", str(tmp_path / "link"), ".", "../tiny"):
        command = arguments(made)
        command[1] = spelling
        assert run(command) == 0
        assert "mean [95%]" in capsys.readouterr().out


def test_another_model_of_the_same_name_is_refused_and_the_link_stays(made: Path, tmp_path: Path, capsys) -> None:
    command = arguments(made)
    command[3], command[5] = str(made / "out" / "tokens"), str(tmp_path / "out")
    assert run(command) == 0
    random_gpt2(n_positions=96).save_pretrained(tmp_path / "other" / "tiny")
    bytes_tokenizer().save_pretrained(tmp_path / "other" / "tiny")
    command[1] = str(tmp_path / "other" / "tiny")
    assert run(command) == 2
    assert "inputs.model" in capsys.readouterr().err
    assert (tmp_path / "out" / "models" / "tiny").samefile(made / "tiny")


def test_tokens_of_a_tokenizer_that_has_changed_since_are_refused(made: Path, tmp_path: Path, quiet) -> None:
    shutil.copytree(made / "tiny", tmp_path / "tiny")
    model, text = open_subject(str(tmp_path / "tiny")), str(made / "text.jsonl")
    tokens_for(model, text, tmp_path / "tokens", quiet)
    changed = read_json(tmp_path / "tiny" / "tokenizer.json")
    changed["normalizer"] = {"type": "Lowercase"}
    write_json(tmp_path / "tiny" / "tokenizer.json", changed)
    with pytest.raises(InputError, match="tokens was made with another tokenizer than that of"):
        tokens_for(model, text, tmp_path / "tokens", quiet)


def test_a_model_that_has_changed_since_is_not_shown_as_the_one_that_was_measured(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "out", tmp_path / "out", symlinks=True)
    shutil.copytree(made / "tiny", tmp_path / "tiny")
    client = client_of(tmp_path / "out")
    random_gpt2(n_positions=80, n_inner=64).save_pretrained(tmp_path / "tiny")
    (tmp_path / "out" / "models" / "tiny").unlink()
    (tmp_path / "out" / "models" / "tiny").symlink_to(tmp_path / "tiny")
    answer = client.get("/api/tiny/1/3/weights")
    assert answer.status_code == 500 and "another model than the one that was measured" in answer.text
