"""A folder of another kind is named for what it is, and the message says which one to give instead."""

import re

import pytest

from cratelm.cli import run
from cratelm.folder_names import NAMES
from tests.test_house import SOURCE


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(arguments) == 2
    return capsys.readouterr().err


def test_a_study_in_the_place_of_a_model_is_answered_with_its_models(study, capsys) -> None:
    for command in (["why", "0/0", "--text", "a"], ["steer", "0/0=1", "--prompt", "a"], ["measure"]):
        said = refused([command[0], str(study), *command[1:]], capsys)
        assert f"{study} is a study. Give the folder of a model, such as {study}/models/crate" in said


@pytest.mark.parametrize(("part", "what"), [("models", "a model"), ("records", "a recording")])
def test_a_folder_of_several_stages_is_said_to_be_one(part, what, study, capsys) -> None:
    said = refused(["measure", str(study / part)], capsys)
    folders = len([path for path in (study / part).iterdir() if path.is_dir()])
    assert f"{study / part} holds {folders} folders, such as crate: {what}. Give the folder of a model" in said


def test_a_folder_that_holds_a_folder_of_models_is_answered_with_one_of_them(study, tmp_path, capsys) -> None:
    (tmp_path / "models").symlink_to(study / "models")
    said = refused(["measure", str(tmp_path)], capsys)
    assert f"Give the folder of a model, such as {tmp_path}/models/crate" in said


def test_a_model_in_the_place_of_a_recording_is_named(study, capsys) -> None:
    said = refused(["show", str(study / "models" / "crate"), "0/0"], capsys)
    assert "holds a model. Give the folder of a recording, which cratelm record makes." in said


def test_a_folder_that_is_not_there_is_said_so(tmp_path, capsys) -> None:
    for arguments in (["show", "{}", "0/0"], ["view", "{}"], ["train", "--out", "x", "--tokens", "{}"]):
        said = refused([word.format(tmp_path / "nowhere") for word in arguments], capsys)
        assert f"there is no folder {tmp_path / 'nowhere'}." in said


def test_every_stage_that_the_package_writes_has_a_name() -> None:
    written = {
        name
        for file in (SOURCE / "cratelm").rglob("*.py")
        for name in re.findall(r'= Stage\(\s*"([a-z]+)"', file.read_text(encoding="utf-8"))
    }
    assert written <= NAMES.keys()


def test_a_required_option_that_is_missing_or_misspelt_is_named(capsys) -> None:
    assert "cratelm why needs a value for --text. See cratelm why --help." in refused(["why", "m", "1/0"], capsys)
    said = refused(["record", "m", "--txt", "reviews", "--out", "r"], capsys)
    assert "cratelm record needs a value for --text. Did you mean --text instead of --txt?" in said
    assert "cratelm steer needs MODEL." in refused(["steer"], capsys)
