"""`cratelm push` against a stand-in for the hub: what is sent, what stays, what comes back, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

import cratelm
from cratelm.artifacts import STUDY, open_artifact, read_json
from cratelm.cli import run
from cratelm.errors import InputError
from cratelm.hub.licence import licence_lines, licence_of
from cratelm.viewer.viewed_study import Study
from tests.hub.standing_in import StandIn, stand_in
from tests.test_measure import made as measured  # noqa: F401  a fixture

TERMS = ["--licence", "CC-BY-4.0"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The hub, turned on, with a token that may write."""
    with stand_in() as hub:
        template = hub.address + constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("cratelm.corpus.hub.WAITS", (0,))
        monkeypatch.setenv("HF_TOKEN", "writer")
        yield hub


@pytest.fixture(scope="module")
def unfinished(study: Path, tmp_path_factory) -> Path:
    """The study with what a killed run leaves."""
    folder = tmp_path_factory.mktemp("pushed") / "study"
    shutil.copytree(study, folder)
    (folder / "models" / "late.partial" / "checkpoints").mkdir(parents=True)
    (folder / "models" / "late.partial" / "checkpoints" / "optimizer.pt").write_bytes(b"x" * 3000)
    (folder / "notes.txt").write_text("mine")
    return folder


def refused(capsys: pytest.CaptureFixture, status: int, *arguments: object) -> str:
    """The one line with which a command is refused."""
    assert run([str(argument) for argument in arguments]) == status
    said = capsys.readouterr().err
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("cratelm: ")]
    return line


def test_a_study_comes_back_from_the_hub_as_it_was_sent(hub, unfinished, capsys) -> None:
    assert run(["push", str(unfinished), "owner/name", *TERMS]) == 0
    assert "cratelm view hub:owner/name" in capsys.readouterr().err
    back = cratelm.open("hub:owner/name")
    here = cratelm.open(unfinished)
    assert back.models == here.models
    assert back.table.equals(here.table)
    assert back.unit("crate/1/3").explanations == here.unit("crate/1/3").explanations
    text = "the film was"
    assert np.array_equal(back.model("crate").activations(text)[1], here.model("crate").activations(text)[1])
    for stage in ("records", "explanations", "scores"):
        open_artifact(back.path / stage / "crate", stage)  # every file has the hash that its manifest says


def test_the_training_text_logs_and_unfinished_work_stay_at_home_and_so_do_files_of_somebody_elses(
    hub, unfinished
) -> None:
    assert run(["push", str(unfinished), "owner/name", *TERMS]) == 0
    sent = hub.repositories["datasets/owner/name"]
    places = {name.partition("/")[0] for name in sent}
    stages = ("tokens", "models", "records", "explanations", "scores", "effects", "report")
    assert places == {"README.md", STUDY, *stages}
    text = {name.removeprefix("tokens/").partition(".ds")[0] for name in sent if ".ds" in name}
    assert text == {"explain", "score"}  # what the models were measured on
    assert not [name for name in sent if "/log/" in name or ".partial" in name]


