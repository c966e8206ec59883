"""A stage's folder is whole or not there."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from cratelm.artifacts import Artifact, Stage, open_artifact, run_stage
from cratelm.errors import InputError, RunError

TOY = Stage("toy", files=("one.txt",), scratch=("half.txt", "shards/*"), kept=("shards/*",))


@dataclass(frozen=True)
class Config:
    size: int = 3


def write_one(folder: Path) -> None:
    (folder / "one.txt").write_text("one")
    (folder / "log").mkdir(exist_ok=True)
    (folder / "log" / "clock.txt").write_text("now")


def make(out: Path, size: int = 3, work=write_one) -> Artifact:
    return run_stage(out, TOY, Config(size), {}, work)


def test_a_finished_stage_is_not_made_again(tmp_path: Path) -> None:
    make(tmp_path / "a")
    calls = []
    artifact = make(tmp_path / "a", work=calls.append)
    assert not calls
    assert artifact.config == {"size": 3}


def test_the_manifest_lists_every_output_but_the_log(tmp_path: Path) -> None:
    assert list(make(tmp_path / "a").manifest["outputs"]) == ["one.txt"]


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    make(tmp_path / "a")
    with pytest.raises(InputError, match=r"config\.size: 3 there, 4 asked for"):
        make(tmp_path / "a", size=4)


def test_a_stage_that_dies_leaves_no_folder_and_goes_on_later(tmp_path: Path) -> None:
    def die(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "a", work=die)
    assert not (tmp_path / "a").exists()
    found = []
    make(
        tmp_path / "a",
        work=lambda folder: found.append((folder / "half.txt").read_text()) or (folder / "half.txt").unlink(),
    )
    assert found == ["half"]


def test_unfinished_work_of_other_settings_is_refused(tmp_path: Path) -> None:
    def die(folder: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "a", work=die)
    with pytest.raises(InputError, match="other settings"):
        make(tmp_path / "a", size=4)


@pytest.mark.parametrize("harm", [lambda file: file.write_text("two"), lambda file: file.unlink()])
def test_a_damaged_or_missing_file_is_named(tmp_path: Path, harm) -> None:
    make(tmp_path / "a")
    harm(tmp_path / "a" / "one.txt")
    with pytest.raises(InputError, match=r"one\.txt is missing or damaged"):
        open_artifact(tmp_path / "a", "toy")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="is not a finished toy"):
        make(tmp_path / "a")
    make(tmp_path / "b")
    with pytest.raises(InputError, match="needed is stage 'other'"):
        open_artifact(tmp_path / "b", "other")


def test_two_processes_cannot_work_in_one_folder(tmp_path: Path) -> None:
    def again(folder: Path) -> None:
        make(tmp_path / "a")

    with pytest.raises(InputError, match="another process is working"):
        make(tmp_path / "a", work=again)


def test_a_full_disk_is_the_runs_fault_and_says_what_to_do(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        with Path("/dev/full").open("w") as full:
            full.write("x" * 100_000)

    with pytest.raises(RunError, match="No space left on device"):
        make(tmp_path / "a", work=fill)


def test_an_artifacts_hash_follows_its_inputs(tmp_path: Path) -> None:
    def write(text: str):
        return lambda folder: (folder / "one.txt").write_text(text)

    first, second = (make(tmp_path / name, work=write(name)) for name in ("a", "b"))
    assert first.sha256 != second.sha256
    dependent = run_stage(tmp_path / "c", TOY, Config(), {"first": first}, write_one)
    assert dependent.manifest["inputs"] == {"first": first.sha256}
