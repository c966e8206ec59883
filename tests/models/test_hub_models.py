"""Models of the hub, against a stand-in server: revisions, commits in results, and what cannot be used, in one line."""

import json
from pathlib import Path

import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from cratelm.artifacts import read_json
from cratelm.cli import run
from tests.corpus.test_hub import COMMIT
from tests.hub_commands import ask
from tests.language_models import bytes_tokenizer, random_gpt2


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What a repository of the hub holds."""
    random_gpt2().save_pretrained(tmp_path / "repository")
    bytes_tokenizer().save_pretrained(tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def text(tmp_path: Path) -> str:
    (tmp_path / "a.txt").write_text("the film was long, and the plot of it was as bad as a plot can be.")
    return str(tmp_path / "a.txt")


@pytest.mark.processes
def test_eval_and_steer_take_a_revision_of_a_model_of_the_hub_and_name_its_commit(repository, text) -> None:
    asked = ["owner/name", "--revision", "v1", "--json"]
    evaluated, steered = ask(repository, ["eval", *asked, "--on", text], ["steer", *asked, "0/1=2", "--prompt", "the"])
    loss = json.loads(evaluated.out)
    assert (loss["repository"], loss["commit"]) == ("owner/name", COMMIT)
    assert json.loads(steered.out)["commit"] == COMMIT
    (cached,) = (repository.parent / "home").rglob("snapshots/*")
    assert cached.name == COMMIT


@pytest.mark.processes
def test_records_of_a_model_of_the_hub_have_its_name_and_commit(repository, tokens, tmp_path) -> None:
    (repository / "tokenizer_config.json").unlink()
    (repository / "tokenizer.json").write_bytes((tokens.path / "tokenizer.json").read_bytes())
    random_gpt2(vocab_size=300, n_positions=80).save_pretrained(repository)
    out = tmp_path / "records"
    few = ["--tokens", "3000", "--pool", "20", "--top", "4", "--random", "4", "--short-random", "4"]
    (recorded,) = ask(repository, ["record", "owner/name", "--text", str(tokens.path), *few, "--out", str(out)])
    assert recorded.status == 0, recorded.error
    made = read_json(out / "records.json")
    assert (made["model"], made["repository"], made["commit"]) == ("name", "owner/name", COMMIT)


@pytest.mark.processes
def test_what_the_hub_does_not_give_is_said_in_one_line(repository, text) -> None:
    refusals = {
        "owner/name on the hub has no revision v9": ["owner/name", "--revision", "v9"],
        "owner/gated on the hub is gated: ask for access on the model's page": ["owner/gated"],
        "no model of the hub": ["owner/none"],
    }
    answers = ask(repository, *(["eval", *model, "--on", text] for model in refusals.values()))
    for message, answer in zip(refusals, answers, strict=True):
        assert answer.status == 2 and message in answer.error
        assert answer.error.count("cratelm: ") == 1 and "Traceback" not in answer.error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (GatedRepoError, "is read from the environment variable HF_TOKEN"),
        (RevisionNotFoundError, "has no revision v9: give a commit, branch or tag"),
        (RepositoryNotFoundError, "no model of the hub"),
    ],
)
def test_each_refusal_of_the_hub_has_its_own_line(error, message, text, monkeypatch, capsys) -> None:
    def refuse(*_, **__):
        raise error.__new__(error)

    monkeypatch.setattr("cratelm.models.subject.snapshot_download", refuse)
    assert run(["eval", "owner/name", "--revision", "v9", "--on", text]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("tokenizer.json", "owner/name on the hub holds no tokenizer.json, only the files of a slow tokenizer"),
        ("model.safetensors", "owner/name on the hub holds no safetensors"),
    ],
)
def test_a_repository_that_lacks_a_file_is_refused(lacking, message, repository, text, monkeypatch, capsys) -> None:
    (repository / lacking).unlink()
    fetched = []
    monkeypatch.setattr(
        "cratelm.models.subject.snapshot_download",
        lambda *_, allow_patterns, **__: fetched.append(allow_patterns) or str(repository),
    )
    assert run(["steer", "owner/name", "0/1=2", "--prompt", "the"]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert lacking != "tokenizer.json" or not any("*.safetensors" in patterns for patterns in fetched)


@pytest.mark.parametrize("command", ["eval", "steer", "record", "sae", "analyze"])
def test_a_folder_has_no_revisions(command, repository, text, tmp_path, capsys) -> None:
    for_command = {"eval": ["--on", text], "steer": ["0/1=2", "--prompt", "the"]}
    to = ["--text", text, "--out", str(tmp_path / "out")]
    assert run([command, str(repository), *for_command.get(command, to), "--revision", "v1"]) == 2
    assert "is a folder, which holds one version" in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("out*"))