def test_a_dry_run_sends_nothing_and_says_what_would_be_sent_and_what_stays(hub, unfinished, capsys) -> None:
    assert run(["push", str(unfinished), "owner/name", *TERMS, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    sent, stays = printed.partition("stays here:")[::2]
    text = (file for half in ("train", "validation") for file in (unfinished / "tokens").glob(f"{half}*"))
    size = sum(file.stat().st_size for file in text)
    assert f"{size / 1e3:,.1f} kB  tokens" in stays
    assert "notes.txt" in stays and "records/crate" in sent
    assert "licence of the text: CC-BY-4.0" in printed and "license: cc-by-4.0" in printed
    assert hub.asked == []


def test_the_card_of_a_study_has_the_means_of_its_report(hub, study) -> None:
    assert run(["push", str(study), "owner/name", *TERMS]) == 0
    card = hub.repositories["datasets/owner/name"]["README.md"].decode()
    rows = [row for row in Study(study).table["rows"] if row["layer"] == "all"]
    assert len(rows) > 4
    for row in rows:
        mean, shuffled = row["score"]["mean"], row["shuffled"]["mean"]
        assert f"| {row['model']} | {row['metric']} | {mean:z.3f} [" in card
        assert f"| {shuffled:z.3f} |" in card
    assert str(study) not in card and "corpus.txt" not in card


@pytest.mark.processes
def test_the_command_sends_from_a_shell_by_its_environment_alone(study, tmp_path) -> None:
    with stand_in() as hub:
        allowed = {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path), "HF_TOKEN": "writer"}
        command = [
            sys.executable,
            "-c",
            "from cratelm.cli import main; main()",
            "push",
            str(study),
            "owner/name",
            *TERMS,
        ]
        done = subprocess.run(command, env=os.environ | allowed, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "" and f"Sent: {hub.address}/datasets/owner/name" in done.stderr
        assert STUDY in hub.repositories["datasets/owner/name"]
        done = subprocess.run(
            command, env=os.environ | allowed | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True
        )
        assert done.returncode == 2 and "HF_HUB_OFFLINE=0" in done.stderr


def test_what_an_earlier_push_sent_and_this_one_does_not_is_removed_and_nothing_else_is(hub, study) -> None:
    files = {"records/old/layer-0.parquet": b"old", "figure.png": b"mine", "other/file": b"mine"}
    hub.repositories["datasets/owner/name"] = dict(files)
    assert run(["push", str(study), "owner/name", *TERMS]) == 0
    kept = hub.repositories["datasets/owner/name"].keys() & files.keys()
    assert kept == {"figure.png", "other/file"}


def test_a_model_of_the_hub_loads_by_its_name_and_says_what_was_measured(hub, study) -> None:
    assert run(["push", str(study / "models" / "crate"), "owner/name", "--private"]) == 0
    sent = hub.repositories["models/owner/name"]
    assert {"config.json", "model.safetensors", "tokenizer.json", "modeling_crate.py"} <= sent.keys()
    assert not {"manifest.json", "losses.csv"} & sent.keys()
    assert hub.made[0]["visibility"] == "private"
    card = sent["README.md"].decode()
    assert 'cratelm.load("owner/name")' in card and "| crate | random-only |" in card
    assert "corpus.txt" not in card and "this folder" not in card
    there, here = cratelm.load("owner/name"), cratelm.load(study / "models" / "crate")
    assert np.array_equal(there.activations("the film")[0], here.activations("the film")[0])


def test_a_recording_comes_back_from_the_hub(hub, study) -> None:
    assert run(["push", str(study / "records" / "crate"), "owner/name", *TERMS]) == 0
    assert repr(cratelm.open("hub:owner/name")).startswith("<records")
    assert "| 0 | `model.layers.0.coding.code` |" in hub.repositories["datasets/owner/name"]["README.md"].decode()


def test_a_unit_of_a_study_of_the_hub_is_shown(hub, study, capsys) -> None:
    assert run(["push", str(study), "owner/name", *TERMS]) == 0
    capsys.readouterr()
    assert run(["show", "hub:owner/name", "crate/0/1", "--json"]) == 0
    there = capsys.readouterr().out
    assert run(["show", str(study), "crate/0/1", "--json"]) == 0
    assert json.loads(there)["explanations"] == json.loads(capsys.readouterr().out)["explanations"]


def test_a_measured_model_is_sent_without_the_weights_that_it_links_to_and_the_dry_run_says_so(
    hub,
    measured,  # noqa: F811
    capsys,
) -> None:
    folder = measured / "out"
    assert run(["push", str(folder), "owner/name", *TERMS, "--dry-run"]) == 0
    size = sum(file.stat().st_size for file in (measured / "tiny").iterdir())
    assert f"{size / 1e3:,.1f} kB  models/tiny (a link)" in capsys.readouterr().out
    assert run(["push", str(folder), "owner/name", *TERMS]) == 0
    assert not [name for name in hub.repositories["datasets/owner/name"] if name.startswith("models/")]
    back = cratelm.open("hub:owner/name")
    assert back.table.equals(cratelm.open(folder).table)
    assert Study(back.path).model("tiny") is not None


@pytest.mark.slow
def test_an_export_of_the_viewer_becomes_a_static_space(hub, study, tmp_path) -> None:
    pages = tmp_path / "pages"
    assert run(["view", str(study), "--export", str(pages), "--units", "crate/0/1"]) == 0
    assert run(["push", str(pages), "owner/name", *TERMS]) == 0
    sent = hub.repositories["spaces/owner/name"]
    assert hub.made[0]["sdk"] == "static" and "sdk: static" in sent["README.md"].decode()
    files = {path.relative_to(pages).as_posix(): path.read_bytes() for path in pages.rglob("*") if path.is_file()}
    assert files.items() <= sent.items()


@pytest.mark.parametrize(
    ("token", "status", "message"),
    [
        ("", 2, "no token is in the environment variable HF_TOKEN"),
        ("stranger", 2, "does not take the token in HF_TOKEN (401)"),
        ("reader", 2, "the token in HF_TOKEN may not write to owner/name (403)"),
        ("busy", 3, "it takes no more requests for now (429)"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_line(hub, study, capsys, monkeypatch, token, status, message) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    assert message in refused(capsys, status, "push", study, "owner/name", *TERMS)
    assert hub.repositories == {}


def test_an_owner_that_is_not_there_and_a_hub_that_does_not_answer_are_said_in_one_line(
    hub, study, capsys, monkeypatch
):
    assert "the hub has no place for nobody/name (404)" in refused(capsys, 2, "push", study, "nobody/name", *TERMS)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "it does not answer" in refused(capsys, 3, "push", study, "owner/name", *TERMS)


def test_a_card_that_the_hub_does_not_accept_is_said_in_one_line(hub, study, capsys) -> None:
    said = refused(capsys, 2, "push", study, "owner/name", "--licence", "Unheard of")
    assert "the hub does not take owner/name: Invalid metadata in README.md. - no such licence" in said


def test_nothing_is_sent_and_nothing_fetched_while_the_hub_is_off(hub, study, capsys, monkeypatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE=0 turns it on" in refused(capsys, 2, "push", study, "owner/name", *TERMS)
    assert "HF_HUB_OFFLINE=0 turns it on" in refused(capsys, 2, "show", "hub:owner/name", "crate/0/1")
    assert hub.asked == []


@pytest.mark.parametrize(
    ("address", "message"),
    [("hub:owner/none", "datasets/owner/none cannot be had"), ("hub:owner", "write hub:OWNER/NAME[@REVISION]")],
)
def test_a_study_that_the_hub_does_not_have_is_refused_in_one_line(hub, capsys, address, message) -> None:
    assert message in refused(capsys, 2, "show", address, "crate/0/1")


def test_text_of_an_unknown_licence_is_not_sent(hub, study, capsys) -> None:
    assert "--licence CC-BY-4.0" in refused(capsys, 2, "push", study, "owner/name")
    assert hub.asked == []


def test_excerpts_of_the_film_reviews_are_not_sent_whatever_licence_is_named(hub, study, tmp_path, capsys) -> None:
    shutil.copytree(study, tmp_path / "study")
    settings = read_json(study / STUDY)
    (tmp_path / "study" / STUDY).write_text(
        json.dumps(settings | {"corpus": settings["corpus"] | {"corpus": "reviews"}})
    )
    said = refused(capsys, 2, "push", tmp_path / "study", "owner/name", *TERMS)
    assert "excerpts of it may not be published" in said
    assert hub.asked == []


def test_the_licence_of_a_packaged_text_is_known_and_a_model_needs_none() -> None:
    assert licence_of("python-source", None, excerpts=True) == "BSD-3-Clause"
    assert licence_of("reviews", "MIT", excerpts=False) is None
    assert licence_of(None, None, excerpts=False) is None
    with pytest.raises(InputError, match="may not be published"):
        licence_of("reviews", "MIT", excerpts=True)


def test_a_licence_that_the_hub_does_not_know_by_name_is_named_apart() -> None:
    assert licence_lines("BSD-3-Clause") == ["license: bsd-3-clause"]
    assert licence_lines("Our Licence (2)") == ["license: other", "license_name: our-licence-2"]
    assert licence_lines(None) == []


def test_a_damaged_file_is_not_sent(hub, study, tmp_path, capsys) -> None:
    shutil.copytree(study, tmp_path / "study")
    with (tmp_path / "study" / "scores" / "crate" / "units-0.parquet").open("ab") as file:
        file.write(b"x")
    assert "units-0.parquet is missing or damaged" in refused(
        capsys, 2, "push", tmp_path / "study", "owner/name", *TERMS
    )
    assert hub.asked == []


@pytest.mark.parametrize("name", ["name", "a/b/c", "../x", "owner/", "owner/na me"])
def test_what_is_no_name_of_a_repository_is_refused(study, capsys, name) -> None:
    assert "write OWNER/NAME" in refused(capsys, 2, "push", study, name, *TERMS)


def test_a_folder_that_is_none_of_these_is_refused(study, tmp_path, capsys) -> None:
    assert "is not there" in refused(capsys, 2, "push", tmp_path / "none", "owner/name")
    assert "are sent with their study" in refused(capsys, 2, "push", study / "scores" / "crate", "owner/name")
